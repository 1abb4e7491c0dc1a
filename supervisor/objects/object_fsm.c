// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/object_fsm.h"

#define STEP(next, action)                \
    {                                     \
        OBJECT_##next, OBJECT_DO_##action \
    }

static const struct object_step table[OBJECT_PHASES][OBJECT_EVENTS] =
    {
        [OBJECT_COLD] =
            {
                [OBJECT_EV_DEMAND] = STEP(STARTING, START),
                [OBJECT_EV_SOURCE] = STEP(COLD, REVIVE),
                [OBJECT_EV_READY] = STEP(COLD, NOTHING),
                [OBJECT_EV_CANDIDATE_FAILED] = STEP(COLD, NOTHING),
                [OBJECT_EV_DRAINED] = STEP(COLD, NOTHING),
                [OBJECT_EV_HANDED] = STEP(COLD, NOTHING),
                [OBJECT_EV_WORKER_DIED] = STEP(COLD, NOTHING),
                [OBJECT_EV_RETRY] = STEP(COLD, NOTHING),
                [OBJECT_EV_IDLE] = STEP(COLD, NOTHING),
                [OBJECT_EV_REMOVED] = STEP(GONE, END),
            },
        [OBJECT_STARTING] =
            {
                [OBJECT_EV_DEMAND] = STEP(STARTING, NOTHING),
                [OBJECT_EV_SOURCE] = STEP(STARTING, RESTART),
                [OBJECT_EV_READY] = STEP(STARTING, HAND_OVER),
                [OBJECT_EV_CANDIDATE_FAILED] = STEP(BACKOFF, FAIL),
                [OBJECT_EV_DRAINED] = STEP(STARTING, NOTHING),
                [OBJECT_EV_HANDED] = STEP(SERVING, SERVE),
                [OBJECT_EV_WORKER_DIED] = STEP(STARTING, NOTHING),
                [OBJECT_EV_RETRY] = STEP(STARTING, NOTHING),
                [OBJECT_EV_IDLE] = STEP(STARTING, NOTHING),
                [OBJECT_EV_REMOVED] = STEP(GONE, END),
            },
        [OBJECT_SERVING] =
            {
                [OBJECT_EV_DEMAND] = STEP(SERVING, NOTHING),
                [OBJECT_EV_SOURCE] = STEP(DEPLOYING, START),
                [OBJECT_EV_READY] = STEP(SERVING, NOTHING),
                [OBJECT_EV_CANDIDATE_FAILED] = STEP(SERVING, NOTHING),
                [OBJECT_EV_DRAINED] = STEP(SERVING, NOTHING),
                [OBJECT_EV_HANDED] = STEP(SERVING, NOTHING),
                [OBJECT_EV_WORKER_DIED] = STEP(BACKOFF, WAIT),
                [OBJECT_EV_RETRY] = STEP(SERVING, NOTHING),
                [OBJECT_EV_IDLE] = STEP(COLD, COOL),
                [OBJECT_EV_REMOVED] = STEP(GONE, END),
            },
        [OBJECT_DEPLOYING] =
            {
                [OBJECT_EV_DEMAND] = STEP(DEPLOYING, NOTHING),
                [OBJECT_EV_SOURCE] = STEP(DEPLOYING, RESTART),
                [OBJECT_EV_READY] = STEP(DEPLOYING, FREEZE),
                [OBJECT_EV_CANDIDATE_FAILED] = STEP(SERVING, REJECT),
                [OBJECT_EV_DRAINED] = STEP(DEPLOYING, HAND_OVER),
                [OBJECT_EV_HANDED] = STEP(SERVING, SWITCH),
                [OBJECT_EV_WORKER_DIED] = STEP(STARTING, LOSE),
                [OBJECT_EV_RETRY] = STEP(DEPLOYING, NOTHING),
                [OBJECT_EV_IDLE] = STEP(DEPLOYING, NOTHING),
                [OBJECT_EV_REMOVED] = STEP(GONE, END),
            },
        [OBJECT_BACKOFF] =
            {
                [OBJECT_EV_DEMAND] = STEP(BACKOFF, NOTHING),
                [OBJECT_EV_SOURCE] = STEP(COLD, REVIVE),
                [OBJECT_EV_READY] = STEP(BACKOFF, NOTHING),
                [OBJECT_EV_CANDIDATE_FAILED] = STEP(BACKOFF, NOTHING),
                [OBJECT_EV_DRAINED] = STEP(BACKOFF, NOTHING),
                [OBJECT_EV_HANDED] = STEP(BACKOFF, NOTHING),
                [OBJECT_EV_WORKER_DIED] = STEP(BACKOFF, NOTHING),
                [OBJECT_EV_RETRY] = STEP(COLD, PROBE),
                [OBJECT_EV_IDLE] = STEP(BACKOFF, NOTHING),
                [OBJECT_EV_REMOVED] = STEP(GONE, END),
            },
        [OBJECT_GONE] =
            {
                [OBJECT_EV_DEMAND] = STEP(GONE, NOTHING),
                [OBJECT_EV_SOURCE] = STEP(COLD, REVIVE),
                [OBJECT_EV_READY] = STEP(GONE, NOTHING),
                [OBJECT_EV_CANDIDATE_FAILED] = STEP(GONE, NOTHING),
                [OBJECT_EV_DRAINED] = STEP(GONE, NOTHING),
                [OBJECT_EV_HANDED] = STEP(GONE, NOTHING),
                [OBJECT_EV_WORKER_DIED] = STEP(GONE, NOTHING),
                [OBJECT_EV_RETRY] = STEP(GONE, NOTHING),
                [OBJECT_EV_IDLE] = STEP(GONE, NOTHING),
                [OBJECT_EV_REMOVED] = STEP(GONE, NOTHING),
            },
};

static const char *const phase_names[OBJECT_PHASES] = {
    [OBJECT_COLD] = "cold",           [OBJECT_STARTING] = "starting", [OBJECT_SERVING] = "serving",
    [OBJECT_DEPLOYING] = "deploying", [OBJECT_BACKOFF] = "backoff",   [OBJECT_GONE] = "gone",
};

static const char *const event_names[OBJECT_EVENTS] = {
    [OBJECT_EV_DEMAND] = "demand",
    [OBJECT_EV_SOURCE] = "source",
    [OBJECT_EV_READY] = "ready",
    [OBJECT_EV_CANDIDATE_FAILED] = "candidate-failed",
    [OBJECT_EV_DRAINED] = "drained",
    [OBJECT_EV_HANDED] = "handed",
    [OBJECT_EV_WORKER_DIED] = "worker-died",
    [OBJECT_EV_RETRY] = "retry",
    [OBJECT_EV_IDLE] = "idle",
    [OBJECT_EV_REMOVED] = "removed",
};

struct object_step object_fsm_step(enum object_phase phase, enum object_event event)
{
    return table[phase][event];
}

const char *object_phase_name(enum object_phase phase)
{
    return phase_names[phase];
}

const char *object_event_name(enum object_event event)
{
    return event_names[event];
}
