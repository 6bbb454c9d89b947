/* What the rules ask of a table of counts: order statistics and sums, eight coordinates at a time.
 *
 * C(b) is the number of codes in the bins up to b, bin b holding the code b - 128. The code of rank k is the number of
 * bins with C(b) <= k, minus 128. The sum of the ranks s .. t - 1 is, by parts, with K(b) = clamp(C(b), s, t) - s,
 *
 *     sum_b (b - 128) (K(b) - K(b - 1)) = 127 (t - s) - sum_(b < 255) K(b)
 *
 * which stays below 255 n < 2^32: hence n < 2^24.
 */
#include "counts.h"

#include <string.h>

#define GROUP_BINS (BYZ_BINS * BYZ_COUNT_LANES)
#define CODE(bin) ((int32_t)(bin) - 128)

typedef uint16_t bins_t __attribute__((vector_size(2 * BYZ_COUNT_LANES)));
typedef uint32_t counts_t __attribute__((vector_size(4 * BYZ_COUNT_LANES)));

/* The table of one call; `next` walks through the carries, which are in the order of the table. */
typedef struct {
    const uint16_t *table;
    const int64_t *carries;
    size_t count, next;
} source_t;

static inline counts_t at_least(counts_t x, counts_t least)
{
    const counts_t less = (counts_t)(x < least);
    return (least & less) | (x & ~less);
}

static inline counts_t at_most(counts_t x, counts_t most)
{
    const counts_t more = (counts_t)(x > most);
    return (most & more) | (x & ~more);
}

/* up_to[b] = C(b) of group g; groups must be asked for in order. */
static inline void cumulate(source_t *source, size_t g, counts_t up_to[BYZ_BINS])
{
    const uint16_t *table = source->table + g * GROUP_BINS;
    const size_t first = g * GROUP_BINS;
    counts_t total = {0};
    for (size_t b = 0; b < BYZ_BINS; b++) {
        bins_t bins;
        memcpy(&bins, table + b * BYZ_COUNT_LANES, sizeof bins);
        total += __builtin_convertvector(bins, counts_t);
        up_to[b] = total;
    }
    for (; source->next < source->count && (size_t)source->carries[source->next] < first + GROUP_BINS; source->next++) {
        const size_t place = (size_t)source->carries[source->next] - first;
        counts_t carry = {0};
        carry[place % BYZ_COUNT_LANES] = UINT32_C(1) << 16;
        for (size_t b = place / BYZ_COUNT_LANES; b < BYZ_BINS; b++) {
            up_to[b] += carry;
        }
    }
}

/* The bin of rank k; ranks count from 0. */
static inline counts_t bin_of(const counts_t up_to[BYZ_BINS], uint32_t rank)
{
    const counts_t k = (counts_t){0} + rank;
    counts_t bin = {0};
    for (size_t b = 0; b < BYZ_BINS; b++) {
        bin -= (counts_t)(up_to[b] <= k); /* true is -1 */
    }
    return bin;
}

/* The sum of the ranks from .. from + length - 1. */
static inline void window_sum(const counts_t up_to[BYZ_BINS], counts_t from, uint32_t length, int64_t *out)
{
    const counts_t to = from + length;
    counts_t below = {0};
    for (size_t b = 0; b + 1 < BYZ_BINS; b++) {
        below += at_most(at_least(up_to[b], from), to) - from;
    }
    for (size_t k = 0; k < BYZ_COUNT_LANES; k++) {
        out[k] = (int64_t)127 * length - (int64_t)below[k];
    }
}

void byz_kernels_counts_totals(const uint16_t *table, size_t groups, const int64_t *carries, size_t count, int64_t *out)
{
    source_t source = {table, carries, count, 0};
    counts_t up_to[BYZ_BINS];
    for (size_t g = 0; g < groups; g++) {
        cumulate(&source, g, up_to);
        for (size_t k = 0; k < BYZ_COUNT_LANES; k++) {
            out[g * BYZ_COUNT_LANES + k] = up_to[BYZ_BINS - 1][k];
        }
    }
}

void byz_kernels_counts_median(const uint16_t *table, size_t groups, const int64_t *carries, size_t count, uint32_t n,
                               int16_t *out)
{
    source_t source = {table, carries, count, 0};
    counts_t up_to[BYZ_BINS];
    for (size_t g = 0; g < groups; g++) {
        cumulate(&source, g, up_to);
        const counts_t low = bin_of(up_to, (n - 1) / 2), high = bin_of(up_to, n / 2);
        for (size_t k = 0; k < BYZ_COUNT_LANES; k++) {
            out[g * BYZ_COUNT_LANES + k] = (int16_t)(CODE(low[k]) + CODE(high[k]));
        }
    }
}

void byz_kernels_counts_trimmed_sum(const uint16_t *table, size_t groups, const int64_t *carries, size_t count,
                                    uint32_t n, uint32_t f, int64_t *out)
{
    source_t source = {table, carries, count, 0};
    counts_t up_to[BYZ_BINS];
    for (size_t g = 0; g < groups; g++) {
        cumulate(&source, g, up_to);
        window_sum(up_to, (counts_t){0} + f, n - 2 * f, out + g * BYZ_COUNT_LANES);
    }
}

/* C(b) of lane k, of bins beyond either end too. */
static inline int64_t counted(const counts_t up_to[BYZ_BINS], size_t k, int32_t bin, uint32_t n)
{
    if (bin < 0) {
        return 0;
    }
    return bin < BYZ_BINS ? up_to[bin][k] : n;
}

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How far the window of lane k moves: the number of s < f with x_(s) + x_(s+n-f) < twice, which are the first ones.
 *
 * For s with the code v it says s < C(twice - 1 - v) - (n - f), so it is the greatest min(A(v), B(v)) over v, where
 * A(v) = min(C(v), f) grows and B(v) = C(twice - 1 - v) - (n - f) shrinks: where they cross, by bisection. */
static inline uint32_t moves(const counts_t up_to[BYZ_BINS], size_t k, uint32_t n, uint32_t f, int32_t twice)
{
    const int64_t kept = (int64_t)n - f;
    int32_t low = 0, high = BYZ_BINS; /* the first bin with A >= B is in low .. high; 256: there is none */
    while (low < high) {
        const int32_t middle = (low + high) / 2;
        if (smaller(counted(up_to, k, middle, n), f) >= counted(up_to, k, twice + 255 - middle, n) - kept) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    const int64_t before = smaller(counted(up_to, k, low - 1, n), f);
    const int64_t after = low < BYZ_BINS ? counted(up_to, k, twice + 255 - low, n) - kept : 0;
    return (uint32_t)(after > before ? after : before);
}

void byz_kernels_counts_nearest_sum(const uint16_t *table, size_t groups, const int64_t *carries, size_t count,
                                    uint32_t n, uint32_t f, const int16_t *twice, int64_t *out)
{
    source_t source = {table, carries, count, 0};
    counts_t up_to[BYZ_BINS];
    for (size_t g = 0; g < groups; g++) {
        cumulate(&source, g, up_to);
        counts_t from = {0};
        for (size_t k = 0; k < BYZ_COUNT_LANES; k++) {
            from[k] = moves(up_to, k, n, f, twice[g * BYZ_COUNT_LANES + k]);
        }
        window_sum(up_to, from, n - f, out + g * BYZ_COUNT_LANES);
    }
}

void byz_kernels_counts_median_counts(const uint16_t *table, size_t groups, const int64_t *carries, size_t count,
                                      uint32_t n, size_t columns, int64_t *out)
{
    source_t source = {table, carries, count, 0};
    counts_t up_to[BYZ_BINS];
    for (size_t g = 0; g < groups; g++) {
        cumulate(&source, g, up_to);
        const counts_t low = bin_of(up_to, (n - 1) / 2), high = bin_of(up_to, n / 2);
        for (size_t k = 0; k < BYZ_COUNT_LANES; k++) {
            const int32_t bin = (int32_t)low[k];
            const int64_t below = counted(up_to, k, bin - 1, n), with = counted(up_to, k, bin, n);
            int64_t *column = out + g * BYZ_COUNT_LANES + k;
            column[0] = CODE(low[k]);
            column[columns] = CODE(high[k]);
            column[2 * columns] = below;
            column[3 * columns] = with - below;
            column[4 * columns] = below - counted(up_to, k, bin - 2, n);
            column[5 * columns] = counted(up_to, k, bin + 1, n) - with;
        }
    }
}

void byz_kernels_counts_sign_sum(const uint16_t *table, size_t groups, const int64_t *carries, size_t count, uint32_t n,
                                 int64_t *out)
{
    source_t source = {table, carries, count, 0};
    counts_t up_to[BYZ_BINS];
    for (size_t g = 0; g < groups; g++) {
        cumulate(&source, g, up_to);
        for (size_t k = 0; k < BYZ_COUNT_LANES; k++) {
            out[g * BYZ_COUNT_LANES + k] = (int64_t)n - up_to[128][k] - up_to[127][k];
        }
    }
}
