// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct call {
    const char *id;
    char method[16];
    char **pairs;
    int pair_count;
    const char *json; /* body as given, NULL: none */
    bool show_head;
};

static bool is_method(const char *text)
{
    static const char *const methods[] = {"GET",   "POST", "PUT",    "DELETE",
                                          "PATCH", "HEAD", "OPTIONS"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcasecmp(text, methods[i]) == 0)
            return true;
    }
    return false;
}

static bool pairs_go_into_query(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
           strcmp(method, "DELETE") == 0 || strcmp(method, "OPTIONS") == 0;
}

static void put_query(struct buf *target, const struct call *call)
{
    for (int i = 0; i < call->pair_count; i++) {
        char *equals = strchr(call->pairs[i], '=');
        *equals = 0;
        buf_putc(target, i == 0 ? '?' : '&');
        client_put_encoded(target, call->pairs[i], false);
        buf_putc(target, '=');
        client_put_encoded(target, equals + 1, false);
        *equals = '=';
    }
}

/* {"key":value,…}: a value that is JSON as it stands, anything else as a string. */
static char *pairs_as_json(const struct call *call)
{
    json_t *object = json_object();
    for (int i = 0; i < call->pair_count; i++) {
        char *equals = strchr(call->pairs[i], '=');
        json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
        *equals = 0;
        int failed =
            json_object_set_new(object, call->pairs[i], value ? value : json_string(equals + 1));
        *equals = '=';
        if (failed) {
            json_decref(object);
            return NULL;
        }
    }
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

/* On a terminal nothing of it may steer that; elsewhere it goes out as it came. */
static bool put_bytes(void *terminal, const char *bytes, size_t len)
{
    if (*(const bool *)terminal)
        printable_put_lines(stdout, bytes, len, 0);
    else
        fwrite(bytes, 1, len, stdout);
    return fflush(stdout) == 0;
}

/* JSON is gathered, for it may have to be indented; everything else is shown as it arrives. */
static bool is_shown_at_once(const struct reply *reply)
{
    return strcmp(reply->media_type, "application/json") != 0;
}

static void print_body(const struct reply *reply, bool terminal)
{
    json_t *json = NULL;
    if (terminal && strcmp(reply->media_type, "application/json") == 0)
        json = json_loadb(reply->body.data ? reply->body.data : "", reply->body.len,
                          JSON_DECODE_ANY, NULL);
    if (json)
        ask_print(json);
    else if (reply->body.len > 0)
        put_bytes(&terminal, reply->body.data, reply->body.len);
    bool is_json = !is_shown_at_once(reply);
    bool ended = reply->body.len > 0 && reply->body.data[reply->body.len - 1] == '\n';
    if (!json && !ended && (terminal || (is_json && reply->body.len > 0)))
        putchar('\n');
    json_decref(json);
}

static int send_call(struct ctl *ctl, const struct call *call, const char *target, const char *body)
{
    struct reply reply;
    bool terminal = isatty(STDOUT_FILENO) && !ctl->json;
    struct request request = {.method = call->method,
                              .target = target,
                              .body = body,
                              .body_len = body ? strlen(body) : 0,
                              .content_type = "application/json",
                              .show_head = call->show_head,
                              .sink = put_bytes,
                              .wants = is_shown_at_once,
                              .sink_arg = &terminal};
    if (!ask_client(ctl))
        return CTL_USAGE;
    int code = client_send(ctl->client, &request, &reply);
    if (code == CTL_OK) {
        print_body(&reply, terminal);
        code = client_exit_code(reply.status);
        if (code != CTL_OK && fflush(stdout) == 0)
            client_report(&reply, true);
    }
    reply_free(&reply);
    return code;
}

static int run_call(struct ctl *ctl, const struct call *call)
{
    struct buf target = BUF_INIT;
    char *made = NULL;
    int code;
    ask_target(&target, call->id, NULL);
    if (call->pair_count > 0 && pairs_go_into_query(call->method))
        put_query(&target, call);
    else if (call->pair_count > 0)
        made = pairs_as_json(call);
    if (call->pair_count > 0 && !pairs_go_into_query(call->method) && !made) {
        fputs("objectctl: the pairs are no JSON (is a key or value not UTF-8?)\n", stderr);
        code = CTL_USAGE;
    } else {
        code = send_call(ctl, call, buf_str(&target), call->json ? call->json : made);
    }
    buf_free(&target);
    free(made);
    return code;
}

static bool read_stdin(struct buf *text)
{
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
        buf_append(text, chunk, n);
    return buf_ok(text) && !ferror(stdin);
}

/* Sorts the arguments behind the options into id, method and pairs; NULL or what is wrong. */
static const char *take_arguments(struct call *call, int argc, char **argv)
{
    if (argc == 0)
        return "which object?";
    call->id = argv[0];
    argv++;
    argc--;
    snprintf(call->method, sizeof(call->method), "%s", call->json ? "POST" : "GET");
    if (argc > 0 && !strchr(argv[0], '=')) {
        if (!is_method(argv[0]))
            return "METHOD must be GET, POST, PUT, DELETE, PATCH, HEAD or OPTIONS";
        for (size_t i = 0; i <= strlen(argv[0]); i++)
            call->method[i] = (char)toupper((unsigned char)argv[0][i]);
        argv++;
        argc--;
    }
    call->pairs = argv;
    call->pair_count = argc;
    for (int i = 0; i < argc; i++) {
        if (!strchr(argv[i], '=') || argv[i][0] == '=')
            return "arguments behind the method must be KEY=VALUE";
    }
    return call->json && argc > 0 ? "pairs and --json exclude each other" : NULL;
}

int cmd_call(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {{"url", required_argument, NULL, COMMAND_OPT_URL},
                                            {"json", required_argument, NULL, 'J'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct call call = {0};
    struct buf input = BUF_INIT;
    int option, code = CTL_OK;
    while ((option = command_option(ctl, self, argc, argv, "ih", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            return code;
        if (option == 'i')
            call.show_head = true;
        else
            call.json = optarg;
    }
    const char *wrong = take_arguments(&call, argc - optind, argv + optind);
    if (wrong)
        return command_usage(self, wrong);
    if (call.json && strcmp(call.json, "-") == 0) {
        if (!read_stdin(&input)) {
            fprintf(stderr, "objectctl: standard input: %s\n", strerror(errno));
            return CTL_INTERNAL;
        }
        call.json = buf_str(&input);
    }
    code = run_call(ctl, &call);
    buf_free(&input);
    return code;
}
