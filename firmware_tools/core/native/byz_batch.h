/* What only the host library has: batch calls beneath the frames, primitives for differential tests, the instruction
 * counter of the emulated boards. Everything here is exported and called through ctypes (byzantiny_firmware/library.py).
 *
 * Batch training exists for sweeps and benchmarks: one call for many clients, the interpreter's lock released, any
 * slice of the clients a call, so two threads on disjoint slices use two cores. It must equal the way through frames.
 */
#ifndef BYZ_BATCH_H
#define BYZ_BATCH_H

#include "../byz_cobs.h"
#include "../byz_codes.h"
#include "../byz_crc32c.h"
#include "../byz_fixed.h"
#include "../byz_frame.h"
#include "../byz_hmac.h"
#include "../byz_scope.h"
#include "../byz_train.h"

#if defined(_WIN32)
#define BYZ_EXPORT __declspec(dllexport)
#else
#define BYZ_EXPORT __attribute__((visibility("default")))
#endif

/* Everywhere below, `base` is that of a network of which only a part is trained (4-aligned; docs/wire.md 3), or null. */

/* Trains clients [first, last) of n in place. `models`: n blobs, one after the other; `datasets`: n BYZD blobs and their
 * lengths; `ids`: n x 16 bytes. `scratch` is byz_batch_scratch_bytes, one per thread. Returns the steps, or a negative error
 * of the first client that has one (the clients before it are trained). */
BYZ_EXPORT int64_t byz_batch_train(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, void *models,
                                   const uint8_t *const *datasets, const uint64_t *dataset_bytes, const uint8_t *ids,
                                   uint64_t seed, uint32_t round_num, uint32_t epochs, uint32_t lr_shift, uint32_t n,
                                   uint32_t first, uint32_t last, void *scratch);

/* Bytes of scratch of one call (8-aligned): a scope, an order of 65,535 samples and the core's scratch. */
BYZ_EXPORT uint64_t byz_batch_scratch_bytes(uint32_t net_index);

/* Encodes clients [first, last) of n against one global model into `codes` (n x d). 0 or a negative error. */
BYZ_EXPORT int64_t byz_batch_encode(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, const void *global,
                                    const void *models, const int8_t *shifts, uint32_t l2_bound, const uint8_t *ids,
                                    uint64_t seed, uint32_t round_num, uint32_t n, uint32_t first, uint32_t last,
                                    int8_t *codes, void *scratch);

/* Outputs (n x outputs) of one model on n rows of `stride` bytes. */
BYZ_EXPORT int64_t byz_batch_forward(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, const void *model,
                                     const int8_t *rows, uint32_t n, uint32_t stride, int8_t *outputs, void *scratch);

/* Sizes of a network or of its trained part: d, bytes of the model, of training's scratch, of a client's arena without
 * samples at this payload, and the layout's hash. 0 or a negative error. */
BYZ_EXPORT int64_t byz_batch_describe(uint32_t net_index, const uint8_t *base, uint64_t base_bytes, uint32_t max_payload,
                                      uint32_t sizes[4], uint8_t layout_sha256[32], void *scratch);

/* The SHA-256 (hex) of the sources this library was built from. */
BYZ_EXPORT const char *byz_source_sha256(void);

/* State of byz_count_block. `image` is the flash at address `base`. */
typedef struct {
    const uint8_t *image;
    uint64_t base;
    uint64_t size;
    uint64_t count; /* instructions of the blocks entered while enabled */
    uint32_t enabled;
    uint32_t reserved;
} byz_counter_t;

/* A UC_HOOK_BLOCK callback of Unicorn: counts the Thumb instructions of a block. A block outside the image counts none. */
BYZ_EXPORT void byz_count_block(void *uc, uint64_t address, uint32_t size, void *user_data);

#endif
