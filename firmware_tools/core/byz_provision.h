/* Provisioning: who a device is, what it learns from and what it does not train, in one read-only region outside the firmware.
 *
 * The image is the same for every device; this block makes it one. It is written by byzantiny_firmware.provision and
 * placed where the board says: memory mapped by an emulator, a page of flash on a board.
 *
 *      0  magic "BYZP"         4  version u16 = 2       6  reset_reason u8     7  zero u8
 *      8  device_id[16]       24  secret[32]           56  address u16        58  max_payload u16
 *     60  rx_credit u16       62  zero u16             64  boot_id u32        68  dataset_bytes u32
 *     72  base_bytes u32      76  crc32c u32 of bytes 0 .. 75
 *     80  the base, if any, zero-padded to a multiple of 4; then the data set (docs/wire.md 3)
 *
 * boot_id is here because an emulated board has no source of randomness; its emulator writes another one for every boot.
 */
#ifndef BYZ_PROVISION_H
#define BYZ_PROVISION_H

#include "byz_client.h"

#define BYZ_PROVISION_MAGIC 0x505a5942U /* BYZP */
#define BYZ_PROVISION_VERSION 2U
#define BYZ_PROVISION_BYTES 80U

/* Fills the identity and the data set of `config` from a block (4-aligned), and says where the base is; both stay where they
 * are. BYZ_ERR_ARGUMENT for a block that is not one, BYZ_ERR_SPACE if what follows it would reach beyond `bytes`. */
BYZ_CHECK int byz_provision_load(byz_client_config_t *config, const uint8_t *block, size_t bytes, const uint8_t **base,
                                 size_t *base_bytes);

#endif
