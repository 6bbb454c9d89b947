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

#define COUNTED 255 /* rows for which a byte holds a count, and 16 bits a sum of bytes */

typedef uint32_t halves_t __attribute__((vector_size(2 * BYZ_LANES)));

/* How many values lie in an interval, how many equal one code, and the sum of what those inside are above the least of them,
 * in even columns and in odd ones. */
typedef struct {
    uint16_t inside[BYZ_LANES], tied[BYZ_LANES];
    uint32_t even[BYZ_LANES / 2], odd[BYZ_LANES / 2];
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

/* An interval of codes by its least one and how far it reaches above; and a code. */
typedef struct {
    uint8_t least[BYZ_LANES], reach[BYZ_LANES], tie[BYZ_LANES];
} interval_t;

BYZ_NO_MASKS static void add_within(const int8_t *x, size_t n, const interval_t *interval, within_t *result)
{
    const bytes_t least = (bytes_t)BYZ_LOAD(interval->least), reach = (bytes_t)BYZ_LOAD(interval->reach);
    const codes_t tie = BYZ_LOAD(interval->tie);
    counts_t all_inside = {0}, all_tied = {0};
    halves_t all_even = {0}, all_odd = {0};
    for (size_t i = 0; i < n;) {
        const size_t stop = n - i > COUNTED ? i + COUNTED : n;
        words_t even = {0}, odd = {0};
        bytes_t inside = {0}, tied = {0};
        for (; i < stop; i++) {
            const codes_t v = BYZ_LOAD(x + i * BYZ_LANES);
            const bytes_t above = (bytes_t)v - least, in = (bytes_t)(above <= reach), added = above & in;
            even += (words_t)added & 255;
            odd += (words_t)added >> 8;
            inside -= in; /* true is -1 */
            tied -= (bytes_t)(v == tie);
        }
        all_even += __builtin_convertvector(even, halves_t);
        all_odd += __builtin_convertvector(odd, halves_t);
        all_inside += __builtin_convertvector(inside, counts_t);
        all_tied += __builtin_convertvector(tied, counts_t);
    }
    memcpy(result->inside, &all_inside, sizeof all_inside);
    memcpy(result->tied, &all_tied, sizeof all_tied);
    memcpy(result->even, &all_even, sizeof all_even);
    memcpy(result->odd, &all_odd, sizeof all_odd);
}

static inline int32_t half_up(int32_t twice)
{
    return (twice + 1 + 512) / 2 - 256; /* of what is at least -512 */
}

/* Within the sums that two codes can have, and those next to them. */
static inline int32_t in_reach(int64_t twice)
{
    return twice < -255 ? -255 : twice > 255 ? 255 : (int32_t)twice;
}

/* 2 numerator / denominator, rounded up; for a median without a division. */
static void twice_the_centres(const int64_t *numerator, size_t count, int64_t denominator, int32_t twice[BYZ_LANES])
{
    for (size_t c = count; c < BYZ_LANES; c++) {
        twice[c] = 0;
    }
    if (denominator == 2) {
        for (size_t c = 0; c < count; c++) {
            twice[c] = in_reach(numerator[c]);
        }
    } else {
        for (size_t c = 0; c < count; c++) {
            const int64_t whole = 2 * numerator[c] / denominator;
            twice[c] = in_reach(whole + (whole * denominator < 2 * numerator[c]));
        }
    }
}

static void nearest_of_tile(const int8_t *x, size_t n, size_t kept, const int32_t twice[BYZ_LANES],
                            byz_search_t *search, int8_t *distance, int64_t *out)
{
    int8_t m[BYZ_LANES], radius[BYZ_LANES];
    int32_t sum[BYZ_LANES];
    interval_t interval;
    within_t w;
    codes_t found;
    for (size_t c = 0; c < BYZ_LANES; c++) {
        m[c] = (int8_t)(half_up(twice[c]) - 1);
    }
    distances(x, n, BYZ_LOAD(m), distance);
    byz_select(distance, search, &found, NULL);
    memcpy(radius, &found, sizeof found);
    for (size_t c = 0; c < BYZ_LANES; c++) {
        const int32_t r = radius[c] + 128, low = m[c] + 1 - r, high = r == 0 ? low : m[c] + r;
        const int32_t least = low < -128 ? -128 : low;
        interval.least[c] = (uint8_t)least;
        interval.reach[c] = (uint8_t)((high > 127 ? 127 : high) - least);
        interval.tie[c] = (uint8_t)(twice[c] % 2 == 0 ? m[c] + 1 + r : m[c] - r);
    }
    add_within(x, n, &interval, &w);
    for (size_t c = 0; c < BYZ_LANES / 2; c++) {
        sum[2 * c] = (int32_t)w.even[c];
        sum[2 * c + 1] = (int32_t)w.odd[c];
    }
    for (size_t c = 0; c < BYZ_LANES; c++) {
        const int32_t r = radius[c] + 128, upper = m[c] + 1 + r, lower = m[c] - r, even = twice[c] % 2 == 0;
        const int32_t first = even ? upper : lower, second = even ? lower : upper;
        const int32_t inside = r == 0 ? 0 : w.inside[c], above = r == 0 ? 0 : sum[c]; /* nothing is nearer than 0 */
        const int32_t left = (int32_t)kept - inside, there = first < -128 || first > 127 ? 0 : w.tied[c];
        const int32_t tied = left < there ? left : there;
        out[c] = above + inside * (int8_t)interval.least[c] + tied * first + (left - tied) * second;
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
        twice_the_centres(numerator + first, columns - first < BYZ_LANES ? columns - first : BYZ_LANES, denominator, twice);
        nearest_of_tile(tiles + n * first, n, n - f, twice, &search, scratch, out + first);
    }
}
