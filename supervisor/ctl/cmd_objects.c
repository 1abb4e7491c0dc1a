// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/table.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000, COLUMNS = 5, REMARKS = 7 };

/* What a column shows: the first of these members that is there. */
static const struct {
    const char *head;
    const char *members[REMARKS];
} columns[COLUMNS] = {
    {"ID", {"object_id"}},
    {"STATE", {"phase", "state"}},
    {"TURNS", {"turns"}},
    {"FILE", {"file", "path"}},
    {"REMARK",
     {"load_error", "waits_for", "rolled_back", "rollback_failed", "conflict", "error", "reason"}},
};

/* All pages as one answer; the caller's. */
static int fetch(struct ctl *ctl, json_t **all)
{
    json_t *objects = json_array();
    struct buf target = BUF_INIT;
    int code = CTL_OK;
    for (;;) {
        json_t *page;
        buf_reset(&target, PAGE);
        buf_printf(&target, "/objects?limit=%d", PAGE);
        const json_t *last = json_array_get(objects, json_array_size(objects) - 1);
        if (last) {
            buf_puts(&target, "&after=");
            client_put_encoded(&target, json_string_value(json_object_get(last, "object_id")),
                               false);
        }
        code = ask_send(ctl, &(struct request){.target = buf_str(&target)}, &page);
        json_t *list = json_object_get(page, "objects");
        size_t count = json_array_size(list);
        json_array_extend(objects, list);
        json_decref(page);
        const json_t *newest = json_array_get(objects, json_array_size(objects) - 1);
        if (code != CTL_OK || count < PAGE || newest == last ||
            !json_is_string(json_object_get(newest, "object_id")))
            break;
    }
    buf_free(&target);
    *all = json_pack("{s:s, s:I, s:o}", "status", "ok", "count",
                     (json_int_t)json_array_size(objects), "objects", objects);
    return code;
}

static void print_table(const json_t *objects)
{
    const char *heads[COLUMNS];
    size_t index;
    json_t *object;
    for (size_t i = 0; i < COLUMNS; i++)
        heads[i] = columns[i].head;
    struct table *table = table_new(heads, COLUMNS);
    json_array_foreach(objects, index, object)
    {
        char *cells[COLUMNS];
        for (size_t i = 0; i < COLUMNS; i++) {
            json_t *value = NULL;
            for (size_t m = 0; m < REMARKS && !value && columns[i].members[m]; m++)
                value = json_object_get(object, columns[i].members[m]);
            cells[i] = table_cell(value);
        }
        table_add(table, (const char *const *)cells);
        for (size_t i = 0; i < COLUMNS; i++)
            free(cells[i]);
    }
    table_show(table);
    table_free(table);
}

static void print_ids(const json_t *objects)
{
    size_t index;
    json_t *object;
    json_array_foreach(objects, index, object)
    {
        const char *id = json_string_value(json_object_get(object, "object_id"));
        if (id)
            puts(id);
    }
}

int cmd_objects(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_OPTIONS, {"ids", no_argument, NULL, 'i'}, {0}};
    bool ids = false;
    json_t *all;
    int option, code = CTL_OK;
    while ((option = command_option(ctl, self, argc, argv, "ih", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            return code;
        ids = true;
    }
    if (optind != argc)
        return command_usage(self, "no arguments are taken");
    code = fetch(ctl, &all);
    if (code == CTL_OK && ctl->json) {
        ask_print(all);
    } else if (code == CTL_OK && ids) {
        print_ids(json_object_get(all, "objects"));
    } else if (code == CTL_OK) {
        print_table(json_object_get(all, "objects"));
    }
    json_decref(all);
    return code;
}
