/* SPDX-License-Identifier: MIT */
/*
 * As much of weir as a driver calls around its device: the device itself, memory, interrupts; without a kernel, and in place of the
 * library. What its registers do, and what waiting for an interrupt is like, is up to who links this. IOVAs are addresses of this
 * process, and a device reaches the buffers that there are.
 */
#ifndef TESTS_SUPPORT_STUB_WEIR_H
#define TESTS_SUPPORT_STUB_WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/device.h>
#include <weir/memory.h>

enum { STUB_BUFFERS = 16, STUB_BLOCKS = 16 };

/* A block of the journal that the device's host has not. */
struct stub_block {
	char name[64];
	unsigned char *bytes;
	size_t len;
	bool open;
};

struct stub {
	/* Its ways. */
	bool (*fails)(void); /* asked by each call that may fail */
	uint32_t class_code;
	uint16_t vendor_id, device_id;
	uint64_t bar_size, bar2_size; /* 0: there is no BAR 2 */
	uint32_t num_msix, num_msi;
	int irq_error;         /* what enabling interrupts fails with */
	bool bus_master_stays; /* once it is on */

	/* What has become of it. */
	bool bus_master, interrupts;
	uint32_t num_vectors;
	unsigned int num_memories, num_buffers;
	struct {
		const struct weir_memory *memory;
		unsigned char *addr;
		size_t len;
	} buffers[STUB_BUFFERS];
	struct stub_block blocks[STUB_BLOCKS];
};

/* There is one at a time. */
extern struct stub stub;

/* The device, and its BAR 0. */
struct weir_device *stub_device(void);
struct weir_region *stub_region(void);

/* Blocks that are open may be opened again, as by another process. */
void stub_reopen_blocks(void);

/* Free whatever is left, as a machine that is switched off. */
void stub_switch_off(void);

/* Nothing is left: no memory, no block, no interrupt, no bus mastering. */
bool stub_is_clean(void);

/* Can the device reach these bytes? */
bool stub_reaches(const void *addr, size_t len);

#endif
