/* The kernels that count codes: 256 bins a coordinate; their NumPy twins are in kernels/reference/counts.py.
 *
 * The table: table[g][code + 128][k] counts coordinate g * 8 + k modulo 2^16. How often a bin has passed 2^16 is in
 * `carries`: the bin's place in the table as one index, ascending, once for every time. A sum over a coordinate's bins,
 * carries included, is the number of rows n; at most n / 2^16 of a coordinate's bins can have passed. n < 2^24.
 */
#ifndef BYZ_KERNELS_COUNTS_H
#define BYZ_KERNELS_COUNTS_H

#include "byz_kernels.h"

#define BYZ_BINS 256
#define BYZ_COUNT_LANES 8 /* coordinates of a group */

/* Counts `rows` rows of codes; row i of block b is the 64 codes from codes + i * row_stride + b * block_stride on.
 * Writes the bins that passed 2^16 to carries, in no order, `room` at most; returns how many there are. */
BYZ_EXPORT size_t byz_kernels_counts_fold(uint16_t *table, size_t blocks, const int8_t *codes, size_t rows,
                                          size_t row_stride, size_t block_stride, int64_t *carries, size_t room);

/* table += other, `groups` groups; carries as of fold: those of either table are not looked at. */
BYZ_EXPORT size_t byz_kernels_counts_add(uint16_t *table, const uint16_t *other, size_t groups, int64_t *carries,
                                         size_t room);

/* out[c] = how many codes of coordinate c are counted. */
BYZ_EXPORT void byz_kernels_counts_totals(const uint16_t *table, size_t groups, const int64_t *carries, size_t count,
                                          int64_t *out);

/* out[c] = x_((n-1)/2) + x_(n/2). */
BYZ_EXPORT void byz_kernels_counts_median(const uint16_t *table, size_t groups, const int64_t *carries, size_t count,
                                          uint32_t n, int16_t *out);

/* out[c] = x_(f) + ... + x_(n-1-f); with f = 0, the sum. 2 f < n. */
BYZ_EXPORT void byz_kernels_counts_trimmed_sum(const uint16_t *table, size_t groups, const int64_t *carries,
                                               size_t count, uint32_t n, uint32_t f, int64_t *out);

/* out[c] = x_(s) + ... + x_(s+n-f-1), s the least for which s = f or x_(s) + x_(s+n-f) >= twice[c]. f < n. */
BYZ_EXPORT void byz_kernels_counts_nearest_sum(const uint16_t *table, size_t groups, const int64_t *carries,
                                               size_t count, uint32_t n, uint32_t f, const int16_t *twice,
                                               int64_t *out);

/* out[r * columns + c], r < 6: both middle values; then how many are less than the lower, equal, one less, one more. */
BYZ_EXPORT void byz_kernels_counts_median_counts(const uint16_t *table, size_t groups, const int64_t *carries,
                                                 size_t count, uint32_t n, size_t columns, int64_t *out);

/* out[c] = how many more codes of coordinate c are positive than negative. */
BYZ_EXPORT void byz_kernels_counts_sign_sum(const uint16_t *table, size_t groups, const int64_t *carries, size_t count,
                                            uint32_t n, int64_t *out);

#endif
