// SPDX-License-Identifier: Apache-2.0
/*
 * held_reply - the reply of a TURN_DONE, copied out of the receive buffer so that it can wait.
 */
#ifndef SUPERVISOR_TURN_HELD_REPLY_H
#define SUPERVISOR_TURN_HELD_REPLY_H

#include "supervisor/turn/call.h"

/* body_fd is taken over in any case; it must have been verified. 0 or -ENOMEM, -E2BIG (fields). */
int held_reply_take(struct held_reply *reply, const struct rpc_turn_done *m, int body_fd);

#endif
