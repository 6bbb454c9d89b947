/* What the layers share: the workspace, where parameters lie, products with int8 weights, the update of one row.
 *
 * Internal to the core. Bounds: every multiplication is 32 bits wide or narrower. For rows of n weights, P positions (1 for a
 * dense layer) and an error within -(L + 1) .. L, L the layer's limit (byz_layer_t.below_limit of the layer above):
 *   forward    |acc| <= |bias| + n * 127 * 128 <= 2^24 + 65535 * 16256 < 2^30.1, so acc + 1 fits (byz_requantize);
 *   backward   |sum| <= 127 * (L + 1) * (outputs that an input enters) < 2^31 - 32, which the generator checks; the 32 is what
 *              rounding adds;
 *   gradients  |sum of error * input| <= P * 128 * (L + 1) <= 2^31 - 2^17, by the choice of L; noise below 2^16 is added. The
 *              shift is at least 2, so the difference to a master fits. Biases: |sum of errors| < 2^24, shifted by at least -1.
 */
#ifndef BYZ_LAYERS_H
#define BYZ_LAYERS_H

#include "byz_fixed.h"
#include "byz_network.h"
#include "byz_rng.h"

#define BYZ_ALIGN4(n) (((size_t)(n) + 3U) & ~(size_t)3U)

/* Runs `statement` with `width` equal to n. On the host the common widths get a copy of their own, in which the compiler knows
 * the trip count: 20 to 30 % more steps a second. A board has no room for copies. */
#if defined(BYZ_NATIVE)
#define BYZ_FOR_WIDTH(n, a, b, statement) \
    do {                                  \
        if ((n) == (a)) {                 \
            const uint32_t width = (a);   \
            statement;                    \
        } else if ((n) == (b)) {          \
            const uint32_t width = (b);   \
            statement;                    \
        } else {                          \
            const uint32_t width = (n);   \
            statement;                    \
        }                                 \
    } while (0)
#define BYZ_INLINE static inline __attribute__((always_inline))
#else
#define BYZ_FOR_WIDTH(n, a, b, statement) \
    do {                                  \
        const uint32_t width = (n);       \
        statement;                        \
    } while (0)
#define BYZ_INLINE static inline
#endif

/* The scratch, cut into pieces. */
typedef struct {
    int32_t *sums;    /* of the rows of a layer, of its inputs, or of a filter's weights */
    int8_t *weights;  /* the int8 weights of a trained convolution */
    int8_t *patch;    /* what a filter sees at one position */
    int16_t *errors;  /* of the outputs of the layer at hand and of its inputs */
    int8_t *outputs;  /* of every layer, one after the other */
    size_t errors_count;
} byz_workspace_t;

/* The parameters of a layer. */
typedef struct {
    int16_t *masters;       /* null where frozen */
    const int8_t *frozen;   /* int8 weights; null where trained */
    const int32_t *bias;
    int32_t *trained_bias;  /* the same, or null */
    uint32_t kernel_at;     /* flat offsets: what the noise is drawn with */
    uint32_t bias_at;
} byz_weights_t;

/* The learning rate and the noise of a step. */
typedef struct {
    int32_t lr_shift;
    byz_key_t key;
} byz_step_t;

struct byz_ops {
    void (*forward)(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, int8_t *y,
                    const byz_workspace_t *work);
    /* The error of the layer below, through the weights as they were in the forward pass. */
    void (*backward)(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, const int16_t *error,
                     int16_t *below, const byz_workspace_t *work);
    void (*update)(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, const int16_t *error,
                   const byz_step_t *step, const byz_workspace_t *work);
};

extern const byz_ops_t byz_conv;
extern const byz_ops_t byz_pool;

void byz_dense_forward(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *restrict x, int8_t *restrict y,
                       const byz_workspace_t *work);
void byz_dense_backward(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *restrict x,
                        const int16_t *restrict error, int16_t *restrict below, const byz_workspace_t *work);
void byz_dense_update(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *restrict x,
                      const int16_t *restrict error, const byz_step_t *step, const byz_workspace_t *work);

/* (w + 128) >> 8, the int8 weight of a master weight, written so that the host's compiler sees that 16 bits do: half as many
 * vectors, and the multiply-and-add of pairs. */
static inline int16_t byz_derived(int16_t w) {
    const uint16_t floor = (uint16_t)(w >> 8);
    const uint16_t half = (uint16_t)((uint16_t)w >> 7 & 1U);
    return (int16_t)(uint16_t)(floor + half);
}

/* sums[o] = b[o] + w8[o] x, for rows of n int8 weights. */
BYZ_INLINE void byz_rows_forward(const int8_t *restrict w8, const int32_t *restrict b, const int8_t *restrict x, uint32_t n,
                                 uint32_t rows, int32_t *restrict sums) {
    for (uint32_t o = 0; o < rows; o++) {
        const int8_t *restrict row = w8 + o * n;
        int32_t sum = 0;
        for (uint32_t i = 0; i < n; i++) sum += (int32_t)row[i] * (int32_t)x[i];
        sums[o] = b[o] + sum;
    }
}

/* sums[i] += w8[o][i] e[o], for rows that begin `stride` weights after each other. */
BYZ_INLINE void byz_rows_backward(const int8_t *restrict w8, const int16_t *restrict error, uint32_t n, uint32_t rows,
                                  uint32_t stride, int32_t *restrict sums) {
    for (uint32_t o = 0; o < rows; o++) {
        const int8_t *restrict row = w8 + o * stride;
        const int32_t e = error[o];
        if (e == 0) continue;
        for (uint32_t i = 0; i < n; i++) sums[i] += e * row[i];
    }
}

static inline int8_t byz_output(const byz_layer_t *layer, int32_t sum) {
    return (int8_t)byz_saturate(byz_requantize(sum, layer->requant_shift), layer->low, 127);
}

/* What an error for an input has to pass. */
typedef struct {
    int32_t above;
    int32_t below;
    int32_t limit;
} byz_gate_t;

static inline byz_gate_t byz_gate(const byz_layer_t *layer) {
    const byz_gate_t gate = { layer->pass_above, layer->pass_below, layer->below_limit };
    return gate;
}

/* An error for input x of a layer: within the limit of the layer below, 0 where the clamp has no derivative. */
static inline int16_t byz_passed(byz_gate_t gate, int32_t x, int32_t error) {
    const int32_t e = byz_saturate(error, -gate.limit - 1, gate.limit);
    return (int16_t)(x > gate.above && x < gate.below ? e : 0);
}

/* A weight after its step; the shift is 2..16, so that stochastic rounding needs no case for others. */
static inline int16_t byz_stepped(int16_t w, int32_t gradient, int32_t shift, uint32_t noise) {
    const int32_t change = (gradient + (int32_t)(noise >> (32 - shift))) >> shift;
    return (int16_t)byz_saturate((int32_t)w - change, -BYZ_WEIGHT_MAX, BYZ_WEIGHT_MAX);
}

static inline int32_t byz_stepped_bias(int32_t b, int32_t gradient, int32_t shift, uint32_t noise) {
    return byz_saturate(b - byz_stochastic_shift(gradient, shift, noise), -BYZ_BIAS_MAX, BYZ_BIAS_MAX);
}

#endif
