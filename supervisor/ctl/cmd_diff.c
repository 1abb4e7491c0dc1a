// SPDX-License-Identifier: Apache-2.0
/* The texts go to diff(1) through unnamed files: nothing is left behind whatever happens. */
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/program_text.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct side {
    const char *version; /* NULL: what serves */
    json_t *answer;
    const char *text;
    int fd;
    char path[32];  /* of the descriptor, for diff */
    char label[64]; /* in the head of the diff */
};

static int load(struct ctl *ctl, const char *id, struct side *side)
{
    int code = program_text_get(ctl, id, side->version, &side->answer, &side->text);
    if (code != CTL_OK)
        return code;
    snprintf(side->label, sizeof(side->label), side->version ? "%.40s version %s" : "%.40s", id,
             side->version);
    side->fd = memfd_create("diff", 0);
    size_t len = strlen(side->text);
    if (side->fd < 0 || write(side->fd, side->text, len) != (ssize_t)len) {
        fprintf(stderr, "objectctl: %s\n", strerror(errno));
        return CTL_INTERNAL;
    }
    snprintf(side->path, sizeof(side->path), "/dev/fd/%d", side->fd);
    return CTL_OK;
}

static void unload(struct side *side)
{
    json_decref(side->answer);
    if (side->fd >= 0)
        close(side->fd);
}

/* Runs diff with its output in `out` (-1: ours). Its exit code, or CTL_ENVIRONMENT (reported). */
static int run_diff(struct side *from, struct side *to, int out)
{
    char *argv[] = {"diff",    "-u",       "--label", from->label, "--label",
                    to->label, from->path, to->path,  NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    fflush(stdout);
    posix_spawn_file_actions_init(&actions);
    if (out >= 0)
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (err) {
        fprintf(stderr, "objectctl: the program diff (package diffutils) cannot be run: %s\n",
                strerror(err));
        return CTL_ENVIRONMENT;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return CTL_INTERNAL;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        fputs("objectctl: the program diff (package diffutils) cannot be run\n", stderr);
    return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? WEXITSTATUS(status) : CTL_ENVIRONMENT;
}

static int print_json(const char *id, struct side *from, struct side *to)
{
    struct buf text = BUF_INIT;
    char chunk[4096];
    ssize_t n;
    int fd = memfd_create("diff", MFD_CLOEXEC);
    int code = fd < 0 ? CTL_INTERNAL : run_diff(from, to, fd);
    for (off_t at = 0; fd >= 0 && (n = pread(fd, chunk, sizeof(chunk), at)) > 0; at += n)
        buf_append(&text, chunk, (size_t)n);
    if (fd >= 0)
        close(fd);
    if (code == CTL_OK || code == CTL_ERROR) {
        json_t *answer = json_pack("{s:s, s:s, s:s?, s:s?, s:b, s:s}", "status", "ok", "object_id",
                                   id, "from", from->version, "to", to->version, "differs",
                                   code == CTL_ERROR, "diff", buf_str(&text));
        ask_print(answer);
        json_decref(answer);
    }
    buf_free(&text);
    return code;
}

int cmd_diff(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    struct side from = {.fd = -1}, to = {.fd = -1};
    int code;
    if (command_no_options(ctl, self, argc, argv, &code))
        return code;
    if (argc - optind < 2 || argc - optind > 3)
        return command_usage(self, "which object, and which version?");
    const char *id = argv[optind];
    from.version = argv[optind + 1];
    to.version = argv[optind + 2];
    if (!command_is_number(from.version) || (to.version && !command_is_number(to.version)))
        return command_usage(self, "a version is a number; 'objectctl versions ID' lists them");
    code = load(ctl, id, &from);
    if (code == CTL_OK)
        code = load(ctl, id, &to);
    if (code == CTL_OK)
        code = ctl->json ? print_json(id, &from, &to) : run_diff(&from, &to, -1);
    unload(&from);
    unload(&to);
    return code;
}
