// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/log_lines.h"
#include "supervisor/ctl/printable.h"

#include <stdio.h>
#include <string.h>

static const char *const members[] = {"crash_id", "timestamp", "reason",
                                      "version",  "method",    "path"};
static const char *const heads[] = {"CRASH", "TIME", "HOW", "VERSION", "METHOD", "PATH"};
enum { HOW = 2, COLUMNS = sizeof(members) / sizeof(members[0]), NAME_WIDTH = 18, INDENT = 2 };

static void print_list(json_t *crashes)
{
    ask_show_times(crashes, "timestamp");
    struct table *table = ask_table(crashes, members, heads, COLUMNS);
    table_keep(table, 0);
    table_keep(table, HOW); /* the id tells the time, too */
    table_show(table);
    table_free(table);
}

static void print_scalar(const char *name, const json_t *value)
{
    printf("%-*s ", NAME_WIDTH, name);
    printable_put_value(stdout, value);
    putchar('\n');
}

/* A text of several lines, below its name. */
static void print_block(const json_t *crash, const char *member, const char *title)
{
    const char *text = ask_text(crash, member);
    if (!*text)
        return;
    printf("\n%s\n", title);
    fputs("  ", stdout);
    printable_put_lines(stdout, text, strlen(text), INDENT);
    putchar('\n');
}

static void print_log(const json_t *log)
{
    size_t index;
    json_t *line;
    if (json_array_size(log))
        puts("\nlast log lines");
    json_array_foreach(log, index, line)
    {
        const char *message = ask_text(line, "message");
        printf("  %-27s %-8s ", ask_text(line, "timestamp"), ask_text(line, "level"));
        printable_put(stdout, message, strlen(message));
        log_lines_print_fields(line);
        putchar('\n');
    }
}

static void print_calls(const json_t *calls)
{
    static const char *const call_members[] = {"state", "method", "path", "request_id",
                                               "running_seconds"};
    static const char *const call_heads[] = {"STATE", "METHOD", "PATH", "REQUEST", "SECONDS"};
    if (!json_array_size(calls))
        return;
    puts("\ncalls");
    ask_print_rows(calls, call_members, call_heads, 5);
}

static void print_one(json_t *crash)
{
    const char *name;
    json_t *value;
    json_object_foreach(crash, name, value)
    {
        bool is_block = strstr(name, "stack") || strcmp(name, "stderr") == 0;
        if (!json_is_object(value) && !json_is_array(value) && !is_block)
            print_scalar(name, value);
    }
    print_scalar("source", json_object_get(crash, "source"));
    print_scalar("rusage", json_object_get(crash, "rusage"));
    print_calls(json_object_get(crash, "calls"));
    print_block(crash, "python_stack", "Python stacks");
    print_block(crash, "c_stack", "C stack");
    print_block(crash, "stderr", "end of stderr");
    print_log(json_object_get(crash, "log"));
}

static void put_query(struct buf *query, const char *crash_id, const char *count)
{
    if (crash_id) {
        buf_puts(query, "crash=");
        client_put_encoded(query, crash_id, false);
    } else {
        buf_printf(query, "crashes=true&limit=%s", count);
    }
}

int cmd_crashes(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    const char *count;
    struct buf query = BUF_INIT;
    json_t *answer;
    int code;
    if (command_count_option(ctl, self, argc, argv, &count, &code))
        return code;
    if (optind + 1 != argc && optind + 2 != argc)
        return command_usage(self, "the crashes of which object?");
    const char *crash_id = optind + 2 == argc ? argv[optind + 1] : NULL;
    put_query(&query, crash_id, count);
    code = ask_object(ctl, argv[optind], buf_str(&query), &answer);
    if (code == CTL_OK && ctl->json)
        ask_print(answer);
    else if (code == CTL_OK && crash_id)
        print_one(json_object_get(answer, "crash"));
    else if (code == CTL_OK)
        print_list(json_object_get(answer, "crashes"));
    json_decref(answer);
    buf_free(&query);
    return code;
}
