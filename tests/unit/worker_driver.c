// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/worker_driver.h"

#include "common/clock.h"
#include "common/memfd.h"
#include "common/worker_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SETTINGS(more)                                                                           \
    "{\"objects_dir\":\"/nonexistent/objects\",\"station_id\":\"station1\",\"boot\":26,"         \
    "\"expose_tracebacks\":true,\"turn_writes_max\":1048576,\"timeout_grace_ns\":200000000" more \
    "}"

enum { PATIENCE_MS = 10000 };

static void fail(const char *what)
{
    fprintf(stderr, "worker_driver: %s\n", what);
    abort();
}

static void check(bool holds, const char *what)
{
    if (!holds)
        fail(what);
}

static void make_pair(int pair[2])
{
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
}

void driver_start_nursery(struct driver_nursery *n)
{
    int pair[2];
    const char *program = getenv("OBJECTD_WORKER");
    make_pair(pair);
    n->pid = fork();
    if (n->pid == 0) {
        dup2(pair[1], FD_RPC);
        fcntl(FD_RPC, F_SETFD, 0);
        /* Python frees little at its end: the list of that, for each test, takes minutes. */
        setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
        execl(program ? program : "./objectd-worker", "objectd-worker", "--nursery", NULL);
        _exit(127);
    }
    close(pair[1]);
    channel_init(&n->channel, pair[0], RPC_FROM_SUPERVISOR, RPC_FROM_NURSERY, 1 << 20);
}

void driver_stop_nursery(struct driver_nursery *n)
{
    channel_free(&n->channel);
    check(waitpid(n->pid, NULL, 0) == n->pid, "the nursery does not end");
}

static bool next_frame(struct channel *c, struct frame *f)
{
    const char *reason = "";
    for (;;) {
        int got = channel_next(c, f, &reason);
        if (got == 1)
            return true;
        if (got < 0)
            fail(reason);
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        check(poll(&p, 1, PATIENCE_MS) == 1, "silence");
        ssize_t n = channel_receive(c);
        if (n <= 0)
            return false;
    }
}

bool driver_next(struct driver_worker *w, struct frame *f)
{
    do {
        if (!next_frame(&w->channel, f))
            return false;
    } while (f->type == RPC_IMPORTS); /* whatever else happens */
    return true;
}

static struct shared_page *make_page(int *fd)
{
    *fd = memfd_create("page", MFD_CLOEXEC);
    check(*fd >= 0 && ftruncate(*fd, sizeof(struct shared_page)) == 0, "page");
    void *page = mmap(NULL, sizeof(struct shared_page), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    check(page != MAP_FAILED, "mmap");
    return page;
}

static void queue_spawn(struct driver_nursery *n, const int fds[SPAWN_FDS])
{
    size_t frame = channel_begin(&n->channel, RPC_SPAWN, 0);
    rpc_spawn_encode(&n->channel.out, &(struct rpc_spawn){.slot = 1, .generation = 7});
    check(channel_end(&n->channel, frame, fds, SPAWN_FDS) == 0, "SPAWN");
}

static pid_t wait_spawned(struct driver_nursery *n)
{
    struct frame f;
    struct rpc_spawned m;
    check(next_frame(&n->channel, &f) && f.type == RPC_SPAWNED, "no SPAWNED");
    check(rpc_spawned_decode(f.payload, &m) && m.slot == 1 && m.generation == 7, "SPAWNED");
    return (pid_t)m.pid;
}

static void prepare(struct driver_nursery *n, struct driver_worker *w)
{
    int rpc[2], answers[2], out[2], err[2], page;
    *w = (struct driver_worker){.next_id = 1};
    make_pair(rpc);
    make_pair(answers);
    check(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "pipe");
    w->page = make_page(&page);
    queue_spawn(n, (int[]){rpc[1], out[1], err[1], page, answers[1]});
    w->out = out[0];
    w->err = err[0];
    fcntl(w->out, F_SETFL, O_NONBLOCK);
    fcntl(w->err, F_SETFL, O_NONBLOCK);
    channel_init(&w->channel, rpc[0], RPC_FROM_SUPERVISOR, RPC_FROM_WORKER, 1u << 30);
    channel_init(&w->answers, answers[0], RPC_FROM_SUPERVISOR, RPC_FROM_WORKER, 1u << 30);
    check(channel_flush(&w->answers) == 0, "answers");
}

void driver_spawn(struct driver_nursery *n, struct driver_worker *w)
{
    prepare(n, w);
    check(channel_flush(&n->channel) == 0, "SPAWN");
    w->pid = wait_spawned(n);
}

void driver_spawn_two(struct driver_nursery *n, struct driver_worker *a, struct driver_worker *b)
{
    prepare(n, a);
    prepare(n, b);
    check(channel_flush(&n->channel) == 0, "SPAWN");
    a->pid = wait_spawned(n);
    b->pid = wait_spawned(n);
}

void driver_send_load(struct driver_worker *w, const char *id, const char *path, const char *source,
                      int checkpoint_fd, const struct buf *writes, uint32_t write_count)
{
    struct rpc_load m = {
        .object_id = span_of(id),
        .path = span_of(path),
        .source = span_of(source),
        .settings = span_of(w->is_replica ? SETTINGS(",\"replica\":true") : SETTINGS("")),
        .state = {
            .has_checkpoint = checkpoint_fd >= 0, .write_count = write_count, .writes = {"", 0}}};
    if (writes)
        m.state.writes = (struct span){writes->data, writes->len};
    size_t frame = channel_begin(&w->channel, RPC_LOAD, 0);
    rpc_load_encode(&w->channel.out, &m);
    check(channel_end(&w->channel, frame, &checkpoint_fd, checkpoint_fd >= 0) == 0, "LOAD");
    driver_flush(w);
}

static char *take_text(struct span s)
{
    char *copy = span_dup(s);
    check(copy != NULL, "memory");
    return copy;
}

static void load_plainly(struct driver_nursery *n, struct driver_worker *w, const char *source)
{
    driver_spawn(n, w);
    driver_send_load(w, "test", "/nonexistent/objects/test.py", source, -1, NULL, 0);
}

static char *wait_ready(struct driver_worker *w)
{
    struct frame f;
    struct rpc_ready m;
    check(driver_next(w, &f), "the worker died while loading");
    if (f.type == RPC_LOAD_FAILED) {
        struct rpc_load_failed failed;
        check(rpc_load_failed_decode(f.payload, &failed), "LOAD_FAILED");
        fprintf(stderr, "%.*s\n%.*s\n", (int)failed.error.len, failed.error.data,
                (int)failed.traceback.len, failed.traceback.data);
    }
    check(f.type == RPC_READY && rpc_ready_decode(f.payload, &m), "no READY");
    return take_text(m.metadata);
}

char *driver_load(struct driver_nursery *n, struct driver_worker *w, const char *source)
{
    load_plainly(n, w, source);
    return wait_ready(w);
}

char *driver_load_replica(struct driver_nursery *n, struct driver_worker *w, const char *source)
{
    driver_spawn(n, w);
    w->is_replica = true;
    driver_send_load(w, "test", "/nonexistent/objects/test.py", source, -1, NULL, 0);
    return wait_ready(w);
}

char *driver_load_fails(struct driver_nursery *n, struct driver_worker *w, const char *source,
                        uint32_t *line)
{
    struct frame f;
    struct rpc_load_failed m;
    load_plainly(n, w, source);
    check(driver_next(w, &f) && f.type == RPC_LOAD_FAILED, "no LOAD_FAILED");
    check(rpc_load_failed_decode(f.payload, &m), "LOAD_FAILED");
    if (line)
        *line = m.line;
    return take_text(m.error);
}

static struct span or_default(const char *text, const char *otherwise)
{
    return span_of(text ? text : otherwise);
}

uint64_t driver_send_call(struct driver_worker *w, const struct driver_call *call)
{
    static const char object[] = "/objects/test";
    struct rpc_call m = {.method = or_default(call->method, "GET"),
                         .target = or_default(call->target, object),
                         .path_skip = sizeof(object) - 1,
                         .head = or_default(call->head, ""),
                         .body = or_default(call->body, ""),
                         .remote_addr = span_of("127.0.0.1"),
                         .request_id = or_default(call->request_id, ""),
                         .user = or_default(call->user, ""),
                         .expires_ns = call->expires_ns,
                         .readonly = call->readonly,
                         .timeout_ns = call->timeout_ns};
    int fd = -1;
    if (call->body_size > 0)
        m.body.len = call->body_size;
    if (call->as_memfd) {
        fd = memfd_of("body", m.body.data, m.body.len);
        check(fd >= 0, "body");
        m.body_size = m.body.len;
        m.body.len = 0;
    }
    size_t frame = channel_begin(&w->channel, RPC_CALL, w->next_id);
    rpc_call_encode(&w->channel.out, &m);
    check(channel_end(&w->channel, frame, &fd, fd >= 0) == 0, "CALL");
    return w->next_id++;
}

void driver_flush(struct driver_worker *w)
{
    check(channel_flush(&w->channel) == 0, "flush");
}

void driver_send_update(struct driver_worker *w, uint64_t id, const struct buf *writes,
                        uint32_t write_count)
{
    size_t frame = channel_begin(&w->channel, RPC_UPDATE, id);
    rpc_update_encode(&w->channel.out, &(struct rpc_update){.write_count = write_count,
                                                            .writes = {writes->data, writes->len},
                                                            .files = {.files = {"", 0}}});
    check(channel_end(&w->channel, frame, NULL, 0) == 0, "UPDATE");
}

void driver_send_empty(struct driver_worker *w, enum rpc_type type, uint64_t id)
{
    size_t frame = channel_begin(&w->channel, type, id);
    check(channel_end(&w->channel, frame, NULL, 0) == 0, "frame");
    driver_flush(w);
}

void driver_parse_writes(struct span writes, struct buf *out)
{
    struct codec_reader r = codec_reader_of(writes.data, writes.len);
    struct rpc_write write;
    while (rpc_write_next(&r, &write)) {
        buf_append(out, write.key.data, write.key.len);
        buf_puts(out, write.op == RPC_WRITE_SET ? "=" : " deleted");
        buf_append(out, write.value.data, write.value.len);
        buf_putc(out, '\n');
    }
}

static char *fields_text(struct span fields)
{
    struct buf out = BUF_INIT;
    struct codec_reader r = codec_reader_of(fields.data, fields.len);
    struct rpc_field field;
    while (rpc_field_next(&r, &field))
        buf_printf(&out, "%.*s: %.*s\n", (int)field.name.len, field.name.data, (int)field.value.len,
                   field.value.data);
    char *text = buf_take(&out, NULL);
    return text ? text : take_text((struct span){"", 0});
}

static void take_body(struct channel *c, const struct rpc_turn_done *m, struct driver_reply *r)
{
    r->body_size = m->body_size ? m->body_size : m->body.len;
    if (m->body_size == 0) {
        r->body = take_text(m->body);
        return;
    }
    int fd = channel_take_fd(c, 0);
    check(fd >= 0 && memfd_verify(fd, m->body_size) == 0, "body descriptor");
    r->body = calloc(1, m->body_size + 1);
    check(r->body && memfd_read(fd, r->body, m->body_size) == 0, "body");
    close(fd);
}

void driver_parse_reply(struct channel *c, const struct frame *f, struct driver_reply *r)
{
    struct rpc_turn_done m;
    struct buf writes = BUF_INIT;
    check(f->type == RPC_TURN_DONE && rpc_turn_done_decode(f->payload, &m), "no TURN_DONE");
    *r = (struct driver_reply){.id = f->id,
                               .status = m.status,
                               .outcome = m.outcome,
                               .is_stream = m.stream,
                               .write_count = m.write_count};
    r->content_type = take_text(m.content_type);
    r->fields = fields_text(m.fields);
    driver_parse_writes(m.writes, &writes);
    r->writes = buf_take(&writes, NULL);
    if (!r->writes)
        r->writes = take_text((struct span){"", 0});
    take_body(c, &m, r);
}

void driver_wait_reply(struct driver_worker *w, struct driver_reply *r, struct buf *logs)
{
    struct frame f;
    while (driver_next(w, &f)) {
        struct rpc_log m;
        if (f.type != RPC_LOG) {
            driver_parse_reply(&w->channel, &f, r);
            return;
        }
        check(rpc_log_decode(f.payload, &m), "LOG");
        if (logs)
            buf_printf(logs, "%.*s %.*s %.*s\n", (int)m.level.len, m.level.data, (int)m.message.len,
                       m.message.data, (int)m.fields.len, m.fields.data);
    }
    fail("the worker died");
}

void driver_call(struct driver_worker *w, const struct driver_call *call, struct driver_reply *r)
{
    uint64_t id = driver_send_call(w, call);
    driver_flush(w);
    driver_wait_reply(w, r, NULL);
    check(r->id == id, "the answer of another call");
}

void driver_reply_free(struct driver_reply *r)
{
    free(r->content_type);
    free(r->body);
    free(r->fields);
    free(r->writes);
    *r = (struct driver_reply){0};
}

bool driver_output_contains(int fd, struct buf *seen, const char *text)
{
    struct buf own = BUF_INIT;
    struct buf *all = seen ? seen : &own;
    uint64_t end = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    bool found;
    while (!(found = strstr(buf_str(all), text) != NULL) && clock_mono_ns() < end) {
        char part[4096];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, 100);
        ssize_t n = read(fd, part, sizeof(part));
        if (n == 0)
            break;
        if (n > 0)
            buf_append(all, part, (size_t)n);
    }
    if (!found)
        fprintf(stderr, "worker_driver: \"%s\" is not in: %s\n", text, buf_str(all));
    buf_free(&own);
    return found;
}

static int reap_and_free(struct driver_worker *w)
{
    int status = -1;
    check(waitpid(w->pid, &status, 0) == w->pid, "not our child");
    channel_free(&w->channel);
    channel_free(&w->answers);
    munmap(w->page, sizeof(struct shared_page));
    close(w->out);
    close(w->err);
    return status;
}

void driver_kill(struct driver_worker *w)
{
    kill(w->pid, SIGKILL);
    reap_and_free(w);
}

int driver_wait_exit(struct driver_worker *w)
{
    struct frame f;
    while (driver_next(w, &f))
        ;
    return reap_and_free(w);
}
