/* The median of every coordinate. */
#include "columns.h"
#include "select.h"

typedef int64_t long_strand_t __attribute__((vector_size(8 * BYZ_STRAND)));

/* The two middle values of at most `size` rows: the network of that size, whose other comparators the compiler drops. Padding
 * on both sides keeps the lower one in the middle. */
#define MIDDLE(size)                                                                                               \
    static void middle_##size(const int8_t *tiles, size_t blocks, size_t n, int64_t *out)                          \
    {                                                                                                              \
        const size_t lows = (size - 1) / 2 - (n - 1) / 2;                                                          \
        for (size_t b = 0; b < blocks; b++) {                                                                      \
            for (size_t j = 0; j < BYZ_LANES; j += BYZ_STRAND) {                                                   \
                const int8_t *x = tiles + b * n * BYZ_LANES + j;                                                   \
                strand_t v[size];                                                                                  \
                BYZ_UNROLL for (size_t i = 0; i < size; i++) {                                                     \
                    if (i + BYZ_NETWORK_STEP <= size || i < n) {                                                   \
                        memcpy(&v[i], x + i * BYZ_LANES, sizeof v[i]);                                             \
                    } else {                                                                                       \
                        v[i] = (strand_t){0} + (int8_t)(i < n + lows ? -128 : 127);                                \
                    }                                                                                              \
                }                                                                                                  \
                byz_sort(v, size);                                                                                 \
                const strand_t lower = v[(size - 1) / 2], upper = n % 2 == 0 ? v[size / 2] : lower;                \
                const long_strand_t twice =                                                                        \
                    __builtin_convertvector(lower, long_strand_t) + __builtin_convertvector(upper, long_strand_t); \
                memcpy(out + b * BYZ_LANES + j, &twice, sizeof twice);                                             \
            }                                                                                                      \
        }                                                                                                          \
    }
BYZ_NETWORKS(MIDDLE)

#define IN_THE_MIDDLE(size)                          \
    if ((size) <= BYZ_NETWORK_MOST && n <= (size)) { \
        middle_##size(tiles, blocks, n, out);        \
        return;                                      \
    }

void byz_kernels_median(const int8_t *tiles, size_t blocks, size_t n, int64_t *out)
{
    BYZ_NETWORKS(IN_THE_MIDDLE)
    byz_search_t search;
    byz_begin(&search, n, (n - 1) / 2, n / 2);
    for (size_t b = 0; b < blocks; b++) {
        codes_t lower, upper;
        byz_select(tiles + b * n * BYZ_LANES, &search, &lower, n % 2 == 0 ? &upper : NULL);
        if (n % 2 != 0) {
            upper = lower;
        }
        const shorts_t two = __builtin_convertvector(lower, shorts_t) + __builtin_convertvector(upper, shorts_t);
        const longs_t twice = __builtin_convertvector(two, longs_t);
        memcpy(out + b * BYZ_LANES, &twice, sizeof twice);
    }
}
