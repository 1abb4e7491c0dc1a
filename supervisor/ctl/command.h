// SPDX-License-Identifier: Apache-2.0
/*
 * command - what the commands of objectctl share: the options every command takes, and the exit
 * codes.
 *
 * A command parses its own options with command_option(), talks to the station through ask.h or
 * client.h, prints to stdout and returns the exit code. One process, one thread; nothing here is
 * used by the daemon.
 */
#ifndef SUPERVISOR_CTL_COMMAND_H
#define SUPERVISOR_CTL_COMMAND_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

/* sysexits(3) where it has a word for it. */
enum ctl_exit {
    CTL_OK = 0,
    CTL_ERROR = 1, /* the answer is bad: a test failed, damage was found, an object failed */
    CTL_USAGE = 64,
    CTL_REFUSED = 65,     /* the station refuses what it was given: 400, 405, 409, 413, 422 ... */
    CTL_NOT_FOUND = 66,   /* no such object, version, key or file; a local file cannot be read */
    CTL_UNREACHABLE = 69, /* no station answers */
    CTL_INTERNAL = 70,
    CTL_ENVIRONMENT = 71, /* a folder that cannot be read, a program that is missing */
    CTL_CANNOT_WRITE = 73,
    CTL_TRY_AGAIN = 75, /* 429, 503, 504, 507 */
    CTL_DENIED = 77,    /* 401, 403, 421 */
};

struct client;

struct ctl {
    const char *url;       /* http://HOST:PORT or unix:PATH */
    bool json;             /* print what the station said instead of tables */
    struct client *client; /* NULL until ask_client() is called */
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
/* For a command without options of its own: true when it has to return *exit_code at once. */
bool command_no_options(struct ctl *ctl, const struct command *self, int argc, char **argv,
                        int *exit_code);
/* For a command whose only option is -n, --count: likewise. *count is what was asked for, else 20.
 */
bool command_count_option(struct ctl *ctl, const struct command *self, int argc, char **argv,
                          const char **count, int *exit_code);
/* Says what is wrong and how the command is used; CTL_USAGE. */
int command_usage(const struct command *self, const char *what);
/* Who runs this, for the history: USER of the environment, else the name of the user; or NULL. */
const char *command_user(void);
/* Whether text is a number of one to eighteen digits. */
bool command_is_number(const char *text);

int cmd_status(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_objects(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_call(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_logs(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_state(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_source(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_versions(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_crashes(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_diff(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_deploy(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_reload(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_restart(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_rollback(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_files(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_action(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_test(struct ctl *ctl, const struct command *self, int argc, char **argv);
int cmd_check(struct ctl *ctl, const struct command *self, int argc, char **argv);

#endif
