/* How many more values of every coordinate are positive than negative. */
#include "columns.h"
#include "lanes.h"

#define SIGNS 127 /* what a signed byte adds up */

void byz_kernels_sign_sum(const int8_t *tiles, size_t blocks, size_t n, int64_t *out)
{
    const codes_t one = (codes_t)BYZ_BYTES(1);
    for (size_t b = 0; b < blocks; b++) {
        const int8_t *x = tiles + b * n * BYZ_LANES;
        ints_t total = {0};
        for (size_t i = 0; i < n;) {
            const size_t stop = n - i > SIGNS ? i + SIGNS : n;
            codes_t sum = {0};
            for (; i < stop; i++) {
                sum += BYZ_MIN(BYZ_MAX(BYZ_LOAD(x + i * BYZ_LANES), -one), one);
            }
            total += __builtin_convertvector(sum, ints_t);
        }
        const longs_t result = __builtin_convertvector(total, longs_t);
        memcpy(out + b * BYZ_LANES, &result, sizeof result);
    }
}
