// SPDX-License-Identifier: MIT
/* Which driver has a device. */
#include "sim/sysfs/bind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const drivers[] = { "nvme", "pci-stub", "vfio-pci" };
enum { NUM_DRIVERS = sizeof(drivers) / sizeof(drivers[0]), CLASS_NVME = 0x010802 };

/* The smallest name above @name: those that every machine has, and those that devices were plugged in with. */
bool sim_driver_next(const struct weir_sim *sim, const char *name, char ret_name[SIM_DRIVER_SIZE])
{
	const char *best = NULL;

	for (size_t i = 0; i < NUM_DRIVERS; i++)
		if (strcmp(drivers[i], name) > 0 && (!best || strcmp(drivers[i], best) < 0))
			best = drivers[i];
	for (const struct weir_sim_device *device = sim->devices; device; device = device->next)
		if (strcmp(device->driver, name) > 0 && (!best || strcmp(device->driver, best) < 0))
			best = device->driver;
	if (best)
		snprintf(ret_name, SIM_DRIVER_SIZE, "%s", best);
	return best;
}

static bool driver_exists(const struct weir_sim *sim, const char *driver)
{
	char name[SIM_DRIVER_SIZE] = "";

	while (sim_driver_next(sim, name, name))
		if (!strcmp(name, driver))
			return true;
	return false;
}

/* vfio-pci and pci-stub know no device by its kind. */
static bool matches(const struct weir_sim_device *device, const char *driver)
{
	if (*device->driver_override)
		return !strcmp(device->driver_override, driver);
	return !strcmp(driver, "nvme") && device->model->class_code == CLASS_NVME;
}

/* A character device that was opened, but not bound, holds it too. */
bool sim_device_in_use(const struct weir_sim_device *device)
{
	const struct sim_file *file = device->sim->files;

	while (file && file->data != device)
		file = file->next;
	return file || device->opens;
}

/* A program that has one device of a group has the DMA of all: no driver of the kernel's can have another. */
static bool group_in_use(const struct sim_group *group)
{
	for (const struct weir_sim_device *device = sim_group_next(group, NULL); device;
	     device = sim_group_next(group, device))
		if (device->iommufd)
			return true;
	return group->container || group->compat;
}

static bool vfio_number_taken(const struct weir_sim *sim, uint32_t number)
{
	for (const struct weir_sim_device *device = sim->devices; device; device = device->next)
		if (!strcmp(device->driver, "vfio-pci") && device->vfio_number == number)
			return true;
	return false;
}

void sim_driver_attach(struct weir_sim_device *device, const char *driver)
{
	device->vfio_number = 0;
	while (!strcmp(driver, "vfio-pci") && vfio_number_taken(device->sim, device->vfio_number))
		device->vfio_number++;
	snprintf(device->driver, sizeof(device->driver), "%s", driver);
}

void sim_driver_detach(struct weir_sim_device *device)
{
	device->unbinds = false;
	*device->driver = '\0';
}

int sim_driver_bind(struct weir_sim_device *device, const char *driver)
{
	bool vfio = !strcmp(driver, "vfio-pci");

	if (!driver_exists(device->sim, driver) || !matches(device, driver))
		return -ENODEV;
	if (*device->driver)
		return -EBUSY;
	if (vfio && (device->kind == SIM_BRIDGE || device->sim->flags & WEIR_SIM_NO_IOMMU))
		return -EINVAL;
	if (!vfio && strcmp(driver, "pci-stub") != 0 && group_in_use(device->group))
		return -EBUSY;
	sim_driver_attach(device, driver);
	return 0;
}

/*
 * The kernel would let the writer wait until the program has closed the device, and meanwhile ask the program for it. Here, where writer
 * and program are often the same, it is unbound when that happens.
 */
int sim_driver_unbind(struct weir_sim_device *device, const char *driver)
{
	if (strcmp(device->driver, driver) != 0)
		return -ENODEV;
	if (!sim_device_in_use(device)) {
		sim_driver_detach(device);
		return 0;
	}
	device->unbinds = true;
	sim_irq_signal(device, ABI_VFIO_PCI_REQ_IRQ_INDEX, 0);
	return 0;
}

void sim_driver_probe(struct weir_sim_device *device)
{
	char driver[SIM_DRIVER_SIZE] = "";

	while (!*device->driver && sim_driver_next(device->sim, driver, driver))
		sim_driver_bind(device, driver);
}
