/* Points and the rows: sums of rows with integer weights, and squared distances of the rows to a point, both exact.
 *
 * A weight is taken digit by digit, base 256 (dot.h), and so is a point: it is put on a grid of 2^-bits steps, and the digits of its
 * numbers are rows of bytes that the codes' dot products are taken with.
 *
 *     sum (2^bits x - c)^2 = 2^(2 bits) sum x^2 - 2^(bits + 1) sum x c + sum c^2        in 128 bits
 *
 * Nothing is lost where these cancel, as it would be in floats. A point's digits are balanced, -128 .. 127: the bytes of
 * c + 0x808080808080, each less 128.
 *
 * Rejected: float64 products, differences and squares in the order of SPEC 4. They take eight codes an instruction where these take
 * 64 in six, and are bound by arithmetic, not by memory.
 */
#include "dot.h"
#include "geometry.h"

#define WEIGHT_DIGITS 8
#define BLOCKS 32 /* 2048 coordinates: fewer, and sums across lanes cost more; their digits are 12 KB of the L1 cache */
#define RUN (BLOCKS * BYZ_LANES)
#define HALF_BITS 23 /* of a point's 46: products of halves fit 64 bits, and a vector instruction */

typedef unsigned __int128 wide_t;

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The digits first .. first + BYZ_DIGITS - 1 of the weights, as byz_weigh reads them; how many are left without those
 * that are zero in every weight, from the top. */
static int pack_digits(const int64_t *weights, size_t n, int first, uint32_t *digits)
{
    int count = 0;
    for (size_t i = 0; i < n; i += BYZ_WEIGHED) {
        for (int l = 0; l < BYZ_DIGITS; l++) {
            uint32_t word = 0;
            for (size_t t = 0; t < BYZ_WEIGHED && i + t < n && first + l < WEIGHT_DIGITS; t++) {
                const uint32_t digit = (uint32_t)((uint64_t)weights[i + t] >> (8 * (first + l)) & 0xff);
                word |= digit << (32 / BYZ_WEIGHED * t);
            }
            digits[i / BYZ_WEIGHED * BYZ_DIGITS + (size_t)l] = word;
            count = word != 0 && count <= l ? l + 1 : count;
        }
    }
    return count;
}

/* out[c] += the sums of 64 columns times the digits from `first` on. */
static void add_columns(const int8_t *codes, size_t row, size_t n, const uint32_t *digits, int first, int count, int64_t *out)
{
    int32_t sums[BYZ_DIGITS][BYZ_LANES];
    switch (count) { /* with a constant count the sums stay in registers */
    case 0:
        break;
    case 1:
        byz_weigh(codes, row, n, digits, 1, sums);
        break;
    default:
        byz_weigh(codes, row, n, digits, BYZ_DIGITS, sums);
        break;
    }
    for (int l = 0; l < count; l++) {
        for (size_t c = 0; c < BYZ_LANES; c++) {
            out[c] += (int64_t)sums[l][c] * ((int64_t)1 << (8 * (first + l)));
        }
    }
}

typedef struct {
    const uint32_t *low, *high;
    int low_count, high_count;
} digits_t;

static digits_t digits_of_weights(const int64_t *weights, size_t n, uint32_t *scratch)
{
    digits_t digits = {scratch, scratch + 3 * n + 6, 0, 0};
    digits.low_count = pack_digits(weights, n, 0, scratch);
    digits.high_count = pack_digits(weights, n, BYZ_DIGITS, scratch + 3 * n + 6);
    return digits;
}

static void weigh_block(const int8_t *codes, size_t row, size_t n, const digits_t *digits, int64_t out[BYZ_LANES])
{
    memset(out, 0, BYZ_LANES * sizeof *out);
    add_columns(codes, row, n, digits->low, 0, digits->low_count, out);
    add_columns(codes, row, n, digits->high, BYZ_DIGITS, digits->high_count, out);
}

void byz_kernels_weighted_sum(const int8_t *codes, size_t row, size_t block, size_t n, size_t blocks, const int64_t *weights,
                              uint32_t *scratch, double scale, int64_t *whole, double *scaled)
{
    const digits_t digits = digits_of_weights(weights, n, scratch);
    for (size_t k = 0; k < blocks; k++) {
        int64_t sums[BYZ_LANES];
        weigh_block(codes + k * block, row, n, &digits, sums);
        if (whole != NULL) {
            memcpy(whole + k * BYZ_LANES, sums, sizeof sums);
            continue;
        }
        for (size_t c = 0; c < BYZ_LANES; c++) {
            scaled[k * BYZ_LANES + c] = scale * (double)sums[c];
        }
    }
}

/* x to the nearest integer, halves to even, below 2^51: added to 1.5 * 2^52, a float has no room for fractions. */
static int64_t nearest(double x)
{
    const double magic = 0x1.8p52, shifted = x + magic;
    int64_t bits, zero;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&zero, &magic, sizeof zero);
    return bits - zero;
}

/* The digits of coordinates from .. to - 1, zeros in the rest of the width; returns the sum of their squares. */
static wide_t digits_of(const double *center, size_t from, size_t to, size_t width, double scale,
                        int8_t digits[BYZ_DIGITS][RUN])
{
    int64_t upper = 0, middle = 0, lower = 0; /* of 2048 products of 23 bits: below 2^58 */
    for (size_t first = 0; first < width; first += BYZ_LANES) {
        int64_t c[BYZ_LANES] = {0};
        for (size_t j = first > from ? first : from; j < smaller(first + BYZ_LANES, to); j++) {
            c[j - first] = nearest(center[j] * scale);
        }
        for (int l = 0; l < BYZ_DIGITS; l++) {
            for (size_t j = 0; j < BYZ_LANES; j++) {
                digits[l][first + j] = (int8_t)((((uint64_t)c[j] + 0x808080808080u) >> (8 * l) & 0xff) ^ 0x80);
            }
        }
        for (size_t j = 0; j < BYZ_LANES; j++) {
            const int32_t high = (int32_t)(c[j] >> HALF_BITS), low = (int32_t)(c[j] & ((1 << HALF_BITS) - 1));
            upper += (int64_t)high * high;
            middle += (int64_t)high * low;
            lower += (int64_t)low * low;
        }
    }
    return ((wide_t)upper << (2 * HALF_BITS)) + ((wide_t)(__int128)middle << (HALF_BITS + 1)) + (wide_t)lower;
}

/* The share of rows i .. i + 3 in the blocks after these, on its way while these are worked; in the order of memory, which in tiles
 * is not that of use. */
static void prefetch(const int8_t *next, size_t i, size_t blocks)
{
    for (size_t k = 0; k < BYZ_DOT_COLUMNS * blocks; k++) {
        __builtin_prefetch(next + (i * blocks + k) * BYZ_LANES, 0, 2);
    }
}

static void multiply(const int8_t *codes, size_t row, size_t block, size_t n, size_t blocks, int8_t digits[BYZ_DIGITS][RUN],
                     int64_t *products)
{
    const int8_t *a[BYZ_DOT_ROWS], *b[BYZ_DOT_COLUMNS];
    int32_t offsets[BYZ_DOT_ROWS], sums[BYZ_DOT_ROWS][BYZ_DOT_COLUMNS];
    for (int l = 0; l < BYZ_DIGITS; l++) {
        a[l] = digits[l];
        offsets[l] = byz_dot_offset(digits[l], BYZ_LANES, blocks);
    }
    for (size_t i = 0; i < n; i += BYZ_DOT_COLUMNS, products += BYZ_DIGITS * BYZ_DOT_COLUMNS) {
        for (size_t t = 0; t < BYZ_DOT_COLUMNS; t++) {
            b[t] = codes + smaller(i + t, n - 1) * row;
        }
        prefetch(codes + blocks * block, i, blocks);
        byz_dot(a, BYZ_LANES, b, block, blocks, sums);
        for (int l = 0; l < BYZ_DIGITS; l++) {
            for (int t = 0; t < BYZ_DOT_COLUMNS; t++) {
                products[l * BYZ_DOT_COLUMNS + t] += sums[l][t] - offsets[l];
            }
        }
    }
}

static size_t products_size(size_t n)
{
    return (n + BYZ_DOT_COLUMNS - 1) / BYZ_DOT_COLUMNS * BYZ_DOT_COLUMNS * BYZ_DIGITS * sizeof(int64_t);
}

void byz_kernels_center(const int8_t *codes, size_t row, size_t block, size_t n, size_t blocks, const double *center, size_t from,
                        size_t to, double scale, int64_t *products, uint64_t square[2])
{
    int8_t digits[BYZ_DIGITS][RUN];
    wide_t total = 0;
    memset(products, 0, products_size(n));
    for (size_t k = 0; k < blocks; k += BLOCKS) {
        const size_t count = smaller(BLOCKS, blocks - k), first = k * BYZ_LANES, width = count * BYZ_LANES;
        const size_t begin = from > first ? smaller(from - first, width) : 0, end = to > first ? smaller(to - first, width) : 0;
        total += digits_of(center + first, begin, end, width, scale, digits);
        multiply(codes + k * block, row, block, n, count, digits, products);
    }
    square[0] = (uint64_t)total;
    square[1] = (uint64_t)(total >> 64);
}

void byz_kernels_center_squares(const int64_t *products, size_t n, const int64_t *norms, size_t stride, const uint64_t square[2],
                                unsigned bits, double scale, double *out)
{
    const wide_t own = (wide_t)square[1] << 64 | square[0];
    for (size_t i = 0; i < n; i++) {
        const int64_t *digits = products + (i - i % BYZ_DOT_COLUMNS) * BYZ_DIGITS + i % BYZ_DOT_COLUMNS;
        wide_t product = 0; /* modulo 2^128, like all of this; what comes out is not negative */
        for (int l = BYZ_DIGITS - 1; l >= 0; l--) {
            product <<= 8;
            product += (wide_t)(__int128)digits[l * BYZ_DOT_COLUMNS];
        }
        const wide_t squared = ((wide_t)norms[i * stride] << (2 * bits)) - (product << (bits + 1)) + own;
        out[i] += scale * (double)squared;
    }
}
