/* The federated client: the table of docs/wire.md 5, a function per row. */
#include "byz_client.h"

#include "byz_codes.h"
#include "byz_frame.h"
#include "byz_hmac.h"
#include "byz_sha256.h"

static const uint8_t UP_INFO[] = {'b', 'y', 'z', 'a', 'n', 't', 'i', 'n', 'y', '-', 'u', 'p', '-', '1'};
static const uint8_t DOWN_INFO[] = {'b', 'y', 'z', 'a', 'n', 't', 'i', 'n', 'y', '-', 'd', 'o', 'w', 'n', '-', '1'};

static int payload_size_known(uint32_t size) {
    static const uint16_t sizes[BYZ_PAYLOAD_SIZES_COUNT] = BYZ_PAYLOAD_SIZES;
    for (uint32_t i = 0; i < BYZ_PAYLOAD_SIZES_COUNT; i++) {
        if (sizes[i] == size) return 1;
    }
    return 0;
}

/* Sending */

/* Where the payload of the frame being built goes. */
static uint8_t *payload(byz_client_t *client) { return client->config.frame + BYZ_HEADER_BYTES; }

/* Sends the `length` bytes that are at payload(). The largest is a chunk, and a chunk is at most max_payload. */
static void emit(byz_client_t *client, uint32_t type, uint32_t flags, uint32_t xfer, uint32_t offset, uint32_t length) {
    byz_frame_t frame;
    byz_fill(&frame, 0, sizeof frame);
    frame.type = (uint8_t)type;
    frame.flags = (uint8_t)flags;
    frame.length = (uint16_t)length;
    frame.address = client->config.address;
    frame.seq = client->seq;
    frame.xfer = xfer;
    frame.offset = offset;
    frame.payload = payload(client);
    const int bytes = byz_frame_encode(&frame, client->config.frame, BYZ_CLIENT_FRAME_BYTES(client->config.max_payload));
    if (bytes < 0) return; /* cannot happen: init has checked the buffer's size */
    client->seq = (uint16_t)(client->seq + 1U);
    client->frames_sent++;
    client->config.send(client->config.user, client->config.frame, (size_t)bytes);
}

static void send_hello(byz_client_t *client) {
    const byz_client_config_t *config = &client->config;
    uint8_t *p = payload(client);
    byz_fill(p, 0, BYZ_HELLO_BYTES);
    p[BYZ_HELLO_PROTO_MIN] = (uint8_t)BYZ_PROTO;
    p[BYZ_HELLO_PROTO_MAX] = (uint8_t)BYZ_PROTO;
    byz_store16(p + BYZ_HELLO_MAX_PAYLOAD, config->max_payload);
    byz_copy(p + BYZ_HELLO_DEVICE_ID, config->device_id, sizeof config->device_id);
    byz_copy(p + BYZ_HELLO_FW_SHA256, config->fw_sha256, sizeof config->fw_sha256);
    byz_store32(p + BYZ_HELLO_BUILD_ID, config->build_id);
    byz_store32(p + BYZ_HELLO_CAPS, config->caps);
    byz_store32(p + BYZ_HELLO_MAX_OBJECT, config->network->model_bytes);
    byz_store32(p + BYZ_HELLO_BOOT_ID, config->boot_id);
    byz_store16(p + BYZ_HELLO_RX_CREDIT, config->rx_credit);
    p[BYZ_HELLO_RESET_REASON] = config->reset_reason;
    byz_store32(p + BYZ_HELLO_N_SAMPLES, client->data.n);
    byz_copy(p + BYZ_HELLO_DATA_SHA256, client->data_sha256, sizeof client->data_sha256);
    emit(client, BYZ_TYPE_HELLO, BYZ_FLAG_NONE, 0, 0, BYZ_HELLO_BYTES);
}

static void send_ack(byz_client_t *client, uint32_t xfer, uint32_t next, uint32_t sack, uint32_t status) {
    uint8_t *p = payload(client);
    byz_store32(p + BYZ_ACK_NEXT, next);
    byz_store32(p + BYZ_ACK_SACK, sack);
    byz_store16(p + BYZ_ACK_CREDIT, client->config.rx_credit);
    p[BYZ_ACK_STATUS] = (uint8_t)status;
    emit(client, BYZ_TYPE_ACK, BYZ_FLAG_NONE, xfer, 0, BYZ_ACK_BYTES);
}

static void ack_received(byz_client_t *client) {
    const byz_receiver_t *receiver = &client->receiver;
    send_ack(client, receiver->xfer, receiver->next, receiver->held, BYZ_STATUS_OK);
}

static void send_abort(byz_client_t *client, uint32_t xfer, uint32_t status) {
    uint8_t *p = payload(client);
    byz_fill(p, 0, BYZ_ABORT_BYTES);
    p[BYZ_ABORT_STATUS] = (uint8_t)status;
    emit(client, BYZ_TYPE_ABORT, BYZ_FLAG_NONE, xfer, 0, BYZ_ABORT_BYTES);
}

static void send_done_receipt(byz_client_t *client) {
    byz_copy(payload(client), client->done_receipt, BYZ_RECEIPT_BYTES);
    emit(client, BYZ_TYPE_RECEIPT, BYZ_FLAG_NONE, client->done_xfer, 0, BYZ_RECEIPT_BYTES);
}

static void send_metric(byz_client_t *client) {
    uint8_t *p = payload(client);
    for (uint32_t i = 0; i < BYZ_REJECT_COUNT; i++) byz_store32(p + 4U * i, client->rejects[i]);
    byz_store32(p + BYZ_METRIC_FRAMES_RECEIVED, client->frames_received);
    byz_store32(p + BYZ_METRIC_FRAMES_SENT, client->frames_sent);
    byz_store32(p + BYZ_METRIC_TRAINING_STEPS, client->training_steps);
    uint32_t stack = 0;
    if (client->config.stack_bytes != NULL) stack = client->config.stack_bytes(client->config.user);
    byz_store32(p + BYZ_METRIC_STACK_BYTES, stack);
    emit(client, BYZ_TYPE_METRIC, BYZ_FLAG_NONE, 0, 0, BYZ_METRIC_BYTES);
}

/* Session */

static void on_hello_ack(byz_client_t *client, const uint8_t *p) {
    const uint32_t max_payload = byz_load16(p + BYZ_HELLO_ACK_MAX_PAYLOAD);
    const uint32_t credit = byz_load16(p + BYZ_HELLO_ACK_CREDIT);
    if (p[BYZ_HELLO_ACK_PROTO] != BYZ_PROTO || byz_load32(p + BYZ_HELLO_ACK_BOOT_ID) != client->config.boot_id ||
        !payload_size_known(max_payload) || max_payload > client->config.max_payload || credit == 0) {
        send_hello(client);
        return;
    }
    client->open = 1;
    client->max_payload = (uint16_t)max_payload;
    byz_sender_close(&client->sender); /* its chunk may no longer be allowed */
    byz_copy(payload(client), p, BYZ_HELLO_ACK_BYTES);
    emit(client, BYZ_TYPE_HELLO_ACK, BYZ_FLAG_NONE, 0, 0, BYZ_HELLO_ACK_BYTES);
}

static void on_reset_notice(byz_client_t *client) {
    client->open = 0;
    byz_receiver_close(&client->receiver);
    byz_sender_close(&client->sender);
    send_hello(client);
}

/* The update on its way to the host */

static void start_update(byz_client_t *client) {
    byz_sender_t *sender = &client->sender;
    if (sender->xfer == 0) {
        do {
            client->transfers++;
            sender->xfer = byz_draw(client->transfers, client->config.boot_id, client->config.address);
        } while (sender->xfer == 0);
        sender->start.round_num = client->offer.round_num;
        sender->start.kind = (uint8_t)BYZ_KIND_UPDATE;
        sender->start.total = BYZ_UPDATE_HEADER_BYTES + client->config.network->d;
        sender->start.chunk = client->max_payload;
        byz_copy(sender->start.sha256, client->update_sha256, sizeof sender->start.sha256);
        sender->head = client->update_head;
        sender->head_bytes = BYZ_UPDATE_HEADER_BYTES;
        sender->body = client->config.work;
    }
    byz_start_store(&sender->start, payload(client));
    emit(client, BYZ_TYPE_START, BYZ_FLAG_NONE, sender->xfer, 0, BYZ_START_BYTES);
}

static void drop_update(byz_client_t *client) {
    client->update_ready = 0;
    byz_sender_close(&client->sender);
}

static void send_burst(byz_client_t *client, const byz_burst_t *burst) {
    const byz_sender_t *sender = &client->sender;
    uint32_t due = burst->due;
    for (uint32_t offset = burst->offset; due != 0; due >>= 1, offset += sender->start.chunk) {
        if ((due & 1U) == 0) continue;
        const uint32_t bytes = byz_sender_chunk(sender, offset, payload(client));
        uint32_t flags = due == 1U ? BYZ_FLAG_ACK_REQ : BYZ_FLAG_NONE;
        if (offset + bytes == sender->start.total) flags |= BYZ_FLAG_LAST;
        emit(client, BYZ_TYPE_DATA, flags, sender->xfer, offset, bytes);
    }
}

static void on_ack(byz_client_t *client, const byz_frame_t *frame) {
    byz_sender_t *sender = &client->sender;
    const uint8_t *p = frame->payload;
    if (sender->xfer == 0 || frame->xfer != sender->xfer) {
        send_abort(client, frame->xfer, BYZ_STATUS_UNKNOWN_TRANSFER);
        return;
    }
    if (p[BYZ_ACK_STATUS] != BYZ_STATUS_OK) {
        byz_sender_close(sender);
        return;
    }
    byz_burst_t burst;
    if (byz_sender_on_ack(sender, byz_load32(p + BYZ_ACK_NEXT), byz_load32(p + BYZ_ACK_SACK),
                          byz_load16(p + BYZ_ACK_CREDIT), &burst) != BYZ_OK) {
        byz_sender_close(sender);
        send_abort(client, frame->xfer, BYZ_STATUS_BAD_LENGTH);
    } else if (burst.commit) {
        emit(client, BYZ_TYPE_COMMIT, BYZ_FLAG_NONE, sender->xfer, 0, 0);
    } else {
        send_burst(client, &burst);
    }
}

/* The round */

static void on_round(byz_client_t *client, const uint8_t *p) {
    const uint32_t round_num = byz_load32(p + BYZ_ROUND_ROUND);
    const uint8_t *sha256 = p + BYZ_ROUND_OFFER_SHA256;
    if (client->accepted && round_num < client->offer.round_num) {
        send_ack(client, 0, 0, 0, BYZ_STATUS_STALE_ROUND);
        return;
    }
    client->announced = 1;
    client->announced_round = round_num;
    client->announced_bytes = byz_load32(p + BYZ_ROUND_OFFER_BYTES);
    byz_copy(client->announced_sha256, sha256, sizeof client->announced_sha256);
    if (!client->accepted || !byz_equal(sha256, client->offer.sha256, 32)) {
        send_ack(client, 0, 0, 0, BYZ_STATUS_NEED_OFFER);
    } else if (client->update_ready) {
        start_update(client);
    } else {
        send_ack(client, 0, 0, 0, BYZ_STATUS_NEED_MODEL);
    }
}

/* What START of an object is refused with, or OK. */
static uint32_t judge_start(const byz_client_t *client, const byz_start_t *start) {
    if (start->kind == BYZ_KIND_OFFER) {
        if (!client->announced) return BYZ_STATUS_NO_OFFER;
        if (start->total != client->announced_bytes || start->total < BYZ_OFFER_MIN_BYTES || start->total > BYZ_OFFER_MAX_BYTES) {
            return BYZ_STATUS_BAD_LENGTH;
        }
        if (start->round_num != client->announced_round) return BYZ_STATUS_WRONG_ROUND;
    } else if (start->kind == BYZ_KIND_MODEL) {
        if (!client->accepted) return BYZ_STATUS_NO_OFFER;
        if (start->round_num != client->offer.round_num) return BYZ_STATUS_WRONG_ROUND;
        if (!byz_equal(start->sha256, client->offer.model_sha256, 32)) return BYZ_STATUS_WRONG_MODEL;
        if (start->total != client->offer.model_bytes) return BYZ_STATUS_BAD_LENGTH;
    } else {
        return BYZ_STATUS_WRONG_KIND;
    }
    if (start->chunk == 0 || start->chunk > client->max_payload) return BYZ_STATUS_BAD_LENGTH;
    return BYZ_STATUS_OK;
}

static void on_start(byz_client_t *client, const byz_frame_t *frame) {
    byz_start_t start;
    byz_start_load(&start, frame->payload);
    const uint32_t status = judge_start(client, &start);
    if (status != BYZ_STATUS_OK) {
        send_abort(client, frame->xfer, status);
        return;
    }
    uint8_t *destination = client->offer_object;
    uint32_t held = 0;
    if (start.kind == BYZ_KIND_MODEL) {
        destination = client->config.model;
        if (client->model_held && byz_equal(client->model_sha256, start.sha256, 32)) {
            held = start.total;
        } else {
            client->model_held = 0; /* the first chunk overwrites it */
        }
    }
    if (byz_receiver_open(&client->receiver, frame->xfer, &start, destination, held) != BYZ_OK) {
        send_abort(client, frame->xfer, BYZ_STATUS_BAD_LENGTH);
        return;
    }
    ack_received(client);
}

static void on_data(byz_client_t *client, const byz_frame_t *frame) {
    byz_receiver_t *receiver = &client->receiver;
    if (receiver->xfer == 0 || frame->xfer != receiver->xfer) {
        send_abort(client, frame->xfer, BYZ_STATUS_UNKNOWN_TRANSFER);
        return;
    }
    const int due = byz_receiver_data(receiver, frame->offset, frame->payload, frame->length);
    if (due != 0 || (frame->flags & BYZ_FLAG_ACK_REQ) != 0) ack_received(client);
}

/* Ends the receiving transfer with a verdict that a repeated COMMIT gets again. */
static void conclude(byz_client_t *client, uint32_t reason) {
    const byz_start_t *start = &client->receiver.start;
    uint8_t *p = client->done_receipt;
    byz_fill(p, 0, BYZ_RECEIPT_BYTES);
    byz_store32(p + BYZ_RECEIPT_ROUND, start->round_num);
    p[BYZ_RECEIPT_VERDICT] = (uint8_t)(reason == BYZ_REASON_NONE ? BYZ_VERDICT_ACCEPTED : BYZ_VERDICT_REJECTED);
    p[BYZ_RECEIPT_REASON] = (uint8_t)reason;
    byz_copy(p + BYZ_RECEIPT_SHA256, start->sha256, sizeof start->sha256);
    client->done_xfer = client->receiver.xfer;
    byz_receiver_close(&client->receiver);
    send_done_receipt(client);
}

static int layout_matches(const byz_network_t *network, const uint8_t *body, const byz_offer_t *offer) {
    return byz_equal(body + BYZ_OFFER_LAYOUT_SHA256, network->layout_sha256, sizeof network->layout_sha256) &&
           offer->model_bytes == network->model_bytes && body[BYZ_OFFER_N_TENSORS] == network->n_tensors;
}

/* Whether the rest of a body, whose layout matches, is something this device can work with. */
static int offer_usable(const byz_network_t *network, const uint8_t *body, uint32_t body_bytes, const byz_offer_t *offer) {
    const uint32_t shifts_end = BYZ_OFFER_BYTES + network->n_tensors;
    if (body_bytes != ((shifts_end + 3U) & ~3U)) return 0; /* the fixed part is a multiple of 4 */
    for (uint32_t i = shifts_end; i < body_bytes; i++) {
        if (body[i] != 0) return 0;
    }
    return byz_load32(body + BYZ_OFFER_MAGIC) == BYZ_MAGIC_OBJECT && byz_load16(body + BYZ_OFFER_PROTO) == BYZ_PROTO &&
           byz_load16(body + BYZ_OFFER_KIND) == BYZ_KIND_OFFER && body[BYZ_OFFER_ZERO] == 0 && offer->epochs >= 1 &&
           offer->lr_shift >= BYZ_LR_SHIFT_MIN && offer->lr_shift <= BYZ_LR_SHIFT_MAX &&
           offer->l2_bound <= BYZ_L2_BOUND_MAX && byz_shifts_check(network, offer->shifts) == BYZ_OK;
}

/* The checks of docs/wire.md 5 in their order; `offer` is what the object says. */
static uint32_t judge_offer(const byz_client_t *client, byz_offer_t *offer) {
    const byz_receiver_t *receiver = &client->receiver;
    const uint8_t *body = client->offer_object;
    uint8_t sha256[32];
    byz_sha256(body, receiver->start.total, sha256);
    if (!byz_equal(sha256, receiver->start.sha256, sizeof sha256)) return BYZ_REASON_BAD_HASH;
    const uint32_t body_bytes = receiver->start.total - BYZ_TAG_BYTES;
    if (byz_tag_verify(client->down_key, body, body_bytes, body + body_bytes) != BYZ_OK) return BYZ_REASON_BAD_TAG;

    byz_sha256(body, body_bytes, offer->sha256);
    byz_copy(offer->model_sha256, body + BYZ_OFFER_MODEL_SHA256, sizeof offer->model_sha256);
    offer->seed = byz_load64(body + BYZ_OFFER_SEED);
    offer->round_num = byz_load32(body + BYZ_OFFER_ROUND);
    offer->model_bytes = byz_load32(body + BYZ_OFFER_MODEL_BYTES);
    offer->l2_bound = byz_load32(body + BYZ_OFFER_L2_BOUND);
    offer->epochs = body[BYZ_OFFER_EPOCHS];
    offer->lr_shift = body[BYZ_OFFER_LR_SHIFT];
    byz_copy(offer->shifts, body + BYZ_OFFER_BYTES, body_bytes - BYZ_OFFER_BYTES); /* START's total was in range */

    if (client->accepted && offer->round_num < client->offer.round_num) return BYZ_REASON_STALE_ROUND;
    if (offer->round_num != client->announced_round) return BYZ_REASON_WRONG_ROUND;
    if (!byz_equal(offer->sha256, client->announced_sha256, 32)) return BYZ_REASON_UNKNOWN_OFFER;
    if (!layout_matches(client->config.network, body, offer)) return BYZ_REASON_WRONG_LAYOUT;
    return offer_usable(client->config.network, body, body_bytes, offer) ? BYZ_REASON_NONE : BYZ_REASON_BAD_OFFER;
}

static void commit_offer(byz_client_t *client) {
    byz_offer_t offer;
    byz_fill(&offer, 0, sizeof offer);
    const uint32_t reason = judge_offer(client, &offer);
    const int known = client->accepted && byz_equal(offer.sha256, client->offer.sha256, sizeof offer.sha256);
    if (reason == BYZ_REASON_NONE && !known) {
        client->offer = offer;
        client->accepted = 1;
        drop_update(client);
    }
    conclude(client, reason);
}

/* On a board that replays: the codes of its first update, once more, in place of this round's. */
static void replay(byz_client_t *client) {
#if BYZ_ATTACK == BYZ_ATTACK_REPLAY
    const uint32_t d = client->config.network->d;
    if (client->past_bytes == d) {
        byz_copy(client->config.work, client->past, d);
    } else if (d <= BYZ_ATTACK_MAX_CODES) {
        byz_copy(client->past, client->config.work, d);
        client->past_bytes = d;
    }
#else
    (void)client;
#endif
}

/* Codes, manifest and tag, from a local model that training has just left in `work`. Returns BYZ_OK, and the update is
 * ready, or what byz_encode refused. */
static int build_update(byz_client_t *client) {
    const byz_client_config_t *config = &client->config;
    const byz_offer_t *offer = &client->offer;
    byz_key_t key;
    byz_key(&key, offer->seed, config->device_id, offer->round_num, BYZ_STREAM_CODES);
    byz_key_t *attack = &key; /* looked at on a Byzantine board alone */
#if BYZ_ATTACK == BYZ_ATTACK_GAUSSIAN
    byz_key_t noise;
    byz_key(&noise, offer->seed, config->device_id, offer->round_num, BYZ_STREAM_ATTACK);
    attack = &noise;
#endif
    const int status = byz_encode_attacked(config->network, config->model, config->work, offer->shifts, offer->l2_bound, &key, attack,
                                           config->work);
    if (status != BYZ_OK) return status;
    replay(client);

    uint8_t *m = client->update_head;
    client->uploads++;
    byz_fill(m, 0, BYZ_UPDATE_HEADER_BYTES);
    byz_store32(m + BYZ_MANIFEST_MAGIC, BYZ_MAGIC_OBJECT);
    byz_store16(m + BYZ_MANIFEST_PROTO, BYZ_PROTO);
    byz_store16(m + BYZ_MANIFEST_KIND, BYZ_KIND_UPDATE);
    byz_copy(m + BYZ_MANIFEST_DEVICE_ID, config->device_id, sizeof config->device_id);
    byz_store32(m + BYZ_MANIFEST_ROUND, offer->round_num);
    byz_copy(m + BYZ_MANIFEST_OFFER_SHA256, offer->sha256, sizeof offer->sha256);
    byz_store32(m + BYZ_MANIFEST_COUNTER, client->uploads);
    byz_store32(m + BYZ_MANIFEST_COUNTER + 4, config->boot_id);
    byz_store32(m + BYZ_MANIFEST_N_SAMPLES, client->data.n);
    byz_store32(m + BYZ_MANIFEST_PAYLOAD_BYTES, config->network->d);
    byz_sha256(config->work, config->network->d, m + BYZ_MANIFEST_PAYLOAD_SHA256);
    byz_tag(client->up_key, m, BYZ_MANIFEST_BYTES, m + BYZ_MANIFEST_BYTES);

    byz_sha256_t whole;
    byz_sha256_init(&whole);
    byz_sha256_update(&whole, m, BYZ_UPDATE_HEADER_BYTES);
    byz_sha256_update(&whole, config->work, config->network->d);
    byz_sha256_final(&whole, client->update_sha256);
    client->update_ready = 1;
    return BYZ_OK;
}

static void train(byz_client_t *client) {
    const byz_client_config_t *config = &client->config;
    const byz_offer_t *offer = &client->offer;
    byz_train_params_t params;
    params.seed = offer->seed;
    byz_copy(params.client_id, config->device_id, sizeof params.client_id);
    params.round_num = offer->round_num;
    params.epochs = offer->epochs;
    params.lr_shift = offer->lr_shift;

    byz_copy(config->work, config->model, config->network->model_bytes);
    if (config->training_begin != NULL) config->training_begin(config->user);
    const int steps = byz_train(config->network, config->work, &client->data, &params, config->scratch, config->order,
                                config->order_capacity);
    if (config->training_end != NULL) config->training_end(config->user, steps < 0 ? 0 : (uint32_t)steps);
    /* Neither can fail: the offer was judged when it was accepted, the model just before. */
    if (steps < 0 || build_update(client) != BYZ_OK) return;
    client->training_steps += (uint32_t)steps;
}

static void commit_model(byz_client_t *client) {
    const byz_client_config_t *config = &client->config;
    if (!client->model_held) {
        const byz_start_t *start = &client->receiver.start;
        uint8_t sha256[32];
        byz_sha256(config->model, start->total, sha256);
        if (!byz_equal(sha256, start->sha256, sizeof sha256)) {
            conclude(client, BYZ_REASON_BAD_HASH);
            return;
        }
        /* A value beyond its format would break the proof that training cannot overflow. */
        if (byz_model_check(config->network, config->model) != BYZ_OK) {
            conclude(client, BYZ_REASON_MALFORMED);
            return;
        }
        client->model_held = 1;
        byz_copy(client->model_sha256, sha256, sizeof sha256);
    }
    conclude(client, BYZ_REASON_NONE);
    if (!client->update_ready) train(client);
    if (client->update_ready) start_update(client);
}

static void on_commit(byz_client_t *client, const byz_frame_t *frame) {
    const byz_receiver_t *receiver = &client->receiver;
    if (receiver->xfer != 0 && frame->xfer == receiver->xfer) {
        if (!byz_receiver_complete(receiver)) {
            ack_received(client);
        } else if (receiver->start.kind == BYZ_KIND_OFFER) {
            commit_offer(client);
        } else {
            commit_model(client);
        }
    } else if (client->done_xfer != 0 && frame->xfer == client->done_xfer) {
        send_done_receipt(client);
    } else {
        send_abort(client, frame->xfer, BYZ_STATUS_UNKNOWN_TRANSFER);
    }
}

/* RECEIPT and ABORT: the transfer they name is over. Nothing is answered, or two sides that have forgotten a transfer
 * would send each other ABORTs for ever. */
static void on_end(byz_client_t *client, const byz_frame_t *frame) {
    if (client->sender.xfer != 0 && frame->xfer == client->sender.xfer) {
        byz_sender_close(&client->sender);
    } else if (frame->type == BYZ_TYPE_ABORT && client->receiver.xfer != 0 && frame->xfer == client->receiver.xfer) {
        byz_receiver_close(&client->receiver);
    }
}

static void on_session_frame(byz_client_t *client, const byz_frame_t *frame) {
    switch (frame->type) {
        case BYZ_TYPE_ROUND: on_round(client, frame->payload); break;
        case BYZ_TYPE_START: on_start(client, frame); break;
        case BYZ_TYPE_DATA: on_data(client, frame); break;
        case BYZ_TYPE_ACK: on_ack(client, frame); break;
        case BYZ_TYPE_COMMIT: on_commit(client, frame); break;
        case BYZ_TYPE_RECEIPT:
        case BYZ_TYPE_ABORT: on_end(client, frame); break;
        default: send_abort(client, frame->xfer, BYZ_STATUS_UNSUPPORTED); break;
    }
}

void byz_client_on_frame(byz_client_t *client, const uint8_t *bytes, size_t length) {
    byz_frame_t frame;
    const uint32_t data_max = client->open ? client->max_payload : client->config.max_payload;
    if (length > BYZ_CLIENT_FRAME_BYTES((size_t)client->config.max_payload)) {
        byz_client_on_reject(client, BYZ_REJECT_SIZE); /* a link would not have had room for it */
        return;
    }
    if (byz_frame_decode(bytes, length, BYZ_TO_DEVICE, client->config.address, data_max, &frame) != BYZ_OK) {
        byz_client_on_reject(client, frame.reject);
        return;
    }
    client->frames_received++;
    switch (frame.type) {
        case BYZ_TYPE_HELLO: send_hello(client); break;
        case BYZ_TYPE_RESET_NOTICE: on_reset_notice(client); break;
        case BYZ_TYPE_HELLO_ACK: on_hello_ack(client, frame.payload); break;
        case BYZ_TYPE_METRIC: send_metric(client); break;
        case BYZ_TYPE_PING:
            byz_copy(payload(client), frame.payload, BYZ_PING_BYTES);
            emit(client, BYZ_TYPE_PING, BYZ_FLAG_NONE, 0, 0, BYZ_PING_BYTES);
            break;
        default:
            if (client->open) {
                on_session_frame(client, &frame);
            } else {
                send_hello(client);
            }
            break;
    }
}

void byz_client_on_reject(byz_client_t *client, uint32_t reject) {
    if (reject < BYZ_REJECT_COUNT) client->rejects[reject]++;
}

void byz_client_banner(byz_client_t *client) { send_hello(client); }

/* Memory */

static size_t aligned(size_t bytes) { return (bytes + 7U) & ~(size_t)7U; }

size_t byz_client_arena_bytes(const byz_network_t *network, uint32_t samples, uint16_t max_payload) {
    return 2U * aligned(network->model_bytes) + aligned(byz_train_scratch_bytes(network)) +
           aligned(BYZ_CLIENT_FRAME_BYTES(max_payload)) + aligned(2U * (size_t)samples);
}

void byz_client_place(byz_client_config_t *config, void *arena, uint32_t samples) {
    uint8_t *p = arena;
    config->model = p;
    p += aligned(config->network->model_bytes);
    config->work = p;
    p += aligned(config->network->model_bytes);
    config->scratch = p;
    p += aligned(byz_train_scratch_bytes(config->network));
    config->frame = p;
    p += aligned(BYZ_CLIENT_FRAME_BYTES(config->max_payload));
    config->order = (uint16_t *)(void *)p;
    config->order_capacity = samples;
}

int byz_client_init(byz_client_t *client, const byz_client_config_t *config) {
    if (config->network == NULL || config->network->n_tensors > BYZ_MAX_TENSORS || config->dataset == NULL ||
        config->model == NULL || config->work == NULL || config->scratch == NULL || config->order == NULL ||
        config->frame == NULL || config->send == NULL || config->address == 0 || config->address == BYZ_BROADCAST ||
        !payload_size_known(config->max_payload) || config->rx_credit == 0) {
        return BYZ_ERR_ARGUMENT;
    }
    byz_fill(client, 0, sizeof *client);
    const int status = byz_dataset_open(config->dataset, config->dataset_bytes, config->network, &client->data);
    if (status != BYZ_OK) return status;
    if (client->data.n > config->order_capacity) return BYZ_ERR_SPACE;
    client->config = *config;
    byz_sha256(config->dataset, config->dataset_bytes, client->data_sha256);
    byz_hkdf_sha256(config->secret, sizeof config->secret, UP_INFO, sizeof UP_INFO, client->up_key);
    byz_hkdf_sha256(config->secret, sizeof config->secret, DOWN_INFO, sizeof DOWN_INFO, client->down_key);
    byz_wipe(client->config.secret, sizeof client->config.secret); /* the keys are all that is needed from here on */
    return BYZ_OK;
}
