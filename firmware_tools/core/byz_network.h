/* A network as data: the table that training, inference and encoding walk.
 *
 * The tables are generated from byzantiny_models.networks (generated/byz_networks.{h,c}), so a network exists once. The
 * model is one blob, the layout's tensors in order without padding: int16 Q14 weights (outputs first), int32 biases.
 * The generator refuses a network whose biases would not be 4-aligned, and one whose sums could leave int32.
 */
#ifndef BYZ_NETWORK_H
#define BYZ_NETWORK_H

#include "byz_util.h"

typedef struct {
    uint32_t elements;
    uint32_t flat_offset; /* index of the first element: what the noise is drawn with, where its codes are */
    uint32_t byte_offset; /* in the model blob; of a frozen tensor: in the base */
    uint8_t is_bias;      /* int32 instead of int16 (frozen weights: int8) */
    int8_t frac;          /* fractional bits of the master format */
} byz_tensor_t;

/* What a layer does (byz_layers.h). */
typedef struct byz_ops byz_ops_t;

/* One layer; flattening needs none, since a sample is one flat row throughout (height, width, channel). With the learning
 * rate 2^-k the weight step is SR(sum of error * input, k + weight_step) and the bias step SR(sum of error, k + bias_step):
 * the shifts bring the sums into the master's format (docs/training.md). */
typedef struct {
    const byz_ops_t *ops;  /* null: dense. A pointer, so that the linker leaves out what no table names */
    uint16_t inputs;       /* numbers of a sample that goes in */
    uint16_t outputs;      /* and comes out */
    uint16_t rows;         /* of the kernel: outputs, of a convolution filters; 0 of a pooling */
    uint16_t fan_in;       /* weights of a row */
    int16_t pass_above;    /* backward: a gradient passes to input x where pass_above < x < pass_below */
    int16_t pass_below;
    int16_t below_limit;   /* backward: the error of the layer below is within -limit - 1 .. limit */
    int8_t low;            /* outputs clamp to low..127 */
    uint8_t requant_shift; /* forward: k of byz_requantize */
    uint8_t error_shift;   /* backward: rounding shift of the error handed to the layer below (0 for the first layer) */
    int8_t weight_step;
    int8_t bias_step;
    uint8_t kernel; /* index of the tensor in the whole network */
    uint8_t bias;
    /* The window of a convolution or a pooling; output (y, x) begins at input (y * stride_height - pad_top, ...). */
    uint16_t height;
    uint16_t width;
    uint16_t channels;
    uint16_t out_height;
    uint16_t out_width;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride_height;
    uint16_t stride_width;
    uint16_t pad_top;
    uint16_t pad_left;
} byz_layer_t;

/* Most layers of a table, flattening not counted. */
#define BYZ_LAYERS_MAX 12U

#define BYZ_HEAD_SOFTMAX 0U
#define BYZ_HEAD_SQUARED_ERROR 1U

typedef struct {
    const char *name;
    const byz_layer_t *layers;
    const byz_tensor_t *tensors; /* the layout's, then the frozen ones */
    const uint8_t *places;       /* where tensor i of the whole network is in `tensors`; null: at i */
    const uint8_t *base;         /* what holds the frozen tensors; null: there are none (byz_scope.h) */
    uint16_t n_layers;
    uint16_t n_tensors; /* of the layout */
    uint16_t n_whole;   /* of the whole network */
    uint16_t first;     /* the lowest layer with something to train: errors are computed down to its outputs */
    uint16_t features;
    uint16_t outputs;
    uint16_t classes; /* labels are below it */
    uint8_t head;
    uint32_t d; /* parameters that are trained */
    uint32_t model_bytes;
    uint8_t layout_sha256[32];
} byz_network_t;

#endif
