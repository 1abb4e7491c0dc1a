// SPDX-License-Identifier: Apache-2.0
#include "supervisor/files/upload.h"

#include "common/failpoint.h"
#include "common/fd_io.h"
#include "common/file_store.h"
#include "common/head.h"
#include "common/json_text.h"
#include "common/multipart.h"
#include "common/utf8.h"
#include "supervisor/files/files.h"
#include "supervisor/http/exchange.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/slots.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/station.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SWALLOW_MAX = 16 * 1024 * 1024, /* of a form that failed, read on for the sake of its client */
    WRITE_BACK = 8 * 1024 * 1024,   /* bytes after which the disk may begin */
};

/* Why the form is refused; status 0: it is not. */
struct failure {
    unsigned status;
    struct buf extra, text;
};

struct upload {
    struct object *object;
    struct exchange *exchange; /* NULL: the client has gone */
    struct multipart form;
    struct buf rest;         /* of the body: shown to the parser, not used up */
    bool is_waiting;         /* for the object to be loaded */
    bool is_ordinary;        /* the body is not ours */
    bool has_files, is_over; /* a file was met; the closing delimiter was */
    uint64_t parts, received, swallowed;
    unsigned denied; /* management_verdict */
    const char *why_denied;
    struct failure failure;

    int fd;          /* of the file that arrives, else -1 */
    bool is_unnamed; /* a file arrives whose name is empty */
    uint64_t size, written_back;
    uint64_t total; /* of all files */
    char token[FILES_TOKEN_SIZE];
    struct buf name, field;

    uint32_t count;
    struct buf staged; /* encoded rpc_file */
    struct buf answer; /* JSON objects, a comma between */
};

/* --- life --- */

static struct rpc_files staged_files(const struct upload *u)
{
    return (struct rpc_files){u->count, {u->staged.data, u->staged.len}};
}

static void free_upload(struct upload *u)
{
    if (u->fd >= 0)
        close(u->fd);
    buf_free(&u->rest);
    buf_free(&u->failure.extra);
    buf_free(&u->failure.text);
    buf_free(&u->name);
    buf_free(&u->field);
    buf_free(&u->staged);
    buf_free(&u->answer);
    free(u);
}

/* Also the file that was being written, as the last of what is staged. */
static void drop_staged(struct upload *u)
{
    if (u->fd >= 0) {
        rpc_file_encode(&u->staged,
                        &(struct rpc_file){RPC_FILE_PUT, span_of("-"), span_of(u->token), 0});
        u->count++;
        close(u->fd);
        u->fd = -1;
    }
    struct rpc_files staged = staged_files(u);
    if (buf_ok(&u->staged))
        files_drop(u->object->station, u->object->id, &staged);
    u->count = 0;
    buf_reset(&u->staged, SIZE_MAX);
}

/* --- failures --- */

/* extra: NULL, or members of the answer as JSON text. The first failure counts. */
static void fail(struct upload *u, unsigned status, const char *extra, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void fail(struct upload *u, unsigned status, const char *extra, const char *format, ...)
{
    va_list ap;
    if (u->failure.status)
        return;
    u->failure.status = status;
    u->has_files = true; /* it is ours to answer */
    buf_puts(&u->failure.extra, extra ? extra : "");
    va_start(ap, format);
    buf_vprintf(&u->failure.text, format, ap);
    va_end(ap);
    drop_staged(u);
}

static void fail_limit(struct upload *u, unsigned status, const char *limit, uint64_t value,
                       const char *what)
{
    char extra[80];
    snprintf(extra, sizeof(extra), "\"limit\":\"%s\"", limit);
    fail(u, status, extra, "%s %llu (limits.%s): nothing was stored", what,
         (unsigned long long)value, limit);
}

static void fail_errno(struct upload *u, int err, unsigned limit)
{
    const struct config *c = &u->object->station->config;
    if (err == -EDQUOT && limit == SCRIBE_FILES_COUNT)
        fail_limit(u, 507, "files_count_max", c->files_count_max,
                   "the object would have more files than");
    else if (err == -EDQUOT && limit == SCRIBE_FILES_BYTES)
        fail_limit(u, 507, "files_bytes_max", c->files_bytes_max,
                   "the files of the object would have more bytes than");
    else if (err == -ENOSPC || err == -EDQUOT)
        fail(u, 507, "\"limit\":\"disk\"", "no room on the station's disk: nothing was stored");
    else if (err == -EISDIR)
        fail(u, 409, NULL, "a folder stands where a file would be: nothing was stored");
    else if (err == -ENOMEM)
        fail(u, 503, "\"limit\":\"memory\"", "no memory for the upload: nothing was stored");
    else
        fail(u, 503, NULL, "the files could not be stored: %s", strerror(-err));
}

static void fail_name(struct upload *u, const char *problem)
{
    struct buf extra = BUF_INIT;
    if (u->name.len <= FILE_STORE_NAME_MAX && utf8_valid(u->name.data, u->name.len)) {
        json_put_key(&extra, "filename");
        json_put_string(&extra, u->name.data, u->name.len);
    }
    fail(u, 400, buf_str(&extra), "a file cannot be stored under its name: %s", problem);
    buf_free(&extra);
}

/* --- parts --- */

static bool is_twice(const struct upload *u)
{
    struct codec_reader r = codec_reader_of(u->staged.data, u->staged.len);
    struct rpc_file f;
    while (rpc_file_next(&r, &f))
        if (f.name.len == u->name.len && memcmp(f.name.data, u->name.data, f.name.len) == 0)
            return true;
    return false;
}

static void open_file(struct upload *u)
{
    struct files *files = u->object->station->files;
    files_token(files, u->token);
    u->size = u->written_back = 0;
    int fd = FAILPOINT("upload-open");
    if (!fd)
        fd = file_store_create(files_staging_fd(files), u->token);
    if (fd < 0)
        fail_errno(u, fd, 0);
    else
        u->fd = fd;
}

static void begin_file(struct upload *u, const struct multipart_part *part)
{
    char field[MULTIPART_HEADER_MAX];
    buf_reset(&u->field, MULTIPART_HEADER_MAX);
    buf_append(&u->field, field, head_unquote(part->name, field));
    buf_reset(&u->name, MULTIPART_HEADER_MAX);
    multipart_put_filename(&u->name, part);
    u->is_unnamed = u->name.len == 0;
    if (u->is_unnamed)
        return; /* what a browser sends where no file was chosen, if nothing follows */
    u->has_files = true;
    const char *problem =
        file_store_name_problem((struct span){u->name.data ? u->name.data : "", u->name.len});
    if (u->denied)
        fail(u, u->denied, NULL, "%s", u->why_denied);
    else if (!buf_ok(&u->name) || !buf_ok(&u->field))
        fail_errno(u, -ENOMEM, 0);
    else if (problem)
        fail_name(u, problem);
    else if (is_twice(u))
        fail_name(u, "it occurs twice");
    else
        open_file(u);
}

static void begin_part(struct upload *u, const struct multipart_part *part)
{
    const struct config *c = &u->object->station->config;
    u->is_unnamed = false;
    u->parts++;
    if (part->has_filename)
        begin_file(u, part);
    if (u->has_files && u->parts > c->upload_parts_max)
        fail_limit(u, 400, "upload_parts_max", c->upload_parts_max, "the form has more parts than");
}

static int write_all(int fd, struct span bytes)
{
    int err = FAILPOINT("upload-write");
    return err ? err : fd_io_write(fd, bytes.data, bytes.len);
}

/* So that there is little left to do when it is synced. */
static void write_back(struct upload *u)
{
    if (u->size - u->written_back < WRITE_BACK)
        return;
    sync_file_range(u->fd, (off_t)u->written_back, (off_t)(u->size - u->written_back),
                    SYNC_FILE_RANGE_WRITE);
    u->written_back = u->size;
}

static void add_content(struct upload *u, struct span bytes)
{
    const struct config *c = &u->object->station->config;
    if (u->is_unnamed)
        fail_name(u, "it is empty");
    if (u->fd < 0)
        return; /* a field */
    u->total += bytes.len;
    if (u->total > c->files_bytes_max) {
        fail_errno(u, -EDQUOT, SCRIBE_FILES_BYTES);
        return;
    }
    int err = write_all(u->fd, bytes);
    if (err) {
        fail_errno(u, err, 0);
        return;
    }
    u->size += bytes.len;
    write_back(u);
}

static void end_part(struct upload *u)
{
    if (u->fd < 0)
        return;
    close(u->fd);
    u->fd = -1;
    rpc_file_encode(
        &u->staged,
        &(struct rpc_file){RPC_FILE_PUT, {u->name.data, u->name.len}, span_of(u->token), u->size});
    u->count++;
    buf_puts(&u->answer, u->answer.len ? ",{" : "{");
    json_put_key(&u->answer, "filename");
    json_put_string(&u->answer, u->name.data, u->name.len);
    json_put_number(&u->answer, "size", u->size);
    json_put_key(&u->answer, "field");
    json_put_string(&u->answer, u->field.data ? u->field.data : "", u->field.len);
    buf_putc(&u->answer, '}');
    if (!buf_ok(&u->staged) || !buf_ok(&u->answer))
        fail_errno(u, -ENOMEM, 0);
}

/* --- the body --- */

static void bad_form(struct upload *u)
{
    if (u->has_files)
        fail(u, 400, NULL, "malformed multipart body: %s: nothing was stored", u->form.error);
    else
        u->is_ordinary = true; /* the object's worker says so, as it does of every form */
}

/* Bytes that were used up. */
static size_t parse(struct upload *u, struct span window, bool is_last)
{
    struct multipart_part part;
    size_t total = 0;
    while (!u->is_over && !u->is_ordinary && !u->failure.status) {
        size_t used;
        struct span rest = {window.data + total, window.len - total};
        enum multipart_event event = multipart_step(&u->form, rest, is_last, &used, &part);
        total += used;
        if (event == MULTIPART_MORE)
            break;
        if (event == MULTIPART_PART)
            begin_part(u, &part);
        else if (event == MULTIPART_DATA)
            add_content(u, part.content);
        else if (event == MULTIPART_PART_END)
            end_part(u);
        else if (event == MULTIPART_END)
            u->is_over = true;
        else
            bad_form(u);
    }
    return total;
}

static void feed(struct upload *u, const char *bytes, size_t size)
{
    struct span window = {bytes, size};
    if (u->rest.len) {
        buf_append(&u->rest, bytes, size);
        window = (struct span){u->rest.data, u->rest.len};
    }
    if (!buf_ok(&u->rest)) {
        fail_errno(u, -ENOMEM, 0);
        return;
    }
    size_t used = parse(u, window, false);
    if (u->is_over || u->is_ordinary || u->failure.status)
        return;
    struct buf left = BUF_INIT;
    buf_append(&left, window.data + used, window.len - used);
    buf_free(&u->rest);
    u->rest = left;
    if (!buf_ok(&u->rest))
        fail_errno(u, -ENOMEM, 0);
}

/* A short form that failed is read to its end: not every client reads an answer before that. */
static enum exchange_taking swallow(struct upload *u, size_t size)
{
    uint64_t left = exchange_body_left(u->exchange);
    u->swallowed += size;
    if (left != UINT64_MAX ? left <= SWALLOW_MAX : u->swallowed <= SWALLOW_MAX)
        return EXCHANGE_BODY_TAKEN;
    exchange_refuse_body(u->exchange, u->failure.status, buf_str(&u->failure.extra), "%s",
                         buf_str(&u->failure.text));
    return EXCHANGE_BODY_REFUSED;
}

/* The guard lets every form be as large as body_max, for not each of them is ours. */
static void count_body(struct upload *u, size_t size)
{
    uint64_t max = u->object->station->config.upload_max;
    u->received += size;
    if (u->has_files && u->received > max)
        fail_limit(u, 413, "upload_max", max, "the upload is larger than");
}

static enum exchange_taking on_bytes(void *context, const char *bytes, size_t size)
{
    struct upload *u = context;
    if (!u->is_ordinary && !u->is_over && !u->failure.status)
        feed(u, bytes, size);
    count_body(u, size);
    if (u->failure.status)
        return swallow(u, size);
    return u->has_files ? EXCHANGE_BODY_TAKEN : EXCHANGE_BODY_KEEP;
}

/* --- the end --- */

static void answer_failure(struct upload *u)
{
    exchange_error(u->exchange, u->failure.status, buf_str(&u->failure.extra), "%s",
                   buf_str(&u->failure.text));
    free_upload(u);
}

static void answer_stored(struct upload *u, uint64_t seq)
{
    const struct station *station = u->object->station;
    struct buf body = BUF_INIT, message = BUF_INIT;
    char commit[48];
    buf_printf(&message, "%u file%s stored", u->count, u->count == 1 ? "" : "s");
    buf_puts(&body, "{\"status\":\"ok\"");
    json_put_member(&body, "message", buf_str(&message));
    json_put_member(&body, "object_id", u->object->id);
    json_put_key(&body, "files");
    buf_printf(&body, "[%s]}", buf_str(&u->answer));
    snprintf(commit, sizeof(commit), "%llu-%llu", (unsigned long long)station->boot,
             (unsigned long long)seq);
    struct exchange_field fields[] = {
        {"X-Commit-Seq", commit},
        {"X-Durability", config_durability_name(station->config.durability)}};
    struct exchange_reply reply = {.status = 200,
                                   .content_type = "application/json; charset=utf-8",
                                   .fields = fields,
                                   .field_count = 2};
    reply.body = buf_take(&body, &reply.body_size);
    buf_free(&message);
    exchange_reply(u->exchange, &reply);
    free_upload(u);
}

static void on_stored(void *arg, int err, unsigned limit, uint64_t seq)
{
    struct upload *u = arg;
    if (!err) {
        answer_stored(u, seq);
        return;
    }
    u->count = 0; /* files_put has dropped them */
    buf_reset(&u->staged, SIZE_MAX);
    fail_errno(u, err, limit);
    answer_failure(u);
}

static void on_end(void *context)
{
    struct upload *u = context;
    if (!u->is_over && !u->failure.status)
        parse(u, (struct span){u->rest.data, u->rest.len}, true);
    if (u->failure.status) {
        answer_failure(u);
        return;
    }
    struct rpc_files staged = staged_files(u);
    files_put(u->object, &staged, on_stored, u);
}

static void on_gone(void *context)
{
    struct upload *u = context;
    drop_staged(u);
    u->exchange = NULL;
    if (!u->is_waiting)
        free_upload(u);
}

/* --- the beginning --- */

static void fail_no_worker(struct upload *u)
{
    char extra[64], problem[SLOTS_PROBLEM_SIZE];
    snprintf(extra, sizeof(extra), "\"limit\":\"%s\"", slots_limit(u->object));
    slots_problem(u->object, problem);
    u->is_ordinary = false;
    fail(u, 503, extra, "%s cannot be started now: %s", u->object->id, problem);
}

static void decide(struct upload *u)
{
    const struct endpoint *e = &u->object->endpoint;
    /* one that does not load is told so by the usual way */
    u->is_ordinary = !e->metadata || e->uploads || u->object->station->stopping;
    if (!e->metadata && slots_limit(u->object))
        fail_no_worker(u);
}

static void on_loaded(void *arg)
{
    struct upload *u = arg;
    u->is_waiting = false;
    if (!u->exchange) {
        free_upload(u);
        return;
    }
    decide(u);
    exchange_resume_body(u->exchange);
}

static void wait_until_loaded(struct upload *u)
{
    u->is_waiting = true;
    exchange_pause_body(u->exchange);
    if (lifecycle_when_loaded(u->object, on_loaded, u) == 0)
        return;
    u->is_waiting = false;
    u->is_ordinary = true;
    exchange_resume_body(u->exchange);
}

void upload_begin(struct object *o, struct exchange *x)
{
    static const struct exchange_sink sink = {on_bytes, on_end, on_gone};
    struct upload *u = calloc(1, sizeof(*u));
    if (!u)
        return; /* gathered, and then refused for the same reason or taken */
    u->object = o;
    u->exchange = x;
    u->fd = -1;
    if (multipart_open(&u->form, exchange_header(x, "Content-Type")) < 0) {
        free_upload(u);
        return;
    }
    u->denied = exchange_management(x, &u->why_denied);
    exchange_receive(x, &sink, u);
    if (o->endpoint.metadata)
        decide(u);
    else
        wait_until_loaded(u);
}
