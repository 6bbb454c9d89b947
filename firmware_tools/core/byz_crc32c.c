/* CRC-32C with a table of 16 entries (64 bytes of flash) on boards; of 256 in the host library, where bytes are many. */
#include "byz_crc32c.h"
#include "generated/byz_tables.h"

uint32_t byz_crc32c_update(uint32_t crc, const uint8_t *data, size_t bytes) {
    crc = ~crc;
    for (size_t i = 0; i < bytes; i++) {
#if defined(BYZ_NATIVE)
        crc = crc >> 8 ^ byz_crc_byte[(crc ^ data[i]) & 0xFFU];
#else
        crc ^= data[i];
        crc = crc >> 4 ^ byz_crc_nibble[crc & 0xFU];
        crc = crc >> 4 ^ byz_crc_nibble[crc & 0xFU];
#endif
    }
    return ~crc;
}

uint32_t byz_crc32c(const uint8_t *data, size_t bytes) { return byz_crc32c_update(0, data, bytes); }
