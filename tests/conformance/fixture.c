// SPDX-License-Identifier: MIT
/* The hosts that conformance runs on, and what cases start from. */
#include "kernel/iommufd_test_abi.h"
#include "conformance/fixture.h"
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

struct weir_host *host_of(struct t *t)
{
	return fixture_of(t)->host;
}

static const char *address_or_null(const char *name)
{
	char variable[64];

	snprintf(variable, sizeof(variable), "WEIR_DEVICE_%s", name);
	return getenv(variable);
}

const char *address_of(struct t *t, const char *name)
{
	const char *address = address_or_null(name);

	(void)t;
	if (!address)
		FAIL("this machine has no %s: the case should say NEEDS(%s)", name, name);
	return address;
}

static void close_ioas(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

struct weir_ioas *new_ioas_with(struct t *t, const struct weir_ioas_opts *opts)
{
	struct weir_ioas *ioas;

	ASSERT_OK(weir_ioas_open(host_of(t), opts, &ioas));
	t_defer(t, close_ioas, ioas);
	return ioas;
}

struct weir_ioas *new_ioas(struct t *t)
{
	return new_ioas_with(t, NULL);
}

static void close_device(void *device)
{
	EXPECT_OK(weir_device_close(device));
}

struct weir_device *new_device(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t address_bits)
{
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = address_bits);
	struct weir_device *device;

	ASSERT_OK(weir_device_open(ioas, address_of(t, name), &opts, &device));
	t_defer(t, close_device, device);
	return device;
}

struct memory {
	void *addr;
	size_t len;
};

static void free_memory(void *arg)
{
	struct memory *memory = arg;

	munmap(memory->addr, memory->len);
	free(memory);
}

void *new_memory(struct t *t, size_t len, unsigned char fill)
{
	return new_memory_near(t, NULL, len, fill);
}

void *new_memory_near(struct t *t, void *hint, size_t len, unsigned char fill)
{
	struct memory *memory = malloc(sizeof(*memory));

	ASSERT_TRUE(memory != NULL);
	memory->len = len;
	memory->addr = mmap(hint, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(memory->addr != MAP_FAILED);
	t_defer(t, free_memory, memory);
	memset(memory->addr, fill, len);
	return memory->addr;
}

static void close_file(void *fd)
{
	close((int)(intptr_t)fd);
}

int keep_file(struct t *t, int fd)
{
	ASSERT_TRUE(fd >= 0);
	t_defer(t, close_file, (void *)(intptr_t)fd);
	return fd;
}

int reopened(struct t *t, int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return keep_file(t, open(path, flags | O_CLOEXEC));
}

int new_file(struct t *t, uint64_t len)
{
	int fd = keep_file(t, memfd_create("weir-conformance", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	ASSERT_EQ(ftruncate(fd, (off_t)len), 0);
	return fd;
}

struct weir_map *new_map(struct t *t, struct weir_ioas *ioas, void *addr, size_t len,
			 const struct weir_map_opts *opts)
{
	struct weir_map *map;

	(void)t;
	ASSERT_OK(weir_ioas_map(ioas, addr, len, opts, &map));
	return map;
}

uint64_t pinned_bytes(void)
{
	char *status = os_read_file("/proc/self/status"), *rest = status, *line;
	unsigned long long kilobytes, sum = 0;

	while ((line = strsep(&rest, "\n")))
		if (sscanf(line, "VmPin: %llu", &kilobytes) == 1 ||
		    sscanf(line, "VmLck: %llu", &kilobytes) == 1)
			sum += kilobytes * 1024;
	free(status);
	return sum;
}

/* The record ------------------------------------------------------------------------------------------------------ */

/*
 * How often registers are read, and a wait looks, is a matter of time. Which drivers a group's members have is asked in the order of
 * the directory, and of bridges too, which are not simulated.
 */
static bool is_recorded(const struct sys_log_entry *entry)
{
	static const char *const left_out[] = { "pread", "pwrite", "read", "poll", "sleep" };
	const char *name = strrchr(entry->path, '/');

	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (!strcmp(left_out[i], entry->call))
			return false;
	return !name || strcmp(name, "/driver") != 0;
}

/* The numbers of groups and of character devices are the machine's affair. */
static const char *without_number(const char *path)
{
	static const char *const numbered[] = { "/dev/vfio/devices/vfio", "/dev/vfio/",
						"/sys/kernel/iommu_groups/" };
	static char text[128];

	for (size_t i = 0; i < sizeof(numbered) / sizeof(numbered[0]); i++) {
		size_t len = strlen(numbered[i]),
		       digits = strspn(path + (strlen(path) < len ? 0 : len), "0123456789");

		if (strncmp(path, numbered[i], len) != 0 || !digits)
			continue;
		snprintf(text, sizeof(text), "%sN%s", numbered[i], path + len + digits);
		return text;
	}
	return path;
}

static void record_call(const struct sys_log_entry *entry)
{
	char request[16] = "";

	if (!is_recorded(entry))
		return;
	if (!strcmp(entry->call, "ioctl"))
		snprintf(request, sizeof(request), "%#lx", entry->request & 0xffff);
	t_record("\t%s %s%s: %s", entry->call, without_number(entry->path), request,
		 entry->result > 0   ? "positive"
		 : entry->result < 0 ? strerrorname_np((int)-entry->result)
				     : "0");
}

void record_no_calls(struct t *t)
{
	fixture_of(t)->recorder.told = NULL;
}

/* Hosts ----------------------------------------------------------------------------------------------------------- */

#define SIMULATED "sim-"

static void end_os(void *arg)
{
	(void)arg;
	/* Nothing is pinned when all is closed; what the hooks look at afterwards is the real system. */
	if (pinned_bytes() != 0)
		FAIL("%llu bytes are still pinned", (unsigned long long)pinned_bytes());
	os_end();
}

/* The kind of host that a name means, after "sim-" if that is in front. */
static enum weir_backend begin_os(struct t *t)
{
	const char *name = t->host->name;

	if (!strncmp(name, SIMULATED, strlen(SIMULATED))) {
		os_begin(sim_machine_open(t));
		t_defer(t, end_os, NULL);
		name += strlen(SIMULATED);
	}
	for (unsigned int kind = WEIR_BACKEND_IOMMUFD; kind <= WEIR_BACKEND_COMPAT; kind++)
		if (!strcmp(name, weir_backend_name(kind)))
			return kind;
	return WEIR_BACKEND_AUTO;
}

static void open_host(struct t *t)
{
	static struct fixture fixture;
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .sys = &fixture.log.table);

	fixture.backend = begin_os(t);
	opts.backend = fixture.backend;
	sys_log_init(&fixture.recorder, os_sys());
	sys_log_init(&fixture.log, &fixture.recorder.table);
	fixture.recorder.told = record_call;
	t->fixture = &fixture;
	ASSERT_OK(weir_host_open(&opts, &fixture.host));
}

static void close_host(struct t *t)
{
	ASSERT_OK(weir_host_close(host_of(t)));
}

/* Open a device to see whether that works, and what it can. The result of opening, or of asking for @cap if that is given. */
static int try_opening(struct t *t, const char *name, const enum weir_cap *cap)
{
	struct weir_device *device;
	struct weir_ioas *ioas;
	int result;

	if (!address_or_null(name))
		return -ENODEV;
	if (weir_ioas_open(host_of(t), NULL, &ioas))
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
			return fixture_of(t)->backend == interfaces[i].backend;
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

static bool can_have(struct t *t, const char *capability)
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
		return try_device(t) == 0 && !strncmp(address_of(t, "NVME0"), "0000:00:", 8);
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
	if (!strcmp(capability, "DOMAIN"))
		return try_device(t) == 0 && device_can(t, "EDU0", WEIR_CAP_DOMAIN);
	if (!strcmp(capability, "NEST"))
		return try_device(t) == 0 && device_can(t, "EDU0", WEIR_CAP_NEST);
	if (!strcmp(capability, "NO_NEST"))
		return try_device(t) == 0 && !device_can(t, "EDU0", WEIR_CAP_NEST);
	if (!strcmp(capability, "PASID"))
		return try_device(t) == 0 && device_can(t, "EDU1", WEIR_CAP_PASID);
	if (!strcmp(capability, "EXACT_UNMAP"))
		return device_can(t, "EDU0", WEIR_CAP_EXACT_UNMAP);
	return address_or_null(capability) && try_device(t) == 0;
}

/* What is tried to find that out is not the case's doing. */
static bool has(struct t *t, const char *capability)
{
	bool can;

	record_no_calls(t);
	can = can_have(t, capability);
	fixture_of(t)->recorder.told = record_call;
	return can;
}

static uint64_t pinned_before;

static void before_case(struct t *t)
{
	(void)t;
	pinned_before = pinned_bytes();
}

static void after_case(struct t *t)
{
	(void)t;
	EXPECT_EQ(pinned_bytes(), pinned_before);
}

#define HOST(name_)                                                                                          \
	{                                                                                                    \
		.name = name_, .open = open_host, .close = close_host, .has = has                            \
	}
static const struct t_host hosts[] = {
	HOST("iommufd"),     HOST("type1"),     HOST("compat"),     HOST("auto"),
	HOST("sim-iommufd"), HOST("sim-type1"), HOST("sim-compat"), HOST("sim-auto"),
};

__attribute__((constructor)) static void register_hosts(void)
{
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		t_register_host(&hosts[i]);
	t_set_error_detail(weir_error);
	t_before_case(before_case);
	t_after_case(after_case);
}
