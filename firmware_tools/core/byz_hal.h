/* What a board provides. Porting the client to a board means writing these functions, the start-up code and the linker
 * script; nothing in the core knows a register.
 */
#ifndef BYZ_HAL_H
#define BYZ_HAL_H

#include "byz_util.h"

/* The serial line and whatever wakes it up. */
void byz_hal_init(void);

/* The next received byte; sleeps until there is one. Called with room for at least one more byte. */
uint8_t byz_hal_getc(void);

/* Sends one byte; waits while the transmitter is full. */
void byz_hal_putc(uint8_t byte);

/* Training is about to begin (1), or has ended after `steps` steps (steps << 1): an LED, a pin for an energy meter, the
 * emulator's instruction counter. One function for both, so that what lies between two calls is exactly the training. */
void byz_hal_marker(uint32_t value);

/* Sleeps for ever: there is nothing this board can do with what it was given. */
void byz_hal_park(void);

/* The most stack used so far, in bytes; 0 if the board cannot tell. */
uint32_t byz_hal_stack_bytes(void);

/* The read-only region with the device's identity and data (byz_provision.h), and its size. */
const uint8_t *byz_hal_provision(size_t *bytes);

/* The bytes of RAM that are left behind the last static object, which is the arena. */
size_t byz_hal_spare_bytes(void);

#endif
