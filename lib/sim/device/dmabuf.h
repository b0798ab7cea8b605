/* SPDX-License-Identifier: MIT */
/* dma-bufs of parts of BARs. */
#ifndef WEIR_SIM_DEVICE_DMABUF_H
#define WEIR_SIM_DEVICE_DMABUF_H

#include "sim/device/device.h"

struct sim_dma_buf {
	struct sim_dma_buf *next;
	struct weir_sim_device *device; /* NULL: it has been closed */
	uint32_t refs;                  /* the open file, and what is mapped of it */
	uint32_t num_ranges;            /* of several, iommufd maps none */
	unsigned int bar;
	uint64_t offset, len; /* of the one range in the BAR */
	bool revoked;         /* nothing can be mapped for now */
};

/*
 * Make one and return its descriptor; @ranges is the caller's pointer. -EINVAL, -EFAULT, -EOVERFLOW; -ENODEV: there is no such BAR.
 */
int sim_dma_buf_make(struct weir_sim_device *device, const struct abi_vfio_device_feature_dma_buf *cmd,
		     uint64_t ranges);

/* The dma-buf that a file is, or NULL. */
struct sim_dma_buf *sim_dma_buf_of(const struct sim_file *file);

void sim_dma_buf_hold(struct sim_dma_buf *buf);
void sim_dma_buf_drop(struct sim_dma_buf *buf);

/*
 * A device's: withdraw them; or do so if its memory is off, and give them back if it is on. At its last close they are withdrawn
 * for good.
 */
void sim_dma_bufs_revoke(struct weir_sim_device *device);
void sim_dma_bufs_update(struct weir_sim_device *device);
void sim_dma_bufs_end(struct weir_sim_device *device);

#endif
