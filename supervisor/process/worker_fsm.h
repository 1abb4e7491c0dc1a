// SPDX-License-Identifier: Apache-2.0
/*
 * worker_fsm - the life of one worker process as a state × event table. Pure.
 *
 * SPAWNED: asked of the nursery. LOADING: forked, imports the object. READY: no call under way.
 * BUSY: calls under way. DRAINING: finishes what it has, then exits. KILLED: SIGKILL was sent.
 * REAPED: the process is gone, its slot is about to be freed.
 */
#ifndef SUPERVISOR_PROCESS_WORKER_FSM_H
#define SUPERVISOR_PROCESS_WORKER_FSM_H

enum worker_state {
    WORKER_SPAWNED,
    WORKER_LOADING,
    WORKER_READY,
    WORKER_BUSY,
    WORKER_DRAINING,
    WORKER_KILLED,
    WORKER_REAPED,
    WORKER_STATES,
};

enum worker_event {
    WORKER_EV_FORKED,      /* the nursery told the pid */
    WORKER_EV_LOADED,      /* READY message */
    WORKER_EV_LOAD_FAILED, /* LOAD_FAILED message */
    WORKER_EV_CALL,        /* a call was sent to it */
    WORKER_EV_ANSWERED,    /* the last outstanding answer arrived */
    WORKER_EV_DRAIN,       /* no further calls for it */
    WORKER_EV_KILL,        /* it broke the protocol, a deadline, or is not wanted any more */
    WORKER_EV_EXITED,      /* reaped */
    WORKER_EVENTS,
};

enum worker_action {
    WORKER_DO_NOTHING,
    WORKER_DO_ANNOUNCE, /* tell the object that it can serve */
    WORKER_DO_REPORT,   /* tell the object that it does not load */
    WORKER_DO_FINISH,   /* nothing is outstanding: send EXIT */
    WORKER_DO_KILL,     /* SIGKILL to its process group */
    WORKER_DO_BURY,     /* answer what is outstanding, free the slot, tell the object */
    WORKER_DO_BLAME,    /* the message makes no sense now: a protocol error */
};

struct worker_step {
    enum worker_state next;
    enum worker_action action;
};

struct worker_step worker_fsm_step(enum worker_state state, enum worker_event event);
const char *worker_state_name(enum worker_state state);
const char *worker_event_name(enum worker_event event);

#endif
