// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/command.h"
#include "supervisor/ctl/table.h"

#include <stdlib.h>
#include <string.h>

static void print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_INDENT(2) | JSON_SORT_KEYS);
    putchar('\n');
}

static void print_table(json_t *state)
{
    static const char *const heads[] = {"KEY", "VALUE"};
    struct table *table = table_new(heads, 2);
    const char *key;
    json_t *value;
    json_object_foreach(state, key, value)
    {
        /* As JSON, so that "10" and 10 can be told apart. */
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        table_add(table, (const char *[]){key, text});
        free(text);
    }
    table_print(table, stdout, 0);
    table_free(table);
}

static int show(const struct ctl *ctl, json_t *answer, const char *key)
{
    json_t *state = json_object_get(answer, "state");
    if (!key) {
        if (ctl->json)
            print_json(answer);
        else
            print_table(state);
        return CTL_OK;
    }
    json_t *value = json_object_get(state, key);
    if (!value) {
        fprintf(stderr, "objectctl: no such key: %s\n", key);
        return CTL_ERROR;
    }
    print_json(value);
    return CTL_OK;
}

int cmd_state(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_OPTIONS, {0}};
    struct buf target = BUF_INIT;
    json_t *answer;
    int code = CTL_OK;
    if (command_option(ctl, self, argc, argv, "h", options, &code) == COMMAND_STOP)
        return code;
    if (argc - optind < 1 || argc - optind > 2)
        return command_usage(self, "the state of which object?");
    struct client *client = client_new(ctl->url);
    if (!client)
        return CTL_USAGE;
    buf_puts(&target, "/objects/");
    client_put_encoded(&target, argv[optind], true);
    buf_puts(&target, "?state=true");
    code = client_get_json(client, buf_str(&target), &answer);
    if (code == CTL_OK)
        code = show(ctl, answer, argc - optind == 2 ? argv[optind + 1] : NULL);
    json_decref(answer);
    buf_free(&target);
    client_free(client);
    return code;
}
