/* Sums of float64 rows in the fixed order of SPEC 4; their NumPy twins are in kernels/reference/floats.py.
 *
 * Eight lanes, then ((0+4)+(2+6)) + ((1+5)+(3+7)). No products are fused with sums (-ffp-contract=off), so that every variant
 * gives the same bits.
 */
#ifndef BYZ_KERNELS_FLOATS_H
#define BYZ_KERNELS_FLOATS_H

#include "byz_kernels.h"

/* out[i] = sum of values[i * d + j], number j in lane j mod 8. */
BYZ_EXPORT void byz_kernels_float_row_sum(const double *values, size_t n, size_t d, double *out);

/* out[i] = sum of ((rows[i * d + j] - center[j]) * scale[j])^2, number j in lane j mod 8. scale: NULL for ones. */
BYZ_EXPORT void byz_kernels_float_distances_to(const double *rows, size_t n, size_t d, const double *center, const double *scale,
                                               double *out);

/* The same between rows: out[i * n + k] for i in first .. stop - 1 and k > i (and some below the diagonal). */
BYZ_EXPORT void byz_kernels_float_distances(const double *rows, size_t n, size_t d, const double *scale, size_t first, size_t stop,
                                            double *out);

/* out[j] = sum of weights[i] * rows[order[i] * d + j] over i < count, i in lane i mod 8, for j in first .. stop - 1. */
BYZ_EXPORT void byz_kernels_float_weighted_sum(const double *rows, size_t d, const uint32_t *order, const double *weights,
                                               size_t count, size_t first, size_t stop, double *out);

#endif
