/* A network as data: the table that training, inference and encoding walk.
 *
 * The tables are generated from byzantiny_models.networks (generated/byz_networks.{h,c}), so a network exists once. The
 * model is one blob, the layout's tensors in order without padding: int16 Q14 weights (outputs x inputs), int32 biases.
 * The generator refuses a network whose biases would not be 4-aligned.
 */
#ifndef BYZ_NETWORK_H
#define BYZ_NETWORK_H

#include "byz_util.h"

typedef struct {
    uint32_t elements;
    uint32_t flat_offset; /* index of the first element: what the noise is drawn with, where its codes are */
    uint32_t byte_offset; /* in the model blob */
    uint8_t is_bias;      /* int32 instead of int16 */
    int8_t frac;          /* fractional bits of the master format */
} byz_tensor_t;

/* One dense layer. With the learning rate 2^-k the weight step is SR(error * input, k + weight_step) and the bias step
 * SR(error, k + bias_step): the shifts bring the product into the master's format (training.md 3.3). */
typedef struct {
    uint16_t inputs;
    uint16_t outputs;
    uint8_t relu;          /* clamp to 0..127, otherwise -128..127 */
    uint8_t requant_shift; /* forward: k of byz_requantize */
    uint8_t error_shift;   /* backward: rounding shift of the error handed to the layer below (0 for the first layer) */
    int8_t weight_step;
    int8_t bias_step;
    uint8_t kernel; /* index of the tensor */
    uint8_t bias;   /* index of the tensor */
} byz_dense_t;

typedef struct {
    const char *name;
    const byz_dense_t *layers;
    const byz_tensor_t *tensors;
    uint16_t n_layers;
    uint16_t n_tensors;
    uint16_t features;
    uint16_t classes;
    uint16_t max_units;    /* the widest layer output */
    uint16_t hidden_units; /* outputs of all layers but the last */
    uint32_t d;            /* parameters */
    uint32_t model_bytes;
    uint8_t layout_sha256[32];
} byz_network_t;

#endif
