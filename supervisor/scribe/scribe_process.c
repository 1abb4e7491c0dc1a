// SPDX-License-Identifier: Apache-2.0
/*
 * scribe_process - objectd-scribe itself: jobs from the socket, one after the other, until the
 * supervisor closes it or dies. Single-threaded and blocking; started as `objectd-scribe DATA
 * json|text LEVEL`.
 */
#include "supervisor/scribe/scribe.h"

#include "common/channel.h"
#include "common/worker_fds.h"
#include "supervisor/scribe/checkpoint_merge.h"
#include "supervisor/scribe/log_query.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/scribe/state_dump.h"
#include "supervisor/versions/version_list.h"
#include "supervisor/versions/version_store.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/stat.h>

struct process {
    const char *data_dir;
    struct channel channel;
    uint64_t job;
};

/* A supervisor that cannot be told is gone. */
static void send_out(struct process *p)
{
    if (channel_flush(&p->channel) < 0)
        exit(EXIT_CODE_OK);
}

static void answer_document(struct process *p, int result, uint64_t size)
{
    struct scribe_rpc_document m = {.error = result < 0 ? (uint32_t)-result : 0,
                                    .size = result < 0 ? 0 : size};
    size_t frame = channel_begin(&p->channel, RPC_DOCUMENT, p->job);
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
    answer_document(p, result, size);
    return true;
}

static bool run_search(struct process *p, struct span payload)
{
    struct scribe_rpc_search m;
    uint64_t size = 0;
    if (!scribe_rpc_search_decode(payload, &m))
        return false;
    int result = log_query(p->data_dir, &m, &size);
    answer_document(p, result, size);
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
    answer_document(p, result, size);
    return true;
}

static bool run_version_read(struct process *p, struct span payload)
{
    struct scribe_rpc_version_read m;
    uint64_t size = 0;
    if (!scribe_rpc_version_read_decode(payload, &m))
        return false;
    int result = version_show(p->data_dir, &m, &size);
    answer_document(p, result, size);
    return true;
}

static const struct job_kind {
    enum rpc_type type;
    bool (*run)(struct process *p, struct span payload);
} job_kinds[] = {
    {RPC_CHECKPOINT, run_checkpoint},
    {RPC_DUMP, run_dump},
    {RPC_SEARCH, run_search},
    {RPC_VERSION_WRITE, run_version_write},
    {RPC_VERSION_LIST, run_version_list},
    {RPC_VERSION_READ, run_version_read},
};

static void run_job(struct process *p, const struct frame *f)
{
    p->job = f->id;
    for (size_t i = 0; i < sizeof(job_kinds) / sizeof(job_kinds[0]); i++)
        if (job_kinds[i].type == f->type && job_kinds[i].run(p, f->payload))
            return;
    die(EXIT_CODE_INTERNAL, "job %s is not understood", rpc_name((uint16_t)f->type));
}

static int serve(struct process *p)
{
    struct frame f;
    const char *reason = "";
    send_out(p);
    for (;;) {
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
    channel_init(&p.channel, FD_RPC, RPC_FROM_SCRIBE, RPC_FROM_SUPERVISOR, UINT32_MAX);
    int err = serve(&p);
    if (err)
        log_error("socket to the supervisor: %s", strerror(-err));
    channel_free(&p.channel);
    return err ? EXIT_CODE_ENVIRONMENT : EXIT_CODE_OK;
}
