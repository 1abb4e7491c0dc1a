// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/log_lines.h"

#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { INDENT = 4 };

void log_lines_init(struct log_lines *l, bool json)
{
    *l = (struct log_lines){.json = json, .newest = json_array(), .before = json_array()};
}

void log_lines_free(struct log_lines *l)
{
    json_decref(l->newest);
    json_decref(l->before);
}

void log_lines_again(struct log_lines *l)
{
    json_decref(l->before);
    l->before = json_copy(l->newest);
}

/* Each remembered line counts once: the same may have been logged twice. */
static bool seen_before(struct log_lines *l, const json_t *line)
{
    for (size_t i = 0; i < json_array_size(l->before); i++) {
        if (json_equal(json_array_get(l->before, i), line)) {
            json_array_remove(l->before, i);
            return true;
        }
    }
    return false;
}

static void remember(struct log_lines *l, json_t *line)
{
    const char *when = ask_text(line, "timestamp");
    if (strcmp(when, l->since) != 0) {
        json_array_clear(l->newest);
        snprintf(l->since, sizeof(l->since), "%s", when);
    }
    json_array_append(l->newest, line);
}

/* A traceback on a terminal: its lines below the line of the log. Elsewhere a line is a line. */
static void print_field(const char *name, const json_t *value, bool terminal)
{
    const char *text = json_string_value(value);
    if (terminal && text && strchr(text, '\n')) {
        printf("\n%*s", INDENT, "");
        printable_put(stdout, name, strlen(name));
        printf(":\n%*s", 2 * INDENT, "");
        printable_put_lines(stdout, text, strlen(text), 2 * INDENT);
        return;
    }
    putchar(' ');
    printable_put(stdout, name, strlen(name));
    putchar('=');
    printable_put_value(stdout, value);
}

void log_lines_print_fields(json_t *line)
{
    const bool terminal = isatty(STDOUT_FILENO);
    static const char *const shown[] = {"timestamp", "level", "message", "version"};
    const char *name;
    json_t *value;
    json_object_foreach(line, name, value)
    {
        bool extra = !json_is_null(value) && strcmp(json_string_value(value) ?: "-", "") != 0;
        for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
            extra = extra && strcmp(name, shown[i]) != 0;
        if (!extra)
            continue;
        print_field(name, value, terminal);
    }
}

void log_lines_print(struct log_lines *l, json_t *line)
{
    if (seen_before(l, line))
        return;
    if (l->json) {
        json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    } else {
        printable_put_value(stdout, json_object_get(line, "timestamp"));
        printf("  %-8.16s ", ask_text(line, "level"));
        printable_put_value(stdout, json_object_get(line, "message"));
        log_lines_print_fields(line);
    }
    putchar('\n');
    remember(l, line);
}
