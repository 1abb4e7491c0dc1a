// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 6, TIME = 1, HASH_DIGITS = 12, HASH_DIGITS_NARROW = 8, NARROW = 100 };

static const char *const members[COLUMNS] = {"version_id", "timestamp", "author",
                                             "status",     "hash",      "message"};
static const char *const heads[COLUMNS] = {"VERSION", "TIME", "AUTHOR",
                                           "STATUS",  "HASH", "MESSAGE"};

/* What its author says, and why it was rejected. */
static void explain(json_t *version)
{
    const char *message = ask_text(version, "message"), *reason = ask_text(version, "reason");
    if (!message[0])
        json_object_set(version, "message", json_object_get(version, "reason"));
    else if (reason[0] && strcmp(ask_text(version, "status"), "rejected") == 0)
        json_object_set_new(version, "message", json_sprintf("%s (%s)", message, reason));
}

/* For people: the first digits of a hash. */
static void shorten(json_t *versions)
{
    size_t width = table_terminal_width();
    int digits = width > 0 && width < NARROW ? HASH_DIGITS_NARROW : HASH_DIGITS;
    size_t index;
    json_t *version;
    json_array_foreach(versions, index, version)
    {
        json_object_set_new(version, "hash",
                            json_sprintf("%.*s", digits, ask_text(version, "hash")));
        explain(version);
    }
}

static void print(json_t *versions)
{
    shorten(versions);
    ask_show_times(versions, "timestamp");
    struct table *table = ask_table(versions, members, heads, COLUMNS);
    table_keep(table, TIME);
    table_show(table);
    table_free(table);
}

int cmd_versions(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    const char *count;
    struct buf query = BUF_INIT;
    json_t *answer;
    int code;
    if (command_count_option(ctl, self, argc, argv, &count, &code))
        return code;
    if (optind + 1 != argc)
        return command_usage(self, "the versions of which object?");
    buf_printf(&query, "versions=true&limit=%s", count);
    code = ask_object(ctl, argv[optind], buf_str(&query), &answer);
    if (code == CTL_OK && ctl->json) {
        ask_print(answer);
    } else if (code == CTL_OK) {
        print(json_object_get(answer, "versions"));
    }
    json_decref(answer);
    buf_free(&query);
    return code;
}
