/* Batch calls, exported primitives and the instruction counter of the host library. */
#include "byz_batch.h"
#include "../byz_sha256.h"
#include "../byz_client.h"
#include "../generated/byz_networks.h"

#define MAX_SAMPLES 65535U
#define ORDER_BYTES ((MAX_SAMPLES * 2U + 7U) & ~7U)

#if !defined(BYZ_SOURCE_SHA256)
#define BYZ_SOURCE_SHA256 "unknown"
#endif

const char *byz_source_sha256(void) { return BYZ_SOURCE_SHA256; }

static const byz_network_t *network(uint32_t net_index) { return net_index < BYZ_NETWORK_COUNT ? byz_networks[net_index] : NULL; }

/* The scratch of a call: the scope, the order, what training needs. */
typedef struct {
    const byz_network_t *net;
    uint16_t *order;
    void *train;
} call_t;

static int open_call(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, void *scratch, call_t *call) {
    const byz_network_t *whole = network(net_index);
    if (whole == NULL) return BYZ_ERR_ARGUMENT;
    uint8_t *p = (uint8_t *)scratch + byz_scope_bytes(whole);
    call->order = (uint16_t *)(void *)p;
    call->train = p + ORDER_BYTES;
    return byz_scope_open(whole, base, base == NULL ? 0 : (size_t)base_bytes, scratch, &call->net);
}

uint64_t byz_batch_scratch_bytes(uint32_t net_index) {
    const byz_network_t *net = network(net_index);
    return net == NULL ? 0 : byz_scope_bytes(net) + ORDER_BYTES + byz_train_scratch_bytes(net);
}

int64_t byz_batch_train(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, void *models,
                        const uint8_t *const *datasets, const uint64_t *dataset_bytes, const uint8_t *ids, uint64_t seed,
                        uint32_t round_num, uint32_t epochs, uint32_t lr_shift, uint32_t n, uint32_t first, uint32_t last,
                        void *scratch) {
    call_t call;
    int64_t steps = 0;
    const int status = open_call(net_index, base, base_bytes, scratch, &call);
    if (status != BYZ_OK) return status;
    if (first > last || last > n || epochs > 255 || lr_shift > 255) return BYZ_ERR_ARGUMENT;
    for (uint32_t c = first; c < last; c++) {
        byz_dataset_t data;
        byz_train_params_t params = { .seed = seed, .round_num = round_num };
        params.epochs = (uint8_t)epochs;
        params.lr_shift = (uint8_t)lr_shift;
        const int opened = byz_dataset_open(datasets[c], (size_t)dataset_bytes[c], call.net, &data);
        if (opened != BYZ_OK) return opened;
        byz_copy(params.client_id, ids + (size_t)c * 16, 16);
        const int done = byz_train(call.net, (uint8_t *)models + (size_t)c * call.net->model_bytes, &data, &params, call.train,
                                   call.order, MAX_SAMPLES);
        if (done < 0) return done;
        steps += done;
    }
    return steps;
}

int64_t byz_batch_encode(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, const void *global,
                         const void *models, const int8_t *shifts, uint32_t l2_bound, const uint8_t *ids, uint64_t seed,
                         uint32_t round_num, uint32_t n, uint32_t first, uint32_t last, int8_t *codes, void *scratch) {
    call_t call;
    const int opened = open_call(net_index, base, base_bytes, scratch, &call);
    if (opened != BYZ_OK) return opened;
    if (first > last || last > n) return BYZ_ERR_ARGUMENT;
    for (uint32_t c = first; c < last; c++) {
        byz_key_t key;
        byz_key(&key, seed, ids + (size_t)c * 16, round_num, BYZ_STREAM_CODES);
        const int status = byz_encode_to(call.net, global, (const uint8_t *)models + (size_t)c * call.net->model_bytes, shifts,
                                         l2_bound, &key, codes + (size_t)c * call.net->d);
        if (status != BYZ_OK) return status;
    }
    return 0;
}

int64_t byz_batch_forward(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, const void *model,
                          const int8_t *rows, uint32_t n, uint32_t stride, int8_t *outputs, void *scratch) {
    call_t call;
    int status = open_call(net_index, base, base_bytes, scratch, &call);
    if (status != BYZ_OK) return status;
    if (stride < call.net->features) return BYZ_ERR_ARGUMENT;
    status = byz_model_check(call.net, model);
    if (status != BYZ_OK) return status;
    for (uint32_t i = 0; i < n; i++) {
        byz_forward(call.net, model, rows + (size_t)i * stride, call.train, outputs + (size_t)i * call.net->outputs);
    }
    return 0;
}

int64_t byz_batch_describe(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, uint32_t max_payload,
                           uint32_t sizes[4], uint8_t layout_sha256[32], void *scratch) {
    call_t call;
    const int status = open_call(net_index, base, base_bytes, scratch, &call);
    if (status != BYZ_OK) return status;
    if (max_payload > BYZ_PAYLOAD_MAX) return BYZ_ERR_ARGUMENT;
    sizes[0] = call.net->d;
    sizes[1] = call.net->model_bytes;
    sizes[2] = (uint32_t)byz_train_scratch_bytes(call.net);
    sizes[3] = (uint32_t)byz_client_arena_bytes(call.net, 0, (uint16_t)max_payload);
    byz_copy(layout_sha256, call.net->layout_sha256, 32);
    return 0;
}

void byz_count_block(void *uc, uint64_t address, uint32_t size, void *user_data) {
    byz_counter_t *counter = user_data;
    uint64_t at = address - counter->base;
    (void)uc;
    if (!counter->enabled || address < counter->base || at > counter->size || size > counter->size - at) return;
    const uint64_t end = at + size;
    while (at + 1 < end) {
        /* A halfword that starts with 0b11101, 0b11110 or 0b11111 is the first of two (ARMv7-M ARM, A5.1). */
        at += byz_load16(counter->image + at) >> 11 >= 0x1dU ? 4 : 2;
        counter->count++;
    }
}

/* Primitives, one exported function each: `n` values at a time, so that Python can compare millions. */

BYZ_EXPORT void byz_test_draw(const uint32_t *index, uint32_t n, uint32_t k0, uint32_t k1, uint32_t *out);
BYZ_EXPORT void byz_test_key(uint64_t seed, const uint8_t *id, uint32_t round_num, uint32_t stream, uint32_t *out);
BYZ_EXPORT void byz_test_requantize(const int32_t *acc, uint32_t n, int32_t k, int32_t *out);
BYZ_EXPORT void byz_test_rounding_shift(const int32_t *v, uint32_t n, int32_t k, int32_t *out);
BYZ_EXPORT void byz_test_stochastic_shift(const int32_t *v, const uint32_t *noise, uint32_t n, int32_t s, int32_t *out);
BYZ_EXPORT void byz_test_isqrt_ceil(const uint64_t *v, uint32_t n, uint32_t *out);
BYZ_EXPORT void byz_test_softmax_error(const int8_t *logits, uint32_t classes, uint32_t label, int16_t *error);
BYZ_EXPORT void byz_test_sample_order(uint16_t *order, uint32_t n, uint32_t epoch, uint32_t k0, uint32_t k1);
BYZ_EXPORT int32_t byz_test_encode(uint32_t net_index, const void *global, void *local, const int8_t *shifts,
                                   uint32_t l2_bound, uint32_t k0, uint32_t k1);
BYZ_EXPORT int32_t byz_test_dataset(uint32_t net_index, const uint8_t *blob, uint64_t bytes);
BYZ_EXPORT uint32_t byz_test_crc32c(uint32_t crc, const uint8_t *data, uint64_t bytes);
BYZ_EXPORT int32_t byz_test_cobs_encode(const uint8_t *in, uint64_t bytes, uint8_t *out, uint64_t capacity, uint32_t delimiters);
BYZ_EXPORT int32_t byz_test_cobs_decode(uint8_t *buffer, uint64_t bytes);
BYZ_EXPORT void byz_test_sha256(const uint8_t *data, const uint64_t *pieces, uint32_t n, uint8_t *digest);
BYZ_EXPORT void byz_test_hmac(const uint8_t *key, uint64_t key_bytes, const uint8_t *data, uint64_t bytes, uint8_t *mac);
BYZ_EXPORT int32_t byz_test_tag_verify(const uint8_t *key, const uint8_t *data, uint64_t bytes, const uint8_t *tag);
BYZ_EXPORT int32_t byz_test_hkdf(const uint8_t *salt, uint64_t salt_bytes, const uint8_t *secret, uint64_t secret_bytes,
                                 const uint8_t *info, uint64_t info_bytes, uint8_t *out, uint64_t out_bytes);
BYZ_EXPORT void byz_test_hkdf_key(const uint8_t *secret, uint64_t secret_bytes, const uint8_t *info, uint64_t info_bytes,
                                  uint8_t *out);
BYZ_EXPORT int32_t byz_test_frame_decode(const uint8_t *bytes, uint64_t n, uint32_t direction, uint32_t own_address,
                                         uint32_t data_max, uint32_t *fields);
BYZ_EXPORT int32_t byz_test_frame_encode(const uint32_t *fields, const uint8_t *payload, uint8_t *out, uint64_t capacity);

void byz_test_draw(const uint32_t *index, uint32_t n, uint32_t k0, uint32_t k1, uint32_t *out) {
    for (uint32_t i = 0; i < n; i++) out[i] = byz_draw(index[i], k0, k1);
}

void byz_test_key(uint64_t seed, const uint8_t *id, uint32_t round_num, uint32_t stream, uint32_t *out) {
    byz_key_t key;
    byz_key(&key, seed, id, round_num, (uint8_t)stream);
    out[0] = key.k0;
    out[1] = key.k1;
}

void byz_test_requantize(const int32_t *acc, uint32_t n, int32_t k, int32_t *out) {
    for (uint32_t i = 0; i < n; i++) out[i] = byz_requantize(acc[i], k);
}

void byz_test_rounding_shift(const int32_t *v, uint32_t n, int32_t k, int32_t *out) {
    for (uint32_t i = 0; i < n; i++) out[i] = byz_rounding_shift(v[i], k);
}

void byz_test_stochastic_shift(const int32_t *v, const uint32_t *noise, uint32_t n, int32_t s, int32_t *out) {
    for (uint32_t i = 0; i < n; i++) out[i] = byz_stochastic_shift(v[i], s, noise[i]);
}

void byz_test_isqrt_ceil(const uint64_t *v, uint32_t n, uint32_t *out) {
    for (uint32_t i = 0; i < n; i++) out[i] = byz_isqrt_ceil(v[i]);
}

void byz_test_softmax_error(const int8_t *logits, uint32_t classes, uint32_t label, int16_t *error) {
    byz_softmax_error(logits, classes, label, error);
}

void byz_test_sample_order(uint16_t *order, uint32_t n, uint32_t epoch, uint32_t k0, uint32_t k1) {
    const byz_key_t key = { k0, k1 };
    byz_sample_order(order, n, epoch, key);
}

int32_t byz_test_encode(uint32_t net_index, const void *global, void *local, const int8_t *shifts, uint32_t l2_bound,
                        uint32_t k0, uint32_t k1) {
    const byz_network_t *net = network(net_index);
    const byz_key_t key = { k0, k1 };
    return net == NULL ? BYZ_ERR_ARGUMENT : byz_encode(net, global, local, shifts, l2_bound, &key);
}

int32_t byz_test_dataset(uint32_t net_index, const uint8_t *blob, uint64_t bytes) {
    const byz_network_t *net = network(net_index);
    byz_dataset_t data;
    return net == NULL ? BYZ_ERR_ARGUMENT : byz_dataset_open(blob, (size_t)bytes, net, &data);
}

uint32_t byz_test_crc32c(uint32_t crc, const uint8_t *data, uint64_t bytes) { return byz_crc32c_update(crc, data, (size_t)bytes); }

int32_t byz_test_cobs_encode(const uint8_t *in, uint64_t bytes, uint8_t *out, uint64_t capacity, uint32_t delimiters) {
    return byz_cobs_encode(in, (size_t)bytes, out, (size_t)capacity, delimiters);
}

int32_t byz_test_cobs_decode(uint8_t *buffer, uint64_t bytes) { return byz_cobs_decode(buffer, (size_t)bytes); }

void byz_test_sha256(const uint8_t *data, const uint64_t *pieces, uint32_t n, uint8_t *digest) {
    byz_sha256_t context;
    byz_sha256_init(&context);
    for (uint32_t i = 0; i < n; i++) {
        byz_sha256_update(&context, data, (size_t)pieces[i]);
        data += pieces[i];
    }
    byz_sha256_final(&context, digest);
}

void byz_test_hmac(const uint8_t *key, uint64_t key_bytes, const uint8_t *data, uint64_t bytes, uint8_t *mac) {
    byz_hmac_sha256(key, (size_t)key_bytes, data, (size_t)bytes, mac);
}

int32_t byz_test_tag_verify(const uint8_t *key, const uint8_t *data, uint64_t bytes, const uint8_t *tag) {
    return byz_tag_verify(key, data, (size_t)bytes, tag);
}

int32_t byz_test_hkdf(const uint8_t *salt, uint64_t salt_bytes, const uint8_t *secret, uint64_t secret_bytes,
                      const uint8_t *info, uint64_t info_bytes, uint8_t *out, uint64_t out_bytes) {
    uint8_t key[32];
    byz_hkdf_extract(salt, (size_t)salt_bytes, secret, (size_t)secret_bytes, key);
    return byz_hkdf_expand(key, info, (size_t)info_bytes, out, (size_t)out_bytes);
}

void byz_test_hkdf_key(const uint8_t *secret, uint64_t secret_bytes, const uint8_t *info, uint64_t info_bytes, uint8_t *out) {
    byz_hkdf_sha256(secret, (size_t)secret_bytes, info, (size_t)info_bytes, out);
}

/* fields: type, flags, length, address, seq, xfer, offset. Returns the reject reason + 1, or 0. */
int32_t byz_test_frame_decode(const uint8_t *bytes, uint64_t n, uint32_t direction, uint32_t own_address, uint32_t data_max,
                              uint32_t *fields) {
    byz_frame_t frame;
    const int status = byz_frame_decode(bytes, (size_t)n, direction == 0 ? BYZ_TO_DEVICE : BYZ_FROM_DEVICE,
                                        (uint16_t)own_address, data_max, &frame);
    if (status != BYZ_OK) return frame.reject + 1;
    fields[0] = frame.type;
    fields[1] = frame.flags;
    fields[2] = frame.length;
    fields[3] = frame.address;
    fields[4] = frame.seq;
    fields[5] = frame.xfer;
    fields[6] = frame.offset;
    return 0;
}

int32_t byz_test_frame_encode(const uint32_t *fields, const uint8_t *payload, uint8_t *out, uint64_t capacity) {
    const byz_frame_t frame = { .type = (uint8_t)fields[0], .flags = (uint8_t)fields[1], .length = (uint16_t)fields[2],
                                .address = (uint16_t)fields[3], .seq = (uint16_t)fields[4], .xfer = fields[5],
                                .offset = fields[6], .payload = payload };
    return byz_frame_encode(&frame, out, (size_t)capacity);
}
