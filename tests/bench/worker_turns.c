// SPDX-License-Identifier: Apache-2.0
/* links: tests/unit/worker_driver.c common/buf.c common/channel.c common/clock.c common/codec.c
 * common/log.c common/json_text.c common/utf8.c common/memfd.c common/rpc.c common/file_store.c */
/*
 * worker_turns - what one turn costs in a worker, without HTTP and journal: plays the supervisor
 * towards the real objectd-worker (environment OBJECTD_WORKER).
 *
 *   worker_turns                    all figures
 *   worker_turns OBJECT.py [CALLS]  microseconds a turn of that object
 */
#include "common/clock.h"
#include "tests/unit/worker_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CALLS = 100000, WINDOW = 64, IDLE_WORKERS = 50, IDLE_TURNS = 100, STARTS = 20 };

static const char one_line[] = "def GET(request):\n    return {'message': 'Hello, World!'}\n";
static const char counter[] = "def GET(request, _state_manager):\n"
                              "    count = _state_manager.get('count', 0) + 1\n"
                              "    _state_manager.set('count', count)\n"
                              "    return {'count': count}\n";
static const char asynchronous[] =
    "async def GET(request):\n    return {'message': 'Hello, World!'}\n";
static const char head[] = "Host: 127.0.0.1:8001\r\nUser-Agent: wrk\r\nAccept: */*\r\n";

static double cpu_seconds(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (f && fgets(text, sizeof(text), f)) {
        char *at = strrchr(text, ')');
        if (at)
            sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    }
    if (f)
        fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void pump(struct driver_worker *w, int calls)
{
    struct driver_call call = {.head = head};
    int sent = 0, answered = 0;
    while (answered < calls) {
        while (sent < calls && sent - answered < WINDOW) {
            driver_send_call(w, &call);
            sent++;
        }
        driver_flush(w);
        struct frame f;
        const char *reason;
        if (channel_receive(&w->channel) <= 0)
            exit(1);
        while (channel_next(&w->channel, &f, &reason) == 1)
            answered += f.type == RPC_TURN_DONE;
    }
}

static void measure_turns(struct driver_nursery *n, const char *name, const char *source, int calls)
{
    struct driver_worker w;
    free(driver_load(n, &w, source));
    pump(&w, 1000);
    uint64_t start = clock_mono_ns();
    double cpu = cpu_seconds(w.pid);
    pump(&w, calls);
    double wall = (double)(clock_mono_ns() - start) / 1000 / calls;
    cpu = (cpu_seconds(w.pid) - cpu) * 1e6 / calls;
    printf("%-24s %6.2f us wall, %6.2f us cpu of the worker a turn\n", name, wall, cpu);
    driver_kill(&w);
}

static long proc_kib(pid_t pid, const char *field)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "r");
    size_t len = strlen(field);
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, field, len) == 0)
            kib = strtol(line + len, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

static void measure_memory(struct driver_nursery *n)
{
    static struct driver_worker w[IDLE_WORKERS];
    long pss = 0, dirty = 0;
    for (int i = 0; i < IDLE_WORKERS; i++) {
        free(driver_load(n, &w[i], counter));
        for (int turn = 0; turn < IDLE_TURNS; turn++) {
            struct driver_reply r;
            driver_call(&w[i], &(struct driver_call){.head = head}, &r);
            driver_reply_free(&r);
        }
    }
    for (int i = 0; i < IDLE_WORKERS; i++) {
        pss += proc_kib(w[i].pid, "Pss:");
        dirty += proc_kib(w[i].pid, "Private_Dirty:");
    }
    printf("idle workers             %ld KiB PSS, %ld KiB private dirty (mean of %d)\n",
           pss / IDLE_WORKERS, dirty / IDLE_WORKERS, IDLE_WORKERS);
    for (int i = 0; i < IDLE_WORKERS; i++)
        driver_kill(&w[i]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_start(struct driver_nursery *n)
{
    double ms[STARTS];
    for (int i = 0; i < STARTS; i++) {
        struct driver_worker w;
        struct driver_reply r;
        uint64_t start = clock_mono_ns();
        free(driver_load(n, &w, one_line));
        driver_call(&w, &(struct driver_call){.head = head}, &r);
        ms[i] = (double)(clock_mono_ns() - start) / 1e6;
        driver_reply_free(&r);
        driver_kill(&w);
    }
    qsort(ms, STARTS, sizeof(ms[0]), by_value);
    printf("spawn to first answer    %.2f ms median, %.2f ms worst\n", ms[STARTS / 2],
           ms[STARTS - 1]);
}

static char *read_file(const char *path)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(1);
    }
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    return text;
}

int main(int argc, char **argv)
{
    struct driver_nursery n;
    driver_start_nursery(&n);
    if (argc > 1) {
        measure_turns(&n, argv[1], read_file(argv[1]), argc > 2 ? atoi(argv[2]) : CALLS);
        return 0;
    }
    measure_turns(&n, "one-line JSON", one_line, CALLS);
    measure_turns(&n, "counter", counter, CALLS);
    measure_turns(&n, "one-line async", asynchronous, CALLS / 10);
    measure_start(&n);
    measure_memory(&n);
    driver_stop_nursery(&n);
    return 0;
}
