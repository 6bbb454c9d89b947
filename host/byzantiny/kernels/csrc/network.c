/* Whole columns of a small cohort in order. */
#include "select.h"

#define STEP 8
/* As BYZ_NETWORKS, in larger steps: nothing is dropped from these, and padding costs less than their code. */
#define SIZES(DO) \
    DO(2) DO(4) DO(6) DO(8) DO(10) DO(12) DO(14) DO(16) DO(20) DO(24) DO(28) DO(32) DO(40) DO(48)

#define RANK(size)                                                                                 \
    static void rank_##size(const int8_t *x, size_t n, int8_t *ranked)                             \
    {                                                                                              \
        for (size_t j = 0; j < BYZ_LANES; j += BYZ_STRAND) {                                       \
            strand_t v[size];                                                                      \
            BYZ_UNROLL for (size_t i = 0; i < size; i++) {                                         \
                if (i + STEP <= size || i < n) {                                                   \
                    memcpy(&v[i], x + i * BYZ_LANES + j, sizeof v[i]);                             \
                } else {                                                                           \
                    v[i] = (strand_t){0} + (int8_t)127; /* sorts to the end, which nobody reads */ \
                }                                                                                  \
            }                                                                                      \
            byz_sort(v, size);                                                                     \
            BYZ_UNROLL for (size_t i = 0; i < size; i++) {                                         \
                memcpy(ranked + i * BYZ_LANES + j, &v[i], sizeof v[i]);                            \
            }                                                                                      \
        }                                                                                          \
    }
SIZES(RANK)

#define RANKED(size)                                  \
    if ((size) <= BYZ_RANKED_MOST && n <= (size)) {   \
        rank_##size(x, n, ranked);                    \
        return;                                       \
    }

void byz_rank_rows(const int8_t *x, size_t n, int8_t *ranked)
{
    SIZES(RANKED)
}
