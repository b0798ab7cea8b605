// SPDX-License-Identifier: MIT
/*
 * VFIO devices of the simulated machine: what they are, configuration space, registers, DMA (kernel-interface
 * B.3, B.4).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/device/pci.h"
#include "sim_probe.h"

enum { PAGE = 4096 };

/* What it is (B.3, B.4) ---------------------------------------------------------------------------------- */

UNIT(sim_device, info)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct abi_vfio_device_info info = { .argsz = sizeof(info), .cap_offset = 7 };

	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(info.flags, ABI_VFIO_DEVICE_FLAGS_PCI | ABI_VFIO_DEVICE_FLAGS_RESET);
	EXPECT_EQ(info.num_regions, 9);
	EXPECT_EQ(info.num_irqs, 5);
	EXPECT_EQ(info.cap_offset, 0);
	info = (struct abi_vfio_device_info){ .argsz = 16, .cap_offset = 7 };
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(info.cap_offset, 7);
	info.argsz = 15;
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_INFO, &info));
	EXPECT_ERR(-EFAULT, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_INFO, before_hole(t) - 8));
	for (unsigned long request = 0x3b72; request <= 0x3b73; request++)
		EXPECT_ERR(-ENOTTY, call(rig->sim, rig->fd, request, &info));
	EXPECT_ERR(-ENOTTY, call(rig->sim, rig->fd, 0x3b79, &info));
}

UNIT(sim_device, regions)
{
	static const struct {
		int result;
		uint32_t flags;
		uint64_t size;
	} rows[] = {
		{ 0, 3, 4096 }, { 0, 3, 16 }, { 0, 0xf, PROBE_RAM }, { 0, 0, 0 },       { 0, 7, 256 },
		{ 0, 0, 0 },    { 0, 0, 0 },  { 0, 3, 4096 },        { -EINVAL, 0, 0 }, { -EINVAL, 0, 0 },
	};
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);

	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct abi_vfio_region_info info = { .argsz = sizeof(info), .index = i };

		t_note(t, "region %u", i);
		EXPECT_EQ(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_REGION_INFO, &info), rows[i].result);
		EXPECT_EQ(info.flags, rows[i].flags);
		EXPECT_EQ(info.size, rows[i].size);
		EXPECT_EQ(info.offset, rows[i].result ? 0 : (uint64_t)i << 40);
		EXPECT_EQ(info.cap_offset, 0);
		EXPECT_EQ(info.argsz, i == 2 ? 40 : 32); /* the room its chain needs */
	}
	t_note(t, "argsz");
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_REGION_INFO,
				 &(struct abi_vfio_region_info){ .argsz = 31 }));
}

UNIT(sim_device, the_chain_comes_when_there_is_room)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct {
		struct abi_vfio_region_info info;
		struct abi_vfio_info_cap_header cap;
	} answer = { .info = { .argsz = sizeof(answer), .index = 2 } };

	ASSERT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_REGION_INFO, &answer));
	EXPECT_EQ(answer.info.argsz, sizeof(answer));
	EXPECT_EQ(answer.info.cap_offset, 32);
	EXPECT_EQ(answer.cap.id, ABI_VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
	EXPECT_EQ(answer.cap.version, 1);
	EXPECT_EQ(answer.cap.next, 0);
}

UNIT(sim_device, conventional_configuration_space_is_short)
{
	struct rig *rig = rig_new(t, &plain_model, BY_CONTAINER);
	struct abi_vfio_region_info info = { .argsz = sizeof(info), .index = 7 };

	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_REGION_INFO, &info));
	EXPECT_EQ(info.size, 256);
	EXPECT_EQ(get32(rig->sim, rig->fd, CONFIG + 252), 0);
	EXPECT_ERR(-EFAULT, get(rig->sim, rig->fd, CONFIG + 256, &info, 4));
}

/* Configuration space ------------------------------------------------------------------------------------ */

UNIT(sim_device, configuration_space)
{
	static const uint8_t ids[] = { PCI_CAP_PM, PCI_CAP_EXPRESS, PCI_CAP_MSI, PCI_CAP_MSIX };
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	unsigned int at = get32(rig->sim, rig->fd, CONFIG + PCI_CAPABILITIES) & 0xff;

	EXPECT_EQ(get32(rig->sim, rig->fd, CONFIG), 0x9abc1234);
	EXPECT_EQ(get32(rig->sim, rig->fd, CONFIG + PCI_CLASS), 0x01080200);
	EXPECT_EQ(get16(rig->sim, rig->fd, CONFIG + PCI_STATUS), PCI_STATUS_CAPABILITIES);
	EXPECT_EQ(get16(rig->sim, rig->fd, CONFIG + PCI_INTERRUPT_LINE) >> 8, 1);
	for (size_t i = 0; i < sizeof(ids); i++) {
		uint16_t header = get16(rig->sim, rig->fd, CONFIG + at);

		EXPECT_EQ(header & 0xff, ids[i]);
		at = header >> 8;
	}
	EXPECT_EQ(at, 0);
	EXPECT_EQ(get32(rig->sim, rig->fd, CONFIG + rig->device->caps.msix + PCI_MSIX_TABLE), 0x8002);
	EXPECT_EQ(get32(rig->sim, rig->fd, CONFIG + rig->device->caps.msix + PCI_MSIX_PENDING), 0x8082);
	EXPECT_EQ(get32(rig->sim, rig->fd, CONFIG + PCI_EXTENDED), 0x00020001);
	put32(rig->sim, rig->fd, CONFIG, 0);
	EXPECT_EQ(get32(rig->sim, rig->fd, CONFIG), 0x9abc1234);
}

UNIT(sim_device, bars_are_sized_by_writing_ones)
{
	static const uint32_t sizes[] = { 0xfffff000, 0xfffffff1, 0xffff000c, 0xffffffff, 0xffffff00, 0, 0 };
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);

	for (unsigned int i = 0; i < 6; i++) {
		uint64_t bar = CONFIG + PCI_BAR0 + 4 * i;
		uint32_t before = get32(rig->sim, rig->fd, bar);

		t_note(t, "BAR %u", i);
		put32(rig->sim, rig->fd, bar, UINT32_MAX);
		EXPECT_EQ(get32(rig->sim, rig->fd, bar), sizes[i]);
		put32(rig->sim, rig->fd, bar, before);
		EXPECT_EQ(get32(rig->sim, rig->fd, bar), before);
		EXPECT_EQ(before & ~0xfu, before & sizes[i] & ~0xfu); /* aligned to its size */
	}
	/* They are not where the BARs really are. */
	put32(rig->sim, rig->fd, CONFIG + PCI_BAR0, 0);
	put32(rig->sim, rig->fd, REGION(0), 0x55);
	EXPECT_EQ(get32(rig->sim, rig->fd, REGION(0)), 0x55);
}

UNIT(sim_device, command_after_open)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	uint64_t command = CONFIG + PCI_COMMAND;

	EXPECT_EQ(get16(rig->sim, rig->fd, command), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	put16(rig->sim, rig->fd, command, 0xffff);
	EXPECT_EQ(get16(rig->sim, rig->fd, command), 0x547);
	done(rig->sim, rig->fd);
	EXPECT_FALSE(sim_device_bus_master(rig->device));
	rig->fd = rig_bind(rig, rig->device, &rig->dev_id);
	EXPECT_EQ(get16(rig->sim, rig->fd, command), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

UNIT(sim_device, configuration_accesses)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	unsigned char bytes[4096];

	EXPECT_EQ(get(rig->sim, rig->fd, CONFIG, bytes, sizeof(bytes)), sizeof(bytes));
	EXPECT_EQ(get(rig->sim, rig->fd, CONFIG + 1, bytes, 2), 2);
	EXPECT_EQ(bytes[0] | bytes[1] << 8, 0xbc12);
	EXPECT_EQ(get(rig->sim, rig->fd, CONFIG + 8000, bytes, 0), 0);
	EXPECT_ERR(-EFAULT, get(rig->sim, rig->fd, CONFIG + 4096, bytes, 1));
	EXPECT_ERR(-EFAULT, get(rig->sim, rig->fd, CONFIG + 4094, bytes, 4));
	EXPECT_ERR(-EFAULT, get(rig->sim, rig->fd, CONFIG, before_hole(t) - 2, 4));
	EXPECT_ERR(-EFAULT, put(rig->sim, rig->fd, CONFIG, before_hole(t) - 2, 4));
}

UNIT(sim_device, function_reset_by_a_bit)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	uint64_t control = CONFIG + rig->device->caps.express + PCI_EXPRESS_DEVICE_CONTROL;
	unsigned int before = probe_of(rig->device)->num_resets;
	uint16_t value = get16(rig->sim, rig->fd, control);

	put16(rig->sim, rig->fd, control, value | PCI_EXPRESS_FUNCTION_RESET);
	EXPECT_EQ(probe_of(rig->device)->num_resets, before + 1);
	EXPECT_EQ(get16(rig->sim, rig->fd, control), value);
}

UNIT(sim_device, conventional_functions_have_a_bit_of_their_own_for_that)
{
	struct weir_sim_model model = plain_model;
	struct rig *rig;
	uint64_t control;

	model.flags |= WEIR_SIM_FLR;
	rig = rig_new(t, &model, BY_CDEV);
	control = CONFIG + rig->device->caps.features + PCI_FEATURES_CONTROL;
	EXPECT_EQ(get32(rig->sim, rig->fd, control - 4), 0x03060013);
	put16(rig->sim, rig->fd, control, PCI_FEATURES_FUNCTION_RESET);
	EXPECT_EQ(probe_of(rig->device)->num_resets, 2); /* one was at open */
	EXPECT_EQ(get16(rig->sim, rig->fd, control), 0);
}

UNIT(sim_device, in_d3_nothing_answers)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	uint64_t control = CONFIG + rig->device->caps.pm + PCI_PM_CONTROL;
	uint32_t word;

	put16(rig->sim, rig->fd, control, 3);
	EXPECT_EQ(get16(rig->sim, rig->fd, control), 3 | PCI_PM_NO_SOFT_RESET);
	EXPECT_ERR(-EIO, get(rig->sim, rig->fd, REGION(0), &word, 4));
	put16(rig->sim, rig->fd, control, 0);
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(0), &word, 4), 4);
	put16(rig->sim, rig->fd, control, 3);
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_RESET, NULL)); /* wakes it */
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(0), &word, 4), 4);
}

/* Registers ---------------------------------------------------------------------------------------------- */

UNIT(sim_device, accesses_are_split_naturally)
{
	static const struct {
		unsigned int width;
		uint64_t offset;
	} expected[] = { { 1, 5 }, { 2, 6 }, { 8, 8 }, { 8, 16 }, { 4, 24 }, { 2, 28 }, { 1, 30 } };
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	const struct probe *probe = probe_of(rig->device);
	char bytes[26];

	EXPECT_EQ(put(rig->sim, rig->fd, REGION(0) + 5, "abcdefghijklmnopqrstuvwxyz", 26), 26);
	ASSERT_EQ(probe->num_accesses, 7);
	for (size_t i = 0; i < 7; i++) {
		EXPECT_TRUE(probe->log[i].write);
		EXPECT_EQ(probe->log[i].width, expected[i].width);
		EXPECT_EQ(probe->log[i].offset, expected[i].offset);
	}
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(0) + 5, bytes, 26), 26);
	EXPECT_MEMEQ(bytes, "abcdefghijklmnopqrstuvwxyz", 26);
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(1), bytes, 8), 8); /* ports: 4 at most */
	EXPECT_EQ(probe->num_accesses, 16);
	EXPECT_EQ(probe->log[15].width, 4);
}

UNIT(sim_device, register_accesses_that_are_refused)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	unsigned char bytes[16];

	EXPECT_EQ(get(rig->sim, rig->fd, REGION(0) + 4090, bytes, 16), 6); /* cut at the end */
	EXPECT_ERR(-EINVAL, get(rig->sim, rig->fd, REGION(0) + 4096, bytes, 1));
	for (unsigned int region = 3; region <= 10; region++) {
		t_note(t, "region %u", region);
		if (region == 4 || region == 7)
			continue;
		EXPECT_ERR(-EINVAL, get(rig->sim, rig->fd, REGION(region), bytes, 4));
		EXPECT_ERR(-EINVAL, put(rig->sim, rig->fd, REGION(region), bytes, 4));
	}
	EXPECT_ERR(-EFAULT, get(rig->sim, rig->fd, REGION(0), before_hole(t) - 2, 4));
	EXPECT_ERR(-EFAULT, put(rig->sim, rig->fd, REGION(2), before_hole(t) - 2, 4));
}

UNIT(sim_device, memory_off_is_eio)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	uint32_t word = 0;

	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, 0);
	EXPECT_ERR(-EIO, get(rig->sim, rig->fd, REGION(0), &word, 4));
	EXPECT_ERR(-EIO, put(rig->sim, rig->fd, REGION(0), &word, 4));
	EXPECT_ERR(-EIO, get(rig->sim, rig->fd, REGION(2), &word, 4));
	EXPECT_EQ(get32(rig->sim, rig->fd, REGION(1)), UINT32_MAX); /* ports are not looked at */
	EXPECT_ERR(-EFAULT, put(rig->sim, rig->fd, REGION(0), before_hole(t), 4));
	EXPECT_ERR(-EINVAL, get(rig->sim, rig->fd, REGION(0) + 4096, &word, 4));
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(2) + PROBE_TABLE, &word, 4),
		  4); /* never touches the device */
	weir_sim_set_memory(rig->device, true);
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(0), &word, 4), 4);
}

UNIT(sim_device, the_msix_table_is_out_of_reach)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	unsigned char *ram = weir_sim_device_ram(rig->device, 2), bytes[256];

	memset(ram + PROBE_TABLE - 16, 0x11, 256);
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(2) + PROBE_TABLE - 16, bytes, 256), 256);
	for (size_t i = 0; i < 256; i++)
		EXPECT_EQ(bytes[i], i >= 16 && i < 16 + 128 ? 0xff : 0x11);
	memset(bytes, 0x22, sizeof(bytes));
	EXPECT_EQ(put(rig->sim, rig->fd, REGION(2) + PROBE_TABLE - 16, bytes, 256), 256);
	EXPECT_EQ(ram[PROBE_TABLE - 1], 0x22);
	EXPECT_EQ(ram[PROBE_TABLE], 0x11);
	EXPECT_EQ(ram[PROBE_TABLE + 127], 0x11);
	EXPECT_EQ(ram[PROBE_TABLE + 128], 0x22);
}

UNIT(sim_device, models_do_not_see_their_msix_table)
{
	struct weir_sim_model model = probe_model;
	struct rig *rig;
	unsigned char bytes[160];

	model.msix_bar = 0;
	model.msix_offset = 0x800;
	rig = rig_new(t, &model, BY_CDEV);
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(0) + 0x800, bytes, 160), 160);
	EXPECT_EQ(bytes[127], 0xff);
	EXPECT_EQ(bytes[128], 0);                          /* nothing is pending */
	EXPECT_EQ(probe_of(rig->device)->num_accesses, 3); /* from 0x888 on */
	EXPECT_EQ(probe_of(rig->device)->log[0].offset, 0x888);
}

UNIT(sim_device, transfers_are_cut_on_request)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	char bytes[8];

	weir_sim_cut_transfers(rig->sim, true);
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(0), bytes, 8), 4);
	EXPECT_EQ(put(rig->sim, rig->fd, CONFIG, bytes, 2), 1);
	weir_sim_cut_transfers(rig->sim, false);
	EXPECT_EQ(get(rig->sim, rig->fd, REGION(0), bytes, 8), 8);
}

/* Gone --------------------------------------------------------------------------------------------------- */

UNIT(sim_device, a_device_that_is_gone_reads_as_ones)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct abi_vfio_device_info info = { .argsz = sizeof(info) };

	weir_sim_unplug(rig->device, true);
	EXPECT_EQ(get32(rig->sim, rig->fd, CONFIG), UINT32_MAX);
	EXPECT_EQ(get32(rig->sim, rig->fd, REGION(0)), UINT32_MAX);
	EXPECT_EQ(get32(rig->sim, rig->fd, REGION(2)), UINT32_MAX);
	put32(rig->sim, rig->fd, REGION(0), 1);
	put32(rig->sim, rig->fd, CONFIG + PCI_COMMAND, 0);
	EXPECT_EQ(probe_of(rig->device)->num_accesses, 0);
	EXPECT_ERR(-ENODEV, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_RESET, NULL));
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_GET_INFO, &info));
	EXPECT_ERR(-EIO, weir_sim_device_dma_read(rig->device, 0, &info, 4));
	EXPECT_ERR(-EIO, sim_bar_read(rig->device, 0, 0, &info, 4));
}

UNIT(sim_device, a_device_that_is_asked_back_works_until_it_is_closed)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);

	weir_sim_unplug(rig->device, false);
	put32(rig->sim, rig->fd, REGION(0), 0x1234);
	EXPECT_EQ(get32(rig->sim, rig->fd, REGION(0)), 0x1234);
	done(rig->sim, rig->fd);
	rig->fd = -1;
	EXPECT_TRUE(rig->sim->devices == NULL);
}

/* DMA ---------------------------------------------------------------------------------------------------- */

static void map_dma(struct rig *rig, void *addr, uint64_t iova, uint64_t len)
{
	struct abi_vfio_iommu_type1_dma_map cmd = { sizeof(cmd), 3, (uintptr_t)addr, iova, len };

	ASSERT_OK(call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_MAP_DMA, &cmd));
}

UNIT(sim_device, dma_takes_bus_mastering_and_a_mapping)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *buffer = memory(t, PAGE), bytes[4] = { 1, 2, 3, 4 };
	struct weir_sim_fault seen;

	map_dma(rig, buffer, 0x10000, PAGE);
	EXPECT_ERR(-EIO, weir_sim_device_dma_write(rig->device, 0x10000, bytes, 4));
	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	EXPECT_OK(weir_sim_device_dma_write(rig->device, 0x10ffc, bytes, 4));
	EXPECT_MEMEQ(buffer + 0xffc, bytes, 4);
	EXPECT_ERR(-EFAULT, weir_sim_device_dma_write(rig->device, 0x11000, bytes, 4));
	EXPECT_EQ(weir_sim_num_faults(rig->sim), 1);
	ASSERT_EQ(weir_sim_faults(rig->sim, &seen, 1), 1);
	EXPECT_EQ(seen.iova, 0x11000);
	EXPECT_TRUE(seen.write);
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_RESET, NULL)); /* mappings stay */
	EXPECT_OK(weir_sim_device_dma_read(rig->device, 0x10ffc, bytes, 4));
}

UNIT(sim_device, without_an_address_space_dma_is_blocked)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	char byte;

	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, PCI_COMMAND_MASTER);
	EXPECT_ERR(-EFAULT, weir_sim_device_dma_read(rig->device, 0x1000, &byte, 1));
	EXPECT_EQ(weir_sim_num_faults(rig->sim), 1);
}

UNIT(sim_device, peers_reach_each_other_through_the_container)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	struct abi_vfio_iommu_type1_dma_map cmd = { sizeof(cmd), 3, 0, 0x100000, PAGE };
	unsigned char *ram = weir_sim_device_ram(rig->device, 2);
	void *mapped;

	ASSERT_OK(map(rig->sim, rig->fd, REGION(2), PROBE_RAM, MAP_SHARED, &mapped));
	map_dma(rig, (char *)mapped + PAGE, 0x10000, PAGE);
	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	EXPECT_OK(weir_sim_device_dma_write(rig->device, 0x10000, "peer", 4));
	EXPECT_MEMEQ(ram + PAGE, "peer", 4);
	EXPECT_OK(unmap(rig->sim, (char *)mapped + PROBE_RAM - PAGE, PAGE));
	cmd.vaddr = (uintptr_t)mapped + PROBE_RAM - 2 * PAGE;
	cmd.size = 2 * PAGE; /* the end of what is left, and nothing */
	EXPECT_ERR(-EFAULT, call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_MAP_DMA, &cmd));
	cmd.size = PAGE;
	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, PCI_COMMAND_MASTER);
	EXPECT_ERR(-EFAULT, call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_MAP_DMA, &cmd)); /* memory off [VM] */
	/* The mapping that is there stays, and leads to a BAR that does not answer. */
	EXPECT_ERR(-EIO, weir_sim_device_dma_write(rig->device, 0x10000, "peer", 4));
	EXPECT_OK(unmap(rig->sim, mapped, PROBE_RAM - PAGE));
}
