/* Many clients in one call: slots, and the sink their frames go into. */
#include "byz_fleet.h"

#include "../byz_scope.h"
#include "../generated/byz_networks.h"

#define SLOT_ALIGN 64U /* a cache line: neighbours may be on different threads */

typedef struct {
    uint8_t *out;
    uint64_t used;
    byz_fleet_answer_t *answers;
    uint64_t n_answers;
    uint32_t slot;
} sink_t;

static uint64_t aligned(uint64_t bytes) { return (bytes + SLOT_ALIGN - 1U) / SLOT_ALIGN * SLOT_ALIGN; }

/* There is room: byz_fleet_exchange has checked the largest burst before it handed over the frame. */
static void collect(void *user, const uint8_t *frame, size_t bytes) {
    sink_t *sink = user;
    byz_fleet_answer_t *answer = &sink->answers[sink->n_answers++];
    answer->offset = sink->used;
    answer->length = (uint32_t)bytes;
    answer->slot = sink->slot;
    byz_copy(sink->out + sink->used, frame, bytes);
    sink->used += bytes;
}

/* A base that leaves less to train makes the arena smaller, never larger: the whole network's is taken. */
uint64_t byz_fleet_slot_bytes(const byz_fleet_device_t *device) {
    if (device->net_index >= BYZ_NETWORK_COUNT || device->max_payload > BYZ_PAYLOAD_MAX) return 0;
    const byz_network_t *whole = byz_networks[device->net_index];
    const size_t arena = byz_client_arena_bytes(whole, device->samples, device->max_payload);
    return aligned(sizeof(byz_client_t)) + aligned(byz_scope_bytes(whole)) + aligned(arena);
}

uint64_t byz_fleet_burst_bytes(uint32_t max_payload) {
    return (uint64_t)BYZ_CLIENT_BURST * BYZ_CLIENT_FRAME_BYTES(max_payload);
}

int32_t byz_fleet_boot(void *slot, const byz_fleet_device_t *device) {
    if (device->net_index >= BYZ_NETWORK_COUNT || device->reset_reason >= BYZ_RESET_COUNT) return BYZ_ERR_ARGUMENT;
    byz_client_config_t config;
    byz_fill(&config, 0, sizeof config);
    const byz_network_t *whole = byz_networks[device->net_index];
    uint8_t *scope = (uint8_t *)slot + aligned(sizeof(byz_client_t));
    const int opened = byz_scope_open(whole, device->base, (size_t)device->base_bytes, scope, &config.network);
    if (opened != BYZ_OK) return opened;
    config.dataset = device->dataset;
    config.dataset_bytes = (size_t)device->dataset_bytes;
    byz_copy(config.device_id, device->device_id, sizeof config.device_id);
    byz_copy(config.secret, device->secret, sizeof config.secret);
    byz_copy(config.fw_sha256, device->fw_sha256, sizeof config.fw_sha256);
    config.build_id = BYZ_BUILD_ID;
    config.caps = device->caps;
    config.boot_id = device->boot_id;
    config.address = device->address;
    config.max_payload = device->max_payload;
    config.rx_credit = device->rx_credit;
    config.reset_reason = (uint8_t)device->reset_reason;
    config.send = collect;
    byz_client_place(&config, scope + aligned(byz_scope_bytes(whole)), device->samples);
    const int status = byz_client_init(slot, &config);
    byz_wipe(&config, sizeof config);
    return status;
}

uint64_t byz_fleet_exchange(void *const *memory, const uint32_t *slots, const uint64_t *offsets, const uint32_t *lengths,
                            uint64_t from, uint64_t n, const uint8_t *in, uint32_t part, uint32_t parts, uint8_t *out,
                            uint64_t capacity, byz_fleet_answer_t *answers, uint64_t answers_capacity,
                            uint64_t *n_answers) {
    sink_t sink = { .out = out, .answers = answers };
    uint64_t i = from;
    for (; i < n; i++) {
        if (slots[i] % parts != part) continue;
        byz_client_t *client = memory[slots[i]];
        if (capacity - sink.used < byz_fleet_burst_bytes(client->config.max_payload) ||
            answers_capacity - sink.n_answers < BYZ_CLIENT_BURST) {
            break;
        }
        sink.slot = slots[i];
        client->config.user = &sink;
        if (offsets[i] == BYZ_FLEET_BANNER) {
            byz_client_banner(client);
        } else {
            byz_client_on_frame(client, in + offsets[i], lengths[i]);
        }
        client->config.user = NULL;
    }
    *n_answers = sink.n_answers;
    return i;
}
