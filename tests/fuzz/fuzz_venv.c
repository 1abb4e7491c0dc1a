// SPDX-License-Identifier: Apache-2.0
/* links: common/venv.c common/codec.c common/buf.c */
/*
 * pyvenv.cfg of a virtual environment: a version is empty or two numbers with a point between.
 */
#include "common/venv.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct venv_facts facts = venv_parse((struct span){(const char *)data, size});
    size_t points = 0, len = strnlen(facts.version, sizeof(facts.version));
    if (len == sizeof(facts.version))
        abort();
    for (size_t i = 0; i < len; i++) {
        points += facts.version[i] == '.';
        if (facts.version[i] != '.' && !isdigit((unsigned char)facts.version[i]))
            abort();
    }
    if (len && points != 1)
        abort();
    return 0;
}
