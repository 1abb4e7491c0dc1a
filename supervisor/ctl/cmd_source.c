// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/program_text.h"

#include <stdio.h>

int cmd_source(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    json_t *answer;
    const char *text;
    int code;
    if (command_no_options(ctl, self, argc, argv, &code))
        return code;
    if (argc - optind < 1 || argc - optind > 2)
        return command_usage(self, "the source of which object?");
    const char *version = argv[optind + 1];
    if (version && !command_is_number(version))
        return command_usage(self, "a version is a number; 'objectctl versions ID' lists them");
    code = program_text_get(ctl, argv[optind], version, &answer, &text);
    if (code == CTL_OK && ctl->json)
        ask_print(answer);
    else if (code == CTL_OK)
        fputs(text, stdout);
    json_decref(answer);
    return code;
}
