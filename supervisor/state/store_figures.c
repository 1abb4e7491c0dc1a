// SPDX-License-Identifier: Apache-2.0
/*
 * How the store is, for the status of the station and its metrics.
 */
#include "supervisor/state/store_private.h"

#include "common/json_text.h"
#include "supervisor/metric.h"

void store_status(const struct store *store, struct buf *json)
{
    const struct journal_counters *j = journal_counters(store->journal);
    const struct checkpoint_counters *c = checkpoint_counters(store->checkpoint);
    size_t closed;
    journal_closed(store->journal, &closed);
    json_put_key(json, "journal");
    buf_putc(json, '{');
    json_put_number(json, "boot", store->boot);
    json_put_member(json, "durability", config_durability_name(store->durability));
    json_put_number(json, "last_seq", journal_last(store->journal));
    json_put_number(json, "durable_seq", journal_durable(store->journal));
    json_put_number(json, "records", j->records);
    json_put_number(json, "batches", j->batches);
    json_put_number(json, "closed_segments", closed);
    json_put_number(json, "closed_bytes", journal_closed_bytes(store->journal));
    json_put_number(json, "dirty_objects", c->dirty);
    json_put_number(json, "checkpoints", c->done);
    json_put_number(json, "checkpoints_failed", c->failed);
    json_put_number(json, "refused", j->refused);
    json_put_key(json, "out_of_room");
    buf_puts(json, j->out_of_room ? "true" : "false");
    buf_putc(json, '}');
}

void store_metrics(const struct store *store, struct buf *text)
{
    const struct journal_counters *j = journal_counters(store->journal);
    const struct checkpoint_counters *c = checkpoint_counters(store->checkpoint);
    metric_counter(text, "journal_records_total", "Turns appended.", j->records);
    metric_counter(text, "journal_bytes_total", "Bytes of turns appended.", j->bytes);
    metric_counter(text, "journal_batches_total", "Batches written.", j->batches);
    metric_counter(text, "journal_syncs_total", "Batches synced.", j->syncs);
    metric_counter(text, "journal_refused_total", "Turns refused: no room.", j->refused);
    metric_counter(text, "journal_waits_total", "Waits for a segment.", j->waits);
    metric_gauge(text, "journal_out_of_room", "1 while the disk is full.", (double)j->out_of_room);
    metric_gauge(text, "journal_closed_bytes", "Bytes of closed segments.",
                 (double)journal_closed_bytes(store->journal));
    metric_gauge(text, "journal_undurable", "Records not yet durable.",
                 (double)journal_last(store->journal) - journal_durable(store->journal));
    metric_counter(text, "checkpoints_total", "Checkpoints written.", c->done);
    metric_counter(text, "checkpoints_failed_total", "Checkpoints that failed.", c->failed);
    metric_gauge(text, "dirty_objects", "Objects newer than their checkpoint.", (double)c->dirty);
}
