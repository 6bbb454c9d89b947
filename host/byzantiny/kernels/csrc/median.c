/* Median of every coordinate by bit-serial selection.
 *
 * The k-th smallest x_(k) is the largest t with #{x < t} <= k, so its bits follow from the most significant one down,
 * one pass of compare and count each. The passes run over 64 coordinates of all clients, which stay in the cache
 * (n * 64 bytes). For even n the upper middle value takes a ninth pass: it is x_(k) again if more than k + 1 values
 * are <= x_(k), else the smallest value above it.
 *
 * Rejected: bit-slicing (transposed bit planes and popcounts) is 1.1 to 2 times slower without the byte popcount of
 * AVX-512 BITALG; a min/max network is faster up to n of about 20 only, and generated code; 256 bins are scalar.
 */
#include "columns.h"

#include <string.h>

/* AVX-512 compares into mask registers, which then have to be expanded: measured 1.4 times slower than AVX2 here. */
#if defined(__AVX512F__) && defined(__clang__)
#define BYZ_NO_MASKS __attribute__((target("no-avx512f")))
#else
#define BYZ_NO_MASKS
#endif

typedef int8_t codes_t __attribute__((vector_size(BYZ_LANES)));
typedef uint8_t bytes_t __attribute__((vector_size(BYZ_LANES)));
typedef int16_t wide_t __attribute__((vector_size(2 * BYZ_LANES)));
typedef uint16_t counts_t __attribute__((vector_size(2 * BYZ_LANES)));

BYZ_NO_MASKS static inline codes_t load(const int8_t *p)
{
    codes_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

BYZ_NO_MASKS static inline codes_t choose(codes_t mask, codes_t yes, codes_t no)
{
    return (yes & mask) | (no & ~mask);
}

/* A byte counter holds 255 rows; then it is added to the 16-bit total. */
BYZ_NO_MASKS static inline size_t chunk_end(size_t i, size_t n)
{
    return n - i > 255 ? i + 255 : n;
}

BYZ_NO_MASKS static counts_t count_below(const int8_t *x, size_t n, size_t stride, codes_t t)
{
    counts_t total = {0};
    for (size_t i = 0; i < n;) {
        const size_t stop = chunk_end(i, n);
        bytes_t even = {0}, odd = {0}; /* two chains of additions; true is -1 */
        for (; i + 1 < stop; i += 2) {
            even -= (bytes_t)(load(x + i * stride) < t);
            odd -= (bytes_t)(load(x + (i + 1) * stride) < t);
        }
        if (i < stop) {
            even -= (bytes_t)(load(x + i * stride) < t);
            i++;
        }
        total += __builtin_convertvector(even + odd, counts_t);
    }
    return total;
}

BYZ_NO_MASKS static codes_t select_rank(const int8_t *x, size_t n, size_t stride, uint16_t rank)
{
    codes_t t = (codes_t){0} + (int8_t)-128;
    for (int bit = 128; bit != 0; bit >>= 1) {
        const codes_t higher = (codes_t)((bytes_t)t + (uint8_t)bit); /* modulo 256: -128 + 128 = 0 */
        const counts_t below = count_below(x, n, stride, higher);
        t = choose(__builtin_convertvector((wide_t)(below <= rank), codes_t), higher, t);
    }
    return t;
}

/* x_(rank) given t = x_(rank - 1). */
BYZ_NO_MASKS static codes_t select_next(const int8_t *x, size_t n, size_t stride, uint16_t rank, codes_t t)
{
    codes_t next = (codes_t){0} + (int8_t)127;
    counts_t not_above = {0};
    for (size_t i = 0; i < n;) {
        const size_t stop = chunk_end(i, n);
        bytes_t count = {0};
        for (; i < stop; i++) {
            const codes_t v = load(x + i * stride);
            const codes_t above = (codes_t)(v > t);
            const codes_t candidate = choose(above, v, (codes_t){0} + (int8_t)127);
            next = choose((codes_t)(candidate < next), candidate, next);
            count += (bytes_t)above + 1;
        }
        not_above += __builtin_convertvector(count, counts_t);
    }
    return choose(__builtin_convertvector((wide_t)(not_above > rank), codes_t), t, next);
}

BYZ_NO_MASKS void byz_kernels_median(const int8_t *tiles, size_t blocks, size_t n, size_t width, int16_t *out)
{
    const uint16_t lo = (uint16_t)((n - 1) / 2), hi = (uint16_t)(n / 2);
    for (size_t b = 0; b < blocks; b++) {
        for (size_t j = 0; j < width; j += BYZ_LANES) {
            const int8_t *x = tiles + b * n * width + j;
            const codes_t lower = select_rank(x, n, width, lo);
            const codes_t upper = hi == lo ? lower : select_next(x, n, width, hi, lower);
            const wide_t twice = __builtin_convertvector(lower, wide_t) + __builtin_convertvector(upper, wide_t);
            memcpy(out + b * width + j, &twice, sizeof twice);
        }
    }
}
