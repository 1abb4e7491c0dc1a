// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int send_rollback(struct ctl *ctl, const char *id, json_t *document, json_t **answer)
{
    struct buf target = BUF_INIT;
    ask_target(&target, id, NULL);
    int code = ask_document(ctl, "POST", buf_str(&target), document, answer);
    buf_free(&target);
    return code;
}

int cmd_rollback(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_OPTIONS,
                                            {"message", required_argument, NULL, 'm'},
                                            {"author", required_argument, NULL, 'a'},
                                            {0}};
    const char *message = NULL, *author = command_user();
    json_t *answer;
    int option, code = CTL_OK;
    while ((option = command_option(ctl, self, argc, argv, "m:a:h", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            return code;
        *(option == 'm' ? &message : &author) = optarg;
    }
    if (argc - optind != 2)
        return command_usage(self, "which object, and to which version?");
    if (!command_is_number(argv[optind + 1]))
        return command_usage(self, "a version is a number; 'objectctl versions ID' lists them");
    json_t *document = json_pack("{s:s, s:I, s:s*, s:s*}", "action", "rollback", "version_id",
                                 (json_int_t)strtoll(argv[optind + 1], NULL, 10), "author", author,
                                 "message", message);
    code = send_rollback(ctl, argv[optind], document, &answer);
    if (code == CTL_OK && ctl->json) {
        ask_print(answer);
    } else if (code == CTL_OK) {
        printf("%s: ", argv[optind]);
        printable_put_value(stdout, json_object_get(answer, "message"));
        fputs(", which is now version ", stdout);
        printable_put_value(stdout, json_object_get(answer, "new_version_id"));
        putchar('\n');
    }
    json_decref(answer);
    return code;
}
