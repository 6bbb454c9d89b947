/* Frames on a serial line: the deframer and the encoder that needs no buffer. */
#include "byz_link.h"

void byz_link_init(byz_link_t *link, uint8_t *buffer, uint32_t capacity) {
    link->buffer = buffer;
    link->capacity = capacity;
    link->fill = 0;
    link->overrun = 0;
}

int byz_link_receive(byz_link_t *link, uint8_t byte) {
    if (byte != 0) {
        if (link->fill == link->capacity) {
            link->overrun = 1;
        } else {
            link->buffer[link->fill++] = byte;
        }
        return 0;
    }
    const uint32_t fill = link->fill;
    const uint8_t overrun = link->overrun;
    link->fill = 0;
    link->overrun = 0;
    if (overrun) return BYZ_ERR_SPACE;
    if (fill == 0) return 0; /* the guard zero before a frame, or two frames' zeros in a row */
    return byz_cobs_decode(link->buffer, fill);
}

void byz_link_send(const uint8_t *frame, size_t bytes, byz_putc_t putc) {
    putc(0);
    size_t i = 0;
    for (;;) {
        size_t run = 0;
        while (run < 254U && i + run < bytes && frame[i + run] != 0) run++;
        putc((uint8_t)(run + 1U));
        for (size_t j = 0; j < run; j++) putc(frame[i + j]);
        i += run;
        if (i == bytes) break;
        /* A full group stands for no zero; any other group for the one that ended it, even the frame's last byte. */
        if (run < 254U) i++;
    }
    putc(0);
}
