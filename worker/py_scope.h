// SPDX-License-Identifier: Apache-2.0
/*
 * py_scope - to which turn the Python code that is running belongs.
 *
 * On the main thread everything between enter and leave belongs to the turn, until the turn goes
 * asynchronous: from then on code belongs to it when its context carries the turn's token, so that
 * tasks which the handler awaits are inside, tasks left over from earlier turns are outside, and so
 * are threads (but not asyncio.to_thread, which copies the context). A turn that is suspended goes
 * on as a task beside others (py_concurrent.h) until it is resumed to be ended. With the GIL.
 */
#ifndef WORKER_PY_SCOPE_H
#define WORKER_PY_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

struct _object; /* PyObject */

/*
 * TEST: as TURN, but nothing of it is kept and nobody else is called. HEALTH: as TURN, but it
 * changes nothing.
 */
enum scope_kind {
    SCOPE_OUTSIDE,
    SCOPE_LOADING,
    SCOPE_TURN,
    SCOPE_STREAM,
    SCOPE_TEST,
    SCOPE_HEALTH
};

/* 0, or -1 with a Python exception. */
int py_scope_init(void);
/* The caller is the main thread from now on (after a fork). */
void py_scope_adopt_thread(void);

/* request: borrowed until the scope is left; NULL none. */
void py_scope_enter(enum scope_kind kind, uint64_t id, struct _object *request);
void py_scope_leave(void);
/* A new context that carries the token of the scope, which is asynchronous from now on; or NULL. */
struct _object *py_scope_context(void);

/* What runs changes, in the same turn. */
void py_scope_set_kind(enum scope_kind kind);
bool py_scope_is_main_thread(void);
/* Leaves an asynchronous scope without ending it: what to resume it with. */
struct _object *py_scope_suspend(void);
/*
 * The suspended scope (taken) is what runs, to be ended without running the loop. What is to be
 * gone back to after py_scope_leave, taken there.
 */
struct _object *py_scope_resume(struct _object *suspended);
void py_scope_go_back(struct _object *before);

/* Where the caller is. */
enum scope_kind py_scope_here(void);
/* Request of the turn or stream that the caller belongs to; borrowed, NULL outside. */
struct _object *py_scope_request(void);
/* Call id of the turn or stream that the caller belongs to, 0 outside. */
uint64_t py_scope_id_here(void);
/* What a suspended turn that the caller belongs to is resumed with; borrowed, NULL outside. */
struct _object *py_scope_token(void);
/* Call id of what runs on the main thread; 0 nothing. */
uint64_t py_scope_id(void);

/* The deadline has raised in this scope, or ended a suspended one. */
void py_scope_mark_timeout(void);
void py_scope_mark_late(struct _object *suspended);
bool py_scope_timed_out(void);

#endif
