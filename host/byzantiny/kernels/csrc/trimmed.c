/* The trimmed sum of every coordinate: with L = x_(f) and U = x_(n-1-f), sum_i clamp(x_i, L, U) - f (L + U), also with ties. */
#include "columns.h"
#include "select.h"

/* Of values of at most `span` above their least one, a byte holds the sum of 255 / span; 16 bits hold 257 such bytes. */
#define PARTS 257

/* sum[c] = the sum of clamp(x, low, high) over the rows. Bytes add up modulo 256; less rows * low they are the sum of what the
 * values are above low, which is below 256. */
static void clamped_sum(const int8_t *x, size_t n, const codes_t *low, const codes_t *high, ints_t *sum)
{
    const codes_t least = *low, most = *high;
    const size_t span = byz_largest((bytes_t)most - (bytes_t)least);
    const size_t run = span == 0 || n < 255 / span ? n : 255 / span;
    const bytes_t offset = (bytes_t)least * (uint8_t)run;
    totals_t total = {0};
    for (size_t i = 0; i < n;) {
        counts_t part = {0};
        for (size_t p = 0; p < PARTS && i < n; p++) {
            bytes_t bytes = {0};
            if (n - i < run) {
                const bytes_t rest = (bytes_t)least * (uint8_t)(n - i);
                for (; i < n; i++) {
                    bytes += (bytes_t)BYZ_MIN(BYZ_MAX(BYZ_LOAD(x + i * BYZ_LANES), least), most);
                }
                bytes -= rest;
            } else {
                for (const size_t stop = i + run; i < stop; i++) {
                    bytes += (bytes_t)BYZ_MIN(BYZ_MAX(BYZ_LOAD(x + i * BYZ_LANES), least), most);
                }
                bytes -= offset;
            }
            part += __builtin_convertvector(bytes, counts_t);
        }
        total += __builtin_convertvector(part, totals_t);
    }
    *sum = (ints_t)total + __builtin_convertvector(least, ints_t) * (int32_t)n;
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
