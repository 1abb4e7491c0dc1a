// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"
#include "supervisor/ctl/table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WATCH_SECONDS = 2, INDENT = 2 };

static void print_scalar(const char *name, const json_t *value, int indent)
{
    printf("%*s%-*s ", indent, "", 28 - indent, name);
    printable_put_value(stdout, value);
    putchar('\n');
}

static bool has_head(const char *const *heads, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(heads[i], name) == 0)
            return true;
    return false;
}

/* The members of the objects, in the order in which they are met; as many as there are columns. */
static size_t find_heads(const json_t *list, const char *heads[TABLE_COLUMNS_MAX])
{
    size_t columns = 0, index;
    const char *name;
    json_t *value, *row;
    json_array_foreach(list, index, row)
    {
        json_object_foreach(row, name, value)
        {
            if (columns < TABLE_COLUMNS_MAX && !has_head(heads, columns, name))
                heads[columns++] = name;
        }
    }
    return columns;
}

/* Of a schedule what people ask for, where any of them has it; --json has the rest. */
static size_t find_schedule_heads(const json_t *list, const char *heads[TABLE_COLUMNS_MAX])
{
    static const char *const wanted[] = {"method",   "payload",   "interval",
                                         "next_run", "last_run",  "last_status",
                                         "runs",     "suspended", "last_error"};
    size_t columns = 0, index;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const json_t *row;
        bool found = false;
        json_array_foreach(list, index, row) found =
            found || !json_is_null(json_object_get(row, wanted[i]) ?: json_null());
        if (found)
            heads[columns++] = wanted[i];
    }
    return columns;
}

/* The times of this member; on a terminal, where columns are scarce, today's without their date. */
static void show_times(json_t *list, const char *member)
{
    char today[sizeof("9999-12-31T")];
    time_t now = time(NULL);
    struct tm parts;
    size_t index, len = strftime(today, sizeof(today), "%Y-%m-%dT", gmtime_r(&now, &parts));
    json_t *row;
    ask_show_times(list, member);
    if (table_terminal_width() == 0)
        return;
    json_array_foreach(list, index, row)
    {
        const char *text = ask_text(row, member);
        if (strncmp(text, today, len) == 0)
            json_object_set_new(row, member, json_string(text + len));
    }
}

/* A list of objects as a table. */
static void print_list(const char *name, json_t *list, int indent)
{
    const char *heads[TABLE_COLUMNS_MAX];
    bool schedules = strcmp(name, "schedules") == 0;
    size_t columns = schedules ? find_schedule_heads(list, heads) : find_heads(list, heads), index;
    show_times(list, "next_run");
    show_times(list, "last_run");
    json_t *row;
    struct table *table = table_new(heads, columns);
    for (size_t i = 0; i < columns; i++)
        if (strcmp(heads[i], "next_run") == 0 || strcmp(heads[i], "last_run") == 0)
            table_keep(table, i);
    json_array_foreach(list, index, row)
    {
        char *cells[TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < columns; i++)
            cells[i] = table_cell(json_object_get(row, heads[i]));
        table_add(table, (const char *const *)cells);
        for (size_t i = 0; i < columns; i++)
            free(cells[i]);
    }
    table_print(table, stdout, indent, table_terminal_width());
    table_free(table);
}

static void print_members(json_t *object, int indent)
{
    const char *name;
    json_t *value;
    /* What is a single value first, then the groups. */
    json_object_foreach(object, name, value)
    {
        if (!json_is_object(value) && !json_is_object(json_array_get(value, 0)))
            print_scalar(name, value, indent);
    }
    json_object_foreach(object, name, value)
    {
        bool list = json_is_object(json_array_get(value, 0));
        if (!list && json_object_size(value) == 0)
            continue;
        printf("%s%*s%s\n", indent ? "" : "\n", indent, "", name);
        if (list)
            print_list(name, value, indent + INDENT);
        else
            print_members(value, indent + INDENT);
    }
}

/* id: of an object; NULL: the station. */
static int show(struct ctl *ctl, const char *id, bool clear)
{
    json_t *status;
    int code = id ? ask_object(ctl, id, "status=true", &status)
                  : ask_send(ctl, &(struct request){.target = "/status"}, &status);
    if (code == CTL_OK && clear)
        fputs("\033[H\033[2J", stdout);
    if (code == CTL_OK && ctl->json) {
        ask_print(status);
    } else if (code == CTL_OK) {
        print_members(status, 0);
    }
    json_decref(status);
    fflush(stdout);
    return code;
}

int cmd_status(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {
        COMMAND_OPTIONS, {"watch", no_argument, NULL, 'w'}, {0}};
    const struct timespec pause = {.tv_sec = WATCH_SECONDS};
    bool watch = false;
    int option, code = CTL_OK;
    while ((option = command_option(ctl, self, argc, argv, "wh", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            return code;
        watch = true;
    }
    if (argc - optind > 1)
        return command_usage(self, "one object at most is asked for");
    const char *id = argv[optind];
    code = show(ctl, id, false);
    /* A station that is away for a moment is waited for, and said to be. */
    while (watch && (code == CTL_OK || code == CTL_UNREACHABLE || code == CTL_TRY_AGAIN) &&
           !ferror(stdout)) {
        nanosleep(&pause, NULL);
        code = show(ctl, id, isatty(STDOUT_FILENO) && !ctl->json);
    }
    return code;
}
