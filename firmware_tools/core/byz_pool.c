/* Average pooling over windows that lie side by side: same scale in and out, as TFLite's AVERAGE_POOL_2D. */
#include "byz_layers.h"

/* The sum of n values within -128..127, rounded to their mean half away from zero, as TFLM's reference kernel does it. */
static int32_t mean(int32_t sum, uint32_t n) {
    const uint32_t magnitude = (uint32_t)(sum < 0 ? -sum : sum) + n / 2U; /* n <= 65535: below 2^24 */
    const int32_t quotient = (int32_t)(magnitude / n);
    return sum < 0 ? -quotient : quotient;
}

/* floor((2 e + n) / (2 n)): an equal share of the error, to nearest with ties upwards, for an int16 e and n <= 32767. The
 * offset of 32768 shares keeps the numerator from being negative, and below 2^32. */
static int32_t share(int32_t e, uint32_t n) {
    return (int32_t)(((uint32_t)(2 * e) + n + (n << 16)) / (2U * n)) - 32768;
}

static void forward(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, int8_t *y,
                    const byz_workspace_t *work) {
    (void)weights;
    (void)work;
    const uint32_t channels = layer->channels;
    const uint32_t n = (uint32_t)layer->kernel_height * layer->kernel_width;
    const uint32_t line = (uint32_t)layer->width * channels;
    for (uint32_t oy = 0; oy < layer->out_height; oy++) {
        const int8_t *corner = x + oy * layer->kernel_height * line;
        for (uint32_t ox = 0; ox < layer->out_width; ox++, corner += layer->kernel_width * channels) {
            for (uint32_t c = 0; c < channels; c++) {
                int32_t sum = 0;
                for (uint32_t i = 0; i < layer->kernel_height; i++) {
                    const int8_t *pixel = corner + i * line + c;
                    for (uint32_t j = 0; j < layer->kernel_width; j++) sum += pixel[j * channels];
                }
                *y++ = (int8_t)mean(sum, n);
            }
        }
    }
}

static void backward(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, const int16_t *error,
                     int16_t *below, const byz_workspace_t *work) {
    (void)weights;
    (void)work;
    const uint32_t channels = layer->channels;
    const uint32_t n = (uint32_t)layer->kernel_height * layer->kernel_width;
    const uint32_t line = (uint32_t)layer->width * channels;
    const byz_gate_t gate = byz_gate(layer);
    for (uint32_t i = 0; i < layer->inputs; i++) below[i] = 0; /* a rest at the border is in no window */
    for (uint32_t oy = 0; oy < layer->out_height; oy++) {
        for (uint32_t ox = 0; ox < layer->out_width; ox++) {
            const uint32_t corner = oy * layer->kernel_height * line + ox * layer->kernel_width * channels;
            for (uint32_t c = 0; c < channels; c++) {
                const int32_t e = share(*error++, n);
                for (uint32_t i = 0; i < layer->kernel_height; i++) {
                    const uint32_t row = corner + i * line + c;
                    for (uint32_t j = 0; j < layer->kernel_width; j++) {
                        const uint32_t at = row + j * channels;
                        below[at] = byz_passed(gate, x[at], e);
                    }
                }
            }
        }
    }
}

static void update(const byz_layer_t *layer, const byz_weights_t *weights, const int8_t *x, const int16_t *error,
                   const byz_step_t *step, const byz_workspace_t *work) {
    (void)layer;
    (void)weights;
    (void)x;
    (void)error;
    (void)step;
    (void)work;
}

const byz_ops_t byz_pool = { forward, backward, update };
