/* SPDX-License-Identifier: MIT */
/*
 * An end of a wire, driven by weir or by the kernel: frames of one length go out or come in, many at a time. What goes wrong ends the program, with
 * a text.
 */
#ifndef BENCH_IGB_ENDS_H
#define BENCH_IGB_ENDS_H

#include <stdbool.h>
#include <stdint.h>

#define ENDS_BURST 32u

/* An igb that weir drives, opened by its PCI address. */
struct weir_end;
struct weir_end *weir_end_open(const char *address, bool interrupts);
void weir_end_close(struct weir_end *end);
void weir_end_wait_link(struct weir_end *end);

/* A card that the kernel drives, by a packet socket, opened by its name. */
struct kernel_end;
struct kernel_end *kernel_end_open(const char *card);
void kernel_end_close(struct kernel_end *end);

/* Send @num frames of @len bytes, and wait until all of them have been sent. */
void weir_end_send(struct weir_end *end, uint32_t num, uint32_t len);
void kernel_end_send(struct kernel_end *end, uint32_t num, uint32_t len);

/* Wait for @num frames of @len bytes and throw them away. Returns how many have come: fewer, when none came for a second. */
uint32_t weir_end_receive(struct weir_end *end, uint32_t num, uint32_t len);
uint32_t kernel_end_receive(struct kernel_end *end, uint32_t num, uint32_t len);

#endif
