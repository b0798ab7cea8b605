// SPDX-License-Identifier: MIT
/* Resets: of the function alone, or of its bus with all that is on it. */
#include "device/device.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "kernel/vfio_device.h"

/*
 * The kernel gives up at once when it cannot lock a device. A second is long for whoever holds that lock.
 */
enum { TRIES = 100, PAUSE_NS = 10 * 1000 * 1000 };

int weir_device_reset(struct weir_device *device)
{
	const struct weir_sys *sys = weir_device_sys(device);
	int error;

	if (!(device->flags & ABI_VFIO_DEVICE_FLAGS_RESET))
		return weir_fail(-EOPNOTSUPP,
				 "%s cannot be reset by itself; weir_device_hot_reset() resets its whole bus",
				 device->function->address);
	pthread_mutex_lock(&device->host->lock);
	error = weir_vfio_device_reset(sys, device->function->fd);
	for (int i = 1; error == -EAGAIN && i < TRIES; i++) {
		sys->sleep(sys->ctx, PAUSE_NS);
		error = weir_vfio_device_reset(sys, device->function->fd);
	}
	pthread_mutex_unlock(&device->host->lock);
	if (error)
		return weir_fail(error == -EAGAIN ? error : -EIO, "VFIO_DEVICE_RESET of %s: %s",
				 device->function->address, strerror(-error));
	return 0;
}

static int explain_targets(const struct weir_device *device, int error)
{
	if (error == -ENODEV)
		return weir_fail(-EOPNOTSUPP, "%s sits on a bus that cannot be reset",
				 device->function->address);
	return weir_fail(error, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO of %s: %s", device->function->address,
			 strerror(-error));
}

int weir_device_hot_reset_targets(struct weir_device *device, struct weir_hot_reset_target *targets,
				  size_t *num)
{
	size_t room = *num;
	int error;

	pthread_mutex_lock(&device->host->lock);
	error = weir_hot_reset_targets(device->function, targets, num);
	pthread_mutex_unlock(&device->host->lock);
	if (error == -ENOSPC)
		return weir_fail(error, "a hot reset of %s reaches %zu functions; there is room for %zu",
				 device->function->address, *num, room);
	return error ? explain_targets(device, error) : 0;
}

/* The host's lock is held. */
static int check_targets(struct weir_device *device)
{
	struct weir_hot_reset_target targets[64];
	size_t num = 64;
	int error = weir_hot_reset_targets(device->function, targets, &num);

	if (error)
		return explain_targets(device, error);
	for (size_t i = 0; i < num; i++)
		if (!targets[i].ours)
			return weir_fail(-EBUSY,
					 "a hot reset of %s also resets %s, which is not open on this host",
					 device->function->address, targets[i].address);
	return 0;
}

int weir_device_hot_reset(struct weir_device *device)
{
	const struct weir_sys *sys = weir_device_sys(device);
	int error;

	pthread_mutex_lock(&device->host->lock);
	error = check_targets(device);
	if (!error) {
		error = device->host->kernel.ops->hot_reset(device->function);
		for (int i = 1; error == -EBUSY && i < TRIES; i++) {
			sys->sleep(sys->ctx, PAUSE_NS);
			error = device->host->kernel.ops->hot_reset(device->function);
		}
		if (error)
			error = weir_fail(error == -EBUSY ? -EAGAIN : -EIO,
					  "VFIO_DEVICE_PCI_HOT_RESET of %s: %s", device->function->address,
					  strerror(-error));
	}
	pthread_mutex_unlock(&device->host->lock);
	return error;
}
