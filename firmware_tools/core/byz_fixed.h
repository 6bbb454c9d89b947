/* Fixed-point primitives: saturation, the three kinds of rounding, integer square root (SPEC 2, 3; DESIGN 4).
 *
 * Bit-exactness is the contract: byzantiny_models.quantization is the same in NumPy. Right shifts of negative values
 * are arithmetic (gcc and clang define them so, and byz_train.c asserts it). Nothing here multiplies in 64 bits.
 */
#ifndef BYZ_FIXED_H
#define BYZ_FIXED_H

#include "byz_util.h"

BYZ_ASSERT((-3 >> 1) == -2, right_shift_is_arithmetic);

#define BYZ_WEIGHT_MAX 32512    /* 127 * 256: the int8 weight derived from it is within +-127 */
#define BYZ_BIAS_MAX 16777215   /* 2^24 - 1 */
#define BYZ_WEIGHT_FRAC 14
#define BYZ_CODE_MAX 127

static inline int32_t byz_saturate(int32_t v, int32_t low, int32_t high) {
    v = v < low ? low : v;
    return v > high ? high : v;
}

/* (v + 2^(k-1)) >> k, halves upwards; 1 <= k, v + 2^(k-1) must fit. */
static inline int32_t byz_rounding_shift(int32_t v, int32_t k) { return (v + (int32_t)(1 << (k - 1))) >> k; }

/* gemmlowp's double rounding for the multiplier 2^-k, k >= 1, as TFLM's reference kernels do it: the doubling high
 * multiply by 2^30 halves (halves upwards), then the power of two divides (halves away from zero). |acc| < 2^31 - 1.
 * Single rounding would differ in 169 of 20,000 outputs of the deployed model (DESIGN 4). */
static inline int32_t byz_requantize(int32_t acc, int32_t k) {
    const int32_t half = (acc + 1) >> 1;
    const int32_t mask = (int32_t)((1U << (k - 1)) - 1U);
    const int32_t threshold = (mask >> 1) + (half < 0);
    return (half >> (k - 1)) + ((half & mask) > threshold);
}

/* Stochastic rounding of v / 2^s with 32 bits of noise: unbiased, and SR(0, s) = 0 for every noise. -15 <= s <= 16;
 * v + 2^s, or v * 2^-s, must fit. */
static inline int32_t byz_stochastic_shift(int32_t v, int32_t s, uint32_t noise) {
    if (s > 0) return (v + (int32_t)(noise >> (32 - s))) >> s;
    return v * (int32_t)(1 << -s);
}

/* The smallest r with r * r >= n, for n <= 2^62. One bit a turn: no multiply, no divide. */
static inline uint32_t byz_isqrt_ceil(uint64_t n) {
    uint64_t rest = n;
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 62; bit != 0; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (rest >= trial) {
            rest -= trial;
            root += bit;
        }
    }
    return (uint32_t)root + (rest != 0);
}

#endif
