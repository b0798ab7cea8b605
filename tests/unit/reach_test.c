// SPDX-License-Identifier: MIT
/* Reachability on machines that are made of files. */
#include <errno.h>
#include <string.h>

#include "reach_machine.h"

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

static size_t diverted(struct machine *machine, struct weir_iova_range *ranges, size_t num)
{
	ASSERT_OK(weir_reach_diverted(&machine->host, A, ranges, &num));
	return num;
}

UNIT(reach, diverted_ranges_ascend_and_lie_apart)
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
	ASSERT_EQ(diverted(machine, ranges, 8), 4);
	EXPECT_EQ(ranges[0].start, 0x1000);
	EXPECT_EQ(ranges[0].last, 0x2fff);
	EXPECT_EQ(ranges[1].start, 0x4000);
	EXPECT_EQ(ranges[1].last, 0x7fff);
	EXPECT_EQ(ranges[2].start, 0x8fff);
	EXPECT_EQ(ranges[2].last, 0x9fff);
	EXPECT_EQ(ranges[3].start, 0xffffffffffff0000);
	EXPECT_EQ(ranges[3].last, UINT64_MAX);
}

UNIT(reach, diverted_ranges_that_cannot_be_told_are_an_error)
{
	struct machine *machine = a_switch(t, 1, 0, OFF, OFF);
	struct weir_iova_range range;
	size_t num = 1;

	EXPECT_ERR(-EOPNOTSUPP, weir_reach_diverted(&machine->host, B, &range, &num));
	EXPECT_ERR(-ENOENT, weir_reach_diverted(&machine->host, A, &range, &num));
	fake_dir(machine->fake, "/sys/kernel/iommu_groups/1/devices", A "\0" B);
	fake_error(machine->fake, "/sys/bus/pci/devices/" B "/resource", -EIO);
	EXPECT_ERR(-EIO, weir_reach_diverted(&machine->host, A, &range, &num));
	EXPECT_CONTAINS(weir_error(), B "/resource");
	EXPECT_EQ(num, 1);
}
