/* HMAC-SHA-256 (RFC 2104), tags truncated to 128 bits, and HKDF-SHA-256 (RFC 5869). */
#ifndef BYZ_HMAC_H
#define BYZ_HMAC_H

#include "byz_sha256.h"

#define BYZ_TAG_BYTES 16U

/* A running HMAC, for data that is not in one piece. */
typedef struct {
    byz_sha256_t hash;
    uint8_t pad[64];
} byz_hmac_t;

void byz_hmac_init(byz_hmac_t *context, const uint8_t *key, size_t key_bytes);
void byz_hmac_update(byz_hmac_t *context, const void *data, size_t bytes);
void byz_hmac_final(byz_hmac_t *context, uint8_t mac[32]); /* leaves the context wiped */

void byz_hmac_sha256(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes, uint8_t mac[32]);

/* The wire's tag: the first 16 bytes of the HMAC under a 32-byte key. */
void byz_tag(const uint8_t key[32], const void *data, size_t bytes, uint8_t tag[16]);

/* BYZ_OK or BYZ_ERR_TAG, in constant time. */
BYZ_CHECK int byz_tag_verify(const uint8_t key[32], const void *data, size_t bytes, const uint8_t tag[16]);

void byz_hkdf_extract(const uint8_t *salt, size_t salt_bytes, const uint8_t *secret, size_t secret_bytes, uint8_t key[32]);

/* BYZ_ERR_ARGUMENT above 255 * 32 bytes. */
BYZ_CHECK int byz_hkdf_expand(const uint8_t key[32], const uint8_t *info, size_t info_bytes, uint8_t *out, size_t out_bytes);

/* Without salt, 32 bytes of output: how a device's keys come from its secret (docs/wire.md 3). */
void byz_hkdf_sha256(const uint8_t *secret, size_t secret_bytes, const uint8_t *info, size_t info_bytes, uint8_t out[32]);

#endif
