// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/program_text.h"

#include "common/buf.h"
#include "supervisor/ctl/ask.h"

int program_text_get(struct ctl *ctl, const char *id, const char *version, json_t **answer,
                     const char **text)
{
    struct buf query = BUF_INIT;
    buf_printf(&query, version ? "version=%s" : "source=true", version);
    int code = ask_object(ctl, id, buf_str(&query), answer);
    buf_free(&query);
    const json_t *holder = version ? json_object_get(*answer, "version") : *answer;
    *text = json_string_value(json_object_get(holder, version ? "content" : "source"));
    if (code == CTL_OK && !*text) {
        fprintf(stderr, "objectctl: the station's answer holds no source\n");
        code = CTL_INTERNAL;
    }
    return code;
}
