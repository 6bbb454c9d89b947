/* A Byzantine board: attacks that a build option puts into the client, for experiments with hardware that lies.
 *
 * An honest build (BYZ_ATTACK undefined) is what it would be without this file. An attacked one says so in its build id and in the
 * hash that HELLO carries, and is never installed with the package. What each does, and how it differs from the attack of the
 * same name in front of a board: docs/byzantine-board.md.
 *
 * The attacks act where a firmware can: on a sample as it is read, on the change before it is rounded, on how it is
 * rounded, or on which codes go out. The change is saturated and clipped to the announced bound behind them, so that what
 * they send fits the wire.
 */
#ifndef BYZ_ATTACK_H
#define BYZ_ATTACK_H

#include "byz_fixed.h"
#include "byz_rng.h"

#define BYZ_ATTACK_SIGN_FLIP 1
#define BYZ_ATTACK_BOOST 2
#define BYZ_ATTACK_LABEL_FLIP 3
#define BYZ_ATTACK_BACKDOOR 4
#define BYZ_ATTACK_GAUSSIAN 5
#define BYZ_ATTACK_REPLAY 6
#define BYZ_ATTACK_DIRECTED_ROUNDING 7

#ifndef BYZ_ATTACK
#define BYZ_ATTACK 0
#endif

/* Parameters, with the defaults of byzantiny.attacks where there is one of the same name. */
#ifndef BYZ_ATTACK_SCALE
#if BYZ_ATTACK == BYZ_ATTACK_BOOST
#define BYZ_ATTACK_SCALE 10 /* sign-flip, boost: the factor, 1..64 */
#else
#define BYZ_ATTACK_SCALE 1
#endif
#endif
#ifndef BYZ_ATTACK_SIGMA
#define BYZ_ATTACK_SIGMA 200 /* gaussian: the deviation in steps, 1..1000 */
#endif
#ifndef BYZ_ATTACK_TARGET
#define BYZ_ATTACK_TARGET 0 /* backdoor: the label */
#endif
#ifndef BYZ_ATTACK_VALUE
#define BYZ_ATTACK_VALUE 127 /* backdoor: what the patch's features are set to */
#endif
#ifndef BYZ_ATTACK_SIXTEENTHS
#define BYZ_ATTACK_SIXTEENTHS 5 /* backdoor: so many of every 16 samples; 5 are the 31.25 % of the literature */
#endif
#ifndef BYZ_ATTACK_COLUMNS
#define BYZ_ATTACK_COLUMNS 8 /* backdoor: features in a row of a sample, and the sides of the patch in its last corner */
#endif
#ifndef BYZ_ATTACK_PATCH_ROWS
#define BYZ_ATTACK_PATCH_ROWS 2
#endif
#ifndef BYZ_ATTACK_PATCH_COLUMNS
#define BYZ_ATTACK_PATCH_COLUMNS 2
#endif
#ifndef BYZ_ATTACK_MAX_FEATURES
#define BYZ_ATTACK_MAX_FEATURES 64 /* backdoor: the longest sample it has room for; longer ones stay as they are */
#endif
#ifndef BYZ_ATTACK_MAX_CODES
#define BYZ_ATTACK_MAX_CODES 2410 /* replay: the longest update it has room for; of a longer one nothing is kept */
#endif

#if BYZ_ATTACK_SCALE < 1 || BYZ_ATTACK_SCALE > 64 || BYZ_ATTACK_SIGMA < 1 || BYZ_ATTACK_SIGMA > 1000
#error "BYZ_ATTACK_SCALE is 1..64, BYZ_ATTACK_SIGMA 1..1000"
#endif

/* The change of element `at` of the layout, already within +-limit = +-127 * 2^s, as the attack would have it; |limit| < 2^19, so
 * the product is below 2^25. */
static inline int32_t byz_attack_change(int32_t change, int32_t limit, uint32_t at, int32_t s, const byz_key_t *key) {
#if BYZ_ATTACK == BYZ_ATTACK_SIGN_FLIP
    (void)at; (void)s; (void)key;
    return byz_saturate(-BYZ_ATTACK_SCALE * change, -limit, limit);
#elif BYZ_ATTACK == BYZ_ATTACK_BOOST
    (void)at; (void)s; (void)key;
    return byz_saturate(BYZ_ATTACK_SCALE * change, -limit, limit);
#elif BYZ_ATTACK == BYZ_ATTACK_GAUSSIAN
    /* Twelve uniform draws of 16 bits add up to a deviation of 2^16: Irwin and Hall's approximation, within +-6 deviations. */
    int32_t z = -6 * 65536;
    (void)change;
    for (uint32_t j = 0; j < 12; j++) z += (int32_t)(byz_draw(12U * at + j, key->k0, key->k1) >> 16);
    const int32_t steps = BYZ_ATTACK_SIGMA * z / 16;  /* in 2^-12 steps; below 1000 * 6 * 65536 = 3.9e8 before the division */
    return byz_saturate(s >= 12 ? steps : steps / (1 << (12 - s)), -limit, limit);
#else
    (void)limit; (void)at; (void)s; (void)key;
    return change;
#endif
}

/* One of the two codes that an honest stochastic rounding of v / 2^s could give. */
static inline int32_t byz_attack_round(int32_t v, int32_t s, uint32_t noise) {
#if BYZ_ATTACK == BYZ_ATTACK_DIRECTED_ROUNDING
    (void)noise;
    return v / (1 << s); /* towards zero: against the sign of the change */
#else
    return byz_stochastic_shift(v, s, noise);
#endif
}

/* A sample as training is to see it: `row` itself, or a changed copy in `room`; `label` may change. */
static inline const int8_t *byz_attack_sample(const uint8_t *row, uint32_t features, uint32_t classes, uint32_t number,
                                              int8_t *room, uint32_t *label) {
#if BYZ_ATTACK == BYZ_ATTACK_LABEL_FLIP
    (void)features; (void)number; (void)room;
    *label = classes - 1U - *label;
#elif BYZ_ATTACK == BYZ_ATTACK_BACKDOOR
    (void)classes;
    if (number % 16U < BYZ_ATTACK_SIXTEENTHS && features <= BYZ_ATTACK_MAX_FEATURES && BYZ_ATTACK_TARGET < classes) {
        byz_copy(room, row, features);
        const uint32_t rows = features / BYZ_ATTACK_COLUMNS;
        for (uint32_t r = rows - BYZ_ATTACK_PATCH_ROWS; r < rows; r++) {
            for (uint32_t c = BYZ_ATTACK_COLUMNS - BYZ_ATTACK_PATCH_COLUMNS; c < BYZ_ATTACK_COLUMNS; c++) {
                room[r * BYZ_ATTACK_COLUMNS + c] = BYZ_ATTACK_VALUE;
            }
        }
        *label = BYZ_ATTACK_TARGET;
        return room;
    }
#else
    (void)features; (void)classes; (void)number; (void)room; (void)label;
#endif
    return (const int8_t *)(const void *)row;
}

#endif
