// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/committer.h"

#include "common/failpoint.h"
#include "common/log.h"
#include "supervisor/state/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { STEP = 1024 * 1024 };

enum spare_phase { SPARE_VERIFY, SPARE_FILL, SPARE_SYNC };

struct committer {
    int folder_fd;
    const char *folder;
    pthread_t thread;
    int submit_read, submit_write;
    int done_read, done_write;
    /* the thread's own: the spare being prepared */
    struct committer_job *spare;
    enum spare_phase phase;
    int spare_fd;
    uint64_t spare_at; /* bytes verified or filled */
    char *newlines;    /* STEP of them */
    char *scratch;     /* STEP bytes */
};

/* --- passing jobs --- */

static void pass(int fd, struct committer_job *job)
{
    ssize_t n;
    do
        n = write(fd, &job, sizeof(job));
    while (n < 0 && errno == EINTR);
    if (n != sizeof(job)) {
        log_error("journal: passing a job to or from the committer: %m");
        _exit(EXIT_CODE_ENVIRONMENT);
    }
}

/* NULL: nothing there (of a non-blocking end) or the other end is closed. */
static struct committer_job *receive(int fd)
{
    struct committer_job *job;
    ssize_t n;
    do
        n = read(fd, &job, sizeof(job));
    while (n < 0 && errno == EINTR);
    if (n == sizeof(job))
        return job;
    if (n < 0 && errno != EAGAIN) {
        log_error("journal: receiving a job: %m");
        _exit(EXIT_CODE_ENVIRONMENT);
    }
    return NULL;
}

void committer_submit(struct committer *c, struct committer_job *job)
{
    pass(c->submit_write, job);
}

int committer_fd(const struct committer *c)
{
    return c->done_read;
}

struct committer_job *committer_done(struct committer *c)
{
    return receive(c->done_read);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

void committer_wait(struct committer *c)
{
    while (!readable(c->done_read, -1))
        ;
}

/* --- writing --- */

static _Noreturn void final(const struct committer *c, int err, const char *what,
                            uint64_t first_seq, uint64_t offset)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, first_seq);
    log_error("journal: %s %s/%s at byte %" PRIu64 ": %s; stopping, nothing more is acknowledged",
              what, c->folder, name, offset, strerror(-err));
    _exit(EXIT_CODE_ENVIRONMENT);
}

static int write_all(int fd, struct iovec iov[2], uint64_t offset)
{
    while (iov[0].iov_len + iov[1].iov_len > 0) {
        int first = iov[0].iov_len == 0;
        ssize_t n = pwritev(fd, iov + first, 2 - first, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        offset += (uint64_t)n;
        for (int i = first; i < 2; i++) {
            size_t step = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;
            iov[i].iov_base = (char *)iov[i].iov_base + step;
            iov[i].iov_len -= step;
            n -= (ssize_t)step;
        }
    }
    return 0;
}

/* A file that has no name any more keeps nothing: somebody removed the data folder. */
static int still_there(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return st.st_nlink > 0 ? 0 : -ENOENT;
}

static int write_part(const struct committer_part *part)
{
    struct iovec iov[2] = {
        {(void *)part->control.data, part->control.len},
        {(void *)part->records.data, part->records.len},
    };
    int err = FAILPOINT("journal-write");
    if (!err)
        err = still_there(part->fd);
    if (!err)
        err = write_all(part->fd, iov, part->offset);
    return err ? err : FAILPOINT("journal-written");
}

static int sync_file(int fd)
{
    int err = FAILPOINT("journal-sync");
    if (!err && fdatasync(fd) < 0)
        err = -errno;
    return err ? err : FAILPOINT("journal-synced");
}

static int sync_folder(const struct committer *c)
{
    int err = FAILPOINT("folder-sync");
    if (!err && fsync(c->folder_fd) < 0)
        err = -errno;
    return err ? err : FAILPOINT("folder-synced");
}

static void run_part(const struct committer *c, const struct committer_part *part, bool sync)
{
    if (part->fd < 0)
        return;
    int err = write_part(part);
    if (err)
        final(c, err, "cannot write", part->first_seq, part->offset);
    if (!sync)
        return;
    err = sync_file(part->fd);
    if (err)
        final(c, err, "cannot sync", part->first_seq, part->offset);
}

static int rename_spare(const struct committer *c, uint64_t first_seq)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, first_seq);
    int err = FAILPOINT("rotate-rename");
    if (!err && renameat(c->folder_fd, SEGMENT_SPARE_NAME, c->folder_fd, name) < 0)
        err = -errno;
    return err ? err : FAILPOINT("rotate-renamed");
}

static void run_write(const struct committer *c, struct committer_job *job)
{
    const struct committer_part *next = &job->part[1];
    run_part(c, &job->part[0], job->sync);
    if (!job->rotate)
        return;
    int err = rename_spare(c, next->first_seq);
    if (err)
        final(c, err, "cannot rename the spare segment to", next->first_seq, 0);
    run_part(c, next, job->sync);
    err = sync_folder(c);
    if (err)
        final(c, err, "cannot sync the folder of", next->first_seq, 0);
}

static int run_remove(const struct committer *c, const struct committer_job *job)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, job->first_seq);
    int err = FAILPOINT("trim-unlink");
    if (!err && unlinkat(c->folder_fd, name, 0) < 0 && errno != ENOENT)
        err = -errno;
    if (!err)
        err = FAILPOINT("trim-unlinked");
    if (err)
        return err;
    /* One by one: a later segment must never be gone while an earlier one is still there. */
    err = sync_folder(c);
    if (err)
        final(c, err, "cannot sync the folder after deleting", job->first_seq, 0);
    return 0;
}

/* --- the spare segment --- */

static void spare_end(struct committer *c, int err)
{
    struct committer_job *job = c->spare;
    c->spare = NULL;
    job->err = err;
    job->spare_fd = c->spare_fd;
    if (err && c->spare_fd >= 0) {
        /* Gives the space back; if that fails too there is nothing better to do. */
        if (ftruncate(c->spare_fd, 0) < 0)
            log_debug("journal: emptying the spare segment: %m");
        close(c->spare_fd);
        job->spare_fd = -1;
    }
    c->spare_fd = -1;
    pass(c->done_write, job);
}

static int spare_fill_begin(struct committer *c)
{
    c->phase = SPARE_FILL;
    c->spare_at = 0;
    if (ftruncate(c->spare_fd, 0) < 0)
        return -errno;
    /* Says at once whether there is room, and keeps the file in one piece. */
    if (fallocate(c->spare_fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)c->spare->size) < 0 &&
        errno != EOPNOTSUPP)
        return -errno;
    return 0;
}

static int spare_begin(struct committer *c)
{
    int err = FAILPOINT("spare-open");
    if (err)
        return err;
    c->spare_fd =
        openat(c->folder_fd, SEGMENT_SPARE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (c->spare_fd < 0)
        return -errno;
    struct stat st;
    if (fstat(c->spare_fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size != c->spare->size)
        return spare_fill_begin(c);
    c->phase = SPARE_VERIFY; /* left by an earlier run: used again when it is as it should be */
    c->spare_at = 0;
    return 0;
}

static size_t spare_step_size(const struct committer *c)
{
    uint64_t left = c->spare->size - c->spare_at;
    return left < STEP ? (size_t)left : STEP;
}

static int spare_verify(struct committer *c)
{
    size_t want = spare_step_size(c);
    ssize_t n = pread(c->spare_fd, c->scratch, want, (off_t)c->spare_at);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n != (ssize_t)want || memcmp(c->scratch, c->newlines, want) != 0)
        return spare_fill_begin(c);
    c->spare_at += want;
    if (c->spare_at == c->spare->size)
        c->phase = SPARE_SYNC;
    return 0;
}

static int spare_fill(struct committer *c)
{
    int err = FAILPOINT("spare-write");
    if (err)
        return err;
    size_t want = spare_step_size(c);
    ssize_t n = pwrite(c->spare_fd, c->newlines, want, (off_t)c->spare_at);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -EIO;
    /* Starts it on its way, so that the sync at the end does not hold up a batch for long. */
    sync_file_range(c->spare_fd, (off_t)c->spare_at, n, SYNC_FILE_RANGE_WRITE);
    c->spare_at += (uint64_t)n;
    if (c->spare_at == c->spare->size)
        c->phase = SPARE_SYNC;
    return 0;
}

static void spare_step(struct committer *c)
{
    int err = 0;
    switch (c->phase) {
    case SPARE_VERIFY:
        err = spare_verify(c);
        break;
    case SPARE_FILL:
        err = spare_fill(c);
        break;
    case SPARE_SYNC:
        err = FAILPOINT("spare-sync");
        if (!err && fdatasync(c->spare_fd) < 0)
            err = -errno;
        spare_end(c, err);
        return;
    }
    if (err)
        spare_end(c, err);
}

/* --- the thread --- */

static void run_job(struct committer *c, struct committer_job *job)
{
    job->err = 0;
    switch (job->kind) {
    case COMMITTER_WRITE:
        run_write(c, job);
        break;
    case COMMITTER_REMOVE:
        job->err = run_remove(c, job);
        break;
    case COMMITTER_SPARE: {
        c->spare = job;
        c->spare_fd = -1;
        int err = spare_begin(c);
        if (err)
            spare_end(c, err);
        return;
    }
    }
    pass(c->done_write, job);
}

static void *thread_main(void *arg)
{
    struct committer *c = arg;
    for (;;) {
        if (c->spare && !readable(c->submit_read, 0)) {
            spare_step(c);
            continue;
        }
        struct committer_job *job = receive(c->submit_read);
        if (!job)
            break;
        run_job(c, job);
    }
    if (c->spare)
        close(c->spare_fd);
    return NULL;
}

static int start_thread(struct committer *c)
{
    /* Signals belong to the loop. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&c->thread, NULL, thread_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!err)
        pthread_setname_np(c->thread, "committer");
    return err;
}

static void close_and_free(struct committer *c)
{
    const int fds[] = {c->submit_read, c->submit_write, c->done_read, c->done_write};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(c->newlines);
    free(c->scratch);
    free(c);
}

static int open_pipes(struct committer *c)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return errno;
    c->submit_read = fds[0];
    c->submit_write = fds[1];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return errno;
    c->done_read = fds[0];
    c->done_write = fds[1];
    return fcntl(c->done_read, F_SETFL, O_NONBLOCK) < 0 ? errno : 0;
}

struct committer *committer_new(int folder_fd, const char *folder)
{
    struct committer *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->folder_fd = folder_fd;
    c->folder = folder;
    c->spare_fd = c->submit_read = c->submit_write = c->done_read = c->done_write = -1;
    c->newlines = malloc(STEP);
    c->scratch = malloc(STEP);
    int err = c->newlines && c->scratch ? open_pipes(c) : ENOMEM;
    if (!err) {
        memset(c->newlines, '\n', STEP);
        err = start_thread(c);
    }
    if (err) {
        close_and_free(c);
        errno = err;
        return NULL;
    }
    return c;
}

void committer_free(struct committer *c)
{
    if (!c)
        return;
    close(c->submit_write);
    c->submit_write = -1;
    pthread_join(c->thread, NULL);
    close_and_free(c);
}
