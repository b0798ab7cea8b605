/* SPDX-License-Identifier: MIT */
/*
 * What a driver writes down for a successor: a block of its host's journal (weir/handover.h), by the name of the driver and the
 * device's address. Internal to drivers/.
 *
 * A block is right at any moment, for its writer may be killed at any: each store is a block_set() or comes before one that says it counts.
 */
#ifndef DRIVERS_COMMON_BLOCK_H
#define DRIVERS_COMMON_BLOCK_H

#include <stdint.h>
#include <stdio.h>

#include <weir/device.h>
#include <weir/handover.h>

/* One store, after everything before it in the program. Who finds the block when its writer has died sees what the processor did, in order. */
#define block_set(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELEASE)

/* The block of @driver for @device; @part, which may be "", is which of its blocks. Returns 0 or as weir_block_open(). */
static inline int block_open(struct weir_device *device, const char *driver, const char *part, size_t len,
			     void **ret_block)
{
	struct weir_device_info info;
	char name[64];
	int r = weir_device_info(device, &info, sizeof info);

	if (r < 0)
		return r;
	snprintf(name, sizeof name, "%s %s%s", driver, info.address, part);
	return weir_block_open(weir_device_host(device), name, len, ret_block);
}

static inline void block_close(struct weir_device *device, void *block)
{
	if (block)
		weir_block_close(weir_device_host(device), block);
}

#endif
