/* Codes into the table of counts, and tables into one.
 *
 * A code is one increment, and an increment is one store, of which a core does about one a cycle: that is the bound. To
 * stay at it, 64 coordinates of up to 255 rows are counted in bytes (16 KB, in the L1 cache), in groups of eight so that
 * a bin's address is a scaled index, and are then added to the table, which is fetched in the meantime.
 *
 * Measured (d = 50,000, Zen 4, us an update): 16-bit bins of 64 coordinates directly 36, with the table fetched early 24,
 * bytes in rows of 64 coordinates 28, this 18; 32-bit bins by the same way 21, directly 51. AVX-512 scatters are slower
 * than stores, and bit-sliced counters would need all 256 thresholds.
 */
#include "counts.h"

#include <string.h>

#define GROUP_BINS (BYZ_BINS * BYZ_COUNT_LANES)
#define BLOCK_BINS (BYZ_BINS * BYZ_LANES)
#define RUN 255   /* rows that a byte counts */
#define STEP 64   /* bins added at a time */
#define LINE 32   /* bins of a cache line */

/* The place of the k-th code of eight that were read at once. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SHIFT(k) (56 - 8 * (k))
#else
#define SHIFT(k) (8 * (k))
#endif

#if defined(__GNUC__) || defined(__clang__)
#define BYZ_NO_INLINE __attribute__((noinline))
#else
#define BYZ_NO_INLINE
#endif

typedef uint8_t bytes_t __attribute__((vector_size(STEP)));
typedef uint16_t bins_t __attribute__((vector_size(2 * STEP)));

/* Where carries go: all are counted, those for which there is room are kept. */
typedef struct {
    int64_t *out;
    size_t room, found;
} carries_t;

static void note(carries_t *carries, size_t bin)
{
    if (carries->found < carries->room) {
        carries->out[carries->found] = (int64_t)bin;
    }
    carries->found++;
}

/* table += more; true in the lanes that passed 2^16: they are less now than what was added. */
static inline bins_t add_step(uint16_t *table, bins_t more)
{
    bins_t bins;
    memcpy(&bins, table, sizeof bins);
    bins += more;
    memcpy(table, &bins, sizeof bins);
    return (bins_t)(bins < more);
}

static inline int any_lane(bins_t lanes)
{
    uint64_t words[sizeof lanes / sizeof(uint64_t)], seen = 0;
    memcpy(words, &lanes, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        seen |= words[i];
    }
    return seen != 0;
}

static inline void count_eight(uint8_t *group, const int8_t *codes)
{
    uint64_t eight;
    memcpy(&eight, codes, sizeof eight);
    eight ^= UINT64_C(0x8080808080808080); /* code + 128 */
    for (size_t k = 0; k < BYZ_COUNT_LANES; k++) {
        group[((eight >> SHIFT(k)) & 255) * BYZ_COUNT_LANES + k]++;
    }
}

/* Counts `rows` <= 255 rows of 64 codes, and fetches what is wanted next: the block's bins, and each row's next codes.
 *
 * Not inlined, and the groups not in a loop: so the compiler has constant offsets from one register, and an increment is
 * one instruction; else it is three, and the whole 5 us an update slower. */
BYZ_NO_INLINE static void count_run(uint8_t *bytes, const int8_t *codes, size_t rows, size_t stride, size_t next,
                                    const uint16_t *bins)
{
    for (size_t i = 0; i < rows; i++) {
        const int8_t *x = codes + i * stride;
        __builtin_prefetch(x + next);
        __builtin_prefetch(bins + i * 2 * LINE, 1);
        __builtin_prefetch(bins + (i * 2 + 1) * LINE, 1);
        count_eight(bytes, x);
        count_eight(bytes + GROUP_BINS, x + 8);
        count_eight(bytes + 2 * GROUP_BINS, x + 16);
        count_eight(bytes + 3 * GROUP_BINS, x + 24);
        count_eight(bytes + 4 * GROUP_BINS, x + 32);
        count_eight(bytes + 5 * GROUP_BINS, x + 40);
        count_eight(bytes + 6 * GROUP_BINS, x + 48);
        count_eight(bytes + 7 * GROUP_BINS, x + 56);
    }
}

/* Adds a block's bytes to its bins; first: the place of bins[0] in the table. */
static inline void add_bytes(uint16_t *bins, const uint8_t *bytes, size_t first, carries_t *carries)
{
    bins_t passed = {0};
    for (size_t c = 0; c < BLOCK_BINS; c += STEP) {
        bytes_t counted;
        memcpy(&counted, bytes + c, sizeof counted);
        passed |= add_step(bins + c, __builtin_convertvector(counted, bins_t));
    }
    for (size_t c = 0; any_lane(passed) && c < BLOCK_BINS; c++) {
        if (bins[c] < bytes[c]) {
            note(carries, first + c);
        }
    }
}

size_t byz_kernels_counts_fold(uint16_t *table, size_t blocks, const int8_t *codes, size_t rows, size_t row_stride,
                               size_t block_stride, int64_t *carries, size_t room)
{
    carries_t kept = {carries, room, 0};
    uint8_t bytes[BLOCK_BINS];
    const size_t runs = (rows + RUN - 1) / RUN;
    for (size_t b = 0; b < blocks; b++) {
        uint16_t *bins = table + b * BLOCK_BINS;
        const int8_t *x = codes + b * block_stride;
        const size_t next = b + 1 < blocks ? block_stride : 0;
        for (size_t r = 0; r < runs; r++) {
            const size_t first = rows * r / runs, stop = rows * (r + 1) / runs;
            memset(bytes, 0, sizeof bytes);
            count_run(bytes, x + first * row_stride, stop - first, row_stride, next, bins);
            add_bytes(bins, bytes, b * BLOCK_BINS, &kept);
        }
    }
    return kept.found;
}

size_t byz_kernels_counts_add(uint16_t *table, const uint16_t *other, size_t groups, int64_t *carries, size_t room)
{
    carries_t kept = {carries, room, 0};
    for (size_t g = 0; g < groups; g++) {
        const size_t first = g * GROUP_BINS;
        bins_t passed = {0};
        for (size_t c = first; c < first + GROUP_BINS; c += STEP) {
            bins_t more;
            memcpy(&more, other + c, sizeof more);
            passed |= add_step(table + c, more);
        }
        for (size_t c = first; any_lane(passed) && c < first + GROUP_BINS; c++) {
            if (table[c] < other[c]) {
                note(&kept, c);
            }
        }
    }
    return kept.found;
}
