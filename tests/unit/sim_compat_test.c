// SPDX-License-Identifier: MIT
/* The simulated /dev/iommu as a container (kernel-interface A.15). */
#include "sim_iommu.h"

#include <errno.h>
#include <stdio.h>

static int vfio_ioas(struct weir_sim *sim, int fd, uint16_t op, uint32_t *id)
{
	union cmd cmd = { .vfio_ioas = { .ioas_id = *id, .op = op } };
	int error = command(sim, fd, 0x88, &cmd);

	*id = cmd.vfio_ioas.ioas_id;
	return error;
}

static int check_extension(struct weir_sim *sim, int fd, uintptr_t extension)
{
	return call(sim, fd, ABI_VFIO_CHECK_EXTENSION, (void *)extension);
}

UNIT(sim_compat, before_there_is_a_space)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	struct abi_vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct abi_vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };
	struct abi_vfio_iommu_type1_dma_unmap unmap_dma = { .argsz = sizeof(unmap_dma) };
	uint32_t id = 9;

	EXPECT_EQ(call(sim, fd, ABI_VFIO_GET_API_VERSION, NULL), 0);
	EXPECT_EQ(check_extension(sim, fd, 1), 1);
	EXPECT_EQ(check_extension(sim, fd, 3), 1);
	EXPECT_EQ(check_extension(sim, fd, 9), 1);
	EXPECT_EQ(check_extension(sim, fd, 4), -ENODEV);
	EXPECT_EQ(check_extension(sim, fd, 6), 0);
	EXPECT_EQ(check_extension(sim, fd, 8), 0);
	EXPECT_EQ(check_extension(sim, fd, 10), 0);
	EXPECT_ERR(-ENODEV, call(sim, fd, ABI_VFIO_SET_IOMMU, (void *)3));
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_VFIO_SET_IOMMU, (void *)2));
	EXPECT_ERR(-ENODEV, call(sim, fd, ABI_VFIO_IOMMU_GET_INFO, &info));
	EXPECT_ERR(-ENODEV, call(sim, fd, ABI_VFIO_IOMMU_MAP_DMA, &map));
	EXPECT_ERR(-ENODEV, call(sim, fd, ABI_VFIO_IOMMU_UNMAP_DMA, &unmap_dma));
	EXPECT_ERR(-ENOTTY, call(sim, fd, ABI_VFIO_IOMMU_DIRTY_PAGES, &map));
	EXPECT_ERR(-ENODEV, vfio_ioas(sim, fd, 0, &id));
	EXPECT_ERR(-ENOENT, vfio_ioas(sim, fd, 1, &id));
	EXPECT_ERR(-EOPNOTSUPP, vfio_ioas(sim, fd, 3, &id));
	id = new_ioas(sim, fd);
	EXPECT_OK(vfio_ioas(sim, fd, 1, &id));
	EXPECT_EQ(check_extension(sim, fd, 4), 1);
	EXPECT_OK(vfio_ioas(sim, fd, 0, (id = 0, &id)));
	EXPECT_EQ(id, 1);
	EXPECT_OK(vfio_ioas(sim, fd, 2, &id));
	EXPECT_ERR(-ENODEV, vfio_ioas(sim, fd, 0, &id));
	/* One that is destroyed serves no more. */
	EXPECT_OK(vfio_ioas(sim, fd, 1, (id = 1, &id)));
	EXPECT_OK(destroy(sim, fd, 1));
	EXPECT_ERR(-ENODEV, vfio_ioas(sim, fd, 0, &id));
}

/* A machine whose toy's group is in an iommufd; its device is opened, too, if wanted. */
static struct board new_compat(struct t *t, bool opened)
{
	struct board b = { .sim = new_machine(t, NULL) };
	char path[32];
	int group;

	b.device = new_toy(t, b.sim, NULL);
	b.iommufd = open_iommufd(t, b.sim);
	snprintf(path, sizeof(path), "/dev/vfio/%u", b.device->group->number);
	group = open_node(t, b.sim, path);
	ASSERT_OK(call(b.sim, group, ABI_VFIO_GROUP_SET_CONTAINER, &b.iommufd));
	b.ioas = 1;
	if (!opened)
		return b;
	b.cdev = call(b.sim, group, ABI_VFIO_GROUP_GET_DEVICE_FD, b.device->address);
	ASSERT_GE(b.cdev, 0);
	set_bus_master(b.sim, b.cdev);
	return b;
}

static int map_dma(const struct board *b, const void *addr, uint64_t len, uint64_t iova, uint32_t flags)
{
	struct abi_vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .vaddr = (uintptr_t)addr, .size = len, .iova = iova
	};

	return call(b->sim, b->iommufd, ABI_VFIO_IOMMU_MAP_DMA, &map);
}

static int unmap_dma(const struct board *b, uint64_t iova, uint64_t *len, uint32_t flags)
{
	struct abi_vfio_iommu_type1_dma_unmap cmd = {
		.argsz = sizeof(cmd), .flags = flags, .iova = iova, .size = *len
	};
	int error = call(b->sim, b->iommufd, ABI_VFIO_IOMMU_UNMAP_DMA, &cmd);

	*len = cmd.size;
	return error;
}

UNIT(sim_compat, a_groups_first_device_is_attached_when_it_is_opened)
{
	struct board b = new_compat(t, false);
	uint32_t id = 0;

	EXPECT_OK(vfio_ioas(b.sim, b.iommufd, 0, &id));
	EXPECT_EQ(id, 1);
	/* Without a table, anything goes. */
	EXPECT_OK(map_dma(&b, NULL, PAGE, MIB, 0));
	EXPECT_OK(destroy(b.sim, b.iommufd, 1));
}

UNIT(sim_compat, info_has_its_capabilities_in_the_other_order)
{
	struct board b = new_compat(t, true);
	union {
		struct abi_vfio_iommu_type1_info info;
		unsigned char bytes[128];
	} answer = { .info = { .argsz = sizeof(answer.info) } };
	const struct abi_vfio_iommu_type1_info_dma_avail *avail;
	const struct abi_vfio_iommu_type1_info_cap_iova_range *ranges;

	EXPECT_OK(call(b.sim, b.iommufd, ABI_VFIO_IOMMU_GET_INFO, &answer));
	EXPECT_EQ(answer.info.flags, ABI_VFIO_IOMMU_INFO_PGSIZES | ABI_VFIO_IOMMU_INFO_CAPS);
	EXPECT_EQ(answer.info.iova_pgsizes, 0x40201000);
	EXPECT_EQ(answer.info.cap_offset, 0);
	EXPECT_EQ(answer.info.argsz, 24 + 16 + 16 + 2 * 16);
	EXPECT_OK(call(b.sim, b.iommufd, ABI_VFIO_IOMMU_GET_INFO, &answer));
	EXPECT_EQ(answer.info.cap_offset, 24);
	avail = (const void *)(answer.bytes + 24);
	EXPECT_EQ(avail->header.id, ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	EXPECT_EQ(avail->avail, UINT32_MAX);
	EXPECT_EQ(avail->header.next, 40);
	ranges = (const void *)(answer.bytes + 40);
	EXPECT_EQ(ranges->header.id, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	EXPECT_EQ(ranges->header.next, 0);
	EXPECT_EQ(ranges->nr_iovas, 2);
	EXPECT_EQ(ranges->iova_ranges[0].end, 0xfedfffff);
	EXPECT_EQ(ranges->iova_ranges[1].start, 0xfef00000);
	answer.info.argsz = 15;
	EXPECT_ERR(-EINVAL, call(b.sim, b.iommufd, ABI_VFIO_IOMMU_GET_INFO, &answer));
	answer.info.argsz = 16;
	EXPECT_OK(call(b.sim, b.iommufd, ABI_VFIO_IOMMU_GET_INFO, &answer));
	close_node(b.sim, b.cdev);
}

UNIT(sim_compat, map_and_unmap_of_version_2)
{
	struct board b = new_compat(t, true);
	unsigned char *memory = new_memory(t, 4 * PAGE);
	uint64_t len;

	EXPECT_OK(call(b.sim, b.iommufd, ABI_VFIO_SET_IOMMU, (void *)3));
	EXPECT_OK(map_dma(&b, memory, 2 * PAGE, MIB, 3));
	EXPECT_TRUE(reaches(b.device, MIB));
	EXPECT_ERR(-EEXIST, map_dma(&b, memory, PAGE, MIB, 3));
	EXPECT_ERR(-EINVAL, map_dma(&b, memory, PAGE, 0, 4));
	EXPECT_ERR(-EINVAL, map_dma(&b, memory, PAGE, 0, 0));
	EXPECT_ERR(-EINVAL, map_dma(&b, memory, PAGE, 0xfee00000, 3));
	EXPECT_ERR(-EFAULT, map_dma(&b, NULL, PAGE, 0, 3));
	EXPECT_ERR(-ENOENT, unmap_dma(&b, MIB, (len = PAGE, &len), 0));
	EXPECT_EQ(len, 0);
	EXPECT_OK(unmap_dma(&b, 0, (len = PAGE, &len), 0));
	EXPECT_EQ(len, 0);
	EXPECT_ERR(-EINVAL, unmap_dma(&b, 0, (len = PAGE, &len), 1));
	EXPECT_ERR(-EINVAL, unmap_dma(&b, 0, (len = PAGE, &len), 4));
	EXPECT_ERR(-EINVAL, unmap_dma(&b, 0, (len = PAGE, &len), 2));
	EXPECT_EQ(len, PAGE);
	EXPECT_OK(map_dma(&b, memory, PAGE, 2 * MIB, 1));
	EXPECT_OK(unmap_dma(&b, 0, (len = 0, &len), 2));
	EXPECT_EQ(len, 3 * PAGE);
	EXPECT_FALSE(reaches(b.device, MIB));
	/* With a table and mappings it is too late for version 1. */
	EXPECT_OK(map_dma(&b, memory, PAGE, MIB, 3));
	EXPECT_ERR(-EINVAL, call(b.sim, b.iommufd, ABI_VFIO_SET_IOMMU, (void *)1));
	close_node(b.sim, b.cdev);
}

UNIT(sim_compat, version_1_cuts_mappings_at_the_borders)
{
	struct board b = new_compat(t, true);
	unsigned char *memory = new_memory(t, 8 * PAGE), byte;
	uint64_t len;

	for (size_t i = 0; i < 8; i++)
		memory[i * PAGE] = (unsigned char)(i + 1);
	EXPECT_OK(call(b.sim, b.iommufd, ABI_VFIO_SET_IOMMU, (void *)1));
	EXPECT_OK(map_dma(&b, memory, 8 * PAGE, MIB, 3));
	EXPECT_OK(unmap_dma(&b, MIB + 2 * PAGE, (len = 3 * PAGE, &len), 0));
	EXPECT_EQ(len, 3 * PAGE);
	for (size_t i = 0; i < 8; i++) {
		int expected = i >= 2 && i < 5 ? -EFAULT : 0;

		t_note(t, "page %zu", i);
		EXPECT_EQ(weir_sim_device_dma_read(b.device, MIB + i * PAGE, &byte, 1), expected);
		if (!expected)
			EXPECT_EQ(byte, i + 1);
	}
	EXPECT_ERR(-EINVAL, unmap_dma(&b, MIB + 512, (len = PAGE, &len), 0));
	EXPECT_OK(unmap_dma(&b, MIB + 5 * PAGE, (len = PAGE, &len), 0));
	EXPECT_OK(unmap_dma(&b, 0, (len = 0, &len), 2));
	EXPECT_EQ(len, 4 * PAGE);
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, 0);
	close_node(b.sim, b.cdev);
}
