// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/table.h"

#include <stdlib.h>

static void print_table(json_t *state)
{
    static const char *const heads[] = {"KEY", "VALUE"};
    struct table *table = table_new(heads, 2);
    const char *key;
    json_t *value;
    json_object_foreach(state, key, value)
    {
        /* As JSON, so that "10" and 10 can be told apart. */
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
        table_add(table, (const char *[]){key, text});
        free(text);
    }
    table_show(table);
    table_free(table);
}

int cmd_state(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    struct buf query = BUF_INIT;
    json_t *answer;
    int code;
    if (command_no_options(ctl, self, argc, argv, &code))
        return code;
    if (argc - optind < 1 || argc - optind > 2)
        return command_usage(self, "the state of which object?");
    buf_puts(&query, "state=true");
    if (argc - optind == 2) {
        buf_puts(&query, "&key=");
        client_put_encoded(&query, argv[optind + 1], false);
    }
    code = ask_object(ctl, argv[optind], buf_str(&query), &answer);
    if (code == CTL_OK && ctl->json)
        ask_print(answer);
    else if (code == CTL_OK && argc - optind == 2)
        ask_print(json_object_get(answer, "value"));
    else if (code == CTL_OK)
        print_table(json_object_get(answer, "state"));
    json_decref(answer);
    buf_free(&query);
    return code;
}
