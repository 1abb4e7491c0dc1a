// SPDX-License-Identifier: Apache-2.0
/*
 * options - the command line of objectd.
 *
 * Every option is short for a key of the configuration (config_keys.def) and beats file and
 * environment. All strings are borrowed from argv. Start-up only.
 */
#ifndef SUPERVISOR_OPTIONS_H
#define SUPERVISOR_OPTIONS_H

#include "supervisor/config.h"

#include <stdbool.h>

struct options {
    const char *config_file; /* NULL where not given, here and below */
    const char *objects;
    const char *data;
    const char *station;
    const char *log_level;
    const char *listen[CONFIG_LISTEN_MAX];
    size_t listen_count;
    bool check; /* validate the configuration, print it, exit */
};

enum options_result {
    OPTIONS_RUN,   /* go on (check may be set) */
    OPTIONS_DONE,  /* --help or --version has been printed: exit 0 */
    OPTIONS_USAGE, /* the mistake has been printed on stderr: exit 64 */
};

enum options_result options_parse(int argc, char **argv, struct options *options);

#endif
