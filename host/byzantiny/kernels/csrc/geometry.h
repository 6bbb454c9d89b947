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

#endif
