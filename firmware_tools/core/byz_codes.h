/* From a trained model to int8 codes: difference, saturation, L2 clip, stochastic rounding (SPEC 3). */
#ifndef BYZ_CODES_H
#define BYZ_CODES_H

#include "byz_network.h"
#include "byz_rng.h"

#define BYZ_L2_BOUND_MAX ((1U << 20) - 1U)

/* BYZ_OK if the grid can be used: every shift within the limits and the spread of the exponents at most 12. */
BYZ_CHECK int byz_shifts_check(const byz_network_t *net, const int8_t *shifts);

/* Codes of `local - global` on the grid 2^shift[tensor]. `l2_bound` is in steps of the finest exponent, 0 for none, at
 * most BYZ_L2_BOUND_MAX. The codes overwrite the local model: bytes [0, d) of `local`. Both blobs are 4-aligned.
 * BYZ_ERR_ARGUMENT for a grid or a bound outside the limits, before anything is changed. */
BYZ_CHECK int byz_encode(const byz_network_t *net, const void *global, void *local, const int8_t *shifts, uint32_t l2_bound,
                         const byz_key_t *key);

/* The same with the codes in a buffer of their own (d bytes; may be `local`). */
BYZ_CHECK int byz_encode_to(const byz_network_t *net, const void *global, const void *local, const int8_t *shifts,
                            uint32_t l2_bound, const byz_key_t *key, int8_t *codes);

/* The same on a Byzantine board, whose own noise has the key `attack` (stream 6); elsewhere it is not looked at. */
BYZ_CHECK int byz_encode_attacked(const byz_network_t *net, const void *global, const void *local, const int8_t *shifts,
                                  uint32_t l2_bound, const byz_key_t *key, const byz_key_t *attack, int8_t *codes);

#endif
