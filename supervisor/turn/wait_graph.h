// SPDX-License-Identifier: Apache-2.0
/*
 * wait_graph - which turns wait for which calls, and whether one more wait would never end.
 *
 * A turn never ends when one of the calls that it asked for is never answered; a call, when every
 * worker that may take it (or the one that was sent it) runs turns that never end. Loop thread.
 */
#ifndef SUPERVISOR_TURN_WAIT_GRAPH_H
#define SUPERVISOR_TURN_WAIT_GRAPH_H

#include "supervisor/turn/call.h"

/*
 * Would the turn `caller` wait for ever for a call of `target` with this method? Then the objects
 * of the cycle are appended to `names` as a JSON array that begins and ends with the same one. A
 * turn further up its own chain counts in any case, even where another worker could take the call.
 */
bool wait_graph_closes(struct call *caller, struct object *target, struct span method,
                       struct buf *names);

#endif
