// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"

#include <stdio.h>

static void print_changes(const json_t *changes, const char *verb)
{
    size_t index;
    json_t *change;
    json_array_foreach(changes, index, change)
    {
        printf("%s %s: ", verb, ask_text(change, "key"));
        printable_put_value(stdout, json_object_get(change, "from"));
        fputs(" -> ", stdout);
        printable_put_value(stdout, json_object_get(change, "to"));
        putchar('\n');
    }
}

static void print_failed(const json_t *failed)
{
    size_t index;
    json_t *object;
    json_array_foreach(failed, index, object)
    {
        fprintf(stderr, "objectctl: %s keeps its worker: %s\n", ask_text(object, "object_id"),
                ask_text(object, "error"));
    }
}

static void print_report(const json_t *report)
{
    print_changes(json_object_get(report, "changed"), "changed");
    print_changes(json_object_get(report, "needs_restart"), "needs a restart:");
    fputs("reloaded; objects with new workers: ", stdout);
    printable_put_value(stdout, json_object_get(report, "renewed"));
    putchar('\n');
}

int cmd_reload(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    json_t *report;
    int code;
    if (command_no_options(ctl, self, argc, argv, &code))
        return code;
    if (argc > optind)
        return command_usage(self, "no arguments");
    code = ask_send(ctl, &(struct request){.method = "POST", .target = "/reload"}, &report);
    if (code == CTL_OK) {
        const json_t *failed = json_object_get(report, "not_renewed");
        if (ctl->json)
            ask_print(report);
        else
            print_report(report);
        print_failed(failed);
        code = json_array_size(failed) ? CTL_ERROR : CTL_OK;
    }
    if (code == CTL_REFUSED)
        fputs("objectctl: nothing was changed\n", stderr);
    json_decref(report);
    return code;
}
