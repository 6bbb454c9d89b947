/* HMAC-SHA-256 and HKDF-SHA-256: RFC 2104 and RFC 5869, as written. */
#include "byz_hmac.h"

void byz_hmac_init(byz_hmac_t *context, const uint8_t *key, size_t key_bytes) {
    byz_fill(context->pad, 0, 64);
    if (key_bytes > 64) {
        byz_sha256(key, key_bytes, context->pad);
    } else {
        byz_copy(context->pad, key, key_bytes);
    }
    for (uint32_t i = 0; i < 64; i++) context->pad[i] ^= 0x36U;
    byz_sha256_init(&context->hash);
    byz_sha256_update(&context->hash, context->pad, 64);
}

void byz_hmac_update(byz_hmac_t *context, const void *data, size_t bytes) {
    byz_sha256_update(&context->hash, data, bytes);
}

void byz_hmac_final(byz_hmac_t *context, uint8_t mac[32]) {
    uint8_t inner[32];
    byz_sha256_final(&context->hash, inner);
    for (uint32_t i = 0; i < 64; i++) context->pad[i] ^= 0x36U ^ 0x5cU;
    byz_sha256_init(&context->hash);
    byz_sha256_update(&context->hash, context->pad, 64);
    byz_sha256_update(&context->hash, inner, 32);
    byz_sha256_final(&context->hash, mac);
    byz_wipe(context->pad, 64);
}

void byz_hmac_sha256(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes, uint8_t mac[32]) {
    byz_hmac_t context;
    byz_hmac_init(&context, key, key_bytes);
    byz_hmac_update(&context, data, bytes);
    byz_hmac_final(&context, mac);
}

void byz_tag(const uint8_t key[32], const void *data, size_t bytes, uint8_t tag[16]) {
    uint8_t mac[32];
    byz_hmac_sha256(key, 32, data, bytes, mac);
    byz_copy(tag, mac, BYZ_TAG_BYTES);
}

int byz_tag_verify(const uint8_t key[32], const void *data, size_t bytes, const uint8_t tag[16]) {
    uint8_t expected[BYZ_TAG_BYTES];
    byz_tag(key, data, bytes, expected);
    const int equal = byz_equal_ct(expected, tag, BYZ_TAG_BYTES);
    byz_wipe(expected, sizeof expected); /* the right tag of a forged object must not stay on the stack */
    return equal ? BYZ_OK : BYZ_ERR_TAG;
}

void byz_hkdf_extract(const uint8_t *salt, size_t salt_bytes, const uint8_t *secret, size_t secret_bytes, uint8_t key[32]) {
    /* No salt is 32 zero bytes in the RFC; HMAC pads keys with zeros, so an empty one is the same. */
    byz_hmac_sha256(salt, salt_bytes, secret, secret_bytes, key);
}

int byz_hkdf_expand(const uint8_t key[32], const uint8_t *info, size_t info_bytes, uint8_t *out, size_t out_bytes) {
    uint8_t block[32];
    uint8_t counter = 0;
    size_t done = 0;
    if (out_bytes > 255U * 32U) return BYZ_ERR_ARGUMENT;
    while (done < out_bytes) {
        byz_hmac_t context;
        const size_t take = out_bytes - done < 32 ? out_bytes - done : 32;
        byz_hmac_init(&context, key, 32);
        if (counter > 0) byz_hmac_update(&context, block, 32);
        counter++;
        byz_hmac_update(&context, info, info_bytes);
        byz_hmac_update(&context, &counter, 1);
        byz_hmac_final(&context, block);
        byz_copy(out + done, block, take);
        done += take;
    }
    byz_wipe(block, sizeof block);
    return BYZ_OK;
}

void byz_hkdf_sha256(const uint8_t *secret, size_t secret_bytes, const uint8_t *info, size_t info_bytes, uint8_t out[32]) {
    uint8_t key[32];
    byz_hmac_t context;
    const uint8_t counter = 1; /* 32 bytes are one block of the expansion */
    byz_hkdf_extract(NULL, 0, secret, secret_bytes, key);
    byz_hmac_init(&context, key, 32);
    byz_hmac_update(&context, info, info_bytes);
    byz_hmac_update(&context, &counter, 1);
    byz_hmac_final(&context, out);
    byz_wipe(key, sizeof key);
}
