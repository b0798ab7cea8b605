// SPDX-License-Identifier: MIT
/* Where a device is: the ports between it and its host bridge. */
#include "reach/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int weir_reach_explain(const char *address, const char *file, int error)
{
	if (error == -ENOENT && !*file)
		return weir_fail(-ENODEV, "there is no PCI device %s", address);
	return weir_fail(error, "/sys/bus/pci/devices/%s%s%s: %s", address, *file ? "/" : "", file,
			 strerror(-error));
}

/* "pci0000:00" */
static bool is_root(const char *component)
{
	char function[WEIR_PCI_ADDRESS_SIZE];
	size_t len = strlen(component);

	if (strncmp(component, "pci", 3) != 0 || len - 3 + sizeof(":00.0") > sizeof(function))
		return false;
	snprintf(function, sizeof(function), "%.10s:00.0", component + 3);
	return weir_pci_is_address(function);
}

/*
 * A host bridge may itself be behind a device of another one, as Intel's VMD is: the last one counts, as the kernel sees it.
 */
static int add_component(struct weir_path *path, const char *component)
{
	if (is_root(component)) {
		snprintf(path->root, sizeof(path->root), "%s", component + 3);
		path->num = 0;
		return 0;
	}
	if (!*path->root)
		return 0; /* what the host bridge hangs on */
	if (!weir_pci_is_address(component))
		return -EIO;
	if (path->num == WEIR_REACH_PORTS + 1)
		return -E2BIG;
	snprintf(path->steps[path->num++].address, WEIR_PCI_ADDRESS_SIZE, "%s", component);
	return 0;
}

static int split(struct weir_path *path, char *text, const char *address)
{
	char *rest = NULL;
	int error = 0;

	for (char *part = strtok_r(text, "/", &rest); part && !error; part = strtok_r(NULL, "/", &rest))
		error = add_component(path, part);
	if (error == -E2BIG)
		return weir_fail(error, "%s lies behind more than %d ports", address, WEIR_REACH_PORTS);
	if (error || !path->num || strcmp(path->steps[path->num - 1].address, address) != 0)
		return weir_fail(
			-EIO,
			"the link /sys/bus/pci/devices/%s does not lead to a device below a host bridge",
			address);
	return 0;
}

static int read_group(const struct weir_sys *sys, const char *address, struct weir_path *path)
{
	int error = weir_sysfs_iommu_group(sys, address, &path->group);

	path->grouped = !error;
	return error && error != -ENOENT ? weir_reach_explain(address, "iommu_group", error) : 0;
}

int weir_path_read(const struct weir_sys *sys, const char *address, struct weir_path *ret_path)
{
	char text[512];
	int error = weir_sysfs_device_path(sys, address, text, sizeof(text));

	if (error)
		return weir_reach_explain(address, "", error);
	memset(ret_path, 0, sizeof(*ret_path));
	error = split(ret_path, text, address);
	for (unsigned int i = 0; i < ret_path->num && !error; i++) {
		struct weir_path_step *step = &ret_path->steps[i];

		error = weir_pci_config_read(sys, step->address, &step->config);
		if (error)
			error = weir_reach_explain(step->address, "config", error);
	}
	return error ? error : read_group(sys, address, ret_path);
}

unsigned int weir_path_shared(const struct weir_path *a, const struct weir_path *b)
{
	unsigned int shared = 0;

	if (strcmp(a->root, b->root) != 0)
		return 0;
	while (shared < a->num && shared < b->num &&
	       !strcmp(a->steps[shared].address, b->steps[shared].address))
		shared++;
	return shared;
}
