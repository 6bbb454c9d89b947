/* The trimmed sum of every coordinate: with L = x_(f) and U = x_(n-1-f), sum_i clamp(x_i, L, U) - f (L + U), also with ties. */
#include "columns.h"
#include "select.h"

#define ROWS 255 /* whose bytes 16 bits add up */

/* sum[c] = the sum of clamp(x, low, high) over the rows. A word holds two columns' bytes, offset to be unsigned: the sum of the
 * words, modulo 2^16, less 256 times that of the odd bytes is that of the even ones. */
static void clamped_sum(const int8_t *x, size_t n, const codes_t *low, const codes_t *high, ints_t *sum)
{
    const codes_t least = *low, most = *high;
    int32_t total[BYZ_LANES];
    for (size_t c = 0; c < BYZ_LANES; c++) {
        total[c] = -128 * (int32_t)n;
    }
    for (size_t i = 0; i < n;) {
        const size_t stop = n - i > ROWS ? i + ROWS : n;
        words_t words = {0}, odd = {0};
        for (; i < stop; i++) {
            const words_t v = (words_t)(BYZ_MIN(BYZ_MAX(BYZ_LOAD(x + i * BYZ_LANES), least), most) ^ (codes_t)BYZ_BYTES(128));
            words += v;
            odd += v >> 8;
        }
        const words_t even = words - (odd << 8);
        uint16_t evens[BYZ_LANES / 2], odds[BYZ_LANES / 2];
        memcpy(evens, &even, sizeof even);
        memcpy(odds, &odd, sizeof odd);
        for (size_t c = 0; c < BYZ_LANES / 2; c++) {
            total[2 * c] += evens[c];
            total[2 * c + 1] += odds[c];
        }
    }
    memcpy(sum, total, sizeof total);
}

void byz_kernels_trimmed_sum(const int8_t *tiles, size_t blocks, size_t n, size_t f, int64_t *out)
{
    byz_search_t search;
    byz_begin(&search, n, f, n - 1 - f);
    for (size_t b = 0; b < blocks; b++) {
        const int8_t *x = tiles + b * n * BYZ_LANES;
        codes_t low, high;
        ints_t sum;
        byz_select_both(x, &search, &low, &high);
        clamped_sum(x, n, &low, &high, &sum);
        sum -= (__builtin_convertvector(low, ints_t) + __builtin_convertvector(high, ints_t)) * (int32_t)f;
        const longs_t result = __builtin_convertvector(sum, longs_t);
        memcpy(out + b * BYZ_LANES, &result, sizeof result);
    }
}
