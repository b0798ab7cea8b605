// SPDX-License-Identifier: MIT
/* What a host can: found out by trying, with devices of the machine. */
#include "conformance/capabilities.h"
#include "kernel/iommufd_test_abi.h"
#include "conformance/faults.h"
#include "conformance/machine.h"
#include "conformance/os.h"
#include "conformance/raw/nested.h"
#include "conformance/sim_machine.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Open a device to see whether that works, and what it can. The result of opening, or of asking for @cap if that is given. */
static int try_opening(struct t *t, const char *name, const enum weir_cap *cap)
{
	struct weir_device *device;
	struct weir_ioas *ioas;
	int result;

	if (!address_or_null(name))
		return -ENODEV;
	if (open_space(t, NULL, &ioas))
		FAIL("weir_ioas_open: %s", weir_error());
	result = weir_device_open(ioas, address_or_null(name), NULL, &device);
	if (!result) {
		result = cap ? weir_caps_check(device, *cap) : 0;
		weir_device_close(device);
	}
	if (weir_ioas_close(ioas))
		FAIL("weir_ioas_close: %s", weir_error());
	return result;
}

static bool device_can(struct t *t, const char *name, enum weir_cap cap)
{
	return try_opening(t, name, &cap) == 0;
}

static bool share_a_group(const char *one, const char *other)
{
	const char *address[2] = { address_or_null(one), address_or_null(other) };

	return address[0] && address[1] && group_of(address[0]) == group_of(address[1]);
}

/* Whether EDU0 can be opened at all; -EPERM on a machine that does not isolate interrupts. Stays as it is on a host. */
static int try_device(struct t *t)
{
	static const struct t_host *host;
	static int result;

	if (host != t->host)
		result = try_opening(t, "EDU0", NULL);
	host = t->host;
	return result;
}

static bool has_iommu(void)
{
	return address_or_null("EDU0") && group_of(address_or_null("EDU0")) >= 0;
}

/* Whether a case about one interface, by its name, is to run: on the host of that name, and not on auto. 1, 0, or -1 as below. */
static int interface_is(struct t *t, const char *capability)
{
	static const struct {
		const char *name;
		enum weir_backend backend;
	} interfaces[] = { { "IOMMUFD", WEIR_BACKEND_IOMMUFD },
			   { "TYPE1", WEIR_BACKEND_TYPE1 },
			   { "COMPAT", WEIR_BACKEND_COMPAT } };

	for (size_t i = 0; i < sizeof(interfaces) / sizeof(interfaces[0]); i++)
		if (!strcmp(capability, interfaces[i].name))
			return fixture_of(t)->backend == interfaces[i].backend &&
			       fixture_of(t)->nested == WEIR_NESTED_AUTO;
	return -1;
}

/* A kernel with mock devices knows their command, whatever else it says of an empty one. */
static bool has_mock(void)
{
	uint32_t cmd[18] = { sizeof(cmd) };
	int fd = os_open("/dev/iommu", O_RDWR), error;

	if (fd < 0)
		return false;
	error = os_sys()->ioctl(os_sys()->ctx, fd, ABI_IOMMU_TEST_CMD, cmd);
	os_sys()->close(os_sys()->ctx, fd);
	return error != -ENOTTY;
}

static uint32_t iommu_kind(struct t *t)
{
	struct weir_iommu_info info = { .kind = WEIR_IOMMU_UNKNOWN };
	struct weir_device *device;
	struct weir_ioas *ioas;

	if (!address_or_null("EDU0") || open_space(t, NULL, &ioas))
		return info.kind;
	if (!weir_device_open(ioas, address_or_null("EDU0"), NULL, &device)) {
		weir_device_iommu_info(device, &info, sizeof(info));
		weir_device_close(device);
	}
	weir_ioas_close(ioas);
	return info.kind;
}

/* Simulated machines are x86 but for those with Arm's IOMMU. */
static bool has_x86_window(void)
{
#ifdef __x86_64__
	bool real = true;
#else
	bool real = false;
#endif

	return os_sim() ? !sim_machine_is_arm(os_sim()) : real;
}

/* What the machine is, apart from its devices: 1 or 0, or -1 when @capability is none of that. */
static int machine_has(struct t *t, const char *capability)
{
	if (!strcmp(capability, "NVME_DRIVER"))
		return os_exists("/sys/bus/pci/drivers/nvme");
	if (!strcmp(capability, "REAL_SYSTEM"))
		return !os_sim();
	if (!strcmp(capability, "READ_ONLY"))
		return fixture_of(t)->nested != WEIR_NESTED_HARDWARE || iommu_kind(t) != WEIR_IOMMU_VTD;
	if (!strcmp(capability, "ORDINARY"))
		return fixture_of(t)->nested == WEIR_NESTED_AUTO;
	if (!strcmp(capability, "VTD"))
		return os_sim() ? !sim_machine_nests(os_sim()) : os_exists("/sys/class/iommu/dmar0");
	if (!strcmp(capability, "X86_WINDOW"))
		return has_x86_window();
	if (!strcmp(capability, "NESTING"))
		return nesting_of(t) != 0;
	if (!strcmp(capability, "NESTED_VTD"))
		return nesting_of(t) == ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD;
	if (!strcmp(capability, "NESTED_SMMUV3"))
		return nesting_of(t) == ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	if (!strcmp(capability, "SMMUV3"))
		return has_smmuv3();
	if (!strcmp(capability, "MOCK"))
		return has_mock();
	if (!strcmp(capability, "NO_IOMMUFD"))
		return !os_exists("/dev/iommu");
	if (!strcmp(capability, "NO_IOMMU"))
		return !has_iommu();
	if (!strcmp(capability, "UNISOLATED_INTERRUPTS"))
		return has_iommu() && try_device(t) == -EPERM;
	return -1;
}

static bool may_lock_much(void)
{
	const rlim_t much = 512 << 20;
	struct rlimit limit;

	return geteuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= much);
}

/* CAP_SYS_RESOURCE, which root in a container may lack. */
static bool may_set_limits(void)
{
	return effective_capabilities() >> CAP_SYS_RESOURCE & 1;
}

/* A host that keeps a journal can be handed over, on ordinary spaces. */
static bool hands_over(struct t *t)
{
	const struct weir_host_opts opts = { .size = sizeof(opts),
					     .sys = sys_of(t),
					     .backend = fixture_of(t)->backend,
					     .flags = WEIR_HOST_JOURNAL };
	struct weir_host *host;
	bool can;

	if (fixture_of(t)->nested != WEIR_NESTED_AUTO || weir_host_open(&opts, &host))
		return false;
	can = !weir_handover_check(host, NULL, NULL);
	weir_host_close(host);
	return can;
}

/* Of devices in ordinary spaces: nested ones have the domains that they take. */
static bool can_nest(struct t *t, const char *capability)
{
	if (try_device(t))
		return false;
	if (!strcmp(capability, "DOMAIN"))
		return device_can(t, "EDU0", WEIR_CAP_DOMAIN);
	if (!strcmp(capability, "FAULTS"))
		return device_can(t, "EDU0", WEIR_CAP_FAULT);
	if (!strcmp(capability, "PASID"))
		return device_can(t, "EDU1", WEIR_CAP_PASID);
	return device_can(t, "EDU0", WEIR_CAP_NEST) == !strcmp(capability, "NEST");
}

bool can_have(struct t *t, const char *capability)
{
	int is = interface_is(t, capability);

	if (is < 0)
		is = machine_has(t, capability);
	if (is >= 0)
		return is;
	if (!strcmp(capability, "DMA_DEVICE"))
		return try_device(t) == 0;
	if (!strcmp(capability, "EDU_PAIR"))
		return try_device(t) == 0 && share_a_group("EDU0", "EDU1");
	if (!strcmp(capability, "NVME_PAIR"))
		return try_device(t) == 0 && share_a_group("NVME0", "NVME1");
	if (!strcmp(capability, "ON_ROOT_BUS"))
		return address_or_null("NVME0") && try_device(t) == 0 &&
		       !strncmp(address_of(t, "NVME0"), "0000:00:", 8);
	if (!strcmp(capability, "ROOT"))
		return geteuid() == 0;
	if (!strcmp(capability, "SYS_RESOURCE"))
		return may_set_limits();
	if (!strcmp(capability, "LOCKED_MEMORY"))
		return may_lock_much();
	if (!strcmp(capability, "KERNEL_LOG"))
		return log_readable() && faults_counted(); /* an IOMMU that reports neither logs none */
	if (!strcmp(capability, "FAULT_COUNT"))
		return faults_counted();
	if (!strcmp(capability, "MAP_LIMIT"))
		return address_or_null("EDU0") && !device_can(t, "EDU0", WEIR_CAP_MANY_MAPS);
	if (!strcmp(capability, "HANDOVER"))
		return hands_over(t);
	if (!strcmp(capability, "MOVE"))
		return device_can(t, "EDU0", WEIR_CAP_MOVE) || device_can(t, "NVME0", WEIR_CAP_MOVE);
	if (!strcmp(capability, "RESET"))
		return device_can(t, "NVME0", WEIR_CAP_RESET);
	if (!strcmp(capability, "PEER"))
		return address_or_null("NVME1") && device_can(t, "NVME1", WEIR_CAP_PEER);
	if (!strcmp(capability, "HOT_RESET"))
		return device_can(t, "NVME0", WEIR_CAP_HOT_RESET);
	if (!strcmp(capability, "MANY_MAPS"))
		return device_can(t, "EDU0", WEIR_CAP_MANY_MAPS);
	if (!strcmp(capability, "DOMAIN") || !strcmp(capability, "NEST") || !strcmp(capability, "NO_NEST") ||
	    !strcmp(capability, "PASID") || !strcmp(capability, "FAULTS"))
		return fixture_of(t)->nested == WEIR_NESTED_AUTO && can_nest(t, capability);
	if (!strcmp(capability, "DIRTY") || !strcmp(capability, "DIRTY_PAGES"))
		return device_can(t, "EDU0", capability[5] ? WEIR_CAP_DIRTY_PAGES : WEIR_CAP_DIRTY);
	if (!strcmp(capability, "NO_DIRTY") || !strcmp(capability, "NO_DIRTY_PAGES"))
		return fixture_of(t)->nested == WEIR_NESTED_AUTO && try_device(t) == 0 &&
		       !device_can(t, "EDU0", capability[8] ? WEIR_CAP_DIRTY_PAGES : WEIR_CAP_DIRTY);
	if (!strcmp(capability, "MIGRATION"))
		return device_can(t, "EDU0", WEIR_CAP_MIGRATION);
	if (!strcmp(capability, "EXACT_UNMAP"))
		return device_can(t, "EDU0", WEIR_CAP_EXACT_UNMAP);
	return address_or_null(capability) && try_device(t) == 0;
}
