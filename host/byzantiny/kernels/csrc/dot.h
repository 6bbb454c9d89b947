/* The dot product of int8 codes: the one file with intrinsics, because compilers do not find these instructions by themselves.
 *
 * BYZ_DOT_ROWS x BYZ_DOT_COLUMNS rows meet at a time, so that their sums stay in registers and each row that is loaded is used
 * several times. Three forms, chosen by the variant: VNNI (four products of bytes an instruction and lane), pairs of 16-bit
 * products (AVX2, SSE4.1), and plain loops, which every other compiler vectorises as it can.
 *
 * VNNI multiplies unsigned by signed bytes, so the codes on one side are offset: sum a (b + 128) = sum a b + 128 sum a, and
 * `byz_dot_offset` is that last sum.
 *
 * Exact: the codes may be any int8. A lane adds 4 * 255 * 128 a block at most, and all sixteen together 16 * 130,560 =
 * 2,088,960; so BYZ_DOT_BLOCKS = 32 blocks stay below 2^26.1. Pairs: 64 * 2^14 = 2^20 a block, below 2^25.
 */
#ifndef BYZ_KERNELS_DOT_H
#define BYZ_KERNELS_DOT_H

#include "byz_kernels.h"

#include <string.h>

#define BYZ_DOT_ROWS 6
#define BYZ_DOT_COLUMNS 4
#define BYZ_DOT_BLOCKS 32 /* 2 KB of each row: six and four of them stay in the L1 cache */

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#include <immintrin.h>
#define BYZ_DOT_VNNI 1
#elif defined(__SSE4_1__)
#include <immintrin.h>
#endif

#if defined(BYZ_DOT_VNNI)

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

#else

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
#else
#define BYZ_PAIRS 8
typedef __m128i byz_pairs_t;
#define byz_widen(p) _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
#define byz_products(x, y) _mm_madd_epi16(x, y)
#define byz_add(x, y) _mm_add_epi32(x, y)
#define byz_none() _mm_setzero_si128()
#endif
#endif

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

#endif
#endif
#endif
