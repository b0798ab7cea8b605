// SPDX-License-Identifier: MIT
/*
 * Bus addresses that neighbours answer at. Who may answer before the IOMMU is who cannot be told apart from the device: its IOMMU
 * group, in which the kernel has put every port and function that does not redirect.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "reach/path.h"

enum { MAX_SHADOWS = 256, NAMES_SIZE = 16384 };

struct shadows {
	struct weir_iova_range ranges[MAX_SHADOWS]; /* ascending, apart */
	size_t num;
};

static bool touch(const struct weir_iova_range *lower, const struct weir_iova_range *upper)
{
	return lower->last == UINT64_MAX || upper->start <= lower->last + 1;
}

/* Put it in its place, and let it take in those that it meets. */
static int add(struct shadows *shadows, struct weir_iova_range range)
{
	struct weir_iova_range *ranges = shadows->ranges;
	size_t at = 0, end;

	while (at < shadows->num && ranges[at].start < range.start && !touch(&ranges[at], &range))
		at++;
	for (end = at;
	     end < shadows->num && (ranges[end].start <= range.start || touch(&range, &ranges[end])); end++) {
		if (ranges[end].start < range.start)
			range.start = ranges[end].start;
		if (ranges[end].last > range.last)
			range.last = ranges[end].last;
	}
	if (end == at && shadows->num == MAX_SHADOWS)
		return weir_fail(-E2BIG, "the group's devices answer at more than %d ranges", MAX_SHADOWS);
	memmove(&ranges[at + 1], &ranges[end], (shadows->num - end) * sizeof(*ranges));
	ranges[at] = range;
	shadows->num = shadows->num - (end - at) + 1;
	return 0;
}

static int add_device(const struct weir_sys *sys, const char *address, struct shadows *shadows)
{
	struct weir_pci_resource resources[WEIR_PCI_RESOURCES];
	unsigned int num = 0;
	int error = weir_sysfs_memory(sys, address, resources, &num);

	if (error)
		return weir_reach_explain(address, "resource", error);
	for (unsigned int i = 0; i < num && !error; i++)
		error = add(shadows, resources[i].range);
	return error;
}

static int add_group(const struct weir_sys *sys, uint32_t group, const char *address, struct shadows *shadows)
{
	char names[NAMES_SIZE];
	int error = weir_sysfs_group_devices(sys, group, names, sizeof(names));

	if (error)
		return weir_fail(error, "/sys/kernel/iommu_groups/%u/devices: %s", group, strerror(-error));
	/* Devices of other buses can be in a group, too. */
	for (const char *name = names; *name && !error; name += strlen(name) + 1)
		if (weir_pci_is_address(name) && strcmp(name, address) != 0)
			error = add_device(sys, name, shadows);
	return error;
}

int weir_reach_shadows(struct weir_host *host, const char *address, struct weir_iova_range *ranges,
		       size_t *num)
{
	const struct weir_sys *sys = host->kernel.sys;
	char normal[WEIR_PCI_ADDRESS_SIZE];
	struct shadows shadows = { .num = 0 };
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
	error = add_group(sys, group, normal, &shadows);
	if (error)
		return error;
	*num = shadows.num;
	if (shadows.num > room)
		return weir_fail(-ENOSPC, "the neighbours of %s answer at %zu ranges; there is room for %zu",
				 normal, shadows.num, room);
	if (shadows.num)
		memcpy(ranges, shadows.ranges, shadows.num * sizeof(*ranges));
	return 0;
}
