/* Start-up of the MPS2 images: vectors, stack paint, .data and .bss. */
#include "mps2.h"

extern uint32_t _stack_bottom[];
extern uint32_t _stack_top[];
extern uint32_t _data[];
extern uint32_t _data_end[];
extern uint32_t _data_load[];
extern uint32_t _bss[];
extern uint32_t _bss_end[];

int main(void);

/* A fault ends here and stays here. The emulators report it (Unicorn as an error with the address, QEMU as a lockup or a
 * device that no longer answers); on a board a debugger finds it. Resetting would hide it behind an unchanged boot_id. */
static void stop(void) {
    for (;;) __asm__ volatile("wfi");
}

/* Through volatile pointers, so that the compiler does not turn the loops into calls before .data is there. */
void Reset_Handler(void) {
#if defined(__ARM_FP)
    MPS2_CPACR |= 0xFU << 20;
    __asm__ volatile("dsb\n isb");
#endif
    volatile uint32_t *here = (volatile uint32_t *)__builtin_frame_address(0) - 8;
    for (volatile uint32_t *p = _stack_bottom; p < here; p++) *p = MPS2_STACK_PAINT;
    volatile uint32_t *to = _data;
    for (const volatile uint32_t *from = _data_load; to < (volatile uint32_t *)_data_end; from++) *to++ = *from;
    for (volatile uint32_t *p = _bss; p < (volatile uint32_t *)_bss_end; p++) *p = 0;
    (void)main();
    stop();
}

typedef void (*vector_t)(void);

/* Reset, the six system handlers of ARMv7-M (fewer on ARMv6-M), then nothing: interrupts wake the core, but stay masked. */
__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    (vector_t)(void *)_stack_top, Reset_Handler, stop, stop, stop, stop, stop, 0, 0, 0, 0, stop, stop, 0, stop, stop,
};
