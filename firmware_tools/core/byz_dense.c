/* A dense layer: forward, backward, update (bounds: byz_layers.h).
 *
 * Trained weights are used straight from their masters, so a dense layer needs no copy of them. The loops over inputs are
 * innermost, contiguous and free of branches: the compiler vectorises them on the host, and they stay a few dozen bytes of
 * Thumb.
 */
#include "byz_layers.h"

/* An inner loop. On a board a function of its own: it then has the registers to itself, for 10 % fewer instructions on a
 * Cortex-M3 than inlined. */
#if defined(BYZ_NATIVE)
#define LOOP BYZ_INLINE
#else
#define LOOP static __attribute__((noinline))
#endif

static inline int32_t dot(const int16_t *restrict w, const int8_t *restrict x, uint32_t n) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (int32_t)byz_derived(w[i]) * (int32_t)x[i];
    return sum;
}

LOOP void masters_forward(const int16_t *restrict w, const int32_t *restrict b, const int8_t *restrict x,
                                uint32_t inputs, uint32_t outputs, int32_t *restrict sums) {
    for (uint32_t o = 0; o < outputs; o++) sums[o] = b[o] + dot(w + o * inputs, x, inputs);
}

void byz_dense_forward(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *restrict x, int8_t *restrict y,
                       const byz_workspace_t *work) {
    const uint32_t outputs = layer->outputs;
    const int32_t *b = weights->bias;
    int32_t *restrict sums = work->sums;
    if (weights->masters != NULL) {
        BYZ_FOR_WIDTH(layer->inputs, 64U, 32U, masters_forward(weights->masters, b, x, width, outputs, sums));
    } else {
        byz_rows_forward(weights->frozen, b, x, layer->inputs, outputs, sums);
    }
    const int32_t low = layer->low;
    const int32_t k = layer->requant_shift;
    for (uint32_t o = 0; o < outputs; o++) y[o] = (int8_t)byz_saturate(byz_requantize(sums[o], k), low, 127);
}

LOOP void masters_backward(const int16_t *restrict w, const int8_t *restrict x, const int16_t *restrict error,
                                 uint32_t inputs, uint32_t outputs, int32_t k, byz_gate_t gate, int32_t *restrict sums,
                                 int16_t *restrict below) {
    for (uint32_t i = 0; i < inputs; i++) sums[i] = 0;
    for (uint32_t o = 0; o < outputs; o++) {
        const int16_t *restrict row = w + o * inputs;
        const int32_t e = error[o];
        if (e == 0) continue;
        for (uint32_t i = 0; i < inputs; i++) sums[i] += e * byz_derived(row[i]);
    }
    for (uint32_t i = 0; i < inputs; i++) below[i] = byz_passed(gate, x[i], byz_rounding_shift(sums[i], k));
}

void byz_dense_backward(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *restrict x,
                        const int16_t *restrict error, int16_t *restrict below, const byz_workspace_t *work) {
    const byz_gate_t gate = byz_gate(layer);
    const uint32_t inputs = layer->inputs;
    const uint32_t outputs = layer->outputs;
    const int32_t k = layer->error_shift;
    int32_t *restrict sums = work->sums;
    if (weights->masters != NULL) {
        const int16_t *w = weights->masters;
#if defined(BYZ_NATIVE) /* sums of its own, and of a known number: the compiler then keeps them in registers */
        if (inputs == 64U) {
            int32_t own[64];
            masters_backward(w, x, error, 64U, outputs, k, gate, own, below);
            return;
        }
        if (inputs == 32U) {
            int32_t own[32];
            masters_backward(w, x, error, 32U, outputs, k, gate, own, below);
            return;
        }
#endif
        masters_backward(w, x, error, inputs, outputs, k, gate, sums, below);
    } else {
        for (uint32_t i = 0; i < inputs; i++) sums[i] = 0;
        byz_rows_backward(weights->frozen, error, inputs, outputs, inputs, sums);
        for (uint32_t i = 0; i < inputs; i++) below[i] = byz_passed(gate, x[i], byz_rounding_shift(sums[i], k));
    }
}

LOOP void update_row(int16_t *restrict w, const int8_t *restrict x, uint32_t n, int32_t error, int32_t shift,
                           uint32_t index, byz_key_t key) {
    for (uint32_t i = 0; i < n; i++) {
#if defined(BYZ_SKIP_ZERO_INPUTS) /* saves the noise on a microcontroller; on the host it would stop the vectoriser */
        if (x[i] == 0) continue;
#endif
        w[i] = byz_stepped(w[i], error * (int32_t)x[i], shift, byz_draw_upper(index + i, key.k0, key.k1));
    }
}

/* A row whose error is 0 is left out: SR(0, s) is 0 whatever the noise, so this is exact. Most rows are, soon. */
static void update_kernel(const byz_layer_t *layer, int16_t *restrict w, uint32_t at, const int8_t *restrict x,
                          const int16_t *restrict error, const byz_step_t *step) {
    const int32_t shift = step->lr_shift + layer->weight_step;
    const uint32_t inputs = layer->inputs;
    const uint32_t outputs = layer->outputs;
    const byz_key_t key = step->key;
    for (uint32_t o = 0; o < outputs; o++) {
        if (error[o] == 0) continue;
        BYZ_FOR_WIDTH(inputs, 64U, 32U, update_row(w + o * width, x, width, error[o], shift, at + o * width, key));
    }
}

static void update_bias(int32_t *restrict b, uint32_t at, const int16_t *restrict error, uint32_t n, int32_t shift,
                        byz_key_t key) {
    for (uint32_t o = 0; o < n; o++) {
#if defined(BYZ_SKIP_ZERO_INPUTS)
        if (error[o] == 0) continue;
#endif
        b[o] = byz_stepped_bias(b[o], error[o], shift, byz_draw_upper(at + o, key.k0, key.k1));
    }
}

void byz_dense_update(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *restrict x,
                      const int16_t *restrict error, const byz_step_t *step, const byz_workspace_t *work) {
    (void)work;
    if (weights->masters != NULL) update_kernel(layer, weights->masters, weights->kernel_at, x, error, step);
    if (weights->trained_bias != NULL) {
        update_bias(weights->trained_bias, weights->bias_at, error, layer->outputs, step->lr_shift + layer->bias_step, step->key);
    }
}
