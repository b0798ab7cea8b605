// SPDX-License-Identifier: MIT
/*
 * dma-bufs of parts of BARs (kernel-interface B.9): made by a device feature, mapped by IOMMU_IOAS_MAP_FILE. They are withdrawn
 * while the device's memory is off and for good when the device is closed; a mapping that was withdrawn once stays dead.
 */
#include "sim/device/dmabuf.h"

#include <errno.h>
#include <stdlib.h>

#include "sim/iommufd/iommufd.h"
#include "sim/user.h"

static void dma_buf_release(struct sim_file *file)
{
	sim_dma_buf_drop(file->data);
}

/* Programs reach registers through the device. */
static int dma_buf_mmap(struct sim_file *file, void *addr, size_t len, int prot, int flags, uint64_t offset,
			void **ret_addr)
{
	(void)file;
	(void)addr;
	(void)len;
	(void)prot;
	(void)flags;
	(void)offset;
	(void)ret_addr;
	return -EINVAL;
}

static const struct sim_file_ops ops = {
	.name = "dma-buf",
	.mmap = dma_buf_mmap,
	.release = dma_buf_release,
};

struct sim_dma_buf *sim_dma_buf_of(const struct sim_file *file)
{
	return file && file->ops == &ops ? file->data : NULL;
}

/* References -------------------------------------------------------------------------------------------------------- */

static void unlink_from_device(struct sim_dma_buf *buf)
{
	struct sim_dma_buf **link = &buf->device->dma_bufs;

	while (*link != buf)
		link = &(*link)->next;
	*link = buf->next;
}

void sim_dma_buf_hold(struct sim_dma_buf *buf)
{
	buf->refs++;
}

void sim_dma_buf_drop(struct sim_dma_buf *buf)
{
	if (--buf->refs)
		return;
	if (buf->device)
		unlink_from_device(buf);
	free(buf);
}

/* Withdrawing ------------------------------------------------------------------------------------------------------- */

/* Mappings do not come back when the buffer does. */
static void set_revoked(struct sim_dma_buf *buf, bool revoked)
{
	if (revoked && !buf->revoked)
		sim_iommufd_revoke(buf->device->sim, buf);
	buf->revoked = revoked;
}

void sim_dma_bufs_revoke(struct weir_sim_device *device)
{
	for (struct sim_dma_buf *buf = device->dma_bufs; buf; buf = buf->next)
		set_revoked(buf, true);
}

void sim_dma_bufs_update(struct weir_sim_device *device)
{
	bool enabled = sim_device_memory_enabled(device) && !device->gone;

	for (struct sim_dma_buf *buf = device->dma_bufs; buf; buf = buf->next)
		set_revoked(buf, !enabled);
}

void sim_dma_bufs_end(struct weir_sim_device *device)
{
	sim_dma_bufs_revoke(device);
	for (struct sim_dma_buf *buf = device->dma_bufs; buf; buf = buf->next)
		buf->device = NULL;
	device->dma_bufs = NULL;
}

/* Making one -------------------------------------------------------------------------------------------------------- */

/* What the kernel can copy in at once: 4 MiB. */
enum { MOST_RANGES = (4 << 20) / sizeof(struct abi_vfio_region_dma_range) };

/* The ranges one after the other, of whole pages; where the first begins, and how long they are together. */
static int read_ranges(const struct abi_vfio_device_feature_dma_buf *cmd, uint64_t from,
		       struct sim_dma_buf *buf, uint64_t *ret_end)
{
	struct abi_vfio_region_dma_range range;
	uint64_t page = sim_page_size(), end;

	if (cmd->nr_ranges > MOST_RANGES)
		return -ENOMEM;
	*ret_end = 0;
	for (uint32_t i = 0; i < cmd->nr_ranges; i++, from += sizeof(range)) {
		if (sim_copy_in(&range, from, sizeof(range)))
			return -EFAULT;
		if (!range.length || (range.offset | range.length) & (page - 1))
			return -EINVAL;
		if (__builtin_add_overflow(range.offset, range.length, &end) ||
		    __builtin_add_overflow(buf->len, range.length, &buf->len))
			return -EOVERFLOW;
		if (!i)
			buf->offset = range.offset;
		if (end > *ret_end)
			*ret_end = end;
	}
	return 0;
}

static int describe(const struct weir_sim_device *device, const struct abi_vfio_device_feature_dma_buf *cmd,
		    uint64_t ranges, struct sim_dma_buf *buf)
{
	const struct weir_sim_bar *spec;
	uint64_t end;
	int error;

	if (!cmd->nr_ranges || cmd->flags)
		return -EINVAL;
	if (cmd->region_index >= ABI_VFIO_PCI_ROM_REGION_INDEX)
		return -ENODEV;
	error = read_ranges(cmd, ranges, buf, &end);
	if (error)
		return error;
	spec = &device->bars[cmd->region_index].spec;
	if (!spec->len)
		return -ENODEV;
	buf->bar = cmd->region_index;
	buf->num_ranges = cmd->nr_ranges;
	return spec->flags & WEIR_SIM_BAR_IO || end > spec->len ? -EINVAL : 0;
}

int sim_dma_buf_make(struct weir_sim_device *device, const struct abi_vfio_device_feature_dma_buf *cmd,
		     uint64_t ranges)
{
	struct sim_dma_buf *buf = calloc(1, sizeof(*buf));
	int fd = buf ? describe(device, cmd, ranges, buf) : -ENOMEM;

	if (!fd)
		fd = sim_file_open(device->sim, &ops, buf, NULL);
	if (fd < 0) {
		free(buf);
		return fd;
	}
	buf->refs = 1;
	buf->revoked = !sim_device_memory_enabled(device);
	buf->device = device;
	buf->next = device->dma_bufs;
	device->dma_bufs = buf;
	return fd;
}
