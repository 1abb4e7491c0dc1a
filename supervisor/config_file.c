// SPDX-License-Identifier: Apache-2.0
#include "supervisor/config_file.h"

#include "supervisor/config_value.h"

#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SECTIONS_MAX = 16, VALUES_MAX = CONFIG_HOSTS_MAX + 1, FILE_SIZE_MAX = 1024 * 1024 };

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
    cfg_opt_t top[SECTIONS_MAX + 1];
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
    top[count] = (cfg_opt_t)CFG_END();
    cfg_t *cfg = failed ? NULL : cfg_init(top, CFGF_NONE);
    while (count > 0)
        free(top[--count].subopts);
    return cfg;
}

static int parse(const char *path, char *error, size_t error_size)
{
    cfg_t *cfg = new_parser();
    if (!cfg) {
        snprintf(error, error_size, "%s: no memory", path);
        return -ENOMEM;
    }
    cfg_set_error_function(cfg, on_error);
    int result = cfg_parse(cfg, path);
    if (result != CFG_SUCCESS && error[0] == 0)
        snprintf(error, error_size, "%s: %s", path,
                 result == CFG_FILE_ERROR ? strerror(errno) : "cannot be read as a configuration");
    cfg_free(cfg);
    return result == CFG_SUCCESS ? 0 : -EINVAL;
}

/* libconfuse's scanner ends the process on a read error, so only an ordinary file gets there. */
static int check_file(const char *path, char *error, size_t error_size)
{
    struct stat st;
    FILE *file = fopen(path, "re");
    if (!file || fstat(fileno(file), &st) < 0) {
        int err = errno;
        snprintf(error, error_size, "%s: %s", path, strerror(err));
        if (file)
            fclose(file);
        return err == ENOENT ? -ENOENT : -EINVAL;
    }
    fclose(file);
    if (S_ISREG(st.st_mode) && st.st_size <= FILE_SIZE_MAX)
        return 0;
    snprintf(error, error_size, "%s: %s", path,
             S_ISREG(st.st_mode) ? "larger than 1 MiB" : "not a regular file");
    return -EINVAL;
}

int config_file_read(struct config *config, const char *path, char *error, size_t error_size)
{
    error[0] = 0;
    int err = check_file(path, error, error_size);
    if (err < 0)
        return err;
    char *whole = realpath(path, NULL);
    char *base = whole ? strdup(whole) : NULL;
    if (base) {
        *strrchr(base, '/') = 0;
        reading.config = config;
        reading.path = path;
        reading.base = base;
        reading.error = error;
        reading.error_size = error_size;
        err = parse(whole, error, error_size);
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
    return err;
}
