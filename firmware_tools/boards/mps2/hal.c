/* The HAL on MPS2: a polled CMSDK UART with WFI, an LED as the marker, a painted stack. */
#include "mps2.h"

extern uint32_t _stack_bottom[];
extern uint32_t _stack_top[];
extern uint32_t _spare[];
extern uint32_t _spare_end[];

void byz_hal_init(void) {
    /* Masked, so that a received byte ends WFI without a handler ever running. */
    __asm__ volatile("cpsid i");
    MPS2_NVIC_ISER0 = MPS2_UART_IRQ;
    MPS2_UART_BAUDDIV = 16;
    MPS2_UART_CTRL = 1U | 2U | 8U;
    /* QEMU does not look at its back end again when RX is enabled: bytes that came before would wait for ever, were the
     * data register not read once. A byte lost here is found by the protocol. */
    (void)MPS2_UART_DATA;
}

uint8_t byz_hal_getc(void) {
    while ((MPS2_UART_STATE & 2U) == 0) {
        __asm__ volatile("wfi");
        MPS2_UART_INTSTATUS = 2;
        MPS2_NVIC_ICPR0 = MPS2_UART_IRQ;
    }
    return (uint8_t)MPS2_UART_DATA;
}

void byz_hal_putc(uint8_t byte) {
    while ((MPS2_UART_STATE & 1U) != 0) {
    }
    MPS2_UART_DATA = byte;
}

/* Never inlined: the store is then followed by the same instructions both times, which a counter that works on basic
 * blocks therefore cancels. */
__attribute__((noinline)) void byz_hal_marker(uint32_t value) { MPS2_LEDS = value; }

void byz_hal_park(void) {
    for (;;) __asm__ volatile("wfi");
}

uint32_t byz_hal_stack_bytes(void) {
    const volatile uint32_t *p = _stack_bottom;
    while (p < (const volatile uint32_t *)_stack_top && *p == MPS2_STACK_PAINT) p++;
    return (uint32_t)((uintptr_t)_stack_top - (uintptr_t)p);
}

const uint8_t *byz_hal_provision(size_t *bytes) {
    *bytes = MPS2_PROVISION_BYTES;
    return (const uint8_t *)MPS2_PROVISION_ADDRESS;
}

size_t byz_hal_spare_bytes(void) { return (size_t)((uintptr_t)_spare_end - (uintptr_t)_spare); }
