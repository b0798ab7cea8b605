// SPDX-License-Identifier: MIT
/* Address spaces of the simulated /dev/iommu: their room, options and accounts (kernel-interface A.4, A.5). */
#include "sim_iommu.h"

#include <errno.h>
#include <linux/capability.h>

#include "sim/iommufd/iommufd.h"

/* Ranges (A.4.1 to A.4.3) -------------------------------------------------------------------------------- */

UNIT(sim_ioas, a_fresh_space_is_one_range_of_everything)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	struct ranges ranges = ranges_of(sim, fd, new_ioas(sim, fd));

	EXPECT_EQ(ranges.num, 1);
	EXPECT_EQ(ranges.at[0].start, 0);
	EXPECT_EQ(ranges.at[0].last, UINT64_MAX);
	EXPECT_EQ(ranges.alignment, 1);
}

UNIT(sim_ioas, attaching_takes_away_what_the_device_and_its_iommu_cannot_use)
{
	struct board b = new_board(t);
	struct ranges ranges;
	uint32_t hwpt;

	/* The page table brings the aperture, the device the window of interrupts. */
	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	ranges = ranges_of(b.sim, b.iommufd, b.ioas);
	EXPECT_EQ(ranges.num, 1);
	EXPECT_EQ(ranges.at[0].last, 0xffffffffffff);
	EXPECT_EQ(ranges.alignment, 4096);
	ASSERT_OK(attach_to(b.sim, b.cdev, hwpt));
	ranges = ranges_of(b.sim, b.iommufd, b.ioas);
	EXPECT_EQ(ranges.num, 2);
	EXPECT_EQ(ranges.at[0].start, 0);
	EXPECT_EQ(ranges.at[0].last, 0xfedfffff);
	EXPECT_EQ(ranges.at[1].start, 0xfef00000);
	EXPECT_EQ(ranges.at[1].last, 0xffffffffffff);
	EXPECT_EQ(ranges.alignment, 4096);
	ASSERT_OK(detach(b.sim, b.cdev));
	EXPECT_EQ(ranges_of(b.sim, b.iommufd, b.ioas).num, 1);
	ASSERT_OK(destroy(b.sim, b.iommufd, hwpt));
	ranges = ranges_of(b.sim, b.iommufd, b.ioas);
	EXPECT_EQ(ranges.at[0].last, UINT64_MAX);
	EXPECT_EQ(ranges.alignment, 1);
}

UNIT(sim_ioas, short_arrays_of_ranges_are_filled_as_far_as_they_go)
{
	struct board b = new_board(t);
	struct abi_iommu_iova_range ranges[2] = { { 7, 7 }, { 7, 7 } };
	union cmd cmd = { .ranges = {
				  .ioas_id = b.ioas, .num_iovas = 1, .allowed_iovas = (uintptr_t)ranges } };

	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_ERR(-EMSGSIZE, command(b.sim, b.iommufd, 0x84, &cmd));
	EXPECT_EQ(cmd.ranges.num_iovas, 2);
	EXPECT_EQ(cmd.ranges.out_iova_alignment, 4096);
	EXPECT_EQ(ranges[0].last, 0xfedfffff);
	EXPECT_EQ(ranges[1].last, 7);
	cmd = (union cmd){ .ranges = { .ioas_id = b.ioas } };
	EXPECT_ERR(-EMSGSIZE, command(b.sim, b.iommufd, 0x84, &cmd));
	EXPECT_EQ(cmd.ranges.num_iovas, 2);
	cmd = (union cmd){ .ranges = { .ioas_id = b.ioas, .num_iovas = 2, .allowed_iovas = 8 } };
	EXPECT_ERR(-EFAULT, command(b.sim, b.iommufd, 0x84, &cmd));
}

static int allow(struct weir_sim *sim, int fd, uint32_t ioas, const struct abi_iommu_iova_range *ranges,
		 uint32_t num)
{
	union cmd cmd = { .allow = {
				  .ioas_id = ioas, .num_iovas = num, .allowed_iovas = (uintptr_t)ranges } };

	return command(sim, fd, 0x82, &cmd);
}

UNIT(sim_ioas, allowed_ranges_are_checked_and_replaced_as_a_whole)
{
	static const struct abi_iommu_iova_range good[] = { { 0x80000, 0x8ffff }, { 0x10000, 0x1ffff } };
	static const struct abi_iommu_iova_range one_byte[] = { { 0x40000, 0x4ffff }, { 5, 5 } };
	static const struct abi_iommu_iova_range backward[] = { { 6, 5 } };
	static const struct abi_iommu_iova_range overlap[] = { { 0x10000, 0x20000 }, { 0, 0x10000 } };
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint32_t ioas = new_ioas(sim, fd);
	unsigned char *memory = new_memory(t, 32 * PAGE);
	uint64_t iova;

	EXPECT_OK(allow(sim, fd, ioas, good, 2));
	EXPECT_ERR(-EINVAL, allow(sim, fd, ioas, one_byte, 2));
	EXPECT_ERR(-EINVAL, allow(sim, fd, ioas, backward, 1));
	EXPECT_ERR(-EINVAL, allow(sim, fd, ioas, overlap, 2));
	EXPECT_ERR(-EFAULT, allow(sim, fd, ioas, NULL, 1));
	/* The good ones are still in force, in ascending order, and one is not confined to them when it says
	 * where. */
	EXPECT_OK(map_anywhere(sim, fd, ioas, memory + PAGE, PAGE, &iova));
	EXPECT_EQ(iova, 0x10000);
	EXPECT_ERR(-ENOSPC, map_anywhere(sim, fd, ioas, memory, 17 * PAGE, &iova));
	EXPECT_OK(map_at(sim, fd, ioas, memory, PAGE, 0x2000));
	EXPECT_EQ(ranges_of(sim, fd, ioas).num, 1);
	EXPECT_EQ(ranges_of(sim, fd, ioas).at[0].last, UINT64_MAX);
	EXPECT_OK(allow(sim, fd, ioas, NULL, 0));
	EXPECT_OK(map_anywhere(sim, fd, ioas, memory + PAGE, PAGE, &iova));
	EXPECT_EQ(iova, 0x1000);
}

UNIT(sim_ioas, allowed_ranges_that_touch_are_one)
{
	static const struct abi_iommu_iova_range halves[] = { { 0x12000, 0x13fff }, { 0x10000, 0x11fff } };
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint32_t ioas = new_ioas(sim, fd);
	unsigned char *memory = new_memory(t, 8 * PAGE);
	uint64_t iova;

	EXPECT_OK(allow(sim, fd, ioas, halves, 2));
	EXPECT_OK(map_anywhere(sim, fd, ioas, memory + PAGE, 3 * PAGE, &iova));
	EXPECT_EQ(iova, 0x10000);
}

UNIT(sim_ioas, allowed_and_reserved_exclude_each_other)
{
	static const struct abi_iommu_iova_range window[] = { { 0xfedff000, 0xfee00000 } };
	struct board b = new_board(t);

	EXPECT_OK(allow(b.sim, b.iommufd, b.ioas, window, 1));
	EXPECT_ERR(-EADDRINUSE, attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_OK(allow(b.sim, b.iommufd, b.ioas, NULL, 0));
	EXPECT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_ERR(-EADDRINUSE, allow(b.sim, b.iommufd, b.ioas, window, 1));
	EXPECT_EQ(ranges_of(b.sim, b.iommufd, b.ioas).num, 2);
}

/* Automatic addresses (A.4.5) ---------------------------------------------------------------------------- */

static uint64_t place_file(struct weir_sim *sim, int fd, uint32_t ioas, int file, uint64_t start,
			   uint64_t len)
{
	union cmd cmd = {
		.map_file = { .flags = BOTH, .ioas_id = ioas, .fd = file, .start = start, .length = len }
	};

	EXPECT_OK(command(sim, fd, 0x8f, &cmd));
	return cmd.map_file.iova;
}

UNIT(sim_ioas, the_kernel_chooses_by_the_alignment_of_the_memory)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim), memfd = new_memfd(t, 16 * MIB);
	uint32_t ioas = new_ioas(sim, fd);
	unsigned char *memory = new_memory(t, 4 * PAGE);
	uint64_t iova, len = PAGE;

	EXPECT_OK(map_anywhere(sim, fd, ioas, memory, PAGE, &iova));
	EXPECT_EQ(iova, 0x1000);
	EXPECT_OK(map_anywhere(sim, fd, ioas, memory + 123, 100, &iova));
	EXPECT_EQ(iova, 0x207b);
	EXPECT_EQ(place_file(sim, fd, ioas, memfd, 0, 12 << 10), 0x4000);
	EXPECT_EQ(place_file(sim, fd, ioas, memfd, 0, 8 * MIB), 0x200000);
	EXPECT_EQ(place_file(sim, fd, ioas, memfd, 0, MIB), 0x100000);
	/* By the lowest bit of the offset, and by the length. */
	EXPECT_EQ(place_file(sim, fd, ioas, memfd, 0x8000, 0x10000), 0x8000);
	EXPECT_EQ(place_file(sim, fd, ioas, memfd, 0x8000, 0x1000), 0x3000);
	/* What is freed is used again, lowest first. */
	EXPECT_OK(unmap(sim, fd, ioas, 0x1000, &len));
	EXPECT_OK(map_anywhere(sim, fd, ioas, memory, PAGE, &iova));
	EXPECT_EQ(iova, 0x1000);
}

UNIT(sim_ioas, the_kernel_chooses_around_windows)
{
	static const struct abi_iommu_iova_range allowed[] = { { 0xfedfe000, 0xfedfffff },
							       { 0xfef00000, 0xfef00fff } };
	struct board b = new_board(t);
	unsigned char *memory = new_memory(t, 4 * PAGE) + PAGE;
	uint64_t iova;

	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_OK(allow(b.sim, b.iommufd, b.ioas, allowed, 2));
	EXPECT_ERR(-ENOSPC, map_anywhere(b.sim, b.iommufd, b.ioas, memory, 3 * PAGE, &iova));
	EXPECT_OK(map_anywhere(b.sim, b.iommufd, b.ioas, memory, 2 * PAGE, &iova));
	EXPECT_EQ(iova, 0xfedfe000);
	EXPECT_OK(map_anywhere(b.sim, b.iommufd, b.ioas, memory, PAGE, &iova));
	EXPECT_EQ(iova, 0xfef00000);
	EXPECT_ERR(-ENOSPC, map_anywhere(b.sim, b.iommufd, b.ioas, memory, PAGE, &iova));
}

/* OPTION (A.4.8) ----------------------------------------------------------------------------------------- */

static int option(struct weir_sim *sim, int fd, uint32_t id, uint16_t op, uint32_t object, uint64_t *value)
{
	union cmd cmd = { .option = { .option_id = id, .op = op, .object_id = object, .val64 = *value } };
	int error = command(sim, fd, 0x87, &cmd);

	*value = cmd.option.val64;
	return error;
}

UNIT(sim_ioas, the_limits_mode_can_be_read)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint64_t value = 7;

	EXPECT_OK(option(sim, fd, 0, 1, 0, &value));
	EXPECT_EQ(value, 0);
	EXPECT_ERR(-EOPNOTSUPP, option(sim, fd, 0, 1, 1, &value));
	EXPECT_ERR(-EOPNOTSUPP, option(sim, fd, 0, 2, 0, &value));
	EXPECT_ERR(-EOPNOTSUPP, option(sim, fd, 2, 1, 0, &value));
	drop_capabilities(t);
	EXPECT_ERR(-EPERM, option(sim, fd, 0, 0, 0, (value = 2, &value)));
}

/* What the calling process may do is as it is: few have CAP_SYS_RESOURCE. */
UNIT(sim_ioas, the_limits_mode_is_chosen_before_all_else)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	bool may = sim_capable(CAP_SYS_RESOURCE);
	uint64_t value;

	EXPECT_ERR(may ? -EINVAL : -EPERM, option(sim, fd, 0, 0, 0, (value = 2, &value)));
	EXPECT_EQ(option(sim, fd, 0, 0, 0, (value = 1, &value)), may ? 0 : -EPERM);
	EXPECT_OK(option(sim, fd, 0, 1, 0, (value = 7, &value)));
	EXPECT_EQ(value, may);
	new_ioas(sim, fd);
	EXPECT_ERR(may ? -EBUSY : -EPERM, option(sim, fd, 0, 0, 0, (value = 2, &value)));
}

UNIT(sim_ioas, large_pages_are_given_up_before_mappings_and_page_tables)
{
	struct board b = new_board(t);
	uint32_t hwpt;
	uint64_t value = 7;

	EXPECT_OK(option(b.sim, b.iommufd, 1, 1, b.ioas, &value));
	EXPECT_EQ(value, 1);
	EXPECT_ERR(-EINVAL, option(b.sim, b.iommufd, 1, 0, b.ioas, (value = 2, &value)));
	EXPECT_ERR(-EOPNOTSUPP, option(b.sim, b.iommufd, 1, 2, b.ioas, &value));
	EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), 100, MIB));
	EXPECT_ERR(-EADDRINUSE, option(b.sim, b.iommufd, 1, 0, b.ioas, (value = 0, &value)));
	EXPECT_OK(unmap(b.sim, b.iommufd, b.ioas, 0, (value = UINT64_MAX, &value)));
	EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), PAGE, MIB));
	ASSERT_OK(hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	EXPECT_ERR(-EINVAL, option(b.sim, b.iommufd, 1, 0, b.ioas, (value = 0, &value)));
	EXPECT_OK(destroy(b.sim, b.iommufd, hwpt));
	EXPECT_OK(option(b.sim, b.iommufd, 1, 0, b.ioas, (value = 0, &value)));
	EXPECT_EQ(ranges_of(b.sim, b.iommufd, b.ioas).alignment, PAGE);
	EXPECT_OK(option(b.sim, b.iommufd, 1, 1, b.ioas, (value = 7, &value)));
	EXPECT_EQ(value, 0);
	EXPECT_OK(option(b.sim, b.iommufd, 1, 0, b.ioas, (value = 1, &value)));
	EXPECT_EQ(ranges_of(b.sim, b.iommufd, b.ioas).alignment, 1);
}

/* Accounting (A.5) --------------------------------------------------------------------------------------- */

UNIT(sim_ioas, memory_is_charged_when_it_is_pinned)
{
	struct board b = new_board(t);
	unsigned char *memory = new_memory(t, 2 * PAGE);
	uint64_t everything = UINT64_MAX;

	drop_capabilities(t);
	limit_memlock(t, PAGE);
	EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, memory, 2 * PAGE, MIB));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, 0);
	EXPECT_ERR(-ENOMEM, attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_OK(unmap(b.sim, b.iommufd, b.ioas, 0, &everything));
	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_ERR(-ENOMEM, map_at(b.sim, b.iommufd, b.ioas, memory, 2 * PAGE, MIB));
	EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, memory, PAGE, MIB));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, PAGE);
	/* The user's counter is not the process's. */
	EXPECT_EQ(b.sim->processes[0].locked_bytes, 0);
	EXPECT_ERR(-ENOMEM, map_at(b.sim, b.iommufd, b.ioas, memory, PAGE, 0));
	/* A copy is of the same pages. */
	EXPECT_OK(copy_at(b.sim, b.iommufd, b.ioas, MIB, PAGE, b.ioas, 0, BOTH));
	ASSERT_OK(detach(b.sim, b.cdev));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, 0);
	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, PAGE);
}

UNIT(sim_ioas, how_memory_is_charged_is_settled_when_it_is_mapped)
{
	struct board b = new_board(t);
	uint64_t exempt = sim_capable(CAP_IPC_LOCK) ? 2 * PAGE : 0;

	if (exempt)
		EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, exempt), exempt, MIB));
	drop_capabilities(t);
	limit_memlock(t, PAGE);
	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_EQ(b.sim->processes[0].pinned_bytes, exempt);
	EXPECT_EQ(b.sim->processes[0].user_locked_bytes, 0);
	EXPECT_ERR(-ENOMEM, map_file(b.sim, b.iommufd, b.ioas, new_memfd(t, 2 * PAGE), 0, 2 * PAGE, BOTH, 0));
	EXPECT_OK(map_file(b.sim, b.iommufd, b.ioas, new_memfd(t, 2 * PAGE), PAGE, PAGE, BOTH, 0));
	EXPECT_EQ(b.sim->processes[0].user_locked_bytes, PAGE);
}

UNIT(sim_ioas, by_option_the_process_is_charged)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *device = new_toy(t, sim, NULL);
	int fd = open_iommufd(t, sim), cdev = open_cdev(t, sim, device);
	uint32_t dev_id;

	sim_iommufd_of(sim_file_find(sim, fd))->per_process = true;
	ASSERT_OK(bind_cdev(sim, cdev, fd, &dev_id));
	ASSERT_OK(attach_to(sim, cdev, new_ioas(sim, fd)));
	drop_capabilities(t);
	limit_memlock(t, PAGE);
	EXPECT_OK(map_at(sim, fd, 2, new_memory(t, PAGE), PAGE, MIB));
	EXPECT_EQ(sim->processes[0].locked_bytes, PAGE);
	EXPECT_EQ(sim->processes[0].user_locked_bytes, 0);
	EXPECT_ERR(-ENOMEM, map_at(sim, fd, 2, new_memory(t, PAGE), PAGE, 0));
}
