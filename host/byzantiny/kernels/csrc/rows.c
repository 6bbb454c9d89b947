/* Rows scaled down to a norm. Copying the rows that stay and scaling the others is one pass over the memory.
 *
 * A table of 256 results per row was tried: its lookups are scalar, 1 ns a code against 0.1 here.
 */
#include "rows.h"

#include <string.h>

#define ONE 4096
#define ONE_BITS 12

static void scale(const int8_t *x, size_t count, int32_t factor, int8_t *out)
{
    for (size_t j = 0; j < count; j++) {
        const int32_t code = x[j];
        /* at most 128 * 4096 + 2048: far from 2^31 */
        const int32_t scaled = ((code < 0 ? -code : code) * factor + ONE / 2) >> ONE_BITS;
        out[j] = (int8_t)(code < 0 ? -scaled : scaled);
    }
}

void byz_kernels_scale_rows(const int8_t *tiles, size_t blocks, size_t n, size_t width,
                            const int32_t *factors, int8_t *out)
{
    for (size_t b = 0; b < blocks; b++) {
        for (size_t i = 0; i < n; i++) {
            const size_t first = (b * n + i) * width;
            if (factors[i] == ONE) {
                memcpy(out + first, tiles + first, width);
            } else if (width == BYZ_LANES) { /* a constant trip count: no loop is left */
                scale(tiles + first, BYZ_LANES, factors[i], out + first);
            } else {
                scale(tiles + first, width, factors[i], out + first);
            }
        }
    }
}
