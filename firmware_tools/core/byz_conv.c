/* A convolution: forward, backward, update (bounds: byz_layers.h). A 1-D one is of height 1.
 *
 * Forward, a position's inputs are copied side by side, and the filters are the rows of a dense layer on that patch. The
 * int8 weights are derived from the masters once a pass, into scratch: a weight is used at every position. Backward, each
 * input pixel gathers from the outputs it was seen by, so that the 32-bit sums are those of one pixel: pushing from the
 * outputs would need them for the whole image. The gradient is summed up a filter at a time for the same reason.
 */
#include "byz_layers.h"

/* The int8 weights, frozen or derived. */
static const int8_t *int8_weights(const byz_layer_t *layer, const byz_weights_t *weights, const byz_workspace_t *work) {
    if (weights->frozen != NULL) return weights->frozen;
    const int16_t *restrict masters = weights->masters;
    int8_t *restrict derived = work->weights;
    const uint32_t n = (uint32_t)layer->rows * layer->fan_in;
    for (uint32_t i = 0; i < n; i++) derived[i] = (int8_t)byz_derived(masters[i]);
    return derived;
}

/* The part of the kernel that lies within the image: [first, end) of `kernel` taps whose first is at `begin` of `size`. */
static void clip(int32_t begin, uint32_t kernel, uint32_t size, uint32_t *first, uint32_t *end) {
    const int32_t rest = (int32_t)size - begin;
    *first = begin < 0 ? (uint32_t)-begin : 0;
    *end = rest < (int32_t)kernel ? (rest > 0 ? (uint32_t)rest : 0) : kernel;
    if (*first > *end) *first = *end;
}

/* Where a window stands. */
typedef struct {
    int32_t y; /* of its first row and column in the image: may be outside */
    int32_t x;
    uint32_t first_row; /* the rows and columns of the kernel that are inside */
    uint32_t end_row;
    uint32_t first_column;
    uint32_t end_column;
} stand_t;

static void stand_at(const byz_layer_t *layer, uint32_t oy, uint32_t ox, stand_t *at) {
    at->y = (int32_t)(oy * layer->stride_height) - layer->pad_top;
    at->x = (int32_t)(ox * layer->stride_width) - layer->pad_left;
    clip(at->y, layer->kernel_height, layer->height, &at->first_row, &at->end_row);
    clip(at->x, layer->kernel_width, layer->width, &at->first_column, &at->end_column);
}

/* The first pixel of a kernel row that lies inside. */
static const int8_t *inside(const byz_layer_t *layer, const int8_t *image, const stand_t *at, uint32_t row) {
    const uint32_t pixel = (uint32_t)(at->y + (int32_t)row) * layer->width + (uint32_t)(at->x + (int32_t)at->first_column);
    return image + pixel * layer->channels;
}

static void fill_patch(const byz_layer_t *layer, const int8_t *restrict image, const stand_t *at, int8_t *restrict patch) {
    const uint32_t row_bytes = (uint32_t)layer->kernel_width * layer->channels;
    const uint32_t before = at->first_column * layer->channels;
    const uint32_t bytes = (at->end_column - at->first_column) * layer->channels;
    if (bytes != row_bytes || at->first_row != 0 || at->end_row != layer->kernel_height) byz_fill(patch, 0, layer->fan_in);
    for (uint32_t row = at->first_row; row < at->end_row; row++) {
        const int8_t *restrict from = inside(layer, image, at, row);
        int8_t *restrict to = patch + row * row_bytes + before;
        for (uint32_t i = 0; i < bytes; i++) to[i] = from[i];
    }
}

static void forward(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, int8_t *y,
                    const byz_workspace_t *work) {
    const int8_t *w8 = int8_weights(layer, weights, work);
    const uint32_t rows = layer->rows;
    for (uint32_t oy = 0; oy < layer->out_height; oy++) {
        for (uint32_t ox = 0; ox < layer->out_width; ox++) {
            stand_t at;
            stand_at(layer, oy, ox, &at);
            fill_patch(layer, x, &at, work->patch);
            BYZ_FOR_WIDTH(layer->fan_in, 72U, 40U, byz_rows_forward(w8, weights->bias, work->patch, width, rows, work->sums));
            for (uint32_t o = 0; o < rows; o++) y[o] = byz_output(layer, work->sums[o]);
            y += rows;
        }
    }
}

/* Adds to `sums` what the outputs that see pixel (iy, ix) hand to its channels. Output oy sees row iy with kernel row
 * iy + pad_top - oy * stride: the rows of one remainder, from the lowest up, belong to outputs from the last down. */
BYZ_INLINE void gather_error(const byz_layer_t *layer, const int8_t *restrict w8, const int16_t *restrict error, uint32_t iy,
                             uint32_t ix, uint32_t channels, int32_t *restrict sums) {
    const uint32_t rows = layer->rows;
    const uint32_t fan_in = layer->fan_in;
    const uint32_t last_y = (iy + layer->pad_top) / layer->stride_height;
    const uint32_t last_x = (ix + layer->pad_left) / layer->stride_width;
    const uint32_t first_ky = iy + layer->pad_top - last_y * layer->stride_height;
    const uint32_t first_kx = ix + layer->pad_left - last_x * layer->stride_width;
    for (uint32_t c = 0; c < channels; c++) sums[c] = 0;
    for (uint32_t ky = first_ky, dy = 0; ky < layer->kernel_height && dy <= last_y; ky += layer->stride_height, dy++) {
        if (last_y - dy >= layer->out_height) continue;
        for (uint32_t kx = first_kx, dx = 0; kx < layer->kernel_width && dx <= last_x; kx += layer->stride_width, dx++) {
            if (last_x - dx >= layer->out_width) continue;
            const uint32_t position = (last_y - dy) * layer->out_width + last_x - dx;
            const uint32_t tap = (ky * layer->kernel_width + kx) * channels;
            byz_rows_backward(w8 + tap, error + position * rows, channels, rows, fan_in, sums);
        }
    }
}

static void backward(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, const int16_t *error,
                     int16_t *below, const byz_workspace_t *work) {
    const int8_t *w8 = int8_weights(layer, weights, work);
    const byz_gate_t gate = byz_gate(layer);
    const uint32_t channels = layer->channels;
    int32_t *sums = work->sums;
    for (uint32_t iy = 0; iy < layer->height; iy++) {
        for (uint32_t ix = 0; ix < layer->width; ix++) {
            BYZ_FOR_WIDTH(channels, 8U, 16U, gather_error(layer, w8, error, iy, ix, width, sums));
            for (uint32_t c = 0; c < channels; c++) {
                below[c] = byz_passed(gate, x[c], byz_rounding_shift(sums[c], layer->error_shift));
            }
            x += channels;
            below += channels;
        }
    }
}

/* Adds error * input over the window to the filter's gradient. */
BYZ_INLINE void add_gradient(const byz_layer_t *layer, const int8_t *restrict image, const stand_t *at, int32_t error,
                             uint32_t row_width, int32_t *restrict sums) {
    const uint32_t before = at->first_column * layer->channels;
    const uint32_t inputs = (at->end_column - at->first_column) * layer->channels;
    for (uint32_t row = at->first_row; row < at->end_row; row++) {
        const int8_t *restrict from = inside(layer, image, at, row);
        int32_t *restrict to = sums + row * row_width + before;
        if (inputs == row_width) { /* all of them, as it mostly is: the host's compiler knows how many */
            for (uint32_t i = 0; i < row_width; i++) to[i] += error * (int32_t)from[i];
        } else {
            for (uint32_t i = 0; i < inputs; i++) to[i] += error * (int32_t)from[i];
        }
    }
}

/* The gradient of filter o, summed over its positions into work->sums; the sum of its errors is returned, and *any is set if
 * one is not 0. */
static int32_t filter_gradient(const byz_layer_t *layer, const int8_t *x, const int16_t *error, uint32_t o,
                               const byz_workspace_t *work, int *any) {
    const uint32_t row_width = (uint32_t)layer->kernel_width * layer->channels;
    int32_t *sums = work->sums;
    int32_t total = 0;
    for (uint32_t i = 0; i < layer->fan_in; i++) sums[i] = 0;
    error += o;
    for (uint32_t oy = 0; oy < layer->out_height; oy++) {
        for (uint32_t ox = 0; ox < layer->out_width; ox++, error += layer->rows) {
            const int32_t e = *error;
            stand_t at;
            if (e == 0) continue;
            *any = 1;
            total += e;
            stand_at(layer, oy, ox, &at);
            BYZ_FOR_WIDTH(row_width, 24U, 40U, add_gradient(layer, x, &at, e, width, sums));
        }
    }
    return total;
}

/* One stochastic rounding per weight and sample, of the sum over the positions. */
static void update(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, const int16_t *error,
                   const byz_step_t *step, const byz_workspace_t *work) {
    const int32_t weight_shift = step->lr_shift + layer->weight_step;
    const int32_t bias_shift = step->lr_shift + layer->bias_step;
    const uint32_t fan_in = layer->fan_in;
    const byz_key_t key = step->key;
    for (uint32_t o = 0; o < layer->rows; o++) {
        int any = 0;
        const int32_t total = filter_gradient(layer, x, error, o, work, &any);
        if (!any) continue; /* SR(0, s) is 0 whatever the noise */
        if (weights->masters != NULL) {
            int16_t *restrict w = weights->masters + o * fan_in;
            const int32_t *restrict sums = work->sums;
            const uint32_t index = weights->kernel_at + o * fan_in;
            for (uint32_t i = 0; i < fan_in; i++) {
#if defined(BYZ_SKIP_ZERO_INPUTS)
                if (sums[i] == 0) continue;
#endif
                w[i] = byz_stepped(w[i], sums[i], weight_shift, byz_draw_upper(index + i, key.k0, key.k1));
            }
        }
        if (weights->trained_bias != NULL) {
            const uint32_t noise = byz_draw_upper(weights->bias_at + o, key.k0, key.k1);
            weights->trained_bias[o] = byz_stepped_bias(weights->trained_bias[o], total, bias_shift, noise);
        }
    }
}

const byz_ops_t byz_conv = { forward, backward, update };
