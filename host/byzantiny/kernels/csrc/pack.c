/* Rows into tiles: the one copy of an update, when it arrives. */
#include "columns.h"

#include <string.h>

void byz_kernels_pack(const int8_t *rows, size_t count, size_t stride, size_t d, int8_t *tiles, size_t n, size_t first)
{
    const size_t whole = d / BYZ_LANES, rest = d % BYZ_LANES;
    for (size_t b = 0; b < whole; b++) {
        for (size_t i = 0; i < count; i++) {
            memcpy(tiles + (b * n + first + i) * BYZ_LANES, rows + i * stride + b * BYZ_LANES, BYZ_LANES);
        }
    }
    for (size_t i = 0; rest != 0 && i < count; i++) {
        int8_t *tail = tiles + (whole * n + first + i) * BYZ_LANES;
        memcpy(tail, rows + i * stride + whole * BYZ_LANES, rest);
        memset(tail + rest, 0, BYZ_LANES - rest);
    }
}
