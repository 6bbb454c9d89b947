/* Order statistics of the 64 columns of a tile; not exported. */
#ifndef BYZ_KERNELS_SELECT_H
#define BYZ_KERNELS_SELECT_H

#include "lanes.h"
#include "network.h"
#include "tally.h"


#if defined(__AVX512BITALG__) && defined(__clang__)
#define BYZ_PLANES 1
#define BYZ_PLANES_MOST 144
#define BYZ_GROUPS_MOST (BYZ_PLANES_MOST / 8)

/* The planes of a tile's groups of eight rows, and how many of its codes have the highest bits 1, 10 and 00. */
typedef struct {
    bytes_t negative, low_negative, low_positive;
    bits_t plane[BYZ_GROUPS_MOST][8];
} byz_planes_t;

/* As byz_select and byz_select_both, for 8 <= n <= BYZ_PLANES_MOST; p need not be set. */
void byz_plane_select(byz_planes_t *p, const int8_t *x, size_t n, size_t rank, codes_t *lower, codes_t *upper);
void byz_plane_select_both(byz_planes_t *p, const int8_t *x, size_t n, size_t first, size_t last, codes_t *low,
                           codes_t *high);
#endif

#if defined(BYZ_TABLES)
/* Eight ascending thresholds, multiples of 4: which of them a code is below, by code / 4; and of the cell above j of them, where
 * it begins, and whether it is wider than the search that follows can divide. */
typedef struct {
    uint8_t below[BYZ_LANES], start[BYZ_LANES], wide[BYZ_LANES];
} byz_ladder_t;

/* What the tiles before taught: where their order statistics lay. A wrong guess costs a pass or two, never a result. */
typedef struct {
    enum { BYZ_ANYWHERE, BYZ_NEAR, BYZ_NEARER } guess;
    byz_ladder_t ladder; /* of the first two */
    int first;           /* of the last: the lowest of the six codes that are told apart */
    unsigned patience;   /* tiles until the next look whether a better guess would hold */
    byz_tally_t rank[2]; /* the ranks looked for */
} byz_plan_t;

/* As byz_begin, byz_select and byz_select_both. */
void byz_table_begin(byz_plan_t *plan, size_t first, size_t last);
void byz_table_select(const int8_t *x, size_t n, byz_plan_t *plan, codes_t *lower, codes_t *upper);
void byz_table_select_both(const int8_t *x, size_t n, byz_plan_t *plan, codes_t *low, codes_t *high);
#endif

/* Two ranks, first <= last, to be selected in many tiles of n <= 65535 rows. */
typedef struct {
    size_t n, first, last;
    int8_t ranked[BYZ_RANKED_MOST * BYZ_LANES];
#if defined(BYZ_TABLES)
    byz_plan_t plan;
#endif
#if defined(BYZ_PLANES)
    byz_planes_t planes;
#endif
} byz_search_t;

void byz_begin(byz_search_t *search, size_t n, size_t first, size_t last);

/* lower[c] = x_(first); and upper[c] = x_(first + 1), unless it is NULL. */
void byz_select(const int8_t *x, byz_search_t *search, codes_t *lower, codes_t *upper);

/* low[c] = x_(first) and high[c] = x_(last). */
void byz_select_both(const int8_t *x, byz_search_t *search, codes_t *low, codes_t *high);

/* ranked[i * BYZ_LANES + c] = x_(i) of column c, for n <= BYZ_RANKED_MOST rows. There must be room for that many. */
void byz_rank_rows(const int8_t *x, size_t n, int8_t *ranked);

/* next[c] = the least value above t[c]; anything where there is none. */
void byz_next_above(const int8_t *x, size_t n, const codes_t *t, codes_t *next);

#endif
