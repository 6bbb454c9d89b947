/* INT8-SR training and inference (DESIGN 4, SPEC 3): integers only, batch 1, rank-1 updates in place.
 *
 * Bit for bit what byzantiny_models.training computes. The caller owns all memory: the model is trained where it lies,
 * the data set is read where it lies (flash, a mapped file), and the scratch is as large as byz_train_scratch_bytes says.
 */
#ifndef BYZ_TRAIN_H
#define BYZ_TRAIN_H

#include "byz_network.h"
#include "byz_rng.h"

#define BYZ_LR_SHIFT_MIN 4
#define BYZ_LR_SHIFT_MAX 14

typedef struct {
    const uint8_t *rows; /* n rows of int8 features and one u8 label, not copied */
    uint32_t n;
    uint32_t stride;     /* bytes of a row */
} byz_dataset_t;

typedef struct {
    uint64_t seed;
    uint8_t client_id[16];
    uint32_t round_num;
    uint8_t epochs;
    uint8_t lr_shift;
} byz_train_params_t;

/* Checks a BYZD blob (docs/wire.md 3): magic, sizes, that it fits the network, and every label. 1..65535 rows.
 * BYZ_ERR_DATASET otherwise. */
BYZ_CHECK int byz_dataset_open(const uint8_t *blob, size_t bytes, const byz_network_t *net, byz_dataset_t *out);

/* Bytes of scratch (4-aligned) that byz_train and byz_forward need. */
size_t byz_train_scratch_bytes(const byz_network_t *net);

/* Bounded by every network the core is generated with: for static buffers on a board. */
#define BYZ_TRAIN_SCRATCH_BYTES(max_units, hidden_units) \
    (((4U * (max_units) + 3U) & ~3U) + 2U * ((2U * (max_units) + 3U) & ~3U) + (((hidden_units) + (max_units) + 3U) & ~3U))

/* Trains `model` (the blob, 4-aligned) in place: `epochs` passes over the data, every epoch in its own order.
 * `order` is room for one u16 a row. Returns the number of steps (epochs * n); BYZ_ERR_ARGUMENT (learning rate, or
 * `order_capacity` below n), or BYZ_ERR_RANGE if a parameter of the model exceeds its format, before anything is changed. */
BYZ_CHECK int byz_train(const byz_network_t *net, void *model, const byz_dataset_t *data, const byz_train_params_t *params,
                        void *scratch, uint16_t *order, uint32_t order_capacity);

/* The logits (int8 Q3, `classes` of them) of one sample. */
void byz_forward(const byz_network_t *net, const void *model, const int8_t *x, void *scratch, int8_t *logits);

/* The order of the samples in one epoch: Fisher-Yates downwards from the identity (SPEC 2). */
void byz_sample_order(uint16_t *order, uint32_t n, uint32_t epoch, byz_key_t key);

/* The error at the logits: e = p - 127 [y], int16 Q7 within +-127. */
void byz_softmax_error(const int8_t *logits, uint32_t classes, uint32_t label, int16_t *error);

/* BYZ_OK, or BYZ_ERR_RANGE if a weight exceeds +-32512 or a bias +-(2^24 - 1). */
BYZ_CHECK int byz_model_check(const byz_network_t *net, const void *model);

#endif
