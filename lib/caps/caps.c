// SPDX-License-Identifier: MIT
/* What can be done here. */
#include "device/device.h"

#include <errno.h>

#include "error.h"
#include "kernel/vfio_abi.h"

const char *weir_cap_name(enum weir_cap cap)
{
	switch (cap) {
	case WEIR_CAP_MOVE:
		return "move";
	case WEIR_CAP_RESET:
		return "reset";
	case WEIR_CAP_HOT_RESET:
		return "hot-reset";
	case WEIR_CAP_MANY_MAPS:
		return "many-maps";
	case WEIR_CAP_EXACT_UNMAP:
		return "exact-unmap";
	case WEIR_CAP_DEVICE_MEMORY:
		return "device-memory";
	case WEIR_CAP_PEER:
		return "peer";
	}
	return "unknown";
}

static int check_hot_reset(struct weir_device *device)
{
	struct weir_hot_reset_target targets[64];
	size_t num = 64;
	int error = weir_device_hot_reset_targets(device, targets, &num);

	if (error)
		return error == -EOPNOTSUPP ? error : weir_fail_within(-EOPNOTSUPP, "hot reset");
	for (size_t i = 0; i < num; i++)
		if (!targets[i].ours)
			return weir_fail(-EOPNOTSUPP,
					 "a hot reset of %s also resets %s, which is not open on this host",
					 device->function->address, targets[i].address);
	return 0;
}

int weir_caps_check(struct weir_device *device, enum weir_cap cap)
{
	int error;

	if (cap == WEIR_CAP_MOVE && weir_device_ioas(device)->space.layer)
		return weir_fail(-EOPNOTSUPP, "devices stay in a nested space until they are closed");
	switch (cap) {
	case WEIR_CAP_RESET:
		if (device->flags & ABI_VFIO_DEVICE_FLAGS_RESET)
			return 0;
		return weir_fail(-EOPNOTSUPP, "%s has no reset of its own", device->function->address);
	case WEIR_CAP_HOT_RESET:
		return check_hot_reset(device);
	default:
		pthread_mutex_lock(&device->host->lock);
		error = device->host->kernel.ops->can(device->function, cap);
		pthread_mutex_unlock(&device->host->lock);
		if (error == -ENOTTY)
			return weir_fail(-EINVAL, "there is no capability %d", (int)cap);
		return error;
	}
}
