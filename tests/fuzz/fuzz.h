/* What a fuzz target is: libFuzzer calls it with bytes of its own making, the replay with those of the corpus. */
#ifndef CITYTOTALS_TESTS_FUZZ_FUZZ_H
#define CITYTOTALS_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
