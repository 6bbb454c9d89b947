/* The federated client (docs/wire.md 5): a function from received frames to sent frames.
 *
 * Purely reactive: no clock, no interrupt, no thread. The caller hands over frames one at a time; the client answers
 * through the send callback before the call returns, and trains inside the call that delivers the last piece of the
 * model. All memory is the caller's: `byz_client_init` checks what it was given and keeps pointers into it.
 *
 *     byz_client_config_t config = { .network = ..., .device_id = ..., ... };
 *     config.buffers = ...                          or: byz_client_place(&config, arena)
 *     if (byz_client_init(&client, &config) != BYZ_OK) ...
 *     byz_client_banner(&client);
 *     for every frame: byz_client_on_frame(&client, bytes, n);
 *
 * The same C serves the native fleet, the emulated boards and real ones; byzantiny.wire.device is its twin in Python,
 * frame for frame.
 */
#ifndef BYZ_CLIENT_H
#define BYZ_CLIENT_H

#include "byz_attack.h"
#include "byz_network.h"
#include "byz_train.h"
#include "byz_transfer.h"

/* Smallest and largest offer object: the fixed part, the shifts of 1 to 32 tensors in fours, the tag. */
#define BYZ_OFFER_MIN_BYTES (BYZ_OFFER_BYTES + 4U + 16U)
#define BYZ_OFFER_MAX_BYTES (BYZ_OFFER_BYTES + BYZ_MAX_TENSORS + 16U)

/* Largest frame at a DATA maximum of `payload`: a control payload may be larger than a chunk. */
#define BYZ_CLIENT_FRAME_BYTES(payload) \
    (BYZ_OVERHEAD_BYTES + ((payload) > BYZ_CONTROL_MAX_BYTES ? (payload) : BYZ_CONTROL_MAX_BYTES))

/* What HELLO calls the build: counts the behaviours of the client that a host may want to tell apart. A Byzantine board says that it
 * is one: it is an experiment's, and must not be taken for another. */
#define BYZ_BUILD_ID (BYZ_ATTACK == 0 ? 1U : 0xBAD00000U + (uint32_t)BYZ_ATTACK)

/* Most frames one received frame is answered with. */
#define BYZ_CLIENT_BURST BYZ_WINDOW_CHUNKS

/* `frame` is valid until the callback returns. */
typedef void (*byz_send_t)(void *user, const uint8_t *frame, size_t bytes);

typedef struct {
    const byz_network_t *network;
    const uint8_t *dataset;   /* a BYZD blob; stays where it is and is only read */
    size_t dataset_bytes;

    uint8_t device_id[16];    /* zero-padded */
    uint8_t secret[32];
    uint8_t fw_sha256[8];     /* reported in HELLO, as the next two are */
    uint32_t build_id;
    uint32_t caps;            /* BYZ_CAP_... */
    uint32_t boot_id;         /* another one after every reboot */
    uint16_t address;         /* 1..65534 */
    uint16_t max_payload;     /* one of BYZ_PAYLOAD_SIZES */
    uint16_t rx_credit;       /* chunks that can arrive back to back; at least 1 */
    uint8_t reset_reason;     /* BYZ_RESET_... */

    /* Buffers. `byz_client_place` sets all of them inside one arena. */
    void *model;              /* the global model, network->model_bytes, 4-aligned */
    void *work;               /* the local model and then the codes, the same size, 4-aligned */
    void *scratch;            /* byz_train_scratch_bytes(network), 4-aligned */
    uint16_t *order;          /* one u16 a sample */
    uint32_t order_capacity;  /* samples it has room for */
    uint8_t *frame;           /* BYZ_CLIENT_FRAME_BYTES(max_payload): the frame being sent */

    void *user;               /* handed to the callbacks */
    byz_send_t send;
    void (*training_begin)(void *user);                /* may be null */
    void (*training_end)(void *user, uint32_t steps);  /* may be null */
    uint32_t (*stack_bytes)(void *user);               /* the high-water mark for METRIC; may be null */
} byz_client_config_t;

/* What a verified offer says. */
typedef struct {
    uint8_t sha256[32]; /* of the offer's body: its name */
    uint8_t model_sha256[32];
    uint64_t seed;
    uint32_t round_num;
    uint32_t model_bytes;
    uint32_t l2_bound;
    uint8_t epochs;
    uint8_t lr_shift;
    int8_t shifts[BYZ_MAX_TENSORS];
} byz_offer_t;

typedef struct {
    byz_client_config_t config;
    byz_dataset_t data;
    uint8_t data_sha256[32];
    uint8_t up_key[32];
    uint8_t down_key[32];

    uint8_t open; /* the session */
    uint16_t max_payload;
    uint16_t seq;

    uint8_t announced; /* ROUND has been seen */
    uint32_t announced_round;
    uint32_t announced_bytes;
    uint8_t announced_sha256[32];

    uint8_t accepted; /* `offer` holds */
    byz_offer_t offer;
    uint8_t offer_object[BYZ_OFFER_MAX_BYTES]; /* as it arrives */

    uint8_t model_held; /* `model` is what `model_sha256` says */
    uint8_t model_sha256[32];

    uint8_t update_ready; /* `work` holds codes, `update_head` the manifest and its tag */
    uint8_t update_sha256[32];
    uint8_t update_head[BYZ_UPDATE_HEADER_BYTES];
    uint32_t uploads;
    uint32_t transfers; /* n of the last transfer id */

    byz_receiver_t receiver;
    byz_sender_t sender;
    uint32_t done_xfer; /* the transfer received last, and its RECEIPT */
    uint8_t done_receipt[BYZ_RECEIPT_BYTES];

    uint32_t rejects[BYZ_REJECT_COUNT];
    uint32_t frames_received;
    uint32_t frames_sent;
    uint32_t training_steps;
#if BYZ_ATTACK == BYZ_ATTACK_REPLAY
    uint32_t past_bytes;                /* 0: nothing is kept yet */
    int8_t past[BYZ_ATTACK_MAX_CODES]; /* the first update it sent */
#endif
} byz_client_t;

/* Bytes of an arena for the buffers of a client with `samples` samples; a multiple of 8. */
size_t byz_client_arena_bytes(const byz_network_t *network, uint32_t samples, uint16_t max_payload);

/* The same as a constant, for a static arena without samples. */
#define BYZ_CLIENT_ARENA_BYTES(model_bytes, scratch_bytes, max_payload)                            \
    (2U * (((model_bytes) + 7U) & ~7U) + (((scratch_bytes) + 7U) & ~7U) +                          \
     ((BYZ_CLIENT_FRAME_BYTES(max_payload) + 7U) & ~7U))

/* Sets the buffers of `config` inside `arena` (8-aligned, of the size above for the same network, samples and payload). The
 * order of the samples is last, so that a board can give it whatever is left. */
void byz_client_place(byz_client_config_t *config, void *arena, uint32_t samples);

/* Power-on: everything but what `config` says is forgotten. Sends nothing. BYZ_ERR_ARGUMENT for a configuration outside
 * its limits, BYZ_ERR_DATASET for a data set that does not fit the network, BYZ_ERR_SPACE if `order` is too small. */
BYZ_CHECK int byz_client_init(byz_client_t *client, const byz_client_config_t *config);

/* The unasked HELLO of a power-on. */
void byz_client_banner(byz_client_t *client);

/* Takes one frame, without COBS. Sends at most BYZ_CLIENT_BURST frames. */
void byz_client_on_frame(byz_client_t *client, const uint8_t *frame, size_t bytes);

/* Counts a frame that did not get as far as `byz_client_on_frame`: BYZ_REJECT_COBS or BYZ_REJECT_SIZE, from the link. */
void byz_client_on_reject(byz_client_t *client, uint32_t reject);

#endif
