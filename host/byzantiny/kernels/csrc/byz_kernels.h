/* The hot loops over int8 codes. Every one has a NumPy twin in kernels/reference/ with the same bits; one header per family.
 *
 * Vectors are GCC/Clang vector extensions, not intrinsics: one source, lowered by the compiler to whatever the variant
 * has (two 256-bit operations for AVX2, four of 128 bits for SSE). Plain loops were tried first: the compiler
 * spills the counters of the median to memory in each pass.
 *
 * Tiles: tiles[b][i][j] is coordinate b * width + j of client i; a (n, d) array is one tile of width d.
 */
#ifndef BYZ_KERNELS_H
#define BYZ_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define BYZ_LANES 64

#if defined(_WIN32)
#define BYZ_EXPORT __declspec(dllexport)
#else
#define BYZ_EXPORT __attribute__((visibility("default")))
#endif

/* SHA-256 of these sources, so that a stale library is refused. */
BYZ_EXPORT const char *byz_kernels_source_sha256(void);

#endif
