// SPDX-License-Identifier: MIT
/*
 * The simulated machine's groups and containers up to their type (kernel-interface B.2, C.1, C.2), row by
 * row.
 */
#include <errno.h>
#include <stdio.h>

#include "sim_probe.h"

enum { PAGE = 4096, READ = ABI_VFIO_DMA_MAP_FLAG_READ };

/* Groups (B.2) ------------------------------------------------------------------------------------------- */

struct groups {
	struct weir_sim *sim;
	struct weir_sim_device *device;
	int group, container;
};

static void close_groups(void *arg)
{
	struct groups *groups = arg;

	done(groups->sim, groups->group);
	done(groups->sim, groups->container);
}

/* A device, its group and a container, open and nothing more. */
static void open_groups(struct t *t, const struct weir_sim_opts *opts, struct groups *groups)
{
	groups->sim = new_machine(t, opts);
	ASSERT_OK(weir_sim_add(groups->sim, &probe_model, &WEIR_OPTS(weir_sim_slot, .group = 5), NULL,
			       &groups->device));
	groups->group = group_node(groups->device);
	groups->container = node(groups->sim, "/dev/vfio/vfio");
	ASSERT_GE(groups->group, 0);
	ASSERT_GE(groups->container, 0);
	t_defer(t, close_groups, groups);
}

static uint32_t status(const struct groups *groups)
{
	struct abi_vfio_group_status cmd = { .argsz = sizeof(cmd) };

	ASSERT_OK(call(groups->sim, groups->group, ABI_VFIO_GROUP_GET_STATUS, &cmd));
	return cmd.flags;
}

static int64_t set_container(const struct groups *groups, int32_t fd)
{
	return call(groups->sim, groups->group, ABI_VFIO_GROUP_SET_CONTAINER, &fd);
}

static int64_t unset_container(const struct groups *groups)
{
	return call_value(groups->sim, groups->group, ABI_VFIO_GROUP_UNSET_CONTAINER, 0);
}

static int64_t set_type(const struct groups *groups, uint32_t type)
{
	return call_value(groups->sim, groups->container, ABI_VFIO_SET_IOMMU, type);
}

static int64_t get_device(const struct groups *groups, const char *name)
{
	return call(groups->sim, groups->group, ABI_VFIO_GROUP_GET_DEVICE_FD, (void *)(uintptr_t)name);
}

UNIT(sim_group, a_group_goes_in_and_out)
{
	static struct groups g;

	open_groups(t, NULL, &g);
	EXPECT_EQ(status(&g), ABI_VFIO_GROUP_FLAGS_VIABLE);
	EXPECT_ERR(-EINVAL, unset_container(&g));
	EXPECT_ERR(-EINVAL, get_device(&g, g.device->address));
	EXPECT_ERR(-EBADF, set_container(&g, -1));
	EXPECT_ERR(-EBADF, set_container(&g, 9999));
	EXPECT_ERR(-EBADFD, set_container(&g, g.group));
	EXPECT_ERR(-EBADFD, set_container(&g, 0));
	EXPECT_ERR(-EFAULT, call(g.sim, g.group, ABI_VFIO_GROUP_SET_CONTAINER, NULL));
	EXPECT_OK(set_container(&g, g.container));
	EXPECT_EQ(status(&g), 3);
	EXPECT_ERR(-EINVAL, set_container(&g, g.container));
	EXPECT_ERR(-EBADF, set_container(&g, 9999));
	EXPECT_OK(unset_container(&g));
	EXPECT_EQ(status(&g), ABI_VFIO_GROUP_FLAGS_VIABLE);
	EXPECT_ERR(-ENOTTY, call_value(g.sim, g.group, ABI_VFIO_DEVICE_GET_INFO, 0));
	EXPECT_ERR(-EINVAL, call(g.sim, g.group, ABI_VFIO_GROUP_GET_STATUS,
				 &(struct abi_vfio_group_status){ .argsz = 7 }));
}

UNIT(sim_group, devices_of_a_group)
{
	static const char token[] = " vf_token=00112233-4455-6677-8899-aabbccddeeff";
	static struct groups g;
	char name[128];
	int64_t fd, again;

	open_groups(t, NULL, &g);
	ASSERT_OK(set_container(&g, g.container));
	EXPECT_ERR(-EINVAL, get_device(&g, g.device->address)); /* the container has no type */
	ASSERT_OK(set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	EXPECT_ERR(-ENODEV, get_device(&g, "0000:00:1f.0"));
	EXPECT_ERR(-ENODEV, get_device(&g, ""));
	EXPECT_ERR(-EFAULT, get_device(&g, NULL));
	snprintf(name, sizeof(name), "%sx", g.device->address);
	EXPECT_ERR(-ENODEV, get_device(&g, name));
	snprintf(name, sizeof(name), "%s%s", g.device->address, token);
	EXPECT_ERR(-EINVAL, get_device(&g, name)); /* nobody wants one */
	snprintf(name, sizeof(name), "%s option", g.device->address);
	EXPECT_ERR(-EINVAL, get_device(&g, name));
	snprintf(name, sizeof(name), "%s  ", g.device->address);
	fd = get_device(&g, name);
	ASSERT_GE(fd, 0);
	again = get_device(&g, g.device->address); /* as often as one likes */
	ASSERT_GE(again, 0);
	EXPECT_ERR(-EBUSY, unset_container(&g));
	done(g.sim, (int)fd);
	EXPECT_ERR(-EBUSY, unset_container(&g));
	done(g.sim, (int)again);
	EXPECT_OK(unset_container(&g));
}

UNIT(sim_group, a_device_keeps_its_group_open)
{
	static struct groups g;
	int64_t fd;

	open_groups(t, NULL, &g);
	ASSERT_OK(set_container(&g, g.container));
	ASSERT_OK(set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	fd = get_device(&g, g.device->address);
	ASSERT_GE(fd, 0);
	done(g.sim, g.group);
	EXPECT_ERR(-EBUSY, group_node(g.device));
	done(g.sim, (int)fd);
	g.group = group_node(g.device);
	EXPECT_EQ(status(&g), ABI_VFIO_GROUP_FLAGS_VIABLE);
	EXPECT_ERR(-EINVAL, call_value(g.sim, g.container, ABI_VFIO_IOMMU_GET_INFO, 0));
}

UNIT(sim_group, on_an_iommufd_it_does_not)
{
	static struct groups g;
	int iommufd;
	int64_t fd;

	open_groups(t, NULL, &g);
	iommufd = node(g.sim, "/dev/iommu");
	ASSERT_OK(set_container(&g, iommufd));
	fd = get_device(&g, g.device->address);
	ASSERT_GE(fd, 0);
	EXPECT_OK(unset_container(&g));
	done(g.sim, g.group);
	g.group = group_node(g.device);
	ASSERT_GE(g.group, 0);
	done(g.sim, (int)fd);
	done(g.sim, iommufd);
}

UNIT(sim_group, a_group_with_a_foreign_driver_is_not_viable)
{
	static struct groups g;

	open_groups(t, NULL, &g);
	ASSERT_OK(weir_sim_add(g.sim, &plain_model,
			       &WEIR_OPTS(weir_sim_slot, .group = 5, .driver = "pci-stub"), NULL, NULL));
	EXPECT_EQ(status(&g), ABI_VFIO_GROUP_FLAGS_VIABLE);
	ASSERT_OK(weir_sim_add(g.sim, &plain_model, &WEIR_OPTS(weir_sim_slot, .group = 5, .driver = "e1000e"),
			       NULL, NULL));
	EXPECT_EQ(status(&g), 0);
	EXPECT_ERR(-EPERM, set_container(&g, g.container));
}

UNIT(sim_group, interrupts_that_are_not_isolated)
{
	static struct groups g;

	open_groups(t, &WEIR_OPTS(weir_sim_opts, .flags = WEIR_SIM_UNSAFE_IRQS), &g);
	ASSERT_OK(set_container(&g, g.container)); /* nobody looks before there is a type */
	EXPECT_ERR(-EPERM, set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	EXPECT_ERR(-EINVAL, get_device(&g, g.device->address));
}

/* The container (C.1, C.2) ------------------------------------------------------------------------------- */

UNIT(sim_group, nothing_works_before_it_has_a_type)
{
	static struct groups g;
	uint32_t words[16] = { sizeof(words) };

	open_groups(t, NULL, &g);
	EXPECT_EQ(call_value(g.sim, g.container, ABI_VFIO_GET_API_VERSION, 0), 0);
	for (unsigned long request = 0x3b67; request < 0x3b7a; request++) {
		t_note(t, "request 0x%lx", request);
		EXPECT_ERR(-EINVAL, call(g.sim, g.container, request, words));
	}
	EXPECT_ERR(-EINVAL, set_type(&g, ABI_VFIO_TYPE1v2_IOMMU)); /* no group [VM] */
	ASSERT_OK(set_container(&g, g.container));
	EXPECT_ERR(-ENODEV, set_type(&g, 6));
	EXPECT_ERR(-ENODEV, set_type(&g, 2));
	EXPECT_ERR(-EINVAL, set_type(&g, ABI_VFIO_UNMAP_ALL)); /* an extension, but no type */
	EXPECT_OK(set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	EXPECT_ERR(-EINVAL, set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	EXPECT_ERR(-ENOTTY, call(g.sim, g.container, 0x3b76, words));
}

UNIT(sim_group, extensions)
{
	static const int before[] = { 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0 };
	static const int after[] = { 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0 };
	static struct groups g;

	open_groups(t, NULL, &g);
	for (uint32_t i = 0; i < 12; i++)
		EXPECT_EQ(call_value(g.sim, g.container, ABI_VFIO_CHECK_EXTENSION, i), before[i]);
	ASSERT_OK(set_container(&g, g.container));
	ASSERT_OK(set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	for (uint32_t i = 0; i < 12; i++)
		EXPECT_EQ(call_value(g.sim, g.container, ABI_VFIO_CHECK_EXTENSION, i), after[i]);
}

UNIT(sim_group, a_machine_without_version_2)
{
	static struct groups g;

	open_groups(t, &WEIR_OPTS(weir_sim_opts, .flags = WEIR_SIM_TYPE1_V1), &g);
	EXPECT_EQ(call_value(g.sim, g.container, ABI_VFIO_CHECK_EXTENSION, ABI_VFIO_TYPE1v2_IOMMU), 0);
	ASSERT_OK(set_container(&g, g.container));
	EXPECT_ERR(-ENODEV, set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	EXPECT_OK(set_type(&g, ABI_VFIO_TYPE1_IOMMU));
}

struct whole_info {
	struct abi_vfio_iommu_type1_info info;
	struct abi_vfio_iommu_type1_info_cap_migration migration;
	struct abi_vfio_iommu_type1_info_dma_avail available;
	uint32_t pad;
	struct abi_vfio_iommu_type1_info_cap_iova_range ranges;
	struct abi_vfio_iova_range range[2];
};

UNIT(sim_group, info)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	struct whole_info all = { .info = { .argsz = sizeof(all) } };
	struct abi_vfio_iommu_type1_info info = { .argsz = sizeof(info), .cap_offset = 1 };

	EXPECT_OK(call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_GET_INFO, &info));
	EXPECT_EQ(info.flags, 3);
	EXPECT_EQ(info.iova_pgsizes, 0x40201000);
	EXPECT_EQ(info.cap_offset, 0);
	EXPECT_EQ(info.argsz, sizeof(all));
	EXPECT_OK(call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_GET_INFO, &all));
	EXPECT_EQ(all.info.cap_offset, 24);
	EXPECT_EQ(all.migration.header.id, 2);
	EXPECT_EQ(all.migration.header.version, 1);
	EXPECT_EQ(all.migration.header.next, 56);
	EXPECT_EQ(all.migration.pgsize_bitmap, 4096);
	EXPECT_EQ(all.migration.max_dirty_bitmap_size, 256 << 20);
	EXPECT_EQ(all.available.header.id, 3);
	EXPECT_EQ(all.available.header.next, 72);
	EXPECT_EQ(all.available.avail, 65535);
	EXPECT_EQ(all.ranges.header.id, 1);
	EXPECT_EQ(all.ranges.header.next, 0);
	ASSERT_EQ(all.ranges.nr_iovas, 2);
	EXPECT_EQ(all.range[0].start, 0);
	EXPECT_EQ(all.range[0].end, 0xfedfffff);
	EXPECT_EQ(all.range[1].start, 0xfef00000);
	EXPECT_EQ(all.range[1].end, (UINT64_C(1) << 48) - 1);
	info = (struct abi_vfio_iommu_type1_info){ .argsz = 16 };
	EXPECT_OK(call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_GET_INFO, &info));
	info.argsz = 15;
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_GET_INFO, &info));
}

UNIT(sim_group, the_last_group_takes_everything_with_it)
{
	static struct groups g;
	struct weir_sim_device *other;
	struct abi_vfio_iommu_type1_dma_map map = { sizeof(map), READ, 0, 0x1000, PAGE };
	uint64_t locked;
	int32_t second;

	open_groups(t, NULL, &g);
	map.vaddr = (uintptr_t)memory(t, PAGE);
	ASSERT_OK(weir_sim_add(g.sim, &plain_model, NULL, NULL, &other));
	second = group_node(other);
	ASSERT_OK(set_container(&g, g.container));
	ASSERT_OK(set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	locked = g.sim->processes[0].locked_bytes;
	ASSERT_OK(call(g.sim, g.container, ABI_VFIO_IOMMU_MAP_DMA, &map));
	ASSERT_OK(call(g.sim, second, ABI_VFIO_GROUP_SET_CONTAINER, &g.container));
	EXPECT_OK(unset_container(&g));
	EXPECT_TRUE(g.device->group->domain == NULL);
	EXPECT_ERR(-EEXIST, call(g.sim, g.container, ABI_VFIO_IOMMU_MAP_DMA, &map));
	EXPECT_EQ(g.sim->processes[0].locked_bytes, locked + PAGE);
	done(g.sim, second); /* a group leaves when it is closed */
	EXPECT_EQ(g.sim->processes[0].locked_bytes, locked);
	EXPECT_ERR(-EINVAL, call(g.sim, g.container, ABI_VFIO_IOMMU_MAP_DMA, &map));
}

UNIT(sim_group, as_many_mappings_as_the_limit)
{
	static struct groups g;
	struct abi_vfio_iommu_type1_dma_map map = { sizeof(map), READ, 0, 0, PAGE };
	struct abi_vfio_iommu_type1_dma_unmap unmap = { sizeof(unmap), 0, 0, PAGE };
	struct whole_info all = { .info = { .argsz = sizeof(all) } };

	open_groups(t, &WEIR_OPTS(weir_sim_opts, .max_mappings = 2), &g);
	map.vaddr = (uintptr_t)memory(t, PAGE);
	ASSERT_OK(set_container(&g, g.container));
	ASSERT_OK(set_type(&g, ABI_VFIO_TYPE1v2_IOMMU));
	EXPECT_OK(call(g.sim, g.container, ABI_VFIO_IOMMU_MAP_DMA, &map));
	map.iova = PAGE;
	EXPECT_OK(call(g.sim, g.container, ABI_VFIO_IOMMU_MAP_DMA, &map));
	EXPECT_OK(call(g.sim, g.container, ABI_VFIO_IOMMU_GET_INFO, &all));
	EXPECT_EQ(all.available.avail, 0);
	map.iova = 0xfee00000; /* the limit comes before the window */
	EXPECT_ERR(-ENOSPC, call(g.sim, g.container, ABI_VFIO_IOMMU_MAP_DMA, &map));
	EXPECT_OK(call(g.sim, g.container, ABI_VFIO_IOMMU_UNMAP_DMA, &unmap));
	map.iova = 3 * PAGE;
	EXPECT_OK(call(g.sim, g.container, ABI_VFIO_IOMMU_MAP_DMA, &map));
}

UNIT(sim_group, an_old_kernel_grows_nothing)
{
	struct weir_sim *sim = new_machine(t, &WEIR_OPTS(weir_sim_opts, .age = WEIR_SIM_6_1));
	struct abi_vfio_irq_info info = { .argsz = sizeof(info), .index = ABI_VFIO_PCI_MSIX_IRQ_INDEX };
	struct weir_sim_device *device;
	int group, container, fd;

	ASSERT_OK(weir_sim_add(sim, &probe_model, NULL, NULL, &device));
	group = group_node(device);
	container = node(sim, "/dev/vfio/vfio");
	EXPECT_OK(call(sim, group, ABI_VFIO_GROUP_SET_CONTAINER, &container));
	EXPECT_OK(call_value(sim, container, ABI_VFIO_SET_IOMMU, ABI_VFIO_TYPE1v2_IOMMU));
	fd = (int)call(sim, group, ABI_VFIO_GROUP_GET_DEVICE_FD, device->address);
	EXPECT_OK(call(sim, fd, ABI_VFIO_DEVICE_GET_IRQ_INFO, &info));
	EXPECT_EQ(info.flags, 0x9);
	EXPECT_ERR(-ENOTTY, call_value(sim, fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, 0));
	done(sim, fd);
	done(sim, group);
	done(sim, container);
}
