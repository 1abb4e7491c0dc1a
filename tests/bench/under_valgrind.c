// SPDX-License-Identifier: Apache-2.0
/*
 * under_valgrind - preloaded when callgrind counts the instructions of a station: stands in for
 * what valgrind 3.19 (Debian 12) cannot do. openat2 becomes openat, and a program that executes
 * itself as /proc/self/exe (which is valgrind there) is found by OBJECTD_BENCH_PROGRAM.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...)
{
    long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    long a[6];
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (number == SYS_openat2) {
        const struct open_how *how = (const struct open_how *)a[2];
        return openat((int)a[0], (const char *)a[1], (int)how->flags, (mode_t)how->mode);
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int execv(const char *path, char *const argv[])
{
    int (*real)(const char *, char *const[]) =
        (int (*)(const char *, char *const[]))dlsym(RTLD_NEXT, "execv");
    const char *program = getenv("OBJECTD_BENCH_PROGRAM");
    return real(program && strcmp(path, "/proc/self/exe") == 0 ? program : path, argv);
}
