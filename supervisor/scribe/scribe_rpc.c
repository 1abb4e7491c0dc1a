// SPDX-License-Identifier: Apache-2.0
/* Longer than other files: all messages of one socket, two small functions each. */
#include "supervisor/scribe/scribe_rpc.h"

#include "common/log.h"
#include "supervisor/versions/object_file.h"

#include <limits.h>
#include <string.h>

enum { ERRNO_MAX = 4095 /* the kernel's own bound */ };

static void put_span(struct buf *out, struct span s)
{
    codec_put_bytes(out, s.data, s.len);
}

static struct codec_reader reader_of(struct span payload)
{
    return codec_reader_of(payload.data, payload.len);
}

void scribe_rpc_object_encode(struct buf *out, const struct scribe_rpc_object *o)
{
    put_span(out, o->object_id);
    codec_put_u64(out, o->after_seq);
    codec_put_u64(out, o->upto_seq);
}

bool scribe_rpc_object_next(struct codec_reader *r, struct scribe_rpc_object *o)
{
    if (r->pos == r->len)
        return false;
    o->object_id = codec_bytes(r);
    o->after_seq = codec_u64(r);
    o->upto_seq = codec_u64(r);
    if (o->object_id.len == 0)
        r->failed = true;
    return !r->failed;
}

void scribe_rpc_checkpoint_encode(struct buf *out, const struct scribe_rpc_checkpoint *m)
{
    codec_put_u32(out, m->object_count);
    put_span(out, m->objects);
}

bool scribe_rpc_checkpoint_decode(struct span payload, struct scribe_rpc_checkpoint *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_count = codec_u32(&r);
    m->objects = codec_bytes(&r);
    struct codec_reader each = reader_of(m->objects);
    struct scribe_rpc_object o;
    uint32_t seen = 0;
    while (scribe_rpc_object_next(&each, &o))
        seen++;
    return codec_finish(&r) && codec_finish(&each) && seen == m->object_count;
}

void scribe_rpc_checkpointed_encode(struct buf *out, const struct scribe_rpc_checkpointed *m)
{
    codec_put_u32(out, m->index);
    codec_put_u32(out, m->error);
    codec_put_u64(out, m->keys);
}

bool scribe_rpc_checkpointed_decode(struct span payload, struct scribe_rpc_checkpointed *m)
{
    struct codec_reader r = reader_of(payload);
    m->index = codec_u32(&r);
    m->error = codec_u32(&r);
    m->keys = codec_u64(&r);
    return codec_finish(&r) && m->error <= ERRNO_MAX;
}

void scribe_rpc_dump_encode(struct buf *out, const struct scribe_rpc_dump *m)
{
    put_span(out, m->object_id);
    put_span(out, m->key);
    put_span(out, m->prefix);
    put_span(out, m->suffix);
    codec_put_u32(out, m->write_count);
    put_span(out, m->writes);
}

bool scribe_rpc_dump_decode(struct span payload, struct scribe_rpc_dump *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->key = codec_bytes(&r);
    m->prefix = codec_bytes(&r);
    m->suffix = codec_bytes(&r);
    m->write_count = codec_u32(&r);
    m->writes = codec_bytes(&r);
    struct codec_reader each = reader_of(m->writes);
    struct rpc_write w;
    uint32_t seen = 0;
    while (rpc_write_next(&each, &w))
        seen++;
    return codec_finish(&r) && codec_finish(&each) && seen == m->write_count &&
           m->object_id.len > 0;
}

static void put_position(struct buf *out, const struct scribe_rpc_position *p)
{
    codec_put_u8(out, p->is_set);
    codec_put_u64(out, p->inode);
    codec_put_u64(out, p->size);
}

static struct scribe_rpc_position take_position(struct codec_reader *r)
{
    struct scribe_rpc_position p;
    uint8_t is_set = codec_u8(r);
    p.is_set = is_set == 1;
    r->failed |= is_set > 1;
    p.inode = codec_u64(r);
    p.size = codec_u64(r);
    return p;
}

void scribe_rpc_search_encode(struct buf *out, const struct scribe_rpc_search *m)
{
    put_span(out, m->object_id);
    codec_put_u32(out, (uint32_t)m->form);
    codec_put_u32(out, m->levels);
    codec_put_u64(out, m->limit);
    codec_put_u64(out, m->offset);
    codec_put_u64(out, m->since_us);
    codec_put_u64(out, m->until_us);
    put_position(out, &m->upto);
    codec_put_u64(out, m->read_max);
    codec_put_u64(out, m->answer_max);
    codec_put_u32(out, m->filter_count);
    put_span(out, m->filters);
}

bool scribe_rpc_search_decode(struct span payload, struct scribe_rpc_search *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->form = (enum scribe_rpc_form)codec_u32(&r);
    m->levels = codec_u32(&r);
    m->limit = codec_u64(&r);
    m->offset = codec_u64(&r);
    m->since_us = codec_u64(&r);
    m->until_us = codec_u64(&r);
    m->upto = take_position(&r);
    m->read_max = codec_u64(&r);
    m->answer_max = codec_u64(&r);
    m->filter_count = codec_u32(&r);
    m->filters = codec_bytes(&r);
    struct codec_reader each = reader_of(m->filters);
    struct rpc_field f;
    uint32_t seen = 0;
    while (rpc_field_next(&each, &f))
        seen++;
    return codec_finish(&r) && codec_finish(&each) && seen == m->filter_count &&
           m->object_id.len > 0 && m->form < SCRIBE_RPC_FORMS;
}

void scribe_rpc_log_count_encode(struct buf *out, const struct scribe_rpc_log_count *m)
{
    put_span(out, m->object_id);
    put_position(out, &m->upto);
}

bool scribe_rpc_log_count_decode(struct span payload, struct scribe_rpc_log_count *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->upto = take_position(&r);
    return codec_finish(&r) && m->object_id.len > 0;
}

void scribe_rpc_log_keep_encode(struct buf *out, const struct scribe_rpc_log_keep *m)
{
    put_span(out, m->object_id);
    codec_put_u64(out, m->files);
    codec_put_u64(out, m->seconds);
}

bool scribe_rpc_log_keep_decode(struct span payload, struct scribe_rpc_log_keep *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->files = codec_u64(&r);
    m->seconds = codec_u64(&r);
    return codec_finish(&r);
}

void scribe_rpc_log_setup_encode(struct buf *out, const struct scribe_rpc_log_setup *m)
{
    codec_put_u32(out, m->format);
    codec_put_u32(out, m->level);
}

bool scribe_rpc_log_setup_decode(struct span payload, struct scribe_rpc_log_setup *m)
{
    struct codec_reader r = reader_of(payload);
    m->format = codec_u32(&r);
    m->level = codec_u32(&r);
    return codec_finish(&r) && m->format <= LOG_FORMAT_TEXT && m->level <= LOG_LEVEL_ERROR;
}

void scribe_rpc_log_removed_encode(struct buf *out, const struct scribe_rpc_log_removed *m)
{
    put_span(out, m->object_id);
    codec_put_u64(out, m->files);
    codec_put_u64(out, m->lines);
}

bool scribe_rpc_log_removed_decode(struct span payload, struct scribe_rpc_log_removed *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->files = codec_u64(&r);
    m->lines = codec_u64(&r);
    return codec_finish(&r) && m->object_id.len > 0;
}

void scribe_rpc_schedules_encode(struct buf *out, const struct scribe_rpc_schedules *m)
{
    codec_put_u64(out, m->upto_seq);
}

bool scribe_rpc_schedules_decode(struct span payload, struct scribe_rpc_schedules *m)
{
    struct codec_reader r = codec_reader_of(payload.data, payload.len);
    m->upto_seq = codec_u64(&r);
    return codec_finish(&r) && m->upto_seq > 0;
}

void scribe_rpc_measure_encode(struct buf *out, const struct scribe_rpc_measure *m)
{
    codec_put_u32(out, m->count);
    for (uint32_t i = 0; i < m->count; i++)
        codec_put_u32(out, m->pids[i]);
}

bool scribe_rpc_measure_decode(struct span payload, struct scribe_rpc_measure *m)
{
    struct codec_reader r = reader_of(payload);
    m->count = codec_u32(&r);
    for (uint32_t i = 0; i < m->count && i < SCRIBE_MEASURE_MAX; i++)
        m->pids[i] = codec_u32(&r);
    return codec_finish(&r) && m->count <= SCRIBE_MEASURE_MAX;
}

void scribe_rpc_measured_encode(struct buf *out, const struct scribe_rpc_measured *m)
{
    codec_put_u32(out, m->error);
    codec_put_u32(out, m->count);
    for (uint32_t i = 0; i < m->count; i++)
        codec_put_u64(out, m->bytes[i]);
}

bool scribe_rpc_measured_decode(struct span payload, struct scribe_rpc_measured *m)
{
    struct codec_reader r = reader_of(payload);
    m->error = codec_u32(&r);
    m->count = codec_u32(&r);
    for (uint32_t i = 0; i < m->count && i < SCRIBE_MEASURE_MAX; i++)
        m->bytes[i] = codec_u64(&r);
    return codec_finish(&r) && m->error <= ERRNO_MAX && m->count <= SCRIBE_MEASURE_MAX;
}

void scribe_rpc_number_encode(struct buf *out, const struct scribe_rpc_number *m)
{
    codec_put_u32(out, m->error);
    codec_put_u64(out, m->value);
}

bool scribe_rpc_number_decode(struct span payload, struct scribe_rpc_number *m)
{
    struct codec_reader r = reader_of(payload);
    m->error = codec_u32(&r);
    m->value = codec_u64(&r);
    return codec_finish(&r) && m->error <= ERRNO_MAX;
}

void scribe_rpc_version_write_encode(struct buf *out, const struct scribe_rpc_version_write *m)
{
    put_span(out, m->object_id);
    put_span(out, m->author);
    put_span(out, m->message);
    put_span(out, m->content);
    codec_put_u64(out, m->wall_us);
    codec_put_u32(out, m->is_rejected);
    put_span(out, m->reason);
    put_span(out, m->objects_dir);
    put_span(out, m->file);
    codec_put_u32(out, m->expect);
    codec_put_bytes(out, m->expected.bytes, sizeof(m->expected.bytes));
}

bool scribe_rpc_version_write_decode(struct span payload, struct scribe_rpc_version_write *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->author = codec_bytes(&r);
    m->message = codec_bytes(&r);
    m->content = codec_bytes(&r);
    m->wall_us = codec_u64(&r);
    m->is_rejected = codec_u32(&r);
    m->reason = codec_bytes(&r);
    m->objects_dir = codec_bytes(&r);
    m->file = codec_bytes(&r);
    m->expect = codec_u32(&r);
    struct span hash = codec_bytes(&r);
    if (!codec_finish(&r) || hash.len != sizeof(m->expected.bytes))
        return false;
    memcpy(m->expected.bytes, hash.data, hash.len);
    return m->object_id.len > 0 && m->is_rejected <= 1 && m->expect < OBJECT_FILE_EXPECTS;
}

void scribe_rpc_version_written_encode(struct buf *out, const struct scribe_rpc_version_written *m)
{
    codec_put_u32(out, m->error);
    codec_put_u32(out, m->in_objects);
    codec_put_u64(out, m->version);
}

bool scribe_rpc_version_written_decode(struct span payload, struct scribe_rpc_version_written *m)
{
    struct codec_reader r = reader_of(payload);
    m->error = codec_u32(&r);
    m->in_objects = codec_u32(&r);
    m->version = codec_u64(&r);
    return codec_finish(&r) && m->error <= ERRNO_MAX && (m->error == 0) == (m->version > 0);
}

void scribe_rpc_version_list_encode(struct buf *out, const struct scribe_rpc_version_list *m)
{
    put_span(out, m->object_id);
    codec_put_u64(out, m->limit);
    codec_put_u64(out, m->offset);
    codec_put_u64(out, m->after);
}

bool scribe_rpc_version_list_decode(struct span payload, struct scribe_rpc_version_list *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->limit = codec_u64(&r);
    m->offset = codec_u64(&r);
    m->after = codec_u64(&r);
    return codec_finish(&r) && m->object_id.len > 0;
}

void scribe_rpc_version_read_encode(struct buf *out, const struct scribe_rpc_version_read *m)
{
    put_span(out, m->object_id);
    codec_put_u64(out, m->version);
    codec_put_u32(out, m->is_bare);
}

bool scribe_rpc_version_read_decode(struct span payload, struct scribe_rpc_version_read *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->version = codec_u64(&r);
    m->is_bare = codec_u32(&r);
    return codec_finish(&r) && m->object_id.len > 0 && m->is_bare <= 1;
}

void scribe_rpc_crash_write_encode(struct buf *out, const struct scribe_rpc_crash_write *m)
{
    put_span(out, m->object_id);
    put_span(out, m->crash_id);
    codec_put_u64(out, m->object_max);
    codec_put_u64(out, m->station_max);
    codec_put_u64(out, m->log_lines);
    put_position(out, &m->log_upto);
    put_span(out, m->report);
}

bool scribe_rpc_crash_write_decode(struct span payload, struct scribe_rpc_crash_write *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->crash_id = codec_bytes(&r);
    m->object_max = codec_u64(&r);
    m->station_max = codec_u64(&r);
    m->log_lines = codec_u64(&r);
    m->log_upto = take_position(&r);
    m->report = codec_bytes(&r);
    return codec_finish(&r) && m->object_id.len > 0 && m->crash_id.len > 0;
}

void scribe_rpc_crash_read_encode(struct buf *out, const struct scribe_rpc_crash_read *m)
{
    put_span(out, m->object_id);
    put_span(out, m->crash_id);
    codec_put_u64(out, m->limit);
}

bool scribe_rpc_crash_read_decode(struct span payload, struct scribe_rpc_crash_read *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->crash_id = codec_bytes(&r);
    m->limit = codec_u64(&r);
    return codec_finish(&r) && m->object_id.len > 0;
}

void scribe_rpc_document_encode(struct buf *out, const struct scribe_rpc_document *m)
{
    codec_put_u32(out, m->error);
    codec_put_u64(out, m->size);
}

bool scribe_rpc_document_decode(struct span payload, struct scribe_rpc_document *m)
{
    struct codec_reader r = reader_of(payload);
    m->error = codec_u32(&r);
    m->size = codec_u64(&r);
    return codec_finish(&r) && m->error <= ERRNO_MAX;
}

void scribe_rpc_files_encode(struct buf *out, const struct scribe_rpc_files *m)
{
    codec_put_u32(out, m->action);
    put_span(out, m->object_id);
    put_span(out, m->owner);
    codec_put_u64(out, m->bytes_max);
    codec_put_u64(out, m->count_max);
    rpc_files_encode(out, &m->files);
}

bool scribe_rpc_files_decode(struct span payload, struct scribe_rpc_files *m)
{
    struct codec_reader r = reader_of(payload);
    uint32_t action = codec_u32(&r);
    m->action = action;
    m->object_id = codec_bytes(&r);
    m->owner = codec_bytes(&r);
    m->bytes_max = codec_u64(&r);
    m->count_max = codec_u64(&r);
    bool files_ok = rpc_files_decode(&r, &m->files);
    return codec_finish(&r) && files_ok && action < SCRIBE_FILES_ACTIONS && m->object_id.len > 0;
}

void scribe_rpc_files_done_encode(struct buf *out, const struct scribe_rpc_files_done *m)
{
    codec_put_u32(out, m->error);
    codec_put_u32(out, m->limit);
}

bool scribe_rpc_files_done_decode(struct span payload, struct scribe_rpc_files_done *m)
{
    struct codec_reader r = reader_of(payload);
    m->error = codec_u32(&r);
    uint32_t limit = codec_u32(&r);
    m->limit = limit;
    return codec_finish(&r) && m->error <= ERRNO_MAX && limit < SCRIBE_FILES_LIMITS;
}

void scribe_rpc_list_encode(struct buf *out, const struct scribe_rpc_list *m)
{
    put_span(out, m->object_id);
}

bool scribe_rpc_list_decode(struct span payload, struct scribe_rpc_list *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    return codec_finish(&r) && m->object_id.len > 0;
}

void scribe_rpc_tree_scan_encode(struct buf *out, const struct scribe_rpc_tree_scan *m)
{
    put_span(out, m->objects_dir);
    put_span(out, m->prefix);
}

bool scribe_rpc_tree_scan_decode(struct span payload, struct scribe_rpc_tree_scan *m)
{
    struct codec_reader r = reader_of(payload);
    m->objects_dir = codec_bytes(&r);
    m->prefix = codec_bytes(&r);
    return codec_finish(&r) && m->objects_dir.len > 0;
}

void scribe_rpc_tree_entry_encode(struct buf *out, const struct scribe_rpc_tree_entry *e)
{
    codec_put_u8(out, (uint8_t)e->kind);
    codec_put_u32(out, e->watch);
    codec_put_u32(out, e->error);
    put_span(out, e->path);
}

/* A folder's path ends in a slash, but for the objects folder itself, which has none. */
static bool path_fits(const struct scribe_rpc_tree_entry *e)
{
    bool is_folder = e->path.len == 0 || e->path.data[e->path.len - 1] == '/';
    return is_folder == (e->kind != SCRIBE_TREE_FILE) && e->path.len < PATH_MAX &&
           (e->path.len == 0 || !memchr(e->path.data, '\0', e->path.len));
}

bool scribe_rpc_tree_entry_next(struct codec_reader *r, struct scribe_rpc_tree_entry *e)
{
    if (r->pos == r->len)
        return false;
    uint8_t kind = codec_u8(r);
    e->kind = kind;
    e->watch = codec_u32(r);
    e->error = codec_u32(r);
    e->path = codec_bytes(r);
    if (r->failed || kind >= SCRIBE_TREE_KINDS || e->error > ERRNO_MAX || e->watch > INT32_MAX ||
        !path_fits(e))
        r->failed = true;
    return !r->failed;
}

void scribe_rpc_tree_found_encode(struct buf *out, const struct scribe_rpc_tree_found *m)
{
    codec_put_u32(out, m->count);
    put_span(out, m->entries);
}

bool scribe_rpc_tree_found_decode(struct span payload, struct scribe_rpc_tree_found *m)
{
    struct codec_reader r = reader_of(payload);
    m->count = codec_u32(&r);
    m->entries = codec_bytes(&r);
    struct codec_reader each = reader_of(m->entries);
    struct scribe_rpc_tree_entry e;
    uint32_t seen = 0;
    while (scribe_rpc_tree_entry_next(&each, &e))
        seen++;
    return codec_finish(&r) && codec_finish(&each) && seen == m->count;
}
