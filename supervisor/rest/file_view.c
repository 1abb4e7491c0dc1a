// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/file_view.h"

#include "common/file_store.h"
#include "common/json_text.h"
#include "supervisor/files/file_changes.h"
#include "supervisor/files/files.h"
#include "supervisor/http/exchange.h"
#include "supervisor/objects/object.h"
#include "supervisor/rest/byte_range.h"
#include "supervisor/rest/document_error.h"
#include "supervisor/rest/file_head.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/query.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/station.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct file_request {
    struct object *object;
    struct exchange *exchange;
    struct buf name; /* NUL-terminated; empty for the list */
};

static void free_request(struct file_request *r)
{
    buf_free(&r->name);
    free(r);
}

static void no_memory(struct exchange *x)
{
    exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another request");
}

/* fn(request) once everything accepted is visible. */
static void when_visible(struct object *o, struct exchange *x, struct buf name,
                         void (*fn)(void *arg))
{
    struct file_request *r = malloc(sizeof(*r));
    if (!r) {
        buf_free(&name);
        no_memory(x);
        return;
    }
    *r = (struct file_request){o, x, name};
    if (file_changes_when_visible(o, fn, r) < 0) {
        free_request(r);
        no_memory(x);
    }
}

/* --- the list --- */

static void on_list(void *arg, int err, int fd, uint64_t size)
{
    struct file_request *r = arg;
    struct exchange_reply reply = {
        .status = 200, .content_type = JSON_CONTENT_TYPE, .body_fd = fd, .body_size = size};
    if (err)
        document_error(r->exchange, r->object, "the files of", err);
    else
        exchange_reply(r->exchange, &reply);
    free_request(r);
}

static void ask_list(void *arg)
{
    struct file_request *r = arg;
    scribe_files_list(r->object->station->scribe, r->object->id, on_list, r);
}

void view_files(struct object *o, struct exchange *x)
{
    when_visible(o, x, BUF_INIT, ask_list);
}

/* --- one file --- */

static int open_file(const struct file_request *r, struct stat *st)
{
    int store = files_store_fd(r->object->station->files);
    int folder = file_store_folder(store, r->object->id, false);
    if (folder < 0)
        return folder;
    int fd = file_store_read(folder, r->name.data, st);
    close(folder);
    return fd;
}

static void not_there(struct file_request *r, int err)
{
    if (err == -ENOENT || err == -ENOTDIR)
        exchange_error(r->exchange, 404, NULL, "%s has no file %s", r->object->id, r->name.data);
    else
        exchange_error(r->exchange, 503, NULL, "%s cannot be read: %s", r->name.data,
                       strerror(-err));
}

struct file_fields {
    struct exchange_field all[8];
    size_t count;
    struct buf etag, date, disposition, range;
};

static void add_field(struct file_fields *f, const char *name, struct buf *value)
{
    f->all[f->count++] = (struct exchange_field){name, buf_str(value)};
}

static void fill_fields(struct file_fields *f, const char *name, const struct stat *st)
{
    file_head_etag(&f->etag, st);
    file_head_date(&f->date, st);
    file_head_disposition(&f->disposition, name);
    add_field(f, "ETag", &f->etag);
    add_field(f, "Last-Modified", &f->date);
    add_field(f, "Content-Disposition", &f->disposition);
    f->all[f->count++] = (struct exchange_field){"Accept-Ranges", "bytes"};
    f->all[f->count++] = (struct exchange_field){"Cache-Control", "no-cache"};
    /* Who uploads a page or a picture with a script in it must not act in the station's name. */
    f->all[f->count++] = (struct exchange_field){"X-Content-Type-Options", "nosniff"};
    f->all[f->count++] = (struct exchange_field){
        "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"};
}

static void free_fields(struct file_fields *f)
{
    buf_free(&f->etag);
    buf_free(&f->date);
    buf_free(&f->disposition);
    buf_free(&f->range);
}

/* If-Range names what the client has a part of; if that is another, it gets all of this one. */
static enum byte_range_verdict wanted_range(struct exchange *x, const struct file_fields *f,
                                            uint64_t size, struct byte_range *range)
{
    struct span condition = exchange_header(x, "If-Range");
    if (!span_equal(exchange_request(x)->method, "GET"))
        return BYTE_RANGE_ALL; /* a range of a HEAD means nothing */
    if (condition.data && !span_equal(condition, f->etag.data) &&
        !span_equal(condition, f->date.data))
        return BYTE_RANGE_ALL;
    return byte_range_parse(exchange_header(x, "Range"), size, range);
}

static void refuse_range(struct exchange *x, struct file_fields *f, uint64_t size)
{
    buf_printf(&f->range, "bytes */%llu", (unsigned long long)size);
    static const char text[] = "{\"status\":\"error\",\"error\":\"the range begins behind the end "
                               "of the file\"}";
    struct exchange_field field = {"Content-Range", buf_str(&f->range)};
    struct exchange_reply reply = {.status = 416,
                                   .content_type = JSON_CONTENT_TYPE,
                                   .fields = &field,
                                   .field_count = 1,
                                   .body = strdup(text),
                                   .body_size = sizeof(text) - 1};
    if (reply.body)
        exchange_reply(x, &reply);
    else
        no_memory(x);
}

static void send_part(struct exchange *x, struct file_fields *f, int fd, uint64_t size,
                      const struct byte_range *range, struct exchange_reply *reply)
{
    reply->status = 206;
    reply->body_fd = fd;
    reply->body_offset = range->first;
    reply->body_size = range->length;
    buf_printf(&f->range, "bytes %llu-%llu/%llu", (unsigned long long)range->first,
               (unsigned long long)(range->first + range->length - 1), (unsigned long long)size);
    add_field(f, "Content-Range", &f->range);
    reply->field_count = f->count;
    exchange_reply(x, reply);
}

/* Takes fd over. */
static void send_file(struct file_request *r, int fd, const struct stat *st)
{
    struct exchange *x = r->exchange;
    struct file_fields f = {.count = 0};
    struct byte_range range;
    uint64_t size = (uint64_t)st->st_size;
    fill_fields(&f, r->name.data, st);
    struct exchange_reply reply = {.status = 200,
                                   .content_type = file_head_type(r->name.data),
                                   .fields = f.all,
                                   .field_count = f.count,
                                   .body_fd = fd,
                                   .body_size = size,
                                   .is_file = true};
    struct span known = exchange_header(x, "If-None-Match");
    enum byte_range_verdict verdict = wanted_range(x, &f, size, &range);
    if (known.data && file_head_matches(known, f.etag.data)) {
        reply.status = 304;
        exchange_reply(x, &reply);
    } else if (verdict == BYTE_RANGE_NONE) {
        close(fd);
        refuse_range(x, &f, size);
    } else if (verdict == BYTE_RANGE_PART) {
        send_part(x, &f, fd, size, &range, &reply);
    } else {
        exchange_reply(x, &reply);
    }
    free_fields(&f);
}

static void find_and_send(void *arg)
{
    struct file_request *r = arg;
    struct stat st;
    int fd = open_file(r, &st);
    if (fd < 0) {
        not_there(r, fd);
    } else {
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        send_file(r, fd, &st);
    }
    free_request(r);
}

/* The name that is asked for, or false: answered. */
static bool take_name(struct exchange *x, struct buf *name)
{
    int found = query_once(exchange_request(x)->query, "file", name);
    const char *problem = NULL;
    if (found < 0)
        exchange_error(x, 400, NULL, "file is given twice");
    else if (!buf_ok(name))
        no_memory(x);
    else if ((problem = file_store_name_problem((struct span){buf_str(name), name->len})))
        exchange_error(x, 400, NULL, "no file can have that name: %s", problem);
    else
        return true;
    buf_free(name);
    return false;
}

void view_file(struct object *o, struct exchange *x)
{
    struct buf name = BUF_INIT;
    if (exchange_request(x)->is_inside) {
        exchange_error(x, 400, NULL, "files of an object are fetched over HTTP, or by itself");
        return;
    }
    if (take_name(x, &name))
        when_visible(o, x, name, find_and_send);
}

/* --- deleting --- */

static void on_deleted(void *arg, int err, unsigned limit, uint64_t seq)
{
    struct file_request *r = arg;
    (void)limit, (void)seq;
    if (err) {
        bool is_full = err == -ENOSPC;
        exchange_error(r->exchange, is_full ? 507 : 503, is_full ? "\"limit\":\"disk\"" : NULL,
                       "%s could not be deleted: %s", r->name.data, strerror(-err));
    } else {
        struct buf json = BUF_INIT;
        buf_puts(&json, "{\"status\":\"ok\",\"message\":\"the file is deleted\"");
        json_put_member(&json, "object_id", r->object->id);
        json_put_member(&json, "file", r->name.data);
        buf_putc(&json, '}');
        json_reply(r->exchange, 200, &json);
    }
    free_request(r);
}

static void find_and_delete(void *arg)
{
    struct file_request *r = arg;
    struct stat st;
    int fd = open_file(r, &st);
    if (fd < 0) {
        not_there(r, fd);
        free_request(r);
        return;
    }
    close(fd);
    files_delete(r->object, (struct span){r->name.data, r->name.len}, on_deleted, r);
}

void view_file_delete(struct object *o, struct exchange *x)
{
    struct buf name = BUF_INIT;
    if (take_name(x, &name))
        when_visible(o, x, name, find_and_delete);
}
