// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "common/time_text.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/event_stream.h"
#include "supervisor/ctl/log_lines.h"
#include "supervisor/ctl/printable.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TIME_FORMS                                                                                \
    " a time such as 2026-11-21T14:00:00Z, seconds since 1970, or a number with s, m, h or d as " \
    "in 10m, ten minutes ago"

enum { LINES_AGAIN = 10000, PAUSE_MS = 300 };

struct follower {
    struct ctl *ctl;
    const char *id;
    const char *lines;
    const char *since; /* as the user gave it, NULL: not given */
    struct buf filter; /* "&level=ERROR&user=ada" */
    bool go_on;        /* with new lines, as they come */
    struct log_lines printed;
    struct event_stream events;
    bool lost; /* the stream ended, and that has been said */
};

/* What is asked again is asked from the newest line on: nothing is missed meanwhile. */
static void put_target(struct buf *target, const struct follower *f)
{
    const char *since = f->printed.since[0] ? f->printed.since : f->since;
    ask_target(target, f->id, "logs=true&limit=");
    if (f->printed.since[0])
        buf_printf(target, "%d", LINES_AGAIN);
    else
        buf_puts(target, f->lines);
    if (since) {
        buf_puts(target, "&since=");
        client_put_encoded(target, since, false);
    }
    if (f->go_on)
        buf_puts(target, "&follow=true");
    buf_append(target, f->filter.data ? f->filter.data : "", f->filter.len);
}

static int show_once(struct follower *f)
{
    struct buf target = BUF_INIT;
    json_t *answer, *line;
    size_t index;
    put_target(&target, f);
    int code = ask_send(f->ctl, &(struct request){.target = buf_str(&target)}, &answer);
    if (code == CTL_OK && f->ctl->json) {
        ask_print(answer);
    } else {
        json_array_foreach(json_object_get(answer, "logs"), index, line)
            log_lines_print(&f->printed, line);
    }
    if (json_is_false(json_object_get(answer, "complete"))) {
        fflush(stdout);
        fputs("objectctl: the log was not searched to its end; go on with --until ", stderr);
        printable_put_value(stderr, json_object_get(answer, "searched_to"));
        fputc('\n', stderr);
    }
    json_decref(answer);
    buf_free(&target);
    return code;
}

/* --- following ------------------------------------------------------------------------------ */

/* Events without a name are lines; the others say what is not there ("skipped") or why it ends. */
static void on_event(void *arg, const char *event, const char *data, size_t len)
{
    struct follower *f = arg;
    json_t *json = json_loadb(data, len, JSON_ALLOW_NUL, NULL);
    if (event[0]) {
        fputs("objectctl: ", stderr);
        printable_put(stderr, event, strlen(event));
        fputs(": ", stderr);
        printable_put(stderr, data, len);
        fputc('\n', stderr);
    } else if (json) {
        if (f->lost)
            fputs("objectctl: the station is back\n", stderr);
        f->lost = false;
        log_lines_print(&f->printed, json);
    }
    json_decref(json);
}

static bool on_bytes(void *arg, const char *bytes, size_t len)
{
    struct follower *f = arg;
    event_stream_feed(&f->events, bytes, len);
    return fflush(stdout) == 0 && !ferror(stdout);
}

static int follow_once(struct follower *f, bool quiet)
{
    struct reply reply;
    struct buf target = BUF_INIT;
    put_target(&target, f);
    log_lines_again(&f->printed);
    event_stream_reset(&f->events);
    int code = client_send(
        f->ctl->client,
        &(struct request){
            .target = buf_str(&target), .quiet = quiet, .sink = on_bytes, .sink_arg = f},
        &reply);
    if (code == CTL_OK && reply.status >= 400) {
        if (!quiet)
            client_report(&reply, false);
        code = client_exit_code(reply.status);
    } else if (reply.status == 200) {
        code = CTL_OK; /* it had begun: cut off is no worse than ended */
    }
    reply_free(&reply);
    buf_free(&target);
    return code;
}

/* Until interrupted, or stdout is closed. A station that goes away is waited for. */
static int follow(struct follower *f)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    int code = follow_once(f, false);
    while ((code == CTL_OK || f->lost) && !ferror(stdout)) {
        if (!f->lost)
            fputs("objectctl: the station ended the log; waiting for it\n", stderr);
        f->lost = true;
        nanosleep(&pause, NULL);
        code = follow_once(f, true);
    }
    return ferror(stdout) ? CTL_CANNOT_WRITE : code;
}

/* --- the command line ----------------------------------------------------------------------- */

static bool is_level(const char *name, size_t len)
{
    static const char *const levels[] = {"DEBUG",    "INFO",   "WARNING", "ERROR",
                                         "CRITICAL", "STDOUT", "STDERR"};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strlen(levels[i]) == len && strncasecmp(levels[i], name, len) == 0)
            return true;
    }
    return false;
}

static bool are_levels(const char *list)
{
    for (;;) {
        size_t len = strcspn(list, ",");
        if (!is_level(list, len))
            return false;
        if (!list[len])
            return true;
        list += len + 1;
    }
}

/* "10m" is ten minutes ago; any other time goes to the station as given. Text, room or NULL. */
static const char *absolute_time(const char *text, char *room, size_t size)
{
    static const struct {
        char unit;
        unsigned seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t us;
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (digits > 0 && digits < 10 && text[digits] == units[i].unit && !text[digits + 1]) {
            long long ago = strtoll(text, NULL, 10) * units[i].seconds;
            snprintf(room, size, "%lld", (long long)time(NULL) - ago);
            return room;
        }
    }
    return time_text_parse(text, strlen(text), &us) ? text : NULL;
}

static void add_filter(struct buf *filter, const char *name, size_t len, const char *value)
{
    char *copy = strndup(name, len);
    buf_putc(filter, '&');
    client_put_encoded(filter, copy ? copy : "", false);
    buf_putc(filter, '=');
    client_put_encoded(filter, value, false);
    free(copy);
}

/* Options into f; NULL or what is wrong. */
static const char *take_option(struct follower *f, int option, char *room, size_t size)
{
    const char *until;
    switch (option) {
    case 'l':
        if (!are_levels(optarg))
            return "LEVEL must be DEBUG, INFO, WARNING, ERROR, CRITICAL, STDOUT or STDERR, or "
                   "several of them separated by commas";
        add_filter(&f->filter, "level", 5, optarg);
        return NULL;
    case 'n':
        f->lines = optarg;
        return command_is_number(optarg) ? NULL : "COUNT must be a number";
    case 's':
        f->since = absolute_time(optarg, room, size);
        return f->since ? NULL : "--since must be" TIME_FORMS;
    default:
        if (!(until = absolute_time(optarg, room, size)))
            return "--until must be" TIME_FORMS;
        add_filter(&f->filter, "until", 5, until);
        return NULL;
    }
}

static const char *take_fields(struct follower *f, char *const *pairs)
{
    for (; *pairs; pairs++) {
        const char *equals = strchr(*pairs, '=');
        if (!equals || equals == *pairs)
            return "what follows the object must be FIELD=VALUE";
        add_filter(&f->filter, *pairs, (size_t)(equals - *pairs), equals + 1);
    }
    return NULL;
}

static int show_logs(struct follower *f)
{
    if (!ask_client(f->ctl))
        return CTL_USAGE;
    log_lines_init(&f->printed, f->ctl->json);
    event_stream_init(&f->events, on_event, f);
    int code = f->go_on ? follow(f) : show_once(f);
    event_stream_free(&f->events);
    log_lines_free(&f->printed);
    return code;
}

int cmd_logs(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_OPTIONS,
                                            {"follow", no_argument, NULL, 'f'},
                                            {"level", required_argument, NULL, 'l'},
                                            {"lines", required_argument, NULL, 'n'},
                                            {"since", required_argument, NULL, 's'},
                                            {"until", required_argument, NULL, 'u'},
                                            {0}};
    struct follower f = {.ctl = ctl, .lines = "100", .filter = BUF_INIT};
    char since[32], until[32];
    const char *wrong = NULL;
    bool bounded = false;
    int option, code = CTL_OK;
    while (!wrong &&
           (option = command_option(ctl, self, argc, argv, "fl:n:h", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            break;
        f.go_on = f.go_on || option == 'f';
        bounded = bounded || option == 'u';
        if (option != 'f')
            wrong = take_option(&f, option, option == 's' ? since : until, sizeof(since));
    }
    if (!wrong && option != COMMAND_STOP) {
        wrong = f.go_on && bounded ? "--follow and --until exclude each other"
                : optind >= argc   ? "the log of which object?"
                                   : take_fields(&f, argv + optind + 1);
        f.id = argv[optind];
        if (!wrong)
            code = show_logs(&f);
    }
    if (wrong)
        code = command_usage(self, wrong);
    buf_free(&f.filter);
    return code;
}
