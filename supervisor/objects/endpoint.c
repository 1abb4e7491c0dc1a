// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/endpoint.h"

#include "common/utf8.h"
#include "common/when.h"
#include "supervisor/objects/object.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { FOUND_MAX = 80 /* bytes of a wrong value that are shown */ };

/* Where the message goes. */
struct problem {
    char *text;
    size_t size;
};

struct rule {
    const char *key;
    /* False: not allowed. field: in struct endpoint or endpoint_limits. */
    bool (*read)(const json_t *value, const struct rule *rule, void *field);
    size_t offset;
    double least, most;
    const char *allowed; /* for people; a range goes after it, unless most is 0 */
    const char *setting; /* that sets the largest value; NULL: it is fixed */
    size_t setting_at;   /* in struct config */
};

/* --- kinds of values --- */

static bool read_flag(const json_t *value, const struct rule *rule, void *field)
{
    (void)rule;
    *(bool *)field = json_is_true(value);
    return json_is_boolean(value);
}

static bool read_seconds(const json_t *value, const struct rule *rule, void *field)
{
    double seconds = json_number_value(value);
    if (!json_is_number(value) || !(seconds >= rule->least && seconds <= rule->most))
        return false;
    *(uint64_t *)field = (uint64_t)(seconds * 1e9);
    return true;
}

static bool read_count(const json_t *value, const struct rule *rule, void *field)
{
    json_int_t count = json_integer_value(value);
    if (!json_is_integer(value) || (double)count < rule->least || (double)count > rule->most)
        return false;
    *(uint32_t *)field = (uint32_t)count;
    return true;
}

static struct span text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return (struct span){text ? text : "", json_string_length(value)};
}

/* One bit for each method that a handler may have, 0 for anything else. */
static uint32_t method_bit(struct span name)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (span_equal(name, names[i]))
            return 1u << i;
    return 0;
}

static bool read_methods(const json_t *value, const struct rule *rule, void *field)
{
    uint32_t bits = 0;
    (void)rule;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *name = json_array_get(value, i);
        uint32_t bit = json_is_string(name) ? method_bit(text_of(name)) : 0;
        if (!bit)
            return false;
        bits |= bit;
    }
    *(uint32_t *)field = bits;
    return json_is_array(value);
}

static bool read_ids(const json_t *value, const struct rule *rule, void *field)
{
    (void)rule;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *id = json_array_get(value, i);
        if (!json_is_string(id) ||
            !object_id_valid(json_string_value(id), json_string_length(id)) ||
            depends_add(field, json_string_value(id)) < 0)
            return false;
    }
    return json_is_array(value);
}

static bool is_name(struct span s)
{
    if (s.len == 0 || isdigit((unsigned char)s.data[0]))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c < 0x80 && !isalnum(c) && c != '_')
            return false;
    }
    return true;
}

static bool is_time_table(const json_t *when, const struct rule *rule)
{
    double seconds = json_number_value(when);
    if (json_is_number(when))
        return seconds >= rule->least && seconds <= rule->most;
    struct when parsed;
    char problem[WHEN_PROBLEM_SIZE];
    return json_is_string(when) && json_string_length(when) == strlen(json_string_value(when)) &&
           when_parse(json_string_value(when), &parsed, problem, sizeof(problem)) &&
           parsed.kind == WHEN_CRON;
}

static bool check_schedule(const json_t *value, const struct rule *rule, void *field)
{
    const char *function;
    json_t *when;
    (void)field;
    json_object_foreach((json_t *)value, function, when)
    {
        if (!is_name(span_of(function)) || !is_time_table(when, rule))
            return false;
    }
    return json_is_object(value);
}

static bool check_subscriptions(const json_t *value, const struct rule *rule, void *field)
{
    const char *event;
    json_t *function;
    (void)rule;
    (void)field;
    json_object_foreach((json_t *)value, event, function)
    {
        if (!*event || !json_is_string(function) || !is_name(text_of(function)))
            return false;
    }
    return json_is_object(value);
}

/* --- the table --- */

static bool check_limits(const json_t *value, const struct rule *rule, void *field)
{
    (void)rule;
    (void)field;
    return json_is_object(value);
}

#define AT(member) offsetof(struct endpoint, member)

#define SETTING(name) "limits." #name, offsetof(struct config, name)
#define FIXED         NULL, 0

#define SECONDS    "a number of seconds"
#define FLAG       "True or False"
#define WHOLE      "a whole number"
#define DAY_S      86400.0
#define YEAR_S     31536000.0
#define SHORTEST_S 0.001

static const struct rule rules[] = {
    {"stateless", read_flag, AT(stateless), 0, 0, FLAG, FIXED},
    {"workers", read_count, AT(workers), 1, 0, WHOLE, SETTING(workers_object_max)},
    {"readonly", read_methods, AT(readonly), 0, 0, "a list of HTTP methods such as [\"GET\"]",
     FIXED},
    {"concurrent", read_count, AT(concurrent), 1, 0, WHOLE, SETTING(concurrent_max)},
    {"timeout", read_seconds, AT(timeout_ns), SHORTEST_S, DAY_S, SECONDS, FIXED},
    {"idle_timeout", read_seconds, AT(idle_timeout_ns), SHORTEST_S, YEAR_S, SECONDS, FIXED},
    {"uploads", read_flag, AT(uploads), 0, 0, FLAG, FIXED},
    {"raw_query", read_flag, AT(raw_query), 0, 0, FLAG, FIXED},
    {"auto_rollback", read_flag, AT(auto_rollback), 0, 0, FLAG, FIXED},
    {"schedule", check_schedule, 0, WHEN_LEAST_S, WHEN_MOST_S,
     "a dict of function name to five cron fields (\"*/5 * * * *\") or to a number of seconds",
     FIXED},
    {"limits", check_limits, 0, 0, 0, "a dict", FIXED},
    {"depends", read_ids, AT(depends), 0, 0, "a list of object ids such as [\"shop_stock\"]",
     FIXED},
    {"subscribe", check_subscriptions, 0, 0, 0, "a dict of event type to function name", FIXED},
};

#undef AT
#define AT(member) offsetof(struct endpoint_limits, member)

static const struct rule limit_rules[] = {
    {"memory_mb", read_count, AT(memory_mb), 16, 1048576, WHOLE, FIXED},
    {"cpu_seconds", read_count, AT(cpu_seconds), 1, YEAR_S, WHOLE, FIXED},
    {"open_files", read_count, AT(open_files), 16, 1048576, WHOLE, FIXED},
    {"processes", read_count, AT(processes), 1, 1048576, WHOLE, FIXED},
};

/* --- messages --- */

/* The value as JSON, cut where it is long. */
static void show(const json_t *value, char *out, size_t size)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    size_t len = text ? strlen(text) : 0;
    bool is_long = len >= size;
    if (is_long)
        len = size - sizeof("…");
    while (is_long && len > 0 && !utf8_valid(text, len))
        len--;
    snprintf(out, size, "%.*s%s", (int)len, text ? text : "", is_long ? "…" : "");
    free(text);
}

static void show_name(const char *name, char *out, size_t size)
{
    json_t *text = json_string(name);
    show(text, out, size);
    json_decref(text);
}

static void complain(const struct problem *problem, const char *parent, const struct rule *rule,
                     const json_t *value)
{
    char found[FOUND_MAX], range[120] = "";
    show(value, found, sizeof(found));
    if (rule->most > 0)
        snprintf(range, sizeof(range), " from %.10g to %.10g%s%s%s", rule->least, rule->most,
                 rule->setting ? " (" : "", rule->setting ? rule->setting : "",
                 rule->setting ? ")" : "");
    snprintf(problem->text, problem->size, "__endpoint__%s[\"%s\"] is %s: it must be %s%s", parent,
             rule->key, found, rule->allowed, range);
}

/* --- reading --- */

/* A row with the largest value that the configuration sets. */
static struct rule bounded(const struct rule *rule, const struct config *config)
{
    struct rule r = *rule;
    if (r.setting)
        r.most = (double)*(const uint64_t *)((const char *)config + r.setting_at);
    return r;
}

static bool read_rules(const struct rule *table, size_t count, const struct config *config,
                       const json_t *values, const char *parent, void *into,
                       const struct problem *problem)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(values, table[i].key);
        struct rule rule = bounded(&table[i], config);
        if (!value || rule.read(value, &rule, (char *)into + rule.offset))
            continue;
        complain(problem, parent, &rule, value);
        return false;
    }
    return true;
}

/* A limit with a misspelt name would not hold, and nobody would know. */
static bool are_limits(const json_t *limits, const struct problem *problem)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)limits, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof(limit_rules) / sizeof(limit_rules[0]); i++)
            known = known || strcmp(name, limit_rules[i].key) == 0;
        if (known)
            continue;
        char found[FOUND_MAX];
        show_name(name, found, sizeof(found));
        snprintf(problem->text, problem->size,
                 "__endpoint__[\"limits\"][%s]: there is no such limit; there are memory_mb, "
                 "cpu_seconds, open_files and processes",
                 found);
        return false;
    }
    return true;
}

/* What is wrong with a time table, which the rule of "schedule" cannot say. */
static bool are_time_tables(const json_t *schedule, const struct problem *problem)
{
    const char *function;
    json_t *when;
    json_object_foreach((json_t *)schedule, function, when)
    {
        struct when parsed;
        char named[FOUND_MAX], found[FOUND_MAX], reason[WHEN_PROBLEM_SIZE];
        if (!is_name(span_of(function)) || !json_is_string(when) ||
            json_string_length(when) != strlen(json_string_value(when)) ||
            when_parse(json_string_value(when), &parsed, reason, sizeof(reason)))
            continue;
        show_name(function, named, sizeof(named));
        show(when, found, sizeof(found));
        snprintf(problem->text, problem->size, "__endpoint__[\"schedule\"][%s] is %s: %s", named,
                 found, reason);
        return false;
    }
    return true;
}

static bool are_consistent(const struct endpoint *e, const struct problem *problem)
{
    const char *text = NULL;
    if (e->workers > 1 && !e->stateless && !e->readonly)
        text = "[\"workers\"] above 1 needs \"stateless\": True, or \"readonly\" with the methods "
               "that write no state";
    else if (e->concurrent > 1 && !e->stateless)
        text = "[\"concurrent\"] above 1 needs \"stateless\": True";
    else if (e->stateless && e->readonly)
        text = " has \"stateless\": True and \"readonly\": no turn of a stateless object writes";
    if (text)
        snprintf(problem->text, problem->size, "__endpoint__%s", text);
    return !text;
}

static bool read_endpoint(struct endpoint *e, const struct config *config, const json_t *values,
                          const struct problem *problem)
{
    if (!json_is_object(values)) {
        snprintf(problem->text, problem->size, "__endpoint__ is not a JSON object");
        return false;
    }
    return are_time_tables(json_object_get(values, "schedule"), problem) &&
           read_rules(rules, sizeof(rules) / sizeof(rules[0]), config, values, "", e, problem) &&
           read_rules(limit_rules, sizeof(limit_rules) / sizeof(limit_rules[0]), config,
                      json_object_get(values, "limits"), "[\"limits\"]", &e->limits, problem) &&
           are_limits(json_object_get(values, "limits"), problem) && are_consistent(e, problem);
}

/* GET answers HEAD where the object has no HEAD of its own. */
static void extend_readonly(struct endpoint *e, const json_t *methods)
{
    uint32_t get = method_bit(span_of("GET")), head = method_bit(span_of("HEAD"));
    for (size_t i = 0; i < json_array_size(methods); i++)
        if (span_equal(text_of(json_array_get(methods, i)), "HEAD"))
            return;
    if (e->readonly & get)
        e->readonly |= head;
}

struct endpoint endpoint_default(const struct config *config)
{
    return (struct endpoint){.timeout_ns = config->timeout_ns,
                             .idle_timeout_ns = config->idle_timeout_ns,
                             .auto_rollback = true,
                             .workers = 1,
                             .concurrent = 1};
}

bool endpoint_parse(struct endpoint *e, const struct config *config, struct span metadata,
                    char *problem, size_t problem_size)
{
    struct endpoint parsed = endpoint_default(config);
    json_error_t error;
    if (metadata.len > config->metadata_max) {
        snprintf(problem, problem_size,
                 "__endpoint__ and what else it says about itself are %zu bytes of JSON, the limit "
                 "is %llu (limits.metadata_max)",
                 metadata.len, (unsigned long long)config->metadata_max);
        return false;
    }
    json_t *root = json_loadb(metadata.data, metadata.len, JSON_ALLOW_NUL, &error);
    if (!root) {
        snprintf(problem, problem_size, "__endpoint__ cannot be kept: %s", error.text);
        return false;
    }
    bool ok = read_endpoint(&parsed, config, json_object_get(root, "endpoint"),
                            &(struct problem){problem, problem_size});
    extend_readonly(&parsed, json_object_get(root, "methods"));
    json_decref(root);
    parsed.metadata = ok ? span_dup(metadata) : NULL;
    if (!parsed.metadata) {
        if (ok)
            snprintf(problem, problem_size, "no memory");
        endpoint_free(&parsed);
        return false;
    }
    endpoint_free(e);
    *e = parsed;
    return true;
}

void endpoint_free(struct endpoint *e)
{
    free(e->metadata);
    e->metadata = NULL;
    depends_free(&e->depends);
}

bool endpoint_is_readonly(const struct endpoint *e, struct span method)
{
    return e->stateless || (e->readonly & method_bit(method));
}
