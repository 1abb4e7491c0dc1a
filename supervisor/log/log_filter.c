// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log/log_filter.h"

#include "common/rpc.h"
#include "common/time_text.h"
#include "supervisor/log/log_level.h"

bool log_filter_time_of(const struct log_line *line, uint64_t *us)
{
    struct span text = log_line_column(line, "timestamp");
    return time_text_parse(text.data, text.len, us);
}

static bool time_matches(const struct log_filter *f, const struct log_line *line)
{
    uint64_t us;
    if (f->since_us == 0 && f->until_us == 0)
        return true;
    return log_filter_time_of(line, &us) && us >= f->since_us &&
           (f->until_us == 0 || us < f->until_us);
}

static bool fields_match(const struct log_filter *f, const struct log_line *line)
{
    struct codec_reader r = codec_reader_of(f->fields.data, f->fields.len);
    struct rpc_field field;
    while (rpc_field_next(&r, &field))
        if (!log_line_matches(line, field.name, field.value))
            return false;
    return true;
}

bool log_filter_matches(const struct log_filter *f, const struct log_line *line)
{
    if (f->levels && !(f->levels & log_level_bit(log_line_column(line, "level"))))
        return false;
    return time_matches(f, line) && fields_match(f, line);
}
