// SPDX-License-Identifier: MIT
/*
 * Resets that programs ask for: of the function, or of its bus with all that is on it (kernel-interface B.7).
 */
#include "sim/device/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "sim/user.h"

int sim_vfio_reset(struct weir_sim_device *device)
{
	if (!sim_device_can_reset(device))
		return -EINVAL;
	if (device->gone)
		return -ENODEV;
	sim_device_reset(device);
	return 0;
}

/* ---- Who is on the bus ---- */

/* The next function after @device (NULL: the first) that a hot reset of @of hits, itself included. */
static struct weir_sim_device *next_on_bus(const struct weir_sim_device *of,
					   const struct weir_sim_device *device)
{
	struct weir_sim_device *next = device ? device->next : of->sim->devices;

	while (next && (next->bus_group != of->bus_group || next->gone))
		next = next->next;
	return next;
}

/* VFIO knows only of functions that are bound to it. */
static bool is_vfio(const struct weir_sim_device *device)
{
	return !strcmp(device->driver, "vfio-pci");
}

/* The id of @device on an iommufd; 0 when it is open nowhere, but its group belongs to that iommufd. */
static uint32_t id_on(const struct weir_sim_device *device, const struct sim_iommufd *iommufd)
{
	const struct weir_sim_device *member = NULL;

	if (!is_vfio(device))
		return ABI_VFIO_PCI_DEVID_NOT_OWNED;
	if (device->iommufd == iommufd)
		return device->dev_id;
	while ((member = sim_group_next(device->group, member)))
		if (member->iommufd == iommufd)
			return ABI_VFIO_PCI_DEVID_OWNED;
	return ABI_VFIO_PCI_DEVID_NOT_OWNED;
}

/* ---- VFIO_DEVICE_GET_PCI_HOT_RESET_INFO ---- */

static struct abi_vfio_pci_dependent_device describe(const struct weir_sim_device *asker,
						     const struct weir_sim_device *device)
{
	struct sim_bdf bdf = sim_device_bdf(device);
	struct abi_vfio_pci_dependent_device entry = { .segment = bdf.segment,
						       .bus = bdf.bus,
						       .devfn = bdf.devfn };

	if (asker->cdev)
		entry.devid = id_on(device, asker->iommufd);
	else
		entry.group_id = device->group->number;
	return entry;
}

static uint32_t count_on_bus(const struct weir_sim_device *device)
{
	const struct weir_sim_device *hit = NULL;
	uint32_t num = 0;

	while ((hit = next_on_bus(device, hit)))
		num++;
	return num;
}

/* With too little room: -ENOSPC, the count, and nothing else. */
int sim_vfio_hot_reset_info(struct weir_sim_device *device, void *arg)
{
	struct abi_vfio_pci_hot_reset_info info;
	uint64_t to = (uintptr_t)arg + sizeof(info);
	int error = sim_argsz_in(arg, &info, sizeof(info), sizeof(info));

	if (error)
		return error;
	if (!device->bus_group)
		return -ENODEV;
	info.flags = 0;
	info.count = count_on_bus(device);
	if (info.count > (info.argsz - sizeof(info)) / sizeof(struct abi_vfio_pci_dependent_device))
		return sim_copy_out(device->sim, (uintptr_t)arg, &info, sizeof(info)) ? -EFAULT : -ENOSPC;
	if (device->cdev)
		info.flags = ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID | ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	for (struct weir_sim_device *hit = next_on_bus(device, NULL); hit; hit = next_on_bus(device, hit)) {
		struct abi_vfio_pci_dependent_device entry = describe(device, hit);

		if (device->cdev && entry.devid == ABI_VFIO_PCI_DEVID_NOT_OWNED)
			info.flags &= ~ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
		if (sim_copy_out(device->sim, to, &entry, sizeof(entry)))
			return -EFAULT;
		to += sizeof(entry);
	}
	return sim_copy_out(device->sim, (uintptr_t)arg, &info, sizeof(info));
}

/* ---- VFIO_DEVICE_PCI_HOT_RESET ---- */

/* What the caller shows as proof that all of these are its own: an iommufd, or groups. */
struct proof {
	const struct sim_iommufd *iommufd;
	struct sim_group **groups;
	uint32_t num;
};

static bool proves(const struct proof *proof, const struct weir_sim_device *device)
{
	if (proof->iommufd)
		return id_on(device, proof->iommufd) != ABI_VFIO_PCI_DEVID_NOT_OWNED;
	for (uint32_t i = 0; i < proof->num; i++)
		if (proof->groups[i] == device->group)
			return true;
	return false;
}

static int reset_bus(struct weir_sim_device *device, const struct proof *proof)
{
	struct weir_sim_device *hit = NULL;

	while ((hit = next_on_bus(device, hit)))
		if (!is_vfio(hit) || !proves(proof, hit))
			return -EINVAL;
	while ((hit = next_on_bus(device, hit)))
		sim_device_reset(hit);
	return 0;
}

static int find_groups(struct weir_sim *sim, const int32_t *fds, const struct proof *proof)
{
	for (uint32_t i = 0; i < proof->num; i++) {
		const struct sim_file *file;

		if (fcntl(fds[i], F_GETFD) < 0)
			return -EBADF;
		file = sim_file_find(sim, fds[i]);
		proof->groups[i] = file ? sim_group_of(file) : NULL;
		if (!proof->groups[i])
			return -EINVAL;
	}
	return 0;
}

static int hot_reset_by_groups(struct weir_sim_device *device, uint64_t from, uint32_t num)
{
	struct proof proof = { .num = num };
	int32_t *fds;
	int error;

	/* There cannot be more groups than functions. */
	if (num > count_on_bus(device))
		return -EINVAL;
	fds = calloc(num, sizeof(*fds));
	proof.groups = calloc(num, sizeof(struct sim_group *));
	error = fds && proof.groups ? sim_copy_in(fds, from, num * sizeof(*fds)) : -ENOMEM;
	if (!error)
		error = find_groups(device->sim, fds, &proof);
	if (!error)
		error = reset_bus(device, &proof);
	free(proof.groups);
	free(fds);
	return error;
}

int sim_vfio_hot_reset(struct weir_sim_device *device, void *arg)
{
	struct abi_vfio_pci_hot_reset cmd;
	struct proof proof = { .iommufd = device->iommufd };
	int error = sim_argsz_in(arg, &cmd, sizeof(cmd), sizeof(cmd));

	if (error)
		return error;
	if (cmd.flags || !cmd.count != !!device->cdev)
		return -EINVAL;
	if (!device->bus_group || device->gone)
		return -ENODEV;
	if (cmd.count)
		return hot_reset_by_groups(device, (uintptr_t)arg + sizeof(cmd), cmd.count);
	return reset_bus(device, &proof);
}
