/* How many values of every coordinate lie around its median. */
#include "columns.h"
#include "select.h"

#define COUNTED 255 /* what a byte counts */

/* counts: less than t, equal to it, one less, one more. */
BYZ_NO_MASKS static void count_around(const int8_t *x, size_t n, const codes_t *t, counts_t counts[4])
{
    const codes_t middle = *t, before = (codes_t)((bytes_t)middle - 1), after = (codes_t)((bytes_t)middle + 1); /* modulo 256 */
    const bytes_t some_before = (bytes_t)(middle != (codes_t)BYZ_BYTES(128)), some_after = (bytes_t)(middle != (codes_t)BYZ_BYTES(127));
    counts_t total[4] = {{0}};
    for (size_t i = 0; i < n;) {
        const size_t stop = n - i > COUNTED ? i + COUNTED : n;
        bytes_t less = {0}, equal = {0}, one_less = {0}, one_more = {0};
        for (; i < stop; i++) {
            const codes_t v = BYZ_LOAD(x + i * BYZ_LANES);
            less -= (bytes_t)(v < middle); /* true is -1 */
            equal -= (bytes_t)(v == middle);
            one_less -= (bytes_t)(v == before);
            one_more -= (bytes_t)(v == after);
        }
        total[0] += __builtin_convertvector(less, counts_t);
        total[1] += __builtin_convertvector(equal, counts_t);
        total[2] += __builtin_convertvector(one_less & some_before, counts_t);
        total[3] += __builtin_convertvector(one_more & some_after, counts_t);
    }
    memcpy(counts, total, sizeof total);
}

void byz_kernels_median_counts(const int8_t *tiles, size_t blocks, size_t n, size_t columns, int64_t *out)
{
    byz_search_t search;
    byz_begin(&search, n, (n - 1) / 2, n / 2);
    for (size_t b = 0; b < blocks; b++) {
        const int8_t *x = tiles + b * n * BYZ_LANES;
        codes_t middle[2];
        counts_t counts[4];
        longs_t row;
        byz_select(x, &search, &middle[0], n % 2 == 0 ? &middle[1] : NULL);
        if (n % 2 != 0) {
            middle[1] = middle[0];
        }
        count_around(x, n, &middle[0], counts);
        for (size_t r = 0; r < 2; r++) {
            row = __builtin_convertvector(middle[r], longs_t);
            memcpy(out + r * columns + b * BYZ_LANES, &row, sizeof row);
        }
        for (size_t r = 0; r < 4; r++) {
            row = __builtin_convertvector(counts[r], longs_t);
            memcpy(out + (r + 2) * columns + b * BYZ_LANES, &row, sizeof row);
        }
    }
}
