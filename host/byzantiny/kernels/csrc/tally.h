/* How many codes of a column lie below each of eight thresholds, in one pass (AVX-512 VBMI).
 *
 * A table look-up turns a code into a byte whose bit j says that the code is below threshold j. Carry-save adders count
 * the eight bits of these bytes over the clients; digit l of a tally holds bit l of all eight counts of a column. A pass
 * is 6 operations a row for three bits of the code; bit-serial search takes as many, but three passes.
 */
#ifndef BYZ_KERNELS_TALLY_H
#define BYZ_KERNELS_TALLY_H

#include "lanes.h"

#if defined(__AVX512VBMI__) && defined(__AVX512BITALG__) && defined(__clang__)
#define BYZ_TABLES 1

#define BYZ_RUNGS 8   /* thresholds, one a bit */
#define BYZ_DIGITS 16 /* n < 2^16 */
#define BYZ_FEW 8     /* digits for 255 rows */
#define BYZ_INDEX 64  /* entries of a table */

#define LAST_INDEX BYZ_BYTES(BYZ_INDEX - 1)

typedef struct {
    bits_t digit[BYZ_DIGITS];
} byz_tally_t;

/* The rows of a tile; and the lines of the next one that have yet to be asked for.
 *
 * Between the tiles the processor's own prefetching stops and starts again, which costs more than a pass. So the passes ask
 * for the next tile themselves, into the L2 cache, a line every other row, and all of it: a line left out is waited for alone. */
typedef struct {
    const int8_t *x;
    size_t n;
    const int8_t *ahead, *ahead_end;
} byz_rows_t;

static inline void byz_ask_for_the_rest(byz_rows_t *rows)
{
    for (; rows->ahead < rows->ahead_end; rows->ahead += BYZ_LANES) {
        __builtin_prefetch(rows->ahead, 0, 2);
    }
}

static inline bits_t byz_pick(bits_t mask, bits_t yes, bits_t no)
{
    return (yes & mask) | (no & ~mask);
}

static inline bytes_t byz_look_up(bytes_t table, bytes_t index)
{
    return __builtin_shufflevector(table, index); /* index modulo 64 */
}

static inline bytes_t byz_bits_set(bits_t v)
{
    return __builtin_elementwise_popcount((bytes_t)v);
}

/* sum becomes the sum of three bits; the carry is returned. */
static inline bits_t byz_add(bits_t *sum, bits_t a, bits_t b)
{
    const bits_t s = *sum;
    *sum = s ^ a ^ b;
    return (s & a) | ((s | a) & b);
}

/* Adds eight rows of bits to the three lowest digits; returns the carry, worth 8. */
static inline bits_t byz_add_eight(bits_t digit[BYZ_FEW], const bits_t v[8])
{
    const bits_t a = byz_add(&digit[0], v[0], v[1]), b = byz_add(&digit[0], v[2], v[3]);
    const bits_t c = byz_add(&digit[1], a, b);
    const bits_t d = byz_add(&digit[0], v[4], v[5]), e = byz_add(&digit[0], v[6], v[7]);
    const bits_t f = byz_add(&digit[1], d, e);
    return byz_add(&digit[2], c, f);
}

/* Adds a carry into the digits from `first` on. */
static inline __attribute__((always_inline)) void byz_ripple(bits_t *digit, const size_t first, const size_t digits, bits_t carry)
{
    BYZ_UNROLL for (size_t l = first; l < digits; l++) {
        const bits_t old = digit[l];
        digit[l] = old ^ carry;
        carry &= old;
    }
}

/* The index of a code: code / 4 modulo 64; or how far it is above the base, 63 for 63 and more, which those below it are. */
static inline bytes_t byz_index(codes_t v, bytes_t base, const int by_four)
{
    return by_four ? (bytes_t)((words_t)v >> 2) & LAST_INDEX : BYZ_MIN((bytes_t)v - base, LAST_INDEX);
}

/* At most 255 rows; all digits stay in registers. */
static inline __attribute__((always_inline)) void byz_tally_few(byz_rows_t *rows, size_t from, size_t n, bytes_t table, bytes_t base,
                                                                bits_t *result, const int by_four)
{
    const int8_t *x = rows->x + from * BYZ_LANES, *ahead = rows->ahead;
    bits_t digit[BYZ_FEW] = {{0}};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        bits_t v[16];
        BYZ_UNROLL for (size_t k = 0; k < 16; k++) {
            v[k] = (bits_t)byz_look_up(table, byz_index(BYZ_LOAD(x + (i + k) * BYZ_LANES), base, by_four));
        }
        BYZ_UNROLL for (size_t k = 0; k < 8; k++) {
            __builtin_prefetch(ahead + k * BYZ_LANES, 0, 2);
        }
        ahead += 8 * BYZ_LANES;
        const bits_t a = byz_add_eight(digit, v), b = byz_add_eight(digit, v + 8);
        byz_ripple(digit, 4, BYZ_FEW, byz_add(&digit[3], a, b));
    }
    for (; i < n; i += 8) {
        bits_t v[8];
        BYZ_UNROLL for (size_t k = 0; k < 8; k++) {
            const size_t row = i + k < n ? i + k : i;
            const bytes_t found = byz_look_up(table, byz_index(BYZ_LOAD(x + row * BYZ_LANES), base, by_four));
            v[k] = (bits_t)(found & BYZ_BYTES(i + k < n ? 255 : 0));
        }
        byz_ripple(digit, 3, BYZ_FEW, byz_add_eight(digit, v));
    }
    rows->ahead = ahead;
    BYZ_UNROLL for (size_t l = 0; l < BYZ_FEW; l++) {
        result[l] = digit[l];
    }
}

#define BYZ_CHUNK 240 /* a multiple of 16 below 256 */

/* digits: BYZ_FEW for up to 255 rows, else BYZ_DIGITS. */
static inline __attribute__((always_inline)) void byz_tally(byz_rows_t *rows, bytes_t table, bytes_t base, byz_tally_t *t,
                                                            const size_t digits, const int by_four)
{
    if (digits == BYZ_FEW) {
        byz_tally_few(rows, 0, rows->n, table, base, t->digit, by_four);
        return;
    }
    for (size_t l = 0; l < digits; l++) {
        t->digit[l] = (bits_t){0};
    }
    for (size_t i = 0; i < rows->n; i += BYZ_CHUNK) {
        bits_t part[BYZ_FEW], carry = {0};
        const size_t left = rows->n - i;
        byz_tally_few(rows, i, left < BYZ_CHUNK ? left : BYZ_CHUNK, table, base, part, by_four);
        for (size_t l = 0; l < BYZ_FEW; l++) {
            carry = byz_add(&t->digit[l], part[l], carry);
        }
        byz_ripple(t->digit, BYZ_FEW, digits, carry);
    }
}

#endif
#endif
