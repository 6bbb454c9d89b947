/* One frame: the checks of docs/wire.md 1 in their order; the twin of byzantiny.wire.codec.decode_frame. */
#include "byz_frame.h"
#include "byz_crc32c.h"

#define NOT_SENT 0xFFU /* this type does not travel this way */
#define VARIABLE 0xFEU /* DATA, LOG */

/* Exact payload sizes by type: to the device, from the device. */
static const uint8_t payload_bytes[BYZ_TYPE_COUNT][2] = {
    [BYZ_TYPE_HELLO] = { 0, BYZ_HELLO_BYTES },
    [BYZ_TYPE_HELLO_ACK] = { BYZ_HELLO_ACK_BYTES, BYZ_HELLO_ACK_BYTES },
    [BYZ_TYPE_START] = { BYZ_START_BYTES, BYZ_START_BYTES },
    [BYZ_TYPE_DATA] = { VARIABLE, VARIABLE },
    [BYZ_TYPE_ACK] = { BYZ_ACK_BYTES, BYZ_ACK_BYTES },
    [BYZ_TYPE_COMMIT] = { 0, 0 },
    [BYZ_TYPE_RECEIPT] = { BYZ_RECEIPT_BYTES, BYZ_RECEIPT_BYTES },
    [BYZ_TYPE_ABORT] = { BYZ_ABORT_BYTES, BYZ_ABORT_BYTES },
    [BYZ_TYPE_ROUND] = { BYZ_ROUND_BYTES, NOT_SENT },
    [BYZ_TYPE_LOG] = { NOT_SENT, VARIABLE },
    [BYZ_TYPE_METRIC] = { 0, BYZ_METRIC_BYTES },
    [BYZ_TYPE_PING] = { BYZ_PING_BYTES, BYZ_PING_BYTES },
    [BYZ_TYPE_RESET_NOTICE] = { 0, NOT_SENT },
};

/* The types whose xfer must not be 0. */
#define OF_A_TRANSFER                                                                                            \
    (1U << BYZ_TYPE_START | 1U << BYZ_TYPE_DATA | 1U << BYZ_TYPE_COMMIT | 1U << BYZ_TYPE_RECEIPT | 1U << BYZ_TYPE_ABORT)

static int known(uint32_t mask, uint8_t value) { return value < 32 && (mask >> value & 1U) != 0; }

/* 1-16 characters of [a-z0-9-], then zeros only. */
static int is_client_id(const uint8_t *id) {
    uint32_t n = 0;
    while (n < BYZ_CLIENT_ID_BYTES
           && ((id[n] >= 'a' && id[n] <= 'z') || (id[n] >= '0' && id[n] <= '9') || id[n] == '-')) {
        n++;
    }
    if (n == 0) return 0;
    while (n < BYZ_CLIENT_ID_BYTES && id[n] == 0) n++;
    return n == BYZ_CLIENT_ID_BYTES;
}

/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
static int is_utf8(const uint8_t *p, uint32_t bytes) {
    uint32_t i = 0;
    while (i < bytes) {
        const uint32_t lead = p[i++];
        uint32_t more = 0;
        uint32_t low = 0x80; /* limits of the second byte */
        uint32_t high = 0xBF;
        if (lead < 0x80) continue;
        if (lead < 0xC2 || lead > 0xF4) return 0;
        more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        if (lead == 0xE0) low = 0xA0;
        if (lead == 0xED) high = 0x9F;
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F;
        for (; more > 0; more--, low = 0x80, high = 0xBF) {
            if (i == bytes || p[i] < low || p[i] > high) return 0;
            i++;
        }
    }
    return 1;
}

/* Reserved bytes and enumerated values of a control payload whose length is right. */
static int payload_valid(uint32_t type, byz_direction_t direction, const uint8_t *p, uint32_t bytes) {
    switch (type) {
    case BYZ_TYPE_HELLO:
        return direction == BYZ_TO_DEVICE
               || (p[BYZ_HELLO_ZERO] == 0 && is_client_id(p + BYZ_HELLO_DEVICE_ID)
                   && known(BYZ_RESET_KNOWN, p[BYZ_HELLO_RESET_REASON]));
    case BYZ_TYPE_HELLO_ACK:
        return p[BYZ_HELLO_ACK_ZERO] == 0 && byz_load16(p + BYZ_HELLO_ACK_ZERO2) == 0;
    case BYZ_TYPE_START:
        return (p[BYZ_START_KIND + 1] | p[BYZ_START_KIND + 2] | p[BYZ_START_KIND + 3]) == 0
               && known(BYZ_KIND_KNOWN, p[BYZ_START_KIND]);
    case BYZ_TYPE_ACK:
        return known(BYZ_STATUS_KNOWN, p[BYZ_ACK_STATUS]);
    case BYZ_TYPE_RECEIPT:
        return byz_load16(p + BYZ_RECEIPT_ZERO) == 0 && known(BYZ_VERDICT_KNOWN, p[BYZ_RECEIPT_VERDICT])
               && known(BYZ_REASON_KNOWN, p[BYZ_RECEIPT_REASON]);
    case BYZ_TYPE_ABORT:
        return (p[BYZ_ABORT_STATUS + 1] | p[BYZ_ABORT_STATUS + 2] | p[BYZ_ABORT_STATUS + 3]) == 0
               && known(BYZ_STATUS_KNOWN, p[BYZ_ABORT_STATUS]);
    case BYZ_TYPE_LOG:
        return is_utf8(p, bytes);
    default:
        return 1;
    }
}

static int transfer_valid(const byz_frame_t *frame, byz_direction_t direction) {
    if (frame->offset != 0 && frame->type != BYZ_TYPE_DATA) return 0;
    if (frame->type == BYZ_TYPE_ACK) return frame->xfer != 0 || direction == BYZ_FROM_DEVICE; /* 0 answers ROUND */
    return (frame->xfer != 0) == ((OF_A_TRANSFER >> frame->type & 1U) != 0);
}

static int length_valid(const byz_frame_t *frame, uint32_t expected, uint32_t data_max) {
    if (expected != VARIABLE) return frame->length == expected;
    return frame->length >= 1 && frame->length <= (frame->type == BYZ_TYPE_DATA ? data_max : BYZ_CONTROL_MAX_BYTES);
}

static int rejected(byz_frame_t *frame, uint32_t reject) {
    frame->reject = (uint8_t)reject;
    return BYZ_ERR_FRAME;
}

int byz_frame_decode(const uint8_t *bytes, size_t length, byz_direction_t direction, uint16_t own_address, uint32_t data_max,
                     byz_frame_t *frame) {
    if (length < BYZ_OVERHEAD_BYTES || length > BYZ_OVERHEAD_BYTES + BYZ_PAYLOAD_MAX) return rejected(frame, BYZ_REJECT_SIZE);
    frame->length = byz_load16(bytes + BYZ_HEADER_LENGTH);
    if (frame->length != length - BYZ_OVERHEAD_BYTES) return rejected(frame, BYZ_REJECT_LENGTH);
    if (byz_crc32c(bytes, length - BYZ_CRC_BYTES) != byz_load32(bytes + length - BYZ_CRC_BYTES)) {
        return rejected(frame, BYZ_REJECT_CRC);
    }
    if (bytes[BYZ_HEADER_VER_TYPE] >> 4 != BYZ_PROTO) return rejected(frame, BYZ_REJECT_VERSION);
    frame->flags = bytes[BYZ_HEADER_FLAGS];
    if ((frame->flags & ~BYZ_FLAG_ALL) != 0) return rejected(frame, BYZ_REJECT_FLAGS);
    frame->type = bytes[BYZ_HEADER_VER_TYPE] & 0xFU;
    if (frame->type >= BYZ_TYPE_COUNT) return rejected(frame, BYZ_REJECT_TYPE);
    const uint32_t expected = payload_bytes[frame->type][direction];
    if (expected == NOT_SENT) return rejected(frame, BYZ_REJECT_TYPE);
    frame->address = byz_load16(bytes + BYZ_HEADER_ADDRESS);
    if (frame->address == BYZ_HOST_ADDRESS || (frame->address == BYZ_BROADCAST && direction == BYZ_FROM_DEVICE)
        || (own_address != 0 && frame->address != own_address && frame->address != BYZ_BROADCAST)) {
        return rejected(frame, BYZ_REJECT_ADDRESS);
    }
    frame->seq = byz_load16(bytes + BYZ_HEADER_SEQ);
    frame->xfer = byz_load32(bytes + BYZ_HEADER_XFER);
    frame->offset = byz_load32(bytes + BYZ_HEADER_OFFSET);
    frame->payload = bytes + BYZ_HEADER_BYTES;
    if (!transfer_valid(frame, direction) || !length_valid(frame, expected, data_max)
        || !payload_valid(frame->type, direction, frame->payload, frame->length)) {
        return rejected(frame, BYZ_REJECT_PAYLOAD);
    }
    return BYZ_OK;
}

int byz_frame_encode(const byz_frame_t *frame, uint8_t *out, size_t capacity) {
    const size_t body = BYZ_HEADER_BYTES + (size_t)frame->length;
    if (capacity < body + BYZ_CRC_BYTES) return BYZ_ERR_SPACE;
    if (frame->length > 0 && frame->payload != out + BYZ_HEADER_BYTES) {
        byz_copy(out + BYZ_HEADER_BYTES, frame->payload, frame->length);
    }
    out[BYZ_HEADER_VER_TYPE] = (uint8_t)(BYZ_PROTO << 4 | frame->type);
    out[BYZ_HEADER_FLAGS] = frame->flags;
    byz_store16(out + BYZ_HEADER_LENGTH, frame->length);
    byz_store16(out + BYZ_HEADER_ADDRESS, frame->address);
    byz_store16(out + BYZ_HEADER_SEQ, frame->seq);
    byz_store32(out + BYZ_HEADER_XFER, frame->xfer);
    byz_store32(out + BYZ_HEADER_OFFSET, frame->offset);
    byz_store32(out + body, byz_crc32c(out, body));
    return (int)(body + BYZ_CRC_BYTES);
}
