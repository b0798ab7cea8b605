// SPDX-License-Identifier: MIT
/* Devices and page tables of the simulated /dev/iommu (kernel-interface A.3, A.8 to A.14, B.2), and it as a
 * container (A.15). */
#include "sim_iommu.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A second toy on the same iommufd. */
struct second {
	struct weir_sim_device *device;
	int cdev;
	uint32_t dev_id;
};

static struct second new_second(struct t *t, const struct board *b, uint32_t group)
{
	struct second second;

	ASSERT_OK(weir_sim_add(b->sim, &toy_model, &WEIR_OPTS(weir_sim_slot, .group = group), NULL,
			       &second.device));
	second.cdev = open_cdev(t, b->sim, second.device);
	ASSERT_OK(bind_cdev(b->sim, second.cdev, b->iommufd, &second.dev_id));
	set_bus_master(b->sim, second.cdev);
	return second;
}

/* Binding (B.2) ------------------------------------------------------------------------------------------ */

UNIT(sim_device_object, binding_gives_an_id_that_only_closing_takes_back)
{
	struct board b = new_board(t);

	EXPECT_EQ(b.dev_id, 2);
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, b.dev_id));
	close_node(b.sim, b.cdev);
	EXPECT_ERR(-ENOENT, destroy(b.sim, b.iommufd, b.dev_id));
	EXPECT_EQ(new_ioas(b.sim, b.iommufd), 2);
}

UNIT(sim_device_object, interrupts_that_are_not_isolated_are_eperm)
{
	struct weir_sim *sim = new_machine(t, &WEIR_OPTS(weir_sim_opts, .flags = WEIR_SIM_UNSAFE_IRQS));
	struct weir_sim_device *device = new_toy(t, sim, NULL);
	int fd = open_iommufd(t, sim), cdev = open_cdev(t, sim, device);
	uint32_t dev_id;

	EXPECT_ERR(-EPERM, bind_cdev(sim, cdev, fd, &dev_id));
	EXPECT_EQ(new_ioas(sim, fd), 1);
}

UNIT(sim_device_object, a_group_is_one_iommufds)
{
	struct board b = new_board(t);
	struct weir_sim_device *sibling;
	int other = open_iommufd(t, b.sim), cdev;
	uint32_t dev_id;

	ASSERT_OK(weir_sim_add(b.sim, &toy_model, &WEIR_OPTS(weir_sim_slot, .group = b.device->group->number),
			       NULL, &sibling));
	cdev = open_cdev(t, b.sim, sibling);
	EXPECT_ERR(-EPERM, bind_cdev(b.sim, cdev, other, &dev_id));
	EXPECT_OK(bind_cdev(b.sim, cdev, b.iommufd, &dev_id));
	EXPECT_EQ(dev_id, 3);
}

/* close() of the iommufd is not its end while a device is bound (A.3). */
UNIT(sim_device_object, a_bound_device_keeps_the_iommufd)
{
	struct board b = new_board(t);

	ASSERT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), PAGE, MIB));
	close_node(b.sim, b.iommufd);
	EXPECT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_TRUE(reaches(b.device, MIB));
	close_node(b.sim, b.cdev);
	EXPECT_FALSE(reaches(b.device, MIB));
}

/* Automatic page tables (A.3, A.9) ----------------------------------------------------------------------- */

UNIT(sim_hwpt, an_automatic_one_is_shared_and_vanishes_with_its_last_device)
{
	struct board b = new_board(t);
	struct second second = new_second(t, &b, 0);
	uint32_t pt_id = b.ioas;

	ASSERT_OK(attach(b.sim, b.cdev, &pt_id));
	EXPECT_EQ(pt_id, 4);
	pt_id = b.ioas;
	ASSERT_OK(attach(b.sim, second.cdev, &pt_id));
	EXPECT_EQ(pt_id, 4);
	pt_id = b.ioas;
	ASSERT_OK(attach(b.sim, second.cdev, &pt_id));
	EXPECT_EQ(pt_id, 4);
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, 4));
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, b.ioas));
	ASSERT_OK(detach(b.sim, b.cdev));
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, 4));
	ASSERT_OK(detach(b.sim, second.cdev));
	EXPECT_ERR(-ENOENT, destroy(b.sim, b.iommufd, 4));
	/* Detaching what is not attached succeeds. */
	EXPECT_OK(detach(b.sim, b.cdev));
	EXPECT_OK(destroy(b.sim, b.iommufd, b.ioas));
}

UNIT(sim_hwpt, one_made_by_hand_is_never_taken_for_an_automatic_one)
{
	struct board b = new_board(t);
	struct second second = new_second(t, &b, 0);
	uint32_t hwpt, pt_id = b.ioas;

	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	EXPECT_EQ(hwpt, 4);
	ASSERT_OK(attach_to(b.sim, second.cdev, hwpt));
	ASSERT_OK(attach(b.sim, b.cdev, &pt_id));
	EXPECT_EQ(pt_id, 5);
	/* Replacing leaves it be, and takes the automatic one away. */
	ASSERT_OK(attach_to(b.sim, b.cdev, hwpt));
	EXPECT_ERR(-ENOENT, destroy(b.sim, b.iommufd, 5));
	ASSERT_OK(detach(b.sim, b.cdev));
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, hwpt));
	ASSERT_OK(detach(b.sim, second.cdev));
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, b.ioas));
	EXPECT_OK(destroy(b.sim, b.iommufd, hwpt));
	EXPECT_OK(destroy(b.sim, b.iommufd, b.ioas));
}

UNIT(sim_hwpt, attach_wants_a_space_or_a_page_table)
{
	struct board b = new_board(t);

	EXPECT_ERR(-ENOENT, attach_to(b.sim, b.cdev, 0));
	EXPECT_ERR(-ENOENT, attach_to(b.sim, b.cdev, 9));
	EXPECT_ERR(-EINVAL, attach_to(b.sim, b.cdev, b.dev_id));
}

/* Groups (A.9) ------------------------------------------------------------------------------------------- */

UNIT(sim_hwpt, a_group_has_one_page_table)
{
	struct board b = new_board(t);
	struct second second = new_second(t, &b, b.device->group->number);
	uint32_t other = new_ioas(b.sim, b.iommufd), hwpt;

	ASSERT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), PAGE, MIB));
	ASSERT_OK(map_at(b.sim, b.iommufd, other, new_memory(t, PAGE), PAGE, 2 * MIB));
	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	/* Members that are not attached go the same way. */
	EXPECT_TRUE(reaches(second.device, MIB));
	EXPECT_ERR(-EINVAL, attach_to(b.sim, second.cdev, other));
	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	EXPECT_ERR(-EINVAL, attach_to(b.sim, second.cdev, hwpt));
	EXPECT_OK(attach_to(b.sim, second.cdev, b.ioas));
	/* Replacing one's takes the others along. */
	EXPECT_OK(attach_to(b.sim, second.cdev, other));
	EXPECT_FALSE(reaches(b.device, MIB));
	EXPECT_TRUE(reaches(b.device, 2 * MIB));
	EXPECT_OK(destroy(b.sim, b.iommufd, hwpt));
	EXPECT_OK(destroy(b.sim, b.iommufd, b.ioas));
	/* The last to leave stops the DMA of all. */
	EXPECT_OK(detach(b.sim, b.cdev));
	EXPECT_TRUE(reaches(b.device, 2 * MIB));
	EXPECT_OK(detach(b.sim, second.cdev));
	EXPECT_FALSE(reaches(b.device, 2 * MIB));
	EXPECT_OK(destroy(b.sim, b.iommufd, other));
}

UNIT(sim_hwpt, a_replacement_that_fails_leaves_all_as_it_was)
{
	struct board b = new_board(t);
	struct second second = new_second(t, &b, b.device->group->number);
	uint32_t other = new_ioas(b.sim, b.iommufd);
	unsigned char *memory = new_memory(t, PAGE);
	uint64_t len = PAGE;

	ASSERT_OK(map_at(b.sim, b.iommufd, b.ioas, memory, PAGE, MIB));
	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	ASSERT_OK(attach_to(b.sim, second.cdev, b.ioas));
	ASSERT_OK(map_at(b.sim, b.iommufd, other, memory, PAGE, 0xfee00000));
	EXPECT_ERR(-EADDRINUSE, attach_to(b.sim, b.cdev, other));
	EXPECT_TRUE(reaches(b.device, MIB));
	ASSERT_OK(unmap(b.sim, b.iommufd, other, 0xfee00000, &len));
	ASSERT_OK(map_at(b.sim, b.iommufd, other, NULL, PAGE, MIB));
	EXPECT_ERR(-EFAULT, attach_to(b.sim, b.cdev, other));
	EXPECT_TRUE(reaches(second.device, MIB));
	/* Nothing of the attempts is left in the other space. */
	ASSERT_OK(map_at(b.sim, b.iommufd, other, memory, 100, 0xfee00001));
	EXPECT_OK(destroy(b.sim, b.iommufd, other));
}

/* HWPT_ALLOC (A.8) --------------------------------------------------------------------------------------- */

#define HWPT(...)                                                                                            \
	{                                                                                                    \
		.hwpt = { __VA_ARGS__ }                                                                      \
	}

/* The IOAS is 1, the device 2, a page table 3. */
UNIT(sim_hwpt, alloc_checks_in_the_kernels_order)
{
	static const struct row rows[] = {
		{ "data without type", 0x89, -EINVAL, HWPT(.dev_id = 9, .data_len = 24) },
		{ "type without data", 0x89, -EINVAL, HWPT(.dev_id = 9, .data_type = 1) },
		{ "no device", 0x89, -ENOENT, HWPT(.dev_id = 1, .pt_id = 9) },
		{ "nothing to make it of", 0x89, -EINVAL, HWPT(.dev_id = 2, .pt_id = 9, .flags = 16) },
		{ "made of a device", 0x89, -EINVAL, HWPT(.dev_id = 2, .pt_id = 2, .flags = 16) },
		{ "unknown flag", 0x89, -EOPNOTSUPP, HWPT(.dev_id = 2, .pt_id = 1, .flags = 16) },
		{ "nesting parent", 0x89, -EOPNOTSUPP, HWPT(.dev_id = 2, .pt_id = 1, .flags = 1) },
		{ "dirty tracking", 0x89, -EOPNOTSUPP, HWPT(.dev_id = 2, .pt_id = 1, .flags = 2) },
		{ "parent with faults", 0x89, -EOPNOTSUPP, HWPT(.dev_id = 2, .pt_id = 1, .flags = 5) },
		{ "data for a paging one", 0x89, -EOPNOTSUPP,
		  HWPT(.dev_id = 2, .pt_id = 1, .data_type = 1, .data_len = 24) },
		{ "no such queue", 0x89, -ENOENT, HWPT(.dev_id = 2, .pt_id = 1, .flags = 4, .fault_id = 1) },
		{ "nested without data", 0x89, -EOPNOTSUPP, HWPT(.dev_id = 2, .pt_id = 3) },
		{ "nested parent", 0x89, -EOPNOTSUPP,
		  HWPT(.dev_id = 2, .pt_id = 3, .flags = 1, .data_type = 1, .data_len = 24) },
		{ "nested on what is no parent", 0x89, -EINVAL,
		  HWPT(.dev_id = 2, .pt_id = 3, .data_type = 1, .data_len = 24) },
	};
	struct board b = new_board(t);
	uint32_t hwpt;
	union cmd cmd = HWPT(.dev_id = 2, .pt_id = 1, .flags = ABI_IOMMU_HWPT_ALLOC_PASID);

	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	RUN_ROWS(t, b.sim, b.iommufd, rows);
	EXPECT_OK(command(b.sim, b.iommufd, 0x89, &cmd));
	EXPECT_EQ(cmd.hwpt.out_hwpt_id, 4);
}

UNIT(sim_hwpt, one_that_is_made_has_all_mappings)
{
	struct board b = new_board(t);
	uint32_t hwpt, mapped;
	uint64_t everything = UINT64_MAX;

	ASSERT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), PAGE, MIB));
	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &mapped));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, PAGE);
	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, PAGE);
	ASSERT_OK(attach_to(b.sim, b.cdev, hwpt));
	EXPECT_TRUE(reaches(b.device, MIB));
	EXPECT_OK(unmap(b.sim, b.iommufd, b.ioas, 0, &everything));
	EXPECT_FALSE(reaches(b.device, MIB));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, 0);
	EXPECT_OK(destroy(b.sim, b.iommufd, mapped));
}

/* A space with mappings and no page table goes without a word; one with an automatic table does not (A.3). */
UNIT(sim_hwpt, mappings_alone_do_not_hold_a_space)
{
	struct board b = new_board(t);
	uint32_t hwpt;

	ASSERT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), PAGE, MIB));
	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, b.ioas));
	EXPECT_OK(destroy(b.sim, b.iommufd, hwpt));
	EXPECT_OK(destroy(b.sim, b.iommufd, b.ioas));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, 0);
}

/* Dirty tracking, invalidation (A.11, A.12) -------------------------------------------------------------- */

#define DIRTY(...)                                                                                           \
	{                                                                                                    \
		.get_dirty = {.hwpt_id = 3, __VA_ARGS__ }                                                    \
	}

UNIT(sim_hwpt, there_is_no_dirty_tracking)
{
	static const struct row rows[] = {
		{ "on", 0x8b, -EOPNOTSUPP, { .set_dirty = { .flags = 1, .hwpt_id = 3 } } },
		{ "off, reserved word",
		  0x8b,
		  -EOPNOTSUPP,
		  { .set_dirty = { .hwpt_id = 3, .__reserved = 1 } } },
		{ "on a space", 0x8b, -ENOENT, { .set_dirty = { .flags = 1, .hwpt_id = 1 } } },
		{ "bitmap", 0x8c, -EOPNOTSUPP, DIRTY(.iova = MIB, .length = MIB, .page_size = PAGE) },
		{ "wraps", 0x8c, -EOVERFLOW, DIRTY(.iova = MIB, .length = -(uint64_t)PAGE) },
		{ "no length", 0x8c, -EOVERFLOW, DIRTY(.iova = MIB, .page_size = PAGE) },
		{ "no length at 0 is everything", 0x8c, -EOPNOTSUPP, DIRTY(.page_size = PAGE) },
		{ "iova", 0x8c, -EINVAL, DIRTY(.iova = 512, .length = PAGE, .page_size = 512) },
		{ "end", 0x8c, -EINVAL, DIRTY(.iova = MIB, .length = 512, .page_size = 512) },
		{ "no page size", 0x8c, -EINVAL, DIRTY(.iova = MIB, .length = PAGE) },
		{ "larger pages", 0x8c, -EINVAL, DIRTY(.iova = MIB, .length = PAGE, .page_size = 2 * PAGE) },
		{ "smaller pages", 0x8c, -EOPNOTSUPP, DIRTY(.iova = MIB, .length = PAGE, .page_size = 512) },
	};
	struct board b = new_board(t);
	uint32_t hwpt;

	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	RUN_ROWS(t, b.sim, b.iommufd, rows);
}

UNIT(sim_hwpt, invalidation_says_how_far_it_came_in_any_case)
{
	static const struct {
		const char *what;
		int error;
		struct abi_iommu_hwpt_invalidate cmd;
	} rows[] = {
		{ "reserved", -EOPNOTSUPP, { .hwpt_id = 3, .__reserved = 1, .entry_num = 5 } },
		{ "no data", -EINVAL, { .hwpt_id = 9, .entry_num = 5, .entry_len = 24 } },
		{ "no length", -EINVAL, { .hwpt_id = 9, .entry_num = 5, .data_uptr = 8 } },
		{ "too long",
		  -EINVAL,
		  { .hwpt_id = 9, .entry_num = 5, .data_uptr = 8, .entry_len = PAGE + 1 } },
		{ "too many",
		  -EINVAL,
		  { .hwpt_id = 9, .entry_num = 524289, .data_uptr = 8, .entry_len = 24 } },
		{ "no such table",
		  -ENOENT,
		  { .hwpt_id = 9, .entry_num = 524288, .data_uptr = 8, .entry_len = PAGE } },
		{ "not nested", -EINVAL, { .hwpt_id = 3 } },
		{ "a space", -EINVAL, { .hwpt_id = 1 } },
	};
	struct board b = new_board(t);
	uint32_t hwpt;

	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		union cmd cmd = { .invalidate = rows[i].cmd };

		t_note(t, "%s", rows[i].what);
		EXPECT_ERR(rows[i].error, command(b.sim, b.iommufd, 0x8d, &cmd));
		EXPECT_EQ(cmd.invalidate.entry_num, 0);
	}
}

UNIT(sim_hwpt, there_are_no_virtual_iommus)
{
	static const struct row rows[] = {
		{ "viommu", 0x90, -EOPNOTSUPP, { .viommu = { .type = 1, .dev_id = 2, .hwpt_id = 9 } } },
		{ "viommu, no device", 0x90, -ENOENT, { .viommu = { .type = 1, .dev_id = 1 } } },
		{ "vdevice", 0x91, -ENOENT, { .vdevice = { .viommu_id = 1, .dev_id = 2 } } },
	};
	struct board b = new_board(t);

	RUN_ROWS(t, b.sim, b.iommufd, rows);
}

/* GET_HW_INFO (A.10) ------------------------------------------------------------------------------------- */

UNIT(sim_hw_info, says_what_the_iommu_is)
{
	struct board b = new_board(t);
	unsigned char data[40];
	struct abi_iommu_hw_info_vtd info;
	union cmd cmd = {
		.hw_info = { .dev_id = b.dev_id, .data_len = sizeof(data), .data_uptr = (uintptr_t)data }
	};

	memset(data, 0xee, sizeof(data));
	/* Without the flag, the wish for a type is not looked at. */
	cmd.hw_info.in_data_type = 77;
	EXPECT_OK(command(b.sim, b.iommufd, 0x8a, &cmd));
	memcpy(&info, data, sizeof(info));
	EXPECT_EQ(cmd.hw_info.data_len, sizeof(info));
	EXPECT_EQ(cmd.hw_info.out_data_type, ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD);
	EXPECT_EQ(cmd.hw_info.out_max_pasid_log2, 0);
	EXPECT_EQ(cmd.hw_info.out_capabilities, ABI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
	EXPECT_EQ(info.flags, ABI_IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17);
	EXPECT_EQ(info.cap_reg >> 16 & 0x3f, 47);
	for (size_t i = sizeof(info); i < sizeof(data); i++)
		EXPECT_EQ(data[i], 0);
}

UNIT(sim_hw_info, fills_what_room_there_is)
{
	struct board b = new_board(t);
	unsigned char data[8];
	union cmd cmd = { .hw_info = { .dev_id = b.dev_id, .data_len = 4, .data_uptr = (uintptr_t)data } };

	memset(data, 0xee, sizeof(data));
	EXPECT_OK(command(b.sim, b.iommufd, 0x8a, &cmd));
	EXPECT_EQ(cmd.hw_info.data_len, 24);
	EXPECT_EQ(data[0], 1);
	EXPECT_EQ(data[4], 0xee);
	cmd = (union cmd){ .hw_info = { .dev_id = b.dev_id } };
	EXPECT_OK(command(b.sim, b.iommufd, 0x8a, &cmd));
	cmd = (union cmd){ .hw_info = { .dev_id = b.dev_id, .data_len = 24 } };
	EXPECT_ERR(-EFAULT, command(b.sim, b.iommufd, 0x8a, &cmd));
	/* The first release of the struct had no capabilities. */
	cmd = (union cmd){ .hw_info = { .size = 32, .dev_id = b.dev_id } };
	EXPECT_OK(command(b.sim, b.iommufd, 0x8a, &cmd));
	EXPECT_EQ(cmd.hw_info.out_capabilities, 0);
	cmd = (union cmd){ .hw_info = { .flags = 1, .dev_id = b.dev_id, .in_data_type = 1 } };
	EXPECT_OK(command(b.sim, b.iommufd, 0x8a, &cmd));
	cmd = (union cmd){ .hw_info = { .flags = 1, .dev_id = b.dev_id, .in_data_type = 2 } };
	EXPECT_ERR(-EOPNOTSUPP, command(b.sim, b.iommufd, 0x8a, &cmd));
}

/* Fault queues (A.13) ------------------------------------------------------------------------------------ */

UNIT(sim_fault_queue, is_read_and_answered_in_whole_records)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = open_iommufd(t, sim), queue;
	union cmd cmd = { 0 };
	struct abi_iommu_hwpt_page_response response = { 1, 0 };
	unsigned char records[80];
	struct pollfd poll;

	ASSERT_OK(command(sim, fd, 0x8e, &cmd));
	EXPECT_EQ(cmd.fault.out_fault_id, 1);
	queue = (int)cmd.fault.out_fault_fd;
	EXPECT_EQ(sys->read(sys->ctx, queue, records, 80), 0);
	EXPECT_EQ(sys->read(sys->ctx, queue, records, 0), 0);
	EXPECT_ERR(-ESPIPE, sys->read(sys->ctx, queue, records, 41));
	EXPECT_ERR(-ESPIPE, sys->write(sys->ctx, queue, &response, 7));
	EXPECT_ERR(-EINVAL, sys->write(sys->ctx, queue, &response, 8));
	EXPECT_ERR(-EFAULT, sys->write(sys->ctx, queue, NULL, 8));
	EXPECT_EQ(sys->write(sys->ctx, queue, &response, 0), 0);
	poll = (struct pollfd){ .fd = queue, .events = POLLIN | POLLOUT };
	EXPECT_EQ(sys->poll(sys->ctx, &poll, 1, 0), 1);
	EXPECT_EQ(poll.revents, POLLOUT);
	EXPECT_ERR(-ENOTTY, call(sim, queue, ABI_IOMMU_DESTROY, &cmd));
	close_node(sim, queue);
}

UNIT(sim_fault_queue, is_held_by_its_file_and_by_page_tables)
{
	struct board b = new_board(t);
	union cmd cmd = { 0 }, hwpt;

	ASSERT_OK(command(b.sim, b.iommufd, 0x8e, &cmd));
	hwpt = (union cmd){ .hwpt = { .flags = ABI_IOMMU_HWPT_FAULT_ID_VALID,
				      .dev_id = b.dev_id,
				      .pt_id = b.ioas,
				      .fault_id = cmd.fault.out_fault_id } };
	ASSERT_OK(command(b.sim, b.iommufd, 0x89, &hwpt));
	/* The device cannot ask for pages. */
	EXPECT_ERR(-ENODEV, attach_to(b.sim, b.cdev, hwpt.hwpt.out_hwpt_id));
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, cmd.fault.out_fault_id));
	EXPECT_OK(destroy(b.sim, b.iommufd, hwpt.hwpt.out_hwpt_id));
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, cmd.fault.out_fault_id));
	close_node(b.sim, (int)cmd.fault.out_fault_fd);
	EXPECT_OK(destroy(b.sim, b.iommufd, cmd.fault.out_fault_id));
}

UNIT(sim_fault_queue, outlives_the_descriptor_of_its_iommufd)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = open_iommufd(t, sim);
	union cmd cmd = { 0 };
	char record[40];

	ASSERT_OK(command(sim, fd, 0x8e, &cmd));
	close_node(sim, fd);
	EXPECT_EQ(sys->read(sys->ctx, (int)cmd.fault.out_fault_fd, record, 40), 0);
	close_node(sim, (int)cmd.fault.out_fault_fd);
}
