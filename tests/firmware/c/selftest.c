/* The core under the sanitizers: training and encoding at the limits of the formats, the crypto and frames at every length.
 *
 * Nothing is compared here (the Python tests do that); undefined behaviour, an overflow or a byte out of bounds ends the
 * program. Prints two hashes over the results, which must not depend on the compiler: of the first network with the crypto and the
 * frames, and of all the others, whole and in parts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "byz_cobs.h"
#include "byz_codes.h"
#include "byz_frame.h"
#include "byz_hmac.h"
#include "byz_scope.h"
#include "byz_sha256.h"
#include "byz_train.h"
#include "generated/byz_networks.h"

static byz_sha256_t results;
static uint32_t counter;

static uint32_t random_word(void) { return byz_draw(counter++, 11, 22); }

static void *exactly(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (p == NULL) abort();
    return p;
}

static void fill_model(const byz_network_t *net, uint8_t *model, int mode) {
    for (uint32_t t = 0; t < net->n_tensors; t++) {
        const byz_tensor_t *tensor = &net->tensors[t];
        for (uint32_t i = 0; i < tensor->elements; i++) {
            const int32_t limit = tensor->is_bias ? 16777215 : 32512;
            const int32_t values[4] = { limit, -limit, i % 2 ? limit : -limit, (int32_t)(random_word() % 8001U) - 4000 };
            if (tensor->is_bias) {
                memcpy(model + tensor->byte_offset + 4 * i, &values[mode], 4);
            } else {
                const int16_t narrow = (int16_t)values[mode];
                memcpy(model + tensor->byte_offset + 2 * i, &narrow, 2);
            }
        }
    }
}

static void train_and_encode(const byz_network_t *net, uint32_t n, int mode, uint8_t lr_shift, int extreme) {
    const size_t bytes = 16 + (size_t)n * (net->features + 1U);
    uint8_t *blob = exactly(bytes);
    uint8_t *global = exactly(net->model_bytes);
    uint8_t *local = exactly(net->model_bytes);
    void *scratch = exactly(byz_train_scratch_bytes(net));
    uint16_t *order = exactly(2U * n);
    byz_dataset_t data;
    byz_train_params_t params = { .seed = 99, .client_id = { 'd' }, .round_num = 3, .epochs = 3, .lr_shift = lr_shift };
    memset(blob, 0, 16);
    memcpy(blob, "BYZD", 4);
    byz_store32(blob + 4, n);
    byz_store16(blob + 8, net->features);
    byz_store16(blob + 10, net->classes);
    for (size_t i = 16; i < bytes; i++) {
        const uint8_t value = (uint8_t)random_word();
        blob[i] = extreme ? (value & 1 ? 0x7F : 0x80) : value;
        if ((i - 16) % (net->features + 1U) == net->features) blob[i] = (uint8_t)(value % net->classes);
    }
    fill_model(net, global, mode);
    memcpy(local, global, net->model_bytes);
    if (byz_dataset_open(blob, bytes, net, &data) != BYZ_OK) abort();
    if (byz_train(net, local, &data, &params, scratch, order, n - 1) != BYZ_ERR_ARGUMENT) abort();
    if (byz_train(net, local, &data, &params, scratch, order, n) != (int)(3 * n)) abort();
    byz_sha256_update(&results, local, net->model_bytes);
    for (int grid = 0; grid < 3; grid++) {
        static const uint32_t bounds[3] = { 0, 1, BYZ_L2_BOUND_MAX };
        const byz_key_t key = { 5, 6 };
        int8_t shifts[32];
        uint8_t *codes = exactly(net->model_bytes);
        memset(shifts, grid == 0 ? 0 : grid == 1 ? 5 : 12, sizeof shifts);
        /* against the other end of the range, so that every difference saturates */
        fill_model(net, codes, (mode + grid) % 4);
        if (byz_encode(net, local, codes, shifts, bounds[(mode + grid) % 3], &key) != BYZ_OK) abort();
        byz_sha256_update(&results, codes, net->d);
        free(codes);
    }
    free(order);
    free(scratch);
    free(local);
    free(global);
    free(blob);
}

static void bytes_of_every_length(void) {
    for (size_t n = 0; n < 600; n++) {
        uint8_t *plain = exactly(n);
        uint8_t *coded = exactly(BYZ_COBS_MAX(n));
        uint8_t mac[32];
        byz_frame_t frame;
        for (size_t i = 0; i < n; i++) plain[i] = (uint8_t)(random_word() % 3U ? random_word() : 0);
        byz_hmac_sha256(plain, n, plain, n, mac);
        byz_sha256_update(&results, mac, 32);
        int length = byz_cobs_encode(plain, n, coded, BYZ_COBS_MAX(n), 0);
        if (length < 0) abort();
        if (byz_cobs_decode(coded, (size_t)length) != (int)n || memcmp(coded, plain, n) != 0) abort();
        /* noise as COBS and as a frame, in every direction: only the bounds matter */
        if (byz_cobs_decode(plain, n) > (int)n) abort();
        if (byz_frame_decode(plain, n, BYZ_TO_DEVICE, 1, 240, &frame) == BYZ_OK) abort();
        if (byz_frame_decode(plain, n, BYZ_FROM_DEVICE, 0, 240, &frame) == BYZ_OK) abort();
        free(coded);
        free(plain);
    }
}

/* The network with everything frozen that is not in the mask; values at their limits or anywhere. */
static void train_a_part(const byz_network_t *whole, uint32_t mask, int mode) {
    size_t bytes = BYZ_BASE_HEADER_BYTES;
    for (uint32_t kind = 0; kind < 2; kind++) {
        for (uint32_t i = 0; i < whole->n_whole; i++) {
            const byz_tensor_t *tensor = &whole->tensors[i];
            if ((mask >> i & 1U) == 0 && tensor->is_bias == (kind == 0)) bytes += tensor->elements * (tensor->is_bias ? 4U : 1U);
        }
    }
    uint8_t *base = exactly(bytes);
    void *memory = exactly(byz_scope_bytes(whole));
    const byz_network_t *net = NULL;
    memset(base, 0, bytes);
    byz_store32(base, BYZ_MAGIC_BASE);
    byz_store16(base + BYZ_BASE_HEADER_TENSORS, whole->n_whole);
    byz_store32(base + BYZ_BASE_HEADER_TRAINABLE, mask);
    memcpy(base + BYZ_BASE_HEADER_LAYOUT_SHA256, whole->layout_sha256, 32);
    if (byz_scope_open(whole, base, bytes - 1, memory, &net) != BYZ_ERR_BASE) abort();
    if (byz_scope_open(whole, base, bytes, memory, &net) != BYZ_OK) abort();
    for (uint32_t t = net->n_tensors; t < net->n_whole; t++) {
        const byz_tensor_t *tensor = &net->tensors[t];
        for (uint32_t i = 0; i < tensor->elements; i++) {
            const int32_t limit = tensor->is_bias ? 16777215 : 127;
            const int32_t value = mode == 0 ? limit : mode == 1 ? -limit : (int32_t)(random_word() % 255U) - 127;
            if (tensor->is_bias) {
                memcpy(base + tensor->byte_offset + 4 * i, &value, 4);
            } else {
                base[tensor->byte_offset + i] = (uint8_t)value;
            }
        }
    }
    if (byz_scope_open(whole, base, bytes, memory, &net) != BYZ_OK) abort();
    byz_sha256_update(&results, net->layout_sha256, 32);
    train_and_encode(net, 3, mode, 4, mode < 2);
    free(memory);
    free(base);
}

static void print_hash(void) {
    uint8_t digest[32];
    byz_sha256_final(&results, digest);
    for (uint32_t i = 0; i < 32; i++) printf("%02x", digest[i]);
    printf("\n");
}

int main(void) {
    byz_sha256_init(&results);
    for (int mode = 0; mode < 4; mode++) {
        for (uint8_t lr_shift = 4; lr_shift <= 14; lr_shift++) train_and_encode(byz_networks[0], 23, mode, lr_shift, mode < 3);
    }
    bytes_of_every_length();
    print_hash();

    byz_sha256_init(&results);
    for (uint32_t i = 0; i < BYZ_NETWORK_COUNT; i++) {
        const byz_network_t *net = byz_networks[i];
        const uint32_t tensors = net->n_whole;
        for (int mode = 0; mode < 4; mode++) {
            if (i != 0) train_and_encode(net, 4, mode, mode % 2 ? 14 : 4, mode < 3);
            train_a_part(net, 3U << (tensors - 2U), mode); /* the last layer */
            train_a_part(net, 0xAAAAAAAAU & ((1U << tensors) - 1U), mode); /* the biases */
            train_a_part(net, 1U, mode); /* the lowest kernel, so that errors go all the way down */
        }
    }
    print_hash();
    return 0;
}
