// SPDX-License-Identifier: Apache-2.0
/*
 * command - what the commands of objectctl share: the table of them, the options every command
 * takes, and the exit codes.
 *
 * A command parses its own options with command_options(), talks to the station through client.h,
 * prints to stdout and returns the exit code. One process, one thread; nothing here is used by the
 * daemon.
 */
#ifndef SUPERVISOR_CTL_COMMAND_H
#define SUPERVISOR_CTL_COMMAND_H

#include <getopt.h>
#include <stdbool.h>

enum ctl_exit {
    CTL_OK = 0,
    CTL_ERROR = 1, /* the station, or the check, says that something is wrong */
    CTL_USAGE = 64,
    CTL_UNREACHABLE = 69,
    CTL_INTERNAL = 70,
    CTL_ENVIRONMENT = 71, /* a folder that cannot be read */
};

struct ctl {
    const char *url; /* http://HOST:PORT or unix:PATH */
    bool json;       /* print what the station said instead of tables */
};

struct command {
    const char *name;
    const char *usage; /* arguments, as in "ID [KEY]" */
    const char *brief; /* one line of objectctl --help */
    const char *help;  /* further lines of objectctl COMMAND --help */
    /* argv[0] is the name of the command. */
    int (*run)(struct ctl *ctl, const struct command *self, int argc, char **argv);
};

/* Options that every command takes; the rows of its own follow these, a row of zeros ends them. */
#define COMMAND_OPTIONS                                                                  \
    {"url", required_argument, NULL, COMMAND_OPT_URL}, {"json", no_argument, NULL, 'j'}, \
    {                                                                                    \
        "help", no_argument, NULL, 'h'                                                   \
    }
enum { COMMAND_OPT_URL = 1000, COMMAND_STOP = -2 };

/*
 * The next option of the command's own, -1 after the last one, or COMMAND_STOP when the command has
 * to return *exit_code at once (--help was printed, or the usage was wrong and that was said).
 */
int command_option(struct ctl *ctl, const struct command *self, int argc, char **argv,
                   const char *short_options, const struct option *long_options, int *exit_code);
/* Says what is wrong and how the command is used; CTL_USAGE. */
int command_usage(const struct command *self, const char *what);

int cmd_status(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_objects(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_call(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_logs(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_state(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_check(struct ctl *ctl, const struct command *self, int argc, char **argv);

#endif
