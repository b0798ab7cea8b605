// SPDX-License-Identifier: MIT
/* Reachability on machines that are made of files, and on such as there cannot be. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/reach.h>

#include "host/host.h"
#include "shim/test.h"
#include "support/fake_sys.h"

enum {
	CONFIG = 4096,
	TEXTS = 128,
	TYPE_ENDPOINT = 0,
	TYPE_ROOT = 4,
	TYPE_UP = 5,
	TYPE_DOWN = 6,
	TYPE_PCI = 7
};
enum { NONE = -1, OFF = 0, RR = 1 << 2, ON = 0x1d };

#define MEMORY  "0x00000000f0000000 0x00000000f0003fff 0x0000000000040200\n"
#define NOTHING "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"

struct machine {
	struct fake_sys *fake;
	struct weir_host host;
	void *texts[TEXTS];
	unsigned int num_texts;
};

static void *keep(struct machine *machine, void *text)
{
	ASSERT_TRUE(text && machine->num_texts < TEXTS);
	return machine->texts[machine->num_texts++] = text;
}

static void end(void *arg)
{
	struct machine *machine = arg;

	for (unsigned int i = 0; i < machine->num_texts; i++)
		free(machine->texts[i]);
	free(machine);
}

__attribute__((format(printf, 2, 3))) static char *text(struct machine *machine, const char *format, ...)
{
	va_list args;
	char *made = NULL;

	va_start(args, format);
	if (vasprintf(&made, format, args) < 0)
		made = NULL;
	va_end(args);
	return keep(machine, made);
}

#define OF(machine, address, file) text((machine), "/sys/bus/pci/devices/%s%s", (address), (file))

/* A function's configuration space; @acs: NONE, or what the control register has. */
static unsigned char *config(struct machine *machine, const char *address, uint32_t id, int type, int acs)
{
	unsigned char *bytes = keep(machine, calloc(1, CONFIG));

	bytes[0] = (unsigned char)(id >> 16);
	bytes[1] = (unsigned char)(id >> 24);
	bytes[2] = (unsigned char)id;
	bytes[3] = (unsigned char)(id >> 8);
	bytes[6] = 1 << 4;
	bytes[0x0e] = type >= TYPE_ROOT;
	bytes[0x34] = 0x40;
	bytes[0x40] = 0x01; /* power management first */
	bytes[0x41] = 0x48;
	bytes[0x48] = 0x10;
	bytes[0x4a] = (unsigned char)(2 | type << 4);
	bytes[0x100] = 0x01; /* error reporting first */
	bytes[0x102] = 0x02;
	if (acs != NONE) {
		bytes[0x103] = 0x15; /* the next is at 0x150 */
		bytes[0x150] = 0x0d;
		bytes[0x152] = 0x01;
		bytes[0x154] = 0x1f;
		bytes[0x156] = (unsigned char)acs;
	}
	fake_name(machine->fake, OF(machine, address, "/config"), (char *)bytes, CONFIG);
	return bytes;
}

static void device(struct machine *machine, const char *path, int group)
{
	const char *address = strrchr(path, '/') + 1;

	fake_file(machine->fake, OF(machine, address, ""), text(machine, "../../../devices/%s", path));
	fake_file(machine->fake, OF(machine, address, "/resource"), NOTHING MEMORY);
	config(machine, address, 0x10101010, TYPE_ENDPOINT, NONE);
	if (group)
		fake_file(machine->fake, OF(machine, address, "/iommu_group"),
			  text(machine, "../../kernel/iommu_groups/%d", group));
}

static struct machine *a_machine(struct t *t)
{
	struct machine *machine = calloc(1, sizeof(*machine));

	ASSERT_TRUE(machine != NULL);
	t_defer(t, end, machine);
	machine->fake = fake_sys_new(t);
	machine->host.kernel.sys = &machine->fake->table;
	fake_file(machine->fake, "/proc/cpuinfo",
		  "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n");
	config(machine, "0000:00:00.0", 0x80862020, 9, NONE);
	return machine;
}

#define PORT  "pci0000:00/0000:00:02.0"
#define DOWN0 PORT "/0000:01:00.0/0000:02:00.0"
#define DOWN1 PORT "/0000:01:00.0/0000:02:01.0"
#define A     "0000:03:00.0"
#define B     "0000:04:00.0"

/* A below one downstream port of a switch and B below the other, with their groups and what ACS control the ports have. */
static struct machine *a_switch(struct t *t, int group_a, int group_b, int acs_a, int acs_b)
{
	struct machine *machine = a_machine(t);

	config(machine, "0000:00:02.0", 0x1b36000c, TYPE_ROOT, ON);
	config(machine, "0000:01:00.0", 0x104c8232, TYPE_UP, NONE);
	config(machine, "0000:02:00.0", 0x104c8233, TYPE_DOWN, acs_a);
	config(machine, "0000:02:01.0", 0x104c8233, TYPE_DOWN, acs_b);
	device(machine, DOWN0 "/" A, group_a);
	device(machine, DOWN1 "/" B, group_b);
	return machine;
}

static struct weir_reach ask(struct t *t, struct machine *machine, const char *from, const char *to)
{
	struct weir_reach reach;

	ASSERT_OK(weir_reach_ask(&machine->host, from, to, &reach, sizeof(reach)));
	t_note(t, "%s", reach.reason);
	return reach;
}

static struct weir_reach ask_ab(struct t *t, struct machine *machine)
{
	return ask(t, machine, A, B);
}

/* Switches --------------------------------------------------------------------------------------------------------- */

UNIT(reach, the_port_where_a_request_enters_decides)
{
	struct machine *machine = a_switch(t, 1, 1, OFF, ON);
	struct weir_reach reach = ask_ab(t, machine);

	EXPECT_EQ(reach.verdict, WEIR_REACH_DIRECT);
	EXPECT_EQ(reach.by_root, WEIR_REACH_THROUGH_IOMMU);
	EXPECT_EQ(reach.flags, WEIR_REACH_BESIDE_IOMMU | WEIR_REACH_SAME_GROUP);
	EXPECT_STREQ(reach.upstream, "0000:01:00.0");
	EXPECT_TRUE(reach.ports[0].has_acs);
	EXPECT_EQ(reach.ports[0].acs, 0);
	EXPECT_EQ(reach.ports[3].acs,
		  WEIR_ACS_REQUEST_REDIRECT | WEIR_ACS_COMPLETION_REDIRECT | WEIR_ACS_UPSTREAM_FORWARDING);
	reach = ask(t, machine, B, A);
	EXPECT_EQ(reach.verdict, WEIR_REACH_THROUGH_IOMMU);
	EXPECT_EQ(reach.flags, WEIR_REACH_SAME_GROUP);
	EXPECT_CONTAINS(reach.reason, "0000:02:01.0 redirects");
}

UNIT(reach, redirect_that_cannot_be_switched_is_on)
{
	struct machine *machine = a_switch(t, 1, 1, OFF, OFF);
	unsigned char *port = config(machine, "0000:02:00.0", 0x104c8233, TYPE_DOWN, OFF);

	port[0x154] = 0x1f & ~RR;
	EXPECT_EQ(ask_ab(t, machine).verdict, WEIR_REACH_THROUGH_IOMMU);
}

UNIT(reach, what_the_kernel_keeps_apart_needs_no_register)
{
	struct machine *machine = a_switch(t, 1, 2, NONE, NONE);
	struct weir_reach reach = ask_ab(t, machine);

	EXPECT_EQ(reach.verdict, WEIR_REACH_THROUGH_IOMMU);
	EXPECT_EQ(reach.flags, 0);
}

UNIT(reach, without_an_iommu_nothing_goes_through_it)
{
	struct weir_reach reach = ask_ab(t, a_switch(t, 0, 0, ON, ON));

	EXPECT_EQ(reach.verdict, WEIR_REACH_UNKNOWN);
	EXPECT_CONTAINS(reach.reason, "no IOMMU");
}

UNIT(reach, a_header_alone_leaves_it_unknown)
{
	struct machine *machine = a_switch(t, 1, 1, ON, ON);
	struct weir_reach reach;

	for (unsigned int i = 0; i < machine->fake->num_names; i++)
		if (machine->fake->names[i].len == CONFIG)
			machine->fake->names[i].len = 64;
	reach = ask_ab(t, machine);
	EXPECT_EQ(reach.verdict, WEIR_REACH_UNKNOWN);
	EXPECT_EQ(reach.by_root, WEIR_REACH_THROUGH_IOMMU);
	EXPECT_EQ(reach.flags, WEIR_REACH_ACS_UNKNOWN | WEIR_REACH_SAME_GROUP);
	EXPECT_STREQ(reach.upstream, "0000:01:00.0");
	EXPECT_CONTAINS(reach.reason, "CAP_SYS_ADMIN");
}

/* Other places to meet --------------------------------------------------------------------------------------------- */

UNIT(reach, functions_of_one_device_are_parted_by_their_own_acs)
{
	struct machine *machine = a_machine(t);

	config(machine, "0000:00:02.0", 0x1b36000c, TYPE_ROOT, ON);
	device(machine, PORT "/0000:01:00.0", 1);
	device(machine, PORT "/0000:01:00.1", 1);
	EXPECT_EQ(ask(t, machine, "0000:01:00.0", "0000:01:00.1").flags,
		  WEIR_REACH_BESIDE_IOMMU | WEIR_REACH_SAME_GROUP);
	config(machine, "0000:01:00.0", 0x10101010, TYPE_ENDPOINT, RR);
	EXPECT_EQ(ask(t, machine, "0000:01:00.0", "0000:01:00.1").verdict, WEIR_REACH_THROUGH_IOMMU);
	EXPECT_EQ(ask(t, machine, "0000:01:00.1", "0000:01:00.0").verdict, WEIR_REACH_DIRECT);
	/* On the root bus, the slot tells which functions are one device. */
	device(machine, "pci0000:00/0000:00:1f.2", 3);
	device(machine, "pci0000:00/0000:00:1f.3", 3);
	device(machine, "pci0000:00/0000:00:1e.3", 3);
	EXPECT_EQ(ask(t, machine, "0000:00:1f.2", "0000:00:1f.3").verdict, WEIR_REACH_DIRECT);
	EXPECT_EQ(ask(t, machine, "0000:00:1f.2", "0000:00:1e.3").verdict, WEIR_REACH_THROUGH_IOMMU);
}

UNIT(reach, no_acs_helps_on_a_pci_bus)
{
	struct machine *machine = a_machine(t);

	config(machine, "0000:00:02.0", 0x1b36000e, TYPE_PCI, ON);
	device(machine, PORT "/0000:01:00.0", 1);
	device(machine, PORT "/0000:01:01.0", 1);
	config(machine, "0000:01:00.0", 0x10101010, TYPE_ENDPOINT, ON);
	EXPECT_EQ(ask(t, machine, "0000:01:00.0", "0000:01:01.0").verdict, WEIR_REACH_DIRECT);
	config(machine, "0000:00:02.0", 0x1b36000e, TYPE_PCI, NONE)[6] = 0; /* not even PCI Express */
	EXPECT_EQ(ask(t, machine, "0000:01:00.0", "0000:01:01.0").flags,
		  WEIR_REACH_BESIDE_IOMMU | WEIR_REACH_SAME_GROUP);
}

UNIT(reach, a_bridge_and_what_is_behind_it_are_no_peers)
{
	struct machine *machine = a_switch(t, 1, 1, ON, ON);

	fake_file(machine->fake, "/sys/bus/pci/devices/0000:01:00.0",
		  "../../../devices/" PORT "/0000:01:00.0");
	fake_file(machine->fake, "/sys/bus/pci/devices/0000:01:00.0/resource", MEMORY);
	EXPECT_EQ(ask(t, machine, A, "0000:01:00.0").verdict, WEIR_REACH_NOT);
	EXPECT_EQ(ask(t, machine, "0000:01:00.0", A).verdict, WEIR_REACH_NOT);
	EXPECT_EQ(ask(t, machine, A, A).verdict, WEIR_REACH_NOT);
}

UNIT(reach, only_memory_that_has_an_address_can_be_reached)
{
	static const struct {
		const char *text;
		enum weir_reach_verdict verdict;
	} rows[] = {
		{ MEMORY, WEIR_REACH_THROUGH_IOMMU },
		{ "", WEIR_REACH_NOT },
		{ "garbage\n" MEMORY, WEIR_REACH_NOT },
		{ "0x1000 0x1fff", WEIR_REACH_NOT },
		{ "0x1000 0x1fff 0x100\n", WEIR_REACH_NOT },
		{ "0x0 0x3fff 0x20000200\n", WEIR_REACH_NOT },
		{ "0x2000 0x1fff 0x200\n", WEIR_REACH_NOT },
		{ "0x1000 0x1fff 0x200", WEIR_REACH_THROUGH_IOMMU },
		{ NOTHING NOTHING NOTHING NOTHING NOTHING MEMORY, WEIR_REACH_THROUGH_IOMMU },
		{ NOTHING NOTHING NOTHING NOTHING NOTHING NOTHING MEMORY, WEIR_REACH_NOT }, /* its ROM */
	};
	struct machine *machine = a_switch(t, 1, 2, ON, ON);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		fake_file(machine->fake, "/sys/bus/pci/devices/" B "/resource", rows[i].text);
		EXPECT_EQ(ask_ab(t, machine).verdict, rows[i].verdict);
	}
}

/* Host bridges ----------------------------------------------------------------------------------------------------- */

UNIT(reach, the_kernels_list_of_host_bridges_decides)
{
	static const struct {
		uint32_t id;
		enum weir_reach_verdict same, other;
	} rows[] = {
		{ 0x80862020, WEIR_REACH_THROUGH_IOMMU, WEIR_REACH_THROUGH_IOMMU },
		{ 0x80862f00, WEIR_REACH_THROUGH_IOMMU, WEIR_REACH_NOT },
		{ 0x808629c0, WEIR_REACH_UNKNOWN, WEIR_REACH_UNKNOWN },
		{ 0x1ae01234, WEIR_REACH_THROUGH_IOMMU, WEIR_REACH_THROUGH_IOMMU },
		{ 0x1ae12020, WEIR_REACH_UNKNOWN, WEIR_REACH_UNKNOWN },
		{ 0xffffffff, WEIR_REACH_UNKNOWN, WEIR_REACH_UNKNOWN },
	};
	struct machine *machine = a_machine(t);

	device(machine, "pci0000:00/0000:00:04.0", 1);
	device(machine, "pci0000:00/0000:00:05.0", 2);
	config(machine, "0000:80:00.0", 0x80862020, 9, NONE);
	device(machine, "pci0000:80/0000:80:04.0", 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		config(machine, "0000:00:00.0", rows[i].id, 9, NONE);
		EXPECT_EQ(ask(t, machine, "0000:00:04.0", "0000:00:05.0").verdict, rows[i].same);
		EXPECT_EQ(ask(t, machine, "0000:00:04.0", "0000:80:04.0").verdict, rows[i].other);
		EXPECT_EQ(ask(t, machine, "0000:80:04.0", "0000:00:04.0").verdict, rows[i].other);
	}
}

UNIT(reach, the_first_root_port_stands_in_for_a_host_bridge)
{
	struct machine *machine = a_machine(t);

	config(machine, "0000:10:04.0", 0x80862030, TYPE_ROOT, NONE);
	device(machine, "pci0000:10/0000:10:05.0", 1);
	device(machine, "pci0000:10/0000:10:06.0", 2);
	fake_dir(machine->fake, "/sys/bus/pci/devices/0000:10:05.0/..",
		 "power\0"
		 "0000:10:06.0\0"
		 "0000:10:04.0\0"
		 "0000:10:05.0\0"
		 "0000:00:01.0\0"
		 "0000:10:zz.0");
	EXPECT_EQ(ask(t, machine, "0000:10:05.0", "0000:10:06.0").verdict, WEIR_REACH_THROUGH_IOMMU);
	config(machine, "0000:10:04.0", 0x80862030, TYPE_ENDPOINT, NONE);
	EXPECT_EQ(ask(t, machine, "0000:10:05.0", "0000:10:06.0").verdict, WEIR_REACH_UNKNOWN);
	fake_name(machine->fake, "/sys/bus/pci/devices/0000:10:05.0/..", "", 0);
	EXPECT_EQ(ask(t, machine, "0000:10:05.0", "0000:10:06.0").verdict, WEIR_REACH_UNKNOWN);
}

UNIT(reach, zen_processors_are_trusted)
{
	static const struct {
		const char *text;
		enum weir_reach_verdict verdict;
	} rows[] = {
		{ "vendor_id\t: AuthenticAMD\ncpu family\t: 23\n", WEIR_REACH_THROUGH_IOMMU },
		{ "vendor_id\t: AuthenticAMD\ncpu family\t: 26\n", WEIR_REACH_THROUGH_IOMMU },
		{ "vendor_id\t: AuthenticAMD\ncpu family\t: 21\n", WEIR_REACH_UNKNOWN },
		{ "vendor_id\t: HygonGenuine\ncpu family\t: 24\n", WEIR_REACH_UNKNOWN },
		{ "vendor_id\t: AuthenticAMD\n", WEIR_REACH_UNKNOWN },
		{ "vendor_id\ncpu family", WEIR_REACH_UNKNOWN },
		{ "", WEIR_REACH_UNKNOWN },
	};
	struct machine *machine = a_machine(t);

	config(machine, "0000:00:00.0", 0x10221450, 9, NONE);
	device(machine, "pci0000:00/0000:00:04.0", 1);
	device(machine, "pci0000:00/0000:00:05.0", 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		fake_file(machine->fake, "/proc/cpuinfo", rows[i].text);
		EXPECT_EQ(ask(t, machine, "0000:00:04.0", "0000:00:05.0").verdict, rows[i].verdict);
	}
	fake_error(machine->fake, "/proc/cpuinfo", -ENOENT);
	EXPECT_EQ(ask(t, machine, "0000:00:04.0", "0000:00:05.0").verdict, WEIR_REACH_UNKNOWN);
}

UNIT(reach, a_host_bridge_behind_a_device_counts_as_the_kernel_counts_it)
{
	struct machine *machine = a_machine(t);
	struct weir_reach reach;

	config(machine, "10000:e0:00.0", 0x80862030, TYPE_ROOT, NONE);
	config(machine, "10000:e0:01.0", 0x80862031, TYPE_ROOT, ON);
	device(machine, "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:01.0/10000:e1:00.0", 1);
	device(machine, "pci0000:00/0000:00:05.0", 2);
	fake_file(machine->fake, "/sys/bus/pci/devices/10000:e2:00.0",
		  "../../../devices/platform/x/pci10000:e0/10000:e0:00.0/10000:e2:00.0");
	reach = ask(t, machine, "10000:e1:00.0", "0000:00:05.0");
	EXPECT_EQ(reach.verdict, WEIR_REACH_THROUGH_IOMMU);
	EXPECT_EQ(reach.num_ports, 1);
	EXPECT_STREQ(reach.ports[0].address, "10000:e0:01.0");
}

/* Hostile files ---------------------------------------------------------------------------------------------------- */

UNIT(reach, links_that_lead_nowhere_are_an_error)
{
	static const struct {
		const char *link;
		int error;
	} rows[] = {
		{ "", -EIO },
		{ "devices", -EIO },
		{ "../../../devices/", -EIO },
		{ "../../../devices/pci0000:00", -EIO },
		{ "../../../devices/0000:03:00.0", -EIO },
		{ "../../../devices/pci0000:00/0000:04:00.0", -EIO },
		{ "../../../devices/pci0000:00/x/0000:03:00.0", -EIO },
		{ "../../../devices/pci0000:00/03:00.0", -EIO },
		{ "../../../devices/pci0000000000000000000:00/0000:03:00.0", -EIO },
		{ "../../../devices/pci:/0000:03:00.0", -EIO },
		{ "../../../devices/pci0000:00/0000:03:00.0/more", -EIO },
	};
	struct machine *machine = a_switch(t, 1, 1, ON, ON);
	struct weir_reach reach;
	char *deep = keep(machine, calloc(1, 2048));

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "'%s'", rows[i].link);
		fake_file(machine->fake, "/sys/bus/pci/devices/" A, rows[i].link);
		EXPECT_ERR(rows[i].error, weir_reach_ask(&machine->host, A, B, &reach, sizeof(reach)));
	}
	strcpy(deep, "../../../devices/pci0:00");
	for (int i = 0; i < 34; i++)
		strcat(deep, "/0000:01:00.0");
	fake_file(machine->fake, "/sys/bus/pci/devices/" A, deep);
	EXPECT_ERR(-EIO, weir_reach_ask(&machine->host, A, B, &reach, sizeof(reach)));
	memcpy(deep, "devices/pci0000:00/", 19);
	memmove(deep + 18, deep + 24, strlen(deep + 24) + 1);
	fake_file(machine->fake, "/sys/bus/pci/devices/" A, deep);
	EXPECT_ERR(-E2BIG, weir_reach_ask(&machine->host, A, B, &reach, sizeof(reach)));
	memset(deep, 'a', 2000);
	fake_file(machine->fake, "/sys/bus/pci/devices/" A, deep);
	EXPECT_ERR(-ENAMETOOLONG, weir_reach_ask(&machine->host, A, B, &reach, sizeof(reach)));
}

UNIT(reach, files_that_cannot_be_read_are_named)
{
	static const char *const files[] = {
		"/sys/bus/pci/devices/" A,
		"/sys/bus/pci/devices/" B "/config",
		"/sys/bus/pci/devices/" B "/resource",
		"/sys/bus/pci/devices/" A "/iommu_group",
		"/sys/bus/pci/devices/0000:02:00.0/config",
		"/sys/bus/pci/devices/0000:00:00.0/config",
		"/proc/cpuinfo",
	};
	struct weir_reach reach = { .verdict = 77 };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct machine *machine = a_switch(t, 1, 1, ON, ON);

		fake_error(machine->fake, files[i], -EACCES);
		EXPECT_ERR(-EACCES, weir_reach_ask(&machine->host, A, B, &reach, sizeof(reach)));
		EXPECT_CONTAINS(weir_error(), files[i]);
		EXPECT_EQ(reach.verdict, 77);
	}
}

UNIT(reach, configuration_space_of_any_length_is_read_within_bounds)
{
	for (size_t len = 0; len <= 0x160; len++) {
		struct machine *machine = a_switch(t, 1, 1, ON, ON);
		struct weir_reach reach;

		t_note(t, "%zu bytes", len);
		/* As long as it is, and no longer: a sanitizer sees what is read behind it. */
		fake_name(machine->fake, "/sys/bus/pci/devices/0000:02:00.0/config",
			  memcpy(keep(machine, malloc(len + 1)),
				 config(machine, "0000:02:00.0", 0x104c8233, TYPE_DOWN, ON), len),
			  len);
		machine->fake->most_pread = len % 7;
		ASSERT_OK(weir_reach_ask(&machine->host, A, B, &reach, sizeof(reach)));
		if (len >= 0x158)
			EXPECT_EQ(reach.verdict, WEIR_REACH_THROUGH_IOMMU);
		else if (len >= 0x4c && len < 0x104)
			EXPECT_EQ(reach.verdict, WEIR_REACH_DIRECT); /* it has no extended space */
		else
			EXPECT_EQ(reach.verdict, WEIR_REACH_UNKNOWN);
	}
}

UNIT(reach, chains_of_capabilities_that_never_end_are_unknown)
{
	static const struct {
		unsigned int at;
		unsigned char byte;
	} rows[] = {
		{ 0x41, 0x40 },  /* its own successor */
		{ 0x34, 0x10 },  /* in the header */
		{ 0x40, 0xff },  /* no capability */
		{ 0x103, 0x10 }, /* its own successor */
		{ 0x103, 0x08 }, /* in conventional space */
		{ 0x103, 0xff }, /* past all, where nothing is */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine *machine = a_switch(t, 1, 1, ON, ON);
		unsigned char *port = config(machine, "0000:02:00.0", 0x104c8233, TYPE_DOWN, ON);

		t_note(t, "row %zu", i);
		port[rows[i].at] = rows[i].byte;
		memset(port + 0xff0, 0xff, 16);
		EXPECT_EQ(ask_ab(t, machine).verdict, WEIR_REACH_UNKNOWN);
		EXPECT_EQ(ask_ab(t, machine).flags, WEIR_REACH_ACS_UNKNOWN | WEIR_REACH_SAME_GROUP);
	}
}

UNIT(reach, noise_is_an_answer_or_an_error)
{
	unsigned int seed = 1;

	for (int i = 0; i < 300; i++) {
		struct machine *machine = a_switch(t, 1, 1, ON, ON);
		unsigned char *port = config(machine, "0000:02:00.0", 0x104c8233, TYPE_DOWN, ON);
		char *resource = keep(machine, calloc(1, 600));
		struct weir_reach reach;

		for (int j = 0; j < CONFIG; j++)
			if (j >= 0x40 || i % 2)
				port[j] = (unsigned char)rand_r(&seed);
		for (int j = 0; j < 599; j++)
			resource[j] = "0x 1f\n\t-9z"[rand_r(&seed) % 10];
		fake_file(machine->fake, "/sys/bus/pci/devices/" B "/resource", resource);
		ASSERT_OK(weir_reach_ask(&machine->host, A, B, &reach, sizeof(reach)));
		EXPECT_LE(reach.verdict, WEIR_REACH_DIRECT);
		EXPECT_LT(strlen(reach.reason), sizeof(reach.reason));
	}
}

UNIT(reach, an_older_caller_gets_what_it_has_room_for)
{
	struct machine *machine = a_switch(t, 1, 1, OFF, OFF);
	struct {
		uint32_t verdict, by_root, behind;
	} old = { .behind = 77 };

	ASSERT_OK(weir_reach_ask(&machine->host, A, B, (struct weir_reach *)&old, 8));
	EXPECT_EQ(old.verdict, WEIR_REACH_DIRECT);
	EXPECT_EQ(old.behind, 77);
}

/* Shadows ---------------------------------------------------------------------------------------------------------- */

static size_t shadows(struct machine *machine, struct weir_iova_range *ranges, size_t num)
{
	ASSERT_OK(weir_reach_shadows(&machine->host, A, ranges, &num));
	return num;
}

UNIT(reach, shadows_ascend_and_lie_apart)
{
	struct machine *machine = a_switch(t, 1, 1, OFF, OFF);
	struct weir_iova_range ranges[8];

	fake_dir(machine->fake, "/sys/kernel/iommu_groups/1/devices",
		 "0000:02:00.0\0"
		 "virtual\0" A "\0" B);
	fake_file(machine->fake, "/sys/bus/pci/devices/" B "/resource",
		  "0x5000 0x5fff 0x200\n0x100 0x1ff 0x100\n0x1000 0x1fff 0x200\n0x4800 0x48ff 0x200\n"
		  "0xfffffffffffff000 0xffffffffffffffff 0x200\n");
	fake_file(machine->fake, "/sys/bus/pci/devices/0000:02:00.0/resource",
		  "0x2000 0x2fff 0x200\n0x4000 0x7fff 0x102201\n0x9000 0x9fff 0x200\n"
		  "0xffffffffffff0000 0xffffffffffffffff 0x200\n0x8fff 0x9000 0x200\n");
	ASSERT_EQ(shadows(machine, ranges, 8), 4);
	EXPECT_EQ(ranges[0].start, 0x1000);
	EXPECT_EQ(ranges[0].last, 0x2fff);
	EXPECT_EQ(ranges[1].start, 0x4000);
	EXPECT_EQ(ranges[1].last, 0x7fff);
	EXPECT_EQ(ranges[2].start, 0x8fff);
	EXPECT_EQ(ranges[2].last, 0x9fff);
	EXPECT_EQ(ranges[3].start, 0xffffffffffff0000);
	EXPECT_EQ(ranges[3].last, UINT64_MAX);
}

UNIT(reach, shadows_that_cannot_be_told_are_an_error)
{
	struct machine *machine = a_switch(t, 1, 0, OFF, OFF);
	struct weir_iova_range range;
	size_t num = 1;

	EXPECT_ERR(-EOPNOTSUPP, weir_reach_shadows(&machine->host, B, &range, &num));
	EXPECT_ERR(-ENOENT, weir_reach_shadows(&machine->host, A, &range, &num));
	fake_dir(machine->fake, "/sys/kernel/iommu_groups/1/devices", A "\0" B);
	fake_error(machine->fake, "/sys/bus/pci/devices/" B "/resource", -EIO);
	EXPECT_ERR(-EIO, weir_reach_shadows(&machine->host, A, &range, &num));
	EXPECT_CONTAINS(weir_error(), B "/resource");
	EXPECT_EQ(num, 1);
}
