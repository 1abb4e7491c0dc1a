// SPDX-License-Identifier: Apache-2.0
/* start and stop: the functions of those names in the object. */
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"

#include <stdio.h>

int cmd_action(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    struct buf target = BUF_INIT;
    json_t *answer;
    int code;
    if (command_no_options(ctl, self, argc, argv, &code))
        return code;
    if (argc - optind != 1)
        return command_usage(self, "which object?");
    ask_target(&target, argv[optind], NULL);
    code = ask_document(ctl, "POST", buf_str(&target), json_pack("{s:s}", "action", self->name),
                        &answer);
    if (code == CTL_REFUSED)
        fprintf(stderr,
                "objectctl: %s calls the object's %s(); one that has none gets an ordinary POST\n",
                self->name, self->name);
    if (code == CTL_OK && ctl->json) {
        ask_print(answer);
    } else if (code == CTL_OK) {
        const json_t *message = json_object_get(answer, "message");
        printf("%s: ", argv[optind]);
        /* An object without the function has answered as to any POST. */
        printable_put_value(stdout, message ? message : answer);
        putchar('\n');
    }
    json_decref(answer);
    buf_free(&target);
    return code;
}
