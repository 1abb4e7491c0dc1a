// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/token.h"

#include "common/build.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX = 512 };

/* The token of this machine's station must not be sent to another machine. */
static bool is_loopback(const char *url)
{
    static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(url, hosts[i], len) == 0 && strchr(":/", url[len]))
            return true;
    }
    return false;
}

/* A token has no blanks or control characters: it becomes part of a header field. */
static char *checked(char *text)
{
    text[strcspn(text, "\r\n")] = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c <= ' ' || *c >= 0x7f)
            return NULL;
    }
    return text[0] ? strdup(text) : NULL;
}

static char *read_file(const char *folder)
{
    char path[PATH_MAX], text[TOKEN_MAX];
    char *token = NULL;
    if ((size_t)snprintf(path, sizeof(path), "%s/admin.token", folder) >= sizeof(path))
        return NULL;
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    if (fgets(text, sizeof(text), file))
        token = checked(text);
    fclose(file);
    return token;
}

char *token_find(const char *url)
{
    const char *given = getenv("OBJECTD_TOKEN");
    const char *data = getenv("OBJECTD_DATA");
    if (given && given[0]) {
        char text[TOKEN_MAX];
        return (size_t)snprintf(text, sizeof(text), "%s", given) < sizeof(text) ? checked(text)
                                                                                : NULL;
    }
    if (!is_loopback(url))
        return NULL;
    return read_file(data && data[0] ? data : OBJECTD_STATEDIR "/data");
}
