// SPDX-License-Identifier: Apache-2.0
/* start and stop: the functions of those names in the object. restart: by the station. */
#include "common/buf.h"
#include "supervisor/ctl/ask.h"

#include <stdio.h>

/* Of the only argument; NULL when the command has to return *code. */
static const char *object_of(struct ctl *ctl, const struct command *self, int argc, char **argv,
                             int *code)
{
    if (command_no_options(ctl, self, argc, argv, code))
        return NULL;
    if (argc - optind == 1)
        return argv[optind];
    *code = command_usage(self, "which object?");
    return NULL;
}

int cmd_action(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    struct buf target = BUF_INIT;
    json_t *answer;
    int code;
    const char *id = object_of(ctl, self, argc, argv, &code);
    if (!id)
        return code;
    ask_target(&target, id, NULL);
    code = ask_document(ctl, "POST", buf_str(&target), json_pack("{s:s}", "action", self->name),
                        &answer);
    if (code == CTL_REFUSED)
        fprintf(stderr,
                "objectctl: %s calls the object's %s(); one that has none gets an ordinary POST\n",
                self->name, self->name);
    if (code == CTL_OK)
        ask_print_message(ctl, id, answer);
    json_decref(answer);
    buf_free(&target);
    return code;
}

int cmd_restart(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    struct buf target = BUF_INIT;
    json_t *answer;
    int code;
    const char *id = object_of(ctl, self, argc, argv, &code);
    if (!id)
        return code;
    ask_target(&target, id, "restart=true");
    code = ask_send(ctl, &(struct request){.method = "POST", .target = buf_str(&target)}, &answer);
    if (code == CTL_OK)
        ask_print_message(ctl, id, answer);
    json_decref(answer);
    buf_free(&target);
    return code;
}
