// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check.h"
#include "supervisor/ctl/command.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The folder to check where none is named: the station's of this environment, else ./data. */
static const char *default_folder(void)
{
    static const char *const variables[] = {"OBJECTD_DATA", "OBJECTD_STATION_DATA"};
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        const char *folder = getenv(variables[i]);
        if (folder && folder[0])
            return folder;
    }
    return "data";
}

static int say(const char *folder, int found)
{
    if (found < 0) {
        fprintf(stderr, "objectctl: %s: %s\n", folder, strerror(-found));
        return CTL_ENVIRONMENT;
    }
    return found == 0 ? CTL_OK : CTL_ERROR;
}

/* {"status","data","wrong","lines":[…]}: the same lines, for programs. */
static int check_as_json(const char *folder)
{
    char *text = NULL, *rest = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        fprintf(stderr, "objectctl: %s\n", strerror(errno));
        return CTL_INTERNAL;
    }
    int found = check_data(folder, out);
    fclose(out);
    if (found >= 0) {
        json_t *lines = json_array();
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            json_array_append_new(lines, json_string(line));
        json_t *answer = json_pack("{s:s, s:s, s:i, s:o}", "status", found ? "error" : "ok", "data",
                                   folder, "wrong", found, "lines", lines);
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(answer);
    }
    free(text);
    return say(folder, found);
}

int cmd_check(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_OPTIONS, {0}};
    int code = CTL_OK;
    if (command_option(ctl, self, argc, argv, "h", options, &code) == COMMAND_STOP)
        return code;
    if (argc - optind > 1)
        return command_usage(self, "one folder at a time");
    const char *folder = optind < argc ? argv[optind] : default_folder();
    return ctl->json ? check_as_json(folder) : say(folder, check_data(folder, stdout));
}
