/* The kernels that walk columns of codes; their NumPy twins are in kernels/reference/columns.py.
 *
 * Unless said, of `blocks` tiles of 64 columns, tiles[b][i][j], 1 <= n <= 65535 rows each; out has room for blocks * 64.
 */
#ifndef BYZ_KERNELS_COLUMNS_H
#define BYZ_KERNELS_COLUMNS_H

#include "byz_kernels.h"

/* out[c] = x_((n-1)/2) + x_(n/2) of coordinate c: twice its median. */
BYZ_EXPORT void byz_kernels_median(const int8_t *tiles, size_t blocks, size_t n, int64_t *out);

/* out[r * columns + c], r < 6: both middle values; then how many are less than the lower, equal, one less, one more. */
BYZ_EXPORT void byz_kernels_median_counts(const int8_t *tiles, size_t blocks, size_t n, size_t columns, int64_t *out);

/* out[c] = x_(f) + ... + x_(n-1-f). 2 f < n. */
BYZ_EXPORT void byz_kernels_trimmed_sum(const int8_t *tiles, size_t blocks, size_t n, size_t f, int64_t *out);

/* out[c] = x_(s) + ... + x_(s+n-f-1), s the least for which s = f or (x_(s) + x_(s+n-f)) denominator >= 2 numerator[c]. f < n;
 * |numerator| < 2^62, one for each of `columns` coordinates; out may be numerator. scratch: n * 64 bytes. */
BYZ_EXPORT void byz_kernels_nearest_sum(const int8_t *tiles, size_t blocks, size_t n, size_t f, const int64_t *numerator,
                                        size_t columns, int64_t denominator, int8_t *scratch, int64_t *out);

/* out[c] = how many more values of coordinate c are positive than negative. */
BYZ_EXPORT void byz_kernels_sign_sum(const int8_t *tiles, size_t blocks, size_t n, int64_t *out);

/* tiles[b][first + i][j] = rows[i * stride + b * 64 + j] for `count` rows of d coordinates, zeros beyond d; the tiles hold n rows. */
BYZ_EXPORT void byz_kernels_pack(const int8_t *rows, size_t count, size_t stride, size_t d, int8_t *tiles, size_t n, size_t first);

/* out[c] = sum of coordinate c over the rows. Of blocks of any width, rows `stride` apart; n < 2^24, since it is summed in 32 bits. */
BYZ_EXPORT void byz_kernels_column_sum(const int8_t *codes, size_t blocks, size_t n, size_t width, size_t stride, int64_t *out);

/* out[i * parts + p] = sum of squares of row i over the coordinates bounds[p] .. bounds[p + 1] - 1 (out of blocks * width). */
BYZ_EXPORT void byz_kernels_squared_norms(const int8_t *tiles, size_t blocks, size_t n, size_t width,
                               const int64_t *bounds, size_t parts, int64_t *out);

/* The bitwise or of all codes but the last few: a plain read, which the kernels are measured against. */
BYZ_EXPORT uint64_t byz_kernels_read(const int8_t *codes, size_t count);

#endif
