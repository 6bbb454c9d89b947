/* Many clients in one call: what `NativeBody` runs on (byzantiny_firmware/native.py).
 *
 * A slot is one block of memory that Python owns: a client and its arena. One call takes the frames of all slots, in
 * order, and leaves the answers in one buffer. The interpreter's lock is released meanwhile; several threads may call at
 * the same time, each for its own part of the slots.
 */
#ifndef BYZ_FLEET_H
#define BYZ_FLEET_H

#include "../byz_client.h"
#include "byz_batch.h"

/* One device; ctypes mirrors the order and the sizes. */
typedef struct {
    const uint8_t *dataset; /* stays where it is for the slot's life, as the base does */
    uint64_t dataset_bytes;
    const uint8_t *base;
    uint64_t base_bytes; /* 0: the whole network is trained */
    uint8_t device_id[16];
    uint8_t secret[32];
    uint8_t fw_sha256[8];
    uint32_t net_index;
    uint32_t caps;
    uint32_t boot_id;
    uint32_t samples;
    uint16_t address;
    uint16_t max_payload;
    uint16_t rx_credit;
    uint16_t reset_reason;
} byz_fleet_device_t;

/* One answer: who sent it and where it lies. */
typedef struct {
    uint64_t offset;
    uint32_t length;
    uint32_t slot;
} byz_fleet_answer_t;

/* In place of a frame's offset: the slot has just been booted, let it send its banner. */
#define BYZ_FLEET_BANNER UINT64_MAX

/* Bytes of a slot, a multiple of 64: a client, its scope and its arena; 0 if there is no such network. */
BYZ_EXPORT uint64_t byz_fleet_slot_bytes(const byz_fleet_device_t *device);

/* Most bytes one frame is answered with. A frame is handled only while so much room and BYZ_CLIENT_BURST answers are left. */
BYZ_EXPORT uint64_t byz_fleet_burst_bytes(uint32_t max_payload);

/* Power-on, or a power cycle. `slot` is 8-aligned. 0, or the error of byz_client_init. */
BYZ_EXPORT int32_t byz_fleet_boot(void *slot, const byz_fleet_device_t *device);

/* Handles frames [from, n) of those slots whose number modulo `parts` is `part`. Frame i is `lengths[i]` bytes at
 * in + offsets[i], for slots[i] (the addresses are in `memory`). Stops early when `out` or `answers` may become too small:
 * returns the first frame not handled (n at the end), with the answers so far in *n_answers; call again from there. */
BYZ_EXPORT uint64_t byz_fleet_exchange(void *const *memory, const uint32_t *slots, const uint64_t *offsets,
                                       const uint32_t *lengths, uint64_t from, uint64_t n, const uint8_t *in,
                                       uint32_t part, uint32_t parts, uint8_t *out, uint64_t capacity,
                                       byz_fleet_answer_t *answers, uint64_t answers_capacity, uint64_t *n_answers);

#endif
