/* The kernels that walk columns of codes; their NumPy twins are in kernels/reference/columns.py. */
#ifndef BYZ_KERNELS_COLUMNS_H
#define BYZ_KERNELS_COLUMNS_H

#include "byz_kernels.h"

/* out[c] = x_((n-1)/2) + x_(n/2) of coordinate c: twice its median. width: a multiple of 64; 1 <= n <= 65535. */
BYZ_EXPORT void byz_kernels_median(const int8_t *tiles, size_t blocks, size_t n, size_t width, int16_t *out);

/* tiles[b][first + i][j] = rows[i][b * BYZ_LANES + j] for `count` rows of d coordinates, zeros beyond d; the tiles hold n clients. */
BYZ_EXPORT void byz_kernels_pack(const int8_t *rows, size_t count, size_t d, int8_t *tiles, size_t n, size_t first);

/* out[c] = sum of coordinate c over the clients. Any width; n < 2^24, since it is summed in 32 bits. */
BYZ_EXPORT void byz_kernels_column_sum(const int8_t *tiles, size_t blocks, size_t n, size_t width, int64_t *out);

/* out[i * parts + p] = sum of squares of client i over the coordinates bounds[p] .. bounds[p + 1] - 1 (out of blocks * width). */
BYZ_EXPORT void byz_kernels_squared_norms(const int8_t *tiles, size_t blocks, size_t n, size_t width,
                               const int64_t *bounds, size_t parts, int64_t *out);

#endif
