/* Order statistics of a tile's columns: by a network, by planes, by tables or bit-serial, whichever is fastest.
 *
 * Bit-serial: the k-th smallest x_(k) is the largest t with #{x < t} <= k, so its bits follow from the most significant one
 * down, one pass of compare and count each, over 64 coordinates of all clients. x_(k + 1) takes a ninth pass: it is x_(k)
 * again if more than k + 1 values are <= x_(k), else the least value above it.
 */
#include "select.h"

/* A byte counter holds 255 rows; then it is added to the 16-bit total. */
#define COUNTED 255

typedef struct {
    codes_t value;
    counts_t not_above; /* how many are <= value; n where value is 127 */
} found_t;

BYZ_NO_MASKS static counts_t count_below(const int8_t *x, size_t n, codes_t t)
{
    counts_t total = {0};
    for (size_t i = 0; i < n;) {
        const size_t stop = n - i > COUNTED ? i + COUNTED : n;
        bytes_t even = {0}, odd = {0}; /* two chains of additions; true is -1 */
        for (; i + 1 < stop; i += 2) {
            even -= (bytes_t)(BYZ_LOAD(x + i * BYZ_LANES) < t);
            odd -= (bytes_t)(BYZ_LOAD(x + (i + 1) * BYZ_LANES) < t);
        }
        if (i < stop) {
            even -= (bytes_t)(BYZ_LOAD(x + i * BYZ_LANES) < t);
            i++;
        }
        total += __builtin_convertvector(even + odd, counts_t);
    }
    return total;
}

BYZ_NO_MASKS static void bit_serial(const int8_t *x, size_t n, size_t rank, found_t *found)
{
    const counts_t k = (counts_t){0} + (uint16_t)rank;
    counts_t not_above = (counts_t){0} + (uint16_t)n;
    codes_t t = (codes_t)BYZ_BYTES(128);
    for (int bit = 128; bit != 0; bit >>= 1) {
        const codes_t higher = (codes_t)((bytes_t)t + (uint8_t)bit); /* modulo 256: -128 + 128 = 0 */
        const counts_t below = count_below(x, n, higher), fits = (counts_t)(below <= k);
        not_above = (not_above & fits) | (below & ~fits); /* of the last that does not fit, which ends as value + 1 */
        t = BYZ_CHOOSE(__builtin_convertvector((shorts_t)fits, codes_t), higher, t);
    }
    found->value = t;
    found->not_above = not_above;
}

BYZ_NO_MASKS static void serial_select(const int8_t *x, size_t n, size_t rank, codes_t *lower, codes_t *upper)
{
    found_t found;
    bit_serial(x, n, rank, &found);
    *lower = found.value;
    if (upper != NULL) {
        const counts_t more = (counts_t)(found.not_above > (counts_t){0} + (uint16_t)(rank + 1));
        const codes_t same = __builtin_convertvector((shorts_t)more, codes_t);
        codes_t next;
        byz_next_above(x, n, &found.value, &next);
        *upper = BYZ_CHOOSE(same, found.value, next);
    }
}

void byz_next_above(const int8_t *x, size_t n, const codes_t *t, codes_t *next)
{
    /* Less t + 1, modulo 256, the values above t are the least. */
    const bytes_t first = (bytes_t)*t + 1;
    bytes_t least[4] = {BYZ_BYTES(255), BYZ_BYTES(255), BYZ_BYTES(255), BYZ_BYTES(255)};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        BYZ_UNROLL for (size_t k = 0; k < 4; k++) {
            least[k] = BYZ_MIN((bytes_t)BYZ_LOAD(x + (i + k) * BYZ_LANES) - first, least[k]);
        }
    }
    for (; i < n; i++) {
        least[0] = BYZ_MIN((bytes_t)BYZ_LOAD(x + i * BYZ_LANES) - first, least[0]);
    }
    *next = (codes_t)(BYZ_MIN(BYZ_MIN(least[0], least[1]), BYZ_MIN(least[2], least[3])) + first);
}

#if defined(BYZ_TABLES)
#define BY_TABLES(n) ((n) > BYZ_PLANES_MOST)
#else
#define BY_TABLES(n) 0
#define byz_table_begin(plan, first, last)
#define byz_table_select(x, n, plan, lower, upper)
#define byz_table_select_both(x, n, plan, low, high)
#endif
#if defined(BYZ_PLANES)
#define BY_PLANES(n) ((n) <= BYZ_PLANES_MOST)
#else
#define BY_PLANES(n) 0
#define byz_plane_select(planes, x, n, rank, lower, upper)
#define byz_plane_select_both(planes, x, n, first, last, low, high)
#endif

void byz_begin(byz_search_t *search, size_t n, size_t first, size_t last)
{
    search->n = n;
    search->first = first;
    search->last = last;
    if (BY_TABLES(n)) {
        byz_table_begin(&search->plan, first, last);
    }
}

void byz_select(const int8_t *x, byz_search_t *search, codes_t *lower, codes_t *upper)
{
    const size_t n = search->n;
    if (n <= BYZ_RANKED_MOST) {
        byz_rank_rows(x, n, search->ranked);
        *lower = BYZ_LOAD(search->ranked + search->first * BYZ_LANES);
        if (upper != NULL) {
            *upper = BYZ_LOAD(search->ranked + (search->first + 1) * BYZ_LANES);
        }
    } else if (BY_PLANES(n)) {
        byz_plane_select(&search->planes, x, n, search->first, lower, upper);
    } else if (BY_TABLES(n)) {
        byz_table_select(x, n, &search->plan, lower, upper);
    } else {
        serial_select(x, n, search->first, lower, upper);
    }
}

void byz_select_both(const int8_t *x, byz_search_t *search, codes_t *low, codes_t *high)
{
    const size_t n = search->n;
    if (search->first == search->last || n <= BYZ_RANKED_MOST) {
        byz_select(x, search, low, NULL);
        *high = search->first == search->last ? *low : BYZ_LOAD(search->ranked + search->last * BYZ_LANES);
    } else if (BY_PLANES(n)) {
        byz_plane_select_both(&search->planes, x, n, search->first, search->last, low, high);
    } else if (BY_TABLES(n)) {
        byz_table_select_both(x, n, &search->plan, low, high);
    } else {
        serial_select(x, n, search->first, low, NULL);
        serial_select(x, n, search->last, high, NULL);
    }
}
