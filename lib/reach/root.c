// SPDX-License-Identifier: MIT
/*
 * Host bridges. That a root complex passes a request from one of its ports down another is not required of it, and nothing says
 * whether it does: the kernel goes by a list (drivers/pci/p2pdma.c of Linux 7.2), and so do we.
 */
#include "reach/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { INTEL = 0x8086, GOOGLE = 0x1ae0, ANY = -1, ZEN = 0x17 };

/* By what the kernel looks them up: the function 00.0 of the root bus, or the first root port on it. */
static const struct trusted {
	uint16_t vendor;
	int device;
	bool alone; /* with devices of its own only */
} list[] = {
	{ INTEL, 0x3c00, true }, /* Xeon E5, Core i7 */
	{ INTEL, 0x3c01, true },
	{ INTEL, 0x2f00, true }, /* Xeon E5 v3 and E7 v3 */
	{ INTEL, 0x2f01, true },
	{ INTEL, 0x2030, false }, /* Skylake-E */
	{ INTEL, 0x2031, false },
	{ INTEL, 0x2032, false },
	{ INTEL, 0x2033, false },
	{ INTEL, 0x2020, false },
	{ INTEL, 0x09a2, false },
	{ INTEL, 0x0b25, false }, /* accelerators, which have root complexes of their own: DSA, IAX, IAA */
	{ INTEL, 0x0cfe, false },
	{ INTEL, 0x11fb, false },
	{ INTEL, 0x1212, false },
	{ INTEL, 0x1216, false },
	{ INTEL, 0x4940, false }, /* QAT */
	{ INTEL, 0x4942, false },
	{ INTEL, 0x4944, false },
	{ INTEL, 0x4946, false },
	{ INTEL, 0x4948, false },
	{ GOOGLE, ANY, false },
};

/* A host bridge, as far as it could be found. */
struct bridge {
	struct weir_path_step step;
	bool found;
	const struct trusted *trusted; /* NULL: it is not on the list */
};

static const struct trusted *look_up(const struct weir_pci_config *config)
{
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i].vendor == config->vendor &&
		    (list[i].device == ANY || list[i].device == config->device))
			return &list[i];
	return NULL;
}

/* The first function on the root bus; "" when there is none. */
static int first_function(const struct weir_sys *sys, const struct weir_path *path,
			  char ret_address[WEIR_PCI_ADDRESS_SIZE])
{
	char directory[64], names[8192];
	size_t bus = strlen(path->root);
	ssize_t used;

	*ret_address = '\0';
	snprintf(directory, sizeof(directory), "/sys/bus/pci/devices/%s/..", path->steps[0].address);
	used = sys->list_dir(sys->ctx, directory, names, sizeof(names) - 1);
	if (used < 0)
		return weir_reach_explain(path->steps[0].address, "..", (int)used);
	names[used] = '\0';
	for (const char *name = names; name < names + used; name += strlen(name) + 1)
		if (!strncmp(name, path->root, bus) && name[bus] == ':' && weir_pci_is_address(name) &&
		    (!*ret_address || strcmp(name, ret_address) < 0))
			snprintf(ret_address, WEIR_PCI_ADDRESS_SIZE, "%.15s", name);
	return 0;
}

static int find_bridge(const struct weir_sys *sys, const struct weir_path *path, struct bridge *ret_bridge)
{
	struct weir_path_step *step = &ret_bridge->step;
	int error;

	memset(ret_bridge, 0, sizeof(*ret_bridge));
	snprintf(step->address, sizeof(step->address), "%.9s:00.0", path->root);
	error = weir_pci_config_read(sys, step->address, &step->config);
	if (error == -ENOENT) {
		error = first_function(sys, path, step->address);
		if (error || !*step->address)
			return error;
		error = weir_pci_config_read(sys, step->address, &step->config);
		if (step->config.kind != WEIR_PCI_ROOT_PORT || !step->config.complete)
			step->config.responds = false;
	}
	if (error)
		return weir_reach_explain(step->address, "config", error);
	ret_bridge->found = step->config.responds;
	if (ret_bridge->found)
		ret_bridge->trusted = look_up(&step->config);
	return 0;
}

/* Of one host bridge, with devices of its own or of another's. */
static uint32_t judge_bridge(const struct bridge *bridge, const char *root, bool alone,
			     char ret_reason[WEIR_ROOT_REASON_SIZE])
{
	const struct weir_pci_config *config = &bridge->step.config;

	if (!bridge->found) {
		snprintf(ret_reason, WEIR_ROOT_REASON_SIZE,
			 "nothing tells which root complex that of bus %s is", root);
		return WEIR_REACH_UNKNOWN;
	}
	if (!bridge->trusted) {
		snprintf(ret_reason, WEIR_ROOT_REASON_SIZE,
			 "host bridge %04x:%04x (%s) is not on the kernel's list", config->vendor,
			 config->device, bridge->step.address);
		return WEIR_REACH_UNKNOWN;
	}
	if (bridge->trusted->alone && !alone) {
		snprintf(ret_reason, WEIR_ROOT_REASON_SIZE,
			 "host bridge %04x:%04x (%s) reaches devices of its own only", config->vendor,
			 config->device, bridge->step.address);
		return WEIR_REACH_NOT;
	}
	snprintf(ret_reason, WEIR_ROOT_REASON_SIZE, "host bridge %04x:%04x (%s) is on the kernel's list",
		 config->vendor, config->device, bridge->step.address);
	return WEIR_REACH_THROUGH_IOMMU;
}

static int is_zen(const struct weir_sys *sys, bool *ret_zen)
{
	char vendor[16];
	unsigned int family;
	int error = weir_sysfs_cpu(sys, vendor, &family);

	*ret_zen = !error && !strcmp(vendor, "AuthenticAMD") && family >= ZEN;
	if (error && error != -ENOENT)
		return weir_fail(error, "/proc/cpuinfo: %s", strerror(-error));
	return 0;
}

static int judge_two(const struct weir_sys *sys, const struct weir_path *from, const struct weir_path *to,
		     uint32_t *ret_verdict, char ret_reason[WEIR_ROOT_REASON_SIZE])
{
	char other_reason[WEIR_ROOT_REASON_SIZE];
	struct bridge bridge;
	uint32_t other;
	int error = find_bridge(sys, from, &bridge);

	if (error)
		return error;
	*ret_verdict = judge_bridge(&bridge, from->root, false, ret_reason);
	error = find_bridge(sys, to, &bridge);
	if (error)
		return error;
	other = judge_bridge(&bridge, to->root, false, other_reason);
	/* What forbids it counts more than what is not known, and that more than what allows it. */
	if (*ret_verdict == WEIR_REACH_NOT || other == WEIR_REACH_THROUGH_IOMMU)
		return 0;
	if (*ret_verdict == WEIR_REACH_UNKNOWN && other == WEIR_REACH_UNKNOWN)
		return 0;
	*ret_verdict = other;
	memcpy(ret_reason, other_reason, WEIR_ROOT_REASON_SIZE);
	return 0;
}

int weir_root_judge(const struct weir_sys *sys, const struct weir_path *from, const struct weir_path *to,
		    uint32_t *ret_verdict, char ret_reason[WEIR_ROOT_REASON_SIZE])
{
	struct bridge bridge;
	bool zen;
	int error = is_zen(sys, &zen);

	if (error)
		return error;
	if (zen) {
		*ret_verdict = WEIR_REACH_THROUGH_IOMMU;
		snprintf(ret_reason, WEIR_ROOT_REASON_SIZE,
			 "the processor is an AMD Zen or newer, which the kernel trusts");
		return 0;
	}
	if (strcmp(from->root, to->root) != 0)
		return judge_two(sys, from, to, ret_verdict, ret_reason);
	error = find_bridge(sys, from, &bridge);
	if (error)
		return error;
	*ret_verdict = judge_bridge(&bridge, from->root, true, ret_reason);
	return 0;
}
