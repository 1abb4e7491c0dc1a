// SPDX-License-Identifier: Apache-2.0
/*
 * install_paths - where this program finds its own parts, and the default folders.
 *
 * A program with objectd-worker beside it runs from a build tree: it uses that worker, the objects/
 * and data/ folders of the checkout (beside the program or up to two levels above it, else the ones
 * of the working directory) and no configuration file unless one is named. Any other is installed
 * and uses the folders configure was given. Supervisor, at start-up.
 */
#ifndef SUPERVISOR_INSTALL_PATHS_H
#define SUPERVISOR_INSTALL_PATHS_H

#include <stdbool.h>

struct install_paths {
    bool checkout;
    char *worker_program;
    char *objects_dir;
    char *data_dir;
    char *config_file; /* NULL in a checkout */
};

/*
 * `program` is the path of the running executable; NULL asks the kernel (/proc/self/exe). 0 or
 * -errno; on success the strings belong to the struct.
 */
int install_paths_find(struct install_paths *paths, const char *program);
void install_paths_free(struct install_paths *paths);

#endif
