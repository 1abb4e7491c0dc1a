// SPDX-License-Identifier: Apache-2.0
#include "worker/file_stage.h"

#include "common/fd_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

struct change {
    struct change *prev, *next;
    char *name;
    char token[FILE_STORE_TOKEN_MAX + 1];
    uint64_t size;
    bool is_delete;
};

static struct {
    char *data_dir, *object_id, *owner;
    uint64_t bytes_max, count_max;
    uint64_t last_token;
    int store_fd, staging_fd; /* -1 until they could be opened */
    struct change *accepted, *turn;
    const char *limit;
    uint64_t limit_value;
} stage = {.store_fd = -1, .staging_fd = -1};

static int open_store(void)
{
    if (stage.staging_fd >= 0)
        return 0;
    if (stage.store_fd < 0)
        stage.store_fd = file_store_open(stage.data_dir, false);
    if (stage.store_fd < 0)
        return stage.store_fd;
    stage.staging_fd = file_store_folder(stage.store_fd, FILE_STORE_STAGING, false);
    return stage.staging_fd < 0 ? stage.staging_fd : 0;
}

int file_stage_configure(const char *data_dir, const char *object_id, const char *owner,
                         uint64_t bytes_max, uint64_t count_max)
{
    stage.data_dir = strdup(data_dir);
    stage.object_id = strdup(object_id);
    stage.owner = strdup(owner);
    stage.bytes_max = bytes_max;
    stage.count_max = count_max;
    if (!stage.data_dir || !stage.object_id || !stage.owner)
        return -ENOMEM;
    open_store(); /* the object's code may change the working directory */
    return 0;
}

/* The object's folder, -ENOENT while it has none. */
static int open_folder(void)
{
    int err = open_store();
    return err ? err : file_store_folder(stage.store_fd, stage.object_id, false);
}

/* --- lists of changes --- */

static struct change *change_new(const char *name, size_t name_len, const char *token,
                                 uint64_t size, bool is_delete)
{
    struct change *c = calloc(1, sizeof(*c));
    if (c)
        c->name = strndup(name, name_len);
    if (!c || !c->name) {
        free(c);
        return NULL;
    }
    snprintf(c->token, sizeof(c->token), "%s", token);
    c->size = size;
    c->is_delete = is_delete;
    return c;
}

static void drop(struct change **list, struct change *c)
{
    DL_DELETE(*list, c);
    free(c->name);
    free(c);
}

/* The last change of a name. */
static struct change *find(struct change *list, const char *name)
{
    if (!list)
        return NULL;
    for (struct change *c = list->prev;; c = c->prev) {
        if (strcmp(c->name, name) == 0)
            return c;
        if (c == list)
            return NULL;
    }
}

static struct change *find_token(struct change *list, struct span token)
{
    struct change *c;
    DL_FOREACH (list, c)
        if (span_equal(token, c->token))
            return c;
    return NULL;
}

/* What stands over the folder for a name; NULL: the folder counts. */
static struct change *find_any(const char *name, bool with_turn)
{
    struct change *c = with_turn ? find(stage.turn, name) : NULL;
    return c ? c : find(stage.accepted, name);
}

static void remove_staged(const struct change *c)
{
    if (!c->is_delete && open_store() == 0)
        unlinkat(stage.staging_fd, c->token, 0);
}

/* --- what the station says --- */

static int copy_accepted(const struct rpc_files *accepted, struct change **list)
{
    struct codec_reader r = codec_reader_of(accepted->files.data, accepted->files.len);
    struct rpc_file f;
    while (rpc_file_next(&r, &f)) {
        char token[FILE_STORE_TOKEN_MAX + 1];
        memcpy(token, f.token.data, f.token.len);
        token[f.token.len] = '\0';
        struct change *c =
            change_new(f.name.data, f.name.len, token, f.size, f.op == RPC_FILE_DELETE);
        if (!c)
            return -ENOMEM;
        DL_APPEND(*list, c);
    }
    return 0;
}

int file_stage_load(const struct rpc_files *accepted)
{
    struct change *list = NULL;
    int err = copy_accepted(accepted, &list);
    file_stage_undo();
    while (stage.accepted) {
        struct change *c = stage.accepted;
        /* visible by now, or of a turn that was refused */
        if (!find_token(list, span_of(c->token)))
            remove_staged(c);
        drop(&stage.accepted, c);
    }
    stage.accepted = list;
    return err;
}

int file_stage_accept(const struct rpc_files *files)
{
    struct change *list = NULL;
    int err = copy_accepted(files, &list);
    if (list)
        DL_CONCAT(stage.accepted, list);
    return err;
}

void file_stage_applied(const struct rpc_files *files)
{
    struct codec_reader r = codec_reader_of(files->files.data, files->files.len);
    struct rpc_file f;
    while (rpc_file_next(&r, &f)) {
        struct change *c = find_token(stage.accepted, f.token);
        if (c)
            drop(&stage.accepted, c);
    }
}

/* --- reading --- */

static int read_visible(const char *name, struct stat *st)
{
    int folder = open_folder();
    if (folder < 0)
        return folder;
    int fd = file_store_read(folder, name, st);
    close(folder);
    return fd;
}

int file_stage_read(const char *name, bool with_turn, struct stat *st)
{
    const struct change *c = find_any(name, with_turn);
    if (c && c->is_delete)
        return -ENOENT;
    int fd = open_store();
    if (c && !fd)
        fd = file_store_read(stage.staging_fd, c->token, st);
    /* one that is not staged any more has become visible meanwhile */
    return c && fd != -ENOENT ? fd : read_visible(name, st);
}

int file_stage_stat(const char *name, bool with_turn, struct stat *st)
{
    int fd = file_stage_read(name, with_turn, st);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

struct walk {
    bool with_turn;
    int (*fn)(void *arg, const char *name, const struct stat *st);
    void *arg;
};

static int visit_visible(void *arg, const char *name, const struct stat *st)
{
    struct walk *walk = arg;
    return find_any(name, walk->with_turn) ? 0 : walk->fn(walk->arg, name, st);
}

static int visit_changes(struct walk *walk, struct change *list)
{
    struct change *c;
    DL_FOREACH (list, c) {
        struct stat st;
        if (c->is_delete || find_any(c->name, walk->with_turn) != c)
            continue;
        int err = file_stage_stat(c->name, walk->with_turn, &st);
        if (!err)
            err = walk->fn(walk->arg, c->name, &st);
        if (err && err != -ENOENT)
            return err;
    }
    return 0;
}

int file_stage_each(bool with_turn, int (*fn)(void *arg, const char *name, const struct stat *st),
                    void *arg)
{
    struct walk walk = {with_turn, fn, arg};
    int folder = open_folder();
    int err = folder < 0 ? folder : file_store_each(folder, visit_visible, &walk);
    if (folder >= 0)
        close(folder);
    if (!err || err == -ENOENT)
        err = visit_changes(&walk, stage.accepted);
    return err || !with_turn ? err : visit_changes(&walk, stage.turn);
}

/* --- limits --- */

struct usage {
    const char *except;
    uint64_t bytes, count;
};

static int add_usage(void *arg, const char *name, const struct stat *st)
{
    struct usage *u = arg;
    if (strcmp(name, u->except) == 0)
        return 0;
    u->bytes += (uint64_t)st->st_size;
    u->count++;
    return 0;
}

static int over(const char *limit, uint64_t value)
{
    stage.limit = limit;
    stage.limit_value = value;
    return -EDQUOT;
}

const char *file_stage_limit(uint64_t *value)
{
    *value = stage.limit_value;
    return stage.limit;
}

static int check_count(struct file_stage_put *put)
{
    struct usage u = {.except = put->name};
    int err = file_stage_each(true, add_usage, &u);
    put->others = u.bytes;
    if (!err && u.count >= stage.count_max)
        err = over("files_count_max", stage.count_max);
    return err;
}

/* --- writing --- */

static int refuse_folder(const char *name)
{
    struct stat st;
    int folder = open_folder();
    if (folder < 0)
        return folder == -ENOENT ? 0 : folder;
    int err =
        fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) ? -EISDIR : 0;
    close(folder);
    return err;
}

static void next_token(char token[FILE_STORE_TOKEN_MAX + 1])
{
    snprintf(token, FILE_STORE_TOKEN_MAX + 1, "%s%llx", stage.owner,
             (unsigned long long)++stage.last_token);
}

int file_stage_begin(struct file_stage_put *put, const char *name)
{
    *put = (struct file_stage_put){.fd = -1, .name = name};
    int err = open_store();
    if (!err)
        err = refuse_folder(name);
    if (!err)
        err = check_count(put);
    if (err)
        return err;
    next_token(put->token);
    put->fd = file_store_create(stage.staging_fd, put->token);
    return put->fd < 0 ? put->fd : 0;
}

int file_stage_write(struct file_stage_put *put, const void *bytes, size_t len)
{
    if (len > stage.bytes_max || put->others + put->size > stage.bytes_max - len)
        return over("files_bytes_max", stage.bytes_max);
    put->size += len;
    return fd_io_write(put->fd, bytes, len);
}

void file_stage_abandon(struct file_stage_put *put)
{
    if (put->fd < 0)
        return;
    close(put->fd);
    unlinkat(stage.staging_fd, put->token, 0);
    put->fd = -1;
}

/* The turn's only change of that name, from now on. */
static int add_to_turn(const char *name, const char *token, uint64_t size, bool is_delete)
{
    struct change *c = change_new(name, strlen(name), token, size, is_delete);
    struct change *old = find(stage.turn, name);
    if (!c)
        return -ENOMEM;
    if (old) {
        remove_staged(old);
        drop(&stage.turn, old);
    }
    DL_APPEND(stage.turn, c);
    return 0;
}

int file_stage_end(struct file_stage_put *put)
{
    int err = add_to_turn(put->name, put->token, put->size, false);
    if (err) {
        file_stage_abandon(put);
        return err;
    }
    close(put->fd);
    put->fd = -1;
    return 0;
}

int file_stage_delete(const char *name)
{
    struct stat st;
    char token[FILE_STORE_TOKEN_MAX + 1];
    int err = file_stage_stat(name, true, &st);
    if (err)
        return err == -ENOENT ? 0 : err;
    next_token(token);
    err = add_to_turn(name, token, 0, true);
    return err ? err : 1;
}

/* --- the end of the turn --- */

static int sync_staged(const struct change *c)
{
    struct stat st;
    int fd = c->is_delete ? -1 : file_store_read(stage.staging_fd, c->token, &st);
    if (c->is_delete)
        return 0;
    if (fd < 0)
        return fd;
    int err = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return err;
}

int file_stage_prepare(struct reply *reply)
{
    struct change *c;
    int err = 0;
    if (!stage.turn)
        return 0;
    DL_FOREACH (stage.turn, c) {
        struct rpc_file f = {c->is_delete ? RPC_FILE_DELETE : RPC_FILE_PUT, span_of(c->name),
                             span_of(c->token), c->size};
        if (!err)
            err = sync_staged(c);
        rpc_file_encode(&reply->files, &f);
        reply->file_count++;
    }
    if (!err && fsync(stage.staging_fd) < 0)
        err = -errno;
    if (!err && !buf_ok(&reply->files))
        err = -ENOMEM;
    return err;
}

void file_stage_commit(void)
{
    if (stage.turn)
        DL_CONCAT(stage.accepted, stage.turn);
    stage.turn = NULL;
}

void file_stage_undo(void)
{
    while (stage.turn) {
        remove_staged(stage.turn);
        drop(&stage.turn, stage.turn);
    }
}
