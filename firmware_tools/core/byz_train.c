/* INT8-SR: the walk over the layers, the two heads, the order of the samples (docs/training.md; the layers: byz_layers.h).
 *
 * Bounds of the softmax: E <= 65535: E * 128 + S / 2 <= 2^23 + 65535 * O / 2 < 2^31.1 as u32, for O <= 65535 outputs.
 */
#include "byz_attack.h"
#include "byz_train.h"
#include "byz_layers.h"
#include "generated/byz_tables.h"
#include "generated/byz_wire.h"

/* How much of each the scratch holds. */
typedef struct {
    size_t sums;
    size_t weights;
    size_t patch;
    size_t errors;
    size_t outputs;
} demand_t;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static void measure(const byz_network_t *net, demand_t *demand) {
    byz_fill(demand, 0, sizeof *demand);
    for (uint32_t l = 0; l < net->n_layers; l++) {
        const byz_layer_t *layer = &net->layers[l];
        const uint32_t below = l > net->first ? layer->inputs : 0U;
        if (layer->ops == NULL) {
            demand->sums = larger(demand->sums, larger(layer->outputs, below));
        } else if (layer->rows != 0) {
            demand->sums = larger(demand->sums, larger(layer->rows, larger(layer->fan_in, layer->channels)));
            demand->weights = larger(demand->weights, (size_t)layer->rows * layer->fan_in);
            demand->patch = larger(demand->patch, layer->fan_in);
        }
        if (l >= net->first) demand->errors = larger(demand->errors, layer->outputs + below);
        demand->outputs += layer->outputs;
    }
}

size_t byz_train_scratch_bytes(const byz_network_t *net) {
    demand_t demand;
    measure(net, &demand);
    return 4U * demand.sums + BYZ_ALIGN4(demand.weights) + BYZ_ALIGN4(demand.patch) + BYZ_ALIGN4(2U * demand.errors) +
           BYZ_ALIGN4(demand.outputs);
}

static byz_workspace_t cut(const byz_network_t *net, void *scratch) {
    uint8_t *p = scratch;
    byz_workspace_t work;
    demand_t demand;
    measure(net, &demand);
    work.sums = (int32_t *)(void *)p;
    p += 4U * demand.sums;
    work.weights = (int8_t *)p;
    p += BYZ_ALIGN4(demand.weights);
    work.patch = (int8_t *)p;
    p += BYZ_ALIGN4(demand.patch);
    work.errors = (int16_t *)(void *)p;
    work.errors_count = demand.errors;
    p += BYZ_ALIGN4(2U * demand.errors);
    work.outputs = (int8_t *)p;
    return work;
}

/* Where a layer's parameters lie. Inference passes a model that it only reads. */
static byz_weights_t locate(const byz_network_t *net, const byz_layer_t *layer, const void *model) {
    byz_weights_t weights = { NULL, NULL, NULL, NULL, 0, 0 };
    if (layer->rows == 0) return weights;
    uint8_t *blob = (uint8_t *)(uintptr_t)model;
    const uint32_t kernel = net->places == NULL ? layer->kernel : net->places[layer->kernel];
    const uint32_t bias = net->places == NULL ? layer->bias : net->places[layer->bias];
    const byz_tensor_t *tensors = net->tensors;
    weights.kernel_at = tensors[kernel].flat_offset;
    weights.bias_at = tensors[bias].flat_offset;
    if (kernel < net->n_tensors) {
        weights.masters = (int16_t *)(void *)(blob + tensors[kernel].byte_offset);
    } else {
        weights.frozen = (const int8_t *)(net->base + tensors[kernel].byte_offset);
    }
    if (bias < net->n_tensors) {
        weights.trained_bias = (int32_t *)(void *)(blob + tensors[bias].byte_offset);
        weights.bias = weights.trained_bias;
    } else {
        weights.bias = (const int32_t *)(const void *)(net->base + tensors[bias].byte_offset);
    }
    return weights;
}

static void locate_all(const byz_network_t *net, const void *model, byz_weights_t weights[BYZ_LAYERS_MAX]) {
    for (uint32_t l = 0; l < net->n_layers; l++) weights[l] = locate(net, &net->layers[l], model);
}

/* Runs all layers; the network's outputs are the last. */
static const int8_t *run(const byz_network_t *net, const byz_weights_t *weights, const int8_t *x, const byz_workspace_t *work) {
    int8_t *y = work->outputs;
    for (uint32_t l = 0; l < net->n_layers; l++) {
        const byz_layer_t *layer = &net->layers[l];
        if (layer->ops == NULL) {
            byz_dense_forward(layer, &weights[l], x, y, work);
        } else {
            layer->ops->forward(layer, &weights[l], x, y, work);
        }
        x = y;
        y += layer->outputs;
    }
    return x;
}

void byz_forward(const byz_network_t *net, const void *model, const int8_t *x, void *scratch, int8_t *outputs) {
    const byz_workspace_t work = cut(net, scratch);
    byz_weights_t weights[BYZ_LAYERS_MAX];
    locate_all(net, model, weights);
    byz_copy(outputs, run(net, weights, x, &work), net->outputs);
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

void byz_squared_error(const int8_t *outputs, const int8_t *target, uint32_t n, int16_t *error) {
    for (uint32_t i = 0; i < n; i++) error[i] = (int16_t)byz_saturate(2 * ((int32_t)outputs[i] - target[i]), -127, 127);
}

/* The errors of two neighbouring layers lie at the two ends of one buffer, those of the next pair the other way round. */
static void train_step(const byz_network_t *net, const byz_weights_t *weights, const int8_t *sample, uint32_t label, const byz_step_t *step,
                       const byz_workspace_t *work) {
    const int8_t *y = run(net, weights, sample, work);
    int16_t *error = work->errors;
    if (net->head == BYZ_HEAD_SOFTMAX) {
        byz_softmax_error(y, net->outputs, label, error);
    } else {
        byz_squared_error(y, sample, net->outputs, error);
    }
    for (uint32_t l = net->n_layers; l-- > net->first;) {
        const byz_layer_t *layer = &net->layers[l];
        const int8_t *x = l == 0 ? sample : y - layer->inputs;
        int16_t *below = error; /* of the lowest trained layer nothing is handed on */
        if (l > net->first) below = error == work->errors ? work->errors + (work->errors_count - layer->inputs) : work->errors;
        if (layer->ops == NULL) {
            if (l > net->first) byz_dense_backward(layer, &weights[l], x, error, below, work);
            byz_dense_update(layer, &weights[l], x, error, step, work);
        } else {
            if (l > net->first) layer->ops->backward(layer, &weights[l], x, error, below, work);
            layer->ops->update(layer, &weights[l], x, error, step, work);
        }
        error = below;
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

#if defined(BYZ_MEASURED)
static volatile uint32_t byz_measured; /* so that the loop of a measuring image does what the loop around training does */
#endif

int byz_train(const byz_network_t *net, void *model, const byz_dataset_t *data, const byz_train_params_t *params,
              void *scratch, uint16_t *order, uint32_t order_capacity) {
    const byz_workspace_t work = cut(net, scratch);
    byz_weights_t weights[BYZ_LAYERS_MAX];
    byz_step_t now;
    byz_key_t order_key;
    byz_key_t train_key;
    uint32_t step = 0;
#if BYZ_ATTACK == BYZ_ATTACK_BACKDOOR
    int8_t room[BYZ_ATTACK_MAX_FEATURES];
#else
    int8_t *const room = NULL;
#endif
    if (params->lr_shift < BYZ_LR_SHIFT_MIN || params->lr_shift > BYZ_LR_SHIFT_MAX || data->n > order_capacity) {
        return BYZ_ERR_ARGUMENT;
    }
    const int status = byz_model_check(net, model);
    if (status != BYZ_OK) return status;
    byz_key(&order_key, params->seed, params->client_id, params->round_num, BYZ_STREAM_SAMPLE_ORDER);
    byz_key(&train_key, params->seed, params->client_id, params->round_num, BYZ_STREAM_TRAINING);
    locate_all(net, model, weights);
    now.lr_shift = params->lr_shift;
    for (uint32_t epoch = 0; epoch < params->epochs; epoch++) {
        byz_sample_order(order, data->n, epoch, order_key);
        for (uint32_t i = 0; i < data->n; i++, step++) {
            const uint8_t *row = data->rows + (size_t)order[i] * data->stride;
            now.key = byz_step_key(train_key, step);
#if defined(BYZ_MEASURED)
            /* A measuring image, never a device's: what lies between the markers is the loop and, where asked for, an inference. */
            byz_measured = now.key.k0 ^ row[net->features];
            if (BYZ_MEASURED) (void)run(net, weights, (const int8_t *)row, &work);
            (void)train_step;
#else
            uint32_t label = row[net->features];
            const int8_t *sample = byz_attack_sample(row, net->features, net->classes, order[i], room, &label);
            train_step(net, weights, sample, label, &now, &work);
#endif
        }
    }
    return (int)step; /* at most 255 * 65535 */
}
