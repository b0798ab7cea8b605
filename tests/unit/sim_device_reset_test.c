// SPDX-License-Identifier: MIT
/*
 * VFIO devices of the simulated machine: resets, features, doorbells (kernel-interface B.6 to B.8), row by
 * row.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/device/pci.h"
#include "sim_probe.h"

enum { PAGE = 4096 };

/* Resets (B.7) ------------------------------------------------------------------------------------------- */

UNIT(sim_device, reset)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	unsigned int before = probe_of(rig->device)->num_resets;

	EXPECT_EQ(before, 1); /* at open */
	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_RESET, NULL));
	EXPECT_EQ(probe_of(rig->device)->num_resets, 2);
	EXPECT_EQ(get16(rig->sim, rig->fd, CONFIG + PCI_COMMAND), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

UNIT(sim_device, no_way_to_reset)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CDEV);
	struct abi_vfio_device_info info = { .argsz = sizeof(info) };
	struct abi_vfio_pci_hot_reset_info hot = { .argsz = sizeof(hot) };
	struct abi_vfio_pci_hot_reset cmd = { .argsz = sizeof(cmd) };

	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(info.flags, ABI_VFIO_DEVICE_FLAGS_PCI);
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_RESET, NULL)); /* [VM] edu */
	EXPECT_ERR(-ENODEV, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot)); /* [VM] */
	EXPECT_ERR(-ENODEV, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &cmd));
	EXPECT_EQ(probe_of(rig->device)->num_resets, 0);
}

/* Two functions on one bus, in groups of their own, the first of them open. */
struct bus {
	struct rig *rig;
	struct weir_sim_device *first, *second;
};

static struct bus new_bus(struct t *t, uint32_t second_group, const char *driver)
{
	struct bus bus = { .rig = rig_new(t, &plain_model, BY_CDEV) };

	ASSERT_OK(weir_sim_add(
		bus.rig->sim, &plain_model,
		&WEIR_OPTS(weir_sim_slot, .address = "0000:02:00.0", .group = 20, .bus_group = 1), NULL,
		&bus.first));
	ASSERT_OK(weir_sim_add(bus.rig->sim, &plain_model,
			       &WEIR_OPTS(weir_sim_slot, .address = "0000:02:00.1", .group = second_group,
					  .bus_group = 1, .driver = driver),
			       NULL, &bus.second));
	return bus;
}

struct hot_info {
	struct abi_vfio_pci_hot_reset_info info;
	struct abi_vfio_pci_dependent_device devices[3];
};

UNIT(sim_device, hot_reset_by_device_ids)
{
	struct bus bus = new_bus(t, 21, NULL);
	struct weir_sim *sim = bus.rig->sim;
	struct abi_vfio_pci_hot_reset cmd = { .argsz = sizeof(cmd) };
	struct hot_info hot = { .info = { .argsz = sizeof(hot) } };
	uint32_t id, other;
	int fd = rig_bind(bus.rig, bus.first, &id), second;

	EXPECT_OK(call(sim, fd, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot));
	EXPECT_EQ(hot.info.flags, ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID);
	EXPECT_EQ(hot.info.count, 2);
	EXPECT_EQ(hot.devices[0].devid, id);
	EXPECT_EQ(hot.devices[0].bus, 2);
	EXPECT_EQ(hot.devices[1].devfn, 1);
	EXPECT_EQ(hot.devices[1].devid, ABI_VFIO_PCI_DEVID_NOT_OWNED);
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &cmd));
	second = rig_bind(bus.rig, bus.second, &other);
	EXPECT_OK(call(sim, fd, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot));
	EXPECT_EQ(hot.info.flags, 3);
	EXPECT_EQ(hot.devices[1].devid, other);
	EXPECT_OK(call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &cmd));
	EXPECT_EQ(probe_of(bus.first)->num_resets, 1);
	EXPECT_EQ(probe_of(bus.second)->num_resets, 1);
	cmd.count = 1;
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &cmd));
	cmd = (struct abi_vfio_pci_hot_reset){ .argsz = sizeof(cmd), .flags = 1 };
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &cmd));
	hot.info.argsz = sizeof(hot.info) + 15;
	hot.info.flags = 3;
	EXPECT_ERR(-ENOSPC, call(sim, fd, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot));
	EXPECT_EQ(hot.info.count, 2);
	EXPECT_EQ(hot.info.flags, 0);
	done(sim, second);
	done(sim, fd);
}

UNIT(sim_device, siblings_of_the_group_count_as_owned)
{
	struct bus bus = new_bus(t, 20, NULL);
	struct hot_info hot = { .info = { .argsz = sizeof(hot) } };
	struct abi_vfio_pci_hot_reset cmd = { .argsz = sizeof(cmd) };
	uint32_t id;
	int fd = rig_bind(bus.rig, bus.first, &id);

	EXPECT_OK(call(bus.rig->sim, fd, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot));
	EXPECT_EQ(hot.info.flags, 3);
	EXPECT_EQ(hot.devices[1].devid, ABI_VFIO_PCI_DEVID_OWNED);
	EXPECT_OK(call(bus.rig->sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &cmd));
	done(bus.rig->sim, fd);
}

UNIT(sim_device, who_is_not_bound_to_vfio_cannot_be_reset)
{
	struct bus bus = new_bus(t, 20, "");
	struct hot_info hot = { .info = { .argsz = sizeof(hot) } };
	struct abi_vfio_pci_hot_reset cmd = { .argsz = sizeof(cmd) };
	uint32_t id;
	int fd = rig_bind(bus.rig, bus.first, &id);

	EXPECT_OK(call(bus.rig->sim, fd, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot));
	EXPECT_EQ(hot.info.flags, ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID);
	EXPECT_EQ(hot.devices[1].devid, ABI_VFIO_PCI_DEVID_NOT_OWNED);
	EXPECT_ERR(-EINVAL, call(bus.rig->sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &cmd));
	done(bus.rig->sim, fd);
}

UNIT(sim_device, hot_reset_by_groups)
{
	struct bus bus = new_bus(t, 21, NULL);
	struct weir_sim *sim = bus.rig->sim;
	struct {
		struct abi_vfio_pci_hot_reset cmd;
		int32_t fds[3];
	} hot = { .cmd = { .argsz = sizeof(hot), .count = 1 } };
	struct hot_info info = { .info = { .argsz = sizeof(info) } };
	int container = node(sim, "/dev/vfio/vfio"), fd;

	hot.fds[0] = group_node(bus.first);
	hot.fds[1] = group_node(bus.second);
	ASSERT_OK(call(sim, hot.fds[0], ABI_VFIO_GROUP_SET_CONTAINER, &container));
	ASSERT_OK(call_value(sim, container, ABI_VFIO_SET_IOMMU, ABI_VFIO_TYPE1v2_IOMMU));
	fd = (int)call(sim, hot.fds[0], ABI_VFIO_GROUP_GET_DEVICE_FD, bus.first->address);
	ASSERT_GE(fd, 0);
	EXPECT_OK(call(sim, fd, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info));
	EXPECT_EQ(info.info.flags, 0);
	EXPECT_EQ(info.devices[0].group_id, 20);
	EXPECT_EQ(info.devices[1].group_id, 21);
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &hot));
	hot.cmd.count = 0;
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &hot));
	hot.cmd.count = 3;
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &hot));
	hot.cmd.count = 2;
	EXPECT_OK(call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &hot));
	EXPECT_EQ(probe_of(bus.second)->num_resets, 1);
	done(sim, hot.fds[1]);
	hot.fds[1] = 9999;
	EXPECT_ERR(-EBADF, call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &hot));
	hot.fds[1] = container;
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_VFIO_DEVICE_PCI_HOT_RESET, &hot));
	done(sim, fd);
	done(sim, hot.fds[0]);
	done(sim, container);
}

UNIT(sim_device, alone_on_its_bus_a_function_can_be_reset_with_it)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CDEV);
	struct weir_sim_device *device;
	uint32_t id;
	int fd;

	ASSERT_OK(weir_sim_add(rig->sim, &plain_model,
			       &WEIR_OPTS(weir_sim_slot, .address = "0000:03:00.0", .bus_group = 3), NULL,
			       &device));
	fd = rig_bind(rig, device, &id);
	EXPECT_OK(call(rig->sim, fd, ABI_VFIO_DEVICE_RESET, NULL));
	done(rig->sim, fd);
}

/* Features (B.8) ----------------------------------------------------------------------------------------- */

static int64_t feature(struct rig *rig, uint32_t flags, size_t len, const void *data)
{
	struct {
		struct abi_vfio_device_feature cmd;
		unsigned char data[64];
	} cmd = { .cmd = { .argsz = (uint32_t)(8 + len), .flags = flags } };

	if (data)
		memcpy(cmd.data, data, len);
	return call(rig->sim, rig->fd, ABI_VFIO_DEVICE_FEATURE, &cmd);
}

enum {
	GET = ABI_VFIO_DEVICE_FEATURE_GET,
	SET = ABI_VFIO_DEVICE_FEATURE_SET,
	PROBE = ABI_VFIO_DEVICE_FEATURE_PROBE,
};

/* Each [VM]: what edu and vfio-pci answer. */
UNIT(sim_device, features)
{
	static const int probed[] = { -ENOTTY, -ENOTTY, -ENOTTY, 0, 0,       0,       -ENOTTY, -ENOTTY,
				      -ENOTTY, -ENOTTY, -ENOTTY, 0, -EINVAL, -ENOTTY, -ENOTTY };
	static const uint32_t direction[] = { SET, GET, GET, SET, SET, SET, SET, SET,
					      GET, GET, SET, GET, SET, SET, GET };
	struct rig *rig = rig_new(t, &plain_model, BY_CDEV);

	for (uint32_t i = 0; i < sizeof(probed) / sizeof(probed[0]); i++) {
		t_note(t, "feature %u", i);
		EXPECT_EQ(feature(rig, i | PROBE | direction[i], 0, NULL), probed[i]);
	}
	t_note(t, "frame");
	EXPECT_ERR(-EINVAL, feature(rig, 3 | PROBE | GET, 0, NULL));
	EXPECT_ERR(-EINVAL, feature(rig, 3 | PROBE | GET | SET, 0, NULL));
	EXPECT_ERR(-EINVAL, feature(rig, 0 | GET | SET, 0, NULL));
	EXPECT_ERR(-EINVAL, feature(rig, 0 | SET | 1u << 19, 0, NULL));
	EXPECT_ERR(-EINVAL, feature(rig, 3, 0, NULL));
	EXPECT_ERR(-EINVAL, feature(rig, 4 | SET, 7, NULL));
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_FEATURE, &(uint32_t[2]){ 7, 3 | SET }));
}

UNIT(sim_device, low_power)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int wakeup[2] = { event(t), 0 };
	void *mapped;

	ASSERT_OK(map(rig->sim, rig->fd, REGION(2), PAGE, MAP_SHARED, &mapped));
	EXPECT_OK(feature(rig, 5 | SET, 0, NULL)); /* out of what it was not in */
	EXPECT_OK(feature(rig, 3 | SET, 0, NULL));
	EXPECT_ERR(-EINVAL, feature(rig, 3 | SET, 0, NULL));
	EXPECT_EQ(touch(mapped), SIGBUS);
	EXPECT_EQ(get32(rig->sim, rig->fd, REGION(0)), 0); /* wakes it for as long as it takes */
	EXPECT_EQ(touch(mapped), SIGBUS);
	EXPECT_OK(feature(rig, 5 | SET, 0, NULL));
	EXPECT_EQ(touch(mapped), 0);
	EXPECT_OK(feature(rig, 4 | SET, 8, wakeup));
	EXPECT_EQ(touch(mapped), SIGBUS);
	EXPECT_EQ(signals(wakeup[0]), 0);
	EXPECT_EQ(get32(rig->sim, rig->fd, REGION(0)), 0); /* ends it */
	EXPECT_EQ(signals(wakeup[0]), 1);
	EXPECT_EQ(touch(mapped), 0);
	wakeup[0] = -1;
	EXPECT_ERR(-EINVAL, feature(rig, 4 | SET, 8, wakeup));
	wakeup[0] = 9999;
	EXPECT_ERR(-EBADF, feature(rig, 4 | SET, 8, wakeup));
	EXPECT_OK(feature(rig, 3 | SET, 0, NULL));
	EXPECT_OK(unmap(rig->sim, mapped, PAGE));
}

/* Registers written by eventfd (B.6) --------------------------------------------------------------------- */

UNIT(sim_device, doorbells_that_are_refused)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	const int fd = event(t);
	const struct {
		const char *what;
		struct abi_vfio_device_ioeventfd cmd;
		int result;
	} rows[] = {
		{ "argsz", { 27, 4, REGION(0), 0, fd, 0 }, -EINVAL },
		{ "no width", { 32, 0, REGION(0), 0, fd, 0 }, -EINVAL },
		{ "two widths", { 32, 6, REGION(0), 0, fd, 0 }, -EINVAL },
		{ "unknown flag", { 32, 20, REGION(0), 0, fd, 0 }, -EINVAL },
		{ "8 bytes", { 32, 8, REGION(0), 0, fd, 0 }, -EINVAL },
		{ "descriptor", { 32, 4, REGION(0), 0, -2, 0 }, -EINVAL },
		{ "no BAR", { 32, 4, REGION(7), 0, fd, 0 }, -EINVAL },
		{ "absent", { 32, 4, REGION(3), 0, fd, 0 }, -EINVAL },
		{ "past the end", { 32, 4, REGION(0) + 4094, 0, fd, 0 }, -EINVAL },
		{ "MSI-X table", { 32, 4, REGION(2) + PROBE_TABLE + 124, 0, fd, 0 }, -EINVAL },
		{ "none to remove", { 32, 4, REGION(0), 0, -1, 0 }, -ENODEV },
		{ "closed", { 32, 4, REGION(0), 0, 9999, 0 }, -EBADF },
		{ "good", { 32, 4, REGION(0), 0, fd, 0 }, 0 },
		{ "twice", { 32, 4, REGION(0), 0, fd, 0 }, -EEXIST },
		{ "other data", { 32, 4, REGION(0), 1, fd, 0 }, 0 },
		{ "remove", { 32, 4, REGION(0), 0, -1, 0 }, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct abi_vfio_device_ioeventfd cmd = rows[i].cmd;

		t_note(t, "%s", rows[i].what);
		EXPECT_EQ(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_IOEVENTFD, &cmd), rows[i].result);
	}
}

UNIT(sim_device, a_doorbell_writes_its_register)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	int fd = event(t);
	struct abi_vfio_device_ioeventfd cmd = { 32, 2, REGION(0) + 0x10, 0xabcd, fd, 0 };
	const uint64_t one = 1;

	ASSERT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_IOEVENTFD, &cmd));
	ASSERT_EQ(write(fd, &one, sizeof(one)), 8);
	EXPECT_EQ(weir_sim_step(rig->sim), 1);
	EXPECT_EQ(weir_sim_step(rig->sim), 0);
	EXPECT_EQ(probe_of(rig->device)->num_accesses, 1);
	EXPECT_EQ(get32(rig->sim, rig->fd, REGION(0) + 0x10), 0xabcd);
}
