/* A plain read: what the kernels are measured against. */
#include "columns.h"
#include "lanes.h"

#define CHAINS 4

uint64_t byz_kernels_read(const int8_t *codes, size_t count)
{
    bits_t all[CHAINS] = {{0}};
    uint64_t result = 0;
    for (size_t i = 0; i + CHAINS * BYZ_LANES <= count; i += CHAINS * BYZ_LANES) {
        BYZ_UNROLL for (size_t k = 0; k < CHAINS; k++) {
            all[k] |= (bits_t)BYZ_LOAD(codes + i + k * BYZ_LANES);
        }
    }
    for (size_t k = 0; k < CHAINS; k++) {
        for (size_t w = 0; w < BYZ_LANES / 8; w++) {
            result |= all[k][w];
        }
    }
    return result;
}
