/* Sorting networks for small cohorts: a column's values in registers, a comparator a minimum and a maximum.
 *
 * Batcher's odd-even merge sort (Batcher. Sorting networks and their applications. AFIPS 1968). The loops are of constant
 * length: the compiler unrolls them and drops the comparators whose results nobody reads, so the network of a median
 * is pruned by itself. The best known networks have 5 to 20 % fewer comparators from n = 9 on; each would be a table.
 */
#ifndef BYZ_KERNELS_NETWORK_H
#define BYZ_KERNELS_NETWORK_H

#include "lanes.h"

/* As wide as the registers: a strand of 64 lanes on AVX2 would take two of them, and the sixteen there are few. */
#if defined(__AVX512BW__)
#define BYZ_STRAND 64
#elif defined(__AVX2__)
#define BYZ_STRAND 32
#else
#define BYZ_STRAND 16
#endif

typedef int8_t strand_t __attribute__((vector_size(BYZ_STRAND)));

/* The largest cohort for which a network is fastest, measured: beyond, its values do not stay in registers. For the median,
 * of which only the middle is wanted; and for whole columns in order, a size of those in network.c. */
#if defined(__AVX512BW__)
#define BYZ_NETWORK_MOST 48
#define BYZ_RANKED_MOST 32
#elif defined(__AVX2__)
#define BYZ_NETWORK_MOST 40
#define BYZ_RANKED_MOST 32
#else
#define BYZ_NETWORK_MOST 44
#define BYZ_RANKED_MOST 48
#endif

#define BYZ_NETWORK_STEP 4 /* the sizes differ by so much at most */

/* Calls DO(size) for every size there is a network for, ascending. A cohort in between is padded. */
#define BYZ_NETWORKS(DO)                                                                                                   \
    DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15) DO(16) DO(18) DO(20)    \
    DO(22) DO(24) DO(26) DO(28) DO(30) DO(32) DO(36) DO(40) DO(44) DO(48)

static inline __attribute__((always_inline)) void byz_sort(strand_t *v, const int size)
{
    BYZ_UNROLL for (int p = 1; p < size; p += p) {
        BYZ_UNROLL for (int k = p; k >= 1; k /= 2) {
            BYZ_UNROLL for (int j = k % p; j + k < size; j += 2 * k) {
                BYZ_UNROLL for (int i = j; i < j + k; i++) {
                    if (i + k < size && i / (2 * p) == (i + k) / (2 * p)) {
                        const strand_t a = v[i], b = v[i + k];
                        v[i] = BYZ_MIN(a, b);
                        v[i + k] = BYZ_MAX(a, b);
                    }
                }
            }
        }
    }
}

#endif
