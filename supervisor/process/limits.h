// SPDX-License-Identifier: Apache-2.0
/*
 * limits - what a worker and its family may use: which numbers hold for it, how each is put into
 * force, and what is said about it.
 *
 * Until the object is loaded the larger of the configuration's default and of what its version
 * before declared holds; what it declares itself from then on. A group makes memory and processes
 * firm; rlimits are the best effort without. Descriptors are always an rlimit. The processor time
 * of a turn (cpu_time.h) is looked at by the tick of turn/deadline.c.
 */
#ifndef SUPERVISOR_PROCESS_LIMITS_H
#define SUPERVISOR_PROCESS_LIMITS_H

#include "supervisor/objects/endpoint.h"

struct buf;
struct worker;
struct station;
struct rpc_spawn;

/* Of a worker that is about to be born: w->family.limits. */
void limits_choose(struct worker *w);
/* Those of its group; 0 or -errno. */
int limits_set_group(struct worker *w);
/* Those that the child takes on itself, for lack of a group too. */
void limits_fill(const struct worker *w, struct rpc_spawn *m);
/*
 * The object is loaded and declares these. False and a message for people when it uses more already
 * or a limit cannot be set.
 */
bool limits_declare(struct worker *w, const struct endpoint_limits *own, char *problem,
                    size_t problem_size);

/* What puts each limit into force: a member "limits" of a JSON object. */
void limits_status(const struct station *station, struct buf *json);
/* The numbers of one worker and what puts them into force, a JSON object. */
void limits_put(const struct worker *w, struct buf *json);

#endif
