// SPDX-License-Identifier: Apache-2.0
/*
 * object_fsm - the life of one object as a state × event table. Pure.
 *
 * COLD: a file, no process. STARTING: its first worker loads. SERVING: a worker takes turns.
 * DEPLOYING: the same, and a worker with the new source warms up beside it (once that one is ready
 * the object is frozen until the old worker has answered and the state has gone over). BACKOFF: the
 * last start or worker died or did not load; the next attempt waits. GONE: the file is gone.
 */
#ifndef SUPERVISOR_OBJECTS_OBJECT_FSM_H
#define SUPERVISOR_OBJECTS_OBJECT_FSM_H

enum object_phase {
    OBJECT_COLD,
    OBJECT_STARTING,
    OBJECT_SERVING,
    OBJECT_DEPLOYING,
    OBJECT_BACKOFF,
    OBJECT_GONE,
    OBJECT_PHASES,
};

enum object_event {
    OBJECT_EV_DEMAND,           /* a call waits and no worker is there */
    OBJECT_EV_SOURCE,           /* the file appeared or its content changed */
    OBJECT_EV_READY,            /* the candidate loaded, is well and has its version */
    OBJECT_EV_CANDIDATE_FAILED, /* the candidate did not load, or died before READY */
    OBJECT_EV_DRAINED,          /* the serving worker, frozen, has answered everything */
    OBJECT_EV_HANDED,           /* the candidate has the state, as its version wants it */
    OBJECT_EV_WORKER_DIED,      /* the serving worker died */
    OBJECT_EV_RETRY,            /* the backoff is over */
    OBJECT_EV_IDLE,             /* unused for idle_timeout */
    OBJECT_EV_REMOVED,          /* the file is gone for good */
    OBJECT_EVENTS,
};

enum object_action {
    OBJECT_DO_NOTHING,
    OBJECT_DO_START,     /* start a candidate with the newest source */
    OBJECT_DO_RESTART,   /* discard the candidate, start another with the newest source */
    OBJECT_DO_SERVE,     /* the candidate becomes the worker: send it what is queued */
    OBJECT_DO_FREEZE,    /* hold calls back, drain the worker */
    OBJECT_DO_HAND_OVER, /* the candidate gets the state, and migrates it where it has to */
    OBJECT_DO_SWITCH,    /* the candidate becomes the worker, the old one goes */
    OBJECT_DO_REJECT,    /* note why the candidate failed; go on with what there is */
    OBJECT_DO_FAIL,      /* nothing can serve: answer what waits, wait before the next attempt */
    OBJECT_DO_WAIT,      /* the worker died: wait before the next start */
    OBJECT_DO_LOSE,      /* the worker died during a deploy: the candidate takes over */
    OBJECT_DO_PROBE,     /* backoff over: start if something waits */
    OBJECT_DO_REVIVE,    /* forget earlier failures; start if something waits */
    OBJECT_DO_COOL,      /* drain the worker: it is not needed now */
    OBJECT_DO_END,       /* answer what waits with 404, drain every worker */
};

struct object_step {
    enum object_phase next;
    enum object_action action;
};

struct object_step object_fsm_step(enum object_phase phase, enum object_event event);
const char *object_phase_name(enum object_phase phase);
const char *object_event_name(enum object_event event);

#endif
