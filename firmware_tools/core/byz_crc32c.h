/* CRC-32C (Castagnoli; iSCSI, RFC 3720 B.4): reflected 0x82f63b78, start and final XOR all ones. */
#ifndef BYZ_CRC32C_H
#define BYZ_CRC32C_H

#include "byz_util.h"

uint32_t byz_crc32c(const uint8_t *data, size_t bytes);

/* Continues a CRC: byz_crc32c_update(byz_crc32c(a), b) is the CRC of a || b; the CRC of nothing is 0. */
uint32_t byz_crc32c_update(uint32_t crc, const uint8_t *data, size_t bytes);

#endif
