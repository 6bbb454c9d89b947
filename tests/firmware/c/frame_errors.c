/* Every error of a kind on sample frames: nothing wrong is ever delivered.
 *
 * Reads records from standard input: direction u8 (0 to the device, 1 from it), pairs u8 (1: all two-bit errors too), length
 * u32, the frame without COBS. Every frame goes through all one-bit errors, all one-byte drops, insertions and replacements
 * (and all two-bit errors), once as it is (MQTT) and once as COBS between zeros (serial). What decodes must be the sample itself,
 * byte for byte. Prints a line per record: trials, deliveries of the sample, wrong deliveries; the status is 1 if any was wrong.
 *
 * Built by tests/firmware/test_framing_c.py with the sanitizers the compiler has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "byz_cobs.h"
#include "byz_frame.h"

#define ROOM 8192U

typedef struct {
    const uint8_t *sample;
    size_t bytes;
    byz_direction_t direction;
    int serial;
    unsigned long trials;
    unsigned long same;
    unsigned long wrong;
} run_t;

/* The buffer is allocated at its exact size, so that the address sanitizer sees a read past the frame. */
static void deliver(run_t *run, const uint8_t *bytes, size_t n) {
    byz_frame_t frame;
    uint8_t *copy = malloc(n ? n : 1);
    if (copy == NULL) abort();
    memcpy(copy, bytes, n);
    size_t length = n;
    if (run->serial) {
        const int decoded = byz_cobs_decode(copy, n);
        if (decoded < 0) {
            free(copy);
            return;
        }
        length = (size_t)decoded;
    }
    if (byz_frame_decode(copy, length, run->direction, 0, 4096, &frame) == BYZ_OK) {
        if (length == run->bytes && memcmp(copy, run->sample, length) == 0) {
            run->same++;
        } else {
            run->wrong++;
        }
    }
    free(copy);
}

static void receive(run_t *run, const uint8_t *bytes, size_t n) {
    run->trials++;
    if (!run->serial) {
        deliver(run, bytes, n);
        return;
    }
    size_t start = 0; /* resynchronise at zeros, as a link does */
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == 0) {
            if (i > start) deliver(run, bytes + start, i - start);
            start = i + 1;
        }
    }
}

static void all_errors(run_t *run, const uint8_t *wire, size_t n, int pairs) {
    static uint8_t work[ROOM];
    memcpy(work, wire, n);
    receive(run, work, n);
    if (run->same != 1 || run->wrong != 0) {
        fprintf(stderr, "the sample itself does not arrive\n");
        exit(2);
    }
    for (size_t bit = 0; bit < 8 * n; bit++) {
        work[bit / 8] ^= (uint8_t)(1U << bit % 8);
        receive(run, work, n);
        for (size_t other = bit + 1; pairs && other < 8 * n; other++) {
            work[other / 8] ^= (uint8_t)(1U << other % 8);
            receive(run, work, n);
            work[other / 8] ^= (uint8_t)(1U << other % 8);
        }
        work[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t at = 0; at < n; at++) {
        for (unsigned change = 1; change < 256; change++) {
            work[at] ^= (uint8_t)change;
            receive(run, work, n);
            work[at] ^= (uint8_t)change;
        }
        memmove(work + at, wire + at + 1, n - at - 1); /* drop */
        receive(run, work, n - 1);
        memcpy(work, wire, n);
    }
    for (size_t at = 0; at <= n; at++) {
        memcpy(work, wire, at);
        memcpy(work + at + 1, wire + at, n - at);
        for (unsigned value = 0; value < 256; value++) {
            work[at] = (uint8_t)value;
            receive(run, work, n + 1);
        }
    }
}

int main(void) {
    static uint8_t sample[ROOM / 2];
    static uint8_t wire[ROOM];
    uint8_t head[6];
    int status = 0;
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const size_t bytes = byz_load32(head + 2);
        if (bytes > sizeof sample || fread(sample, 1, bytes, stdin) != bytes) return 2;
        for (int serial = 0; serial < 2; serial++) {
            run_t run = { sample, bytes, head[0] ? BYZ_FROM_DEVICE : BYZ_TO_DEVICE, serial, 0, 0, 0 };
            size_t n = bytes;
            memcpy(wire, sample, bytes);
            if (serial) {
                const int coded = byz_cobs_encode(sample, bytes, wire, sizeof wire, BYZ_COBS_LEADING_ZERO | BYZ_COBS_TRAILING_ZERO);
                if (coded < 0) return 2;
                n = (size_t)coded;
            }
            all_errors(&run, wire, n, head[1]);
            printf("%d %lu %lu %lu\n", serial, run.trials, run.same, run.wrong);
            if (run.wrong != 0) status = 1;
        }
    }
    return status;
}
