// SPDX-License-Identifier: Apache-2.0
/*
 * history - what the supervisor knows of an object's versions on disk: the newest, and the newest
 * that was accepted. Read when it is first needed, from the end of the file; kept up to date by
 * whoever adds a version. Never at start: a station may hold a hundred thousand objects.
 */
#ifndef SUPERVISOR_OBJECTS_HISTORY_H
#define SUPERVISOR_OBJECTS_HISTORY_H

#include "supervisor/objects/source.h"

struct history {
    bool is_known;
    uint64_t newest;   /* 0: there is none */
    uint64_t accepted; /* the newest that was accepted; 0: none */
    uint64_t previous; /* the one accepted before it; 0: none */
    struct sha256 newest_hash, accepted_hash, previous_hash;
    bool has_ban;      /* the newest accepted version says that a content failed: */
    struct sha256 ban; /* it is not deployed again from a file */
    bool is_rejected;  /* the newest was */
    char *reason;      /* why; NULL */
};

/* Reads it unless it is known. 0 or -errno. */
int history_know(struct history *h, const char *data_dir, const char *object_id);
/* The next history_know() reads again. */
void history_forget(struct history *h);
/* A version was added. reason: NULL when it was accepted. */
void history_add(struct history *h, uint64_t version, struct sha256 hash, const char *reason);
/*
 * An accepted version that takes the place of one that failed says so in its reason: "rejects
 * <SHA-256 of the content that failed>: why".
 */
#define HISTORY_REJECTS "rejects "
/* The newest accepted version, just added, is such a one. */
void history_ban(struct history *h, struct sha256 hash);
/* Is the source with this hash the newest version and rejected, or one that failed? */
bool history_rejects(const struct history *h, struct sha256 hash);
/* Is the newest version one that was rejected? */
bool history_is_rejected(const struct history *h);
/* The content of the newest accepted version, checked. NULL and *err (-EBADMSG: damaged). */
struct source *history_source(const struct history *h, const char *data_dir, const char *object_id,
                              int *err);
/* The same of the version that was accepted before. */
struct source *history_previous_source(const struct history *h, const char *data_dir,
                                       const char *object_id, int *err);

#endif
