/* Consistent Overhead Byte Stuffing: both directions in one pass. */
#include "byz_cobs.h"

int byz_cobs_encode(const uint8_t *source, size_t bytes, uint8_t *destination, size_t capacity, uint32_t delimiters) {
    /* The exact length is known only at the end; every write is checked, so that a tight buffer works where the worst
     * case would not fit. */
    size_t out = 0;
    if ((delimiters & BYZ_COBS_LEADING_ZERO) != 0) {
        if (capacity == 0) return BYZ_ERR_SPACE;
        destination[out++] = 0;
    }
    if (out >= capacity) return BYZ_ERR_SPACE;
    size_t code_at = out++;
    uint8_t code = 1;
    for (size_t i = 0; i < bytes; i++) {
        if (code == 0xFF) { /* a full group: no zero is implied behind it */
            if (out >= capacity) return BYZ_ERR_SPACE;
            destination[code_at] = code;
            code_at = out++;
            code = 1;
        }
        if (out >= capacity) return BYZ_ERR_SPACE; /* a zero opens a group, anything else is a byte: one byte each */
        if (source[i] == 0) {
            destination[code_at] = code;
            code_at = out++;
            code = 1;
        } else {
            destination[out++] = source[i];
            code++;
        }
    }
    destination[code_at] = code;
    if ((delimiters & BYZ_COBS_TRAILING_ZERO) != 0) {
        if (out >= capacity) return BYZ_ERR_SPACE;
        destination[out++] = 0;
    }
    return (int)out;
}

int byz_cobs_decode(uint8_t *buffer, size_t bytes) {
    /* In place: `out` stays behind `in`, because every group is read with its code byte and written without it. */
    size_t in = 0;
    size_t out = 0;
    if (bytes == 0) return BYZ_ERR_COBS;
    while (in < bytes) {
        const size_t code = buffer[in++];
        if (code == 0 || code - 1 > bytes - in) return BYZ_ERR_COBS;
        for (size_t i = 1; i < code; i++) {
            const uint8_t value = buffer[in++];
            if (value == 0) return BYZ_ERR_COBS;
            buffer[out++] = value;
        }
        if (code != 0xFF && in < bytes) buffer[out++] = 0;
    }
    return (int)out;
}
