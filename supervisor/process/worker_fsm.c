// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker_fsm.h"

#define STEP(next, action)                \
    {                                     \
        WORKER_##next, WORKER_DO_##action \
    }

/* In SPAWNED a worker says nothing: it is heard once the nursery has told its pid. */
static const struct worker_step table[WORKER_STATES][WORKER_EVENTS] =
    {
        [WORKER_SPAWNED] =
            {
                [WORKER_EV_FORKED] = STEP(LOADING, NOTHING),
                [WORKER_EV_LOADED] = STEP(SPAWNED, BLAME),
                [WORKER_EV_LOAD_FAILED] = STEP(SPAWNED, BLAME),
                [WORKER_EV_CALL] = STEP(SPAWNED, NOTHING),
                [WORKER_EV_ANSWERED] = STEP(SPAWNED, BLAME),
                [WORKER_EV_DRAIN] = STEP(KILLED, KILL),
                [WORKER_EV_KILL] = STEP(KILLED, KILL),
                [WORKER_EV_EXITED] = STEP(REAPED, BURY),
            },
        [WORKER_LOADING] =
            {
                [WORKER_EV_FORKED] = STEP(LOADING, NOTHING),
                [WORKER_EV_LOADED] = STEP(READY, ANNOUNCE),
                [WORKER_EV_LOAD_FAILED] = STEP(DRAINING, REPORT),
                [WORKER_EV_CALL] = STEP(LOADING, NOTHING),
                [WORKER_EV_ANSWERED] = STEP(LOADING, BLAME),
                [WORKER_EV_DRAIN] = STEP(KILLED, KILL),
                [WORKER_EV_KILL] = STEP(KILLED, KILL),
                [WORKER_EV_EXITED] = STEP(REAPED, BURY),
            },
        [WORKER_READY] =
            {
                [WORKER_EV_FORKED] = STEP(READY, NOTHING),
                [WORKER_EV_LOADED] = STEP(READY, BLAME),
                [WORKER_EV_LOAD_FAILED] = STEP(READY, BLAME),
                [WORKER_EV_CALL] = STEP(BUSY, NOTHING),
                [WORKER_EV_ANSWERED] = STEP(READY, NOTHING),
                [WORKER_EV_DRAIN] = STEP(DRAINING, FINISH),
                [WORKER_EV_KILL] = STEP(KILLED, KILL),
                [WORKER_EV_EXITED] = STEP(REAPED, BURY),
            },
        [WORKER_BUSY] =
            {
                [WORKER_EV_FORKED] = STEP(BUSY, NOTHING),
                [WORKER_EV_LOADED] = STEP(BUSY, BLAME),
                [WORKER_EV_LOAD_FAILED] = STEP(BUSY, BLAME),
                [WORKER_EV_CALL] = STEP(BUSY, NOTHING),
                [WORKER_EV_ANSWERED] = STEP(READY, NOTHING),
                [WORKER_EV_DRAIN] = STEP(DRAINING, NOTHING),
                [WORKER_EV_KILL] = STEP(KILLED, KILL),
                [WORKER_EV_EXITED] = STEP(REAPED, BURY),
            },
        [WORKER_DRAINING] =
            {
                [WORKER_EV_FORKED] = STEP(DRAINING, NOTHING),
                [WORKER_EV_LOADED] = STEP(DRAINING, BLAME),
                [WORKER_EV_LOAD_FAILED] = STEP(DRAINING, BLAME),
                [WORKER_EV_CALL] = STEP(DRAINING, NOTHING),
                [WORKER_EV_ANSWERED] = STEP(DRAINING, FINISH),
                [WORKER_EV_DRAIN] = STEP(DRAINING, NOTHING),
                [WORKER_EV_KILL] = STEP(KILLED, KILL),
                [WORKER_EV_EXITED] = STEP(REAPED, BURY),
            },
        [WORKER_KILLED] =
            {
                [WORKER_EV_FORKED] = STEP(KILLED, KILL), /* only now its pid is known */
                [WORKER_EV_LOADED] = STEP(KILLED, NOTHING),
                [WORKER_EV_LOAD_FAILED] = STEP(KILLED, NOTHING),
                [WORKER_EV_CALL] = STEP(KILLED, NOTHING),
                [WORKER_EV_ANSWERED] = STEP(KILLED, NOTHING),
                [WORKER_EV_DRAIN] = STEP(KILLED, NOTHING),
                [WORKER_EV_KILL] = STEP(KILLED, NOTHING),
                [WORKER_EV_EXITED] = STEP(REAPED, BURY),
            },
        [WORKER_REAPED] =
            {
                [WORKER_EV_FORKED] = STEP(REAPED, NOTHING),
                [WORKER_EV_LOADED] = STEP(REAPED, NOTHING),
                [WORKER_EV_LOAD_FAILED] = STEP(REAPED, REPORT), /* its last words say why */
                [WORKER_EV_CALL] = STEP(REAPED, NOTHING),
                [WORKER_EV_ANSWERED] = STEP(REAPED, NOTHING),
                [WORKER_EV_DRAIN] = STEP(REAPED, NOTHING),
                [WORKER_EV_KILL] = STEP(REAPED, NOTHING),
                [WORKER_EV_EXITED] = STEP(REAPED, NOTHING),
            },
};

static const char *const state_names[WORKER_STATES] = {
    [WORKER_SPAWNED] = "spawned", [WORKER_LOADING] = "loading",   [WORKER_READY] = "ready",
    [WORKER_BUSY] = "busy",       [WORKER_DRAINING] = "draining", [WORKER_KILLED] = "killed",
    [WORKER_REAPED] = "reaped",
};

static const char *const event_names[WORKER_EVENTS] = {
    [WORKER_EV_FORKED] = "forked",
    [WORKER_EV_LOADED] = "loaded",
    [WORKER_EV_LOAD_FAILED] = "load-failed",
    [WORKER_EV_CALL] = "call",
    [WORKER_EV_ANSWERED] = "answered",
    [WORKER_EV_DRAIN] = "drain",
    [WORKER_EV_KILL] = "kill",
    [WORKER_EV_EXITED] = "exited",
};

struct worker_step worker_fsm_step(enum worker_state state, enum worker_event event)
{
    return table[state][event];
}

const char *worker_state_name(enum worker_state state)
{
    return state_names[state];
}

const char *worker_event_name(enum worker_event event)
{
    return event_names[event];
}
