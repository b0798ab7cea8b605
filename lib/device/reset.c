// SPDX-License-Identifier: MIT
/* Resets: of the function alone, or of its bus with all that is on it. */
#include "device/device.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "faultq/queue.h"
#include "kernel/vfio_device.h"

/*
 * The kernel gives up at once when it cannot lock a device. A second is long for whoever holds that lock.
 */
enum { TRIES = 100, PAUSE_NS = 10 * 1000 * 1000 };

static int reset_function(struct weir_device *device)
{
	const struct weir_sys *sys = weir_device_sys(device);
	int error;

	weir_faultq_fail_all(device->function);
	error = weir_vfio_device_reset(sys, device->function->fd);
	for (int i = 1; error == -EAGAIN && i < TRIES; i++) {
		sys->sleep(sys->ctx, PAUSE_NS);
		error = weir_vfio_device_reset(sys, device->function->fd);
	}
	weir_away_end(&device, 1, WEIR_AWAY_RESET, 0);
	if (error)
		return weir_fail(error == -EAGAIN || error == -ENODEV ? error : -EIO,
				 "VFIO_DEVICE_RESET of %s: %s", device->function->address, strerror(-error));
	return 0;
}

int weir_device_reset(struct weir_device *device)
{
	int error;

	if (!(device->flags & ABI_VFIO_DEVICE_FLAGS_RESET))
		return weir_fail(-EOPNOTSUPP,
				 "%s cannot be reset by itself; weir_device_hot_reset() resets its whole bus",
				 device->function->address);
	pthread_mutex_lock(&device->host->lock);
	error = weir_away_begin(&device, 1, WEIR_AWAY_RESET);
	if (!error)
		error = reset_function(device);
	pthread_mutex_unlock(&device->host->lock);
	return error;
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

enum { MOST_TARGETS = 64 };

/* What a hot reset reaches. */
struct reach {
	struct weir_hot_reset_target targets[MOST_TARGETS];
	size_t num_targets;
	struct weir_device *devices[MOST_TARGETS]; /* of those, the ones that are open in this process */
	size_t num_devices;
};

static int find_targets(struct weir_device *device, struct reach *reach)
{
	int error;

	reach->num_targets = MOST_TARGETS;
	error = weir_hot_reset_targets(device->function, reach->targets, &reach->num_targets);
	if (error)
		return explain_targets(device, error);
	for (size_t i = 0; i < reach->num_targets; i++)
		if (!reach->targets[i].ours)
			return weir_fail(-EBUSY,
					 "a hot reset of %s also resets %s, which is not open on this host",
					 device->function->address, reach->targets[i].address);
	return 0;
}

/* Two hosts on descriptors of one iommufd own the same devices. A host of another machine, a simulated one, is told in vain. */
static void find_devices(struct reach *reach, struct weir_host *hosts)
{
	for (struct weir_host *host = hosts; host; host = host->next)
		for (size_t i = 0; i < reach->num_targets; i++) {
			struct weir_function *function =
				weir_function_find(&host->kernel, reach->targets[i].address);

			if (function && function->device && reach->num_devices < MOST_TARGETS)
				reach->devices[reach->num_devices++] = function->device;
		}
}

/* The locks of all hosts are held. */
static int reset_bus(struct weir_device *device, struct weir_host *hosts)
{
	const struct weir_sys *sys = weir_device_sys(device);
	struct reach reach = { 0 };
	int error = find_targets(device, &reach);

	if (error)
		return error;
	find_devices(&reach, hosts);
	error = weir_away_begin(reach.devices, reach.num_devices, WEIR_AWAY_RESET);
	if (error)
		return error;
	for (size_t i = 0; i < reach.num_devices; i++)
		weir_faultq_fail_all(reach.devices[i]->function);
	error = device->host->kernel.ops->hot_reset(device->function);
	for (int i = 1; error == -EBUSY && i < TRIES; i++) {
		sys->sleep(sys->ctx, PAUSE_NS);
		error = device->host->kernel.ops->hot_reset(device->function);
	}
	weir_away_end(reach.devices, reach.num_devices, WEIR_AWAY_RESET, 0);
	if (error)
		return weir_fail(error == -EBUSY ? -EAGAIN : -EIO, "VFIO_DEVICE_PCI_HOT_RESET of %s: %s",
				 device->function->address, strerror(-error));
	return 0;
}

int weir_device_hot_reset(struct weir_device *device)
{
	int error = reset_bus(device, weir_hosts_lock());

	weir_hosts_unlock();
	return error;
}
