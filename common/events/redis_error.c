// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_error.h"

#include <errno.h>

static const struct {
    const char *begins;
    enum redis_error error;
} meanings[] = {
    {"LOADING ", REDIS_ERROR_LATER},
    {"READONLY ", REDIS_ERROR_LATER},
    {"BUSY ", REDIS_ERROR_LATER},
    {"MASTERDOWN ", REDIS_ERROR_LATER},
    {"CLUSTERDOWN ", REDIS_ERROR_LATER},
    {"TRYAGAIN ", REDIS_ERROR_LATER},
    {"MISCONF ", REDIS_ERROR_LATER},
    {"NOREPLICAS ", REDIS_ERROR_LATER},
    {"ERR max number of clients", REDIS_ERROR_LATER},
    {"OOM ", REDIS_ERROR_FULL},
    {"NOAUTH ", REDIS_ERROR_DENIED},
    {"WRONGPASS ", REDIS_ERROR_DENIED},
    {"NOPERM ", REDIS_ERROR_DENIED},
    {"DENIED ", REDIS_ERROR_DENIED},
    {"ERR invalid password", REDIS_ERROR_DENIED},
    {"ERR AUTH ", REDIS_ERROR_DENIED},
    {"ERR Client sent AUTH", REDIS_ERROR_DENIED},
    {"NOGROUP ", REDIS_ERROR_NO_GROUP},
    {"UNBLOCKED ", REDIS_ERROR_NO_GROUP},
    {"EXECABORT ", REDIS_ERROR_ABORTED},
};

enum redis_error redis_error_of(struct span text)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        size_t len = strlen(meanings[i].begins);
        if (text.len >= len && memcmp(text.data, meanings[i].begins, len) == 0)
            return meanings[i].error;
    }
    return REDIS_ERROR_OTHER;
}

int redis_error_number(enum redis_error error)
{
    static const int numbers[] = {
        [REDIS_ERROR_NONE] = 0,           [REDIS_ERROR_LATER] = -ENOTCONN,
        [REDIS_ERROR_FULL] = -ENOBUFS,    [REDIS_ERROR_DENIED] = -EACCES,
        [REDIS_ERROR_NO_GROUP] = -EPROTO, [REDIS_ERROR_ABORTED] = -EPROTO,
        [REDIS_ERROR_OTHER] = -EPROTO,
    };
    return numbers[error];
}
