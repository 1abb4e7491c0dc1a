// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"
#include "supervisor/ctl/printable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int list(struct ctl *ctl, const char *id)
{
    static const char *const members[] = {"name", "size", "modified"};
    static const char *const heads[] = {"NAME", "SIZE", "MODIFIED"};
    json_t *answer;
    int code = ask_object(ctl, id, "files=true", &answer);
    if (code == CTL_OK && ctl->json) {
        ask_print(answer);
    } else if (code == CTL_OK) {
        ask_show_times(json_object_get(answer, "files"), "modified");
        ask_print_rows(json_object_get(answer, "files"), members, heads, 3);
    }
    json_decref(answer);
    return code;
}

static void put_file_target(struct buf *target, const char *id, const char *name)
{
    ask_target(target, id, "file=");
    client_put_encoded(target, name, false);
}

/* --- get ------------------------------------------------------------------------------------ */

/* A file that appears under its name when it is whole; "-" is stdout. */
struct download {
    const char *path;
    struct buf part;
    FILE *file;
    int err;
};

static bool take_bytes(void *arg, const char *bytes, size_t len)
{
    struct download *d = arg;
    if (!d->file)
        d->file = strcmp(d->path, "-") == 0 ? stdout : fopen(buf_str(&d->part), "wxe");
    if (!d->file || fwrite(bytes, 1, len, d->file) != len)
        d->err = errno;
    return d->err == 0;
}

static int keep(struct download *d, int code)
{
    bool to_stdout = strcmp(d->path, "-") == 0;
    if (code == CTL_OK && d->err == 0 && !d->file)
        take_bytes(d, "", 0); /* an empty file */
    bool made = d->file && !to_stdout;
    if (made && fclose(d->file) != 0 && d->err == 0)
        d->err = errno;
    if (made && code == CTL_OK && d->err == 0 && rename(buf_str(&d->part), d->path) < 0)
        d->err = errno;
    if (made && (code != CTL_OK || d->err != 0))
        unlink(buf_str(&d->part));
    if (d->err == 0)
        return code;
    fprintf(stderr, "objectctl: %s: %s\n", d->path, strerror(d->err));
    return CTL_CANNOT_WRITE;
}

static int get(struct ctl *ctl, const char *id, const char *name, const char *path)
{
    struct buf target = BUF_INIT;
    struct download d = {.path = path ? path : name, .part = BUF_INIT};
    struct reply reply = {0};
    if (!path && (strchr(name, '/') || name[0] == '.')) {
        fprintf(stderr, "objectctl: %s: name the file to write with -o\n", name);
        return CTL_USAGE;
    }
    put_file_target(&target, id, name);
    buf_printf(&d.part, "%s.%ld.part", d.path, (long)getpid());
    int code = client_send(
        ctl->client,
        &(struct request){.target = buf_str(&target), .sink = take_bytes, .sink_arg = &d}, &reply);
    if (code == CTL_OK && reply.status >= 400) {
        client_report(&reply, false);
        code = client_exit_code(reply.status);
    }
    code = keep(&d, code);
    reply_free(&reply);
    buf_free(&d.part);
    buf_free(&target);
    return code;
}

/* --- put, rm -------------------------------------------------------------------------------- */

static int put(struct ctl *ctl, const char *id, char *const *paths, size_t count)
{
    static const char *const members[] = {"filename", "size"};
    static const char *const heads[] = {"NAME", "SIZE"};
    struct buf target = BUF_INIT;
    json_t *answer;
    ask_target(&target, id, NULL);
    int code = ask_send(
        ctl,
        &(struct request){
            .method = "POST", .target = buf_str(&target), .uploads = paths, .upload_count = count},
        &answer);
    const json_t *files = json_object_get(answer, "files");
    /* An object that takes uploads itself answers what it likes. */
    if (code == CTL_OK && (ctl->json || !files))
        ask_print(answer);
    else if (code == CTL_OK)
        ask_print_rows(files, members, heads, 2);
    json_decref(answer);
    buf_free(&target);
    return code;
}

static int delete_file(struct ctl *ctl, const char *id, const char *name)
{
    struct buf target = BUF_INIT;
    json_t *answer;
    put_file_target(&target, id, name);
    int code =
        ask_send(ctl, &(struct request){.method = "DELETE", .target = buf_str(&target)}, &answer);
    if (code == CTL_OK && ctl->json)
        ask_print(answer);
    json_decref(answer);
    buf_free(&target);
    return code;
}

static int delete_files(struct ctl *ctl, const char *id, char *const *names, int count)
{
    int code = CTL_OK;
    for (int i = 0; i < count && code != CTL_UNREACHABLE; i++) {
        int result = delete_file(ctl, id, names[i]);
        code = code == CTL_OK || result == CTL_UNREACHABLE ? result : code;
    }
    return code;
}

int cmd_files(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {
        COMMAND_OPTIONS, {"output", required_argument, NULL, 'o'}, {0}};
    const char *path = NULL;
    int option, code = CTL_OK;
    while ((option = command_option(ctl, self, argc, argv, "o:h", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            return code;
        path = optarg;
    }
    argv += optind;
    argc -= optind;
    if (argc == 0)
        return command_usage(self, "the files of which object?");
    bool is_get = argc == 3 && strcmp(argv[1], "get") == 0;
    if (path && !is_get)
        return command_usage(self, "-o belongs to get");
    if (!ask_client(ctl))
        return CTL_USAGE;
    if (argc == 1)
        return list(ctl, argv[0]);
    if (is_get)
        return get(ctl, argv[0], argv[2], path);
    if (argc > 2 && strcmp(argv[1], "put") == 0)
        return put(ctl, argv[0], argv + 2, (size_t)argc - 2);
    if (argc > 2 && strcmp(argv[1], "rm") == 0)
        return delete_files(ctl, argv[0], argv + 2, argc - 2);
    return command_usage(self, "what to do must be get NAME, put FILE... or rm NAME...");
}
