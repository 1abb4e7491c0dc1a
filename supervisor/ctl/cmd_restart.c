// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"

#include <stdio.h>

int cmd_restart(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    struct buf target = BUF_INIT;
    json_t *answer;
    int code;
    if (command_no_options(ctl, self, argc, argv, &code))
        return code;
    if (argc - optind != 1)
        return command_usage(self, "which object?");
    ask_target(&target, argv[optind], "restart=true");
    code = ask_send(ctl, &(struct request){.method = "POST", .target = buf_str(&target)}, &answer);
    if (code == CTL_OK && ctl->json) {
        ask_print(answer);
    } else if (code == CTL_OK) {
        printf("%s: ", argv[optind]);
        printable_put_value(stdout, json_object_get(answer, "message"));
        putchar('\n');
    }
    json_decref(answer);
    buf_free(&target);
    return code;
}
