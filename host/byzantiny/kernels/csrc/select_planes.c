/* Selection with AVX-512 BITALG, for cohorts whose tile fits in the L1 cache some four times: by planes of bits.
 *
 * Eight clients' codes of 64 columns become eight planes: bit i of byte c of plane b is bit b of client i's code of column c.
 * From the sign down, each plane splits a column's candidates, those whose higher bits are those of x_(k): a byte popcount
 * says how many have a 0, hence which half x_(k) is in. About 10 operations for 64 codes, 6 of them the transposition.
 *
 * Rejected: transposing the next tile meanwhile, so that reading the codes never pauses. The planes of two tiles are too much
 * for the L1 cache: written lines that leave it while codes stream in cost 14 cycles each (Zen 4: 2.5 times slower in all).
 */
#include "select.h"

#if defined(BYZ_PLANES)

#define ALWAYS static inline __attribute__((always_inline))
#define EVERY(byte) ((bits_t)BYZ_BYTES(byte))

/* Of 2 x 2 blocks, those off the diagonal change places: the bits of a outside the mask, and those of b inside it. */
#define EXCHANGE(a, b, shift, mask)                                          \
    do {                                                                     \
        const bits_t a_ = (a), b_ = (b);                                     \
        (a) = (a_ & EVERY(mask)) | ((bits_t)(b_ << (shift)) & ~EVERY(mask)); \
        (b) = ((bits_t)(a_ >> (shift)) & EVERY(mask)) | (b_ & ~EVERY(mask)); \
    } while (0)

/* Eight rows into eight planes: v[b] becomes plane b. */
ALWAYS void transpose(bits_t v[8])
{
    BYZ_UNROLL for (size_t k = 0; k < 4; k++) {
        EXCHANGE(v[k], v[k + 4], 4, 0x0f);
    }
    BYZ_UNROLL for (size_t k = 0; k < 8; k += 4) {
        EXCHANGE(v[k], v[k + 2], 2, 0x33);
        EXCHANGE(v[k + 1], v[k + 3], 2, 0x33);
    }
    BYZ_UNROLL for (size_t k = 0; k < 8; k += 2) {
        EXCHANGE(v[k], v[k + 1], 1, 0x55);
    }
}

ALWAYS bytes_t bits_set(bits_t v)
{
    return __builtin_elementwise_popcount((bytes_t)v);
}

ALWAYS bytes_t where(bytes_t mask, bytes_t yes, bytes_t no)
{
    return (yes & mask) | (no & ~mask);
}

/* Transposes all groups of eight rows, and counts by the two highest bits. The last group may begin with rows of the one before
 * it, which `last` leaves out. */
ALWAYS void slice(byz_planes_t *p, const int8_t *x, size_t n, const size_t groups, bits_t last)
{
    bytes_t negative = {0}, low_negative = {0}, low_positive = {0};
    for (size_t g = 0; g < groups; g++) {
        const size_t first = g + 1 < groups ? 8 * g : n - 8;
        const bits_t rows = g + 1 < groups ? EVERY(255) : last;
        bits_t v[8];
        BYZ_UNROLL for (size_t k = 0; k < 8; k++) {
            v[k] = (bits_t)BYZ_LOAD(x + (first + k) * BYZ_LANES);
        }
        transpose(v);
        negative += bits_set(v[7] & rows);
        low_negative += bits_set(v[7] & ~v[6] & rows);
        low_positive += bits_set(~(v[7] | v[6]) & rows);
        BYZ_UNROLL for (size_t k = 0; k < 8; k++) {
            p->plane[g][k] = v[k];
        }
    }
    p->negative = negative;
    p->low_negative = low_negative;
    p->low_positive = low_positive;
}

/* x_(rank), and which columns have x_(rank + 1) equal to it. The candidates stay in registers. */
ALWAYS void descend(const byz_planes_t *p, const size_t groups, size_t n, bits_t last, size_t rank, codes_t *value, bytes_t *same)
{
    bits_t candidates[BYZ_GROUPS_MOST];
    bytes_t k = BYZ_BYTES(rank);
    bytes_t upper = (bytes_t)(k >= p->negative); /* the two highest planes */
    const bits_t sign = ~(bits_t)upper;
    bits_t bits = (bits_t)upper & EVERY(0x80);
    k -= p->negative & upper;
    const bytes_t half = where(upper, BYZ_BYTES(n) - p->negative, p->negative);
    const bytes_t low = where(upper, p->low_positive, p->low_negative);
    upper = (bytes_t)(k >= low);
    bits |= (bits_t)upper & EVERY(0x40);
    k -= low & upper;
    bytes_t left = where(upper, half - low, low);
    bits_t wanted = (bits_t)upper;
    BYZ_UNROLL for (size_t g = 0; g < groups; g++) {
        candidates[g] = ~(p->plane[g][7] ^ sign) & (g + 1 < groups ? EVERY(255) : last);
    }
    for (size_t b = 6; b-- > 0;) {
        bytes_t even = {0}, odd = {0};
        BYZ_UNROLL for (size_t g = 0; g < groups; g++) {
            candidates[g] &= ~(p->plane[g][b + 1] ^ wanted);
            const bytes_t zeros = bits_set(candidates[g] & ~p->plane[g][b]);
            if (g % 2 == 0) {
                even += zeros;
            } else {
                odd += zeros;
            }
        }
        const bytes_t zeros = even + odd;
        upper = (bytes_t)(k >= zeros);
        k -= zeros & upper;
        left = where(upper, left - zeros, zeros);
        wanted = (bits_t)upper;
        bits |= wanted & EVERY(1 << b);
    }
    *value = (codes_t)(bits ^ EVERY(0x80));
    *same = (bytes_t)(k + 1 < left);
}

ALWAYS void find(byz_planes_t *p, const int8_t *x, size_t n, const size_t groups, const size_t rank[2], codes_t value[2],
                 bytes_t *same)
{
    const bits_t last = EVERY(255 << (8 * groups - n));
    slice(p, x, n, groups, last);
    descend(p, groups, n, last, rank[0], &value[0], same);
    if (rank[1] != rank[0]) {
        bytes_t not_asked_for;
        descend(p, groups, n, last, rank[1], &value[1], &not_asked_for);
    }
}

#define EACH(DO) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15) DO(16) DO(17) DO(18)
#define FIND(groups)                                \
    case groups:                                    \
        find(p, x, n, groups, rank, value, same);   \
        break;

static void find_any(byz_planes_t *p, const int8_t *x, size_t n, const size_t rank[2], codes_t value[2], bytes_t *same)
{
    switch ((n + 7) / 8) {
        EACH(FIND)
    }
}

void byz_plane_select(byz_planes_t *p, const int8_t *x, size_t n, size_t rank, codes_t *lower, codes_t *upper)
{
    const size_t ranks[2] = {rank, rank};
    codes_t value[2], above;
    bytes_t same;
    find_any(p, x, n, ranks, value, &same);
    *lower = value[0];
    if (upper != NULL) {
        byz_next_above(x, n, lower, &above);
        *upper = BYZ_CHOOSE((codes_t)same, *lower, above);
    }
}

void byz_plane_select_both(byz_planes_t *p, const int8_t *x, size_t n, size_t first, size_t last, codes_t *low, codes_t *high)
{
    const size_t ranks[2] = {first, last};
    codes_t value[2];
    bytes_t same;
    find_any(p, x, n, ranks, value, &same);
    *low = value[0];
    *high = value[1];
}

#endif
