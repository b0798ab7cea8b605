// SPDX-License-Identifier: MIT
/*
 * What every VFIO device answers, however it was opened: what it is, its regions, and accesses to them
 * (kernel-interface B.3, B.4).
 */
#include "sim/device/device.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "sim/user.h"

enum { INDEX_SHIFT = 40, CHUNK = 4096 };

#define OFFSET_MASK ((UINT64_C(1) << INDEX_SHIFT) - 1)

static int get_info(struct weir_sim_device *device, void *arg)
{
	const size_t min = offsetof(struct abi_vfio_device_info, cap_offset);
	struct abi_vfio_device_info info;
	int error = sim_argsz_in(arg, &info, sizeof(info), min);
	size_t size;

	if (error)
		return error;
	size = info.argsz < sizeof(info) ? min : sizeof(info);
	info = (struct abi_vfio_device_info){ .argsz = info.argsz, .flags = ABI_VFIO_DEVICE_FLAGS_PCI };
	if (sim_device_can_reset(device))
		info.flags |= ABI_VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = ABI_VFIO_PCI_NUM_REGIONS;
	info.num_irqs = ABI_VFIO_PCI_NUM_IRQS;
	return sim_copy_out(device->sim, (uintptr_t)arg, &info, size);
}

/* ---- Regions ---- */

static void describe_bar(const struct weir_sim_device *device, struct abi_vfio_region_info *info)
{
	const struct sim_bar *bar = &device->bars[info->index];

	info->size = bar->spec.len;
	if (!bar->spec.len)
		return;
	info->flags = ABI_VFIO_REGION_INFO_FLAG_READ | ABI_VFIO_REGION_INFO_FLAG_WRITE;
	/*
	 * Registers that a model answers cannot be reached by loads and stores, as if another driver had
	 * claimed their page: unless somebody serves the faults.
	 */
	if (!sim_bar_can_map(device, info->index))
		return;
	info->flags |= ABI_VFIO_REGION_INFO_FLAG_MMAP;
	if (device->model->msix_vectors && device->model->msix_bar == info->index)
		info->flags |= ABI_VFIO_REGION_INFO_FLAG_CAPS;
}

static int describe(const struct weir_sim_device *device, struct abi_vfio_region_info *info)
{
	uint32_t index = info->index;

	*info = (struct abi_vfio_region_info){ .argsz = info->argsz,
					       .index = index,
					       .offset = (uint64_t)index << INDEX_SHIFT };
	switch (index) {
	case ABI_VFIO_PCI_BAR0_REGION_INDEX ... ABI_VFIO_PCI_BAR5_REGION_INDEX:
		describe_bar(device, info);
		return 0;
	case ABI_VFIO_PCI_ROM_REGION_INDEX:
		return 0;
	case ABI_VFIO_PCI_CONFIG_REGION_INDEX:
		info->size = device->model->flags & WEIR_SIM_PCIE ? SIM_CONFIG_SIZE : SIM_CONFIG_SIZE_PCI;
		info->flags = ABI_VFIO_REGION_INFO_FLAG_READ | ABI_VFIO_REGION_INFO_FLAG_WRITE;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The one capability that there is says that the MSI-X table does not stand in the way of mmap. */
static int get_region_info(struct weir_sim_device *device, void *arg)
{
	static const struct abi_vfio_info_cap_header mappable = {
		.id = ABI_VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, .version = 1
	};
	struct abi_vfio_region_info info;
	int error = sim_argsz_in(arg, &info, sizeof(info), sizeof(info));

	if (!error)
		error = describe(device, &info);
	if (error)
		return error;
	if (info.flags & ABI_VFIO_REGION_INFO_FLAG_CAPS) {
		if (info.argsz < sizeof(info) + sizeof(mappable)) {
			info.argsz = sizeof(info) + sizeof(mappable);
		} else {
			error = sim_copy_out(device->sim, (uintptr_t)arg + sizeof(info), &mappable,
					     sizeof(mappable));
			info.cap_offset = sizeof(info);
		}
	}
	return error ? error : sim_copy_out(device->sim, (uintptr_t)arg, &info, sizeof(info));
}

/* ---- Accesses ---- */

/*
 * How much of an access is one piece: the MSI-X table's part, a page of RAM, or what a register can be at
 * most.
 */
static size_t piece_of(const struct weir_sim_device *device, unsigned int bar, uint64_t offset, size_t len,
		       bool *ret_table)
{
	uint64_t end = offset + (device->bars[bar].ram ? CHUNK : 8 - offset % 8);
	uint64_t table_end, start = device->model->msix_offset;

	*ret_table = sim_msix_table(device, bar, offset, &table_end);
	if (*ret_table)
		end = table_end - offset > CHUNK ? offset + CHUNK : table_end;
	else if (sim_msix_table(device, bar, start, &table_end) && offset < start && end > start)
		end = start;
	return end - offset < len ? (size_t)(end - offset) : len;
}

/*
 * Ports of a device that does not decode them, and everything of one that has gone, read as ones. Memory is
 * -EIO (B.4).
 */
static int read_piece(struct weir_sim_device *device, unsigned int bar, uint64_t offset, unsigned char *bytes,
		      size_t len, bool table)
{
	bool io = device->bars[bar].spec.flags & WEIR_SIM_BAR_IO;

	memset(bytes, 0xff, len);
	if (table || device->gone)
		return 0;
	if (sim_bar_read(device, bar, offset, bytes, len) && !io)
		return -EIO;
	return 0;
}

static int write_piece(struct weir_sim_device *device, unsigned int bar, uint64_t offset,
		       const unsigned char *bytes, size_t len, bool table)
{
	bool io = device->bars[bar].spec.flags & WEIR_SIM_BAR_IO;

	if (table || device->gone)
		return 0;
	if (sim_bar_write(device, bar, offset, bytes, len) && !io)
		return -EIO;
	return 0;
}

/* What begins in the BAR is cut at its end; what does not, and a BAR that is not there, is -EINVAL. */
static ssize_t access_bar(struct weir_sim_device *device, unsigned int bar, uint64_t offset, uint64_t user,
			  size_t len, bool write)
{
	unsigned char bytes[CHUNK];
	size_t done = 0, part;
	int error = 0;

	if (offset >= device->bars[bar].spec.len)
		return -EINVAL;
	if (len > device->bars[bar].spec.len - offset)
		len = (size_t)(device->bars[bar].spec.len - offset);
	for (; done < len && !error; done += part) {
		bool table;

		part = piece_of(device, bar, offset + done, len - done, &table);
		if (write && sim_copy_in(bytes, user + done, part))
			return -EFAULT;
		if (write)
			error = write_piece(device, bar, offset + done, bytes, part, table);
		else
			error = read_piece(device, bar, offset + done, bytes, part, table);
		if (!write && !error)
			error = sim_copy_out(device->sim, user + done, bytes, part);
	}
	return error ? error : (ssize_t)len;
}

static ssize_t access_region(struct weir_sim_device *device, uintptr_t user, size_t len, uint64_t offset,
			     bool write)
{
	uint64_t index = offset >> INDEX_SHIFT;

	if (!len)
		return 0;
	len = sim_trouble_cut(device->sim, len);
	sim_low_power_touch(device);
	offset &= OFFSET_MASK;
	if (index == ABI_VFIO_PCI_CONFIG_REGION_INDEX)
		return write ? sim_config_write(device, (const void *)user, len, offset)
			     : sim_config_read(device, (void *)user, len, offset);
	if (index > ABI_VFIO_PCI_BAR5_REGION_INDEX)
		return -EINVAL;
	return access_bar(device, (unsigned int)index, offset, user, len, write);
}

ssize_t sim_vfio_pread(struct sim_file *file, struct weir_sim_device *device, void *buf, size_t len,
		       uint64_t offset)
{
	(void)file;
	return access_region(device, (uintptr_t)buf, len, offset, false);
}

ssize_t sim_vfio_pwrite(struct sim_file *file, struct weir_sim_device *device, const void *buf, size_t len,
			uint64_t offset)
{
	(void)file;
	return access_region(device, (uintptr_t)buf, len, offset, true);
}

int sim_vfio_ioctl(struct sim_file *file, struct weir_sim_device *device, unsigned long request, void *arg)
{
	(void)file;
	sim_low_power_touch(device);
	switch ((uint32_t)request) {
	case ABI_VFIO_DEVICE_GET_INFO:
		return get_info(device, arg);
	case ABI_VFIO_DEVICE_GET_REGION_INFO:
		return get_region_info(device, arg);
	case ABI_VFIO_DEVICE_GET_IRQ_INFO:
		return sim_irq_info(device, arg);
	case ABI_VFIO_DEVICE_SET_IRQS:
		return sim_irq_set(device, arg);
	case ABI_VFIO_DEVICE_RESET:
		return sim_vfio_reset(device);
	case ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return sim_vfio_hot_reset_info(device, arg);
	case ABI_VFIO_DEVICE_PCI_HOT_RESET:
		return sim_vfio_hot_reset(device, arg);
	case ABI_VFIO_DEVICE_IOEVENTFD:
		return sim_doorbell_set(device, arg);
	case ABI_VFIO_DEVICE_FEATURE:
		return sim_vfio_feature(device, arg);
	default:
		return -ENOTTY;
	}
}
