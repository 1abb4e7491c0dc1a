// SPDX-License-Identifier: Apache-2.0
/*
 * objectctl - the command line client of a station.
 */
#include "common/build.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/command.h"

#include <curl/curl.h>
#include <locale.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char default_url[] = "http://127.0.0.1:8001";

static const struct command commands[] = {
    {"status", "[ID] [--watch]", "what the station is doing, or one of its objects",
     "  -w, --watch  show it again every two seconds\n", cmd_status},
    {"objects", "[--ids]", "the objects of the station", "  -i, --ids  only the ids, one a line\n",
     cmd_objects},
    {"call", "ID [METHOD] [KEY=VALUE... | --json TEXT]", "call an object and print its answer",
     "  --json TEXT  the body to send (\"-\": read it from standard input)\n"
     "  -i           print status and header fields too\n"
     "METHOD is GET, or POST when there is a body. With GET, HEAD, DELETE and OPTIONS the pairs\n"
     "go into the query; otherwise they become a JSON body, where a VALUE that is JSON (10, true,\n"
     "[1,2]) is taken as such and anything else as a string. ID may be followed by a path, as in\n"
     "hello/some/path. On a terminal JSON is indented; otherwise the answer is printed as it is.\n",
     cmd_call},
    {"logs", "ID [OPTION...] [FIELD=VALUE...]", "the log of an object",
     "  -f, --follow         go on with new lines; survives restarts of the station\n"
     "  -l, --level LEVEL    only these levels, separated by commas\n"
     "  -n, --lines COUNT    the newest COUNT lines (default 100)\n"
     "  --since TIME         no line before TIME: 2026-11-21T14:00:00Z, seconds since 1970, or\n"
     "                       10m (ten minutes ago; s, m, h, d)\n"
     "  --until TIME         no line after TIME\n"
     "A pair FIELD=VALUE picks the lines with this field. With --json -f one line of the log a "
     "line.\n",
     cmd_logs},
    {"state", "ID [KEY]", "the durable state of an object, or one value of it", "", cmd_state},
    {"source", "ID [N]", "the source that serves, or that of version N", "", cmd_source},
    {"crashes", "ID [CRASH] [-n COUNT]", "the crash reports of an object, or one of them",
     "  -n, --count COUNT  the newest COUNT (default 20)\n", cmd_crashes},
    {"versions", "ID [-n COUNT]", "the versions of an object's source, newest first",
     "  -n, --count COUNT  the newest COUNT (default 20)\n", cmd_versions},
    {"diff", "ID N [M]", "what changed from version N to what serves, or to version M",
     "As diff -u tells it. Exit code 0: nothing, 1: something.\n", cmd_diff},
    {"deploy", "FILE... [--id ID] [-m TEXT] [-a NAME]", "send files to the station as objects",
     "  --id ID             the object; else from the path: what is below a folder named objects,\n"
     "                      or the name of the file. objects/basics/counter.py is basics_counter.\n"
     "  -m, --message TEXT  noted in the history\n"
     "  -a, --author NAME   likewise (default: $USER)\n"
     "FILE \"-\" is standard input. A file that does not load changes nothing.\n",
     cmd_deploy},
    {"rollback", "ID N [-m TEXT] [-a NAME]", "make the source of version N a new version",
     "  -m, --message TEXT  noted in the history\n"
     "  -a, --author NAME   likewise (default: $USER)\n",
     cmd_rollback},
    {"files", "ID [get NAME [-o PATH] | put FILE... | rm NAME...]", "the files of an object",
     "  -o, --output PATH  where get writes (default: NAME here; \"-\": standard output)\n",
     cmd_files},
    {"start", "ID", "call the object's start()",
     "Object ID defines start(request); one that does not gets an ordinary POST instead.\n",
     cmd_action},
    {"stop", "ID", "call the object's stop()",
     "Object ID defines stop(request); one that does not gets an ordinary POST instead.\n",
     cmd_action},
    {"restart", "ID", "give an object a new worker",
     "The same version, without a dropped call; forgets how often it failed before.\n"
     "Exit code 65: the object does not load; what serves goes on.\n",
     cmd_restart},
    {"reload", "", "read the configuration again and renew every worker",
     "As the signal HUP does, and waits for the end. Prints what changed and what needs a "
     "restart.\n"
     "Exit codes: 65: the configuration is refused, the one in force stays; 1: it was taken up,\n"
     "but some objects do not load any more and keep their workers.\n",
     cmd_reload},
    {"test", "ID...", "run the object's test_* functions on a copy of its state",
     "Exit code 1: a test failed.\n", cmd_test},
    {"check", "[DATA]", "verify a data folder without a running station",
     "DATA is data/ where it is not given. Nothing is changed. Exit code 1: damage was found.\n",
     cmd_check},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_help(void)
{
    fputs("Usage: objectctl [--url URL] [--json] COMMAND [ARGUMENT]...\n\n", stdout);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].brief);
    fputs("\n"
          "  --url URL   the station: http://HOST:PORT or unix:PATH\n"
          "              (default: $OBJECTD_URL, else http://127.0.0.1:8001)\n"
          "  --json      print the station's JSON instead of tables\n"
          "  --version   print the version\n"
          "  --help      print this; objectctl COMMAND --help tells more\n\n"
          "On a terminal tables have columns; elsewhere cells are separated by tabs.\n"
          "Exit codes: 0 well; 1 a bad answer (a failed test, damage, an object that failed);\n"
          "64 usage; 65 refused; 66 not found; 69 no station answers; 70 trouble on this side;\n"
          "71 a folder or program that is missing; 73 a file cannot be written; 75 try again\n"
          "later; 77 not allowed.\n",
          stdout);
}

int command_usage(const struct command *self, const char *what)
{
    if (what)
        fprintf(stderr, "objectctl %s: %s\n", self->name, what);
    fprintf(stderr, "Usage: objectctl %s%s%s\n", self->name, *self->usage ? " " : "", self->usage);
    return CTL_USAGE;
}

int command_option(struct ctl *ctl, const struct command *self, int argc, char **argv,
                   const char *short_options, const struct option *long_options, int *exit_code)
{
    for (;;) {
        int option = getopt_long(argc, argv, short_options, long_options, NULL);
        switch (option) {
        case COMMAND_OPT_URL:
            ctl->url = optarg;
            continue;
        case 'j':
            ctl->json = true;
            continue;
        case 'h':
            printf("Usage: objectctl %s%s%s\n%s\n%s", self->name, *self->usage ? " " : "",
                   self->usage, self->brief, self->help);
            *exit_code = CTL_OK;
            return COMMAND_STOP;
        case '?':
            *exit_code = command_usage(self, NULL);
            return COMMAND_STOP;
        default:
            return option;
        }
    }
}

bool command_no_options(struct ctl *ctl, const struct command *self, int argc, char **argv,
                        int *exit_code)
{
    static const struct option options[] = {COMMAND_OPTIONS, {0}};
    *exit_code = CTL_OK;
    return command_option(ctl, self, argc, argv, "h", options, exit_code) == COMMAND_STOP;
}

bool command_count_option(struct ctl *ctl, const struct command *self, int argc, char **argv,
                          const char **count, int *exit_code)
{
    static const struct option options[] = {
        COMMAND_OPTIONS, {"count", required_argument, NULL, 'n'}, {0}};
    int option;
    *exit_code = CTL_OK;
    *count = "20";
    while ((option = command_option(ctl, self, argc, argv, "n:h", options, exit_code)) != -1) {
        if (option == COMMAND_STOP)
            return true;
        *count = optarg;
    }
    if (command_is_number(*count))
        return false;
    *exit_code = command_usage(self, "COUNT must be a number");
    return true;
}

const char *command_user(void)
{
    const char *user = getenv("USER");
    const struct passwd *entry = user && user[0] ? NULL : getpwuid(geteuid());
    return entry ? entry->pw_name : user;
}

bool command_is_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 18 && !text[digits];
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
    const struct command *command = find_command(argv[0]);
    if (!command) {
        fprintf(stderr, "objectctl: %s is no command; see 'objectctl --help'\n", argv[0]);
        return CTL_USAGE;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    optind = 0; /* glibc: parse this argv from its start */
    int code = command->run(ctl, command, argc, argv);
    client_free(ctl->client);
    curl_global_cleanup();
    /* A full disk or a closed pipe behind stdout is not success. */
    if (fflush(stdout) != 0 && code == CTL_OK)
        code = CTL_CANNOT_WRITE;
    return code;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        COMMAND_OPTIONS, {"version", no_argument, NULL, 'V'}, {0}};
    const char *url = getenv("OBJECTD_URL");
    setlocale(LC_CTYPE, "C.UTF-8"); /* what stations send, and what wcwidth() is asked about */
    struct ctl ctl = {.url = url && url[0] ? url : default_url};
    for (;;) {
        switch (getopt_long(argc, argv, "+hV", options, NULL)) {
        case COMMAND_OPT_URL:
            ctl.url = optarg;
            continue;
        case 'j':
            ctl.json = true;
            continue;
        case 'V':
            puts("objectctl " OBJECTD_VERSION);
            return CTL_OK;
        case 'h':
            print_help();
            return CTL_OK;
        case -1:
            break;
        default:
            return CTL_USAGE;
        }
        break;
    }
    if (optind < argc)
        return run(&ctl, argc - optind, argv + optind);
    fputs("objectctl: no command given; see 'objectctl --help'\n", stderr);
    return CTL_USAGE;
}
