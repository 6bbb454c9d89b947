/* Reads the provisioning block. An unprogrammed region (all ones, all zeros) fails at the magic, a torn one at the CRC. */
#include "byz_provision.h"

#include "byz_crc32c.h"

int byz_provision_load(byz_client_config_t *config, const uint8_t *block, size_t bytes, const uint8_t **base,
                       size_t *base_bytes) {
    if (bytes < BYZ_PROVISION_BYTES || byz_load32(block) != BYZ_PROVISION_MAGIC ||
        byz_load16(block + 4) != BYZ_PROVISION_VERSION || byz_load32(block + 76) != byz_crc32c(block, 76)) {
        return BYZ_ERR_ARGUMENT;
    }
    const uint32_t dataset_bytes = byz_load32(block + 68);
    const uint32_t frozen_bytes = byz_load32(block + 72);
    const size_t room = bytes - BYZ_PROVISION_BYTES;
    if (frozen_bytes > room) return BYZ_ERR_SPACE;
    const size_t padded = ((size_t)frozen_bytes + 3U) & ~(size_t)3U;
    if (padded > room || dataset_bytes > room - padded) return BYZ_ERR_SPACE;
    config->reset_reason = block[6];
    byz_copy(config->device_id, block + 8, sizeof config->device_id);
    byz_copy(config->secret, block + 24, sizeof config->secret);
    config->address = byz_load16(block + 56);
    config->max_payload = byz_load16(block + 58);
    config->rx_credit = byz_load16(block + 60);
    config->boot_id = byz_load32(block + 64);
    config->dataset = block + BYZ_PROVISION_BYTES + padded;
    config->dataset_bytes = dataset_bytes;
    *base = block + BYZ_PROVISION_BYTES;
    *base_bytes = frozen_bytes;
    return BYZ_OK;
}
