/* Frames on a serial line (docs/wire.md 1): 00 COBS(frame) 00, one byte in, whole frames out.
 *
 * The receiver resynchronises at 0x00 and nowhere else; whatever comes between two zeros is decoded in place in the
 * caller's buffer. The sender encodes while it writes, so a frame exists once in RAM.
 */
#ifndef BYZ_LINK_H
#define BYZ_LINK_H

#include "byz_cobs.h"
#include "generated/byz_wire.h"

/* The buffer a link needs when DATA payloads are at most `payload` bytes. */
#define BYZ_LINK_BYTES(payload) \
    BYZ_COBS_MAX(BYZ_OVERHEAD_BYTES + ((payload) > BYZ_CONTROL_MAX_BYTES ? (payload) : BYZ_CONTROL_MAX_BYTES))

typedef struct {
    uint8_t *buffer;
    uint32_t capacity;
    uint32_t fill;
    uint8_t overrun; /* longer than the buffer: discarded up to the next zero */
} byz_link_t;

void byz_link_init(byz_link_t *link, uint8_t *buffer, uint32_t capacity);

/* Takes one byte. Returns 0 (go on), the size of a frame that now lies at the buffer's start until the next call,
 * BYZ_ERR_COBS, or BYZ_ERR_SPACE for a frame longer than the buffer. */
BYZ_CHECK int byz_link_receive(byz_link_t *link, uint8_t byte);

typedef void (*byz_putc_t)(uint8_t byte);

void byz_link_send(const uint8_t *frame, size_t bytes, byz_putc_t putc);

#endif
