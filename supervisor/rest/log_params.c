// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/log_params.h"

#include "common/rpc.h"
#include "common/time_text.h"
#include "supervisor/log/log_level.h"
#include "supervisor/rest/query.h"

#include <stdio.h>

static bool refuse(struct log_params *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(struct log_params *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(p->problem, sizeof(p->problem), format, ap);
    va_end(ap);
    return false;
}

static bool set_logs(struct log_params *p, const char *text, const struct config *config)
{
    (void)config;
    return strcmp(text, "true") == 0 || refuse(p, "logs must be true");
}

static bool set_levels(struct log_params *p, const char *text, const struct config *config)
{
    (void)config;
    return log_level_set_parse(span_of(text), &p->levels) ||
           refuse(p, "level must be one of " LOG_LEVEL_NAMES ", or several with commas");
}

static bool set_limit(struct log_params *p, const char *text, const struct config *config)
{
    if (!query_number(text, 0, UINT64_MAX, &p->limit))
        return refuse(p, "limit must be a number from 1 to %llu",
                      (unsigned long long)config->log_lines_max);
    if (p->limit <= config->log_lines_max)
        return true;
    p->limit_name = "log.lines_max";
    return refuse(p, "limit must be a number from 1 to %llu (log.lines_max)",
                  (unsigned long long)config->log_lines_max);
}

static bool set_offset(struct log_params *p, const char *text, const struct config *config)
{
    (void)config;
    return query_number(text, 0, INT64_MAX, &p->offset) ||
           refuse(p, "offset must be a number, 0 or more");
}

static bool set_time(struct log_params *p, const char *name, const char *text, uint64_t *us)
{
    return time_text_parse(text, strlen(text), us) ||
           refuse(p, "%s must be seconds since 1970, or a time such as 2026-11-21T19:30:00Z", name);
}

static bool set_since(struct log_params *p, const char *text, const struct config *config)
{
    (void)config;
    return set_time(p, "since", text, &p->since_us);
}

static bool set_until(struct log_params *p, const char *text, const struct config *config)
{
    (void)config;
    if (!set_time(p, "until", text, &p->until_us))
        return false;
    if (p->until_us == 0)
        p->until_us = 1; /* nothing is before 1970, and 0 means none */
    return true;
}

static bool set_follow(struct log_params *p, const char *text, const struct config *config)
{
    (void)config;
    p->follow = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return p->follow || strcmp(text, "false") == 0 || strcmp(text, "0") == 0 ||
           refuse(p, "follow must be true or false");
}

static const struct known {
    const char *name;
    bool (*set)(struct log_params *p, const char *text, const struct config *config);
} known[] = {
    {"logs", set_logs},   {"level", set_levels}, {"limit", set_limit},   {"offset", set_offset},
    {"since", set_since}, {"until", set_until},  {"follow", set_follow},
};

static bool is_repeated(const struct log_params *p, struct span name)
{
    struct codec_reader r = codec_reader_of(p->fields.data, p->fields.len);
    struct rpc_field f;
    while (rpc_field_next(&r, &f))
        if (f.name.len == name.len && memcmp(f.name.data, name.data, name.len) == 0)
            return true;
    return false;
}

static bool add_field(struct log_params *p, struct span name, struct span value)
{
    if (name.len == 0)
        return refuse(p, "a parameter has no name");
    if (is_repeated(p, name))
        return refuse(p, "%.*s is given twice", (int)(name.len < 100 ? name.len : 100), name.data);
    if (p->field_count == LOG_PARAMS_FIELDS_MAX)
        return refuse(p, "more than %d fields to compare", LOG_PARAMS_FIELDS_MAX);
    rpc_field_encode(&p->fields, &(struct rpc_field){name, value});
    p->field_count++;
    return buf_ok(&p->fields) || refuse(p, "no memory for the fields to compare");
}

static bool set(struct log_params *p, struct query *q, const struct config *config)
{
    struct span name = {buf_str(&q->name), q->name.len}, value = {buf_str(&q->value), q->value.len};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!span_equal(name, known[i].name))
            continue;
        if (p->given & 1u << i)
            return refuse(p, "%s is given twice", known[i].name);
        p->given |= 1u << i;
        if (memchr(value.data, '\0', value.len))
            return refuse(p, "%s holds a NUL", known[i].name);
        return value.len == 0 || known[i].set(p, value.data, config);
    }
    return add_field(p, name, value);
}

static bool fits_together(struct log_params *p, const struct config *config)
{
    if (p->limit == 0 && !p->follow)
        return refuse(p, "limit must be a number from 1 to %llu",
                      (unsigned long long)config->log_lines_max);
    if (p->follow && (p->offset || p->until_us))
        return refuse(p, "follow goes on from the newest line: %s has no meaning with it",
                      p->offset ? "offset" : "until");
    return true;
}

bool log_params_parse(struct log_params *p, struct span raw_query, const struct config *config)
{
    struct query q = query_of(raw_query);
    bool ok = true;
    *p = (struct log_params){.limit = LOG_PARAMS_LIMIT_DEFAULT};
    if (p->limit > config->log_lines_max)
        p->limit = config->log_lines_max;
    while (ok && query_next(&q))
        ok = set(p, &q, config);
    query_free(&q);
    return ok && fits_together(p, config);
}

void log_params_free(struct log_params *p)
{
    buf_free(&p->fields);
}
