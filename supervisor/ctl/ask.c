// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/ask.h"

#include "supervisor/ctl/printable.h"
#include "supervisor/ctl/table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIME_LIMIT 253402300800.0 /* the year 10000 */

struct client *ask_client(struct ctl *ctl)
{
    if (!ctl->client)
        ctl->client = client_new(ctl->url);
    return ctl->client;
}

static void print_bytes(const struct buf *body)
{
    fwrite(body->data ? body->data : "", 1, body->len, stdout);
    if (body->len > 0 && body->data[body->len - 1] != '\n')
        putchar('\n');
}

int ask_send(struct ctl *ctl, const struct request *request, json_t **json)
{
    struct reply reply;
    json_error_t error;
    *json = NULL;
    if (!ask_client(ctl))
        return CTL_USAGE;
    int code = client_send(ctl->client, request, &reply);
    if (code == CTL_OK && reply.status >= 400) {
        if (ctl->json)
            print_bytes(&reply.body);
        client_report(&reply, ctl->json);
        code = client_exit_code(reply.status);
    } else if (code == CTL_OK) {
        *json = json_loadb(reply.body.data ? reply.body.data : "", reply.body.len,
                           JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!*json) {
            fprintf(stderr, "objectctl: the station's answer is no JSON: %s\n", error.text);
            code = CTL_INTERNAL;
        }
    }
    reply_free(&reply);
    return code;
}

void ask_target(struct buf *target, const char *id, const char *query)
{
    buf_puts(target, "/objects/");
    client_put_encoded(target, id, true);
    if (query) {
        buf_putc(target, '?');
        buf_puts(target, query);
    }
}

int ask_object(struct ctl *ctl, const char *id, const char *query, json_t **json)
{
    struct buf target = BUF_INIT;
    ask_target(&target, id, query);
    int code = ask_send(ctl, &(struct request){.target = buf_str(&target)}, json);
    buf_free(&target);
    return code;
}

int ask_document(struct ctl *ctl, const char *method, const char *target, json_t *document,
                 json_t **json)
{
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    int code = CTL_INTERNAL;
    *json = NULL;
    if (text)
        code = ask_send(ctl,
                        &(struct request){.method = method,
                                          .target = target,
                                          .body = text,
                                          .body_len = strlen(text),
                                          .content_type = "application/json"},
                        json);
    else
        fputs("objectctl: that cannot be put into JSON (is it UTF-8?)\n", stderr);
    free(text);
    json_decref(document);
    return code;
}

void ask_print(const json_t *json)
{
    size_t layout = isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT;
    json_dumpf(json, stdout, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) | layout);
    putchar('\n');
}

void ask_print_message(const struct ctl *ctl, const char *id, const json_t *answer)
{
    const json_t *message = json_object_get(answer, "message");
    if (ctl->json) {
        ask_print(answer);
        return;
    }
    printf("%s: ", id);
    printable_put_value(stdout, message ? message : answer);
    putchar('\n');
}

struct table *ask_table(const json_t *rows, const char *const *members, const char *const *heads,
                        size_t columns)
{
    struct table *table = table_new(heads, columns);
    size_t index;
    json_t *row;
    json_array_foreach(rows, index, row)
    {
        char *cells[TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < columns; i++)
            cells[i] = table_cell(json_object_get(row, members[i]));
        table_add(table, (const char *const *)cells);
        for (size_t i = 0; i < columns; i++)
            free(cells[i]);
    }
    return table;
}

void ask_print_rows(const json_t *rows, const char *const *members, const char *const *heads,
                    size_t columns)
{
    struct table *table = ask_table(rows, members, heads, columns);
    table_show(table);
    table_free(table);
}

/* Nothing where the text is no time in UTC with a fraction of a second. */
static void drop_fraction(json_t *row, const char *member)
{
    const char *text = ask_text(row, member), *dot = strchr(text, '.');
    if (dot && strspn(dot + 1, "0123456789") + strlen(".Z") == strlen(dot) &&
        text[strlen(text) - 1] == 'Z')
        json_object_set_new(row, member, json_sprintf("%.*sZ", (int)(dot - text), text));
}

void ask_show_times(json_t *rows, const char *member)
{
    size_t index;
    json_t *row;
    json_array_foreach(rows, index, row)
    {
        char text[sizeof("9999-12-31T23:59:59Z")];
        const json_t *value = json_object_get(row, member);
        double seconds = json_number_value(value);
        if (!json_is_number(value)) {
            drop_fraction(row, member);
            continue;
        }
        if (!(seconds >= 0 && seconds < TIME_LIMIT))
            continue;
        time_t when = (time_t)seconds;
        struct tm parts;
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &parts));
        json_object_set_new(row, member, json_string(text));
    }
}

const char *ask_text(const json_t *json, const char *member)
{
    const char *text = json_string_value(json_object_get(json, member));
    return text ? text : "";
}
