/* Means of subsets of the rows, exact up to the one division.
 *
 * Each subset is a list of rows, or of those it lacks, whichever is shorter: these are added up, 64 columns in 16-bit lanes while
 * they lie in the L1 cache, and taken off the sum of all where they are the lacking ones.
 *
 * Rejected: the dot product with a 0/1 matrix (dot.h), whose cost does not fall with the length of the lists: 1.3 times
 * slower at n = 100, twice at n = 1000, with lists of n / 5.
 */
#include "geometry.h"

#include <string.h>

#define HALF (BYZ_LANES / 2)
#define MOST 255 /* rows added in 16 bits: 255 * 128 < 2^15 */

typedef int8_t codes_t __attribute__((vector_size(HALF)));
typedef int16_t sums_t __attribute__((vector_size(2 * HALF)));
typedef int32_t totals_t __attribute__((vector_size(4 * HALF)));

static inline sums_t load(const int8_t *p)
{
    codes_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, sums_t);
}

void byz_kernels_subset_lists(const uint8_t *members, size_t subsets, size_t n, uint16_t *rows, uint64_t *starts,
                              uint8_t *lacking)
{
    size_t end = 0;
    for (size_t s = 0; s <= subsets; s++) {
        size_t count = n;
        for (size_t i = 0; s < subsets && i < n; i++) {
            count -= members[s * n + i] == 0;
        }
        const uint8_t all = s == subsets, invert = !all && count > n - count;
        starts[s] = end;
        for (size_t i = 0; i < n; i++) {
            if (all || (members[s * n + i] != 0) != invert) {
                rows[end++] = (uint16_t)i;
            }
        }
        if (!all) {
            lacking[s] = invert;
        }
    }
    starts[subsets + 1] = end;
}

/* out[c] = sum of 64 columns of these rows. */
static void sum_rows(const int8_t *codes, size_t row, const uint16_t *rows, size_t count, int32_t out[BYZ_LANES])
{
    totals_t totals[2] = {{0}, {0}};
    for (size_t i = 0; i < count;) {
        const size_t stop = count - i > MOST ? i + MOST : count;
        sums_t front = {0}, back = {0};
        for (; i < stop; i++) {
            const int8_t *x = codes + rows[i] * row;
            front += load(x);
            back += load(x + HALF);
        }
        totals[0] += __builtin_convertvector(front, totals_t);
        totals[1] += __builtin_convertvector(back, totals_t);
    }
    memcpy(out, totals, sizeof totals);
}

void byz_kernels_subset_means(const int8_t *codes, size_t row, size_t block, size_t blocks, const uint16_t *rows,
                              const uint64_t *starts, const uint8_t *lacking, const double *counts, size_t subsets,
                              size_t columns, double *out, size_t stride)
{
    for (size_t k = 0; k < blocks; k++) {
        const int8_t *x = codes + k * block;
        const size_t left = columns - k * BYZ_LANES, width = left < BYZ_LANES ? left : BYZ_LANES;
        int32_t all[BYZ_LANES], sums[BYZ_LANES];
        sum_rows(x, row, rows + starts[subsets], starts[subsets + 1] - starts[subsets], all);
        for (size_t s = 0; s < subsets; s++) {
            double *to = out + s * stride + k * BYZ_LANES;
            sum_rows(x, row, rows + starts[s], starts[s + 1] - starts[s], sums);
            for (size_t c = 0; lacking[s] && c < BYZ_LANES; c++) {
                sums[c] = all[c] - sums[c];
            }
            for (size_t c = 0; c < width; c++) {
                to[c] = sums[c] / counts[s];
            }
        }
    }
}
