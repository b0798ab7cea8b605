// SPDX-License-Identifier: MIT
/* What sysfs says, told in every way that it should not be. */
#include "kernel/sysfs.h"

#include <errno.h>
#include <string.h>

#include "shim/test.h"
#include "support/fake_sys.h"

#define DEVICE  "/sys/bus/pci/devices/0000:01:00.0"
#define WINDOWS "/sys/kernel/iommu_groups/7/reserved_regions"

UNIT(sysfs, addresses_come_out_in_the_long_form)
{
	static const struct {
		const char *text, *normal;
	} rows[] = {
		{ "0000:01:00.0", "0000:01:00.0" }, { "01:00.0", "0000:01:00.0" },
		{ "1:2.3", "0000:01:02.3" },        { "10000:e1:00.0", "10000:e1:00.0" },
		{ "FFFF:AB:1F.7", "ffff:ab:1f.7" }, { "ffffff:00:00.0", "ffffff:00:00.0" },
	};
	char address[WEIR_PCI_ADDRESS_SIZE];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].text);
		ASSERT_OK(weir_pci_address(rows[i].text, address));
		EXPECT_STREQ(rows[i].normal, address);
	}
}

UNIT(sysfs, what_is_no_address_is_refused)
{
	static const char *const texts[] = {
		"",         ":",        "01:00",           "01:00.8",    "01:20.0",        "100:00.0",
		"01:00.0 ", " 01:00.0", "01:00.0\n",       "0000:01:00", "0000:01:00.00",  "0000:0x1:00.0",
		"-1:00.0",  "+1:00.0",  "1000000:01:00.0", "../../etc",  "0000:01:00.0/x", "0:0:0:0.0",
	};
	char address[WEIR_PCI_ADDRESS_SIZE] = "untouched";

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		t_note(t, "'%s'", texts[i]);
		EXPECT_ERR(-EINVAL, weir_pci_address(texts[i], address));
		EXPECT_STREQ("untouched", address);
	}
	EXPECT_ERR(-EINVAL, weir_pci_address(NULL, address));
}

UNIT(sysfs, the_group_is_the_last_part_of_a_link)
{
	struct fake_sys *fake = fake_sys_new(t);
	uint32_t group = 0;

	fake_file(fake, DEVICE "/iommu_group", "../../../../kernel/iommu_groups/4294967294");
	ASSERT_OK(weir_sysfs_iommu_group(&fake->table, "0000:01:00.0", &group));
	EXPECT_EQ(4294967294u, group);
	fake_file(fake, DEVICE "/iommu_group", "7");
	ASSERT_OK(weir_sysfs_iommu_group(&fake->table, "0000:01:00.0", &group));
	EXPECT_EQ(7, group);
}

UNIT(sysfs, a_group_that_is_no_number_is_an_error)
{
	static const char *const targets[] = {
		"",          "/",         "groups/",           "groups/x",
		"groups/1x", "groups/-1", "groups/4294967295", "groups/99999999999999"
	};
	struct fake_sys *fake = fake_sys_new(t);
	uint32_t group = 99;

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		t_note(t, "'%s'", targets[i]);
		fake_file(fake, DEVICE "/iommu_group", targets[i]);
		EXPECT_ERR(-EIO, weir_sysfs_iommu_group(&fake->table, "0000:01:00.0", &group));
	}
	fake_file(fake, DEVICE "/iommu_group", "groups/99999999999999999999999999999");
	EXPECT_ERR(-ENAMETOOLONG, weir_sysfs_iommu_group(&fake->table, "0000:01:00.0", &group));
	fake_error(fake, DEVICE "/iommu_group", -EACCES);
	EXPECT_ERR(-EACCES, weir_sysfs_iommu_group(&fake->table, "0000:01:00.0", &group));
	EXPECT_ERR(-ENOENT, weir_sysfs_iommu_group(&fake->table, "0000:02:00.0", &group));
	EXPECT_EQ(99, group);
}

UNIT(sysfs, a_link_of_any_length_is_read_within_bounds)
{
	struct fake_sys *fake = fake_sys_new(t);
	char target[4096], driver[64];

	memset(target, 'a', sizeof(target));
	fake_name(fake, DEVICE "/driver", target, sizeof(target));
	EXPECT_ERR(-ENAMETOOLONG, weir_sysfs_driver(&fake->table, "0000:01:00.0", driver, sizeof(driver)));
	target[440] = '/';
	fake_name(fake, DEVICE "/driver", target, 440 + 64);
	ASSERT_OK(weir_sysfs_driver(&fake->table, "0000:01:00.0", driver, sizeof(driver)));
	EXPECT_EQ(63, strlen(driver));
	fake_name(fake, DEVICE "/driver", target, 440 + 65);
	EXPECT_ERR(-ENAMETOOLONG, weir_sysfs_driver(&fake->table, "0000:01:00.0", driver, sizeof(driver)));
}

UNIT(sysfs, the_character_device_is_found_among_other_names)
{
	struct fake_sys *fake = fake_sys_new(t);
	char name[8];

	EXPECT_ERR(-ENOENT, weir_sysfs_vfio_dev(&fake->table, "0000:01:00.0", name, sizeof(name)));
	fake_name(fake, DEVICE "/vfio-dev", "", 0);
	EXPECT_ERR(-ENOENT, weir_sysfs_vfio_dev(&fake->table, "0000:01:00.0", name, sizeof(name)));
	fake_dir(fake, DEVICE "/vfio-dev", "\0other\0vfi\0vfio1234567\0vfio12");
	ASSERT_OK(weir_sysfs_vfio_dev(&fake->table, "0000:01:00.0", name, sizeof(name)));
	EXPECT_STREQ("vfio12", name);
}

UNIT(sysfs, members_of_a_group_are_told_one_after_the_other)
{
	struct fake_sys *fake = fake_sys_new(t);
	char names[32];

	fake_dir(fake, "/sys/kernel/iommu_groups/7/devices",
		 "0000:01:00.0\0"
		 "0000:01:00.1");
	ASSERT_OK(weir_sysfs_group_devices(&fake->table, 7, names, sizeof(names)));
	EXPECT_MEMEQ("0000:01:00.0\0"
		     "0000:01:00.1\0",
		     names, 27);
	EXPECT_ERR(-ENOSPC, weir_sysfs_group_devices(&fake->table, 7, names, 26));
	EXPECT_ERR(-ENOENT, weir_sysfs_group_devices(&fake->table, 8, names, sizeof(names)));
}

UNIT(sysfs, reserved_windows_come_one_by_one)
{
	struct fake_sys *fake = fake_sys_new(t);
	struct weir_reserved_window window;
	unsigned int line = 0;

	fake_file(fake, WINDOWS,
		  "0x0000000000000000 0x00000000000fffff direct-relaxable\n"
		  "0x00000000fee00000 0x00000000feefffff msi\n"
		  "0xfffffffffffff000 0xffffffffffffffff reserved"); /* without its newline */
	ASSERT_OK(weir_sysfs_reserved_window(&fake->table, 7, &line, &window));
	EXPECT_EQ(0, window.range.start);
	EXPECT_EQ(0xfffff, window.range.last);
	EXPECT_STREQ("direct-relaxable", window.kind);
	ASSERT_OK(weir_sysfs_reserved_window(&fake->table, 7, &line, &window));
	EXPECT_EQ(0xfee00000, window.range.start);
	ASSERT_OK(weir_sysfs_reserved_window(&fake->table, 7, &line, &window));
	EXPECT_EQ(UINT64_MAX, window.range.last);
	EXPECT_STREQ("reserved", window.kind);
	EXPECT_ERR(-ENOENT, weir_sysfs_reserved_window(&fake->table, 7, &line, &window));
	EXPECT_EQ(3, line);
}

UNIT(sysfs, windows_that_make_no_sense_end_the_list)
{
	static const char *const texts[] = { "",           "\n",
					     "nonsense\n", "0x1\n",
					     "0x1 0x2\n",  "0x1 0x2\n0x3 0x4 msi\n",
					     "0x1 0x2 ",   "\n\n0x1 0x2 msi\n" };
	struct fake_sys *fake = fake_sys_new(t);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct weir_reserved_window window;
		unsigned int line = 0;

		t_note(t, "row %zu", i);
		fake_file(fake, WINDOWS, texts[i]);
		EXPECT_ERR(-ENOENT, weir_sysfs_reserved_window(&fake->table, 7, &line, &window));
		EXPECT_EQ(0, line);
	}
}

UNIT(sysfs, a_huge_list_of_windows_is_read_within_bounds)
{
	static const char row[] = "0x1000 0x1fff reserved \n";
	static char text[20000];
	struct fake_sys *fake = fake_sys_new(t);
	struct weir_reserved_window window = { 0 };
	unsigned int line = 0;
	int error;

	memset(text, '1', sizeof(text) - 1);
	fake_file(fake, WINDOWS, text);
	EXPECT_ERR(-ENOENT, weir_sysfs_reserved_window(&fake->table, 7, &line, &window));
	for (size_t i = 0; i + sizeof(row) < sizeof(text); i += sizeof(row) - 1)
		memcpy(text + i, row, sizeof(row) - 1);
	for (line = 0; line < 1000;) {
		error = weir_sysfs_reserved_window(&fake->table, 7, &line, &window);
		if (error)
			break;
	}
	EXPECT_ERR(-ENOENT, error);
	EXPECT_LE(line, 4096 / 24 + 1);
	fake_error(fake, WINDOWS, -EACCES);
	EXPECT_ERR(-EACCES, weir_sysfs_reserved_window(&fake->table, 7, &line, &window));
}
