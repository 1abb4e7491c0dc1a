// SPDX-License-Identifier: Apache-2.0
/*
 * objectd, the supervisor: options, configuration, a list of parts to start in order, the loop, and
 * the same list backwards. The same program started as objectd-scribe is the scribe.
 */
#include "common/build.h"
#include "common/clock.h"
#include "supervisor/crashes/crashes.h"
#include "supervisor/files/files.h"
#include "supervisor/http/front.h"
#include "supervisor/lockfile.h"
#include "supervisor/log/object_log.h"
#include "supervisor/notify.h"
#include "supervisor/objects/idle.h"
#include "supervisor/objects/imports.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/slots.h"
#include "supervisor/objects/tree.h"
#include "supervisor/options.h"
#include "supervisor/process/nursery.h"
#include "supervisor/process/reaper.h"
#include "supervisor/process/sweeper.h"
#include "supervisor/reload.h"
#include "supervisor/rest/early.h"
#include "supervisor/rest/router.h"
#include "supervisor/schedules/schedules.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/signals.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/stop.h"
#include "supervisor/turn/turn.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ERROR_SIZE = 512 };

/* --- parts in the order they start --- */

static struct station station;
static int lock_fd = -1;

static void take_lock(void)
{
    char error[ERROR_SIZE];
    lock_fd = lockfile_take(station.config.data_dir, error, sizeof(error));
    if (lock_fd < 0)
        die(EXIT_CODE_ENVIRONMENT, "%s", error);
}

/* As many connections as the configuration allows need descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("the limit of open files stays at %llu: %m", (unsigned long long)limit.rlim_cur);
}

static void on_signal(void *arg, int signo)
{
    struct station *s = arg;
    switch (signo) {
    case SIGCHLD:
        reaper_run(s);
        break;
    case SIGTERM:
    case SIGINT:
        stop_begin(s);
        break;
    case SIGHUP:
        reload_ask(s->reload);
        break;
    case SIGUSR1:
        object_logs_reopen(s->logs);
        break;
    }
}

static struct signals *signals;

/* What an administrator gets wrong is said before the journal is read. */
static void look_at_objects(void)
{
    int err = tree_check(station.config.objects_dir);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "the objects folder %s cannot be read: %s",
            station.config.objects_dir, strerror(-err));
}

static void start_loop(void)
{
    station.loop = loop_new();
    signals = signals_new(station.loop, on_signal, &station);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    station.scribe = scribe_new(station.loop, &station.config);
}

static void on_durable(void *arg)
{
    struct station *s = arg;
    turn_on_durable(s->turns);
}

static void open_store(void)
{
    char error[ERROR_SIZE];
    struct store_report report;
    station.turns = turns_new(&station);
    station.store = store_open(station.loop, &station.config, station.scribe, on_durable, &station,
                               &report, error, sizeof(error));
    if (!station.store)
        die(EXIT_CODE_ENVIRONMENT, "%s", error);
    station.boot = report.boot;
    if (report.torn_bytes)
        log_warn("cut off %llu bytes of a torn tail at %s", (unsigned long long)report.torn_bytes,
                 report.torn_at);
    log_info("recovered %llu records in %.1f ms, boot %llu", (unsigned long long)report.records,
             (double)report.elapsed_ns / 1e6, (unsigned long long)report.boot);
    station.files = files_new(&station);
}

static void on_worker_dead(struct worker *w, int wait_status)
{
    if (wait_status != 0)
        files_worker_dead(w);
    crashes_report(station.crashes, w, wait_status);
    turn_worker_dead(w, wait_status);
    lifecycle_worker_dead(w, wait_status);
}

static void on_watchdog(void *arg)
{
    static struct loop_timer timer;
    struct station *s = arg;
    uint64_t interval = notify_watchdog_interval();
    notify_watchdog();
    if (interval)
        loop_timer_set(s->loop, &timer, interval, on_watchdog, s);
}

/* It is known which objects there are. */
static void announce(void *arg)
{
    (void)arg;
    if (station.stopping)
        return;
    station.ready = true;
    for (size_t i = 0; i < station.config.listen_count; i++)
        log_info("station %s serves %zu objects on %s", station.config.station_id,
                 object_count(station.objects), station.config.listen[i]);
    if (object_count(station.objects) == 0)
        log_info("no objects yet: save .py files below %s%s", station.config.objects_dir,
                 access(OBJECTD_EXAMPLESDIR, R_OK) == 0 ? "; examples are in " OBJECTD_EXAMPLESDIR
                                                        : "");
    schedules_start(station.schedules);
    notify_ready("serving");
    on_watchdog(&station);
    early_release(router_handle, &station);
}

static void start_objects(void)
{
    static const struct worker_hooks hooks = {.ready = lifecycle_worker_ready,
                                              .load_failed = lifecycle_worker_load_failed,
                                              .frame = turn_frame,
                                              .dead = on_worker_dead};
    station.logs = object_logs_new(station.loop, &station.config);
    if (!station.logs)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the logs");
    object_logs_attach(station.logs, station.scribe);
    station.file_checks = file_checks_new(station.loop);
    if (!station.file_checks)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the objects folder");
    station.crashes = crashes_new(&station);
    if (!station.crashes)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the crash reports");
    station.imports = import_table_new(&station);
    station.slots = slots_new(&station);
    if (!station.slots)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the slots of workers");
    station.objects = object_table_new(&station);
    station.workers = worker_table_new(&station, &hooks);
    families_start(&station);
    station.nursery = nursery_new(&station);
    station.schedules = schedules_new(&station);
    station.watch = tree_watch_new(&station, announce, &station);
    idle_start(&station);
}

/*
 * Before recovery: an address in use is known at once, and whoever connects meanwhile waits for the
 * loop instead of being refused.
 */
static void start_front(void)
{
    char error[ERROR_SIZE];
    station.front =
        front_new(station.loop, &station.config, router_handle, &station, error, sizeof(error));
    if (!station.front)
        die(EXIT_CODE_ENVIRONMENT, "%s", error);
    front_set_receiver(station.front, router_receive);
}

/*
 * Backwards, but for three. Files first: whoever waits for one is answered. Then the front: it
 * sends what the turns have answered. The store next: it runs the loop until the scribe has written
 * what is dirty, so the other parts must still be there, and calls that were cut off their
 * exchanges.
 */
static void stop_parts(void)
{
    scribe_set_hurry(station.scribe, stop_is_hurried);
    files_settle(station.files, stop_time_left(&station));
    schedules_settle(station.schedules, stop_time_left(&station));
    front_close(station.front, stop_is_hurried() ? 0 : NS_PER_S);
    store_close(station.store, stop_time_left(&station));
    tree_watch_free(station.watch);
    station.watch = NULL;
    reload_free(station.reload);
    nursery_free(station.nursery);
    object_logs_detach(station.logs);
    scribe_free(station.scribe);
    families_free(station.families);
    worker_table_free(station.workers); /* what workers printed last still goes to their logs */
    object_logs_free(station.logs);
    files_free(station.files);
    object_table_free(station.objects);
    slots_free(station.slots);
    import_table_free(station.imports);
    file_checks_free(station.file_checks);
    schedules_free(station.schedules);
    crashes_free(station.crashes);
    turns_free(station.turns);
    front_free(station.front);
    signals_free(signals);
    loop_free(station.loop);
    config_free(&station.config);
    lockfile_release(lock_fd);
}

static int read_config(const struct options *options)
{
    char error[ERROR_SIZE];
    if (config_load(&station.config, options, error, sizeof(error)) < 0) {
        fprintf(stderr, "objectd: %s\n", error);
        return EXIT_CODE_CONFIG;
    }
    log_setup("objectd", station.config.log_format, station.config.log_level);
    return 0;
}

static int run_station(const struct options *options)
{
    station.started_ns = clock_mono_ns();
    signals_block(); /* a HUP that comes now is a reload later, and no end */
    notify_setup();
    raise_descriptor_limit();
    look_at_objects();
    take_lock();
    station.families = families_new(&station.config);
    start_loop();
    start_front();
    open_store();
    start_objects();
    station.reload = reload_new(&station, options);
    /* From here on we must not die: workers, clients and peers are dropped one by one instead. */
    loop_run(station.loop);
    stop_parts();
    log_info("stopped");
    return EXIT_CODE_OK;
}

int main(int argc, char **argv)
{
    struct options options;
    if (argc > 0) /* scribe and sweeper were started as /proc/self/exe, and would be "exe" */
        prctl(PR_SET_NAME, basename(argv[0]));
    if (argc > 0 && strcmp(basename(argv[0]), SCRIBE_PROGRAM_NAME) == 0)
        return scribe_main(argc, argv);
    if (argc > 0 && strcmp(basename(argv[0]), SWEEPER_PROGRAM_NAME) == 0)
        return sweeper_main(argc, argv);
    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_DONE:
        return EXIT_CODE_OK;
    case OPTIONS_USAGE:
        return EXIT_CODE_USAGE;
    case OPTIONS_RUN:
        break;
    }
    int code = read_config(&options);
    if (code)
        return code;
    if (options.check) {
        config_print(&station.config);
        fflush(stdout);
        look_at_objects();
        return EXIT_CODE_OK;
    }
    return run_station(&options);
}
