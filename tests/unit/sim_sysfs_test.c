// SPDX-License-Identifier: MIT
/* What the simulated machine has in /sys, /dev and /proc, and whose drivers its devices have. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/device/device.h"
#include "sim_toy.h"

#define ADDRESS "0000:00:05.0"
#define DEVICE  "/sys/bus/pci/devices/" ADDRESS

enum { NOBODY = 1000 };

static struct weir_sim *machine_with_toy(struct t *t, const struct weir_sim_opts *opts)
{
	struct weir_sim *sim = new_machine(t, opts);

	new_toy(t, sim, ADDRESS);
	return sim;
}

static const char *text_of(struct weir_sim *sim, const char *path)
{
	static char text[4096];
	int64_t error = read_name(sim, path, text, sizeof(text));

	if (error < 0)
		snprintf(text, sizeof(text), "%" PRId64, error);
	return text;
}

/* Files ------------------------------------------------------------------------------------------------- */

UNIT(sim_sysfs, files_of_a_device)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);

	EXPECT_STREQ(text_of(sim, DEVICE "/vendor"), "0x1234\n");
	EXPECT_STREQ(text_of(sim, DEVICE "/device"), "0x70f0\n");
	EXPECT_STREQ(text_of(sim, DEVICE "/class"), "0x00ff00\n");
	EXPECT_STREQ(text_of(sim, DEVICE "/numa_node"), "-1\n");
	EXPECT_STREQ(text_of(sim, DEVICE "/driver_override"), "(null)\n");
	EXPECT_STREQ(text_of(sim, DEVICE "/nonsense"), "-2");
	EXPECT_STREQ(text_of(sim, DEVICE "/vendor/more"), "-20");
	EXPECT_STREQ(text_of(sim, DEVICE), "-21");
}

UNIT(sim_sysfs, resource_has_a_line_a_bar)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	const char *line = text_of(sim, DEVICE "/resource");
	uint64_t start, last, flags;

	for (int bar = 0; bar < 7; bar++) {
		t_note(t, "line %d", bar);
		ASSERT_EQ(sscanf(line, "0x%" SCNx64 " 0x%" SCNx64 " 0x%" SCNx64 "\n", &start, &last, &flags),
			  3);
		EXPECT_EQ(last - start, bar == 0 ? 4095 : bar == 1 ? 65535 : 0);
		EXPECT_EQ(flags, bar < 2 ? 0x40200 : 0);
		line = strchr(line, '\n') + 1;
	}
	EXPECT_STREQ(line, "");
}

UNIT(sim_sysfs, config_is_bytes)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = sys->open(sys->ctx, DEVICE "/config", O_RDONLY);
	unsigned char ids[4];

	ASSERT_GE(fd, 0);
	EXPECT_EQ(sys->pread(sys->ctx, fd, ids, 4, 0), 4);
	EXPECT_MEMEQ(ids, "\x34\x12\xf0\x70", 4);
	EXPECT_EQ(sys->pread(sys->ctx, fd, ids, 4, 4094), 2);
	EXPECT_EQ(sys->pread(sys->ctx, fd, ids, 4, 4096), 0);
	EXPECT_ERR(-EFAULT, sys->pread(sys->ctx, fd, NULL, 4, 0));
	EXPECT_EQ(sys->write(sys->ctx, fd, ids, 4), -EBADF);
	EXPECT_OK(sys->close(sys->ctx, fd));
}

/* A file is read piece by piece, and copies of a descriptor share the place. */
UNIT(sim_sysfs, file_is_read_to_its_end)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = sys->open(sys->ctx, DEVICE "/vendor", O_RDONLY), copy = sys->dup(sys->ctx, fd);
	char text[8] = "";

	EXPECT_EQ(sys->read(sys->ctx, fd, text, 3), 3);
	EXPECT_STREQ(text, "0x1");
	EXPECT_EQ(sys->read(sys->ctx, copy, text, 8), 4);
	EXPECT_MEMEQ(text, "234\n", 4);
	EXPECT_EQ(sys->read(sys->ctx, fd, text, 8), 0);
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_OK(sys->close(sys->ctx, copy));
}

UNIT(sim_sysfs, links_and_directories)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	char text[1024];

	EXPECT_STREQ(link_of(sim, DEVICE, text), "../../../devices/pci0000:00/" ADDRESS);
	EXPECT_STREQ(link_of(sim, DEVICE "/iommu_group", text), "../../../kernel/iommu_groups/1");
	EXPECT_STREQ(link_of(sim, DEVICE "/driver", text), "../../../bus/pci/drivers/vfio-pci");
	EXPECT_STREQ(link_of(sim, "/sys/class/vfio-dev/vfio0", text),
		     "../../devices/pci0000:00/" ADDRESS "/vfio-dev/vfio0");
	EXPECT_STREQ(link_of(sim, DEVICE "/vendor", text), "-22");

	EXPECT_STREQ(list_of(sim, "/sys/bus/pci/devices", text), ADDRESS " ");
	EXPECT_STREQ(list_of(sim, DEVICE "/vfio-dev", text), "vfio0 ");
	EXPECT_STREQ(list_of(sim, DEVICE "/iommu_group/devices", text), ADDRESS " ");
	EXPECT_STREQ(list_of(sim, "/sys/kernel/iommu_groups", text), "1 ");
	EXPECT_STREQ(list_of(sim, "/sys/bus/pci/drivers/vfio-pci", text), ADDRESS " bind unbind ");
	EXPECT_STREQ(list_of(sim, "/dev/vfio", text), "vfio 1 devices ");
	EXPECT_STREQ(list_of(sim, "/dev/vfio/devices", text), "vfio0 ");
	EXPECT_STREQ(list_of(sim, DEVICE "/vendor", text), "-20");
	EXPECT_CONTAINS(list_of(sim, DEVICE, text), "config device driver driver_override iommu_group ");
}

UNIT(sim_sysfs, buffers_that_are_too_small)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	char text[16] = "";

	EXPECT_ERR(-ENOSPC, sys->list_dir(sys->ctx, "/sys/bus/pci/devices", text, 12));
	EXPECT_EQ(sys->list_dir(sys->ctx, "/sys/bus/pci/devices", text, 13), 13);
	EXPECT_EQ(sys->readlink(sys->ctx, DEVICE, text, 5), 5);
	EXPECT_MEMEQ(text, "../..", 5);
	EXPECT_ERR(-EFAULT, sys->readlink(sys->ctx, DEVICE, NULL, 5));
	EXPECT_ERR(-EFAULT, sys->open(sys->ctx, NULL, O_RDONLY));
	EXPECT_ERR(-EFAULT, sys->list_dir(sys->ctx, "/sys/bus/pci/devices", NULL, 100));
}

UNIT(sim_sysfs, one_place_has_many_names)
{
	static const char *const names[] = {
		DEVICE "/vendor",
		"//sys/bus/./pci//devices/" ADDRESS "/vendor",
		"/sys/devices/pci0000:00/" ADDRESS "/vendor",
		"/sys/bus/pci/drivers/vfio-pci/" ADDRESS "/vendor",
		"/sys/kernel/iommu_groups/1/devices/" ADDRESS "/vendor",
		"/sys/class/vfio-dev/vfio0/device/vendor",
		DEVICE "/driver/../../devices/" ADDRESS "/vendor",
		DEVICE "/../" ADDRESS "/subsystem/devices/" ADDRESS "/iommu_group/devices/" ADDRESS "/vendor",
	};
	struct weir_sim *sim = machine_with_toy(t, NULL);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		t_note(t, "%s", names[i]);
		EXPECT_STREQ(text_of(sim, names[i]), "0x1234\n");
	}
	EXPECT_STREQ(text_of(sim, "/sys/devices/pci0000:01/" ADDRESS "/vendor"), "-2");
	EXPECT_STREQ(text_of(sim, "/sys/bus/pci/drivers/nvme/" ADDRESS "/vendor"), "-2");
	EXPECT_STREQ(text_of(sim, "/sys/kernel/iommu_groups/01/type"), "-2");
}

UNIT(sim_sysfs, real_system_shows_where_the_machine_is_not)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	char text[64];
	int fd = sys->open(sys->ctx, "/dev/null", O_WRONLY);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(sys->write(sys->ctx, fd, "x", 1), 1);
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_CONTAINS(text_of(sim, "/proc/self/limits"), "Max locked memory");
	EXPECT_EQ(sys->readlink(sys->ctx, "/proc/self", text, sizeof(text)),
		  snprintf(NULL, 0, "%d", (int)getpid()));
	/* The host bridge is here on most machines, but not on this one. */
	EXPECT_STREQ(text_of(sim, "/sys/bus/pci/devices/0000:00:00.0/vendor"), "-2");
}

UNIT(sim_sysfs, pinned_and_locked_memory_is_in_the_status)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	uint64_t before, after;

	ASSERT_EQ(sscanf(strstr(text_of(sim, "/proc/self/status"), "VmPin:"), "VmPin: %" SCNu64, &before), 1);
	sim->processes[0].pinned_bytes = 65536;
	sim->processes[0].locked_bytes = 4096;
	ASSERT_EQ(sscanf(strstr(text_of(sim, "/proc/self/status"), "VmPin:"), "VmPin: %" SCNu64, &after), 1);
	EXPECT_EQ(after - before, 64);
	EXPECT_CONTAINS(text_of(sim, "/proc/self/status"), "\nCapEff:");
	sim->processes[0].pinned_bytes = sim->processes[0].locked_bytes = 0;
}

/* Which kernel ------------------------------------------------------------------------------------------ */

UNIT(sim_sysfs, age_and_flags_decide_what_is_there)
{
	static const struct {
		const char *what;
		uint32_t age, flags;
		const char *nodes;
		bool iommufd, group;
	} rows[] = {
		{ "7.2", WEIR_SIM_7_2, 0, "vfio 1 devices ", true, true },
		{ "6.6", WEIR_SIM_6_6, 0, "vfio 1 devices ", true, true },
		{ "6.1", WEIR_SIM_6_1, 0, "vfio 1 ", false, true },
		{ "no iommufd", WEIR_SIM_7_2, WEIR_SIM_NO_IOMMUFD, "vfio 1 ", false, true },
		{ "no container", WEIR_SIM_7_2, WEIR_SIM_NO_CONTAINER, "devices ", true, true },
		{ "no IOMMU", WEIR_SIM_7_2, WEIR_SIM_NO_IOMMU, "vfio devices ", true, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_sim *sim = machine_with_toy(
			t, &WEIR_OPTS(weir_sim_opts, .age = rows[i].age, .flags = rows[i].flags));
		const struct weir_sys *sys = weir_sim_sys(sim);
		char text[1024];
		int fd;

		t_note(t, "%s", rows[i].what);
		EXPECT_STREQ(list_of(sim, "/dev/vfio", text), rows[i].nodes);
		EXPECT_STREQ(link_of(sim, DEVICE "/iommu_group", text),
			     rows[i].group ? "../../../kernel/iommu_groups/1" : "-2");
		fd = sys->open(sys->ctx, "/dev/iommu", O_RDWR);
		EXPECT_EQ(fd >= 0, rows[i].iommufd);
		if (fd < 0)
			EXPECT_EQ(fd, -ENOENT);
		else
			EXPECT_OK(sys->close(sys->ctx, fd));
	}
}

/* Permissions ------------------------------------------------------------------------------------------- */

UNIT(sim_sysfs, mode_of_a_file_holds_for_everyone)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);

	EXPECT_ERR(-EACCES, sys->open(sys->ctx, DEVICE "/vendor", O_WRONLY));
	EXPECT_ERR(-EACCES, sys->open(sys->ctx, DEVICE "/vendor", O_RDWR));
	EXPECT_ERR(-EACCES, sys->open(sys->ctx, "/sys/bus/pci/drivers_probe", O_RDONLY));
	EXPECT_ERR(-EISDIR, sys->open(sys->ctx, DEVICE, O_RDWR));
	EXPECT_ERR(-ENOTDIR, sys->open(sys->ctx, DEVICE "/vendor", O_RDONLY | O_DIRECTORY));
}

static void expect_stranger(struct weir_sim *sim)
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = sys->open(sys->ctx, "/dev/vfio/vfio", O_RDWR);

	EXPECT_GE(fd, 0); /* for everyone, as the kernel makes it */
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_ERR(-EACCES, sys->open(sys->ctx, "/dev/iommu", O_RDWR));
	EXPECT_ERR(-EACCES, sys->open(sys->ctx, "/dev/vfio/1", O_RDWR));
	EXPECT_ERR(-EACCES, sys->open(sys->ctx, "/dev/vfio/devices/vfio0", O_RDWR));
	EXPECT_ERR(-EACCES, write_name(sim, DEVICE "/driver_override", "nvme"));
	EXPECT_STREQ(text_of(sim, DEVICE "/vendor"), "0x1234\n");
}

UNIT(sim_sysfs, nodes_belong_to_who_made_the_machine)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	pid_t child = fork();
	int status;

	ASSERT_GE(child, 0);
	if (!child) {
		if (geteuid() == 0)
			ASSERT_EQ(setresuid(NOBODY, NOBODY, NOBODY), 0);
		else
			weir_sim_set_owner(sim, geteuid() + 1);
		expect_stranger(sim);
		weir_sim_set_owner(sim, geteuid());
		EXPECT_OK(write_name(sim, DEVICE "/driver_override", "nvme"));
		_exit(0);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}

/* Drivers ----------------------------------------------------------------------------------------------- */

static const char *driver_of(struct weir_sim *sim)
{
	static char target[256];
	const char *slash = strrchr(link_of(sim, DEVICE "/driver", target), '/');

	return slash ? slash + 1 : "";
}

UNIT(sim_sysfs, device_goes_from_driver_to_driver)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	char text[1024];

	ASSERT_OK(write_name(sim, DEVICE "/driver/unbind", ADDRESS));
	EXPECT_STREQ(driver_of(sim), "");
	EXPECT_STREQ(list_of(sim, DEVICE "/vfio-dev", text), "-2");
	EXPECT_STREQ(list_of(sim, "/dev/vfio", text), "vfio devices ");

	/* Nothing knows a toy, but the override makes it match. */
	ASSERT_OK(write_name(sim, "/sys/bus/pci/drivers_probe", ADDRESS "\n"));
	EXPECT_STREQ(driver_of(sim), "");
	EXPECT_ERR(-ENODEV, write_name(sim, "/sys/bus/pci/drivers/nvme/bind", ADDRESS));
	ASSERT_OK(write_name(sim, DEVICE "/driver_override", "nvme\n"));
	EXPECT_STREQ(text_of(sim, DEVICE "/driver_override"), "nvme\n");
	EXPECT_ERR(-ENODEV, write_name(sim, "/sys/bus/pci/drivers/vfio-pci/bind", ADDRESS));
	ASSERT_OK(write_name(sim, "/sys/bus/pci/drivers/nvme/bind", ADDRESS));
	EXPECT_STREQ(driver_of(sim), "nvme");
	EXPECT_ERR(-EBUSY, write_name(sim, "/sys/bus/pci/drivers/nvme/bind", ADDRESS));
	EXPECT_ERR(-ENODEV, write_name(sim, "/sys/bus/pci/drivers/vfio-pci/unbind", ADDRESS));

	ASSERT_OK(write_name(sim, "/sys/bus/pci/drivers/nvme/unbind", ADDRESS));
	ASSERT_OK(write_name(sim, DEVICE "/driver_override", "\n"));
	EXPECT_STREQ(text_of(sim, DEVICE "/driver_override"), "(null)\n");
	ASSERT_OK(write_name(sim, DEVICE "/driver_override", "vfio-pci"));
	ASSERT_OK(write_name(sim, "/sys/bus/pci/drivers_probe", ADDRESS));
	EXPECT_STREQ(driver_of(sim), "vfio-pci");
	EXPECT_ERR(-EINVAL, write_name(sim, "/sys/bus/pci/drivers_probe", "0000:00:1f.0"));
	EXPECT_ERR(-ENOENT, write_name(sim, "/sys/bus/pci/drivers/none-of-them/bind", ADDRESS));
}

UNIT(sim_sysfs, character_devices_have_the_lowest_free_numbers)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	char text[1024];

	new_toy(t, sim, "0000:00:06.0");
	new_toy(t, sim, "0000:00:01.0");
	EXPECT_STREQ(list_of(sim, "/sys/bus/pci/devices/0000:00:01.0/vfio-dev", text), "vfio2 ");
	ASSERT_OK(write_name(sim, DEVICE "/driver/unbind", ADDRESS));
	new_toy(t, sim, "0000:00:07.0");
	EXPECT_STREQ(list_of(sim, "/sys/bus/pci/devices/0000:00:07.0/vfio-dev", text), "vfio0 ");
	EXPECT_STREQ(list_of(sim, "/dev/vfio/devices", text), "vfio2 vfio1 vfio0 ");
}

UNIT(sim_sysfs, device_in_use_is_unbound_when_it_is_closed)
{
	struct weir_sim *sim = machine_with_toy(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = sys->open(sys->ctx, "/dev/vfio/devices/vfio0", O_RDWR);

	ASSERT_GE(fd, 0);
	ASSERT_OK(write_name(sim, DEVICE "/driver/unbind", ADDRESS));
	EXPECT_STREQ(driver_of(sim), "vfio-pci");
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_STREQ(driver_of(sim), "");
}
