/* Keys of the random streams: SHA-256 over everything that makes a stream distinct (SPEC 2). */
#include "byz_rng.h"
#include "byz_sha256.h"

#define DOMAIN_BYTES 15U

void byz_key(byz_key_t *key, uint64_t seed, const uint8_t client_id[16], uint32_t round_num, uint8_t stream) {
    static const uint8_t domain[DOMAIN_BYTES] = { 'b', 'y', 'z', 'a', 'n', 't', 'i', 'n', 'y', '-', 'r', 'n', 'g', '-', '1' };
    uint8_t message[DOMAIN_BYTES + 8 + 16 + 4 + 1];
    uint8_t digest[32];
    byz_copy(message, domain, DOMAIN_BYTES);
    byz_store64(message + DOMAIN_BYTES, seed);
    byz_copy(message + DOMAIN_BYTES + 8, client_id, 16);
    byz_store32(message + DOMAIN_BYTES + 24, round_num);
    message[DOMAIN_BYTES + 28] = stream;
    byz_sha256(message, sizeof message, digest);
    key->k0 = byz_load32(digest);
    key->k1 = byz_load32(digest + 4);
}
