/* Update scopes: a network of which only some tensors are trained, and the base that holds the others (docs/wire.md 3).
 *
 * The layer table is the same; which tensors are the layout, where they lie and what the layout's hash is follows from the
 * base, at power-on. The base is read where it lies: flash, a mapped file.
 */
#ifndef BYZ_SCOPE_H
#define BYZ_SCOPE_H

#include "byz_network.h"

/* Memory that a scoped network of `n` tensors takes, a multiple of 8; for a static buffer. */
#define BYZ_SCOPE_BYTES(n) \
    ((sizeof(byz_network_t) + (size_t)(n) * sizeof(byz_tensor_t) + (size_t)(n) + 7U) & ~(size_t)7U)

static inline size_t byz_scope_bytes(const byz_network_t *whole) { return BYZ_SCOPE_BYTES(whole->n_whole); }

/* Makes *out the network that trains what the base leaves; with 0 bytes the whole one, and `memory` (8-aligned, of the size
 * above) is not used. The base has to be 4-aligned and to stay where it is. BYZ_ERR_BASE for bytes that are no base of this
 * network, BYZ_ERR_RANGE for a value in it beyond its format. */
BYZ_CHECK int byz_scope_open(const byz_network_t *whole, const uint8_t *base, size_t bytes, void *memory,
                             const byz_network_t **out);

#endif
