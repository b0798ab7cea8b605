// SPDX-License-Identifier: MIT
/*
 * VFIO_DEVICE_FEATURE: what vfio-pci answers for a plain function (kernel-interface B.8), and low power, the
 * one such feature it has.
 */
#include "sim/device/dmabuf.h"

#include <errno.h>
#include <unistd.h>

#include "sim/user.h"

enum {
	GET = ABI_VFIO_DEVICE_FEATURE_GET,
	SET = ABI_VFIO_DEVICE_FEATURE_SET,
	PROBE = ABI_VFIO_DEVICE_FEATURE_PROBE,
};

struct feature_cmd {
	uint32_t flags;
	uint64_t data; /* the caller's pointer */
	size_t len;
};

/* The frame that all features share: 1 when it is to be done, 0 when that was the question, or an errno. */
static int check(const struct feature_cmd *cmd, uint32_t directions, size_t min)
{
	uint32_t direction = cmd->flags & (GET | SET);

	if (direction & ~directions)
		return -EINVAL;
	if (cmd->flags & PROBE)
		return 0;
	if (!direction || cmd->len < min)
		return -EINVAL;
	return 1;
}

/* ---- Low power ---- */

/* No mapping answers until the end; other accesses wake the device for as long as they take. */
static int low_power_begin(struct weir_sim_device *device, int wakeup_fd)
{
	if (device->low_power)
		return -EINVAL;
	device->low_power = true;
	device->wakes_up = wakeup_fd >= 0;
	device->wakeup_fd = wakeup_fd;
	sim_mapping_update(device);
	sim_dma_bufs_revoke(device);
	return 0;
}

void sim_low_power_end(struct weir_sim_device *device)
{
	if (!device->low_power)
		return;
	if (device->wakes_up)
		close(device->wakeup_fd);
	device->low_power = false;
	device->wakes_up = false;
	sim_mapping_update(device);
}

void sim_low_power_touch(struct weir_sim_device *device)
{
	if (!device->wakes_up)
		return;
	sim_eventfd_signal(device->wakeup_fd);
	sim_low_power_end(device);
}

static int low_power_entry(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	int result = check(cmd, SET, 0);

	return result == 1 ? low_power_begin(device, -1) : result;
}

static int low_power_entry_with_wakeup(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	struct abi_vfio_device_low_power_entry_with_wakeup entry;
	int result = check(cmd, SET, sizeof(entry)), fd;

	if (result != 1)
		return result;
	if (sim_copy_in(&entry, cmd->data, sizeof(entry)))
		return -EFAULT;
	if (entry.wakeup_eventfd < 0)
		return -EINVAL;
	fd = sim_eventfd_get(entry.wakeup_eventfd);
	if (fd < 0)
		return fd;
	result = low_power_begin(device, fd);
	if (result)
		close(fd);
	return result;
}

static int low_power_exit(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	int result = check(cmd, SET, 0);

	if (result == 1) {
		sim_low_power_end(device);
		sim_dma_bufs_update(device);
	}
	return result < 0 ? result : 0;
}

/* ---- dma-bufs ---- */

/* Before 6.19 no driver had heard of it. That the room reaches to the end of the ranges is not looked at. */
static int dma_buf(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	struct abi_vfio_device_feature_dma_buf dma_buf;
	int result = sim_has_dma_buf(device->sim) ? check(cmd, GET, sizeof(dma_buf)) : -ENOTTY;

	if (result != 1)
		return result;
	if (sim_copy_in(&dma_buf, cmd->data, sizeof(dma_buf)))
		return -EFAULT;
	return sim_dma_buf_make(device, &dma_buf, cmd->data + sizeof(dma_buf));
}

/* ---- Dispatch ---- */

static int dispatch(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	switch (cmd->flags & ABI_VFIO_DEVICE_FEATURE_MASK) {
	case ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		return low_power_entry(device, cmd);
	case ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		return low_power_entry_with_wakeup(device, cmd);
	case ABI_VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		return low_power_exit(device, cmd);
	case ABI_VFIO_DEVICE_FEATURE_DMA_BUF:
		return dma_buf(device, cmd);
	case ABI_VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2:
		/* Since 7.1, and what it asks first is whether the device has the precopy states. */
		return device->sim->age == WEIR_SIM_7_2 ? -EINVAL : -ENOTTY;
	default:
		/* No virtual functions, no migration, no log of DMA, and PCI has bus mastering in COMMAND. */
		return -ENOTTY;
	}
}

int sim_vfio_feature(struct weir_sim_device *device, void *arg)
{
	struct abi_vfio_device_feature feature;
	struct feature_cmd cmd;
	int error = sim_argsz_in(arg, &feature, sizeof(feature), sizeof(feature));

	if (error)
		return error;
	if (feature.flags & ~(ABI_VFIO_DEVICE_FEATURE_MASK | GET | SET | PROBE))
		return -EINVAL;
	if (!(feature.flags & PROBE) && feature.flags & GET && feature.flags & SET)
		return -EINVAL;
	cmd = (struct feature_cmd){ feature.flags, (uintptr_t)arg + sizeof(feature),
				    feature.argsz - sizeof(feature) };
	return dispatch(device, &cmd);
}
