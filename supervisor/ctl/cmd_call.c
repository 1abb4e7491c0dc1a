// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/command.h"

#include <ctype.h>
#include <errno.h>
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

static void print_body(const struct reply *reply)
{
    bool terminal = isatty(STDOUT_FILENO);
    if (terminal && strcmp(reply->media_type, "application/json") == 0) {
        json_t *json = json_loadb(reply->body.data ? reply->body.data : "", reply->body.len,
                                  JSON_DECODE_ANY, NULL);
        if (json) {
            json_dumpf(json, stdout, JSON_ENCODE_ANY | JSON_INDENT(2));
            putchar('\n');
            json_decref(json);
            return;
        }
    }
    if (reply->body.len == 0)
        return;
    fwrite(reply->body.data, 1, reply->body.len, stdout);
    if (reply->body.data[reply->body.len - 1] != '\n' && terminal)
        putchar('\n');
}

static int send_call(struct ctl *ctl, const struct call *call)
{
    struct buf target = BUF_INIT;
    struct reply reply;
    char *made = NULL;
    buf_puts(&target, "/objects/");
    client_put_encoded(&target, call->id, true);
    if (call->pair_count > 0 && pairs_go_into_query(call->method))
        put_query(&target, call);
    else if (call->pair_count > 0 && !(made = pairs_as_json(call)))
        fputs("objectctl: the pairs are no JSON (is a key or value not UTF-8?)\n", stderr);
    const char *body = call->json ? call->json : made;
    struct client *client = client_new(ctl->url);
    int result = client ? CTL_OK : CTL_USAGE;
    if (client)
        result = client_send(client,
                             &(struct request){.method = call->method,
                                               .target = buf_str(&target),
                                               .body = body,
                                               .body_len = body ? strlen(body) : 0,
                                               .content_type = "application/json",
                                               .show_head = call->show_head,
                                               .stream = true},
                             &reply);
    if (client && result == CTL_OK) {
        print_body(&reply);
        if (reply.status >= 400) {
            fflush(stdout);
            client_report(&reply);
            result = CTL_ERROR;
        }
    }
    if (client)
        reply_free(&reply);
    client_free(client);
    buf_free(&target);
    free(made);
    return result;
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
    code = send_call(ctl, &call);
    buf_free(&input);
    return code;
}
