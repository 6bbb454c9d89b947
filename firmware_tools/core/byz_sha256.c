/* SHA-256, FIPS 180-4 section 6.2, with the message schedule in a ring of 16 words (64 bytes of stack, not 256). */
#include "byz_sha256.h"

static const uint32_t round_constants[64] = {
    0x428a2f98U, 0x71374491U, 0xb5c0fbcfU, 0xe9b5dba5U, 0x3956c25bU, 0x59f111f1U, 0x923f82a4U, 0xab1c5ed5U,
    0xd807aa98U, 0x12835b01U, 0x243185beU, 0x550c7dc3U, 0x72be5d74U, 0x80deb1feU, 0x9bdc06a7U, 0xc19bf174U,
    0xe49b69c1U, 0xefbe4786U, 0x0fc19dc6U, 0x240ca1ccU, 0x2de92c6fU, 0x4a7484aaU, 0x5cb0a9dcU, 0x76f988daU,
    0x983e5152U, 0xa831c66dU, 0xb00327c8U, 0xbf597fc7U, 0xc6e00bf3U, 0xd5a79147U, 0x06ca6351U, 0x14292967U,
    0x27b70a85U, 0x2e1b2138U, 0x4d2c6dfcU, 0x53380d13U, 0x650a7354U, 0x766a0abbU, 0x81c2c92eU, 0x92722c85U,
    0xa2bfe8a1U, 0xa81a664bU, 0xc24b8b70U, 0xc76c51a3U, 0xd192e819U, 0xd6990624U, 0xf40e3585U, 0x106aa070U,
    0x19a4c116U, 0x1e376c08U, 0x2748774cU, 0x34b0bcb5U, 0x391c0cb3U, 0x4ed8aa4aU, 0x5b9cca4fU, 0x682e6ff3U,
    0x748f82eeU, 0x78a5636fU, 0x84c87814U, 0x8cc70208U, 0x90befffaU, 0xa4506cebU, 0xbef9a3f7U, 0xc67178f2U,
};

static uint32_t rotate(uint32_t x, uint32_t n) { return x >> n | x << (32 - n); }

static uint32_t load_be(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static void store_be(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static void compress(uint32_t state[8], const uint8_t block[64]) {
    uint32_t w[16];
    uint32_t v[8];
    for (uint32_t i = 0; i < 16; i++) w[i] = load_be(block + 4 * i);
    for (uint32_t i = 0; i < 8; i++) v[i] = state[i];
    for (uint32_t i = 0; i < 64; i++) {
        if (i >= 16) {
            const uint32_t w1 = w[(i + 1) & 15];
            const uint32_t w14 = w[(i + 14) & 15];
            w[i & 15] += (rotate(w1, 7) ^ rotate(w1, 18) ^ w1 >> 3) + w[(i + 9) & 15]
                         + (rotate(w14, 17) ^ rotate(w14, 19) ^ w14 >> 10);
        }
        const uint32_t choose = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        const uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) + choose + round_constants[i]
                            + w[i & 15];
        const uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + majority;
        v[7] = v[6];
        v[6] = v[5];
        v[5] = v[4];
        v[4] = v[3] + t1;
        v[3] = v[2];
        v[2] = v[1];
        v[1] = v[0];
        v[0] = t1 + t2;
    }
    for (uint32_t i = 0; i < 8; i++) state[i] += v[i];
}

void byz_sha256_init(byz_sha256_t *context) {
    static const uint32_t initial[8] = { 0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
                                         0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U };
    for (uint32_t i = 0; i < 8; i++) context->state[i] = initial[i];
    context->bytes = 0;
}

void byz_sha256_update(byz_sha256_t *context, const void *data, size_t bytes) {
    const uint8_t *p = data;
    uint32_t filled = context->bytes & 63U;
    context->bytes += (uint32_t)bytes;
    while (bytes > 0) {
        if (filled == 0 && bytes >= 64) { /* whole blocks straight from the caller */
            compress(context->state, p);
            p += 64;
            bytes -= 64;
            continue;
        }
        context->block[filled++] = *p++;
        bytes--;
        if (filled == 64) {
            compress(context->state, context->block);
            filled = 0;
        }
    }
}

void byz_sha256_final(byz_sha256_t *context, uint8_t digest[32]) {
    const uint32_t bytes = context->bytes;
    uint32_t filled = bytes & 63U;
    context->block[filled++] = 0x80;
    if (filled > 56) {
        byz_fill(context->block + filled, 0, 64 - filled);
        compress(context->state, context->block);
        filled = 0;
    }
    byz_fill(context->block + filled, 0, 56 - filled);
    store_be(context->block + 56, bytes >> 29);
    store_be(context->block + 60, bytes << 3);
    compress(context->state, context->block);
    for (uint32_t i = 0; i < 8; i++) store_be(digest + 4 * i, context->state[i]);
    byz_wipe(context, sizeof *context);
}

void byz_sha256(const void *data, size_t bytes, uint8_t digest[32]) {
    byz_sha256_t context;
    byz_sha256_init(&context);
    byz_sha256_update(&context, data, bytes);
    byz_sha256_final(&context, digest);
}
