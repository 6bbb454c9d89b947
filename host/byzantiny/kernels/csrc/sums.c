/* Column sums and squared norms, exact. */
#include "columns.h"

#include <string.h>

#define SUM_LANES 256    /* coordinates summed at a time: the 16-bit lanes stay in the L1 cache */
#define SUM_ROWS 255     /* 255 * 128 < 2^15 */
#define SQUARE_RUN 65536 /* 65536 * 128^2 = 2^30 < 2^31 */
#define SQUARE_LANES 4
#define SQUARE_TILES 4096 /* a lane takes sixteen squares of each: 2^12 * 2^18 = 2^30 */
#define SQUARE_ROWS 1024  /* 16 KB of lanes; fewer rows, and memory is read in jumps */

typedef int8_t half_t __attribute__((vector_size(BYZ_LANES / 2)));
typedef int16_t shorts_t __attribute__((vector_size(BYZ_LANES)));
typedef uint16_t ushorts_t __attribute__((vector_size(BYZ_LANES)));
typedef uint32_t wide_t __attribute__((vector_size(2 * BYZ_LANES)));
typedef uint32_t half_wide_t __attribute__((vector_size(BYZ_LANES)));
typedef uint32_t quarter_wide_t __attribute__((vector_size(BYZ_LANES / 2)));
typedef uint32_t lanes_t __attribute__((vector_size(4 * SQUARE_LANES)));

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

void byz_kernels_column_sum(const int8_t *codes, size_t blocks, size_t n, size_t width, size_t stride, int64_t *out)
{
    for (size_t b = 0; b < blocks; b++) {
        for (size_t j = 0; j < width; j += SUM_LANES) {
            const int8_t *x = codes + b * n * stride + j;
            const size_t lanes = smaller(SUM_LANES, width - j);
            /* Constant trip counts for the common widths, so that the lanes stay in registers. */
            if (lanes == SUM_LANES) {
                sum_lanes(x, n, stride, SUM_LANES, out + b * width + j);
            } else if (lanes == BYZ_LANES) {
                sum_lanes(x, n, stride, BYZ_LANES, out + b * width + j);
            } else {
                sum_lanes(x, n, stride, lanes, out + b * width + j);
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

/* lanes[c % 4] += the squares of 64 codes. A square is at most 2^14, two of them fit 16 bits unsigned. */
static void add_squares(const int8_t *x, lanes_t *lanes)
{
    half_t low, high;
    memcpy(&low, x, sizeof low);
    memcpy(&high, x + sizeof low, sizeof high);
    const shorts_t front = __builtin_convertvector(low, shorts_t), back = __builtin_convertvector(high, shorts_t);
    const wide_t squared = __builtin_convertvector((ushorts_t)(front * front) + (ushorts_t)(back * back), wide_t);
    half_wide_t halves[2];
    quarter_wide_t quarters[2];
    lanes_t eighths[2];
    memcpy(halves, &squared, sizeof halves);
    halves[0] += halves[1];
    memcpy(quarters, halves, sizeof quarters);
    quarters[0] += quarters[1];
    memcpy(eighths, quarters, sizeof eighths);
    *lanes += eighths[0] + eighths[1];
}

/* Rows first .. stop - 1 of whole tiles from .. to - 1: the lanes of a row stay in the L1 cache, and are added up once. */
static void squares_of_tiles(const int8_t *tiles, size_t n, size_t first, size_t stop, size_t from, size_t to, size_t parts,
                             int64_t *out)
{
    lanes_t lanes[SQUARE_ROWS];
    while (from < to) {
        const size_t end = from + smaller(SQUARE_TILES, to - from);
        memset(lanes, 0, (stop - first) * sizeof *lanes);
        for (; from < end; from++) {
            for (size_t i = first; i < stop; i++) {
                add_squares(tiles + (from * n + i) * BYZ_LANES, lanes + (i - first));
            }
        }
        for (size_t i = first; i < stop; i++) {
            for (int l = 0; l < SQUARE_LANES; l++) {
                out[i * parts] += lanes[i - first][l];
            }
        }
    }
}

void byz_kernels_squared_norms(const int8_t *tiles, size_t blocks, size_t n, size_t width,
                               const int64_t *bounds, size_t parts, int64_t *out)
{
    for (size_t k = 0; k < n * parts; k++) {
        out[k] = 0;
    }
    for (size_t p = 0; p < parts; p++) {
        const size_t start = (size_t)bounds[p], stop = smaller((size_t)bounds[p + 1], blocks * width);
        const size_t whole = (start + BYZ_LANES - 1) / BYZ_LANES;
        for (size_t i = 0; width == BYZ_LANES && i < n; i += SQUARE_ROWS) {
            squares_of_tiles(tiles, n, i, smaller(i + SQUARE_ROWS, n), whole, stop / BYZ_LANES, parts, out + p);
        }
        for (size_t b = start / width; b < blocks && b * width < stop; b++) {
            const size_t first = b * width, from = start > first ? start : first, to = smaller(stop, first + width);
            for (size_t i = 0; (to - from < width || width != BYZ_LANES) && i < n; i++) {
                out[i * parts + p] += squares(tiles + (b * n + i) * width + (from - first), to - from);
            }
        }
    }
}
