/* Column sums and squared norms, exact. */
#include "columns.h"

#define SUM_LANES 256    /* coordinates summed at a time: the 16-bit lanes stay in the L1 cache */
#define SUM_ROWS 255     /* 255 * 128 < 2^15 */
#define SQUARE_RUN 65536 /* 65536 * 128^2 = 2^30 < 2^31 */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void sum_lanes(const int8_t *x, size_t n, size_t stride, size_t lanes, int64_t *out)
{
    int32_t total[SUM_LANES] = {0}; /* n < 2^24 rows of at most 128; the caller sees to it */
    for (size_t i = 0; i < n;) {
        const size_t stop = i + smaller(SUM_ROWS, n - i);
        int16_t part[SUM_LANES] = {0};
        for (; i < stop; i++) {
            for (size_t j = 0; j < lanes; j++) {
                part[j] = (int16_t)(part[j] + x[i * stride + j]);
            }
        }
        for (size_t j = 0; j < lanes; j++) {
            total[j] += part[j];
        }
    }
    for (size_t j = 0; j < lanes; j++) {
        out[j] = total[j];
    }
}

void byz_kernels_column_sum(const int8_t *tiles, size_t blocks, size_t n, size_t width, int64_t *out)
{
    for (size_t b = 0; b < blocks; b++) {
        for (size_t j = 0; j < width; j += SUM_LANES) {
            const int8_t *x = tiles + b * n * width + j;
            const size_t lanes = smaller(SUM_LANES, width - j);
            /* Constant trip counts for the common widths, so that the lanes stay in registers. */
            if (lanes == SUM_LANES) {
                sum_lanes(x, n, width, SUM_LANES, out + b * width + j);
            } else if (lanes == BYZ_LANES) {
                sum_lanes(x, n, width, BYZ_LANES, out + b * width + j);
            } else {
                sum_lanes(x, n, width, lanes, out + b * width + j);
            }
        }
    }
}

static int64_t squares(const int8_t *x, size_t count)
{
    int64_t total = 0;
    for (size_t i = 0; i < count;) {
        const size_t stop = i + smaller(SQUARE_RUN, count - i);
        int32_t part = 0;
        for (; i < stop; i++) {
            part += (int32_t)x[i] * x[i];
        }
        total += part;
    }
    return total;
}

void byz_kernels_squared_norms(const int8_t *tiles, size_t blocks, size_t n, size_t width,
                               const int64_t *bounds, size_t parts, int64_t *out)
{
    for (size_t k = 0; k < n * parts; k++) {
        out[k] = 0;
    }
    for (size_t b = 0; b < blocks; b++) {
        const size_t first = b * width, last = first + width;
        for (size_t p = 0; p < parts; p++) {
            const size_t from = (size_t)bounds[p] > first ? (size_t)bounds[p] : first;
            const size_t to = smaller((size_t)bounds[p + 1], last);
            for (size_t i = 0; from < to && i < n; i++) {
                out[i * parts + p] += squares(tiles + (b * n + i) * width + (from - first), to - from);
            }
        }
    }
}
