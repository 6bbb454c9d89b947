/* Sums of float64 rows. A vector of eight doubles is the eight lanes; the compiler splits it where the variant has narrower ones. */
#include "floats.h"

#include <string.h>

#define LANES 8
#define COLUMNS 256 /* of a weighted sum at a time: eight lanes of them are 16 KB, and a row is read 2 KB on end */
#define TILE 4      /* rows that meet four others: eight rows are read for sixteen distances */

typedef double lanes_t __attribute__((vector_size(LANES * sizeof(double))));

static lanes_t load(const double *p)
{
    lanes_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The first count < 8 numbers, zeros in the other lanes: a sum of squares plus 0 is itself. */
static lanes_t load_tail(const double *p, size_t count)
{
    lanes_t v = {0};
    memcpy(&v, p, count * sizeof *p);
    return v;
}

static double tree(lanes_t v)
{
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void byz_kernels_float_row_sum(const double *values, size_t n, size_t d, double *out)
{
    for (size_t i = 0; i < n; i++) {
        const double *x = values + i * d;
        lanes_t sum = {0};
        size_t j = 0;
        for (; j + LANES <= d; j += LANES) {
            sum += load(x + j);
        }
        for (size_t lane = 0; j + lane < d; lane++) {
            sum[lane] += x[j + lane];
        }
        out[i] = tree(sum);
    }
}

/* One step of eight coordinates of TILE by TILE distances. */
static inline void step(lanes_t sums[TILE][TILE], const lanes_t x[TILE], const lanes_t y[TILE], lanes_t scale)
{
    for (int i = 0; i < TILE; i++) {
        for (int k = 0; k < TILE; k++) {
            const lanes_t apart = (x[i] - y[k]) * scale;
            sums[i][k] += apart * apart;
        }
    }
}

/* Distances of TILE rows a to TILE rows b. */
static void tile(const double *const a[TILE], const double *const b[TILE], size_t d, const double *scale,
                 double out[TILE][TILE])
{
    const lanes_t ones = {1, 1, 1, 1, 1, 1, 1, 1};
    lanes_t sums[TILE][TILE], x[TILE], y[TILE];
    memset(sums, 0, sizeof sums);
    size_t j = 0;
    for (; j + LANES <= d; j += LANES) {
        for (int t = 0; t < TILE; t++) {
            x[t] = load(a[t] + j);
            y[t] = load(b[t] + j);
        }
        step(sums, x, y, scale == NULL ? ones : load(scale + j));
    }
    if (j < d) {
        for (int t = 0; t < TILE; t++) {
            x[t] = load_tail(a[t] + j, d - j);
            y[t] = load_tail(b[t] + j, d - j);
        }
        step(sums, x, y, scale == NULL ? ones : load_tail(scale + j, d - j));
    }
    for (int i = 0; i < TILE; i++) {
        for (int k = 0; k < TILE; k++) {
            out[i][k] = tree(sums[i][k]);
        }
    }
}

void byz_kernels_float_distances(const double *rows, size_t n, size_t d, const double *scale, size_t first, size_t stop,
                                 double *out)
{
    const double *a[TILE], *b[TILE];
    double apart[TILE][TILE];
    for (size_t i = first; i < stop; i += TILE) {
        for (size_t t = 0; t < TILE; t++) {
            a[t] = rows + smaller(i + t, n - 1) * d;
        }
        for (size_t k = i - i % TILE; k < n; k += TILE) {
            for (size_t t = 0; t < TILE; t++) {
                b[t] = rows + smaller(k + t, n - 1) * d;
            }
            tile(a, b, d, scale, apart);
            for (size_t t = 0; t < smaller(TILE, stop - i); t++) {
                memcpy(out + (i + t) * n + k, apart[t], smaller(TILE, n - k) * sizeof *out);
            }
        }
    }
}

void byz_kernels_float_distances_to(const double *rows, size_t n, size_t d, const double *center, const double *scale, double *out)
{
    const lanes_t ones = {1, 1, 1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < n; i++) {
        const double *x = rows + i * d;
        lanes_t sum = {0};
        size_t j = 0;
        for (; j + LANES <= d; j += LANES) {
            const lanes_t apart = (load(x + j) - load(center + j)) * (scale == NULL ? ones : load(scale + j));
            sum += apart * apart;
        }
        if (j < d) {
            const lanes_t apart =
                (load_tail(x + j, d - j) - load_tail(center + j, d - j)) * (scale == NULL ? ones : load_tail(scale + j, d - j));
            sum += apart * apart;
        }
        out[i] = tree(sum);
    }
}

static void add_row(double *lane, const double *x, double weight, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        lane[j] += weight * x[j];
    }
}

void byz_kernels_float_weighted_sum(const double *rows, size_t d, const uint32_t *order, const double *weights, size_t count,
                                    size_t first, size_t stop, double *out)
{
    for (size_t j = first; j < stop; j += COLUMNS) {
        const size_t width = smaller(COLUMNS, stop - j);
        double lanes[LANES][COLUMNS];
        memset(lanes, 0, sizeof lanes);
        for (size_t i = 0; i < count; i++) {
            const double *x = rows + (size_t)order[i] * d + j;
            if (width == COLUMNS) { /* a constant count, so that the loop is vectors alone */
                add_row(lanes[i % LANES], x, weights[i], COLUMNS);
            } else {
                add_row(lanes[i % LANES], x, weights[i], width);
            }
        }
        for (size_t c = 0; c < width; c++) {
            out[j + c] = ((lanes[0][c] + lanes[4][c]) + (lanes[2][c] + lanes[6][c])) +
                         ((lanes[1][c] + lanes[5][c]) + (lanes[3][c] + lanes[7][c]));
        }
    }
}
