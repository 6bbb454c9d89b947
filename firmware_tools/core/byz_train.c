/* INT8-SR: one dense layer forward, one backward, and the walk over the table (training.md 3.3 with SPEC 3's formats).
 *
 * Every multiplication is 32 bits wide or narrower. Bounds, for a layer of I inputs and O outputs:
 *   forward    |acc| <= |bias| + I * 127 * 128 <= 2^24 + 65535 * 16256 < 2^30.1, so acc + 1 fits (byz_requantize);
 *   softmax    E <= 65535: E * 128 + S / 2 <= 2^23 + 65535 * O / 2 < 2^31.1 as u32, for O <= 65535;
 *   backward   the error of the logits is within +-127: |sum| <= O * 127 * 127 < 2^30 for O <= 65535. The error of a hidden
 *              layer is int16: |sum| <= O * 127 * 32768 < 2^31 - 32 for O <= 516 (the 32 is what rounding adds), which the
 *              generator checks for networks of more than two layers;
 *   weights    |error * input| <= 32768 * 128 = 2^22, plus noise below 2^16; |w| + 2^20 fits;
 *   biases     |error * 2^0| <= 2^15, |bias| < 2^24.
 *
 * The loops over inputs are innermost, contiguous and free of branches: the compiler vectorises them on the host, and they
 * stay a few dozen bytes of Thumb.
 */
#include "byz_train.h"
#include "byz_fixed.h"
#include "generated/byz_tables.h"
#include "generated/byz_wire.h"

#define ALIGN4(n) (((size_t)(n) + 3U) & ~(size_t)3U)

/* The scratch, cut into pieces. */
typedef struct {
    int32_t *sums;        /* max_units */
    int16_t *error;       /* max_units: of the outputs of the layer at hand */
    int16_t *error_below; /* max_units */
    int8_t *outputs;      /* of every layer, one after the other */
} workspace_t;

static workspace_t cut(const byz_network_t *net, void *scratch) {
    uint8_t *p = scratch;
    workspace_t work;
    work.sums = (int32_t *)(void *)p;
    p += ALIGN4(4U * net->max_units);
    work.error = (int16_t *)(void *)p;
    p += ALIGN4(2U * net->max_units);
    work.error_below = (int16_t *)(void *)p;
    p += ALIGN4(2U * net->max_units);
    work.outputs = (int8_t *)p;
    return work;
}

size_t byz_train_scratch_bytes(const byz_network_t *net) {
    return BYZ_TRAIN_SCRATCH_BYTES((size_t)net->max_units, (size_t)net->hidden_units);
}

static int16_t *weights_of(const byz_network_t *net, const byz_dense_t *layer, void *model) {
    return (int16_t *)(void *)((uint8_t *)model + net->tensors[layer->kernel].byte_offset);
}

static int32_t *biases_of(const byz_network_t *net, const byz_dense_t *layer, void *model) {
    return (int32_t *)(void *)((uint8_t *)model + net->tensors[layer->bias].byte_offset);
}

/* (w + 128) >> 8, the int8 weight of a master weight, written so that the host's compiler sees that 16 bits do: half as many
 * vectors, and the multiply-and-add of pairs. */
static inline int16_t derived(int16_t w) {
    const uint16_t floor = (uint16_t)(w >> 8);
    const uint16_t half = (uint16_t)((uint16_t)w >> 7 & 1U);
    return (int16_t)(uint16_t)(floor + half);
}

/* Runs `statement` with `width` equal to n. On the host the common widths get a copy of their own, in which the compiler knows
 * the trip count: 20 to 30 % more steps a second. A board has no room for copies. */
#if defined(BYZ_NATIVE)
#define FOR_WIDTH(n, statement)         \
    do {                                \
        if ((n) == 64U) {               \
            const uint32_t width = 64U; \
            statement;                  \
        } else if ((n) == 32U) {        \
            const uint32_t width = 32U; \
            statement;                  \
        } else {                        \
            const uint32_t width = (n); \
            statement;                  \
        }                               \
    } while (0)
#define INLINE static inline __attribute__((always_inline))
#else
#define FOR_WIDTH(n, statement)     \
    do {                            \
        const uint32_t width = (n); \
        statement;                  \
    } while (0)
#define INLINE static inline
#endif

INLINE int32_t dot(const int16_t *restrict w, const int8_t *restrict x, uint32_t n) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (int32_t)derived(w[i]) * (int32_t)x[i];
    return sum;
}

INLINE void rows_forward(const int16_t *restrict w, const int32_t *restrict b, const int8_t *restrict x, uint32_t inputs,
                         uint32_t outputs, int32_t *restrict sums) {
    for (uint32_t o = 0; o < outputs; o++) sums[o] = b[o] + dot(w + o * inputs, x, inputs);
}

static void dense_forward(const byz_dense_t *layer, const int16_t *restrict w, const int32_t *restrict b,
                          const int8_t *restrict x, int32_t *restrict sums, int8_t *restrict y) {
    const uint32_t outputs = layer->outputs;
    const int32_t low = layer->relu ? 0 : -128;
    const int32_t k = layer->requant_shift;
    FOR_WIDTH(layer->inputs, rows_forward(w, b, x, width, outputs, sums));
    for (uint32_t o = 0; o < outputs; o++) y[o] = (int8_t)byz_saturate(byz_requantize(sums[o], k), low, 127);
}

/* Runs all layers; the logits are the last outputs. */
static const int8_t *run(const byz_network_t *net, const void *model, const int8_t *x, const workspace_t *work) {
    int8_t *y = work->outputs;
    for (uint32_t l = 0; l < net->n_layers; l++) {
        const byz_dense_t *layer = &net->layers[l];
        const uint8_t *base = model;
        const int16_t *w = (const int16_t *)(const void *)(base + net->tensors[layer->kernel].byte_offset);
        const int32_t *b = (const int32_t *)(const void *)(base + net->tensors[layer->bias].byte_offset);
        dense_forward(layer, w, b, x, work->sums, y);
        x = y;
        y += layer->outputs;
    }
    return x;
}

void byz_forward(const byz_network_t *net, const void *model, const int8_t *x, void *scratch, int8_t *logits) {
    const workspace_t work = cut(net, scratch);
    byz_copy(logits, run(net, model, x, &work), net->classes);
}

void byz_softmax_error(const int8_t *logits, uint32_t classes, uint32_t label, int16_t *error) {
    int32_t top = logits[0];
    uint32_t total = 0;
    for (uint32_t c = 1; c < classes; c++) top = logits[c] > top ? logits[c] : top;
    for (uint32_t c = 0; c < classes; c++) total += byz_exp[top - logits[c]];
    for (uint32_t c = 0; c < classes; c++) {
        const uint32_t p = ((uint32_t)byz_exp[top - logits[c]] * 128U + total / 2U) / total;
        error[c] = (int16_t)((p < 127U ? (int32_t)p : 127) - (c == label ? 127 : 0));
    }
}

/* The error of the layer below, through the weights as they were in the forward pass. */
INLINE void rows_backward(const int16_t *restrict w, const int8_t *restrict x, const int16_t *restrict error, uint32_t inputs,
                          uint32_t outputs, int32_t k, int32_t *restrict sums, int16_t *restrict below) {
    for (uint32_t i = 0; i < inputs; i++) sums[i] = 0;
    for (uint32_t o = 0; o < outputs; o++) {
        const int16_t *restrict row = w + o * inputs;
        const int32_t e = error[o];
        if (e == 0) continue;
        for (uint32_t i = 0; i < inputs; i++) sums[i] += e * derived(row[i]);
    }
    for (uint32_t i = 0; i < inputs; i++) {
        const int32_t e = byz_saturate(byz_rounding_shift(sums[i], k), -32768, 32767);
        below[i] = (int16_t)(x[i] > 0 && x[i] < 127 ? e : 0); /* the derivative of the clamp to 0..127 */
    }
}

static void dense_backward(const byz_dense_t *layer, const int16_t *restrict w, const int8_t *restrict x,
                           const int16_t *restrict error, int32_t *restrict sums, int16_t *restrict below) {
    FOR_WIDTH(layer->inputs, rows_backward(w, x, error, width, layer->outputs, layer->error_shift, sums, below));
}

INLINE void update_row(int16_t *restrict w, const int8_t *restrict x, uint32_t n, int32_t error, int32_t shift,
                              uint32_t index, byz_key_t step) {
    for (uint32_t i = 0; i < n; i++) {
#if defined(BYZ_SKIP_ZERO_INPUTS) /* saves the noise on a microcontroller; on the host it would stop the vectoriser */
        if (x[i] == 0) continue;
#endif
        const uint32_t noise = byz_draw_upper(index + i, step.k0, step.k1);
        const int32_t change = (error * x[i] + (int32_t)(noise >> (32 - shift))) >> shift;
        w[i] = (int16_t)byz_saturate(w[i] - change, -BYZ_WEIGHT_MAX, BYZ_WEIGHT_MAX);
    }
}

static void update_biases(int32_t *restrict b, const int16_t *restrict error, uint32_t n, int32_t shift, uint32_t index,
                          byz_key_t step) {
    for (uint32_t o = 0; o < n; o++) {
#if defined(BYZ_SKIP_ZERO_INPUTS)
        if (error[o] == 0) continue;
#endif
        const int32_t change = byz_stochastic_shift(error[o], shift, byz_draw_upper(index + o, step.k0, step.k1));
        b[o] = byz_saturate(b[o] - change, -BYZ_BIAS_MAX, BYZ_BIAS_MAX);
    }
}

/* A row whose error is 0 is left out: SR(0, s) is 0 whatever the noise, so this is exact. Most rows are, soon. */
static void dense_update(const byz_network_t *net, const byz_dense_t *layer, void *model, const int8_t *x,
                         const int16_t *error, int32_t lr_shift, byz_key_t step) {
    int16_t *w = weights_of(net, layer, model);
    int32_t *b = biases_of(net, layer, model);
    const uint32_t inputs = layer->inputs;
    const uint32_t kernel_at = net->tensors[layer->kernel].flat_offset;
    const uint32_t bias_at = net->tensors[layer->bias].flat_offset;
    const int32_t weight_shift = lr_shift + layer->weight_step;
    const int32_t bias_shift = lr_shift + layer->bias_step;
    for (uint32_t o = 0; o < layer->outputs; o++) {
        if (error[o] == 0) continue;
        FOR_WIDTH(inputs, update_row(w + o * width, x, width, error[o], weight_shift, kernel_at + o * width, step));
    }
    update_biases(b, error, layer->outputs, bias_shift, bias_at, step);
}

static void train_step(const byz_network_t *net, void *model, const int8_t *sample, uint32_t label, int32_t lr_shift,
                       byz_key_t step, const workspace_t *work) {
    const int8_t *y = run(net, model, sample, work);
    int16_t *error = work->error;
    int16_t *below = work->error_below;
    byz_softmax_error(y, net->classes, label, error);
    for (uint32_t l = net->n_layers; l-- > 0;) {
        const byz_dense_t *layer = &net->layers[l];
        const int8_t *x = l == 0 ? sample : y - layer->inputs;
        if (l > 0) dense_backward(layer, weights_of(net, layer, model), x, error, work->sums, below);
        dense_update(net, layer, model, x, error, lr_shift, step);
        int16_t *swap = error;
        error = below;
        below = swap;
        y = x;
    }
}

void byz_sample_order(uint16_t *order, uint32_t n, uint32_t epoch, byz_key_t key) {
    for (uint32_t i = 0; i < n; i++) order[i] = (uint16_t)i;
    for (uint32_t i = n; i-- > 1;) {
        /* (draw >> 16) < 2^16 and i + 1 <= 65535: the product fits, and j <= i. */
        const uint32_t j = ((byz_draw_upper((epoch << 16) + i, key.k0, key.k1) >> 16) * (i + 1)) >> 16;
        const uint16_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

int byz_model_check(const byz_network_t *net, const void *model) {
    int32_t beyond = 0;
    for (uint32_t t = 0; t < net->n_tensors; t++) {
        const byz_tensor_t *tensor = &net->tensors[t];
        const void *base = (const uint8_t *)model + tensor->byte_offset;
        if (tensor->is_bias) {
            const int32_t *b = base;
            for (uint32_t i = 0; i < tensor->elements; i++) beyond |= (b[i] > BYZ_BIAS_MAX) | (b[i] < -BYZ_BIAS_MAX);
        } else {
            const int16_t *w = base;
            for (uint32_t i = 0; i < tensor->elements; i++) beyond |= (w[i] > BYZ_WEIGHT_MAX) | (w[i] < -BYZ_WEIGHT_MAX);
        }
    }
    return beyond ? BYZ_ERR_RANGE : BYZ_OK;
}

int byz_dataset_open(const uint8_t *blob, size_t bytes, const byz_network_t *net, byz_dataset_t *out) {
    if (bytes < BYZ_DATASET_HEADER_BYTES || byz_load32(blob + BYZ_DATASET_HEADER_MAGIC) != BYZ_MAGIC_DATASET) {
        return BYZ_ERR_DATASET;
    }
    const uint32_t n = byz_load32(blob + BYZ_DATASET_HEADER_N);
    if (n < 1 || n > 65535U || byz_load16(blob + BYZ_DATASET_HEADER_FEATURES) != net->features
        || byz_load16(blob + BYZ_DATASET_HEADER_CLASSES) != net->classes || byz_load32(blob + BYZ_DATASET_HEADER_ZERO) != 0) {
        return BYZ_ERR_DATASET;
    }
    const uint32_t stride = net->features + 1U;
    if (bytes - BYZ_DATASET_HEADER_BYTES != n * stride) return BYZ_ERR_DATASET; /* 65535 * 65536 fits 32 bits */
    for (uint32_t i = 0; i < n; i++) {
        if (blob[BYZ_DATASET_HEADER_BYTES + i * stride + net->features] >= net->classes) return BYZ_ERR_DATASET;
    }
    out->rows = blob + BYZ_DATASET_HEADER_BYTES;
    out->n = n;
    out->stride = stride;
    return BYZ_OK;
}

int byz_train(const byz_network_t *net, void *model, const byz_dataset_t *data, const byz_train_params_t *params,
              void *scratch, uint16_t *order, uint32_t order_capacity) {
    const workspace_t work = cut(net, scratch);
    const int32_t lr_shift = params->lr_shift;
    byz_key_t order_key;
    byz_key_t train_key;
    uint32_t step = 0;
    if (lr_shift < BYZ_LR_SHIFT_MIN || lr_shift > BYZ_LR_SHIFT_MAX || data->n > order_capacity) return BYZ_ERR_ARGUMENT;
    const int status = byz_model_check(net, model);
    if (status != BYZ_OK) return status;
    byz_key(&order_key, params->seed, params->client_id, params->round_num, BYZ_STREAM_SAMPLE_ORDER);
    byz_key(&train_key, params->seed, params->client_id, params->round_num, BYZ_STREAM_TRAINING);
    for (uint32_t epoch = 0; epoch < params->epochs; epoch++) {
        byz_sample_order(order, data->n, epoch, order_key);
        for (uint32_t i = 0; i < data->n; i++, step++) {
            const uint8_t *row = data->rows + (size_t)order[i] * data->stride;
            train_step(net, model, (const int8_t *)row, row[net->features], lr_shift, byz_step_key(train_key, step), &work);
        }
    }
    return (int)step; /* at most 255 * 65535 */
}
