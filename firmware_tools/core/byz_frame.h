/* One frame (docs/wire.md 1 and 2): header, payload, CRC; the checks in the order of the page. No COBS here.
 *
 * `byz_frame_decode` counts under SIZE what no receiver has room for (20 + 4096 bytes); a smaller receiver checks its own
 * room first. It accepts exactly what the page allows for the direction, so whoever holds a decoded frame may read a
 * control payload at the offsets of generated/byz_wire.h without looking at its length again.
 */
#ifndef BYZ_FRAME_H
#define BYZ_FRAME_H

#include "byz_util.h"
#include "generated/byz_wire.h"

typedef enum {
    BYZ_TO_DEVICE = 0,
    BYZ_FROM_DEVICE = 1
} byz_direction_t;

typedef struct {
    uint8_t type;           /* BYZ_TYPE_... */
    uint8_t flags;          /* BYZ_FLAG_... */
    uint16_t length;        /* of the payload */
    uint16_t address;
    uint16_t seq;
    uint32_t xfer;
    uint32_t offset;
    const uint8_t *payload; /* inside the decoded buffer */
    uint8_t reject;         /* BYZ_REJECT_..., after BYZ_ERR_FRAME */
} byz_frame_t;

/* Decodes a frame without COBS. `own_address`: a frame for another address is rejected, 0 takes any address that is
 * valid for the direction. `data_max`: the largest DATA payload in force. BYZ_OK or BYZ_ERR_FRAME. */
BYZ_CHECK int byz_frame_decode(const uint8_t *bytes, size_t length, byz_direction_t direction, uint16_t own_address,
                               uint32_t data_max, byz_frame_t *frame);

/* Writes header, payload and CRC; `frame->length` bytes of `frame->payload`, which may already lie at `out` + 16.
 * Returns the bytes written, or BYZ_ERR_SPACE. It does not judge the payload. */
BYZ_CHECK int byz_frame_encode(const byz_frame_t *frame, uint8_t *out, size_t capacity);

#endif
