// SPDX-License-Identifier: Apache-2.0
#include "supervisor/options.h"

#include "common/build.h"

#include <getopt.h>
#include <stdio.h>

static const char help_text[] =
    "Usage: objectd [OPTION]...\n"
    "Serve a folder of Python files as REST endpoints with durable state.\n"
    "\n"
    "  -c, --config FILE      configuration file, see objectd.conf(5)\n"
    "      --objects DIR      folder of the objects\n"
    "      --data DIR         folder of journal, state and logs\n"
    "      --listen ADDRESS   ADDR:PORT or unix:PATH; may be given again\n"
    "      --station ID       name of this station (default: the host name)\n"
    "      --log-level LEVEL  debug, info, warning or error\n"
    "      --check            validate the configuration, print it and exit\n"
    "      --version          print the version and exit\n"
    "      --help             print this and exit\n"
    "\n"
    "Every option has a key in the configuration file and an environment variable;\n"
    "the command line beats the environment, which beats the file.\n"
    "Signals: HUP reload, TERM and INT graceful stop (a second one at once), USR1 reopen\n"
    "logs.\n"
    "Exit codes: 0 clean, 64 usage, 70 internal, 71 environment, 78 configuration.\n";

enum {
    OPT_OBJECTS = 256,
    OPT_DATA,
    OPT_LISTEN,
    OPT_STATION,
    OPT_LOG_LEVEL,
    OPT_CHECK,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"objects", required_argument, NULL, OPT_OBJECTS},
    {"data", required_argument, NULL, OPT_DATA},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"station", required_argument, NULL, OPT_STATION},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {"check", no_argument, NULL, OPT_CHECK},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static enum options_result usage(const char *format, const char *what)
{
    fputs("objectd: ", stderr);
    fprintf(stderr, format, what);
    fputs("\nTry 'objectd --help'.\n", stderr);
    return OPTIONS_USAGE;
}

static enum options_result take(struct options *options, int option)
{
    switch (option) {
    case 'c':
        options->config_file = optarg;
        break;
    case OPT_OBJECTS:
        options->objects = optarg;
        break;
    case OPT_DATA:
        options->data = optarg;
        break;
    case OPT_STATION:
        options->station = optarg;
        break;
    case OPT_LOG_LEVEL:
        options->log_level = optarg;
        break;
    case OPT_CHECK:
        options->check = true;
        break;
    case OPT_LISTEN:
        if (options->listen_count == CONFIG_LISTEN_MAX)
            return usage("%s: too many addresses", optarg);
        options->listen[options->listen_count++] = optarg;
        break;
    case OPT_VERSION:
        puts("objectd " OBJECTD_VERSION);
        return OPTIONS_DONE;
    case 'h':
        fputs(help_text, stdout);
        return OPTIONS_DONE;
    default: /* getopt_long has said what is wrong */
        fputs("Try 'objectd --help'.\n", stderr);
        return OPTIONS_USAGE;
    }
    return OPTIONS_RUN;
}

enum options_result options_parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){0};
    optind = 0; /* glibc: start anew, also in a test that parses twice */
    for (;;) {
        int option = getopt_long(argc, argv, "c:h", long_options, NULL);
        if (option == -1)
            break;
        enum options_result result = take(options, option);
        if (result != OPTIONS_RUN)
            return result;
    }
    if (optind < argc)
        return usage("%s: objectd takes no arguments, only options", argv[optind]);
    return OPTIONS_RUN;
}
