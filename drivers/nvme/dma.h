/* SPDX-License-Identifier: MIT */
/*
 * Memory that the driver shares with the controller: rings, PRP lists, identify data. Internal, and the one
 * place to change when weir gets memory of its own for this (weir_memory).
 */
#ifndef NVME_DMA_H
#define NVME_DMA_H

#include <stddef.h>
#include <stdint.h>

#include <weir/device.h>

struct nvme_dma {
	void *addr;    /* zeroed, page aligned; NULL: none */
	uint64_t iova; /* where the controller sees it, page aligned */
	size_t len;    /* bytes: whole pages */
	struct weir_map *map;
};

/*
 * Get @len bytes, rounded up to pages, mapped in the address space of @device. Returns 0, -ENOMEM or an error
 * of weir_ioas_map(), with its text.
 */
int nvme_dma_alloc(struct weir_device *device, size_t len, struct nvme_dma *ret_dma);

/*
 * Give it back. When weir cannot take it from the device it is leaked, for the device may still write to it,
 * and the error is returned. Nothing happens when @dma->addr is NULL.
 */
int nvme_dma_free(struct nvme_dma *dma);

#endif
