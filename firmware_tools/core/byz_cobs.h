/* Consistent Overhead Byte Stuffing (Cheshire & Baker, IEEE/ACM Trans. Networking 7(2), 1999): the encoding without 0x00. */
#ifndef BYZ_COBS_H
#define BYZ_COBS_H

#include "byz_util.h"

/* Largest encoding of n bytes, without delimiters. */
#define BYZ_COBS_MAX(n) ((n) + (n) / 254U + 1U)

#define BYZ_COBS_LEADING_ZERO 1U
#define BYZ_COBS_TRAILING_ZERO 2U

/* Returns the bytes written, delimiters included, or BYZ_ERR_SPACE. `source` and `destination` must not overlap. */
BYZ_CHECK int byz_cobs_encode(const uint8_t *source, size_t bytes, uint8_t *destination, size_t capacity, uint32_t delimiters);

/* Decodes in place what stood between two zeros. Returns the decoded bytes, or BYZ_ERR_COBS (empty, a zero inside, or a
 * group that runs past the end); the buffer's content is then undefined. */
BYZ_CHECK int byz_cobs_decode(uint8_t *buffer, size_t bytes);

#endif
