/* SHA-256 (FIPS 180-4). */
#ifndef BYZ_SHA256_H
#define BYZ_SHA256_H

#include "byz_util.h"

typedef struct {
    uint32_t state[8];
    uint32_t bytes; /* hashed so far; below 2^32, which every object of the wire is */
    uint8_t block[64];
} byz_sha256_t;

void byz_sha256_init(byz_sha256_t *context);
void byz_sha256_update(byz_sha256_t *context, const void *data, size_t bytes);
void byz_sha256_final(byz_sha256_t *context, uint8_t digest[32]); /* leaves the context wiped */

void byz_sha256(const void *data, size_t bytes, uint8_t digest[32]);

#endif
