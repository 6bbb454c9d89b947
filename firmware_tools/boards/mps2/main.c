/* The firmware: one client behind one serial line, all memory static. */
#include "byz_client.h"
#include "byz_hal.h"
#include "byz_link.h"
#include "byz_provision.h"
#include "byz_scope.h"
#include "generated/byz_networks.h"

#ifndef BYZ_BOARD_PAYLOAD
#define BYZ_BOARD_PAYLOAD BYZ_DEFAULT_PAYLOAD /* the largest DATA payload the buffers have room for */
#endif

#if !defined(BYZ_SOURCE_SHA256)
#define BYZ_SOURCE_SHA256 "0000000000000000" /* the build gives the hash of the sources, in hex */
#endif

/* Which network, and the RAM of the microcontroller it is for: a file of `images` says it and includes this one. */
#if !defined(BYZ_BOARD_NETWORK) || !defined(BYZ_BOARD_SIZES) || !defined(BYZ_BOARD_RAM)
#error "compile a file of images/, not main.c"
#endif

#define TEXT(what) #what
#define TEXT_OF(what) TEXT(what)
__asm__(".global _ram_bytes\n.set _ram_bytes, " TEXT_OF(BYZ_BOARD_RAM)); /* the linker script reads it */

#define JOIN(a, b, c) a##b##c
#define JOINED(a, b, c) JOIN(a, b, c)
#define NETWORK JOINED(byz_net_, BYZ_BOARD_NETWORK, )
#define SIZE(what) JOINED(BYZ_NET_, BYZ_BOARD_SIZES, _##what)

static byz_client_t client;
static byz_link_t line;
static uint64_t scope[BYZ_SCOPE_BYTES(SIZE(TENSORS)) / 8U];
static uint8_t rx[BYZ_LINK_BYTES(BYZ_BOARD_PAYLOAD)];

/* What the whole network needs. It is the last of the static memory, so that it goes on as spare RAM (the linker script):
 * a network that is trained in part leaves more of it for the order of the samples. */
__attribute__((section(".byz_arena"), used)) static uint64_t
    arena[BYZ_CLIENT_ARENA_BYTES(SIZE(MODEL_BYTES), SIZE(SCRATCH_BYTES), BYZ_BOARD_PAYLOAD) / 8U];

static void send(void *user, const uint8_t *frame, size_t bytes) {
    (void)user;
    byz_link_send(frame, bytes, byz_hal_putc);
}

static void training_begin(void *user) {
    (void)user;
    byz_hal_marker(1);
}

static void training_end(void *user, uint32_t steps) {
    (void)user;
    byz_hal_marker(steps << 1);
}

static uint32_t stack_bytes(void *user) {
    (void)user;
    return byz_hal_stack_bytes();
}

static uint8_t hex_digit(char c) { return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10); }

/* Everything that can be wrong here is wrong in the provisioning block. */
BYZ_CHECK static int set_up(void) {
    byz_client_config_t config;
    byz_fill(&config, 0, sizeof config);
    size_t bytes = 0;
    size_t base_bytes = 0;
    const uint8_t *base = NULL;
    const uint8_t *block = byz_hal_provision(&bytes);
    int status = byz_provision_load(&config, block, bytes, &base, &base_bytes);
    if (status != BYZ_OK) return status;
    if (config.max_payload > BYZ_BOARD_PAYLOAD) return BYZ_ERR_SPACE;
    status = byz_scope_open(&NETWORK, base, base_bytes, scope, &config.network);
    if (status != BYZ_OK) return status;
    static const char source_sha256[] = BYZ_SOURCE_SHA256;
    for (uint32_t i = 0; i < sizeof config.fw_sha256; i++) {
        config.fw_sha256[i] = (uint8_t)(hex_digit(source_sha256[2U * i]) << 4 | hex_digit(source_sha256[2U * i + 1U]));
    }
    config.build_id = BYZ_BUILD_ID;
    config.caps = BYZ_CAP_TRAIN_INT8_SR | BYZ_CAP_INSTRUCTION_MARKERS;
    const size_t room = sizeof arena + byz_hal_spare_bytes();
    const size_t taken = byz_client_arena_bytes(config.network, 0, config.max_payload);
    byz_client_place(&config, arena, (uint32_t)((room - taken) / sizeof *config.order));
    config.send = send;
    config.training_begin = training_begin;
    config.training_end = training_end;
    config.stack_bytes = stack_bytes;
    return byz_client_init(&client, &config);
}

int main(void) {
    byz_hal_init();
    if (set_up() != BYZ_OK) byz_hal_park();
    byz_link_init(&line, rx, sizeof rx);
    byz_client_banner(&client);
    for (;;) {
        const int bytes = byz_link_receive(&line, byz_hal_getc());
        if (bytes > 0) {
            byz_client_on_frame(&client, rx, (size_t)bytes);
        } else if (bytes < 0) {
            byz_client_on_reject(&client, bytes == BYZ_ERR_SPACE ? BYZ_REJECT_SIZE : BYZ_REJECT_COBS);
        }
    }
}
