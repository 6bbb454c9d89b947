/* The kernels of distances and subsets of rows; their NumPy twins are in kernels/reference/geometry.py.
 *
 * Codes come in blocks of BYZ_LANES coordinates: block k of row i begins at codes[i * row + k * block]. So one kernel walks tiles
 * (row = 64, block = 64 n) and rows in memory order (row = d, block = 64); a block that is not whole is copied by the caller.
 */
#ifndef BYZ_KERNELS_GEOMETRY_H
#define BYZ_KERNELS_GEOMETRY_H

#include "byz_kernels.h"

/* out[i * n + j] += weight * sum over the blocks of x_i x_j, for i in first .. stop - 1 and every j >= i (some below, too).
 * offsets: scratch for stop - first numbers. first: a multiple of 6. */
BYZ_EXPORT void byz_kernels_gram(const int8_t *codes, size_t row, size_t block, size_t n, size_t blocks, size_t first,
                                 size_t stop, int64_t weight, int32_t *offsets, int64_t *out);

/* out[j * n + i] = out[i * n + j] for j > i. */
BYZ_EXPORT void byz_kernels_mirror(int64_t *out, size_t n);

/* whole[c] = sum of weights[i] x_i[c] over the rows, or, with whole NULL, scaled[c] = that times scale. weights >= 0; n <= 65535;
 * the caller bounds the sum. digits: scratch for 6 n + 12 numbers. */
BYZ_EXPORT void byz_kernels_weighted_sum(const int8_t *codes, size_t row, size_t block, size_t n, size_t blocks,
                                         const int64_t *weights, uint32_t *digits, double scale, int64_t *whole, double *scaled);

/* products[i / 4][l][i % 4] = sum of x_i times the l-th digit of nearest(center * scale), over the coordinates from .. to - 1 of the
 * blocks (center: that of the first block's first one; nothing else of it is read); square: the sum of the squares of
 * nearest(center * scale), low word first. |center * scale| <= 2^46. */
BYZ_EXPORT void byz_kernels_center(const int8_t *codes, size_t row, size_t block, size_t n, size_t blocks, const double *center,
                                   size_t from, size_t to, double scale, int64_t *products, uint64_t square[2]);

/* out[i] += scale * (2^(2 bits) norms[i * stride] - 2^(bits + 1) (the number whose digits are products[i / 4][l][i % 4]) + square),
 * the bracket exact and rounded once. */
BYZ_EXPORT void byz_kernels_center_squares(const int64_t *products, size_t n, const int64_t *norms, size_t stride,
                                           const uint64_t square[2], unsigned bits, double scale, double *out);

/* The rows of each of the subsets (members[s * n + i] != 0), or, if those are fewer, the rows it lacks, as lists one after the other
 * with their starts; behind the last subset's, all rows. rows: room for subsets * (n / 2) + n; starts: subsets + 2; n <= 65535. */
BYZ_EXPORT void byz_kernels_subset_lists(const uint8_t *members, size_t subsets, size_t n, uint16_t *rows, uint64_t *starts,
                                         uint8_t *lacking);

/* out[s * stride + c] = (sum over subset s of column c) / counts[s] for c < columns; the lists are byz_kernels_subset_lists'. */
BYZ_EXPORT void byz_kernels_subset_means(const int8_t *codes, size_t row, size_t block, size_t blocks, const uint16_t *rows,
                                         const uint64_t *starts, const uint8_t *lacking, const double *counts, size_t subsets,
                                         size_t columns, double *out, size_t stride);

#endif
