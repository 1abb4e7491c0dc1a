// SPDX-License-Identifier: Apache-2.0
/*
 * redis_command - a command as the bytes that Redis reads: an array of words, each with its length.
 *
 * redis_command_start() says how many words follow; exactly so many must. A shortage of memory
 * shows in the buf. Pure.
 */
#ifndef COMMON_EVENTS_REDIS_COMMAND_H
#define COMMON_EVENTS_REDIS_COMMAND_H

#include "common/events/backend.h"

void redis_command_start(struct buf *out, size_t words);
void redis_command_bytes(struct buf *out, struct span word);
void redis_command_text(struct buf *out, const char *word);
void redis_command_number(struct buf *out, uint64_t number);
/* "1700000000000-0": how a stream names an entry. */
void redis_command_id(struct buf *out, struct delivery_id id);
/* A command whose words are all known here, the last one followed by NULL. */
void redis_command_put(struct buf *out, const char *word, ...) __attribute__((sentinel));

bool redis_command_parse_id(struct span text, struct delivery_id *id);
int redis_command_compare_ids(struct delivery_id a, struct delivery_id b);

#endif
