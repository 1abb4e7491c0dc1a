// SPDX-License-Identifier: Apache-2.0
/*
 * scribe_process - objectd-scribe itself: jobs from the socket, one after the other, and between
 * them slices of those that take long (scribe_tasks.h), until the supervisor closes it or dies.
 * Single-threaded and blocking; started as `objectd-scribe DATA json|text LEVEL`.
 */
#include "supervisor/scribe/scribe.h"

#include "common/channel.h"
#include "common/worker_fds.h"
#include "supervisor/crashes/crash_list.h"
#include "supervisor/crashes/crash_store.h"
#include "supervisor/scribe/checkpoint_merge.h"
#include "supervisor/scribe/file_work.h"
#include "supervisor/scribe/log_count.h"
#include "supervisor/scribe/log_keep.h"
#include "supervisor/scribe/log_query.h"
#include "supervisor/scribe/measure.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/scribe/scribe_tasks.h"
#include "supervisor/scribe/state_dump.h"
#include "supervisor/scribe/tree_walk.h"
#include "supervisor/state/timer_image.h"
#include "supervisor/versions/version_list.h"
#include "supervisor/versions/version_store.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

struct process {
    const char *data_dir;
    struct channel channel;
    struct scribe_tasks tasks;
    uint64_t job;
};

/* A supervisor that cannot be told is gone. */
static void send_out(struct process *p)
{
    if (channel_flush(&p->channel) < 0)
        exit(EXIT_CODE_OK);
}

static void answer_document(struct process *p, uint64_t job, int result, uint64_t size)
{
    struct scribe_rpc_document m = {.error = result < 0 ? (uint32_t)-result : 0,
                                    .size = result < 0 ? 0 : size};
    size_t frame = channel_begin(&p->channel, RPC_DOCUMENT, job);
    scribe_rpc_document_encode(&p->channel.out, &m);
    int err = channel_end(&p->channel, frame, &result, result < 0 ? 0 : 1);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot answer: %s", strerror(-err));
    send_out(p);
}

static void answer_checkpoint(void *arg, size_t index, int err, uint64_t keys)
{
    struct process *p = arg;
    struct scribe_rpc_checkpointed m = {(uint32_t)index, (uint32_t)-err, keys};
    size_t frame = channel_begin(&p->channel, RPC_CHECKPOINTED, p->job);
    scribe_rpc_checkpointed_encode(&p->channel.out, &m);
    err = channel_end(&p->channel, frame, NULL, 0);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot answer: %s", strerror(-err));
    send_out(p);
}

static void free_objects(struct scribe_checkpoint *objects, size_t count)
{
    for (size_t i = 0; objects && i < count; i++)
        free((char *)objects[i].object_id);
    free(objects);
}

/* NULL when memory is short; free_objects(). */
static struct scribe_checkpoint *copy_objects(const struct scribe_rpc_checkpoint *m)
{
    struct scribe_checkpoint *objects = calloc(m->object_count + 1u, sizeof(*objects));
    struct codec_reader r = codec_reader_of(m->objects.data, m->objects.len);
    struct scribe_rpc_object o;
    for (size_t i = 0; objects && scribe_rpc_object_next(&r, &o); i++) {
        objects[i] = (struct scribe_checkpoint){span_dup(o.object_id), o.after_seq, o.upto_seq};
        if (!objects[i].object_id) {
            free_objects(objects, i);
            return NULL;
        }
    }
    return objects;
}

static bool run_checkpoint(struct process *p, struct span payload)
{
    struct scribe_rpc_checkpoint m;
    if (!scribe_rpc_checkpoint_decode(payload, &m))
        return false;
    struct scribe_checkpoint *objects = copy_objects(&m);
    for (uint32_t i = 0; !objects && i < m.object_count; i++)
        answer_checkpoint(p, i, -ENOMEM, 0);
    if (objects)
        checkpoint_merge(p->data_dir, objects, m.object_count, answer_checkpoint, p);
    free_objects(objects, m.object_count);
    return true;
}

static bool run_dump(struct process *p, struct span payload)
{
    struct scribe_rpc_dump m;
    uint64_t size = 0;
    if (!scribe_rpc_dump_decode(payload, &m))
        return false;
    int result = state_dump(p->data_dir, &m, &size);
    answer_document(p, p->job, result, size);
    return true;
}

static bool run_version_write(struct process *p, struct span payload)
{
    struct scribe_rpc_version_write m;
    uint64_t version;
    bool in_objects;
    if (!scribe_rpc_version_write_decode(payload, &m))
        return false;
    int err = version_store_append(p->data_dir, &m, &version, &in_objects);
    struct scribe_rpc_version_written answer = {(uint32_t)-err, in_objects, version};
    size_t frame = channel_begin(&p->channel, RPC_VERSION_WRITTEN, p->job);
    scribe_rpc_version_written_encode(&p->channel.out, &answer);
    err = channel_end(&p->channel, frame, NULL, 0);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot answer: %s", strerror(-err));
    send_out(p);
    return true;
}

static bool run_version_list(struct process *p, struct span payload)
{
    struct scribe_rpc_version_list m;
    uint64_t size = 0;
    if (!scribe_rpc_version_list_decode(payload, &m))
        return false;
    int result = version_list(p->data_dir, &m, &size);
    answer_document(p, p->job, result, size);
    return true;
}

static bool run_version_read(struct process *p, struct span payload)
{
    struct scribe_rpc_version_read m;
    uint64_t size = 0;
    if (!scribe_rpc_version_read_decode(payload, &m))
        return false;
    int result = version_show(p->data_dir, &m, &size);
    answer_document(p, p->job, result, size);
    return true;
}

/* --- jobs in slices --- */

static int search_step(void *work, uint64_t until_ns)
{
    return log_query_step(work, until_ns);
}

static void search_answer(void *arg, uint64_t job, void *work, int err)
{
    uint64_t size = 0;
    int result = err ? err : log_query_answer(work, &size);
    answer_document(arg, job, result, size);
}

static void search_free(void *work)
{
    log_query_free(work);
}

static bool run_search(struct process *p, struct span payload)
{
    static const struct scribe_task_kind kind = {search_step, search_answer, search_free};
    struct scribe_rpc_search m;
    if (!scribe_rpc_search_decode(payload, &m))
        return false;
    scribe_tasks_add(&p->tasks, p->job, &kind, log_query_new(p->data_dir, &m));
    return true;
}

static bool run_cancel(struct process *p, struct span payload)
{
    scribe_tasks_cancel(&p->tasks, p->job);
    return rpc_empty_decode(payload);
}

static void answer_number(struct process *p, uint64_t job, int err, uint64_t value)
{
    struct scribe_rpc_number m = {err < 0 ? (uint32_t)-err : 0, value};
    size_t frame = channel_begin(&p->channel, RPC_NUMBER, job);
    scribe_rpc_number_encode(&p->channel.out, &m);
    err = channel_end(&p->channel, frame, NULL, 0);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot answer: %s", strerror(-err));
    send_out(p);
}

static bool run_crash_write(struct process *p, struct span payload)
{
    struct scribe_rpc_crash_write m;
    uint64_t removed;
    if (!scribe_rpc_crash_write_decode(payload, &m))
        return false;
    int err = crash_store_write(p->data_dir, &m, &removed);
    answer_number(p, p->job, err, removed);
    return true;
}

static bool run_crash_read(struct process *p, struct span payload)
{
    struct scribe_rpc_crash_read m;
    uint64_t size = 0;
    if (!scribe_rpc_crash_read_decode(payload, &m))
        return false;
    int result = crash_list(p->data_dir, &m, &size);
    answer_document(p, p->job, result, size);
    return true;
}

static int count_step(void *work, uint64_t until_ns)
{
    return log_count_step(work, until_ns);
}

static void count_answer(void *arg, uint64_t job, void *work, int err)
{
    answer_number(arg, job, err, err ? 0 : log_count_lines(work));
}

static void count_free(void *work)
{
    log_count_free(work);
}

static bool run_log_count(struct process *p, struct span payload)
{
    static const struct scribe_task_kind kind = {count_step, count_answer, count_free};
    struct scribe_rpc_log_count m;
    if (!scribe_rpc_log_count_decode(payload, &m))
        return false;
    scribe_tasks_add(&p->tasks, p->job, &kind, log_count_new(p->data_dir, &m));
    return true;
}

static void tell_removed(void *arg, const struct scribe_rpc_log_removed *removed)
{
    struct process *p = arg;
    size_t frame = channel_begin(&p->channel, RPC_LOG_REMOVED, 0);
    scribe_rpc_log_removed_encode(&p->channel.out, removed);
    int err = channel_end(&p->channel, frame, NULL, 0);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot answer: %s", strerror(-err));
    send_out(p);
}

static int keep_step(void *work, uint64_t until_ns)
{
    return log_keep_step(work, until_ns);
}

static void keep_answer(void *arg, uint64_t job, void *work, int err)
{
    answer_number(arg, job, err, err ? 0 : log_keep_files(work));
}

static void keep_free(void *work)
{
    log_keep_free(work);
}

static bool run_log_keep(struct process *p, struct span payload)
{
    static const struct scribe_task_kind kind = {keep_step, keep_answer, keep_free};
    struct scribe_rpc_log_keep m;
    if (!scribe_rpc_log_keep_decode(payload, &m))
        return false;
    scribe_tasks_add(&p->tasks, p->job, &kind, log_keep_new(p->data_dir, &m, tell_removed, p));
    return true;
}

static void tell_found(void *arg, uint64_t job, const struct scribe_rpc_tree_found *found)
{
    struct process *p = arg;
    size_t frame = channel_begin(&p->channel, RPC_TREE_FOUND, job);
    scribe_rpc_tree_found_encode(&p->channel.out, found);
    int err = channel_end(&p->channel, frame, NULL, 0);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot answer: %s", strerror(-err));
    send_out(p);
}

static int walk_step(void *work, uint64_t until_ns)
{
    return tree_walk_step(work, until_ns);
}

static void walk_answer(void *arg, uint64_t job, void *work, int err)
{
    answer_number(arg, job, err, err ? 0 : tree_walk_count(work));
}

static void walk_free(void *work)
{
    tree_walk_free(work);
}

static bool run_tree_scan(struct process *p, struct span payload)
{
    static const struct scribe_task_kind kind = {walk_step, walk_answer, walk_free};
    struct scribe_rpc_tree_scan m;
    int fd = channel_take_fd(&p->channel, 0);
    if (fd < 0 || !scribe_rpc_tree_scan_decode(payload, &m))
        return false;
    scribe_tasks_add(&p->tasks, p->job, &kind, tree_walk_new(&m, fd, p->job, tell_found, p));
    return true;
}

static int pid_step(void *work, uint64_t until_ns)
{
    (void)until_ns;
    return measure_step(work);
}

static void measure_answer(void *arg, uint64_t job, void *work, int err)
{
    struct process *p = arg;
    struct scribe_rpc_measured failed = {.error = (uint32_t)-err};
    size_t frame = channel_begin(&p->channel, RPC_MEASURED, job);
    scribe_rpc_measured_encode(&p->channel.out, err ? &failed : measure_found(work));
    err = channel_end(&p->channel, frame, NULL, 0);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot answer: %s", strerror(-err));
    send_out(p);
}

static void pids_free(void *work)
{
    measure_free(work);
}

static bool run_measure(struct process *p, struct span payload)
{
    static const struct scribe_task_kind kind = {pid_step, measure_answer, pids_free};
    struct scribe_rpc_measure m;
    if (!scribe_rpc_measure_decode(payload, &m))
        return false;
    scribe_tasks_add(&p->tasks, p->job, &kind, measure_new(&m));
    return true;
}

static bool run_schedules(struct process *p, struct span payload)
{
    struct scribe_rpc_schedules m;
    if (!scribe_rpc_schedules_decode(payload, &m))
        return false;
    answer_number(p, p->job, timer_image_update(p->data_dir, m.upto_seq), 0);
    return true;
}

/* --- all of them --- */

static bool run_files(struct process *p, struct span payload)
{
    struct scribe_rpc_files m;
    if (!scribe_rpc_files_decode(payload, &m))
        return false;
    struct scribe_rpc_files_done answer = {.limit = SCRIBE_FILES_FINE};
    answer.error = (uint32_t)-file_work_run(p->data_dir, &m, &answer.limit);
    size_t frame = channel_begin(&p->channel, RPC_FILES_DONE, p->job);
    scribe_rpc_files_done_encode(&p->channel.out, &answer);
    int err = channel_end(&p->channel, frame, NULL, 0);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot answer: %s", strerror(-err));
    send_out(p);
    return true;
}

static bool run_list(struct process *p, struct span payload)
{
    struct scribe_rpc_list m;
    uint64_t size = 0;
    if (!scribe_rpc_list_decode(payload, &m))
        return false;
    int result = file_work_list(p->data_dir, m.object_id, &size);
    answer_document(p, p->job, result, size);
    return true;
}

static bool run_log_setup(struct process *p, struct span payload)
{
    struct scribe_rpc_log_setup m;
    (void)p;
    if (!scribe_rpc_log_setup_decode(payload, &m))
        return false;
    log_setup(SCRIBE_PROGRAM_NAME, (enum log_format)m.format, (enum log_level)m.level);
    return true;
}

static const struct job_kind {
    enum rpc_type type;
    bool (*run)(struct process *p, struct span payload);
} job_kinds[] = {
    {RPC_CHECKPOINT, run_checkpoint},
    {RPC_DUMP, run_dump},
    {RPC_SEARCH, run_search},
    {RPC_FILES, run_files},
    {RPC_LIST, run_list},
    {RPC_VERSION_WRITE, run_version_write},
    {RPC_VERSION_LIST, run_version_list},
    {RPC_VERSION_READ, run_version_read},
    {RPC_CRASH_WRITE, run_crash_write},
    {RPC_CRASH_READ, run_crash_read},
    {RPC_CANCEL, run_cancel},
    {RPC_LOG_COUNT, run_log_count},
    {RPC_LOG_KEEP, run_log_keep},
    {RPC_LOG_SETUP, run_log_setup},
    {RPC_TREE_SCAN, run_tree_scan},
    {RPC_MEASURE, run_measure},
    {RPC_SCHEDULES, run_schedules},
};

static void run_job(struct process *p, const struct frame *f)
{
    p->job = f->id;
    for (size_t i = 0; i < sizeof(job_kinds) / sizeof(job_kinds[0]); i++)
        if (job_kinds[i].type == f->type && job_kinds[i].run(p, f->payload))
            return;
    die(EXIT_CODE_INTERNAL, "job %s is not understood", rpc_name((uint16_t)f->type));
}

/* Slices until the supervisor asks for something, or nothing is left. */
static void run_tasks(struct process *p)
{
    struct pollfd asked = {.fd = FD_RPC, .events = POLLIN};
    while (scribe_tasks_run(&p->tasks)) {
        if (poll(&asked, 1, 0) > 0)
            return;
        if (!p->tasks.list)
            malloc_trim(0);
    }
}

static int serve(struct process *p)
{
    struct frame f;
    const char *reason = "";
    send_out(p);
    for (;;) {
        run_tasks(p);
        ssize_t n = channel_receive(&p->channel);
        if (n <= 0)
            return n == 0 || n == -ECONNRESET ? 0 : (int)n;
        int got;
        while ((got = channel_next(&p->channel, &f, &reason)) == 1)
            run_job(p, &f);
        if (got < 0)
            die(EXIT_CODE_INTERNAL, "from the supervisor: %s",
                got == -EPROTO ? reason : strerror(-got));
        malloc_trim(0); /* a large merge leaves much behind, and the next may be hours away */
    }
}

int scribe_main(int argc, char **argv)
{
    if (argc != 4)
        die(EXIT_CODE_USAGE, SCRIBE_PROGRAM_NAME " is started by objectd");
    enum log_format format = strcmp(argv[2], "text") == 0 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    int level = argv[3][0] - '0';
    log_setup(SCRIBE_PROGRAM_NAME, format,
              level >= LOG_LEVEL_DEBUG && level <= LOG_LEVEL_ERROR ? (enum log_level)level
                                                                   : LOG_LEVEL_INFO);
    umask(077);
    struct process p = {.data_dir = argv[1]};
    p.tasks.arg = &p;
    channel_init(&p.channel, FD_RPC, RPC_FROM_SCRIBE, RPC_FROM_SUPERVISOR, UINT32_MAX);
    int err = serve(&p);
    if (err)
        log_error("socket to the supervisor: %s", strerror(-err));
    scribe_tasks_free(&p.tasks);
    channel_free(&p.channel);
    return err ? EXIT_CODE_ENVIRONMENT : EXIT_CODE_OK;
}
