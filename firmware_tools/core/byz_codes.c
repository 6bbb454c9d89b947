/* The encoding of an update: SPEC 3, "Device-side clip". Two passes over the difference, each in blocks.
 *
 * Blocks, because the codes overwrite the local model they come from: a block is read whole before its codes are written, and
 * element i lies at byte 2 i or later while its code goes to byte i, so nothing unread is ever overwritten. The block also
 * tells the host's compiler that the buffers cannot interfere.
 *
 * Bounds: |D| <= 127 * 2^12 after saturation, the clip's factor is below 2^12, so |D * c| < 127 * 2^24 < 2^31. The norm is
 * below d * 2^14 * 4^12 < 2^62 for d < 2^24; it is added and shifted in 64 bits, never multiplied.
 */
#include "byz_attack.h"
#include "byz_codes.h"
#include "byz_fixed.h"
#include "generated/byz_wire.h"

#define BLOCK 64U

static int32_t exponent(const byz_network_t *net, const int8_t *shifts, uint32_t t) {
    return (int32_t)shifts[t] - net->tensors[t].frac;
}

static int32_t finest(const byz_network_t *net, const int8_t *shifts) {
    int32_t low = exponent(net, shifts, 0);
    for (uint32_t t = 1; t < net->n_tensors; t++) low = exponent(net, shifts, t) < low ? exponent(net, shifts, t) : low;
    return low;
}

int byz_shifts_check(const byz_network_t *net, const int8_t *shifts) {
    const int32_t low = finest(net, shifts);
    for (uint32_t t = 0; t < net->n_tensors; t++) {
        if (shifts[t] < 0 || shifts[t] > (int32_t)BYZ_MAX_SHIFT) return BYZ_ERR_ARGUMENT;
        if (exponent(net, shifts, t) - low > (int32_t)BYZ_MAX_SHIFT) return BYZ_ERR_ARGUMENT;
    }
    return BYZ_OK;
}

/* D = local - global of elements [first, first + n) of a tensor, saturated to +-127 * 2^s; on a Byzantine board what it makes of
 * that, with the noise of `attack`. */
static void difference(const byz_tensor_t *tensor, const uint8_t *global, const uint8_t *local, uint32_t first, uint32_t n,
                       int32_t s, const byz_key_t *attack, int32_t *restrict d) {
    const int32_t limit = BYZ_CODE_MAX << s;
    if (tensor->is_bias) {
        const int32_t *a = (const int32_t *)(const void *)(global + tensor->byte_offset) + first;
        const int32_t *b = (const int32_t *)(const void *)(local + tensor->byte_offset) + first;
        for (uint32_t i = 0; i < n; i++) d[i] = byz_saturate(b[i] - a[i], -limit, limit);
    } else {
        const int16_t *a = (const int16_t *)(const void *)(global + tensor->byte_offset) + first;
        const int16_t *b = (const int16_t *)(const void *)(local + tensor->byte_offset) + first;
        for (uint32_t i = 0; i < n; i++) d[i] = byz_saturate(b[i] - a[i], -limit, limit);
    }
    for (uint32_t i = 0; i < n; i++) d[i] = byz_attack_change(d[i], limit, tensor->flat_offset + first + i, s, attack);
}

/* Squared norm of the nearest codes, in steps of the finest exponent. */
static uint64_t squared_norm(const byz_network_t *net, const uint8_t *global, const uint8_t *local, const int8_t *shifts,
                             const byz_key_t *attack) {
    const int32_t low = finest(net, shifts);
    uint64_t total = 0;
    for (uint32_t t = 0; t < net->n_tensors; t++) {
        const byz_tensor_t *tensor = &net->tensors[t];
        const int32_t s = shifts[t];
        const int32_t half = (1 << s) >> 1;
        uint64_t sum = 0;
        for (uint32_t first = 0; first < tensor->elements; first += BLOCK) {
            const uint32_t n = tensor->elements - first < BLOCK ? tensor->elements - first : BLOCK;
            int32_t d[BLOCK];
            uint32_t block = 0; /* at most 64 * 127^2 */
            difference(tensor, global, local, first, n, s, attack, d);
            for (uint32_t i = 0; i < n; i++) {
                const int32_t code = (d[i] + half) >> s; /* within +-127, for D is */
                block += (uint32_t)(code * code);
            }
            sum += block;
        }
        total += sum << (uint32_t)(2 * (exponent(net, shifts, t) - low));
    }
    return total;
}

int byz_encode_attacked(const byz_network_t *net, const void *global, const void *local, const int8_t *shifts, uint32_t l2_bound,
                        const byz_key_t *key, const byz_key_t *attack, int8_t *codes) {
    const byz_key_t noise_key = byz_step_key(*key, 0);
    int32_t factor = 0; /* 0: no clip */
    const int status = byz_shifts_check(net, shifts);
    if (status != BYZ_OK || l2_bound > BYZ_L2_BOUND_MAX) return BYZ_ERR_ARGUMENT;
    if (l2_bound > 0) {
        /* isqrt_ceil(N) > B exactly when N > B^2: no square of B is needed. The quotient is then below 4096. */
        const uint32_t norm = byz_isqrt_ceil(squared_norm(net, global, local, shifts, attack));
        if (norm > l2_bound) factor = (int32_t)((l2_bound << 12) / norm);
        if (norm > l2_bound && factor == 0) { /* a bound below 1 / 4096 of the norm leaves nothing */
            byz_fill(codes, 0, net->d);
            return BYZ_OK;
        }
    }
    for (uint32_t t = 0; t < net->n_tensors; t++) {
        const byz_tensor_t *tensor = &net->tensors[t];
        const int32_t s = shifts[t];
        for (uint32_t first = 0; first < tensor->elements; first += BLOCK) {
            const uint32_t n = tensor->elements - first < BLOCK ? tensor->elements - first : BLOCK;
            const uint32_t at = tensor->flat_offset + first;
            int32_t d[BLOCK];
            difference(tensor, global, local, first, n, s, attack, d);
            if (factor > 0) {
                for (uint32_t i = 0; i < n; i++) d[i] = d[i] * factor / 4096; /* C's division truncates */
            }
            for (uint32_t i = 0; i < n; i++) {
                codes[at + i] = (int8_t)byz_attack_round(d[i], s, byz_draw_upper(at + i, noise_key.k0, noise_key.k1));
            }
        }
    }
    return BYZ_OK;
}

int byz_encode_to(const byz_network_t *net, const void *global, const void *local, const int8_t *shifts, uint32_t l2_bound,
                  const byz_key_t *key, int8_t *codes) {
    return byz_encode_attacked(net, global, local, shifts, l2_bound, key, key, codes);
}

int byz_encode(const byz_network_t *net, const void *global, void *local, const int8_t *shifts, uint32_t l2_bound,
               const byz_key_t *key) {
    return byz_encode_to(net, global, local, shifts, l2_bound, key, local);
}
