// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/command.h"
#include "supervisor/ctl/table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINES_PER_POLL = 10000, POLL_MS = 300 };

struct follower {
    struct ctl *ctl;
    struct client *client;
    const char *id;
    const char *level;
    const char *lines;
    char since[64]; /* timestamp of the newest line printed; "" before the first */
    json_t *newest; /* the lines printed that carry it: `since` includes them again */
    bool lost;      /* the station did not answer last time, and that has been said */
};

static void print_fields(const json_t *line)
{
    static const char *const shown[] = {"timestamp", "level", "message"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)line, name, value)
    {
        bool extra = !json_is_null(value) && strcmp(name, "version") != 0;
        for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
            extra = extra && strcmp(name, shown[i]) != 0;
        if (!extra || (json_is_string(value) && json_string_length(value) == 0))
            continue;
        char *text = table_cell(value);
        putchar(' ');
        table_put_text(stdout, name, strlen(name));
        putchar('=');
        table_put_text(stdout, text, strlen(text));
        free(text);
    }
}

static void print_line(const struct follower *f, const json_t *line)
{
    if (f->ctl->json) {
        json_dumpf(line, stdout, JSON_COMPACT);
        putchar('\n');
        return;
    }
    char *when = table_cell(json_object_get(line, "timestamp"));
    char *level = table_cell(json_object_get(line, "level"));
    char *message = table_cell(json_object_get(line, "message"));
    table_put_text(stdout, when, strlen(when));
    printf("  %-8.16s ", level);
    table_put_text(stdout, message, strlen(message));
    print_fields(line);
    putchar('\n');
    free(when);
    free(level);
    free(message);
}

/* Whether the line was printed by the poll before; each remembered line counts once. */
static bool seen_before(json_t *remembered, const json_t *line)
{
    for (size_t i = 0; i < json_array_size(remembered); i++) {
        if (json_equal(json_array_get(remembered, i), line)) {
            json_array_remove(remembered, i);
            return true;
        }
    }
    return false;
}

static void remember(struct follower *f, json_t *line)
{
    char *when = table_cell(json_object_get(line, "timestamp"));
    if (strcmp(when, f->since) != 0) {
        json_array_clear(f->newest);
        snprintf(f->since, sizeof(f->since), "%s", when);
    }
    json_array_append(f->newest, line);
    free(when);
}

static void print_new(struct follower *f, const json_t *logs)
{
    json_t *before = json_copy(f->newest);
    size_t index;
    json_t *line;
    if (f->since[0] && json_array_size(logs) >= LINES_PER_POLL)
        fputs("objectctl: too many lines at once, some are left out\n", stderr);
    json_array_foreach(logs, index, line)
    {
        if (seen_before(before, line))
            continue;
        print_line(f, line);
        remember(f, line);
    }
    json_decref(before);
    fflush(stdout);
}

static char *logs_target(const struct follower *f)
{
    struct buf target = BUF_INIT;
    buf_puts(&target, "/objects/");
    client_put_encoded(&target, f->id, true);
    buf_puts(&target, "?logs=true&limit=");
    if (f->since[0])
        buf_printf(&target, "%d", LINES_PER_POLL);
    else
        client_put_encoded(&target, f->lines, false);
    if (f->level) {
        buf_puts(&target, "&level=");
        client_put_encoded(&target, f->level, false);
    }
    if (f->since[0]) {
        buf_puts(&target, "&since=");
        client_put_encoded(&target, f->since, false);
    }
    return buf_take(&target, NULL);
}

static int poll_once(struct follower *f, bool quiet)
{
    struct reply reply;
    char *target = logs_target(f);
    int result = client_send(
        f->client, &(struct request){.target = target ? target : "/", .quiet = quiet}, &reply);
    if (result == CTL_OK && reply.status >= 400) {
        if (!quiet)
            client_report(&reply);
        result = CTL_ERROR;
    } else if (result == CTL_OK) {
        json_t *json = json_loadb(reply.body.data ? reply.body.data : "", reply.body.len,
                                  JSON_ALLOW_NUL, NULL);
        print_new(f, json_object_get(json, "logs"));
        json_decref(json);
    }
    reply_free(&reply);
    free(target);
    return result;
}

/* Until interrupted, or stdout is closed. A station that is away is waited for. */
static int follow(struct follower *f)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    while (!ferror(stdout)) {
        nanosleep(&pause, NULL);
        int result = poll_once(f, f->lost);
        if (result == CTL_OK && f->lost)
            fputs("objectctl: the station is back\n", stderr);
        f->lost = result != CTL_OK;
    }
    return CTL_ERROR;
}

static int show_logs(struct follower *f, bool go_on)
{
    f->client = client_new(f->ctl->url);
    f->newest = json_array();
    int result = f->client && f->newest ? poll_once(f, false) : CTL_USAGE;
    if (result == CTL_OK && go_on)
        result = follow(f);
    json_decref(f->newest);
    client_free(f->client);
    return result;
}

int cmd_logs(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_OPTIONS,
                                            {"follow", no_argument, NULL, 'f'},
                                            {"level", required_argument, NULL, 'l'},
                                            {"lines", required_argument, NULL, 'n'},
                                            {0}};
    struct follower f = {.ctl = ctl, .lines = "100"};
    bool go_on = false;
    int option, code = CTL_OK;
    while ((option = command_option(ctl, self, argc, argv, "fl:n:h", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            return code;
        if (option == 'f')
            go_on = true;
        else if (option == 'l')
            f.level = optarg;
        else
            f.lines = optarg;
    }
    if (optind + 1 != argc)
        return command_usage(self, "the log of which object?");
    if (f.lines[0] == 0 || f.lines[strspn(f.lines, "0123456789")] != 0)
        return command_usage(self, "COUNT must be a number");
    f.id = argv[optind];
    return show_logs(&f, go_on);
}
