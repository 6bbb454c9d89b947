/* The transfer of one object: what a receiver holds, what a sender owes (docs/wire.md 4). */
#include "byz_transfer.h"

void byz_start_load(byz_start_t *start, const uint8_t payload[BYZ_START_BYTES]) {
    start->round_num = byz_load32(payload + BYZ_START_ROUND);
    start->kind = payload[BYZ_START_KIND];
    start->total = byz_load32(payload + BYZ_START_TOTAL);
    start->chunk = byz_load32(payload + BYZ_START_CHUNK);
    byz_copy(start->sha256, payload + BYZ_START_SHA256, sizeof start->sha256);
}

void byz_start_store(const byz_start_t *start, uint8_t payload[BYZ_START_BYTES]) {
    byz_fill(payload, 0, BYZ_START_BYTES);
    byz_store32(payload + BYZ_START_ROUND, start->round_num);
    payload[BYZ_START_KIND] = start->kind;
    byz_store32(payload + BYZ_START_TOTAL, start->total);
    byz_store32(payload + BYZ_START_CHUNK, start->chunk);
    byz_copy(payload + BYZ_START_SHA256, start->sha256, sizeof start->sha256);
}

/* Bytes of the chunk at `offset` < total: only the last may be shorter. */
static uint32_t chunk_bytes(const byz_start_t *start, uint32_t offset) {
    const uint32_t rest = start->total - offset;
    return rest < start->chunk ? rest : start->chunk;
}

int byz_receiver_open(byz_receiver_t *receiver, uint32_t xfer, const byz_start_t *start, uint8_t *destination,
                      uint32_t held_bytes) {
    if (xfer == 0 || start->chunk == 0 || (held_bytes != 0 && held_bytes != start->total)) return BYZ_ERR_ARGUMENT;
    const byz_start_t *old = &receiver->start;
    const int resumes = receiver->xfer != 0 && old->kind == start->kind && old->total == start->total &&
                        byz_equal(old->sha256, start->sha256, sizeof start->sha256);
    if (!resumes) {
        receiver->next = held_bytes;
        receiver->held = 0;
    } else if (old->chunk != start->chunk) {
        /* The chunks beyond `next` cannot be named in the new size, so they are asked for again. */
        if (receiver->next != start->total) receiver->next -= receiver->next % start->chunk;
        receiver->held = 0;
    }
    receiver->xfer = xfer;
    receiver->start = *start;
    receiver->destination = destination;
    return BYZ_OK;
}

void byz_receiver_close(byz_receiver_t *receiver) { byz_fill(receiver, 0, sizeof *receiver); }

int byz_receiver_data(byz_receiver_t *receiver, uint32_t offset, const uint8_t *payload, uint32_t bytes) {
    const byz_start_t *start = &receiver->start;
    if (offset < receiver->next || offset >= start->total) return 1;
    /* next is a multiple of chunk here: it is below the total, and only the total may be something else. */
    const uint32_t ahead = (offset - receiver->next) / start->chunk;
    if (offset % start->chunk != 0 || ahead >= BYZ_WINDOW_CHUNKS || bytes != chunk_bytes(start, offset)) return 1;
    if ((receiver->held >> ahead & 1U) != 0) return 1;
    byz_copy(receiver->destination + offset, payload, bytes);
    receiver->held |= 1U << ahead;
    while ((receiver->held & 1U) != 0) {
        receiver->next += chunk_bytes(start, receiver->next);
        receiver->held >>= 1;
    }
    return receiver->held != 0;
}

int byz_sender_on_ack(const byz_sender_t *sender, uint32_t next, uint32_t sack, uint32_t credit, byz_burst_t *burst) {
    const byz_start_t *start = &sender->start;
    burst->offset = next;
    burst->due = 0;
    burst->commit = next == start->total;
    if (burst->commit) return BYZ_OK;
    if (next > start->total || next % start->chunk != 0) return BYZ_ERR_ARGUMENT;
    const uint32_t chunks_left = (start->total - next - 1) / start->chunk + 1;
    const uint32_t window = credit < BYZ_WINDOW_CHUNKS ? credit : BYZ_WINDOW_CHUNKS;
    uint32_t sent = 0;
    for (uint32_t i = 0; i < BYZ_WINDOW_CHUNKS && i < chunks_left && sent < window; i++) {
        if ((sack >> i & 1U) != 0) continue;
        burst->due |= 1U << i;
        sent++;
    }
    return BYZ_OK;
}

uint32_t byz_sender_chunk(const byz_sender_t *sender, uint32_t offset, uint8_t *out) {
    const uint32_t bytes = chunk_bytes(&sender->start, offset);
    uint32_t from_head = 0;
    if (offset < sender->head_bytes) {
        from_head = sender->head_bytes - offset;
        if (from_head > bytes) from_head = bytes;
        byz_copy(out, sender->head + offset, from_head);
    }
    if (from_head < bytes) {
        byz_copy(out + from_head, sender->body + (offset + from_head - sender->head_bytes), bytes - from_head);
    }
    return bytes;
}

void byz_sender_close(byz_sender_t *sender) { byz_fill(sender, 0, sizeof *sender); }
