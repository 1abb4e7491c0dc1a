// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"
#include "supervisor/ctl/table.h"

#include <stdio.h>
#include <string.h>

static void print_table(const json_t *results)
{
    static const char *const heads[] = {"TEST", "STATUS", "MS", "DETAIL"};
    struct table *table = table_new(heads, 4);
    size_t index;
    json_t *result;
    json_array_foreach(results, index, result)
    {
        char ms[32] = "";
        const char *error = ask_text(result, "error");
        json_t *time = json_object_get(result, "exec_time_ms");
        if (json_is_number(time))
            snprintf(ms, sizeof(ms), "%.1f", json_number_value(time));
        table_add(table, (const char *[]){ask_text(result, "test"), ask_text(result, "status"), ms,
                                          error[0] ? error : ask_text(result, "error_type")});
    }
    table_show(table);
    table_free(table);
}

static void print_count(const json_t *answer, const char *member)
{
    printf(", %lld %s", (long long)json_integer_value(json_object_get(answer, member)), member);
}

static void print_answer(const char *id, const json_t *answer)
{
    const json_t *results = json_object_get(answer, "results");
    const char *message = ask_text(answer, "message");
    if (json_array_size(results) > 0)
        print_table(results);
    printf("%s: %s", id, ask_text(answer, "status"));
    if (json_array_size(results) == 0) {
        fputs(", ", stdout);
        printable_put(stdout, message, strlen(message));
    } else {
        print_count(answer, "passed");
        print_count(answer, "failed");
        print_count(answer, "skipped");
    }
    putchar('\n');
}

int cmd_test(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    int code = CTL_OK;
    if (command_no_options(ctl, self, argc, argv, &code))
        return code;
    if (optind == argc)
        return command_usage(self, "which object?");
    for (int i = optind; i < argc; i++) {
        json_t *answer;
        int result = ask_object(ctl, argv[i], "test=true", &answer);
        if (result == CTL_OK && ctl->json)
            ask_print(answer);
        else if (result == CTL_OK)
            print_answer(argv[i], answer);
        if (result == CTL_OK && strcmp(ask_text(answer, "status"), "fail") == 0)
            result = CTL_ERROR;
        json_decref(answer);
        code = code == CTL_OK ? result : code;
    }
    return code;
}
