// SPDX-License-Identifier: MIT
/* IOMMU groups and the functions in them: who is in which space, and who is in the way. */
#include "backend/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "journal/journal.h"
#include "kernel/vfio_device.h"

struct weir_group *weir_group_find(struct weir_kernel *kernel, uint32_t number)
{
	struct weir_group *group = kernel->groups;

	while (group && group->number != number)
		group = group->next;
	return group;
}

struct weir_function *weir_function_find(struct weir_kernel *kernel, const char *address)
{
	for (struct weir_group *group = kernel->groups; group; group = group->next)
		for (struct weir_function *function = group->functions; function; function = function->next)
			if (!strcmp(function->address, address))
				return function;
	return NULL;
}

struct weir_group *weir_group_get(struct weir_kernel *kernel, uint32_t number)
{
	struct weir_group *group = weir_group_find(kernel, number);

	if (group)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->number = number;
	group->fd = -1;
	group->next = kernel->groups;
	kernel->groups = group;
	return group;
}

/* Forget a group when nothing of it is open. */
static void group_put(struct weir_kernel *kernel, struct weir_group *group)
{
	struct weir_group **link = &kernel->groups;

	if (group->functions)
		return;
	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	free(group);
}

static int find_group(const struct weir_sys *sys, const char *address, uint32_t *ret_number)
{
	int error = weir_sysfs_iommu_group(sys, address, ret_number);

	if (error == -ENOENT && !weir_sysfs_device_exists(sys, address))
		return weir_fail(-ENODEV, "there is no PCI device %s", address);
	if (error == -ENOENT)
		return weir_fail(-EOPNOTSUPP,
				 "%s is in no IOMMU group: this machine has no IOMMU, or it is switched off "
				 "in the firmware "
				 "or on the kernel command line (intel_iommu=on)",
				 address);
	if (error)
		return weir_fail(error, "reading the IOMMU group of %s: %s", address, strerror(-error));
	return 0;
}

/* Whoever comes after us finds that it may be open. */
static int note_function(struct weir_function *function)
{
	struct weir_journal *journal = function->kernel->journal;
	struct weir_slot_device *slot;
	int error = weir_journal_take(journal, WEIR_JOURNAL_DEVICES, &function->number);

	if (error)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_DEVICES, function->number);
	memcpy(slot->address, function->address, sizeof(slot->address));
	memcpy(slot->token, function->token, sizeof(slot->token));
	slot->group = function->group->number;
	slot->dev_id = slot->flags = 0;
	slot->address_bits = 64;
	atomic_store(&slot->place, 0);
	atomic_store(&slot->moving, 0);
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

/* Its descriptors are closed. */
static void forget_function(struct weir_function *function)
{
	struct weir_journal *journal = function->kernel->journal;

	if (journal)
		weir_journal_give(journal, WEIR_JOURNAL_DEVICES, function->number);
	group_put(function->kernel, function->group);
	free(function);
}

int weir_function_open(struct weir_kernel *kernel, const char *address, const char *token,
		       struct weir_space *space, struct weir_function **ret_function)
{
	struct weir_function *function;
	uint32_t number;
	int error = find_group(kernel->sys, address, &number);

	if (error)
		return error;
	if (weir_function_find(kernel, address))
		return weir_fail(-EBUSY, "%s is open on this host already", address);
	function = calloc(1, sizeof(*function));
	if (!function)
		return weir_fail(-ENOMEM, "no memory for a device");
	function->kernel = kernel;
	function->fd = -1;
	snprintf(function->address, sizeof(function->address), "%s", address);
	snprintf(function->token, sizeof(function->token), "%s", token ? token : "");
	function->group = weir_group_get(kernel, number);
	if (!function->group) {
		free(function);
		return weir_fail(-ENOMEM, "no memory for an IOMMU group");
	}
	error = kernel->journal ? note_function(function) : 0;
	if (error) {
		group_put(kernel, function->group);
		free(function);
		return error;
	}
	if (function->group->space && function->group->space != space->real)
		error = weir_fail(-EBUSY,
				  "%s shares IOMMU group %" PRIu32
				  " with %s, which is attached to another address space",
				  address, number, function->group->functions->address);
	else
		error = kernel->ops->function_open(function);
	if (error) {
		forget_function(function);
		return error;
	}
	function->next = function->group->functions;
	function->group->functions = function;
	*ret_function = function;
	return 0;
}

void weir_function_close(struct weir_function *function)
{
	struct weir_function **link = &function->group->functions;

	while (*link != function)
		link = &(*link)->next;
	*link = function->next;
	function->kernel->ops->function_close(function);
	forget_function(function);
}

void weir_function_note_place(struct weir_function *function, uint32_t place)
{
	struct weir_slot_device *slot;

	if (!function->kernel->journal)
		return;
	slot = weir_journal_at(function->kernel->journal, WEIR_JOURNAL_DEVICES, function->number);
	slot->dev_id = function->dev_id;
	atomic_store(&slot->place, place);
}

void weir_group_note_moving(const struct weir_group *group, bool moving)
{
	for (const struct weir_function *member = group->functions; member; member = member->next) {
		struct weir_journal *journal = member->kernel->journal;
		struct weir_slot_device *slot;

		if (!journal)
			return;
		slot = weir_journal_at(journal, WEIR_JOURNAL_DEVICES, member->number);
		atomic_store(&slot->moving, moving);
	}
}

/* A group is known by its number, which may be 0. */
static uint32_t owner_of(const struct weir_function *function, uint32_t kind)
{
	return kind == WEIR_FD_GROUP ? function->group->number + 1 : function->number;
}

int weir_function_note_fd(struct weir_function *function, int fd, uint32_t kind)
{
	if (!function->kernel->journal)
		return 0;
	return weir_journal_add_fd(function->kernel->journal, fd, kind, owner_of(function, kind), 0);
}

void weir_function_drop_fds(struct weir_function *function, uint32_t kind)
{
	if (function->kernel->journal)
		weir_journal_drop_fds(function->kernel->journal, kind, owner_of(function, kind));
}

static bool is_vfio(const struct weir_sys *sys, const char *address, const char *driver)
{
	char name[32];

	return !strcmp(driver, "vfio-pci") || weir_sysfs_vfio_dev(sys, address, name, sizeof(name)) == 0;
}

int weir_explain_unbound(const struct weir_sys *sys, const char *address)
{
	char driver[64];
	int error = weir_sysfs_driver(sys, address, driver, sizeof(driver));

	if (error == -ENOENT)
		return weir_fail(-ENXIO,
				 "%s has no driver: bind it to vfio-pci (echo vfio-pci > "
				 "/sys/bus/pci/devices/%s/driver_override; "
				 "echo %s > /sys/bus/pci/drivers_probe)",
				 address, address, address);
	if (error)
		return weir_fail(error, "reading the driver of %s: %s", address, strerror(-error));
	if (is_vfio(sys, address, driver))
		return weir_fail(-ENXIO,
				 "%s is bound to %s, but this kernel gives it no node for this backend",
				 address, driver);
	return weir_fail(
		-ENXIO,
		"%s is bound to %s, not to vfio-pci: rebind it (echo %s > /sys/bus/pci/drivers/%s/unbind; "
		"echo vfio-pci > /sys/bus/pci/devices/%s/driver_override; echo %s > "
		"/sys/bus/pci/drivers_probe)",
		address, driver, address, driver, address, address);
}

/* Drivers that do no DMA of their own, which VFIO puts up with beside it in a group. */
static bool is_harmless(const char *driver)
{
	return !strcmp(driver, "pcieport") || !strcmp(driver, "pci-stub");
}

/* -EBUSY, and its text, if a sibling's driver is in the way; else 0. */
static int blame_sibling(const struct weir_sys *sys, uint32_t group, const char *address)
{
	char names[1024], driver[64];

	if (weir_sysfs_group_devices(sys, group, names, sizeof(names)))
		names[0] = '\0';
	for (const char *name = names; *name; name += strlen(name) + 1) {
		if (weir_sysfs_driver(sys, name, driver, sizeof(driver)) || is_harmless(driver) ||
		    is_vfio(sys, name, driver))
			continue;
		if (!strcmp(name, address))
			return weir_explain_unbound(sys, address);
		return weir_fail(-EBUSY,
				 "%s shares IOMMU group %" PRIu32
				 " with %s, which is bound to %s: bind that to vfio-pci too, or "
				 "unbind it",
				 address, group, name, driver);
	}
	return 0;
}

int weir_explain_busy(const struct weir_sys *sys, uint32_t group, const char *address, int error)
{
	int blamed = blame_sibling(sys, group, address);

	if (blamed)
		return blamed;
	return weir_fail(-EBUSY, "%s (IOMMU group %" PRIu32 ") is open elsewhere: %s", address, group,
			 strerror(-error));
}

int weir_explain_owned(struct weir_kernel *kernel, uint32_t group, const char *address)
{
	const struct weir_sys *sys = kernel->sys;
	int blamed = blame_sibling(sys, group, address), fd;
	char path[32];

	if (blamed || kernel->nodes.given)
		return blamed;
	/* The group's node cannot be opened while anything of the group is in use. */
	snprintf(path, sizeof(path), "/dev/vfio/%" PRIu32, group);
	fd = sys->open(sys->ctx, path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		sys->close(sys->ctx, fd);
	return fd == -EBUSY ? weir_explain_busy(sys, group, address, fd) : 0;
}

int weir_hot_reset_targets(struct weir_function *function, struct weir_hot_reset_target *targets, size_t *num)
{
	struct abi_vfio_pci_hot_reset_info *info;
	size_t room = *num;
	int error = weir_vfio_device_hot_reset_info(function->kernel->sys, function->fd, &info);

	if (error)
		return error;
	*num = info->count;
	for (size_t i = 0; i < info->count && i < room; i++) {
		const struct abi_vfio_pci_dependent_device *device = &info->devices[i];

		snprintf(targets[i].address, sizeof(targets[i].address), "%04x:%02x:%02x.%x", device->segment,
			 device->bus, device->devfn >> 3, device->devfn & 7u);
		function->kernel->ops->hot_reset_target(function, device, &targets[i]);
	}
	free(info);
	return *num > room ? -ENOSPC : 0;
}
