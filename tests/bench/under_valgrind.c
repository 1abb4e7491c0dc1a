// SPDX-License-Identifier: Apache-2.0
/*
 * under_valgrind - preloaded when callgrind counts the instructions of a station: a program that
 * executes itself as /proc/self/exe (which is valgrind there) is found by OBJECTD_BENCH_PROGRAM.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int execv(const char *path, char *const argv[])
{
    int (*real)(const char *, char *const[]) =
        (int (*)(const char *, char *const[]))dlsym(RTLD_NEXT, "execv");
    const char *program = getenv("OBJECTD_BENCH_PROGRAM");
    return real(program && strcmp(path, "/proc/self/exe") == 0 ? program : path, argv);
}
