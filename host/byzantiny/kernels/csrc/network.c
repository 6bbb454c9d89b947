/* Whole columns of a small cohort in order. */
#include "select.h"

#define RANK(size)                                                                                     \
    static void rank_##size(const int8_t *x, size_t n, int8_t *ranked)                  \
    {                                                                                                  \
        for (size_t j = 0; j < BYZ_LANES; j += BYZ_STRAND) {                                           \
            strand_t v[size];                                                                          \
            BYZ_UNROLL for (size_t i = 0; i < size; i++) {                                             \
                if (i + BYZ_NETWORK_STEP <= size || i < n) {                                                          \
                    memcpy(&v[i], x + i * BYZ_LANES + j, sizeof v[i]);                                    \
                } else {                                                                               \
                    v[i] = (strand_t){0} + (int8_t)127; /* sorts to the end, which nobody reads */     \
                }                                                                                      \
            }                                                                                          \
            byz_sort(v, size);                                                                         \
            BYZ_UNROLL for (size_t i = 0; i < size; i++) {                                             \
                memcpy(ranked + i * BYZ_LANES + j, &v[i], sizeof v[i]);                                \
            }                                                                                          \
        }                                                                                              \
    }
BYZ_NETWORKS(RANK)

#define RANKED(size)                       \
    if ((size) <= BYZ_RANKED_MOST && n <= (size)) { \
        rank_##size(x, n, ranked); \
        return;                            \
    }

void byz_rank_rows(const int8_t *x, size_t n, int8_t *ranked)
{
    BYZ_NETWORKS(RANKED)
}
