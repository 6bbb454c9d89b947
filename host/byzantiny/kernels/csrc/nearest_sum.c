/* The sum of the values of every coordinate nearest to a centre.
 *
 * Two codes add up to an integer, so which of x_s < x_t is nearer to the centre depends on twice the centre, rounded up: x_t is
 * if x_s + x_t < twice. So from b = ceil(twice / 2) on, values have the distance x - b, below it b - 1 - x; where these are
 * equal, the upper value is nearer if `twice` is even, the lower one if it is odd. One selection of the distances gives the
 * radius, and one pass adds up what lies within it.
 *
 * Rejected: sorting (as the NumPy twin does), and moving a window along the sorted column.
 */
#include "columns.h"
#include "select.h"

#define COUNTED 255
#define PARTS 257 /* bytes that 16 bits add up */

typedef struct {
    counts_t inside, tied; /* how many values are in the interval; how many equal the value that goes first of those tied */
    totals_t above;        /* the sum of what the values inside are above the least one they could be */
} within_t;

/* distance[i][c], as a code: -128 for 0. m: b - 1. */
static void distances(const int8_t *x, size_t n, codes_t m, int8_t *distance)
{
    for (size_t i = 0; i < n; i++) {
        const codes_t v = BYZ_LOAD(x + i * BYZ_LANES), from = (codes_t)((bytes_t)m - (bytes_t)v), above = (codes_t)(v > m);
        const codes_t code = from ^ above ^ (codes_t)BYZ_BYTES(128); /* v - m - 1 = ~(m - v) */
        memcpy(distance + i * BYZ_LANES, &code, sizeof code);
    }
}

/* An interval of codes by its least one and how far it reaches above; `some`: 255, or 0 where it is empty. And a code. */
typedef struct {
    uint8_t least[BYZ_LANES], reach[BYZ_LANES], some[BYZ_LANES], tie[BYZ_LANES];
} interval_t;

/* run: rows for which a byte holds the sum of what values inside are above the least one. */
BYZ_NO_MASKS static void add_within(const int8_t *x, size_t n, const interval_t *interval, size_t run,
                                    within_t *result)
{
    const bytes_t first = (bytes_t)BYZ_LOAD(interval->least), reach = (bytes_t)BYZ_LOAD(interval->reach);
    const bytes_t some = (bytes_t)BYZ_LOAD(interval->some);
    const codes_t t = BYZ_LOAD(interval->tie);
    within_t w = {{0}, {0}, {0}};
    for (size_t i = 0; i < n;) {
        counts_t part = {0};
        for (size_t p = 0; p < PARTS && i < n; p++) {
            const size_t stop = n - i > run ? i + run : n;
            bytes_t sum = {0}, inside = {0}, tied = {0};
            for (; i < stop; i++) {
                const codes_t v = BYZ_LOAD(x + i * BYZ_LANES);
                const bytes_t above = (bytes_t)v - first, in = (bytes_t)(above <= reach) & some;
                sum += above & in;
                inside -= in; /* true is -1 */
                tied -= (bytes_t)(v == t);
            }
            part += __builtin_convertvector(sum, counts_t);
            w.inside += __builtin_convertvector(inside, counts_t);
            w.tied += __builtin_convertvector(tied, counts_t);
        }
        w.above += __builtin_convertvector(part, totals_t);
    }
    *result = w;
}

static inline int32_t half_up(int32_t twice)
{
    return (twice + 1 + 512) / 2 - 256; /* of what is at least -512 */
}

/* 2 numerator / denominator, rounded up, within the sums that two codes can have and those next to them. */
static inline int32_t twice_the_centre(int64_t numerator, int64_t denominator)
{
    const int64_t whole = 2 * numerator / denominator, twice = whole + (whole * denominator < 2 * numerator);
    return twice < -255 ? -255 : twice > 255 ? 255 : (int32_t)twice;
}

static void nearest_of_tile(const int8_t *x, size_t n, size_t kept, const int32_t twice[BYZ_LANES],
                            byz_search_t *search, int8_t *distance, int64_t *out)
{
    int8_t m[BYZ_LANES], radius[BYZ_LANES];
    interval_t interval;
    within_t w;
    codes_t found;
    unsigned most = 0;
    for (size_t c = 0; c < BYZ_LANES; c++) {
        m[c] = (int8_t)(half_up(twice[c]) - 1);
    }
    distances(x, n, BYZ_LOAD(m), distance);
    byz_select(distance, search, &found, NULL);
    memcpy(radius, &found, sizeof found);
    for (size_t c = 0; c < BYZ_LANES; c++) {
        const int32_t r = radius[c] + 128, low = m[c] + 1 - r, high = m[c] + r;
        const int32_t least = low < -128 ? -128 : low, reach = r == 0 ? 0 : (high > 127 ? 127 : high) - least;
        interval.least[c] = (uint8_t)least;
        interval.reach[c] = (uint8_t)reach;
        interval.some[c] = r == 0 ? 0 : 255;
        interval.tie[c] = (uint8_t)(twice[c] % 2 == 0 ? m[c] + 1 + r : m[c] - r);
        most = (unsigned)reach > most ? (unsigned)reach : most;
    }
    add_within(x, n, &interval, most == 0 ? COUNTED : 255 / most, &w);
    for (size_t c = 0; c < BYZ_LANES; c++) {
        const int32_t r = radius[c] + 128, upper = m[c] + 1 + r, lower = m[c] - r, even = twice[c] % 2 == 0;
        const int32_t first = even ? upper : lower, second = even ? lower : upper;
        const int32_t left = (int32_t)kept - w.inside[c], there = first < -128 || first > 127 ? 0 : w.tied[c];
        const int32_t tied = left < there ? left : there;
        out[c] = (int32_t)w.above[c] + w.inside[c] * (int8_t)interval.least[c] + tied * first + (left - tied) * second;
    }
}

void byz_kernels_nearest_sum(const int8_t *tiles, size_t blocks, size_t n, size_t f, const int64_t *numerator, size_t columns,
                             int64_t denominator, int8_t *scratch, int64_t *out)
{
    byz_search_t search;
    byz_begin(&search, n, n - f - 1, n - f - 1);
    for (size_t b = 0; b < blocks; b++) {
        const size_t first = b * BYZ_LANES;
        int32_t twice[BYZ_LANES];
        for (size_t c = 0; c < BYZ_LANES; c++) {
            twice[c] = first + c < columns ? twice_the_centre(numerator[first + c], denominator) : 0;
        }
        nearest_of_tile(tiles + n * first, n, n - f, twice, &search, scratch, out + first);
    }
}
