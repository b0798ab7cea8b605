// SPDX-License-Identifier: MIT
/*
 * VFIO_DEVICE_FEATURE: what vfio-pci answers for a plain function (kernel-interface B.8), with low power; and
 * what drivers of some devices have: a log of DMA, and migration.
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

/* ---- A log of DMA ---- */

enum { MOST_RANGES = 4096 / sizeof(struct abi_vfio_device_feature_dma_logging_range) };

static bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* Everything is logged, whatever the ranges are; but they are looked at. */
static int log_start(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	struct abi_vfio_device_feature_dma_logging_control control;
	struct abi_vfio_device_feature_dma_logging_range range;
	int result = check(cmd, SET, sizeof(control));

	if (result != 1)
		return result;
	if (sim_copy_in(&control, cmd->data, sizeof(control)))
		return -EFAULT;
	if (!control.num_ranges || !is_power_of_two(control.page_size) || device->log.on)
		return -EINVAL;
	if (control.num_ranges > MOST_RANGES)
		return -E2BIG;
	for (uint32_t i = 0; i < control.num_ranges; i++) {
		if (sim_copy_in(&range, control.ranges + i * sizeof(range), sizeof(range)))
			return -EFAULT;
		if (range.iova % control.page_size || range.length % control.page_size)
			return -EINVAL;
	}
	sim_dirty_set(&device->log, true);
	return 0;
}

static int log_stop(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	int result = check(cmd, SET, 0);

	if (result == 1)
		sim_dirty_set(&device->log, false);
	return result < 0 ? result : 0;
}

static int log_report(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	struct abi_vfio_device_feature_dma_logging_report report;
	int result = check(cmd, GET, sizeof(report));

	if (result != 1)
		return result;
	if (sim_copy_in(&report, cmd->data, sizeof(report)))
		return -EFAULT;
	if (!device->log.on || !report.length || report.page_size < SIM_IOMMU_PAGE ||
	    !is_power_of_two(report.page_size))
		return -EINVAL;
	for (uint64_t at = 0; at < report.length; at += report.page_size)
		if (sim_dirty_has(&device->log, report.iova + at,
				  report.iova + at + (report.page_size - 1)) &&
		    sim_dirty_tell(device->sim, report.bitmap, at / report.page_size))
			return -EFAULT;
	sim_dirty_forget(&device->log, report.iova, report.iova + (report.length - 1));
	return 0;
}

static int log_dma(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	if (!device->logs_dma)
		return -ENOTTY;
	switch (cmd->flags & ABI_VFIO_DEVICE_FEATURE_MASK) {
	case ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
		return log_start(device, cmd);
	case ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
		return log_stop(device, cmd);
	default:
		return log_report(device, cmd);
	}
}

/* ---- Migration ---- */

static int tell(struct weir_sim_device *device, const struct feature_cmd *cmd, const void *data, size_t len)
{
	int result = check(cmd, GET, len);

	if (result == 1)
		result = sim_copy_out(device->sim, cmd->data, data, len);
	return result;
}

static int migration_state(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	struct abi_vfio_device_feature_mig_state state = { .device_state = device->migration.state,
							   .data_fd = -1 };
	int result = check(cmd, GET | SET, sizeof(state));

	if (result != 1)
		return result;
	if (cmd->flags & SET) {
		if (sim_copy_in(&state, cmd->data, sizeof(state)))
			return -EFAULT;
		result = sim_migration_set(device, state.device_state, &state.data_fd);
		if (result)
			return result;
	}
	return sim_copy_out(device->sim, cmd->data, &state, sizeof(state));
}

static int migrate(struct weir_sim_device *device, const struct feature_cmd *cmd)
{
	const struct abi_vfio_device_feature_migration can = { ABI_VFIO_MIGRATION_STOP_COPY |
							       ABI_VFIO_MIGRATION_P2P |
							       ABI_VFIO_MIGRATION_PRE_COPY };
	struct abi_vfio_device_feature_mig_data_size size;

	if (!device->migration.can)
		return -ENOTTY;
	switch (cmd->flags & ABI_VFIO_DEVICE_FEATURE_MASK) {
	case ABI_VFIO_DEVICE_FEATURE_MIGRATION:
		return tell(device, cmd, &can, sizeof(can));
	case ABI_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE:
		size.stop_copy_length = sim_migration_size(device);
		return tell(device, cmd, &size, sizeof(size));
	default:
		return migration_state(device, cmd);
	}
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
	case ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
	case ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
	case ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		return log_dma(device, cmd);
	case ABI_VFIO_DEVICE_FEATURE_MIGRATION:
	case ABI_VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
	case ABI_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE:
		return migrate(device, cmd);
	case ABI_VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2:
		/* Since 7.1, and what it asks first is whether the device has the precopy states. */
		return device->sim->age == WEIR_SIM_7_2 ? -EINVAL : -ENOTTY;
	default:
		/* No virtual functions, and PCI has bus mastering in COMMAND. */
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
