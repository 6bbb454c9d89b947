/* Error codes, little-endian loads and stores, and the few memory helpers of the core.
 *
 * The core includes only freestanding headers and never overlays a struct on wire bytes: every multi-byte field goes
 * through these functions, so it neither depends on alignment nor on the compiler's padding. (Models and codes are the
 * exception: they are arrays of int16/int32 in the machine's own order, and the order is checked below.)
 */
#ifndef BYZ_UTIL_H
#define BYZ_UTIL_H

#include <stddef.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "byzantiny: the model blob is little-endian; big-endian machines are not supported"
#endif

#if defined(__GNUC__)
#define BYZ_CHECK __attribute__((warn_unused_result)) /* a fallible call whose result is dropped does not compile */
#else
#define BYZ_CHECK
#endif

#define BYZ_ASSERT(condition, name) typedef char byz_assert_##name[(condition) ? 1 : -1] /* C99 has no _Static_assert */

/* Every fallible function returns one of these, or a value that is not negative. */
typedef enum {
    BYZ_OK = 0,
    BYZ_ERR_ARGUMENT = -1, /* a parameter outside its documented range */
    BYZ_ERR_SPACE = -2,    /* the caller's buffer is too small */
    BYZ_ERR_COBS = -3,     /* not a COBS encoding */
    BYZ_ERR_FRAME = -4,    /* a rejected frame; the reason is in the frame */
    BYZ_ERR_TAG = -5,      /* a tag that does not verify */
    BYZ_ERR_DATASET = -6,  /* not a data set for this network */
    BYZ_ERR_RANGE = -7,    /* a model parameter beyond its number format */
    BYZ_ERR_BASE = -8      /* not a base of this network */
} byz_error_t;

static inline uint16_t byz_load16(const uint8_t *p) { return (uint16_t)(p[0] | (uint32_t)p[1] << 8); }

static inline uint32_t byz_load32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t byz_load64(const uint8_t *p) { return byz_load32(p) | (uint64_t)byz_load32(p + 4) << 32; }

static inline void byz_store16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void byz_store32(uint8_t *p, uint32_t v) {
    byz_store16(p, v);
    byz_store16(p + 2, v >> 16);
}

static inline void byz_store64(uint8_t *p, uint64_t v) {
    byz_store32(p, (uint32_t)v);
    byz_store32(p + 4, (uint32_t)(v >> 32));
}

/* The regions must not overlap, unless destination <= source (the copy runs upwards). */
static inline void byz_copy(void *destination, const void *source, size_t bytes) {
    uint8_t *d = destination;
    const uint8_t *s = source;
    for (size_t i = 0; i < bytes; i++) d[i] = s[i];
}

static inline void byz_fill(void *destination, uint8_t value, size_t bytes) {
    uint8_t *d = destination;
    for (size_t i = 0; i < bytes; i++) d[i] = value;
}

/* Overwrites secrets: the volatile accesses cannot be removed as dead stores. */
static inline void byz_wipe(void *destination, size_t bytes) {
    volatile uint8_t *d = destination;
    for (size_t i = 0; i < bytes; i++) d[i] = 0;
}

/* For public bytes (ids, hashes): stops at the first difference. Returns 1 when equal. */
static inline int byz_equal(const void *a, const void *b, size_t bytes) {
    const uint8_t *x = a;
    const uint8_t *y = b;
    for (size_t i = 0; i < bytes; i++) {
        if (x[i] != y[i]) return 0;
    }
    return 1;
}

/* For tags: the time does not depend on where the difference is. Returns 1 when equal. */
static inline int byz_equal_ct(const void *a, const void *b, size_t bytes) {
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint32_t difference = 0;
    for (size_t i = 0; i < bytes; i++) difference |= (uint32_t)(x[i] ^ y[i]);
    return (int)((difference - 1) >> 31); /* difference <= 255, so only 0 borrows */
}

#endif
