/* Feeds the client hostile bytes under the sanitizers: whole frames and a serial stream, mutated from valid ones.
 *
 *     fuzz_client SECONDS SEED
 *
 * Every buffer is a heap block of exactly the size the client asks for, so that one byte beyond it is an error. The host
 * here knows the device's keys: offers are accepted, models are trained on, updates are pulled, and between all that come
 * frames with any field wrong. Prints what was reached; the sanitizers end the program otherwise.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "byz_client.h"
#include "byz_crc32c.h"
#include "byz_frame.h"
#include "byz_hmac.h"
#include "byz_link.h"
#include "byz_scope.h"
#include "generated/byz_networks.h"

#define SAMPLES 3U

static uint64_t state;
static byz_client_t client;
static byz_link_t line;
static uint8_t down_key[32];
static uint8_t object[5000];
static uint32_t object_bytes;
static uint32_t round_num = 1;
static uint32_t device_xfer;
static uint64_t frames, answers, data_frames, trainings;

static uint32_t rnd(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static uint32_t below(uint32_t n) { return rnd() % n; }

static uint32_t mostly(uint32_t usual, uint32_t other) { return below(24) ? usual : other; }

static void on_answer(void *user, const uint8_t *frame, size_t bytes) {
    (void)user;
    byz_frame_t decoded;
    if (byz_frame_decode(frame, bytes, BYZ_FROM_DEVICE, client.config.address, client.config.max_payload, &decoded) != BYZ_OK) {
        printf("the device sent a frame that is none: reject %u\n", decoded.reject);
        abort();
    }
    answers++;
    if (decoded.type == BYZ_TYPE_START) device_xfer = decoded.xfer;
    if (decoded.type == BYZ_TYPE_DATA) data_frames++;
}

static void on_end(void *user, uint32_t steps) {
    (void)user;
    trainings += steps != 0;
}

/* Hands over a frame in a block of its own, by one of the two ways. */
static void deliver(const uint8_t *bytes, size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    if (copy == NULL) abort();
    memcpy(copy, bytes, n);
    const uint64_t before = answers;
    frames++;
    if (below(2)) {
        byz_client_on_frame(&client, copy, n);
    } else {
        uint8_t encoded[BYZ_COBS_MAX(6000) + 2];
        const int size = byz_cobs_encode(copy, n, encoded, sizeof encoded, BYZ_COBS_LEADING_ZERO | BYZ_COBS_TRAILING_ZERO);
        if (size < 0) abort();
        if (!below(16)) encoded[below((uint32_t)size)] ^= (uint8_t)(1U << below(8));
        for (int i = 0; i < size; i++) {
            const int got = byz_link_receive(&line, encoded[i]);
            if (got > 0) {
                byz_client_on_frame(&client, line.buffer, (size_t)got);
            } else if (got < 0) {
                byz_client_on_reject(&client, got == BYZ_ERR_SPACE ? BYZ_REJECT_SIZE : BYZ_REJECT_COBS);
            }
        }
    }
    if (answers - before > 2U * BYZ_CLIENT_BURST) abort(); /* two: an error on the line can make two frames of one */
    free(copy);
}

static void say(uint32_t type, uint32_t xfer, uint32_t offset, uint32_t flags, const uint8_t *payload, uint32_t n) {
    uint8_t out[6000];
    byz_frame_t frame;
    memset(&frame, 0, sizeof frame);
    frame.type = (uint8_t)type;
    frame.flags = (uint8_t)flags;
    frame.length = (uint16_t)n;
    frame.address = (uint16_t)mostly(client.config.address, 0xFFFF);
    frame.xfer = xfer;
    frame.offset = offset;
    frame.payload = payload;
    const int size = byz_frame_encode(&frame, out, sizeof out);
    if (size < 0) abort();
    if (!below(24)) out[below((uint32_t)size)] ^= (uint8_t)(1U << below(8));
    if (!below(24)) { /* a wrong field behind a right CRC */
        out[below((uint32_t)size - 4U)] ^= (uint8_t)(1U << below(8));
        byz_store32(out + size - 4, byz_crc32c(out, (size_t)size - 4U));
    }
    deliver(out, (size_t)size - (below(64) ? 0 : below((uint32_t)size)));
}

static void make_offer(void) {
    uint8_t *b = object;
    memset(b, 0, 164);
    byz_store32(b + BYZ_OFFER_MAGIC, BYZ_MAGIC_OBJECT);
    byz_store16(b + BYZ_OFFER_PROTO, 1);
    byz_store16(b + BYZ_OFFER_KIND, BYZ_KIND_OFFER);
    byz_store32(b + BYZ_OFFER_ROUND, round_num);
    byz_store32(b + BYZ_OFFER_SEED, rnd());
    uint8_t *model = calloc(1, client.config.network->model_bytes);
    if (model == NULL) abort();
    byz_sha256(model, client.config.network->model_bytes, b + BYZ_OFFER_MODEL_SHA256);
    free(model);
    memcpy(b + BYZ_OFFER_LAYOUT_SHA256, client.config.network->layout_sha256, 32);
    byz_store32(b + BYZ_OFFER_MODEL_BYTES, mostly(client.config.network->model_bytes, rnd()));
    byz_store32(b + BYZ_OFFER_L2_BOUND, mostly(0, rnd() >> below(32)));
    b[BYZ_OFFER_EPOCHS] = (uint8_t)mostly(1, 0);
    b[BYZ_OFFER_LR_SHIFT] = (uint8_t)mostly(9, rnd());
    const uint32_t tensors = client.config.network->n_tensors;
    const uint32_t usual = BYZ_OFFER_BYTES + ((tensors + 3U) & ~3U);
    b[BYZ_OFFER_N_TENSORS] = (uint8_t)mostly(tensors, rnd());
    for (uint32_t i = 0; i < tensors; i++) b[BYZ_OFFER_BYTES + i] = (uint8_t)mostly(5, rnd());
    const uint32_t body_bytes = mostly(usual, 120 + 4 * below(8));
    byz_tag(down_key, b, body_bytes, b + body_bytes);
    object_bytes = body_bytes + 16;
}

static void announce(void) {
    uint8_t p[BYZ_ROUND_BYTES];
    byz_store32(p, round_num);
    byz_store32(p + BYZ_ROUND_OFFER_BYTES, mostly(object_bytes, rnd()));
    byz_sha256(object, object_bytes - 16, p + BYZ_ROUND_OFFER_SHA256);
    say(BYZ_TYPE_ROUND, 0, 0, 0, p, sizeof p);
}

static void push(uint32_t kind, uint32_t xfer) {
    uint8_t p[BYZ_START_BYTES];
    byz_start_t start;
    memset(&start, 0, sizeof start);
    const uint32_t chunk = mostly(client.config.max_payload, 1 + below(client.config.max_payload));
    start.round_num = mostly(round_num, rnd());
    start.kind = (uint8_t)mostly(kind, 1 + below(4));
    start.total = mostly(object_bytes, rnd() >> below(32));
    start.chunk = mostly(chunk, rnd() >> below(32));
    byz_sha256(object, object_bytes, start.sha256);
    byz_start_store(&start, p);
    say(BYZ_TYPE_START, xfer, 0, 0, p, sizeof p);
    for (uint32_t at = 0; at < object_bytes; at += chunk) {
        uint32_t n = object_bytes - at < chunk ? object_bytes - at : chunk;
        if (!below(50)) n = 1 + below(client.config.max_payload);
        if (at + n > sizeof object) n = 1;
        say(BYZ_TYPE_DATA, xfer, mostly(at, below(2) ? rnd() : chunk * below(70)), below(4), object + at, n);
    }
    for (uint32_t at = 0; at < object_bytes; at += chunk) { /* again, in case something was lost on purpose */
        const uint32_t n = object_bytes - at < chunk ? object_bytes - at : chunk;
        say(BYZ_TYPE_DATA, xfer, at, BYZ_FLAG_ACK_REQ, object + at, n);
    }
    say(BYZ_TYPE_COMMIT, mostly(xfer, rnd() | 1U), 0, 0, NULL, 0);
}

static void acknowledge(void) {
    uint8_t p[BYZ_ACK_BYTES];
    const uint32_t chunk = client.max_payload ? client.max_payload : 64;
    byz_store32(p + BYZ_ACK_NEXT, below(4) ? chunk * below(50) : below(2) ? client.sender.start.total : rnd());
    byz_store32(p + BYZ_ACK_SACK, below(2) ? rnd() : 0);
    byz_store16(p + BYZ_ACK_CREDIT, rnd());
    p[BYZ_ACK_STATUS] = (uint8_t)mostly(0, BYZ_STATUS_BAD_LENGTH);
    say(BYZ_TYPE_ACK, mostly(device_xfer, rnd()) | (device_xfer == 0), 0, 0, p, sizeof p);
}

static void open_session(void) {
    static const uint16_t sizes[BYZ_PAYLOAD_SIZES_COUNT] = BYZ_PAYLOAD_SIZES;
    uint8_t p[BYZ_HELLO_ACK_BYTES];
    memset(p, 0, sizeof p);
    p[BYZ_HELLO_ACK_PROTO] = (uint8_t)mostly(1, rnd());
    byz_store16(p + BYZ_HELLO_ACK_MAX_PAYLOAD, mostly(client.config.max_payload, sizes[below(BYZ_PAYLOAD_SIZES_COUNT)]));
    byz_store16(p + BYZ_HELLO_ACK_CREDIT, mostly(32, below(2)));
    byz_store32(p + BYZ_HELLO_ACK_BOOT_ID, mostly(client.config.boot_id, rnd()));
    say(BYZ_TYPE_HELLO_ACK, 0, 0, 0, p, sizeof p);
}

static void garbage(void) {
    uint8_t bytes[600];
    const uint32_t n = below(sizeof bytes);
    for (uint32_t i = 0; i < n; i++) bytes[i] = (uint8_t)rnd();
    deliver(bytes, n);
    for (uint32_t i = 0; i < n; i++) {
        const int got = byz_link_receive(&line, bytes[i]);
        if (got > 0) byz_client_on_frame(&client, line.buffer, (size_t)got);
    }
}

static void anything(void) {
    uint8_t p[128];
    for (uint32_t i = 0; i < sizeof p; i++) p[i] = (uint8_t)rnd();
    static const uint8_t sizes[BYZ_TYPE_COUNT] = { 0, 12, 48, 64, 11, 0, 40, 4, 40, 9, 0, 4, 0 };
    const uint32_t type = below(16);
    const uint32_t n = type < BYZ_TYPE_COUNT ? mostly(sizes[type], below(sizeof p)) : below(sizeof p);
    say(type, mostly(below(2) ? device_xfer : 7, rnd()), type == BYZ_TYPE_DATA ? rnd() : 0, below(5) ? 0 : rnd(), p, n);
}

static uint8_t *block(size_t bytes) {
    uint8_t *memory = malloc(bytes);
    if (memory == NULL) abort();
    memset(memory, 0xA5, bytes);
    return memory;
}

/* One of several networks, whole or with all but its last layer frozen, then in `base` and `memory`; a damaged base on the
 * way there is refused or taken, and never read beyond its end. */
static const byz_network_t *some_network(uint8_t **base, uint8_t **memory) {
    static const byz_network_t *const choice[3] = { &byz_net_mlp_64_32_10, &byz_net_cnn_8x8, &byz_net_conv1d_imu };
    const byz_network_t *whole = choice[below(2) ? 0 : below(3)];
    const byz_network_t *net = whole;
    *base = NULL;
    *memory = NULL;
    if (below(2)) return whole;
    const uint32_t frozen = whole->n_whole - 2U;
    size_t bytes = BYZ_BASE_HEADER_BYTES;
    for (uint32_t t = 0; t < frozen; t++) bytes += whole->tensors[t].elements * (whole->tensors[t].is_bias ? 4U : 1U);
    *base = block(bytes);
    *memory = block(byz_scope_bytes(whole));
    memset(*base, 0, bytes);
    for (size_t i = 0; i < bytes; i++) (*base)[i] = (uint8_t)(i % 4U == 3U ? 0 : rnd() & 0x7FU);
    byz_store32(*base, BYZ_MAGIC_BASE);
    byz_store16(*base + BYZ_BASE_HEADER_TENSORS, whole->n_whole);
    byz_store16(*base + BYZ_BASE_HEADER_ZERO, 0);
    byz_store32(*base + BYZ_BASE_HEADER_TRAINABLE, 3U << frozen);
    memcpy(*base + BYZ_BASE_HEADER_LAYOUT_SHA256, whole->layout_sha256, 32);
    for (int turn = 0; turn < 20; turn++) {
        const size_t cut = below(2) ? bytes : below((uint32_t)bytes);
        uint8_t *copy = block(cut);
        memcpy(copy, *base, cut);
        if (cut != 0 && below(2)) copy[below(below(2) ? (uint32_t)cut : 12U < cut ? 12U : (uint32_t)cut)] = (uint8_t)rnd();
        const int status = byz_scope_open(whole, copy, cut, *memory, &net);
        if (status != BYZ_OK && net != whole) abort();
        free(copy);
    }
    if (byz_scope_open(whole, *base, bytes, *memory, &net) != BYZ_OK) abort();
    return net;
}

/* One device's life: a boot, some thousand moves. */
static void live(void) {
    static const uint16_t sizes[4] = { 64, 128, 240, 512 };
    uint8_t *base = NULL;
    uint8_t *memory = NULL;
    const byz_network_t *net = some_network(&base, &memory);
    const size_t stride = net->features + 1U;
    const size_t dataset_bytes = BYZ_DATASET_HEADER_BYTES + SAMPLES * stride;
    uint8_t *dataset = block(dataset_bytes);
    for (size_t i = 0; i < dataset_bytes; i++) dataset[i] = (uint8_t)rnd();
    byz_store32(dataset, BYZ_MAGIC_DATASET);
    byz_store32(dataset + BYZ_DATASET_HEADER_N, SAMPLES);
    byz_store16(dataset + BYZ_DATASET_HEADER_FEATURES, net->features);
    byz_store16(dataset + BYZ_DATASET_HEADER_CLASSES, net->classes);
    byz_store32(dataset + BYZ_DATASET_HEADER_ZERO, 0);
    for (size_t i = 1; i <= SAMPLES; i++) {
        uint8_t *label = dataset + BYZ_DATASET_HEADER_BYTES + stride * i - 1U;
        *label = (uint8_t)(*label % net->classes);
    }

    byz_client_config_t config;
    memset(&config, 0, sizeof config);
    config.network = net;
    config.dataset = dataset;
    config.dataset_bytes = dataset_bytes;
    memcpy(config.device_id, "dev-01", 6);
    config.caps = BYZ_CAP_TRAIN_INT8_SR;
    config.boot_id = rnd();
    config.address = (uint16_t)(1U + below(65534));
    config.max_payload = sizes[below(4)];
    config.rx_credit = (uint16_t)(1U + below(40));
    config.model = block(net->model_bytes);
    config.work = block(net->model_bytes);
    config.scratch = block(byz_train_scratch_bytes(net));
    config.order = (uint16_t *)(void *)block(SAMPLES * 2U);
    config.order_capacity = SAMPLES;
    config.frame = block(BYZ_CLIENT_FRAME_BYTES(config.max_payload));
    config.send = on_answer;
    config.training_end = on_end;
    if (byz_client_init(&client, &config) != BYZ_OK) abort();
    memcpy(down_key, client.down_key, sizeof down_key);
    uint8_t *rx = block(BYZ_LINK_BYTES(config.max_payload));
    byz_link_init(&line, rx, BYZ_LINK_BYTES(config.max_payload));
    byz_client_banner(&client);
    round_num = 1 + below(3);
    device_xfer = 0;
    make_offer();

    for (int move = 0; move < 400; move++) {
        switch (below(12)) {
        case 0: open_session(); break;
        case 1: make_offer(); announce(); break;
        case 2: push(BYZ_KIND_OFFER, 1 + below(3)); break;
        case 3: /* a whole round, with what goes wrong by chance */
            open_session();
            round_num += mostly(1, below(2) ? 0 : (uint32_t)-1);
            make_offer();
            announce();
            push(BYZ_KIND_OFFER, 5);
            memset(object, 0, net->model_bytes);
            object_bytes = net->model_bytes;
            if (!below(8)) object[below(object_bytes)] = (uint8_t)rnd();
            push(BYZ_KIND_MODEL, 6);
            for (uint32_t i = below(8); i > 0; i--) acknowledge();
            make_offer();
            break;
        case 4: garbage(); break;
        case 5: case 6: acknowledge(); break;
        default: anything(); break;
        }
    }
    free(base);
    free(memory);
    free(dataset);
    free(config.model);
    free(config.work);
    free(config.scratch);
    free(config.order);
    free(config.frame);
    free(rx);
}

int main(int argc, char **argv) {
    const double seconds = argc > 1 ? atof(argv[1]) : 3.0;
    state = 0x9E3779B97F4A7C15U ^ (argc > 2 ? strtoull(argv[2], NULL, 0) : 1U);
    const clock_t until = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    uint64_t lives = 0;
    do {
        live();
        lives++;
    } while (clock() < until);
    printf("lives %llu frames %llu answers %llu data %llu trainings %llu\n", (unsigned long long)lives,
           (unsigned long long)frames, (unsigned long long)answers, (unsigned long long)data_frames,
           (unsigned long long)trainings);
    return 0;
}
