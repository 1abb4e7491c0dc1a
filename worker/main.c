// SPDX-License-Identifier: Apache-2.0
/*
 * objectd-worker - the program that runs object code.
 *
 * Started by the supervisor as `objectd-worker --nursery [--venv FOLDER]` with its socket at
 * FD_RPC; everything else of its life is in nursery.c (before the fork) and worker.c (after it).
 */
#include "common/build.h"
#include "common/log.h"
#include "worker/nursery.h"
#include "worker/title.h"

#include <stdio.h>
#include <string.h>

static int usage(FILE *out, int code)
{
    fputs("usage: objectd-worker --nursery [--venv FOLDER]\n"
          "Runs the objects of a station; started by objectd, not by people.\n",
          out);
    return code;
}

int main(int argc, char **argv)
{
    log_setup("objectd-worker", LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("objectd-worker %s\n", OBJECTD_VERSION) < 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, EXIT_CODE_OK);
    bool has_venv = argc == 4 && strcmp(argv[2], "--venv") == 0;
    if ((argc != 2 && !has_venv) || strcmp(argv[1], "--nursery") != 0)
        return usage(stderr, EXIT_CODE_USAGE);
    const char *venv = has_venv ? strdup(argv[3]) : NULL; /* the title takes its place */
    title_init(argc, argv);
    return nursery_run(venv);
}
