/* SPDX-License-Identifier: MIT */
/* Memory that the driver shares with the controller: rings, PRP lists, identify data. Internal. */
#ifndef NVME_MEMORY_H
#define NVME_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/device.h>
#include <weir/memory.h>

struct nvme_memory {
	struct weir_memory *weir; /* NULL: closed */
	struct weir_ioas *ioas;   /* the device's */
	bool own;                 /* the driver's, not the caller's */
	bool reachable; /* bus mastering could not be switched off: what was taken is not given back */
};

/* Use @callers, or memory of the driver's own if that is NULL. Errors are weir_memory_open()'s, with their text. */
int nvme_memory_open(struct nvme_memory *memory, struct weir_device *device, struct weir_memory *callers);

/* End the use. Returns 0 or the error of weir_memory_close(), with its text. Nothing happens when it is closed. */
int nvme_memory_close(struct nvme_memory *memory);

/*
 * Get @len bytes, a page at least: zeroed and page aligned, with the IOVA where the controller sees them. Returns 0 or an error of
 * weir_memory_alloc() or weir_memory_iova_in(), with its text.
 */
int nvme_memory_alloc(struct nvme_memory *memory, size_t len, struct weir_buffer *ret_buffer);

/* Give it back; nothing happens if its addr is NULL. */
void nvme_memory_free(struct nvme_memory *memory, struct weir_buffer *buffer);

#endif
