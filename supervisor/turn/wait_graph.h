// SPDX-License-Identifier: Apache-2.0
/*
 * wait_graph - which turns wait for which objects, and whether one more wait would never end.
 *
 * An edge leads from the object whose running turn asked to the object that it asked. A turn that
 * asks would wait for ever when its own object can be reached from the one it asks. Loop thread.
 */
#ifndef SUPERVISOR_TURN_WAIT_GRAPH_H
#define SUPERVISOR_TURN_WAIT_GRAPH_H

#include "supervisor/turn/call.h"

/*
 * Would the turn `caller` wait for ever for a call of that method of `target`? Then the objects of
 * the cycle are appended to `names` as a JSON array that begins and ends with the caller's. Calls
 * that any of several workers may take wait for nobody's turn, as far as this goes.
 */
bool wait_graph_closes(struct call *caller, struct object *target, struct span method,
                       struct buf *names);

#endif
