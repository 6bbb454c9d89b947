/* Reads a base and derives the network that is left to train. Nothing in the base is believed before it is compared. */
#include "byz_scope.h"

#include "byz_fixed.h"
#include "byz_sha256.h"
#include "generated/byz_wire.h"

/* Writes where the tensors lie that this mask trains, and those it freezes; returns the length of such a base. */
static size_t lay_out(const byz_network_t *whole, uint32_t mask, byz_network_t *network, byz_tensor_t *tensors,
                      uint8_t *places) {
    uint32_t at = BYZ_BASE_HEADER_BYTES;
    uint32_t trained = 0;
    for (uint32_t i = 0; i < whole->n_whole; i++) trained += mask >> i & 1U;
    uint32_t frozen = trained;
    network->n_tensors = (uint16_t)trained;
    network->d = 0;
    network->model_bytes = 0;
    trained = 0;
    for (uint32_t kind = 0; kind < 2; kind++) { /* frozen biases before frozen kernels; the layout in its own order */
        for (uint32_t i = 0; i < whole->n_whole; i++) {
            byz_tensor_t tensor = whole->tensors[i];
            if ((mask >> i & 1U) != 0) {
                if (kind != 0) continue;
                tensor.flat_offset = network->d;
                tensor.byte_offset = network->model_bytes;
                network->d += tensor.elements;
                network->model_bytes += tensor.elements * (tensor.is_bias ? 4U : 2U);
                places[i] = (uint8_t)trained;
                tensors[trained++] = tensor;
            } else if (tensor.is_bias == (kind == 0)) {
                tensor.byte_offset = at;
                at += tensor.elements * (tensor.is_bias ? 4U : 1U);
                places[i] = (uint8_t)frozen;
                tensors[frozen++] = tensor;
            }
        }
    }
    return at;
}

static int check_values(const byz_network_t *network) {
    int32_t beyond = 0;
    for (uint32_t t = network->n_tensors; t < network->n_whole; t++) {
        const byz_tensor_t *tensor = &network->tensors[t];
        if (tensor->is_bias) {
            const int32_t *b = (const int32_t *)(const void *)(network->base + tensor->byte_offset);
            for (uint32_t i = 0; i < tensor->elements; i++) beyond |= (b[i] > BYZ_BIAS_MAX) | (b[i] < -BYZ_BIAS_MAX);
        } else {
            const int8_t *w = (const int8_t *)(network->base + tensor->byte_offset);
            for (uint32_t i = 0; i < tensor->elements; i++) beyond |= w[i] < -127;
        }
    }
    return beyond ? BYZ_ERR_RANGE : BYZ_OK;
}

static uint32_t first_trained(const byz_network_t *network) {
    uint32_t l = 0;
    while (network->layers[l].rows == 0 || (network->places[network->layers[l].kernel] >= network->n_tensors &&
                                            network->places[network->layers[l].bias] >= network->n_tensors)) {
        l++; /* ends: the mask is not 0, and every tensor is a layer's */
    }
    return l;
}

int byz_scope_open(const byz_network_t *whole, const uint8_t *base, size_t bytes, void *memory, const byz_network_t **out) {
    *out = whole;
    if (bytes == 0) return BYZ_OK;
    if (bytes < BYZ_BASE_HEADER_BYTES || ((uintptr_t)base & 3U) != 0 ||
        byz_load32(base + BYZ_BASE_HEADER_MAGIC) != BYZ_MAGIC_BASE || whole->n_whole > 31U ||
        byz_load16(base + BYZ_BASE_HEADER_TENSORS) != whole->n_whole || byz_load16(base + BYZ_BASE_HEADER_ZERO) != 0 ||
        !byz_equal(base + BYZ_BASE_HEADER_LAYOUT_SHA256, whole->layout_sha256, sizeof whole->layout_sha256)) {
        return BYZ_ERR_BASE;
    }
    const uint32_t mask = byz_load32(base + BYZ_BASE_HEADER_TRAINABLE);
    if (mask == 0 || mask >= (1U << whole->n_whole) - 1U) return BYZ_ERR_BASE;

    byz_network_t *network = memory;
    byz_tensor_t *tensors = (byz_tensor_t *)(void *)(network + 1);
    uint8_t *places = (uint8_t *)(tensors + whole->n_whole);
    *network = *whole;
    network->tensors = tensors;
    network->places = places;
    network->base = base;
    if (lay_out(whole, mask, network, tensors, places) != bytes) return BYZ_ERR_BASE;
    for (uint32_t t = 0; t < network->n_tensors; t++) {
        if (tensors[t].is_bias && tensors[t].byte_offset % 4U != 0) return BYZ_ERR_BASE; /* none of a generated network */
    }
    network->first = (uint16_t)first_trained(network);

    uint8_t digests[64];
    byz_copy(digests, whole->layout_sha256, 32);
    byz_sha256(base, bytes, digests + 32);
    byz_sha256(digests, sizeof digests, network->layout_sha256);
    const int status = check_values(network);
    if (status == BYZ_OK) *out = network;
    return status;
}
