// SPDX-License-Identifier: MIT
/* Reachability on machines that there cannot be: links that lead nowhere, files that are cut short, garbage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reach_machine.h"

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
