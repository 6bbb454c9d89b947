/* Vectors of 64 coordinates, one a lane, and what the kernels by column do with them. */
#ifndef BYZ_KERNELS_LANES_H
#define BYZ_KERNELS_LANES_H

#include "byz_kernels.h"

#include <string.h>

typedef int8_t codes_t __attribute__((vector_size(BYZ_LANES)));
typedef uint8_t bytes_t __attribute__((vector_size(BYZ_LANES)));
typedef uint64_t bits_t __attribute__((vector_size(BYZ_LANES))); /* for bitwise work: masks cost nothing, shifts cross bytes */
typedef uint16_t words_t __attribute__((vector_size(BYZ_LANES))); /* of two columns each */
typedef int16_t shorts_t __attribute__((vector_size(2 * BYZ_LANES)));
typedef uint16_t counts_t __attribute__((vector_size(2 * BYZ_LANES)));
typedef int32_t ints_t __attribute__((vector_size(4 * BYZ_LANES)));
typedef uint32_t totals_t __attribute__((vector_size(4 * BYZ_LANES)));
typedef int64_t longs_t __attribute__((vector_size(8 * BYZ_LANES)));

/* AVX-512 compares into mask registers, which then have to be expanded: measured 1.4 times slower than AVX2 where masks
 * are counted. Inlined, such a function would have AVX-512 again. */
#if defined(__AVX512F__) && defined(__clang__)
#define BYZ_NO_MASKS __attribute__((target("no-avx512f"), noinline))
#else
#define BYZ_NO_MASKS
#endif

/* Loops of constant length over an array of vectors: unrolled, so that the vectors stay in registers. */
#if defined(__clang__)
#define BYZ_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BYZ_UNROLL
#endif

#if defined(__clang__)
#define BYZ_MIN(a, b) __builtin_elementwise_min(a, b)
#define BYZ_MAX(a, b) __builtin_elementwise_max(a, b)
#else
#define BYZ_MIN(a, b) ((__typeof__(a))((((__typeof__(a))((a) < (b))) & (a)) | (~((__typeof__(a))((a) < (b))) & (b))))
#define BYZ_MAX(a, b) ((__typeof__(a))((((__typeof__(a))((a) > (b))) & (a)) | (~((__typeof__(a))((a) > (b))) & (b))))
#endif

#define BYZ_BYTES(b) ((bytes_t){0} + (uint8_t)(b)) /* a byte in every lane */

/* Macros, not functions: a function that takes or returns such a vector cannot be shared by code with and without AVX-512. */
typedef int8_t unaligned_codes_t __attribute__((vector_size(BYZ_LANES), aligned(1), may_alias));
#define BYZ_LOAD(p) ((codes_t)(*(const unaligned_codes_t *)(p)))
#define BYZ_CHOOSE(mask, yes, no) (((yes) & (mask)) | ((no) & ~(mask))) /* by bit: `yes` where the mask is set */

static inline int byz_any(bytes_t mask)
{
#if defined(__clang__)
    return __builtin_reduce_or((bits_t)mask) != 0;
#else
    uint64_t all = 0;
    for (size_t i = 0; i < BYZ_LANES / 8; i++) {
        all |= ((bits_t)mask)[i];
    }
    return all != 0;
#endif
}

#endif
