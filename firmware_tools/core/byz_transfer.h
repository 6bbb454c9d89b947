/* The transfer of one object (docs/wire.md 4): the receiver's half and the sender's half.
 *
 * Neither has a timer, a queue or a buffer. The receiver writes every chunk by offset straight into its destination, so
 * an object exists once in RAM; the sender reads the object where it lies, in up to two pieces. What goes onto the wire
 * in answer (ACK, DATA, COMMIT) is the client's business: the functions here say what is due.
 *
 * Every number that comes in is hostile: offsets and lengths are compared before anything is computed from them.
 */
#ifndef BYZ_TRANSFER_H
#define BYZ_TRANSFER_H

#include "byz_util.h"
#include "generated/byz_wire.h"

/* The payload of START. */
typedef struct {
    uint32_t round_num;
    uint32_t total;
    uint32_t chunk;
    uint8_t kind;
    uint8_t sha256[32];
} byz_start_t;

void byz_start_load(byz_start_t *start, const uint8_t payload[BYZ_START_BYTES]);
void byz_start_store(const byz_start_t *start, uint8_t payload[BYZ_START_BYTES]);

typedef struct {
    uint32_t xfer; /* 0: no transfer */
    byz_start_t start;
    uint32_t next; /* contiguous bytes from 0 */
    uint32_t held; /* bit i: the chunk at next + i * chunk is there; bit 0 is never set */
    uint8_t *destination;
} byz_receiver_t;

/* Begins a transfer, or resumes the half-done one of the same object. `destination` has room for `start->total` bytes,
 * `held_bytes` of which are there already (0, or all of them). BYZ_ERR_ARGUMENT for a chunk or an xfer of 0. */
BYZ_CHECK int byz_receiver_open(byz_receiver_t *receiver, uint32_t xfer, const byz_start_t *start, uint8_t *destination,
                                uint32_t held_bytes);

void byz_receiver_close(byz_receiver_t *receiver);

/* Takes one chunk, or drops it. Returns 1 when an ACK is due whether or not the frame asked for one: the chunk was
 * dropped, or there is a hole. */
BYZ_CHECK int byz_receiver_data(byz_receiver_t *receiver, uint32_t offset, const uint8_t *payload, uint32_t bytes);

static inline int byz_receiver_complete(const byz_receiver_t *receiver) { return receiver->next == receiver->start.total; }

typedef struct {
    uint32_t xfer; /* 0: no transfer */
    byz_start_t start;
    const uint8_t *head; /* the object's first head_bytes bytes ... */
    const uint8_t *body; /* ... and the rest */
    uint32_t head_bytes;
} byz_sender_t;

/* What an ACK asks for: chunk i of the window is at offset + i * chunk, and bit i of `due` says that it is to be sent.
 * With `commit` the receiver has everything. */
typedef struct {
    uint32_t offset;
    uint32_t due;
    uint8_t commit;
} byz_burst_t;

/* BYZ_ERR_ARGUMENT if `next` is beyond the object or not reached by whole chunks. */
BYZ_CHECK int byz_sender_on_ack(const byz_sender_t *sender, uint32_t next, uint32_t sack, uint32_t credit,
                                byz_burst_t *burst);

/* Copies the chunk at `offset` (below the total) to `out`, which has room for one chunk; returns its bytes. */
uint32_t byz_sender_chunk(const byz_sender_t *sender, uint32_t offset, uint8_t *out);

void byz_sender_close(byz_sender_t *sender);

#endif
