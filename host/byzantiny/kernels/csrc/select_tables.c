/* Selection with AVX-512 VBMI: each pass counts below eight thresholds and so divides a column's cell by nine.
 *
 * Wherever the order statistic is, three passes find it: thresholds 32 apart, then 4, then 1. Two do where the columns of
 * the tile before had theirs within 40 codes of each other (thresholds 8 apart around them, then 1), one where within 4.
 * That guess is checked, so it is free to be wrong. Narrow codes therefore cost less: their statistics are closer together.
 *
 * Rejected, measured at n = 100 and 1000: bit planes (transpose 8 clients x 8 bits, then a byte popcount a plane) take about as many
 * operations, but write and read them: as fast at 100, half as fast at 1000, where the planes no longer fit in the L1 cache
 * while the codes stream in.
 */
#include "select.h"

#if defined(BYZ_TABLES)

#define LONG_LADDER 56 /* codes that seven cells of eight cover: one order statistic */
#define SHORT_LADDER 24
#define NEAR_SPAN 40
#define NEARER_SPAN 4
#define NEARER_CODES 6
#define NEARER_BELOW 28 /* codes below `first` that keep an index of their own */
#define PATIENCE 64  /* tiles, after codes that were too far apart */
#define LOOK 16      /* tiles, after a guess that held */

/* A rank, and how far its search has come: x_(k) of the codes from base on is looked for. */
typedef struct {
    byz_tally_t k;
    bytes_t base;
} search_t;

#define ALWAYS static inline __attribute__((always_inline))

static __attribute__((noinline)) void few_by_four(byz_rows_t *rows, bytes_t table, byz_tally_t *t)
{
    byz_tally(rows, table, BYZ_BYTES(0), t, BYZ_FEW, 1);
}

static __attribute__((noinline)) void many_by_four(byz_rows_t *rows, bytes_t table, byz_tally_t *t)
{
    byz_tally(rows, table, BYZ_BYTES(0), t, BYZ_DIGITS, 1);
}

static __attribute__((noinline)) void few_above(byz_rows_t *rows, bytes_t table, bytes_t base, byz_tally_t *t)
{
    byz_tally(rows, table, base, t, BYZ_FEW, 0);
}

static __attribute__((noinline)) void many_above(byz_rows_t *rows, bytes_t table, bytes_t base, byz_tally_t *t)
{
    byz_tally(rows, table, base, t, BYZ_DIGITS, 0);
}

ALWAYS void tally_by_four(byz_rows_t *rows, bytes_t table, byz_tally_t *t, const size_t digits)
{
    (digits == BYZ_FEW ? few_by_four : many_by_four)(rows, table, t);
}

ALWAYS void tally_above(byz_rows_t *rows, bytes_t table, bytes_t base, byz_tally_t *t, const size_t digits)
{
    (digits == BYZ_FEW ? few_above : many_above)(rows, table, base, t);
}

static inline bytes_t table_of(const uint8_t *p)
{
    bytes_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Bit j of entry i: i < j + 1; i < 4 (j + 1). And for six codes in the middle: i < NEARER_BELOW + j, with a bit of its own for
 * the last entry, where the codes are that have no other. */
static const uint8_t by_one[BYZ_INDEX] = {255, 254, 252, 248, 240, 224, 192, 128};
static const uint8_t by_four[BYZ_INDEX] = {255, 255, 255, 255, 254, 254, 254, 254, 252, 252, 252, 252, 248, 248, 248, 248,
                                           240, 240, 240, 240, 224, 224, 224, 224, 192, 192, 192, 192, 128, 128, 128, 128};
static const uint8_t by_one_in_the_middle[BYZ_INDEX] = {
    127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127,
    127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 126, 124, 120, 112, 96,  64,  [BYZ_INDEX - 1] = 128};

static void climb(byz_ladder_t *ladder, const int threshold[BYZ_RUNGS], int width)
{
    int8_t slots[BYZ_INDEX]; /* entry i is that of the codes 4 slots[i] .. 4 slots[i] + 3 */
    bytes_t below = {0};
    for (int i = 0; i < BYZ_INDEX; i++) {
        slots[i] = (int8_t)(i < BYZ_INDEX / 2 ? i : i - BYZ_INDEX);
    }
    const codes_t slot = BYZ_LOAD(slots);
    for (int j = 0; j < BYZ_RUNGS; j++) {
        below |= (bytes_t)(slot < (codes_t)BYZ_BYTES(threshold[j] / 4)) & BYZ_BYTES(1 << j);
    }
    memcpy(ladder->below, &below, sizeof below);
    for (int c = 0; c <= BYZ_RUNGS; c++) {
        const int start = c == 0 ? -128 : threshold[c - 1], stop = c == BYZ_RUNGS ? 128 : threshold[c];
        ladder->start[c] = (uint8_t)start;
        ladder->wide[c] = stop - start > width ? 255 : 0;
    }
}

/* Bit j: count j <= k. */
ALWAYS bits_t at_most(const byz_tally_t *t, const byz_tally_t *k, const size_t digits)
{
    bits_t yes = ~(bits_t){0};
    for (size_t l = 0; l < digits; l++) {
        yes = byz_pick(t->digit[l] ^ k->digit[l], k->digit[l], yes);
    }
    return yes;
}

/* k = from - count j, j the highest bit of `rungs`, which are the lowest so many; nothing where there is none. */
ALWAYS void take_off(byz_tally_t *k, const byz_tally_t *from, const byz_tally_t *t, bits_t rungs, const size_t digits)
{
    const bits_t highest = rungs & ~((bits_t)(rungs >> 1) & (bits_t)BYZ_BYTES(0x7f));
    bits_t borrow = {0};
    for (size_t l = 0; l < digits; l++) {
        const bits_t bit = (bits_t)((bytes_t)(t->digit[l] & highest) != 0), differ = from->digit[l] ^ bit;
        k->digit[l] = differ ^ borrow;
        borrow = byz_pick(differ, bit, borrow);
    }
}

/* x_(rank + 1) from the tally that gave lower = x_(rank): the thresholds `rungs` are a code apart, from base + 1 on. */
ALWAYS codes_t after(byz_rows_t *rows, search_t *s, const byz_tally_t *t, bits_t rungs, codes_t lower,
                     const size_t digits)
{
    byz_ripple(s->k.digit, 0, digits, ~(bits_t){0});
    const bits_t found = at_most(t, &s->k, digits) & rungs;
    const codes_t upper = (codes_t)(s->base + byz_bits_set(found));
    const bytes_t beyond = (bytes_t)((bytes_t)found == (bytes_t)rungs);
    if (!byz_any(beyond)) {
        return upper;
    }
    codes_t next;
    byz_next_above(rows->x, rows->n, &lower, &next);
    return BYZ_CHOOSE((codes_t)beyond, next, upper);
}

/* The rest of a search whose cell, from base on, is `width` codes wide: 32, 8 or 4. */
ALWAYS codes_t descend(byz_rows_t *rows, search_t *s, int width, codes_t *upper, const size_t digits)
{
    byz_tally_t t;
    if (width > BYZ_RUNGS) {
        tally_above(rows, table_of(by_four), s->base, &t, digits);
        const bits_t found = at_most(&t, &s->k, digits);
        take_off(&s->k, &s->k, &t, found, digits);
        s->base += byz_bits_set(found) * 4;
        width = 4;
    }
    /* Thresholds beyond the cell could lie beyond 127, where codes come round from -128. */
    const bits_t rungs = (bits_t)BYZ_BYTES((1 << width) - 1);
    tally_above(rows, table_of(by_one), s->base, &t, digits);
    const codes_t lower = (codes_t)(s->base + byz_bits_set(at_most(&t, &s->k, digits) & rungs));
    if (upper != NULL) {
        *upper = after(rows, s, &t, rungs, lower, digits);
    }
    return lower;
}

/* The cell of a rank, from the counts below a ladder's thresholds. Returns where the cell is too wide. */
ALWAYS bytes_t enter(const byz_ladder_t *ladder, const byz_tally_t *t, const byz_tally_t *rank, search_t *s,
                     const size_t digits)
{
    const bits_t found = at_most(t, rank, digits);
    const bytes_t cell = byz_bits_set(found);
    take_off(&s->k, rank, t, found, digits);
    s->base = byz_look_up(table_of(ladder->start), cell);
    return byz_look_up(table_of(ladder->wide), cell);
}

/* The counts below seven thresholds around six codes. Returns whether they are those of all codes: those of more than 28
 * below the six or 28 above could not be told apart. */
ALWAYS int tally_nearer(byz_rows_t *rows, byz_plan_t *plan, byz_tally_t *t, const size_t digits)
{
    bits_t strangers = {0};
    tally_above(rows, table_of(by_one_in_the_middle), BYZ_BYTES(plan->first - NEARER_BELOW), t, digits);
    for (size_t l = 0; l < digits; l++) {
        strangers |= t->digit[l] & (bits_t)BYZ_BYTES(1 << (BYZ_RUNGS - 1));
    }
    if (byz_any((bytes_t)strangers)) {
        plan->patience = PATIENCE;
        return 0;
    }
    return 1;
}

/* Returns whether x_(rank) is one of the six codes everywhere. */
ALWAYS int among_six(byz_rows_t *rows, const byz_plan_t *plan, const byz_tally_t *t, const byz_tally_t *rank, codes_t *lower,
                     codes_t *upper, const size_t digits)
{
    const bits_t rungs = (bits_t)BYZ_BYTES((1 << (BYZ_RUNGS - 1)) - 1);
    search_t s;
    for (size_t l = 0; l < digits; l++) {
        s.k.digit[l] = rank->digit[l];
    }
    s.base = BYZ_BYTES(plan->first - 1);
    const bytes_t cell = byz_bits_set(at_most(t, &s.k, digits) & rungs);
    *lower = (codes_t)(s.base + cell);
    if (byz_any((bytes_t)(cell - 1 > BYZ_BYTES(NEARER_CODES - 1)))) {
        return 0;
    }
    if (upper != NULL) {
        *upper = after(rows, &s, t, rungs, *lower, digits);
    }
    return 1;
}

static void anywhere(byz_plan_t *plan)
{
    static const int even[BYZ_RUNGS] = {-96, -64, -32, 0, 32, 64, 96, 128};
    plan->guess = BYZ_ANYWHERE;
    climb(&plan->ladder, even, 32);
}

/* Where a ladder of `cover` codes begins that has low .. high in its middle. */
static int around(int low, int high, int cover, int least, int most)
{
    const int start = ((low + high - cover) >> 3) * 4;
    return start < least ? least : start > most ? most : start;
}

/* The guess for the next tile, from where the order statistics of this one were. A guess that held is kept. */
static void learn(byz_plan_t *plan, codes_t low, codes_t high, const int two)
{
    plan->patience -= plan->patience != 0;
    if (plan->guess == BYZ_NEAR && plan->patience != 0) {
        return;
    }
    const int a = __builtin_reduce_min(low), b = __builtin_reduce_max(low);
    const int c = two ? __builtin_reduce_min(high) : a, d = two ? __builtin_reduce_max(high) : b;
    int threshold[BYZ_RUNGS];
    if (d - a < NEARER_SPAN && plan->patience == 0 && a > NEARER_BELOW - 128 && a <= 128 + NEARER_BELOW - BYZ_INDEX) {
        plan->guess = BYZ_NEARER;
        plan->first = a - 1;
    } else if (plan->guess != BYZ_NEAR && two) {
        const int first = around(a, b, SHORT_LADDER, -128, 128 - 2 * SHORT_LADDER);
        const int second = around(c, d, SHORT_LADDER, first + SHORT_LADDER, 128 - SHORT_LADDER);
        if (a >= first && b < first + SHORT_LADDER && c >= second && d < second + SHORT_LADDER) {
            for (int j = 0; j < BYZ_RUNGS / 2; j++) {
                threshold[j] = first + 8 * j;
                threshold[j + BYZ_RUNGS / 2] = second + 8 * j;
            }
            plan->guess = BYZ_NEAR;
            climb(&plan->ladder, threshold, 8);
        }
    } else if (plan->guess == BYZ_NEAR) {
        plan->patience = LOOK;
    } else if (b - a < NEAR_SPAN) {
        const int first = around(a, b, LONG_LADDER, -128, 128 - LONG_LADDER);
        for (int j = 0; j < BYZ_RUNGS; j++) {
            threshold[j] = first + 8 * j;
        }
        plan->guess = BYZ_NEAR;
        climb(&plan->ladder, threshold, 8);
    }
}

void byz_table_begin(byz_plan_t *plan, size_t first, size_t last)
{
    plan->patience = 0;
    anywhere(plan);
    for (size_t l = 0; l < BYZ_DIGITS; l++) {
        plan->rank[0].digit[l] = (bits_t)BYZ_BYTES(first >> l & 1 ? 255 : 0);
        plan->rank[1].digit[l] = (bits_t)BYZ_BYTES(last >> l & 1 ? 255 : 0);
    }
}

/* The counts below the ladder's thresholds, and the cells of one or two ranks. Returns the width of the cells. */
ALWAYS int start(byz_rows_t *rows, byz_plan_t *plan, search_t s[2], const int two, const size_t digits)
{
    for (;;) {
        byz_tally_t t;
        tally_by_four(rows, table_of(plan->ladder.below), &t, digits);
        bytes_t wide = enter(&plan->ladder, &t, &plan->rank[0], &s[0], digits);
        if (two) {
            wide |= enter(&plan->ladder, &t, &plan->rank[1], &s[1], digits);
        }
        if (!byz_any(wide)) {
            return plan->guess == BYZ_NEAR ? 8 : 32;
        }
        anywhere(plan); /* whose cells are never too wide */
    }
}

ALWAYS void find(byz_rows_t *rows, byz_plan_t *plan, codes_t *lower, codes_t *upper, const size_t digits)
{
    search_t s[2];
    if (plan->guess == BYZ_NEARER) {
        byz_tally_t t;
        if (tally_nearer(rows, plan, &t, digits) && among_six(rows, plan, &t, &plan->rank[0], lower, upper, digits)) {
            return;
        }
        anywhere(plan);
    }
    const int width = start(rows, plan, s, 0, digits);
    *lower = descend(rows, &s[0], width, upper, digits);
    learn(plan, *lower, *lower, 0);
}

ALWAYS void find_both(byz_rows_t *rows, byz_plan_t *plan, codes_t *low, codes_t *high, const size_t digits)
{
    search_t s[2];
    if (plan->guess == BYZ_NEARER) {
        byz_tally_t t;
        if (tally_nearer(rows, plan, &t, digits) && among_six(rows, plan, &t, &plan->rank[0], low, NULL, digits) &&
            among_six(rows, plan, &t, &plan->rank[1], high, NULL, digits)) {
            return;
        }
        anywhere(plan);
    }
    const int width = start(rows, plan, s, 1, digits);
    *low = descend(rows, &s[0], width, NULL, digits);
    *high = descend(rows, &s[1], width, NULL, digits);
    learn(plan, *low, *high, 1);
}

static inline byz_rows_t the_rows(const int8_t *x, size_t n)
{
    byz_rows_t rows = {x, n, x + n * BYZ_LANES, x + 2 * n * BYZ_LANES}; /* a prefetch beyond the last tile does nothing */
    return rows;
}

void byz_table_select(const int8_t *x, size_t n, byz_plan_t *plan, codes_t *lower, codes_t *upper)
{
    byz_rows_t rows = the_rows(x, n);
    if (n < 1 << BYZ_FEW) {
        find(&rows, plan, lower, upper, BYZ_FEW);
    } else {
        find(&rows, plan, lower, upper, BYZ_DIGITS);
    }
    byz_ask_for_the_rest(&rows);
}

void byz_table_select_both(const int8_t *x, size_t n, byz_plan_t *plan, codes_t *low, codes_t *high)
{
    byz_rows_t rows = the_rows(x, n);
    if (n < 1 << BYZ_FEW) {
        find_both(&rows, plan, low, high, BYZ_FEW);
    } else {
        find_both(&rows, plan, low, high, BYZ_DIGITS);
    }
    byz_ask_for_the_rest(&rows);
}

#endif
