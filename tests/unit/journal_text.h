// SPDX-License-Identifier: Apache-2.0
/*
 * journal_text - a journal segment made by hand. For unit tests only; include data_folder.h first.
 */
#ifndef TESTS_UNIT_JOURNAL_TEXT_H
#define TESTS_UNIT_JOURNAL_TEXT_H

#include "common/rpc.h"
#include "supervisor/state/record.h"
#include "supervisor/state/segment.h"

struct journal_text {
    struct buf text;
    uint64_t first_seq, next_seq, hlc;
};

static inline struct journal_text journal_text_begin(uint64_t first_seq)
{
    struct journal_text j = {
        .first_seq = first_seq, .next_seq = first_seq, .hlc = 1700000000000000ull};
    struct record_control header = {
        .boot = 1, .station = span_of("t"), .previous_seq = first_seq - 1};
    record_put_header(&j.text, (struct record_stamp){first_seq, j.hlc}, &header);
    return j;
}

/* One turn with one write; value NULL deletes. The n-th turn of a segment has hlc + n us. */
static inline void journal_text_turn(struct journal_text *j, const char *object_id, struct span key,
                                     const char *value)
{
    struct buf writes = BUF_INIT;
    struct rpc_write w = {value ? RPC_WRITE_SET : RPC_WRITE_DELETE, key,
                          value ? span_of(value) : (struct span){"", 0}};
    rpc_write_encode(&writes, &w);
    struct record_turn turn = {.object_id = span_of(object_id),
                               .request_id = span_of("r"),
                               .writes = {writes.data, writes.len},
                               .write_count = 1};
    record_put_turn(&j->text, record_seeds_of(j->first_seq, 1).turn,
                    (struct record_stamp){j->next_seq++, ++j->hlc}, &turn);
    buf_free(&writes);
}

static inline void journal_text_end(struct journal_text *j)
{
    char name[SEGMENT_NAME_SIZE], path[64];
    segment_name(name, j->first_seq);
    snprintf(path, sizeof(path), "journal/%s", name);
    data_write(path, j->text.data, j->text.len);
    buf_free(&j->text);
}

#endif
