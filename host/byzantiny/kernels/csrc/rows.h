/* The kernels that change rows of codes; their NumPy twins are in kernels/reference/rows.py. */
#ifndef BYZ_KERNELS_ROWS_H
#define BYZ_KERNELS_ROWS_H

#include "byz_kernels.h"

/* out[b][i][j] = tiles[b][i][j] * factors[i] / 4096, rounded half away from zero; 0 <= factors[i] <= 4096. Any width. */
BYZ_EXPORT void byz_kernels_scale_rows(const int8_t *tiles, size_t blocks, size_t n, size_t width,
                                       const int32_t *factors, int8_t *out);

#endif
