/* Numbers out of slices. */
#include "base/slice.h"

bool integer_parse(struct slice text, int64_t *ret_number)
{
    size_t at = text.data && text.size && text.data[0] == '-';
    bool negative = at == 1;
    int64_t number = 0;
    if (!text.data || at == text.size)
        return false;
    for (; at < text.size; at++) {
        char c = text.data[at];
        if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, c - '0', &number)) /* counted downwards: INT64_MIN has no positive twin */
            return false;
    }
    if (!negative && __builtin_sub_overflow(0, number, &number))
        return false;
    *ret_number = number;
    return true;
}
