/* Who is near to whom, from exact distances; their NumPy twins are in kernels/reference/nearest.py. */
#ifndef BYZ_KERNELS_NEAREST_H
#define BYZ_KERNELS_NEAREST_H

#include "byz_kernels.h"

/* out[i] = sum of the count smallest of values[i * n] .. values[i * n + n - 1]. 1 <= count <= n; the caller bounds the sum. */
BYZ_EXPORT void byz_kernels_smallest_sums(const int64_t *values, size_t rows, size_t n, size_t count, int64_t *out);

/* members[i * n + k] = 1 for the count rows k nearest to row first + i, else 0: itself, then by distance, then by index.
 * values[i * n + k]: the distance, from 0, and 0 to itself. 1 <= count <= n. */
BYZ_EXPORT void byz_kernels_nearest_members(const int64_t *values, size_t rows, size_t n, size_t first, size_t count,
                                            uint8_t *members);

/* theta times, the row with the lowest sum of its max(1, left - f - 2) smallest distances among those left is kept; equal sums: the
 * lowest index. 1 <= theta <= n. scores: what a row was kept by, or its last sum. limits, ties: scratch for n numbers. kept: n zeros. */
BYZ_EXPORT void byz_kernels_choose_by_krum(const int64_t *distances, size_t n, size_t f, size_t theta, int64_t *limits,
                                           int64_t *ties, int64_t *scores, uint8_t *kept);

#endif
