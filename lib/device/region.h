/* SPDX-License-Identifier: MIT */
/* A region, as the files of this folder see it. */
#ifndef WEIR_LIB_REGION_H
#define WEIR_LIB_REGION_H

#include <stdatomic.h>

#include "device/device.h"
#include "ioas/window.h"

struct weir_region {
	struct weir_device *device;
	struct weir_region_info info;
	uint64_t offset; /* of the region in the device's descriptor */
	struct weir_region_area *areas;
	/* Guarded by the device's lock; set once. */
	unsigned char *mapped;
	uint64_t mapped_len;
	struct weir_window *window; /* of what is mapped */
	/* What accessors go through without a lock: mapped, or NULL while the device's memory is away. */
	_Atomic(unsigned char *) open;
};

/* The configuration space, as weir_device_region() gives it. The host's lock may be held. */
int weir_device_config(struct weir_device *device, struct weir_region **ret_config);

/* The window of a region that is mapped, with one user more; else NULL. From any thread. */
struct weir_window *weir_region_window(struct weir_region *region);

/* access.c: through the descriptor, as it is. Returns 0, -ENODEV or -EIO with a text. */
int weir_region_put(struct weir_region *region, uint64_t offset, const void *bytes, size_t len);

/* -ENODEV or -EIO with a text: @what, with the region, and the kernel's @error (0: cut short). */
int weir_region_explain(const struct weir_region *region, const char *what, int error);

#endif
