// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a fuzzer's entry point over files, without libFuzzer: `replay FILE...`. For builds with any
 * compiler, to measure coverage (tests/system/test_fuzz_seeds.py) or to debug one input.
 */
#include "common/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    static uint8_t input[1 << 20];
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            perror(argv[i]);
            return EXIT_FAILURE;
        }
        size_t size = fread(input, 1, sizeof(input), f);
        fclose(f);
        /* A copy of its exact size, so that a sanitizer sees reads beyond its end. */
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, input, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
    }
    return EXIT_SUCCESS;
}
