/* The Gram matrix of the rows, exact: int32 sums of 2048 coordinates, int64 sums of those.
 *
 * Six rows meet four at a time (dot.h), over BYZ_DOT_BLOCKS blocks, and all pairs of GROUP rows before the next group: 256 KB
 * that stay in the second-level cache. Only the upper triangle is computed.
 *
 * Rejected: packing groups of sixteen rows by four coordinates, as matrix libraries do, spares the sums across lanes (4 %
 * at 2048 coordinates) and costs a transposition of the input, 8 % at n = 100.
 */
#include "dot.h"
#include "geometry.h"

#define GROUP 128

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* One tile of sums into the matrix. Rows beyond n are row n - 1 again, and dropped. */
static void put(int32_t sums[BYZ_DOT_ROWS][BYZ_DOT_COLUMNS], const int32_t *offsets, int64_t weight, size_t rows, size_t columns,
                int64_t *out, size_t n)
{
    if (columns == BYZ_DOT_COLUMNS) { /* the common case with a constant count, so that it is one vector */
        for (size_t i = 0; i < rows; i++) {
            for (size_t j = 0; j < BYZ_DOT_COLUMNS; j++) {
                out[i * n + j] += weight * (sums[i][j] - offsets[i]);
            }
        }
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            out[i * n + j] += weight * (sums[i][j] - offsets[i]);
        }
    }
}

/* Rows i .. i + 5 against rows from .. to - 1. */
static void strip(const int8_t *codes, size_t row, size_t block, size_t n, size_t blocks, size_t i, size_t from, size_t to,
                  int64_t weight, const int32_t *offsets, int64_t *out)
{
    const int8_t *a[BYZ_DOT_ROWS], *b[BYZ_DOT_COLUMNS];
    for (size_t t = 0; t < BYZ_DOT_ROWS; t++) {
        a[t] = codes + smaller(i + t, n - 1) * row;
    }
    for (size_t j = from; j < to; j += BYZ_DOT_COLUMNS) {
        int32_t sums[BYZ_DOT_ROWS][BYZ_DOT_COLUMNS];
        for (size_t t = 0; t < BYZ_DOT_COLUMNS; t++) {
            b[t] = codes + smaller(j + t, n - 1) * row;
        }
        byz_dot(a, block, b, block, blocks, sums);
        put(sums, offsets, weight, smaller(BYZ_DOT_ROWS, n - i), smaller(BYZ_DOT_COLUMNS, n - j), out + i * n + j, n);
    }
}

void byz_kernels_gram(const int8_t *codes, size_t row, size_t block, size_t n, size_t blocks, size_t first, size_t stop,
                      int64_t weight, int32_t *offsets, int64_t *out)
{
    for (size_t k = 0; k < blocks; k += BYZ_DOT_BLOCKS) {
        const int8_t *x = codes + k * block;
        const size_t count = smaller(BYZ_DOT_BLOCKS, blocks - k);
        for (size_t i = first; i < stop; i++) {
            offsets[i - first] = byz_dot_offset(x + i * row, block, count);
        }
        for (size_t group = first - first % GROUP; group < n; group += GROUP) {
            const size_t end = smaller(group + GROUP, n);
            for (size_t i = first; i < smaller(stop, end); i += BYZ_DOT_ROWS) {
                const size_t diagonal = i - i % BYZ_DOT_COLUMNS;
                strip(x, row, block, n, count, i, diagonal > group ? diagonal : group, end, weight, offsets + (i - first), out);
            }
        }
    }
}

void byz_kernels_mirror(int64_t *out, size_t n)
{
    for (size_t top = 0; top < n; top += BYZ_LANES) {
        for (size_t left = top; left < n; left += BYZ_LANES) {
            for (size_t i = top; i < smaller(top + BYZ_LANES, n); i++) {
                for (size_t j = left > i ? left : i + 1; j < smaller(left + BYZ_LANES, n); j++) {
                    out[j * n + i] = out[i * n + j];
                }
            }
        }
    }
}
