// SPDX-License-Identifier: Apache-2.0
#include "supervisor/config_value.h"

#include "common/build.h"
#include "common/clock.h"
#include "common/venv.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { STATION_ID_MAX = 64, UNIX_PATH_MAX_LEN = 107, HOST_NAME_LEN_MAX = 253 };

const struct config_key config_keys[] = {
#define KEY(section, name, kind, field, fallback, min, max) \
    {#section, #name, CONFIG_##kind, offsetof(struct config, field), fallback, min, max, false},
#define FIXED(section, name, kind, field, fallback, min, max) \
    {#section, #name, CONFIG_##kind, offsetof(struct config, field), fallback, min, max, true},
#include "supervisor/config_keys.def"
#undef FIXED
#undef KEY
};
const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

struct word {
    const char *text;
    int value;
};

enum { WORDS_MAX = 8 };
static const struct word flag_words[WORDS_MAX] = {{"true", 1}, {"false", 0}, {"yes", 1}, {"no", 0},
                                                  {"on", 1},   {"off", 0},   {NULL, 0}};
static const struct word durability_words[WORDS_MAX] = {{"fsync", DURABILITY_FSYNC},
                                                        {"interval", DURABILITY_INTERVAL},
                                                        {"none", DURABILITY_NONE},
                                                        {NULL, 0}};
static const struct word level_words[WORDS_MAX] = {
    {"debug", LOG_LEVEL_DEBUG}, {"info", LOG_LEVEL_INFO},   {"warning", LOG_LEVEL_WARN},
    {"warn", LOG_LEVEL_WARN},   {"error", LOG_LEVEL_ERROR}, {NULL, 0}};
/* "auto" stands first among the words but is no value of its own: it is resolved when read. */
static const struct word format_words[WORDS_MAX] = {
    {"json", LOG_FORMAT_JSON}, {"text", LOG_FORMAT_TEXT}, {"auto", -1}, {NULL, 0}};
static const struct word cgroups_words[WORDS_MAX] = {
    {"auto", CGROUPS_AUTO}, {"off", CGROUPS_OFF}, {"require", CGROUPS_REQUIRE}, {NULL, 0}};
static const struct word management_words[WORDS_MAX] = {{"loopback", MANAGEMENT_LOOPBACK},
                                                        {"token", MANAGEMENT_TOKEN},
                                                        {"off", MANAGEMENT_OFF},
                                                        {NULL, 0}};

const struct config_key *config_key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (strcmp(config_keys[i].section, section) == 0 && strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    }
    return NULL;
}

bool config_key_is_list(const struct config_key *key)
{
    return key->kind == CONFIG_LISTEN || key->kind == CONFIG_HOSTS;
}

static void *field_of(const struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

static const struct word *words_of(enum config_kind kind)
{
    switch (kind) {
    case CONFIG_FLAG:
        return flag_words;
    case CONFIG_DURABILITY:
        return durability_words;
    case CONFIG_LEVEL:
        return level_words;
    case CONFIG_FORMAT:
        return format_words;
    case CONFIG_CGROUPS:
        return cgroups_words;
    case CONFIG_MANAGEMENT:
        return management_words;
    default:
        return NULL;
    }
}

/* --- lists -------------------------------------------------------------------------------- */

struct list {
    char **items;
    size_t *count;
    size_t max;
};

static struct list list_of(struct config *config, const struct config_key *key)
{
    if (key->kind == CONFIG_LISTEN)
        return (struct list){config->listen, &config->listen_count, CONFIG_LISTEN_MAX};
    return (struct list){config->hosts, &config->host_count, CONFIG_HOSTS_MAX};
}

static void list_clear(struct list list)
{
    while (*list.count > 0) {
        free(list.items[--*list.count]);
        list.items[*list.count] = NULL;
    }
}

/* --- what is allowed ------------------------------------------------------------------------ */

static void put_size(char *text, size_t size, double bytes)
{
    static const char units[] = {0, 'K', 'M', 'G'};
    size_t unit = 0;
    while (unit < 3 && bytes >= 1024 && fmod(bytes, 1024) == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, size, "%.0f%c", bytes, units[unit]);
}

static void allowed_words(const struct word *words, char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "one of");
    for (const struct word *w = words; w->text && len < size; w++)
        len += (size_t)snprintf(text + len, size - len, "%s %s", w == words ? "" : ",", w->text);
}

void config_value_allowed(const struct config_key *key, char *text, size_t size)
{
    char low[32], high[32];
    switch (key->kind) {
    case CONFIG_STATION:
        snprintf(text, size, "1 to %d characters out of A-Z a-z 0-9 _ . -", STATION_ID_MAX);
        return;
    case CONFIG_PATH:
        snprintf(text, size, "the path of a file or folder");
        return;
    case CONFIG_VENV:
        snprintf(text, size, "the folder of a virtual environment of Python %s, or \"\" for none",
                 OBJECTD_PYTHON_VERSION);
        return;
    case CONFIG_LISTEN:
        snprintf(text, size,
                 "1 to %d addresses such as \"127.0.0.1:8001\", \"[::1]:8001\" or "
                 "\"unix:/run/objectd.sock\"",
                 CONFIG_LISTEN_MAX);
        return;
    case CONFIG_HOSTS:
        snprintf(text, size, "up to %d host names without a port", CONFIG_HOSTS_MAX);
        return;
    case CONFIG_DURATION:
        snprintf(text, size, "a number of seconds from %g to %.10g", key->min, key->max);
        return;
    case CONFIG_SIZE:
        put_size(low, sizeof(low), key->min);
        put_size(high, sizeof(high), key->max);
        snprintf(text, size, "a number of bytes, or of K, M or G, from %s to %s", low, high);
        return;
    case CONFIG_COUNT:
        snprintf(text, size, "a whole number from %.0f to %.0f", key->min, key->max);
        return;
    default:
        allowed_words(words_of(key->kind), text, size);
    }
}

/* --- numbers -------------------------------------------------------------------------------- */

/* Digits with at most one point, nothing else: no sign, exponent, hex, inf or nan. */
static bool parse_decimal(const char *text, double *value)
{
    size_t digits = strspn(text, "0123456789");
    size_t len = digits;
    if (text[len] == '.') {
        size_t fraction = strspn(text + len + 1, "0123456789");
        digits += fraction;
        len += 1 + fraction;
    }
    if (digits == 0 || text[len] != 0 || len > 32)
        return false;
    *value = strtod(text, NULL);
    return true;
}

/* 0, or 1 K, 2 M, 3 G for a suffix that is cut off. */
static unsigned cut_unit(char *text)
{
    static const char units[] = "kmg";
    size_t len = strlen(text);
    const char *found = len > 1 ? strchr(units, tolower((unsigned char)text[len - 1])) : NULL;
    if (!found)
        return 0;
    text[len - 1] = 0;
    return (unsigned)(found - units) + 1;
}

static bool parse_whole(const char *text, bool units, uint64_t *value)
{
    char digits[24];
    if ((size_t)snprintf(digits, sizeof(digits), "%s", text) >= sizeof(digits))
        return false;
    unsigned shift = units ? 10 * cut_unit(digits) : 0;
    if (digits[0] == 0 || digits[strspn(digits, "0123456789")] != 0)
        return false;
    errno = 0;
    unsigned long long number = strtoull(digits, NULL, 10);
    if (errno != 0 || number > UINT64_MAX >> shift)
        return false;
    *value = (uint64_t)number << shift;
    return true;
}

static bool set_number(const struct config_key *key, const char *text, uint64_t *field)
{
    double seconds;
    uint64_t number;
    if (key->kind == CONFIG_DURATION) {
        if (!parse_decimal(text, &seconds) || seconds < key->min || seconds > key->max)
            return false;
        *field = (uint64_t)llround(seconds * (double)NS_PER_S);
        return true;
    }
    if (!parse_whole(text, key->kind == CONFIG_SIZE, &number))
        return false;
    if ((double)number < key->min || (double)number > key->max)
        return false;
    *field = number;
    return true;
}

static bool set_word(const struct config_key *key, const char *text, void *field)
{
    for (const struct word *w = words_of(key->kind); w->text; w++) {
        if (strcasecmp(w->text, text) != 0)
            continue;
        int value = w->value;
        if (key->kind == CONFIG_FORMAT && value < 0)
            value = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
        *(int *)field = value; /* the enums of struct config have the size of int */
        return true;
    }
    return false;
}

/* --- texts ---------------------------------------------------------------------------------- */

static bool name_is_valid(const char *text, size_t max)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return len > 0 && len <= max && text[len] == 0;
}

static bool port_is_valid(const char *text)
{
    uint64_t port;
    return parse_whole(text, false, &port) && port <= 65535;
}

static bool listen_is_valid(const char *text)
{
    if (strncmp(text, "unix:", 5) == 0)
        return text[5] == '/' && strlen(text + 5) <= UNIX_PATH_MAX_LEN;
    const char *colon = strrchr(text, ':');
    if (!colon || !port_is_valid(colon + 1))
        return false;
    size_t len = (size_t)(colon - text);
    if (text[0] == '[')
        return len >= 4 && text[len - 1] == ']' &&
               strspn(text + 1, "0123456789abcdefABCDEF:.") == len - 2;
    return len > 0 && strspn(text, "0123456789.") == len;
}

static bool item_is_valid(const struct config_key *key, const char *text)
{
    switch (key->kind) {
    case CONFIG_STATION:
        return name_is_valid(text, STATION_ID_MAX);
    case CONFIG_LISTEN:
        return listen_is_valid(text);
    case CONFIG_HOSTS:
        return name_is_valid(text, HOST_NAME_LEN_MAX);
    default:
        return text[0] != 0;
    }
}

/* An absolute path, "." and trailing slashes removed at the ends only; NULL when memory is short.
 */
static char *absolute(const char *base, const char *path)
{
    char *cwd = NULL, *whole = NULL;
    if (path[0] == '/')
        return strdup(path);
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    if (!base)
        base = cwd = getcwd(NULL, 0);
    if (base && strcmp(path, ".") == 0)
        whole = strdup(base);
    else if (base && asprintf(&whole, "%s/%s", base, path) < 0)
        whole = NULL;
    free(cwd);
    return whole;
}

/* The same without slashes at its end. */
static char *path_of(const char *base, const char *text)
{
    char *path = absolute(base, text);
    size_t len = path ? strlen(path) : 0;
    while (len > 1 && path[len - 1] == '/')
        path[--len] = 0;
    return path;
}

static int set_text(const struct config_key *key, const char *text, const char *base, char **field)
{
    if (!item_is_valid(key, text))
        return -EINVAL;
    char *copy = key->kind == CONFIG_PATH ? path_of(base, text) : strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static int set_venv(const char *text, const char *base, char **field)
{
    char problem[VENV_PROBLEM_SIZE];
    char *path = text[0] ? path_of(base, text) : strdup("");
    if (!path)
        return -ENOMEM;
    if (path[0] && !venv_check(path, problem, sizeof(problem))) {
        free(path);
        return -EINVAL;
    }
    free(*field);
    *field = path;
    return 0;
}

static bool stands_before(char *const *items, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(items[i], items[at]) == 0)
            return true;
    return false;
}

static int set_list(struct config *config, const struct config_key *key, const char *const *values,
                    size_t count, const char **bad)
{
    struct list list = list_of(config, key);
    list_clear(list);
    if (count > list.max || (count == 0 && key->kind == CONFIG_LISTEN))
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        int err = set_text(key, *bad = values[i], NULL, &list.items[i]);
        if (err < 0)
            return err;
        *list.count = i + 1;
        if (key->kind == CONFIG_LISTEN && stands_before(list.items, i))
            return -EEXIST;
    }
    return 0;
}

static int set_one(struct config *config, const struct config_key *key, const char *text,
                   const char *base)
{
    void *field = field_of(config, key);
    switch (key->kind) {
    case CONFIG_STATION:
    case CONFIG_PATH:
        return set_text(key, text, base, field);
    case CONFIG_VENV:
        return set_venv(text, base, field);
    case CONFIG_DURATION:
    case CONFIG_SIZE:
    case CONFIG_COUNT:
        return set_number(key, text, field) ? 0 : -EINVAL;
    default:
        return set_word(key, text, field) ? 0 : -EINVAL;
    }
}

/* What is wrong with a virtual environment, and the way out, say more than what would be right. */
static bool explain_venv(const struct config_key *key, const char *bad, const char *base, char *why,
                         size_t size)
{
    char problem[VENV_PROBLEM_SIZE];
    char *path = key->kind == CONFIG_VENV && bad ? path_of(base, bad) : NULL;
    bool is_bad = path && !venv_check(path, problem, sizeof(problem));
    if (is_bad)
        snprintf(why, size, "%s.%s: %s", key->section, key->name, problem);
    free(path);
    return is_bad;
}

static void explain(const struct config_key *key, int err, const char *bad, const char *base,
                    char *why, size_t size)
{
    char allowed[256];
    if (err == -ENOMEM) {
        snprintf(why, size, "%s.%s: no memory", key->section, key->name);
        return;
    }
    if (err == -EEXIST) {
        snprintf(why, size, "%s.%s: \"%s\" stands there twice", key->section, key->name, bad);
        return;
    }
    if (explain_venv(key, bad, base, why, size))
        return;
    config_value_allowed(key, allowed, sizeof(allowed));
    if (bad)
        snprintf(why, size, "%s.%s = \"%.80s\" is not allowed; it takes %s", key->section,
                 key->name, bad, allowed);
    else
        snprintf(why, size, "%s.%s takes %s", key->section, key->name, allowed);
}

int config_value_set(struct config *config, const struct config_key *key, const char *const *values,
                     size_t count, const char *base, char *why, size_t why_size)
{
    const char *bad = NULL;
    int err = -EINVAL;
    if (config_key_is_list(key))
        err = set_list(config, key, values, count, &bad);
    else if (count == 1)
        err = set_one(config, key, bad = values[0], base);
    if (err < 0)
        explain(key, err, bad, base, why, why_size);
    return err;
}

/* --- shown and freed -------------------------------------------------------------------------- */

static void show_list(struct list list, char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "{");
    for (size_t i = 0; i < *list.count && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%s\"%s\"", i ? ", " : "", list.items[i]);
    if (len < size)
        snprintf(text + len, size - len, "}");
}

static void show_word(const struct config_key *key, int value, char *text, size_t size)
{
    for (const struct word *w = words_of(key->kind); w->text; w++) {
        if (w->value == value) {
            snprintf(text, size, "%s", w->text);
            return;
        }
    }
    snprintf(text, size, "?");
}

void config_value_show(const struct config *config, const struct config_key *key, char *text,
                       size_t size)
{
    const void *field = field_of(config, key);
    switch (key->kind) {
    case CONFIG_STATION:
    case CONFIG_PATH:
    case CONFIG_VENV:
        snprintf(text, size, "\"%s\"", *(char *const *)field ? *(char *const *)field : "");
        return;
    case CONFIG_LISTEN:
    case CONFIG_HOSTS:
        show_list(list_of((struct config *)config, key), text, size);
        return;
    case CONFIG_DURATION:
        snprintf(text, size, "%.12g", (double)*(const uint64_t *)field / (double)NS_PER_S);
        return;
    case CONFIG_SIZE:
        put_size(text, size, (double)*(const uint64_t *)field);
        return;
    case CONFIG_COUNT:
        snprintf(text, size, "%llu", (unsigned long long)*(const uint64_t *)field);
        return;
    default:
        show_word(key, *(const int *)field, text, size);
    }
}

/* --- compared and copied ---------------------------------------------------------------------- */

static bool is_text(const struct config_key *key)
{
    return key->kind == CONFIG_PATH || key->kind == CONFIG_VENV || key->kind == CONFIG_STATION;
}

static bool is_number(const struct config_key *key)
{
    return key->kind == CONFIG_DURATION || key->kind == CONFIG_SIZE || key->kind == CONFIG_COUNT;
}

static bool lists_equal(struct list a, struct list b)
{
    bool equal = *a.count == *b.count;
    for (size_t i = 0; equal && i < *a.count; i++)
        equal = strcmp(a.items[i], b.items[i]) == 0;
    return equal;
}

bool config_value_equal(const struct config *a, const struct config *b,
                        const struct config_key *key)
{
    const void *x = field_of(a, key), *y = field_of(b, key);
    if (config_key_is_list(key))
        return lists_equal(list_of((struct config *)a, key), list_of((struct config *)b, key));
    if (is_text(key))
        return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    return memcmp(x, y, is_number(key) ? sizeof(uint64_t) : sizeof(int)) == 0;
}

int config_value_copy(struct config *to, const struct config *from, const struct config_key *key)
{
    const void *source = field_of(from, key);
    void *field = field_of(to, key);
    if (!is_text(key)) {
        memcpy(field, source, is_number(key) ? sizeof(uint64_t) : sizeof(int));
        return 0;
    }
    char *copy = strdup(*(char *const *)source);
    if (!copy)
        return -ENOMEM;
    free(*(char **)field);
    *(char **)field = copy;
    return 0;
}

void config_value_free(struct config *config, const struct config_key *key)
{
    if (config_key_is_list(key)) {
        list_clear(list_of(config, key));
    } else if (is_text(key)) {
        char **field = field_of(config, key);
        free(*field);
        *field = NULL;
    }
}
