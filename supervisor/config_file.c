// SPDX-License-Identifier: Apache-2.0
#include "supervisor/config_file.h"

#include "common/buf.h"
#include "supervisor/config_value.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTIONS_MAX = 16, VALUES_MAX = CONFIG_HOSTS_MAX + 1, FILE_SIZE_MAX = 1024 * 1024 };

/* Set behind the file's text: libconfuse takes the end of the file for any number of braces. */
#define END_MARK "__end"

/* The file being read: libconfuse's callbacks get nothing but its own structs. */
static struct {
    struct config *config;
    const char *path;
    const char *base;
    char *error;
    size_t error_size;
} reading;

/* The first mistake is the one reported; libconfuse itself adds others about the same line. */
static void report(const cfg_t *cfg, const char *what)
{
    if (strstr(what, END_MARK))
        what = "premature end of file, a value or a \"}\" is missing";
    if (reading.error[0] == 0)
        snprintf(reading.error, reading.error_size, "%s:%d: %s", reading.path, cfg->line, what);
}

static void put_names(const char *section, char *text, size_t size)
{
    const char *last = "";
    size_t len = 0;
    for (size_t i = 0; i < config_key_count && len < size; i++) {
        const struct config_key *key = &config_keys[i];
        const char *name = section ? key->name : key->section;
        if ((section && strcmp(key->section, section) != 0) || strcmp(name, last) == 0)
            continue;
        len += (size_t)snprintf(text + len, size - len, "%s%s", last[0] ? ", " : "", name);
        last = name;
    }
}

static void on_error(cfg_t *cfg, const char *format, va_list ap)
{
    char what[256], names[512] = "", line[1024];
    vsnprintf(what, sizeof(what), format, ap);
    if (strncmp(format, "no such option", 14) != 0) {
        report(cfg, what);
        return;
    }
    bool top = strcmp(cfg->name, "root") == 0;
    put_names(top ? NULL : cfg->name, names, sizeof(names));
    snprintf(line, sizeof(line), "%s; %s%s%s are: %s", what,
             top ? "the sections" : "the keys of \"", top ? "" : cfg->name, top ? "" : "\"", names);
    report(cfg, line);
}

/* Called after each value; a list is taken whole each time, so that the last call wins. */
static int on_value(cfg_t *cfg, cfg_opt_t *option)
{
    const char *values[VALUES_MAX];
    size_t count = 0;
    char why[512];
    const struct config_key *key = config_key_find(cfg->name, option->name);
    if (!key)
        return -1;
    unsigned size = cfg_opt_size(option);
    /* Without braces a value given twice is appended by libconfuse only for lists. */
    for (unsigned i = 0; i < size && count < VALUES_MAX; i++)
        values[count++] = cfg_opt_getnstr(option, i);
    if (config_value_set(reading.config, key, values, count, reading.base, why, sizeof(why)) == 0)
        return 0;
    report(cfg, why);
    return -1;
}

/* The options of one section, ended by CFG_END; allocated. */
static cfg_opt_t *section_options(const char *section)
{
    cfg_opt_t *options = calloc(config_key_count + 1, sizeof(*options));
    size_t count = 0;
    for (size_t i = 0; options && i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (strcmp(key->section, section) != 0)
            continue;
        cfg_opt_t list = CFG_STR_LIST(key->name, NULL, CFGF_NODEFAULT);
        cfg_opt_t single = CFG_STR(key->name, NULL, CFGF_NODEFAULT);
        options[count] = config_key_is_list(key) ? list : single;
        options[count++].validcb = on_value;
    }
    if (options)
        options[count] = (cfg_opt_t)CFG_END();
    return options;
}

/* A parser for the table; libconfuse copies the options. NULL when memory is short. */
static cfg_t *new_parser(void)
{
    cfg_opt_t top[SECTIONS_MAX + 2];
    size_t count = 0;
    bool failed = false;
    const char *last = "";
    for (size_t i = 0; i < config_key_count && count < SECTIONS_MAX; i++) {
        if (strcmp(config_keys[i].section, last) == 0)
            continue;
        last = config_keys[i].section;
        cfg_opt_t section = CFG_SEC(last, section_options(last), CFGF_NONE);
        failed |= section.subopts == NULL;
        top[count++] = section;
    }
    top[count++] = (cfg_opt_t)CFG_STR(END_MARK, NULL, CFGF_NODEFAULT);
    top[count] = (cfg_opt_t)CFG_END();
    cfg_t *cfg = failed ? NULL : cfg_init(top, CFGF_NONE);
    while (count > 0)
        free(top[--count].subopts);
    return cfg;
}

static int parse(const char *path, const char *text, char *error, size_t error_size)
{
    cfg_t *cfg = new_parser();
    if (!cfg) {
        snprintf(error, error_size, "%s: no memory", path);
        return -ENOMEM;
    }
    cfg_set_error_function(cfg, on_error);
    int result = cfg_parse_buf(cfg, text);
    bool whole = result == CFG_SUCCESS && cfg_getstr(cfg, END_MARK) != NULL;
    cfg_free(cfg);
    if (!whole && error[0] == 0)
        snprintf(error, error_size, "%s: ends in the middle of something", path);
    return whole ? 0 : -EINVAL;
}

/* The file's text with the end mark behind it. 0 or -errno. */
static int read_text(FILE *file, struct buf *text)
{
    char chunk[4096];
    size_t n;
    while (text->len <= FILE_SIZE_MAX && (n = fread(chunk, 1, sizeof(chunk), file)) > 0)
        buf_append(text, chunk, n);
    if (ferror(file))
        return -EIO;
    if (text->len > FILE_SIZE_MAX)
        return -EFBIG;
    if (text->len > 0 && memchr(text->data, 0, text->len))
        return -EILSEQ;
    buf_puts(text, "\n" END_MARK " = 1\n");
    return buf_ok(text) ? 0 : -ENOMEM;
}

/* 0 or -errno; -EISDIR for whatever else is no regular file. */
static int open_regular(const char *path, FILE **file)
{
    struct stat st;
    /* O_NONBLOCK: a FIFO must not hold a station that reads its configuration again. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EISDIR;
    *file = err ? NULL : fdopen(fd, "r");
    if (*file)
        return 0;
    close(fd);
    return err ? err : -ENOMEM;
}

/* libconfuse's scanner ends the process on a read error, so it is given text, not a file. */
static int read_file(const char *path, struct buf *text, char *error, size_t error_size)
{
    FILE *file = NULL;
    int err = open_regular(path, &file);
    if (!err) {
        err = read_text(file, text);
        fclose(file);
    }
    if (err == -EISDIR)
        snprintf(error, error_size, "%s: not a regular file", path);
    else if (err == -EILSEQ)
        snprintf(error, error_size, "%s: not a text file", path);
    else if (err < 0)
        snprintf(error, error_size, "%s: %s", path, strerror(-err));
    return err == 0 || err == -ENOENT || err == -ENOMEM ? err : -EINVAL;
}

int config_file_read(struct config *config, const char *path, char *error, size_t error_size)
{
    error[0] = 0;
    struct buf text = BUF_INIT;
    int err = read_file(path, &text, error, error_size);
    if (err < 0) {
        buf_free(&text);
        return err;
    }
    char *whole = realpath(path, NULL);
    char *base = whole ? strdup(whole) : NULL;
    if (base) {
        *strrchr(base, '/') = 0;
        reading.config = config;
        reading.path = path;
        reading.base = base;
        reading.error = error;
        reading.error_size = error_size;
        err = parse(path, buf_str(&text), error, error_size);
    } else {
        snprintf(error, error_size, "%s: no memory", path);
        err = -ENOMEM;
    }
    if (err == 0) {
        free(config->file);
        config->file = whole;
        whole = NULL;
    }
    free(whole);
    free(base);
    buf_free(&text);
    return err;
}
