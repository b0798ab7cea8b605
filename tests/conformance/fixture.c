// SPDX-License-Identifier: MIT
/* The hosts that conformance runs on, and what cases start from. */
#include "conformance/fixture.h"
#include "conformance/capabilities.h"
#include "conformance/machine.h"
#include "conformance/os.h"
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

const char *address_or_null(const char *name)
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

/* A nested one has no use for being asked beforehand what memory is. */
int open_space(struct t *t, const struct weir_ioas_opts *opts, struct weir_ioas **ret_ioas)
{
	const struct fixture *fixture = fixture_of(t);
	struct weir_nested_space_opts nested = WEIR_OPTS(weir_nested_space_opts, .mode = fixture->nested);

	if (fixture->nested == WEIR_NESTED_AUTO)
		return weir_ioas_open(fixture->host, opts, ret_ioas);
	if (opts) {
		nested.ioas_flags = opts->flags & ~WEIR_IOAS_PROBE;
		nested.address_bits = opts->address_bits;
	}
	return weir_nested_space_open(fixture->host, &nested, ret_ioas);
}

struct weir_ioas *new_ioas_with(struct t *t, const struct weir_ioas_opts *opts)
{
	struct weir_ioas *ioas;

	ASSERT_OK(open_space(t, opts, &ioas));
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
 * How often registers are read, and a wait looks, is a matter of time. Which drivers a group's members have, and where
 * their memory is, is asked in the order of the directory, and of bridges too, which are not simulated.
 */
static bool is_recorded(const struct sys_log_entry *entry)
{
	static const char *const left_out[] = { "pread", "pwrite", "read", "poll", "sleep" };
	const char *name = strrchr(entry->path, '/');

	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (!strcmp(left_out[i], entry->call))
			return false;
	return !name || (strcmp(name, "/driver") != 0 && strcmp(name, "/resource") != 0);
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

static void end_os(void *arg)
{
	(void)arg;
	/* Nothing is pinned when all is closed; what the hooks look at afterwards is the real system. */
	if (pinned_bytes() != 0)
		FAIL("%llu bytes are still pinned", (unsigned long long)pinned_bytes());
	os_end();
}

static bool take_off(const char **name, const char *prefix)
{
	size_t len = strlen(prefix);
	bool has = strncmp(*name, prefix, len) == 0;

	*name += has ? len : 0;
	return has;
}

/* The kind of host that a name means, after what may be in front of it. */
static enum weir_backend begin_os(struct t *t, enum weir_nested_mode *ret_nested)
{
	const char *name = t->host->name;

	if (take_off(&name, "sim-")) {
		os_begin(sim_machine_open(t));
		t_defer(t, end_os, NULL);
	}
	*ret_nested = take_off(&name, "nested-")   ? WEIR_NESTED_HARDWARE
		      : take_off(&name, "shadow-") ? WEIR_NESTED_SHADOW
						   : WEIR_NESTED_AUTO;
	for (unsigned int kind = WEIR_BACKEND_IOMMUFD; kind <= WEIR_BACKEND_COMPAT; kind++)
		if (!strcmp(name, weir_backend_name(kind)))
			return kind;
	return WEIR_BACKEND_AUTO;
}

static void open_host(struct t *t)
{
	static struct fixture fixture;
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .sys = &fixture.log.table);

	fixture.backend = begin_os(t, &fixture.nested);
	opts.backend = fixture.backend;
	/* All cases can be run with a journal, too. */
	if (getenv("WEIR_TEST_JOURNAL"))
		opts.flags = WEIR_HOST_JOURNAL;
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
	HOST("iommufd"),
	HOST("type1"),
	HOST("compat"),
	HOST("auto"),
	HOST("sim-iommufd"),
	HOST("sim-type1"),
	HOST("sim-compat"),
	HOST("sim-auto"),
	HOST("nested-iommufd"),
	HOST("shadow-iommufd"),
	HOST("shadow-type1"),
	HOST("sim-nested-iommufd"),
	HOST("sim-shadow-iommufd"),
	HOST("sim-shadow-type1"),
};

__attribute__((constructor)) static void register_hosts(void)
{
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		t_register_host(&hosts[i]);
	t_set_error_detail(weir_error);
	t_before_case(before_case);
	t_after_case(after_case);
}
