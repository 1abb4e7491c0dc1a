// SPDX-License-Identifier: Apache-2.0
#include "supervisor/config.h"

#include "supervisor/config_file.h"
#include "supervisor/config_value.h"
#include "supervisor/install_paths.h"
#include "supervisor/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MAX = CONFIG_HOSTS_MAX + 1, VARIABLE_MAX = 128, LIST_TEXT_MAX = 16384 };

/* --- defaults ------------------------------------------------------------------------------- */

/* The host name with what a station id cannot hold replaced; "station" when there is none. */
static void host_name(char *text, size_t size)
{
    if (gethostname(text, size) < 0 || text[0] == 0)
        snprintf(text, size, "station");
    text[size - 1] = 0;
    for (char *c = text; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("_.-", *c))
            *c = '-';
    }
}

/* Defaults that depend on the place. */
static const char *local_default(const struct config_key *key, const struct install_paths *paths,
                                 const char *host)
{
    if (key->kind == CONFIG_STATION)
        return host;
    if (key->kind == CONFIG_MANAGEMENT)
        return paths->checkout ? "loopback" : "token";
    if (strcmp(key->name, "objects") == 0)
        return paths->objects_dir;
    return strcmp(key->name, "data") == 0 ? paths->data_dir : paths->worker_program;
}

static int set_defaults(struct config *config, const struct install_paths *paths, char *error,
                        size_t size)
{
    char host[64];
    host_name(host, sizeof(host));
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *text = key->fallback ? key->fallback : local_default(key, paths, host);
        size_t count = config_key_is_list(key) && text[0] == 0 ? 0 : 1;
        int err = config_value_set(config, key, &text, count, NULL, error, size);
        if (err < 0)
            return err;
    }
    return 0;
}

/* --- environment ---------------------------------------------------------------------------- */

static const struct {
    const char *variable;
    const char *section, *name;
} short_variables[] = {
    {"STATION_ID", "station", "id"},
    {"OBJECTD_OBJECTS", "station", "objects"},
    {"OBJECTD_DATA", "station", "data"},
    {"OBJECTD_LISTEN", "http", "listen"},
};

/* Sets a key from one text of the environment; `source` is named in the error. */
static int set_from_text(struct config *config, const struct config_key *key, const char *source,
                         const char *text, char *error, size_t size)
{
    char copy[LIST_TEXT_MAX], why[512];
    const char *values[LIST_MAX] = {text};
    size_t count = 1;
    if (config_key_is_list(key)) {
        char *rest = NULL;
        count = 0;
        snprintf(copy, sizeof(copy), "%s", text);
        for (char *item = strtok_r(copy, ", \t", &rest); item && count < LIST_MAX;
             item = strtok_r(NULL, ", \t", &rest))
            values[count++] = item;
    }
    int err = config_value_set(config, key, values, count, NULL, why, sizeof(why));
    if (err < 0)
        snprintf(error, size, "%s: %s", source, why);
    return err;
}

static void variable_name(const struct config_key *key, char *text, size_t size)
{
    snprintf(text, size, "OBJECTD_%s_%s", key->section, key->name);
    for (char *c = text; *c; c++)
        *c = (char)toupper((unsigned char)*c);
}

static int read_short_variables(struct config *config, char *error, size_t size)
{
    for (size_t i = 0; i < sizeof(short_variables) / sizeof(short_variables[0]); i++) {
        const char *variable = short_variables[i].variable;
        const char *text = getenv(variable);
        if (!text || text[0] == 0)
            continue;
        const struct config_key *key =
            config_key_find(short_variables[i].section, short_variables[i].name);
        int err = set_from_text(config, key, variable, text, error, size);
        if (err < 0)
            return err;
    }
    return 0;
}

/*
 * A variable that begins like one of ours but names no key: a misspelling must not be silent.
 * OBJECTD_URL, OBJECTD_BUILD_DIR and others have no section's name behind the prefix.
 */
static bool is_misspelt(const char *entry)
{
    char variable[VARIABLE_MAX];
    size_t len = strcspn(entry, "=");
    bool ours = false;
    for (size_t i = 0; i < config_key_count; i++) {
        variable_name(&config_keys[i], variable, sizeof(variable));
        if (strlen(variable) == len && strncmp(entry, variable, len) == 0)
            return false;
        size_t prefix = strlen("OBJECTD_") + strlen(config_keys[i].section) + 1;
        ours = ours || strncmp(entry, variable, prefix) == 0;
    }
    return ours;
}

static int read_variables(struct config *config, char *error, size_t size)
{
    for (char **entry = environ; entry && *entry; entry++) {
        if (is_misspelt(*entry)) {
            snprintf(error, size, "%.*s: there is no such key", (int)strcspn(*entry, "="), *entry);
            return -EINVAL;
        }
    }
    char variable[VARIABLE_MAX];
    for (size_t i = 0; i < config_key_count; i++) {
        variable_name(&config_keys[i], variable, sizeof(variable));
        const char *text = getenv(variable);
        if (!text || text[0] == 0)
            continue;
        int err = set_from_text(config, &config_keys[i], variable, text, error, size);
        if (err < 0)
            return err;
    }
    return 0;
}

/* --- command line --------------------------------------------------------------------------- */

static int apply_options(struct config *config, const struct options *options, char *error,
                         size_t size)
{
    const struct {
        const char *option, *section, *name, *value;
    } given[] = {
        {"--objects", "station", "objects", options->objects},
        {"--data", "station", "data", options->data},
        {"--station", "station", "id", options->station},
        {"--log-level", "log", "level", options->log_level},
    };
    char why[512];
    const char *source = "--listen";
    int err = 0;
    if (options->listen_count > 0)
        err = config_value_set(config, config_key_find("http", "listen"), options->listen,
                               options->listen_count, NULL, why, sizeof(why));
    for (size_t i = 0; err == 0 && i < sizeof(given) / sizeof(given[0]); i++) {
        source = given[i].option;
        if (given[i].value)
            err = config_value_set(config, config_key_find(given[i].section, given[i].name),
                                   &given[i].value, 1, NULL, why, sizeof(why));
    }
    if (err < 0)
        snprintf(error, size, "%s: %s", source, why);
    return err;
}

/* --- the whole ------------------------------------------------------------------------------ */

static int read_file(struct config *config, const struct options *options,
                     const struct install_paths *paths, char *error, size_t size)
{
    const char *variable = getenv("OBJECTD_CONFIG");
    if (options->config_file)
        return config_file_read(config, options->config_file, error, size);
    if (variable && variable[0])
        return config_file_read(config, variable, error, size);
    if (!paths->config_file)
        return 0;
    int err = config_file_read(config, paths->config_file, error, size);
    return err == -ENOENT ? 0 : err; /* the usual place may be empty */
}

/* What no key can check by itself. */
static int check_together(const struct config *config, char *error, size_t size)
{
    const struct {
        bool wrong;
        const char *text;
    } rules[] = {
        {config->body_max > config->bodies_max,
         "limits.body_max is larger than limits.bodies_max, the room for all bodies"},
        {config->target_max > config->head_max,
         "limits.target_max is larger than limits.head_max, which contains it"},
        {config->segment_size > config->journal_max,
         "state.segment_size is larger than state.journal_max, the room for all segments"},
        {config->checkpoint_idle_ns > config->checkpoint_max_ns,
         "state.checkpoint_idle is longer than state.checkpoint_max"},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].wrong) {
            snprintf(error, size, "%s", rules[i].text);
            return -EINVAL;
        }
    }
    return 0;
}

static int load(struct config *config, const struct options *options,
                const struct install_paths *paths, char *error, size_t size)
{
    int err = set_defaults(config, paths, error, size);
    if (err == 0)
        err = read_file(config, options, paths, error, size);
    if (err == 0)
        err = read_short_variables(config, error, size);
    if (err == 0)
        err = read_variables(config, error, size);
    if (err == 0)
        err = apply_options(config, options, error, size);
    if (err == 0)
        err = check_together(config, error, size);
    return err;
}

int config_load(struct config *config, const struct options *options, char *error,
                size_t error_size)
{
    struct install_paths paths;
    *config = (struct config){0};
    error[0] = 0;
    int err = install_paths_find(&paths, NULL);
    if (err < 0) {
        /* An upgrade while it runs; a reload would mix old and new parts. */
        if (err == -ENOENT)
            snprintf(error, error_size,
                     "objectd was replaced on the disk after this station had started: restart it");
        else
            snprintf(error, error_size, "cannot tell where this program lies: %s", strerror(-err));
        return err;
    }
    err = load(config, options, &paths, error, error_size);
    install_paths_free(&paths);
    if (err < 0)
        config_free(config);
    return err == -ENOENT ? -EINVAL : err;
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < config_key_count; i++)
        config_value_free(config, &config_keys[i]);
    free(config->file);
    *config = (struct config){0};
}

void config_print(const struct config *config)
{
    char value[4096];
    const char *section = "";
    printf("# file: %s\n", config->file ? config->file : "none");
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (strcmp(section, key->section) != 0)
            printf("%s%s {\n", section[0] ? "}\n" : "", key->section);
        section = key->section;
        config_value_show(config, key, value, sizeof(value));
        printf("    %s = %s\n", key->name, value);
    }
    puts("}");
}
