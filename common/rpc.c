// SPDX-License-Identifier: Apache-2.0
#include "common/rpc.h"

#include "common/file_store.h"

static const struct rpc_message {
    uint16_t type;
    uint16_t senders; /* enum rpc_sender, a mask */
    unsigned fds_max;
    const char *name;
} messages[] = {
#define RPC_MESSAGE(name, number, sender, fds, meaning) {number, sender, fds, #name},
#include "common/rpc_messages.def"
#undef RPC_MESSAGE
};

static const struct rpc_message *message_of(uint16_t type)
{
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        if (messages[i].type == type)
            return &messages[i];
    return NULL;
}

const char *rpc_name(uint16_t type)
{
    const struct rpc_message *m = message_of(type);
    return m ? m->name : "?";
}

bool rpc_message_allowed(uint16_t type, enum rpc_sender sender, unsigned fds)
{
    const struct rpc_message *m = message_of(type);
    return m && (m->senders & sender) && fds <= m->fds_max;
}

static void put_span(struct buf *out, struct span s)
{
    codec_put_bytes(out, s.data, s.len);
}

static struct codec_reader reader_of(struct span payload)
{
    return codec_reader_of(payload.data, payload.len);
}

static bool one_of(uint32_t value, uint32_t count)
{
    return value < count;
}

void rpc_hello_encode(struct buf *out, const struct rpc_hello *m)
{
    codec_put_u32(out, m->version);
    codec_put_u32(out, m->role);
}

bool rpc_hello_decode(struct span payload, struct rpc_hello *m)
{
    struct codec_reader r = reader_of(payload);
    m->version = codec_u32(&r);
    m->role = codec_u32(&r);
    return codec_finish(&r);
}

void rpc_write_encode(struct buf *out, const struct rpc_write *w)
{
    codec_put_u8(out, (uint8_t)w->op);
    put_span(out, w->key);
    put_span(out, w->value);
}

bool rpc_write_next(struct codec_reader *r, struct rpc_write *w)
{
    if (r->pos == r->len)
        return false;
    uint8_t op = codec_u8(r);
    w->op = op;
    w->key = codec_bytes(r);
    w->value = codec_bytes(r);
    bool is_set = op == RPC_WRITE_SET && w->value.len > 0;
    bool is_delete = op == RPC_WRITE_DELETE && w->value.len == 0;
    if (w->key.len == 0 || (!is_set && !is_delete))
        r->failed = true;
    return !r->failed;
}

static bool writes_valid(struct span writes, uint32_t count)
{
    struct codec_reader r = reader_of(writes);
    struct rpc_write w;
    uint32_t seen = 0;
    while (rpc_write_next(&r, &w))
        seen++;
    return codec_finish(&r) && seen == count;
}

void rpc_file_encode(struct buf *out, const struct rpc_file *f)
{
    codec_put_u8(out, (uint8_t)f->op);
    put_span(out, f->name);
    put_span(out, f->token);
    codec_put_u64(out, f->size);
}

bool rpc_file_next(struct codec_reader *r, struct rpc_file *f)
{
    if (r->pos == r->len)
        return false;
    uint8_t op = codec_u8(r);
    f->op = op;
    f->name = codec_bytes(r);
    f->token = codec_bytes(r);
    f->size = codec_u64(r);
    bool is_delete = op == RPC_FILE_DELETE && f->size == 0;
    if ((op != RPC_FILE_PUT && !is_delete) || file_store_name_problem(f->name) ||
        !file_store_token_valid(f->token))
        r->failed = true;
    return !r->failed;
}

void rpc_files_encode(struct buf *out, const struct rpc_files *m)
{
    codec_put_u32(out, m->count);
    put_span(out, m->files);
}

bool rpc_files_decode(struct codec_reader *r, struct rpc_files *m)
{
    m->count = codec_u32(r);
    m->files = codec_bytes(r);
    struct codec_reader each = reader_of(m->files);
    struct rpc_file f;
    uint32_t seen = 0;
    while (rpc_file_next(&each, &f))
        seen++;
    return codec_finish(&each) && seen == m->count;
}

const char *const rpc_misfire_names[RPC_MISFIRES] = {
    [RPC_MISFIRE_ONCE] = "once", [RPC_MISFIRE_SKIP] = "skip", [RPC_MISFIRE_ALL] = "all"};

void rpc_schedule_encode(struct buf *out, const struct rpc_schedule *s)
{
    codec_put_u8(out, (uint8_t)s->op);
    put_span(out, s->function);
    put_span(out, s->payload);
    put_span(out, s->when);
    codec_put_u8(out, (uint8_t)s->misfire);
}

bool rpc_schedule_next(struct codec_reader *r, struct rpc_schedule *s)
{
    if (r->pos == r->len)
        return false;
    uint8_t op = codec_u8(r);
    s->op = op;
    s->function = codec_bytes(r);
    s->payload = codec_bytes(r);
    s->when = codec_bytes(r);
    uint8_t misfire = codec_u8(r);
    s->misfire = misfire;
    bool is_set = op == RPC_SCHEDULE_SET;
    if (op < RPC_SCHEDULE_SET || op > RPC_SCHEDULE_DELETE_ONE || misfire >= RPC_MISFIRES ||
        is_set != (s->when.len > 0) || (op != RPC_SCHEDULE_DELETE && s->function.len == 0))
        r->failed = true;
    return !r->failed;
}

static bool schedules_decode(struct codec_reader *r, struct rpc_schedules *m)
{
    m->count = codec_u32(r);
    m->schedules = codec_bytes(r);
    struct codec_reader each = reader_of(m->schedules);
    struct rpc_schedule s;
    uint32_t seen = 0;
    while (rpc_schedule_next(&each, &s))
        seen++;
    return codec_finish(&each) && seen == m->count;
}

static void state_encode(struct buf *out, const struct rpc_state *s)
{
    codec_put_u8(out, s->has_checkpoint);
    codec_put_u32(out, s->write_count);
    put_span(out, s->writes);
    rpc_files_encode(out, &s->files);
}

static bool state_decode(struct codec_reader *r, struct rpc_state *s)
{
    uint8_t has_checkpoint = codec_u8(r);
    s->has_checkpoint = has_checkpoint;
    s->write_count = codec_u32(r);
    s->writes = codec_bytes(r);
    bool files_ok = rpc_files_decode(r, &s->files);
    return files_ok && one_of(has_checkpoint, 2) && writes_valid(s->writes, s->write_count);
}

void rpc_load_encode(struct buf *out, const struct rpc_load *m)
{
    put_span(out, m->object_id);
    put_span(out, m->path);
    put_span(out, m->source);
    put_span(out, m->settings);
    state_encode(out, &m->state);
}

bool rpc_load_decode(struct span payload, struct rpc_load *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->path = codec_bytes(&r);
    m->source = codec_bytes(&r);
    m->settings = codec_bytes(&r);
    bool state_ok = state_decode(&r, &m->state);
    return codec_finish(&r) && state_ok;
}

void rpc_reset_encode(struct buf *out, const struct rpc_reset *m)
{
    state_encode(out, &m->state);
}

bool rpc_reset_decode(struct span payload, struct rpc_reset *m)
{
    struct codec_reader r = reader_of(payload);
    bool state_ok = state_decode(&r, &m->state);
    return codec_finish(&r) && state_ok;
}

void rpc_update_encode(struct buf *out, const struct rpc_update *m)
{
    codec_put_u32(out, m->write_count);
    put_span(out, m->writes);
    rpc_files_encode(out, &m->files);
}

bool rpc_update_decode(struct span payload, struct rpc_update *m)
{
    struct codec_reader r = reader_of(payload);
    m->write_count = codec_u32(&r);
    m->writes = codec_bytes(&r);
    bool files_ok = rpc_files_decode(&r, &m->files);
    return codec_finish(&r) && files_ok && writes_valid(m->writes, m->write_count);
}

void rpc_files_applied_encode(struct buf *out, const struct rpc_files_applied *m)
{
    rpc_files_encode(out, &m->files);
}

bool rpc_files_applied_decode(struct span payload, struct rpc_files_applied *m)
{
    struct codec_reader r = reader_of(payload);
    bool ok = rpc_files_decode(&r, &m->files);
    return codec_finish(&r) && ok;
}

void rpc_call_encode(struct buf *out, const struct rpc_call *m)
{
    codec_put_u8(out, (uint8_t)m->kind);
    put_span(out, m->method);
    put_span(out, m->target);
    codec_put_u32(out, m->path_skip);
    put_span(out, m->head);
    put_span(out, m->body);
    codec_put_u64(out, m->body_size);
    put_span(out, m->remote_addr);
    put_span(out, m->request_id);
    put_span(out, m->user);
    put_span(out, m->caller);
    codec_put_u64(out, m->expires_ns);
    codec_put_u32(out, m->management);
    codec_put_u8(out, m->readonly);
    codec_put_u64(out, m->timeout_ns);
}

bool rpc_call_decode(struct span payload, struct rpc_call *m)
{
    struct codec_reader r = reader_of(payload);
    uint8_t kind = codec_u8(&r);
    m->kind = kind;
    m->method = codec_bytes(&r);
    m->target = codec_bytes(&r);
    m->path_skip = codec_u32(&r);
    m->head = codec_bytes(&r);
    m->body = codec_bytes(&r);
    m->body_size = codec_u64(&r);
    m->remote_addr = codec_bytes(&r);
    m->request_id = codec_bytes(&r);
    m->user = codec_bytes(&r);
    m->caller = codec_bytes(&r);
    m->expires_ns = codec_u64(&r);
    m->management = codec_u32(&r);
    uint8_t readonly = codec_u8(&r);
    m->readonly = readonly;
    m->timeout_ns = codec_u64(&r);
    return codec_finish(&r) && one_of(kind, RPC_CALL_KINDS) && one_of(readonly, 2) &&
           m->path_skip <= m->target.len &&
           (m->management == 0 || (m->management >= 400 && m->management < 500)) &&
           !(m->body_size > 0 && m->body.len > 0);
}

void rpc_ready_encode(struct buf *out, const struct rpc_ready *m)
{
    put_span(out, m->metadata);
    codec_put_u8(out, m->has_health);
    codec_put_u8(out, m->has_migrate);
    codec_put_u64(out, m->migrated);
}

bool rpc_ready_decode(struct span payload, struct rpc_ready *m)
{
    struct codec_reader r = reader_of(payload);
    m->metadata = codec_bytes(&r);
    uint8_t health = codec_u8(&r), migrate = codec_u8(&r);
    m->has_health = health;
    m->has_migrate = migrate;
    m->migrated = codec_u64(&r);
    return codec_finish(&r) && one_of(health, 2) && one_of(migrate, 2);
}

void rpc_load_failed_encode(struct buf *out, const struct rpc_load_failed *m)
{
    put_span(out, m->error);
    put_span(out, m->traceback);
    codec_put_u32(out, m->line);
}

bool rpc_load_failed_decode(struct span payload, struct rpc_load_failed *m)
{
    struct codec_reader r = reader_of(payload);
    m->error = codec_bytes(&r);
    m->traceback = codec_bytes(&r);
    m->line = codec_u32(&r);
    return codec_finish(&r);
}

void rpc_field_encode(struct buf *out, const struct rpc_field *f)
{
    put_span(out, f->name);
    put_span(out, f->value);
}

bool rpc_field_next(struct codec_reader *r, struct rpc_field *f)
{
    if (r->pos == r->len)
        return false;
    f->name = codec_bytes(r);
    f->value = codec_bytes(r);
    if (f->name.len == 0)
        r->failed = true;
    return !r->failed;
}

static bool fields_valid(struct span fields, uint32_t count)
{
    struct codec_reader r = reader_of(fields);
    struct rpc_field f;
    uint32_t seen = 0;
    while (rpc_field_next(&r, &f))
        seen++;
    return codec_finish(&r) && seen == count;
}

void rpc_turn_done_encode(struct buf *out, const struct rpc_turn_done *m)
{
    codec_put_u32(out, m->status);
    codec_put_u8(out, (uint8_t)m->outcome);
    codec_put_u8(out, m->stream);
    put_span(out, m->content_type);
    codec_put_u32(out, m->field_count);
    put_span(out, m->fields);
    put_span(out, m->body);
    codec_put_u64(out, m->body_size);
    codec_put_u32(out, m->write_count);
    put_span(out, m->writes);
    rpc_files_encode(out, &m->files);
    codec_put_u32(out, m->schedules.count);
    put_span(out, m->schedules.schedules);
}

static bool turn_done_consistent(const struct rpc_turn_done *m)
{
    bool has_body = m->body.len > 0 || m->body_size > 0;
    if (m->status < 200 || m->status > 599)
        return false;
    if ((m->stream && has_body) || (m->body.len > 0 && m->body_size > 0))
        return false;
    return m->outcome == RPC_OUTCOME_OK ||
           (m->write_count == 0 && m->files.count == 0 && m->schedules.count == 0 && !m->stream);
}

bool rpc_turn_done_decode(struct span payload, struct rpc_turn_done *m)
{
    struct codec_reader r = reader_of(payload);
    m->status = codec_u32(&r);
    uint8_t outcome = codec_u8(&r);
    uint8_t stream = codec_u8(&r);
    m->outcome = outcome;
    m->stream = stream;
    m->content_type = codec_bytes(&r);
    m->field_count = codec_u32(&r);
    m->fields = codec_bytes(&r);
    m->body = codec_bytes(&r);
    m->body_size = codec_u64(&r);
    m->write_count = codec_u32(&r);
    m->writes = codec_bytes(&r);
    bool files_ok = rpc_files_decode(&r, &m->files),
         schedules_ok = schedules_decode(&r, &m->schedules);
    return codec_finish(&r) && files_ok && schedules_ok && one_of(outcome, RPC_OUTCOMES) &&
           one_of(stream, 2) && fields_valid(m->fields, m->field_count) &&
           writes_valid(m->writes, m->write_count) && turn_done_consistent(m);
}

void rpc_stream_chunk_encode(struct buf *out, const struct rpc_stream_chunk *m)
{
    put_span(out, m->bytes);
    codec_put_u64(out, m->size);
}

bool rpc_stream_chunk_decode(struct span payload, struct rpc_stream_chunk *m)
{
    struct codec_reader r = reader_of(payload);
    m->bytes = codec_bytes(&r);
    m->size = codec_u64(&r);
    return codec_finish(&r) && !(m->size > 0 && m->bytes.len > 0);
}

void rpc_stream_end_encode(struct buf *out, const struct rpc_stream_end *m)
{
    put_span(out, m->error);
}

bool rpc_stream_end_decode(struct span payload, struct rpc_stream_end *m)
{
    struct codec_reader r = reader_of(payload);
    m->error = codec_bytes(&r);
    return codec_finish(&r);
}

void rpc_ask_encode(struct buf *out, const struct rpc_ask *m)
{
    codec_put_u64(out, m->number);
    codec_put_u8(out, (uint8_t)m->kind);
    put_span(out, m->object);
    put_span(out, m->method);
    put_span(out, m->query);
    codec_put_u8(out, (uint8_t)m->body_kind);
    put_span(out, m->body);
    codec_put_u64(out, m->body_size);
    codec_put_u64(out, m->timeout_ns);
}

bool rpc_ask_decode(struct span payload, struct rpc_ask *m)
{
    struct codec_reader r = reader_of(payload);
    m->number = codec_u64(&r);
    uint8_t kind = codec_u8(&r);
    m->kind = kind;
    m->object = codec_bytes(&r);
    m->method = codec_bytes(&r);
    m->query = codec_bytes(&r);
    uint8_t body_kind = codec_u8(&r);
    m->body_kind = body_kind;
    m->body = codec_bytes(&r);
    m->body_size = codec_u64(&r);
    m->timeout_ns = codec_u64(&r);
    bool has_body = m->body.len > 0 || m->body_size > 0;
    return codec_finish(&r) && m->number && one_of(kind, RPC_ASK_KINDS) &&
           one_of(body_kind, RPC_ASK_BODIES) && !(m->body_size > 0 && m->body.len > 0) &&
           !(has_body && body_kind == RPC_ASK_NONE);
}

void rpc_answer_encode(struct buf *out, const struct rpc_answer *m)
{
    codec_put_u32(out, m->status);
    codec_put_u8(out, m->by_station);
    codec_put_u8(out, m->outcome);
    put_span(out, m->content_type);
    put_span(out, m->body);
    codec_put_u64(out, m->body_size);
}

bool rpc_answer_decode(struct span payload, struct rpc_answer *m)
{
    struct codec_reader r = reader_of(payload);
    m->status = codec_u32(&r);
    uint8_t by_station = codec_u8(&r);
    m->by_station = by_station;
    m->outcome = codec_u8(&r);
    m->content_type = codec_bytes(&r);
    m->body = codec_bytes(&r);
    m->body_size = codec_u64(&r);
    return codec_finish(&r) && one_of(by_station, 2) && one_of(m->outcome, RPC_OUTCOMES) &&
           !(m->body_size > 0 && m->body.len > 0);
}

void rpc_log_encode(struct buf *out, const struct rpc_log *m)
{
    put_span(out, m->level);
    codec_put_u64(out, m->wall_us);
    put_span(out, m->message);
    put_span(out, m->fields);
}

bool rpc_log_decode(struct span payload, struct rpc_log *m)
{
    struct codec_reader r = reader_of(payload);
    m->level = codec_bytes(&r);
    m->wall_us = codec_u64(&r);
    m->message = codec_bytes(&r);
    m->fields = codec_bytes(&r);
    return codec_finish(&r);
}

void rpc_outside_writes_encode(struct buf *out, const struct rpc_outside_writes *m)
{
    codec_put_u32(out, m->write_count);
    put_span(out, m->writes);
}

bool rpc_outside_writes_decode(struct span payload, struct rpc_outside_writes *m)
{
    struct codec_reader r = reader_of(payload);
    m->write_count = codec_u32(&r);
    m->writes = codec_bytes(&r);
    return codec_finish(&r) && writes_valid(m->writes, m->write_count);
}

void rpc_import_encode(struct buf *out, const struct rpc_import *i)
{
    put_span(out, i->path);
    codec_put_u64(out, i->hash);
}

bool rpc_import_next(struct codec_reader *r, struct rpc_import *i)
{
    if (r->pos == r->len)
        return false;
    i->path = codec_bytes(r);
    i->hash = codec_u64(r);
    if (i->path.len == 0)
        r->failed = true;
    return !r->failed;
}

void rpc_imports_encode(struct buf *out, const struct rpc_imports *m)
{
    codec_put_u32(out, m->import_count);
    put_span(out, m->imports);
}

bool rpc_imports_decode(struct span payload, struct rpc_imports *m)
{
    struct codec_reader r = reader_of(payload);
    m->import_count = codec_u32(&r);
    m->imports = codec_bytes(&r);
    struct codec_reader each = reader_of(m->imports);
    struct rpc_import i;
    uint32_t seen = 0;
    while (rpc_import_next(&each, &i))
        seen++;
    return codec_finish(&r) && codec_finish(&each) && seen == m->import_count;
}

void rpc_spawn_encode(struct buf *out, const struct rpc_spawn *m)
{
    codec_put_u32(out, m->slot);
    codec_put_u64(out, m->generation);
    codec_put_u64(out, m->mark);
    codec_put_u64(out, m->memory_bytes);
    codec_put_u32(out, m->open_files);
    codec_put_u32(out, m->processes);
    put_span(out, m->group);
    put_span(out, m->tasks);
}

bool rpc_spawn_decode(struct span payload, struct rpc_spawn *m)
{
    struct codec_reader r = reader_of(payload);
    m->slot = codec_u32(&r);
    m->generation = codec_u64(&r);
    m->mark = codec_u64(&r);
    m->memory_bytes = codec_u64(&r);
    m->open_files = codec_u32(&r);
    m->processes = codec_u32(&r);
    m->group = codec_bytes(&r);
    m->tasks = codec_bytes(&r);
    return codec_finish(&r);
}

void rpc_spawned_encode(struct buf *out, const struct rpc_spawned *m)
{
    codec_put_u32(out, m->slot);
    codec_put_u64(out, m->generation);
    codec_put_u32(out, m->pid);
}

bool rpc_spawned_decode(struct span payload, struct rpc_spawned *m)
{
    struct codec_reader r = reader_of(payload);
    m->slot = codec_u32(&r);
    m->generation = codec_u64(&r);
    m->pid = codec_u32(&r);
    return codec_finish(&r);
}

void rpc_spawn_failed_encode(struct buf *out, const struct rpc_spawn_failed *m)
{
    codec_put_u32(out, m->slot);
    codec_put_u64(out, m->generation);
    codec_put_u32(out, m->error);
}

bool rpc_spawn_failed_decode(struct span payload, struct rpc_spawn_failed *m)
{
    struct codec_reader r = reader_of(payload);
    m->slot = codec_u32(&r);
    m->generation = codec_u64(&r);
    m->error = codec_u32(&r);
    return codec_finish(&r);
}

void rpc_bury_encode(struct buf *out, const struct rpc_bury *m)
{
    codec_put_u64(out, m->generation);
}

bool rpc_bury_decode(struct span payload, struct rpc_bury *m)
{
    struct codec_reader r = reader_of(payload);
    m->generation = codec_u64(&r);
    return codec_finish(&r);
}

bool rpc_empty_decode(struct span payload)
{
    return payload.len == 0;
}
