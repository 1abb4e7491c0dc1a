// SPDX-License-Identifier: Apache-2.0
#include "supervisor/install_paths.h"

#include "common/build.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKER_NAME "objectd-worker"

enum { BUILD_DEPTH_MAX = 2 }; /* build/ and build/clang/ */

/* The folder of the program, links resolved; NULL with errno set. */
static char *program_folder(const char *program)
{
    char *path = realpath(program ? program : "/proc/self/exe", NULL);
    char *slash = path ? strrchr(path, '/') : NULL;
    if (slash)
        slash[slash == path] = 0;
    return path;
}

static char *join(const char *folder, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* folder/name when it is an executable file there, else NULL. */
static char *find_program(const char *folder, const char *name)
{
    char *path = join(folder, name);
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static bool is_checkout_root(const char *folder)
{
    char *mark = join(folder, "configure.ac");
    char *objects = join(folder, "objects");
    struct stat st;
    bool found = mark && objects && access(mark, F_OK) == 0 && stat(objects, &st) == 0 &&
                 S_ISDIR(st.st_mode);
    free(mark);
    free(objects);
    return found;
}

/*
 * Root of the checkout the program was built in: its folder, or one of those above it; the working
 * directory where the build folder lies elsewhere.
 */
static char *checkout_root(const char *folder)
{
    char *root = strdup(folder);
    for (int up = 0; root && up <= BUILD_DEPTH_MAX; up++) {
        if (is_checkout_root(root))
            return root;
        char *slash = strrchr(root, '/');
        if (!slash || slash == root)
            break;
        *slash = 0;
    }
    free(root);
    return getcwd(NULL, 0);
}

static void find_checkout(struct install_paths *paths, const char *folder)
{
    char *root = checkout_root(folder);
    paths->checkout = true;
    if (root) {
        paths->objects_dir = join(root, "objects");
        paths->data_dir = join(root, "data");
    }
    free(root);
}

static void find_installed(struct install_paths *paths, const char *folder)
{
    /* Beside the program's own prefix first: an installation that was moved, or a DESTDIR. */
    char *moved = join(folder, "../libexec/objectd");
    if (moved)
        paths->worker_program = find_program(moved, WORKER_NAME);
    free(moved);
    if (!paths->worker_program)
        paths->worker_program = strdup(OBJECTD_LIBEXECDIR "/" WORKER_NAME);
    paths->objects_dir = strdup(OBJECTD_STATEDIR "/objects");
    paths->data_dir = strdup(OBJECTD_STATEDIR "/data");
    paths->config_file = strdup(OBJECTD_SYSCONFDIR "/objectd.conf");
}

int install_paths_find(struct install_paths *paths, const char *program)
{
    *paths = (struct install_paths){0};
    char *folder = program_folder(program);
    if (!folder)
        return -errno;
    paths->worker_program = find_program(folder, WORKER_NAME);
    if (paths->worker_program)
        find_checkout(paths, folder);
    else
        find_installed(paths, folder);
    free(folder);
    if (paths->worker_program && paths->objects_dir && paths->data_dir &&
        (paths->checkout || paths->config_file))
        return 0;
    install_paths_free(paths);
    return -ENOMEM;
}

void install_paths_free(struct install_paths *paths)
{
    free(paths->worker_program);
    free(paths->objects_dir);
    free(paths->data_dir);
    free(paths->config_file);
    *paths = (struct install_paths){0};
}
