// SPDX-License-Identifier: MIT
/*
 * Bus addresses that neighbours answer at. Who may answer before the IOMMU is who cannot be told apart from the device: its IOMMU
 * group, in which the kernel has put every port and function that does not redirect.
 */
#include "reach/diverted.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host/host.h"
#include "reach/path.h"
#include "spans.h"

enum { MAX_DIVERTED = 256, NAMES_SIZE = 16384 };

struct diverted {
	struct weir_iova_range *ranges;
	uint32_t num, room;
};

static int add_device(const struct weir_sys *sys, const char *address, struct diverted *diverted)
{
	struct weir_pci_resource resources[WEIR_PCI_RESOURCES];
	unsigned int num = 0;
	int error = weir_sysfs_memory(sys, address, resources, &num);

	/* One that has gone meanwhile answers at nothing. */
	if (error && error != -ENOENT)
		return weir_reach_explain(address, "resource", error);
	for (unsigned int i = 0; i < num; i++)
		diverted->num =
			weir_spans_add(diverted->ranges, diverted->num, diverted->room, resources[i].range);
	return 0;
}

static int add_group(const struct weir_sys *sys, uint32_t group, const char *address,
		     struct diverted *diverted)
{
	char names[NAMES_SIZE];
	int error = weir_sysfs_group_devices(sys, group, names, sizeof(names));

	if (error)
		return weir_fail(error, "/sys/kernel/iommu_groups/%u/devices: %s", group, strerror(-error));
	/* Devices of other buses can be in a group, too. */
	for (const char *name = names; *name && !error; name += strlen(name) + 1)
		if (weir_pci_is_address(name) && strcmp(name, address) != 0)
			error = add_device(sys, name, diverted);
	return error;
}

int weir_diverted_read(const struct weir_sys *sys, uint32_t group, const char *address,
		       struct weir_iova_range *ranges, uint32_t room, uint32_t *ret_num)
{
	struct diverted diverted = { .ranges = ranges, .room = room };
	int error = add_group(sys, group, address, &diverted);

	/* With a neighbour in the group, its own addresses are the neighbour's to keep clear of. */
	if (!error && diverted.num)
		error = add_device(sys, address, &diverted);
	if (!error)
		*ret_num = diverted.num;
	return error;
}

int weir_reach_diverted(struct weir_host *host, const char *address, struct weir_iova_range *ranges,
			size_t *num)
{
	const struct weir_sys *sys = host->kernel.sys;
	char normal[WEIR_PCI_ADDRESS_SIZE];
	struct weir_iova_range all[MAX_DIVERTED];
	struct diverted diverted = { .ranges = all, .room = MAX_DIVERTED };
	size_t room = *num;
	uint32_t group;
	int error = weir_pci_address(address, normal);

	if (error)
		return error;
	if (!weir_sysfs_device_exists(sys, normal))
		return weir_fail(-ENODEV, "there is no PCI device %s", normal);
	error = weir_sysfs_iommu_group(sys, normal, &group);
	if (error == -ENOENT)
		return weir_fail(-EOPNOTSUPP, "%s has no IOMMU group", normal);
	if (error)
		return weir_reach_explain(normal, "iommu_group", error);
	error = add_group(sys, group, normal, &diverted);
	if (error)
		return error;
	*num = diverted.num;
	if (diverted.num > room)
		return weir_fail(-ENOSPC,
				 "the neighbours of %s answer at %" PRIu32 " ranges; there is room for %zu",
				 normal, diverted.num, room);
	if (diverted.num)
		memcpy(ranges, all, diverted.num * sizeof(*ranges));
	return 0;
}
