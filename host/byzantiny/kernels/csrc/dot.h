/* The dot product of int8 codes: the one file with intrinsics, because compilers do not find these instructions by themselves.
 *
 * BYZ_DOT_ROWS x BYZ_DOT_COLUMNS rows meet at a time, so that their sums stay in registers and each row that is loaded is used
 * several times. Three forms, chosen by the variant: VNNI (four products of bytes an instruction and lane), pairs of 16-bit
 * products (AVX2, SSE4.1), and plain loops, which every other compiler vectorises as it can.
 *
 * VNNI multiplies unsigned by signed bytes, so the codes on one side are offset: sum a (b + 128) = sum a b + 128 sum a, and
 * `byz_dot_offset` is that last sum.
 *
 * `byz_weigh` is the product the other way: 64 columns of the rows, each row times up to BYZ_DIGITS bytes (the digits of its
 * weight). The bytes of BYZ_WEIGHED rows are brought side by side, so that one instruction adds their products.
 *
 * Exact: the codes may be any int8. A lane adds 4 * 255 * 128 a block at most, and all sixteen together 16 * 130,560 =
 * 2,088,960; so BYZ_DOT_BLOCKS = 32 blocks stay below 2^26.1. Pairs: 64 * 2^14 = 2^20 a block, below 2^25.
 * A column of n codes times digits is at most 255 * 128 n: BYZ_MOST_ROWS = 65,535 stay below 2^31.
 */
#ifndef BYZ_KERNELS_DOT_H
#define BYZ_KERNELS_DOT_H

#include "byz_kernels.h"

#include <string.h>

#define BYZ_DOT_ROWS 6
#define BYZ_DOT_COLUMNS 4
#define BYZ_DIGITS 6
#define BYZ_MOST_ROWS 65535
#define BYZ_DOT_BLOCKS 32 /* 2 KB of each row: six and four of them stay in the L1 cache */

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#include <immintrin.h>
#define BYZ_DOT_VNNI 1
#elif defined(__SSE4_1__)
#include <immintrin.h>
#endif

#if defined(BYZ_DOT_VNNI)

#define BYZ_WEIGHED 4 /* rows whose digits share a word: a byte each */

static inline __m512i byz_codes(const int8_t *p)
{
    return _mm512_loadu_si512((const void *)p);
}

/* The sums of four vectors' lanes, in order. */
static inline __m128i byz_fold(__m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

#define BYZ_DOT_ROW(i)                                              \
    {                                                               \
        const __m512i x = byz_codes(a[i] + k * a_step);             \
        sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], y0, x);        \
        sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], y1, x);        \
        sums[i][2] = _mm512_dpbusd_epi32(sums[i][2], y2, x);        \
        sums[i][3] = _mm512_dpbusd_epi32(sums[i][3], y3, x);        \
    }

static inline void byz_dot(const int8_t *const a[BYZ_DOT_ROWS], size_t a_step, const int8_t *const b[BYZ_DOT_COLUMNS],
                           size_t b_step, size_t blocks, int32_t out[BYZ_DOT_ROWS][BYZ_DOT_COLUMNS])
{
    const __m512i offset = _mm512_set1_epi8(-128); /* as a bit pattern: x ^ 0x80 is x + 128, unsigned */
    __m512i sums[BYZ_DOT_ROWS][BYZ_DOT_COLUMNS];
    for (int i = 0; i < BYZ_DOT_ROWS; i++) {
        for (int j = 0; j < BYZ_DOT_COLUMNS; j++) {
            sums[i][j] = _mm512_setzero_si512();
        }
    }
    for (size_t k = 0; k < blocks; k++) {
        const __m512i y0 = _mm512_xor_si512(byz_codes(b[0] + k * b_step), offset);
        const __m512i y1 = _mm512_xor_si512(byz_codes(b[1] + k * b_step), offset);
        const __m512i y2 = _mm512_xor_si512(byz_codes(b[2] + k * b_step), offset);
        const __m512i y3 = _mm512_xor_si512(byz_codes(b[3] + k * b_step), offset);
        BYZ_DOT_ROW(0)
        BYZ_DOT_ROW(1)
        BYZ_DOT_ROW(2)
        BYZ_DOT_ROW(3)
        BYZ_DOT_ROW(4)
        BYZ_DOT_ROW(5)
    }
    for (int i = 0; i < BYZ_DOT_ROWS; i++) {
        _mm_storeu_si128((__m128i *)out[i], byz_fold(sums[i][0], sums[i][1], sums[i][2], sums[i][3]));
    }
}

static inline int32_t byz_dot_offset(const int8_t *a, size_t a_step, size_t blocks)
{
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512();
    for (size_t k = 0; k < blocks; k++) {
        sum = _mm512_dpbusd_epi32(sum, ones, byz_codes(a + k * a_step));
    }
    return 128 * _mm512_reduce_add_epi32(sum);
}

/* Four rows' codes side by side: vector p holds columns 16 q + 4 p .. + 3 in its q-th quarter, four bytes each. */
static inline void byz_beside(const int8_t *const rows[BYZ_WEIGHED], __m512i out[4])
{
    const __m512i x0 = byz_codes(rows[0]), x1 = byz_codes(rows[1]), x2 = byz_codes(rows[2]), x3 = byz_codes(rows[3]);
    const __m512i low01 = _mm512_unpacklo_epi8(x0, x1), high01 = _mm512_unpackhi_epi8(x0, x1);
    const __m512i low23 = _mm512_unpacklo_epi8(x2, x3), high23 = _mm512_unpackhi_epi8(x2, x3);
    out[0] = _mm512_unpacklo_epi16(low01, low23);
    out[1] = _mm512_unpackhi_epi16(low01, low23);
    out[2] = _mm512_unpacklo_epi16(high01, high23);
    out[3] = _mm512_unpackhi_epi16(high01, high23);
}

/* Quarters back into the order of the columns. */
static inline void byz_put_columns(const __m512i v[4], int32_t *out)
{
    const __m512i front01 = _mm512_shuffle_i32x4(v[0], v[1], 0x44), front23 = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
    const __m512i back01 = _mm512_shuffle_i32x4(v[0], v[1], 0xee), back23 = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
    _mm512_storeu_si512((void *)out, _mm512_shuffle_i32x4(front01, front23, 0x88));
    _mm512_storeu_si512((void *)(out + 16), _mm512_shuffle_i32x4(front01, front23, 0xdd));
    _mm512_storeu_si512((void *)(out + 32), _mm512_shuffle_i32x4(back01, back23, 0x88));
    _mm512_storeu_si512((void *)(out + 48), _mm512_shuffle_i32x4(back01, back23, 0xdd));
}

static inline __attribute__((always_inline)) void byz_weigh_four(const int8_t *const rows[BYZ_WEIGHED], const uint32_t *digits,
                                                                 int count, __m512i sums[BYZ_DIGITS][4])
{
    __m512i x[4];
    byz_beside(rows, x);
    for (int l = 0; l < count; l++) {
        const __m512i w = _mm512_set1_epi32((int)digits[l]);
        for (int p = 0; p < 4; p++) {
            sums[l][p] = _mm512_dpbusd_epi32(sums[l][p], w, x[p]);
        }
    }
}

static inline __attribute__((always_inline)) void byz_weigh(const int8_t *codes, size_t row, size_t n, const uint32_t *digits,
                                                            int count, int32_t out[BYZ_DIGITS][BYZ_LANES])
{
    __m512i sums[BYZ_DIGITS][4];
    for (int l = 0; l < count; l++) {
        for (int p = 0; p < 4; p++) {
            sums[l][p] = _mm512_setzero_si512();
        }
    }
    const int8_t *x = codes;
    for (size_t i = 0; i + BYZ_WEIGHED <= n; i += BYZ_WEIGHED, x += BYZ_WEIGHED * row, digits += BYZ_DIGITS) {
        const int8_t *const rows[BYZ_WEIGHED] = {x, x + row, x + 2 * row, x + 3 * row};
        byz_weigh_four(rows, digits, count, sums);
    }
    if (n % BYZ_WEIGHED != 0) { /* rows beyond n: the last again, with digits of 0 */
        const size_t left = n % BYZ_WEIGHED - 1;
        const int8_t *const rows[BYZ_WEIGHED] = {x, x + (left > 0 ? 1 : 0) * row, x + left * row, x + left * row};
        byz_weigh_four(rows, digits, count, sums);
    }
    for (int l = 0; l < count; l++) {
        byz_put_columns(sums[l], out[l]);
    }
}

#else

#define BYZ_WEIGHED 2 /* rows whose digits share a word: 16 bits each */

static inline int32_t byz_dot_offset(const int8_t *a, size_t a_step, size_t blocks)
{
    (void)a, (void)a_step, (void)blocks;
    return 0;
}

#if defined(__SSE4_1__)

#if defined(__AVX512BW__)
#define BYZ_PAIRS 32
#define BYZ_PART_ROWS 6
#define BYZ_PART_COLUMNS 4 /* 32 registers hold all the sums */
typedef __m512i byz_pairs_t;
#define byz_widen(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define byz_products(x, y) _mm512_madd_epi16(x, y)
#define byz_add(x, y) _mm512_add_epi32(x, y)
#define byz_none() _mm512_setzero_si512()
#define byz_repeat(w) _mm512_set1_epi32((int)(w))
#else
#define BYZ_PART_ROWS 3
#define BYZ_PART_COLUMNS 2 /* six sums, three widened rows and a product fit 16 registers */
#if defined(__AVX2__)
#define BYZ_PAIRS 16
typedef __m256i byz_pairs_t;
#define byz_widen(p) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define byz_products(x, y) _mm256_madd_epi16(x, y)
#define byz_add(x, y) _mm256_add_epi32(x, y)
#define byz_none() _mm256_setzero_si256()
#define byz_repeat(w) _mm256_set1_epi32((int)(w))
#else
#define BYZ_PAIRS 8
typedef __m128i byz_pairs_t;
#define byz_widen(p) _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
#define byz_products(x, y) _mm_madd_epi16(x, y)
#define byz_add(x, y) _mm_add_epi32(x, y)
#define byz_none() _mm_setzero_si128()
#define byz_repeat(w) _mm_set1_epi32((int)(w))
#endif
#endif

/* Sixteen columns of two rows side by side, as 16-bit pairs: in order, whatever the width of the vectors. */
static inline void byz_beside(const int8_t *even, const int8_t *odd, byz_pairs_t out[32 / BYZ_PAIRS])
{
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)even), y = _mm_loadu_si128((const __m128i *)(const void *)odd);
    int8_t pairs[32];
    _mm_storeu_si128((__m128i *)(void *)pairs, _mm_unpacklo_epi8(x, y));
    _mm_storeu_si128((__m128i *)(void *)(pairs + 16), _mm_unpackhi_epi8(x, y));
    for (int p = 0; p < 32 / BYZ_PAIRS; p++) {
        out[p] = byz_widen(pairs + p * BYZ_PAIRS);
    }
}

static inline __attribute__((always_inline)) void byz_weigh_part(const int8_t *codes, size_t row, size_t n,
                                                                 const uint32_t *digits, int count, size_t column,
                                                                 int32_t out[BYZ_DIGITS][BYZ_LANES])
{
    byz_pairs_t sums[BYZ_DIGITS][32 / BYZ_PAIRS];
    for (int l = 0; l < count; l++) {
        for (int p = 0; p < 32 / BYZ_PAIRS; p++) {
            sums[l][p] = byz_none();
        }
    }
    for (size_t i = 0; i < n; i += BYZ_WEIGHED, digits += BYZ_DIGITS) {
        byz_pairs_t x[32 / BYZ_PAIRS];
        byz_beside(codes + i * row + column, codes + (i + 1 < n ? i + 1 : i) * row + column, x);
        for (int l = 0; l < count; l++) {
            const byz_pairs_t w = byz_repeat(digits[l]);
            for (int p = 0; p < 32 / BYZ_PAIRS; p++) {
                sums[l][p] = byz_add(sums[l][p], byz_products(x[p], w));
            }
        }
    }
    for (int l = 0; l < count; l++) {
        memcpy(out[l] + column, sums[l], sizeof sums[l]);
    }
}

static inline __attribute__((always_inline)) void byz_weigh(const int8_t *codes, size_t row, size_t n, const uint32_t *digits,
                                                            int count, int32_t out[BYZ_DIGITS][BYZ_LANES])
{
    for (size_t column = 0; column < BYZ_LANES; column += 16) {
        byz_weigh_part(codes, row, n, digits, count, column, out);
    }
}

static inline int32_t byz_total(byz_pairs_t v)
{
    int32_t lanes[sizeof v / 4], sum = 0;
    memcpy(lanes, &v, sizeof v);
    for (size_t i = 0; i < sizeof v / 4; i++) {
        sum += lanes[i];
    }
    return sum;
}

static inline void byz_dot_part(const int8_t *const *a, size_t a_step, const int8_t *const *b, size_t b_step,
                                size_t blocks, int32_t out[BYZ_DOT_ROWS][BYZ_DOT_COLUMNS], int row, int column)
{
    byz_pairs_t sums[BYZ_PART_ROWS][BYZ_PART_COLUMNS];
    for (int i = 0; i < BYZ_PART_ROWS; i++) {
        for (int j = 0; j < BYZ_PART_COLUMNS; j++) {
            sums[i][j] = byz_none();
        }
    }
    for (size_t k = 0; k < blocks; k++) {
        for (size_t c = 0; c < BYZ_LANES; c += BYZ_PAIRS) {
            byz_pairs_t y[BYZ_PART_COLUMNS];
            for (int j = 0; j < BYZ_PART_COLUMNS; j++) {
                y[j] = byz_widen(b[column + j] + k * b_step + c);
            }
            for (int i = 0; i < BYZ_PART_ROWS; i++) {
                const byz_pairs_t x = byz_widen(a[row + i] + k * a_step + c);
                for (int j = 0; j < BYZ_PART_COLUMNS; j++) {
                    sums[i][j] = byz_add(sums[i][j], byz_products(x, y[j]));
                }
            }
        }
    }
    for (int i = 0; i < BYZ_PART_ROWS; i++) {
        for (int j = 0; j < BYZ_PART_COLUMNS; j++) {
            out[row + i][column + j] = byz_total(sums[i][j]);
        }
    }
}

static inline void byz_dot(const int8_t *const a[BYZ_DOT_ROWS], size_t a_step, const int8_t *const b[BYZ_DOT_COLUMNS],
                           size_t b_step, size_t blocks, int32_t out[BYZ_DOT_ROWS][BYZ_DOT_COLUMNS])
{
    for (int i = 0; i < BYZ_DOT_ROWS; i += BYZ_PART_ROWS) {
        for (int j = 0; j < BYZ_DOT_COLUMNS; j += BYZ_PART_COLUMNS) {
            byz_dot_part(a, a_step, b, b_step, blocks, out, i, j);
        }
    }
}

#else

static inline void byz_dot(const int8_t *const a[BYZ_DOT_ROWS], size_t a_step, const int8_t *const b[BYZ_DOT_COLUMNS],
                           size_t b_step, size_t blocks, int32_t out[BYZ_DOT_ROWS][BYZ_DOT_COLUMNS])
{
    for (int i = 0; i < BYZ_DOT_ROWS; i++) {
        for (int j = 0; j < BYZ_DOT_COLUMNS; j++) {
            int32_t sum = 0;
            for (size_t k = 0; k < blocks; k++) {
                for (size_t c = 0; c < BYZ_LANES; c++) {
                    sum += (int32_t)a[i][k * a_step + c] * b[j][k * b_step + c];
                }
            }
            out[i][j] = sum;
        }
    }
}

static inline void byz_weigh(const int8_t *codes, size_t row, size_t n, const uint32_t *digits, int count,
                             int32_t out[BYZ_DIGITS][BYZ_LANES])
{
    memset(out, 0, (size_t)count * sizeof out[0]);
    for (size_t i = 0; i < n; i++) {
        for (int l = 0; l < count; l++) {
            const int32_t w = (int32_t)(digits[i / 2 * BYZ_DIGITS + (size_t)l] >> (i % 2 * 16) & 0xff);
            for (size_t c = 0; c < BYZ_LANES; c++) {
                out[l][c] += w * codes[i * row + c];
            }
        }
    }
}

#endif
#endif
#endif
