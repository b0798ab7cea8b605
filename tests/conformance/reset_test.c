// SPDX-License-Identifier: MIT
/* Resets: of one function, and of a bus with all that is on it. */
#include "conformance/machine.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <nvme/nvme.h>

enum { NVME_CC = 0x14, NVME_AQA = 0x24, NVME_ASQ = 0x28, NVME_ACQ = 0x30 };
enum { MARK = 0x00460001, SHORT_WAIT_MS = 5000 };

static struct weir_region *registers_of(struct weir_device *device)
{
	struct weir_region *bar;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &bar));
	return bar;
}

static uint32_t read_mark(struct weir_device *device)
{
	uint32_t value = 0;

	ASSERT_OK(weir_region_read32(registers_of(device), NVME_CC, &value));
	return value;
}

/* Enable the controller, which cannot do anything without bus mastering: a reset disables it. */
static void leave_mark(struct weir_device *device)
{
	struct weir_region *registers = registers_of(device);

	ASSERT_OK(weir_region_write32(registers, NVME_AQA, 0x001f001f));
	ASSERT_OK(weir_region_write64(registers, NVME_ASQ, 0x10000));
	ASSERT_OK(weir_region_write64(registers, NVME_ACQ, 0x20000));
	ASSERT_OK(weir_region_write32(registers, NVME_CC, MARK));
	ASSERT_EQ(read_mark(device), MARK);
}

/* Of the function ------------------------------------------------------------------------------------------------- */

CONFORMANCE(reset, function_reset_clears_the_devices_state, NEEDS(NVME0, RESET))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_device_info info;

	leave_mark(device);
	EXPECT_OK(weir_device_reset(device));
	EXPECT_EQ(read_mark(device), 0);
	EXPECT_OK(weir_device_info(device, &info, sizeof(info)));
}

CONFORMANCE(reset, mapped_registers_work_after_a_reset, NEEDS(NVME0, RESET))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	volatile uint32_t *registers;
	void *addr;

	ASSERT_OK(weir_region_map(registers_of(device), &addr, NULL));
	registers = addr;
	leave_mark(device);
	EXPECT_OK(weir_device_reset(device));
	EXPECT_EQ(registers[NVME_CC / 4], 0);
}

static void read_first_block(struct weir_device *device, uint64_t iova)
{
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING, .num_queues = 1);
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;

	if (nvme_controller_open(device, &opts, &controller))
		FAIL("nvme_controller_open: %s", nvme_error());
	EXPECT_EQ(nvme_namespace_info(controller, 1, &ns, sizeof(ns)), 0);
	EXPECT_EQ(nvme_queue_open(controller, 4, &queue), 0);
	EXPECT_EQ(nvme_queue_read(queue, &ns, 0, iova, 4096, SHORT_WAIT_MS), 0);
	EXPECT_EQ(nvme_queue_close(queue), 0);
	EXPECT_EQ(nvme_controller_close(controller), 0);
}

/* What was mapped before the reset is reached after it: neither mapping nor attachment are the device's state. */
CONFORMANCE(reset, mappings_and_attachment_stay, NEEDS(NVME0, RESET))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "NVME0", 0);
	unsigned char *before = new_memory(t, 4096, 0x5a), *after = new_memory(t, 4096, 0xa5);
	uint64_t before_iova = weir_map_iova(new_map(t, ioas, before, 4096, NULL));
	uint64_t after_iova = weir_map_iova(new_map(t, ioas, after, 4096, NULL));

	read_first_block(device, before_iova);
	EXPECT_OK(weir_device_reset(device));
	EXPECT_EQ(weir_device_ioas(device), ioas);
	read_first_block(device, after_iova);
	EXPECT_MEMEQ(after, before, 4096);
}

CONFORMANCE(reset, interrupts_stay_enabled, NEEDS(NVME0, RESET))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_irq *irq;

	ASSERT_OK(weir_irq_enable(device, WEIR_IRQ_MSIX, 2, &irq));
	EXPECT_OK(weir_device_reset(device));
	ASSERT_OK(weir_irq_trigger(irq, 1));
	EXPECT_OK(weir_irq_wait(irq, 1, SHORT_WAIT_MS, NULL));
	EXPECT_OK(weir_irq_disable(irq));
}

CONFORMANCE(reset, bus_mastering_is_as_before, NEEDS(NVME0, RESET))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_region *config;
	uint16_t command = 0;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_CONFIG, &config));
	for (int on = 0; on < 2; on++) {
		t_note(t, on ? "on" : "off");
		ASSERT_OK(weir_device_set_bus_master(device, on));
		EXPECT_OK(weir_device_reset(device));
		ASSERT_OK(weir_region_read16(config, 4, &command));
		EXPECT_EQ(command >> 2 & 1, on);
	}
}

CONFORMANCE(reset, opening_resets_what_can_be_reset, NEEDS(NVME0, RESET))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "NVME0"), NULL, &device));
	leave_mark(device);
	EXPECT_OK(weir_device_close(device));
	EXPECT_EQ(read_mark(new_device(t, ioas, "NVME0", 0)), 0);
}

CONFORMANCE(reset, device_without_a_reset_says_so, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);

	EXPECT_ERR(-EOPNOTSUPP, weir_device_reset(device));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
	EXPECT_CONTAINS(weir_error(), "weir_device_hot_reset");
	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_RESET));
}

/* Of the bus ------------------------------------------------------------------------------------------------------ */

CONFORMANCE(reset, bus_reset_reaches_the_lone_device_below_its_port, NEEDS(HOT_RESET, NVME2))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME2", 0);
	struct weir_hot_reset_target targets[4];
	size_t num = 4;

	EXPECT_OK(weir_caps_check(device, WEIR_CAP_HOT_RESET));
	ASSERT_OK(weir_device_hot_reset_targets(device, targets, &num));
	ASSERT_EQ(num, 1);
	EXPECT_STREQ(targets[0].address, address_of(t, "NVME2"));
	EXPECT_EQ(targets[0].iommu_group, group_of(address_of(t, "NVME2")));
	EXPECT_TRUE(targets[0].ours);

	leave_mark(device);
	EXPECT_OK(weir_device_hot_reset(device));
	EXPECT_EQ(read_mark(device), 0);
}

CONFORMANCE(reset, bus_reset_below_a_switch_leaves_the_sibling_alone, NEEDS(HOT_RESET, NVME_PAIR))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "NVME0", 0);
	struct weir_device *sibling = new_device(t, ioas, "NVME1", 0);

	leave_mark(device);
	leave_mark(sibling);
	EXPECT_OK(weir_device_hot_reset(device));
	EXPECT_EQ(read_mark(device), 0);
	EXPECT_EQ(read_mark(sibling), MARK);
}

/* Two on one bus and in one group: nobody else can be using the second, whether it is open or not. */
CONFORMANCE(reset, bus_reset_takes_the_group_along, NEEDS(EDU_PAIR))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_hot_reset_target targets[4];
	size_t num = 4;

	ASSERT_OK(weir_device_hot_reset_targets(device, targets, &num));
	ASSERT_EQ(num, 2);
	for (size_t i = 0; i < num; i++) {
		t_note(t, "%s", targets[i].address);
		EXPECT_TRUE(targets[i].ours);
		EXPECT_EQ(targets[i].iommu_group, group_of(address_of(t, "EDU0")));
	}
	EXPECT_STREQ(targets[0].address, address_of(t, "EDU0"));
	EXPECT_STREQ(targets[1].address, address_of(t, "EDU1"));
	EXPECT_OK(weir_device_hot_reset(device));
}

CONFORMANCE(reset, room_that_is_too_small_for_the_targets_is_told, NEEDS(EDU_PAIR))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_hot_reset_target targets[2];
	size_t num = 1;

	memset(targets, 0xee, sizeof(targets));
	EXPECT_ERR(-ENOSPC, weir_device_hot_reset_targets(device, targets, &num));
	EXPECT_EQ(num, 2);
	EXPECT_EQ(targets[1].iommu_group, 0xeeeeeeee);
	num = 0;
	EXPECT_ERR(-ENOSPC, weir_device_hot_reset_targets(device, NULL, &num));
	EXPECT_EQ(num, 2);
}

/* Two functions on one bus, each in a group of its own. */
CONFORMANCE(reset, bus_reset_is_busy_while_somebody_else_may_use_a_function_in_reach, NEEDS(TWIN0, TWIN1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "TWIN0", 0), *twin;
	struct weir_hot_reset_target targets[2];
	size_t num = 2;

	ASSERT_NE(group_of(address_of(t, "TWIN0")), group_of(address_of(t, "TWIN1")));
	ASSERT_OK(weir_device_hot_reset_targets(device, targets, &num));
	ASSERT_EQ(num, 2);
	EXPECT_TRUE(targets[0].ours);
	EXPECT_FALSE(targets[1].ours);
	EXPECT_EQ(targets[1].iommu_group, group_of(address_of(t, "TWIN1")));
	EXPECT_ERR(-EBUSY, weir_device_hot_reset(device));
	EXPECT_CONTAINS(weir_error(), address_of(t, "TWIN1"));
	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_HOT_RESET));

	/* With both of them ours it works, also when they are in different spaces. */
	ASSERT_OK(weir_device_open(new_ioas(t), address_of(t, "TWIN1"), NULL, &twin));
	EXPECT_OK(weir_device_hot_reset(device));
	EXPECT_OK(weir_device_close(twin));
	EXPECT_ERR(-EBUSY, weir_device_hot_reset(device));
}

CONFORMANCE(reset, root_bus_cannot_be_reset, NEEDS(ON_ROOT_BUS))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_hot_reset_target target;
	size_t num = 1;

	EXPECT_ERR(-EOPNOTSUPP, weir_device_hot_reset_targets(device, &target, &num));
	EXPECT_ERR(-EOPNOTSUPP, weir_device_hot_reset(device));
	EXPECT_CONTAINS(weir_error(), address_of(t, "NVME0"));
	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_HOT_RESET));
}
