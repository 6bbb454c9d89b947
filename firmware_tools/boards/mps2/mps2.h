/* The few registers of the MPS2 FPGA images AN385, AN386 and AN500 that the firmware touches (Arm DAI 0385, 0386, 0500).
 * QEMU's mps2-an385, mps2-an386 and mps2-an500 have them, and byzantiny_firmware.unicorn_board models them.
 */
#ifndef MPS2_H
#define MPS2_H

#include "byz_hal.h"

#define MPS2_REGISTER(address) (*(volatile uint32_t *)(address))

#define MPS2_UART_DATA MPS2_REGISTER(0x40004000U)
#define MPS2_UART_STATE MPS2_REGISTER(0x40004004U)     /* bit 0: transmitter full, bit 1: a byte was received */
#define MPS2_UART_CTRL MPS2_REGISTER(0x40004008U)      /* 1: transmit, 2: receive, 8: receive interrupt */
#define MPS2_UART_INTSTATUS MPS2_REGISTER(0x4000400CU) /* write 2: clear the receive interrupt */
#define MPS2_UART_BAUDDIV MPS2_REGISTER(0x40004010U)   /* at least 16 */
#define MPS2_LEDS MPS2_REGISTER(0x40028000U)           /* FPGAIO: bit 0 is LED 0 */
#define MPS2_NVIC_ISER0 MPS2_REGISTER(0xE000E100U)
#define MPS2_NVIC_ICPR0 MPS2_REGISTER(0xE000E280U)
#define MPS2_CPACR MPS2_REGISTER(0xE000ED88U)

#define MPS2_UART_IRQ 1U /* bit of interrupt 0, UART 0 receive */

/* ZBT SSRAM 1 is 4 MB at 0 on all three images; the firmware's flash is its first 256 KB, the provisioning block and the
 * data set are in its upper three quarters. PSRAM, the larger memory, is elsewhere on AN500. */
#define MPS2_PROVISION_ADDRESS 0x00100000U
#define MPS2_PROVISION_BYTES 0x00300000U

#define MPS2_STACK_PAINT 0xA5A5A5A5U

#endif
