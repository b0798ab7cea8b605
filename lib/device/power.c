// SPDX-License-Identifier: MIT
/* Low power: the kernel puts an idle device to sleep. */
#include <errno.h>
#include <string.h>

#include "device/device.h"
#include "error.h"
#include "kernel/vfio_device.h"

static int explain(const struct weir_device *device, const char *what, int error)
{
	if (error == -ENOTTY)
		return weir_fail(-EOPNOTSUPP,
				 "this kernel, or the driver of %s, has no low power for programs",
				 device->function->address);
	return weir_fail(error == -ENODEV ? error : -EIO, "%s of %s: %s", what, device->function->address,
			 strerror(-error));
}

static int enter(struct weir_device *device, int wakeup_fd)
{
	struct abi_vfio_device_low_power_entry_with_wakeup wakeup = { .wakeup_eventfd = wakeup_fd };
	const struct weir_sys *sys = weir_device_sys(device);

	if (wakeup_fd == -1)
		return weir_vfio_device_set_feature(sys, device->function->fd,
						    ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, NULL, 0);
	return weir_vfio_device_set_feature(sys, device->function->fd,
					    ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, &wakeup,
					    sizeof(wakeup));
}

static int fall_asleep(struct weir_device *device, int wakeup_fd)
{
	int error = enter(device, wakeup_fd);

	if (error == -EINVAL || error == -EBADF)
		error = weir_fail(-EINVAL,
				  "%s cannot sleep: descriptor %d is no eventfd, or it sleeps without "
				  "weir_device_sleep()",
				  device->function->address, wakeup_fd);
	else if (error)
		error = explain(device, "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY", error);
	if (error)
		weir_away_end(&device, 1, WEIR_AWAY_ASLEEP, 0);
	return error;
}

int weir_device_sleep(struct weir_device *device, int wakeup_fd)
{
	int error = 0;

	pthread_mutex_lock(&device->host->lock);
	if (weir_device_away(device) & WEIR_AWAY_ASLEEP) {
		error = weir_fail(-EALREADY, "%s sleeps", device->function->address);
	} else {
		error = weir_away_begin(&device, 1, WEIR_AWAY_ASLEEP);
		if (!error)
			error = fall_asleep(device, wakeup_fd);
	}
	pthread_mutex_unlock(&device->host->lock);
	return error;
}

int weir_device_wake(struct weir_device *device)
{
	int error;

	pthread_mutex_lock(&device->host->lock);
	error = weir_vfio_device_set_feature(weir_device_sys(device), device->function->fd,
					     ABI_VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, NULL, 0);
	if (error)
		error = explain(device, "VFIO_DEVICE_FEATURE_LOW_POWER_EXIT", error);
	else
		weir_away_end(&device, 1, WEIR_AWAY_ASLEEP, 0);
	pthread_mutex_unlock(&device->host->lock);
	return error;
}
