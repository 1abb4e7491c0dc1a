// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "supervisor/ctl/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct deploy {
    struct ctl *ctl;
    const char *id; /* NULL: by the name of each file */
    const char *message, *author;
};

/* objects/basics/counter.py is basics_counter: what is below a folder named objects, else the name.
 */
static void id_of_path(const char *path, char *id, size_t size)
{
    static const char folder[] = "objects/";
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    for (const char *at = path; (at = strstr(at, folder)); at++) {
        if (at == path || at[-1] == '/')
            name = at + sizeof(folder) - 1;
    }
    snprintf(id, size, "%s", name);
    size_t len = strlen(id);
    if (len > 3 && strcmp(id + len - 3, ".py") == 0)
        id[len - 3] = 0;
    for (char *c = id; *c; c++) {
        if (*c == '/')
            *c = '_';
    }
}

static int read_file(const char *path, struct buf *text)
{
    char chunk[16384];
    size_t n;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    bool bad = !file;
    while (!bad && (n = fread(chunk, 1, sizeof(chunk), file)) > 0)
        buf_append(text, chunk, n);
    bad = bad || ferror(file);
    if (bad)
        fprintf(stderr, "objectctl: %s: %s\n", path, strerror(errno));
    if (file && file != stdin)
        fclose(file);
    return bad ? CTL_NOT_FOUND : CTL_OK;
}

static int deploy_file(const struct deploy *d, const char *path)
{
    struct buf text = BUF_INIT, target = BUF_INIT;
    char name[256];
    json_t *answer = NULL;
    int code = read_file(path, &text);
    if (code == CTL_OK) {
        id_of_path(path, name, sizeof(name));
        const char *id = d->id ? d->id : name;
        ask_target(&target, id, "source=true");
        json_t *document = json_pack("{s:s%, s:s*, s:s*}", "code", text.data ? text.data : "",
                                     text.len, "author", d->author, "message", d->message);
        code = ask_document(d->ctl, "PUT", buf_str(&target), document, &answer);
        if (code == CTL_OK)
            ask_print_message(d->ctl, id, answer);
        else
            fprintf(stderr, "objectctl: %s was not deployed as %s\n", path, id);
    }
    json_decref(answer);
    buf_free(&text);
    buf_free(&target);
    return code;
}

int cmd_deploy(struct ctl *ctl, const struct command *self, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_OPTIONS,
                                            {"id", required_argument, NULL, 'i'},
                                            {"message", required_argument, NULL, 'm'},
                                            {"author", required_argument, NULL, 'a'},
                                            {0}};
    struct deploy d = {.ctl = ctl, .author = command_user()};
    int option, code = CTL_OK;
    while ((option = command_option(ctl, self, argc, argv, "m:a:h", options, &code)) != -1) {
        if (option == COMMAND_STOP)
            return code;
        *(option == 'i' ? &d.id : option == 'm' ? &d.message : &d.author) = optarg;
    }
    if (optind == argc)
        return command_usage(self, "which file?");
    if (d.id && argc - optind > 1)
        return command_usage(self, "one --id cannot name several files");
    if (!d.id && strcmp(argv[optind], "-") == 0)
        return command_usage(self, "what comes from standard input needs an --id");
    /* The rest is tried all the same: one bad file keeps no good one back. */
    for (int i = optind; i < argc && code != CTL_UNREACHABLE; i++) {
        int result = deploy_file(&d, argv[i]);
        code = code == CTL_OK || result == CTL_UNREACHABLE ? result : code;
    }
    return code;
}
