// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"

#include <stdio.h>

enum { COLUMNS = 6 };

static const char *const members[COLUMNS] = {"version_id", "timestamp", "author",
                                             "status",     "hash",      "message"};
static const char *const heads[COLUMNS] = {"VERSION", "TIME", "AUTHOR",
                                           "STATUS",  "HASH", "MESSAGE"};

/* For people: twelve digits of a hash, and why a version was rejected where its author says
 * nothing. */
static void shorten(json_t *versions)
{
    size_t index;
    json_t *version;
    json_array_foreach(versions, index, version)
    {
        json_object_set_new(version, "hash", json_sprintf("%.12s", ask_text(version, "hash")));
        if (!ask_text(version, "message")[0])
            json_object_set(version, "message", json_object_get(version, "reason"));
    }
}

int cmd_versions(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {
        COMMAND_OPTIONS, {"count", required_argument, NULL, 'n'}, {0}};
    const char *count = "20";
    struct buf query = BUF_INIT;
    json_t *answer;
    int option, code = CTL_OK;
    while ((option = command_option(ctl, self, argc, argv, "n:h", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            return code;
        count = optarg;
    }
    if (optind + 1 != argc)
        return command_usage(self, "the versions of which object?");
    if (!command_is_number(count))
        return command_usage(self, "COUNT must be a number");
    buf_printf(&query, "versions=true&limit=%s", count);
    code = ask_object(ctl, argv[optind], buf_str(&query), &answer);
    if (code == CTL_OK && ctl->json) {
        ask_print(answer);
    } else if (code == CTL_OK) {
        json_t *versions = json_object_get(answer, "versions");
        shorten(versions);
        ask_show_times(versions, "timestamp");
        ask_print_rows(versions, members, heads, COLUMNS);
    }
    json_decref(answer);
    buf_free(&query);
    return code;
}
