// SPDX-License-Identifier: MIT
/* Reachability: what lies between two devices, and whether requests of the one pass beside the IOMMU to the other. */
#include "conformance/machine.h"
#include "conformance/os.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RANGES = 16 };

static const uint32_t all_redirects =
	WEIR_ACS_REQUEST_REDIRECT | WEIR_ACS_COMPLETION_REDIRECT | WEIR_ACS_UPSTREAM_FORWARDING;

static struct weir_reach ask(struct t *t, const char *from, const char *to)
{
	struct weir_reach reach;

	ASSERT_OK(weir_reach_ask(host_of(t), address_of(t, from), address_of(t, to), &reach, sizeof(reach)));
	t_note(t, "%s to %s: %s: %s", from, to, weir_reach_verdict_name(reach.verdict), reach.reason);
	return reach;
}

/* The port at @address on the way. */
static const struct weir_reach_port *port_at(const struct weir_reach *reach, const char *address)
{
	for (uint32_t i = 0; i < reach->num_ports; i++)
		if (!strcmp(reach->ports[i].address, address))
			return &reach->ports[i];
	FAIL("%s is not on the way", address);
}

/* Verdicts ----------------------------------------------------------------------------------------------------------- */

CONFORMANCE(reach, a_switch_without_acs_is_named, NEEDS(NVME_PAIR))
{
	static const char *const way[] = { "0000:02:00.0", "0000:01:00.0", "0000:00:02.0", "0000:02:01.0" };
	struct weir_reach reach = ask(t, "NVME0", "NVME1");

	EXPECT_EQ(reach.verdict, WEIR_REACH_DIRECT);
	EXPECT_EQ(reach.by_root, WEIR_REACH_UNKNOWN);
	EXPECT_EQ(reach.flags, WEIR_REACH_BESIDE_IOMMU | WEIR_REACH_SAME_GROUP);
	EXPECT_STREQ(reach.upstream, "0000:01:00.0");
	EXPECT_CONTAINS(reach.reason, "ACS redirect is off at 0000:02:00.0");
	EXPECT_CONTAINS(reach.reason, "beside the IOMMU");
	ASSERT_EQ(reach.num_ports, 4);
	for (uint32_t i = 0; i < 4; i++) {
		EXPECT_STREQ(reach.ports[i].address, way[i]);
		EXPECT_TRUE(reach.ports[i].known);
		EXPECT_FALSE(reach.ports[i].has_acs);
		EXPECT_EQ(reach.ports[i].acs, 0);
		EXPECT_EQ(reach.ports[i].shared, i == 1 || i == 2);
	}
	EXPECT_EQ(reach.ports[0].kind, WEIR_PORT_DOWNSTREAM);
	EXPECT_EQ(reach.ports[1].kind, WEIR_PORT_UPSTREAM);
	EXPECT_EQ(reach.ports[2].kind, WEIR_PORT_ROOT);
	EXPECT_EQ(reach.ports[3].kind, WEIR_PORT_DOWNSTREAM);
	reach = ask(t, "NVME1", "NVME0");
	EXPECT_EQ(reach.verdict, WEIR_REACH_DIRECT);
	EXPECT_CONTAINS(reach.reason, "0000:02:01.0");
}

CONFORMANCE(reach, a_shared_pci_bus_is_named, NEEDS(EDU_PAIR))
{
	struct weir_reach reach = ask(t, "EDU0", "EDU1");

	EXPECT_EQ(reach.verdict, WEIR_REACH_DIRECT);
	EXPECT_EQ(reach.flags, WEIR_REACH_BESIDE_IOMMU | WEIR_REACH_SAME_GROUP);
	EXPECT_STREQ(reach.upstream, "0000:00:09.0");
	EXPECT_CONTAINS(reach.reason, "PCI bus");
	ASSERT_EQ(reach.num_ports, 1);
	EXPECT_EQ(reach.ports[0].kind, WEIR_PORT_BRIDGE);
}

/*
 * Functions of one device: the kernel knows of these cards that they do not talk to each other, which no register says.
 */
CONFORMANCE(reach, functions_that_the_kernel_keeps_apart_meet_at_the_root, NEEDS(TWIN0, TWIN1))
{
	struct weir_reach reach = ask(t, "TWIN0", "TWIN1");

	EXPECT_EQ(reach.verdict, WEIR_REACH_UNKNOWN);
	EXPECT_EQ(reach.flags, 0);
	EXPECT_STREQ(reach.upstream, "0000:00:0a.0");
	EXPECT_CONTAINS(reach.reason, "keeps them apart");
	EXPECT_CONTAINS(reach.reason, "8086:29c0");
}

CONFORMANCE(reach, another_root_port_is_reached_through_the_root, NEEDS(NVME_PAIR, NVME2))
{
	struct weir_reach reach = ask(t, "NVME2", "NVME0");

	EXPECT_EQ(reach.verdict, WEIR_REACH_UNKNOWN);
	EXPECT_EQ(reach.flags, 0);
	EXPECT_STREQ(reach.upstream, "");
	EXPECT_CONTAINS(reach.reason, "8086:29c0");
	ASSERT_EQ(reach.num_ports, 4);
	EXPECT_TRUE(port_at(&reach, "0000:00:03.0")->has_acs);
	EXPECT_FALSE(port_at(&reach, "0000:00:02.0")->has_acs);
}

/* Which it is the kernel's arguments decide: by default it switches redirect on (pci=disable_acs_redir=... does not). */
CONFORMANCE(reach, root_ports_of_one_device_are_parted_by_acs_alone, NEEDS(EDU2, EDU3))
{
	bool together = group_of(address_of(t, "EDU2")) == group_of(address_of(t, "EDU3"));
	struct weir_reach reach = ask(t, "EDU2", "EDU3");
	const struct weir_reach_port *port = port_at(&reach, "0000:00:0b.0");

	EXPECT_EQ(port->kind, WEIR_PORT_ROOT);
	EXPECT_TRUE(port->has_acs);
	EXPECT_STREQ(reach.upstream, "");
	if (together) {
		EXPECT_EQ(reach.verdict, WEIR_REACH_DIRECT);
		EXPECT_EQ(reach.flags, WEIR_REACH_BESIDE_IOMMU | WEIR_REACH_SAME_GROUP);
		EXPECT_EQ(port->acs & WEIR_ACS_REQUEST_REDIRECT, 0);
		EXPECT_CONTAINS(reach.reason, "ACS redirect is off at 0000:00:0b.0");
	} else {
		EXPECT_EQ(reach.verdict, WEIR_REACH_UNKNOWN);
		EXPECT_EQ(reach.flags, 0);
		EXPECT_EQ(port->acs, all_redirects);
	}
}

CONFORMANCE(reach, an_unlisted_root_is_unknown, NEEDS(ON_ROOT_BUS, NVME1))
{
	struct weir_reach reach = ask(t, "NVME0", "NVME1");

	EXPECT_EQ(reach.verdict, WEIR_REACH_UNKNOWN);
	EXPECT_EQ(reach.by_root, WEIR_REACH_UNKNOWN);
	EXPECT_EQ(reach.flags, 0);
	EXPECT_EQ(reach.num_ports, 0);
	EXPECT_STREQ(reach.upstream, "");
	/* QEMU's root of PCI Express on arm64, and its Q35. */
	EXPECT_CONTAINS(reach.reason, has_smmuv3() ? "1b36:0008" : "8086:29c0");
	EXPECT_CONTAINS(reach.reason, "kernel's list");
}

CONFORMANCE(reach, a_device_is_no_peer_of_its_own, NEEDS(NVME0))
{
	struct weir_reach reach = ask(t, "NVME0", "NVME0");

	EXPECT_EQ(reach.verdict, WEIR_REACH_NOT);
	EXPECT_EQ(reach.by_root, WEIR_REACH_NOT);
	EXPECT_EQ(reach.num_ports, 0);
}

CONFORMANCE(reach, what_is_no_device_is_refused, NEEDS(NVME0))
{
	const char *nvme = address_of(t, "NVME0");
	struct weir_reach reach = { .verdict = 77 };
	struct weir_iova_range range;
	size_t num = 1;

	EXPECT_ERR(-EINVAL, weir_reach_ask(host_of(t), "nvme0", nvme, &reach, sizeof(reach)));
	EXPECT_ERR(-EINVAL, weir_reach_ask(host_of(t), nvme, NULL, &reach, sizeof(reach)));
	EXPECT_ERR(-ENODEV, weir_reach_ask(host_of(t), nvme, "0000:fe:1f.7", &reach, sizeof(reach)));
	EXPECT_CONTAINS(weir_error(), "0000:fe:1f.7");
	EXPECT_ERR(-ENODEV, weir_reach_ask(host_of(t), "0000:fe:1f.7", nvme, &reach, sizeof(reach)));
	EXPECT_EQ(reach.verdict, 77);
	EXPECT_ERR(-EINVAL, weir_reach_diverted(host_of(t), "", &range, &num));
	EXPECT_ERR(-ENODEV, weir_reach_diverted(host_of(t), "0000:fe:1f.7", &range, &num));
	EXPECT_EQ(num, 1);
}

static void without_rights(struct t *t, void *arg)
{
	struct weir_reach reach;

	(void)arg;
	drop_privileges(t);
	reach = ask(t, "NVME0", "NVME1");
	EXPECT_EQ(reach.verdict, WEIR_REACH_UNKNOWN);
	EXPECT_EQ(reach.flags, WEIR_REACH_ACS_UNKNOWN | WEIR_REACH_SAME_GROUP);
	EXPECT_CONTAINS(reach.reason, "CAP_SYS_ADMIN");
	EXPECT_STREQ(reach.upstream, "0000:01:00.0");
	ASSERT_EQ(reach.num_ports, 4);
	EXPECT_FALSE(reach.ports[0].known);
	EXPECT_EQ(reach.ports[0].kind, WEIR_PORT_UNKNOWN);
}

CONFORMANCE(reach, without_rights_acs_is_unknown, NEEDS(NVME_PAIR, ROOT))
{
	in_child(t, without_rights, NULL);
}

/* Shadows ------------------------------------------------------------------------------------------------------------ */

static bool is_diverted(const struct weir_iova_range *ranges, size_t num, uint64_t start, uint64_t last)
{
	for (size_t i = 0; i < num; i++)
		if (ranges[i].start <= start && last <= ranges[i].last)
			return true;
	return false;
}

/* The memory BARs of a device, as sysfs has them. */
static unsigned int bars_of(const char *address, struct weir_iova_range ranges[6])
{
	const uint64_t memory = 0x200;
	unsigned int num = 0;
	char path[128], *text;
	const char *line;

	sysfs_path(address, "resource", path, sizeof(path));
	text = os_read_file(path);
	ASSERT_TRUE(text != NULL);
	line = text;
	for (int i = 0; i < 6 && line; i++) {
		uint64_t flags = 0;

		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &ranges[num].start, &ranges[num].last,
			   &flags) == 3 &&
		    flags & memory)
			num++;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	free(text);
	return num;
}

CONFORMANCE(reach, bars_below_the_switch_are_diverted_to_the_neighbour, NEEDS(NVME_PAIR))
{
	struct weir_iova_range diverted[MAX_RANGES], bars[6];
	size_t num = MAX_RANGES, none = 0;
	unsigned int num_bars = bars_of(address_of(t, "NVME1"), bars);

	record_no_calls(t); /* a directory has no order */
	ASSERT_OK(weir_reach_diverted(host_of(t), address_of(t, "NVME0"), diverted, &num));
	ASSERT_GE(num, 1);
	ASSERT_GE(num_bars, 1);
	for (unsigned int i = 0; i < num_bars; i++)
		if (!is_diverted(diverted, num, bars[i].start, bars[i].last))
			FAIL("BAR at 0x%" PRIx64, bars[i].start);
	for (size_t i = 1; i < num; i++)
		if (diverted[i].start <= diverted[i - 1].last + 1)
			FAIL("ranges %zu and %zu", i - 1, i);
	ASSERT_ERR(-ENOSPC, weir_reach_diverted(host_of(t), address_of(t, "NVME0"), NULL, &none));
	EXPECT_EQ(none == num, true);
}

CONFORMANCE(reach, nothing_is_diverted_from_a_device_alone_in_its_group, NEEDS(ON_ROOT_BUS))
{
	size_t num = 0;

	ASSERT_OK(weir_reach_diverted(host_of(t), address_of(t, "NVME0"), NULL, &num));
	EXPECT_EQ(num, 0);
}

/* Map @len bytes of the file below 4 GiB again and again, until there is no place left; none of them where it is diverted. */
static void fill_up(struct t *t, struct weir_ioas *ioas, int fd, uint64_t len,
		    const struct weir_iova_range *diverted, size_t num)
{
	const struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .address_bits = 32);
	struct weir_map *map;
	int error;

	(void)t;
	while (!(error = weir_ioas_map_file(ioas, fd, 0, len, &opts, &map))) {
		uint64_t start = weir_map_iova(map), last = start + (len - 1);

		for (size_t i = 0; i < num; i++)
			if (start <= diverted[i].last && diverted[i].start <= last)
				FAIL("IOVA %#" PRIx64 " is in what is diverted, %#" PRIx64 "..%#" PRIx64,
				     start, diverted[i].start, diverted[i].last);
	}
	if (error != -ENOSPC)
		FAIL("%s", weir_error());
}

static void expect_chosen_clear(struct t *t, const char *name)
{
	enum { LARGE = 64 << 20, SMALL = 2 << 20, PAGE = 4096 };
	struct weir_iova_range diverted[MAX_RANGES];
	struct weir_ioas *ioas = new_ioas(t), *other = new_ioas(t);
	size_t num = MAX_RANGES;
	struct weir_map *fixed, *shared;
	int fd = new_file(t, LARGE);

	record_no_calls(t); /* how many there are is the machine's business */
	ASSERT_OK(weir_reach_diverted(host_of(t), address_of(t, name), diverted, &num));
	ASSERT_GE(num, 1);
	new_device(t, ioas, name, 0);
	fill_up(t, ioas, fd, LARGE, diverted, num);
	fill_up(t, ioas, fd, SMALL, diverted, num);
	/* Who asks for such a place gets it; who shares what is there gets another. */
	ASSERT_OK(weir_ioas_map_file(
		ioas, fd, 0, PAGE,
		&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = diverted[0].start), &fixed));
	EXPECT_EQ(weir_map_iova(fixed) == diverted[0].start, true);
	EXPECT_OK(weir_map_close(fixed));
	ASSERT_OK(weir_ioas_map_file(
		other, fd, 0, PAGE,
		&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = diverted[0].start), &fixed));
	ASSERT_OK(weir_map_share(fixed, ioas, NULL, &shared));
	EXPECT_EQ(weir_map_iova(shared) == diverted[0].start, false);
}

/* On one interface, because a real container takes half a minute to pin 4 GiB; where it is chosen, nobody knows which it is. */
CONFORMANCE(reach, what_is_chosen_keeps_clear_of_the_neighbours_below_a_switch,
	    NEEDS(NVME_PAIR, LOCKED_MEMORY, IOMMUFD))
{
	t_timeout(t, 120);
	expect_chosen_clear(t, "NVME0");
}

CONFORMANCE(reach, what_is_chosen_keeps_clear_of_the_neighbours_on_a_bus,
	    NEEDS(EDU_PAIR, LOCKED_MEMORY, IOMMUFD))
{
	t_timeout(t, 120);
	expect_chosen_clear(t, "EDU0");
}

/* Which it is the kernel's arguments decide, as above: alone, nothing is kept back. */
CONFORMANCE(reach, what_is_chosen_keeps_clear_of_another_function_without_redirect,
	    NEEDS(EDU2, EDU3, LOCKED_MEMORY, IOMMUFD))
{
	bool together = group_of(address_of(t, "EDU2")) == group_of(address_of(t, "EDU3"));

	t_timeout(t, 120);
	record_no_calls(t);
	if (together)
		expect_chosen_clear(t, "EDU2");
	else
		new_device(t, new_ioas(t), "EDU2", 0);
}
