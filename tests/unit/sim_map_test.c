// SPDX-License-Identifier: MIT
/* Mapping, unmapping and copying in the simulated /dev/iommu (kernel-interface A.4, A.6, A.7). */
#include "sim_iommu.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* MAP (A.4.4) -------------------------------------------------------------------------------------------- */

#define MAP(...)                                                                                             \
	{                                                                                                    \
		.map = { __VA_ARGS__ }                                                                       \
	}
#define MAP_FIXED1(...) MAP(.flags = FIXED | BOTH, .ioas_id = 1, __VA_ARGS__)

/* Each row is wrong in two ways: the first is reported. */
UNIT(sim_map, map_checks_in_the_kernels_order)
{
	static const struct row rows[] = {
		{ "iova above all", 0x85, -EOVERFLOW, MAP(.ioas_id = 9, .iova = UINT64_MAX) },
		{ "length above all", 0x85, -EOVERFLOW, MAP(.ioas_id = 9, .length = UINT64_MAX) },
		{ "neither read nor write", 0x85, -EINVAL, MAP(.ioas_id = 9) },
		{ "no such space", 0x85, -ENOENT, MAP(.flags = BOTH, .ioas_id = 9) },
		{ "no length", 0x85, -EINVAL, MAP_FIXED1(.iova = MIB) },
		{ "no length, anywhere", 0x85, -EINVAL, MAP(.flags = BOTH, .ioas_id = 1) },
		{ "address wraps", 0x85, -EOVERFLOW, MAP_FIXED1(.user_va = 2, .length = UINT64_MAX - 1) },
		{ "longer than memory can be", 0x85, -EINVAL, MAP_FIXED1(.length = UINT64_MAX - 1) },
		{ "iova wraps", 0x85, -EOVERFLOW, MAP_FIXED1(.iova = UINT64_MAX - 1, .length = 4) },
		{ "taken", 0x85, -EEXIST, MAP_FIXED1(.iova = MIB + 2 * PAGE - 1, .length = 1) },
		{ "longer than half of all", 0x85, -EOVERFLOW,
		  MAP(.flags = BOTH, .ioas_id = 1, .length = UINT64_MAX / 2) },
		{ "longer than the space", 0x85, -ENOSPC,
		  MAP(.flags = BOTH, .ioas_id = 1, .user_va = PAGE, .length = UINT64_MAX / 2 - 1) },
	};
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);

	EXPECT_OK(map_at(sim, fd, new_ioas(sim, fd), new_memory(t, 2 * PAGE), 2 * PAGE, MIB));
	EXPECT_OK(map_at(sim, fd, 1, (void *)(uintptr_t)PAGE, UINT64_MAX / 4, (uint64_t)1 << 62));
	EXPECT_OK(map_at(sim, fd, 1, (void *)(uintptr_t)PAGE, UINT64_MAX / 4, (uint64_t)3 << 62));
	RUN_ROWS(t, sim, fd, rows);
}

/* With a page table, places are whole pages outside of what is reserved. */
UNIT(sim_map, map_checks_in_the_kernels_order_when_attached)
{
	static const struct row rows[] = {
		{ "length within a page", 0x85, -EINVAL, MAP_FIXED1(.iova = MIB, .length = 100) },
		{ "iova within a page", 0x85, -EINVAL, MAP_FIXED1(.iova = MIB + 1, .length = PAGE) },
		{ "window", 0x85, -EINVAL, MAP_FIXED1(.iova = 0xfedff000, .length = 2 * PAGE) },
		{ "outside of the aperture", 0x85, -EINVAL, MAP_FIXED1(.iova = 1ull << 48, .length = PAGE) },
		{ "reserved and taken", 0x85, -EINVAL, MAP_FIXED1(.iova = MIB, .length = 0x100000000) },
		{ "taken, address within a page", 0x85, -EEXIST,
		  MAP_FIXED1(.user_va = 1, .iova = MIB, .length = PAGE) },
		{ "address within a page", 0x85, -EINVAL,
		  MAP_FIXED1(.user_va = 1, .iova = 2 * MIB, .length = PAGE) },
		{ "address within a page, anywhere", 0x85, -EINVAL,
		  MAP(.flags = BOTH, .ioas_id = 1, .user_va = 512, .length = PAGE) },
		{ "not memory", 0x85, -EFAULT, MAP_FIXED1(.user_va = 0, .iova = 2 * MIB, .length = PAGE) },
		{ "not memory of any process", 0x85, -EFAULT,
		  MAP_FIXED1(.user_va = 1ull << 63, .iova = 2 * MIB, .length = PAGE) },
		{ "not memory, anywhere", 0x85, -EFAULT,
		  MAP(.flags = BOTH, .ioas_id = 1, .user_va = 0, .length = PAGE) },
	};
	struct board b = new_board(t);

	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), PAGE, MIB));
	RUN_ROWS(t, b.sim, b.iommufd, rows);
	/* Nothing of what failed is left. */
	EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), PAGE, 2 * MIB));
}

UNIT(sim_map, zero_is_an_iova)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint32_t ioas = new_ioas(sim, fd);

	EXPECT_OK(map_at(sim, fd, ioas, new_memory(t, PAGE), PAGE, 0));
	EXPECT_ERR(-EEXIST, map_at(sim, fd, ioas, new_memory(t, PAGE), PAGE, 0));
}

/* Bad memory, a file that is none, and one that is too short: all well until a page table comes. */
UNIT(sim_map, memory_is_looked_at_when_there_is_a_page_table)
{
	struct board b = new_board(t);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), memfd = new_memfd(t, PAGE);
	uint64_t everything = UINT64_MAX;
	uint32_t hwpt;

	EXPECT_OK(map_at(b.sim, b.iommufd, b.ioas, (void *)(uintptr_t)PAGE, PAGE, MIB));
	EXPECT_ERR(-EFAULT, attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_ERR(-EFAULT, hwpt_alloc(b.sim, b.iommufd, b.dev_id, b.ioas, &hwpt));
	EXPECT_OK(unmap(b.sim, b.iommufd, b.ioas, 0, &everything));
	EXPECT_OK(map_file(b.sim, b.iommufd, b.ioas, null, 0, PAGE, BOTH, MIB));
	EXPECT_ERR(-EINVAL, attach_to(b.sim, b.cdev, b.ioas));
	everything = UINT64_MAX;
	EXPECT_OK(unmap(b.sim, b.iommufd, b.ioas, 0, &everything));
	EXPECT_OK(map_file(b.sim, b.iommufd, b.ioas, memfd, 0, 2 * PAGE, BOTH, MIB));
	EXPECT_ERR(-EINVAL, attach_to(b.sim, b.cdev, b.ioas));
	/* What failed has left no page table behind, and the file is looked at as it is then. */
	EXPECT_EQ(ranges_of(b.sim, b.iommufd, b.ioas).at[0].last, UINT64_MAX);
	EXPECT_OK(ftruncate(memfd, 2 * PAGE));
	EXPECT_OK(attach_to(b.sim, b.cdev, b.ioas));
	close(null);
}

UNIT(sim_map, what_does_not_suit_a_page_table_keeps_it_out)
{
	struct board b = new_board(t);
	unsigned char *memory = new_memory(t, 2 * PAGE);
	static const struct {
		uint64_t shift, len, iova;
	} rows[] = {
		{ 0, PAGE, 0xfee00000 }, { 0, PAGE, 1ull << 48 }, { 0, 100, MIB },
		{ 0, PAGE, MIB + 1 },    { 1, PAGE, MIB + 2048 }, { 512, PAGE, MIB },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t everything = UINT64_MAX;

		t_note(t, "row %zu", i);
		EXPECT_OK(
			map_at(b.sim, b.iommufd, b.ioas, memory + rows[i].shift, rows[i].len, rows[i].iova));
		EXPECT_ERR(-EADDRINUSE, attach_to(b.sim, b.cdev, b.ioas));
		EXPECT_OK(unmap(b.sim, b.iommufd, b.ioas, 0, &everything));
		EXPECT_EQ(everything, rows[i].len);
	}
	EXPECT_OK(attach_to(b.sim, b.cdev, b.ioas));
}

/* UNMAP (A.4.6) ------------------------------------------------------------------------------------------ */

UNIT(sim_map, unmap_takes_whole_areas_in_order_until_one_sticks_out)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint32_t ioas = new_ioas(sim, fd);
	unsigned char *memory = new_memory(t, 4 * PAGE);
	uint64_t len;

	EXPECT_OK(map_at(sim, fd, ioas, memory, PAGE, 0x10000));
	EXPECT_OK(map_at(sim, fd, ioas, memory, 2 * PAGE, 0x20000));
	/* All of the first and half of the second: the first is gone, and nobody says so. */
	EXPECT_ERR(-ENOENT, unmap(sim, fd, ioas, 0x10000, (len = 0x11000, &len)));
	EXPECT_EQ(len, 0x11000);
	EXPECT_ERR(-ENOENT, unmap(sim, fd, ioas, 0x10000, (len = PAGE, &len)));
	EXPECT_ERR(-ENOENT, unmap(sim, fd, ioas, 0x21000, (len = PAGE, &len)));
	EXPECT_ERR(-ENOENT, unmap(sim, fd, ioas, 0x20000, (len = PAGE, &len)));
	EXPECT_OK(unmap(sim, fd, ioas, 0x20000, (len = 2 * PAGE, &len)));
	EXPECT_EQ(len, 2 * PAGE);
}

UNIT(sim_map, unmap_passes_over_holes_and_says_how_much_there_was)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint32_t ioas = new_ioas(sim, fd);
	unsigned char *memory = new_memory(t, 4 * PAGE);
	uint64_t len;

	EXPECT_OK(map_at(sim, fd, ioas, memory, PAGE, 0x10000));
	EXPECT_OK(map_at(sim, fd, ioas, memory, 2 * PAGE, 0x20000));
	EXPECT_OK(unmap(sim, fd, ioas, 1, (len = MIB, &len)));
	EXPECT_EQ(len, 3 * PAGE);
	EXPECT_ERR(-ENOENT, unmap(sim, fd, ioas, 1, (len = MIB, &len)));
	EXPECT_EQ(len, MIB);
	/* Everything may be nothing. */
	EXPECT_OK(unmap(sim, fd, ioas, 0, (len = UINT64_MAX, &len)));
	EXPECT_EQ(len, 0);
	EXPECT_ERR(-EINVAL, unmap(sim, fd, ioas, 0, (len = 0, &len)));
	EXPECT_ERR(-EOVERFLOW, unmap(sim, fd, ioas, UINT64_MAX, (len = 1, &len)));
	EXPECT_ERR(-EOVERFLOW, unmap(sim, fd, ioas, 1, (len = UINT64_MAX, &len)));
	EXPECT_ERR(-EOVERFLOW, unmap(sim, fd, ioas, UINT64_MAX - 1, (len = 3, &len)));
}

/* COPY (A.4.7) ------------------------------------------------------------------------------------------- */

UNIT(sim_map, copy_takes_any_part_without_holes)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint32_t from = new_ioas(sim, fd), to = new_ioas(sim, fd);
	unsigned char *memory = new_memory(t, 4 * PAGE);
	uint64_t len;

	EXPECT_OK(map_at(sim, fd, from, memory, 2 * PAGE, MIB));
	EXPECT_OK(map_at(sim, fd, from, memory, 2 * PAGE, MIB + 2 * PAGE));
	EXPECT_OK(copy_at(sim, fd, from, MIB + PAGE, 2 * PAGE, to, 0, BOTH));
	EXPECT_ERR(-ENOENT, copy_at(sim, fd, from, MIB + PAGE, 4 * PAGE, to, MIB, BOTH));
	EXPECT_ERR(-ENOENT, copy_at(sim, fd, from, MIB - PAGE, 2 * PAGE, to, MIB, BOTH));
	EXPECT_ERR(-ENOENT, copy_at(sim, fd, from, MIB, PAGE, 9, MIB, BOTH));
	EXPECT_ERR(-EEXIST, copy_at(sim, fd, from, MIB, PAGE, to, PAGE, BOTH));
	EXPECT_ERR(-EEXIST, copy_at(sim, fd, from, MIB, PAGE, from, MIB, BOTH));
	EXPECT_OK(copy_at(sim, fd, from, MIB, PAGE, from, 2 * MIB, BOTH));
	/* A copy of parts of two areas is two areas. */
	EXPECT_OK(unmap(sim, fd, to, 0, (len = PAGE, &len)));
	EXPECT_OK(unmap(sim, fd, to, PAGE, (len = PAGE, &len)));
}

UNIT(sim_map, copy_checks_in_the_kernels_order)
{
	static const struct row rows[] = {
		{ "length", 0x83, -EOVERFLOW, { .copy = { .length = UINT64_MAX } } },
		{ "source", 0x83, -EOVERFLOW, { .copy = { .src_iova = UINT64_MAX } } },
		{ "destination", 0x83, -EOVERFLOW, { .copy = { .dst_iova = UINT64_MAX } } },
		{ "neither", 0x83, -EINVAL, { .copy = { .src_ioas_id = 9 } } },
		{ "no source", 0x83, -ENOENT, { .copy = { .flags = BOTH, .src_ioas_id = 9 } } },
		{ "no length",
		  0x83,
		  -EINVAL,
		  { .copy = { .flags = BOTH, .src_ioas_id = 1, .dst_ioas_id = 9 } } },
		{ "wraps",
		  0x83,
		  -EOVERFLOW,
		  { .copy = { .flags = BOTH, .src_ioas_id = 1, .src_iova = 9, .length = UINT64_MAX - 1 } } },
		{ "hole", 0x83, -ENOENT, { .copy = { .flags = BOTH, .src_ioas_id = 1, .length = 1 } } },
	};
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);

	new_ioas(sim, fd);
	RUN_ROWS(t, sim, fd, rows);
}

UNIT(sim_map, copy_cannot_make_read_only_pages_writable)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint32_t ioas = new_ioas(sim, fd);
	union cmd cmd = { .map = { .flags = FIXED | READABLE,
				   .ioas_id = ioas,
				   .length = PAGE,
				   .iova = MIB,
				   .user_va = (uintptr_t)new_memory(t, PAGE) } };

	EXPECT_OK(command(sim, fd, 0x85, &cmd));
	EXPECT_ERR(-EPERM, copy_at(sim, fd, ioas, MIB, PAGE, ioas, 0, BOTH));
	EXPECT_ERR(-EPERM, copy_at(sim, fd, ioas, MIB, PAGE, ioas, 0, WRITEABLE));
	EXPECT_OK(copy_at(sim, fd, ioas, MIB, PAGE, ioas, 0, READABLE));
}

UNIT(sim_map, a_copy_lives_on_without_its_source)
{
	struct board b = new_board(t);
	uint32_t from = new_ioas(b.sim, b.iommufd);
	unsigned char *memory = new_memory(t, 2 * PAGE), seen[8] = { 0 };

	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_OK(map_at(b.sim, b.iommufd, from, memory, 2 * PAGE, MIB));
	EXPECT_OK(copy_at(b.sim, b.iommufd, from, MIB + PAGE, PAGE, b.ioas, 0, BOTH));
	EXPECT_OK(destroy(b.sim, b.iommufd, from));
	memcpy(memory + PAGE, "weirweir", 8);
	EXPECT_OK(weir_sim_device_dma_read(b.device, 0, seen, 8));
	EXPECT_MEMEQ(seen, "weirweir", 8);
}

/* The address is that of the first byte: here one page above the beginning of the mapping. */
UNIT(sim_map, a_copy_anywhere_is_aligned_as_its_memory)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim), memfd = new_memfd(t, MIB);
	uint32_t ioas = new_ioas(sim, fd), to = new_ioas(sim, fd);
	union cmd cmd = {
		.copy = { .flags = BOTH, .src_ioas_id = ioas, .dst_ioas_id = to, .length = 0x10000 }
	};

	EXPECT_OK(map_file(sim, fd, ioas, memfd, 0, MIB, BOTH, 0));
	cmd.copy.src_iova = 0x2000;
	EXPECT_OK(command(sim, fd, 0x83, &cmd));
	EXPECT_EQ(cmd.copy.dst_iova, 0x2000);
	cmd.copy.src_iova = 0;
	EXPECT_OK(command(sim, fd, 0x83, &cmd));
	EXPECT_EQ(cmd.copy.dst_iova, 0x20000);
}

/* MAP_FILE, CHANGE_PROCESS (A.6, A.7) -------------------------------------------------------------------- */

UNIT(sim_map, map_file_checks_in_the_kernels_order)
{
	static const struct row rows[] = {
		{ "length", 0x8f, -EOVERFLOW, { .map_file = { .length = UINT64_MAX, .fd = -1 } } },
		{ "iova", 0x8f, -EOVERFLOW, { .map_file = { .iova = UINT64_MAX, .fd = -1 } } },
		{ "neither", 0x8f, -EINVAL, { .map_file = { .ioas_id = 9, .fd = -1 } } },
		{ "no space", 0x8f, -ENOENT, { .map_file = { .flags = BOTH, .ioas_id = 9, .fd = -1 } } },
		{ "no file", 0x8f, -EBADF, { .map_file = { .flags = BOTH, .ioas_id = 1, .fd = -1 } } },
		{ "closed file",
		  0x8f,
		  -EBADF,
		  { .map_file = { .flags = BOTH, .ioas_id = 1, .fd = 1 << 20 } } },
		{ "no length", 0x8f, -EINVAL, { .map_file = { .flags = BOTH, .ioas_id = 1, .fd = 0 } } },
		{ "wraps",
		  0x8f,
		  -EOVERFLOW,
		  { .map_file = { .flags = BOTH,
				  .ioas_id = 1,
				  .fd = 0,
				  .start = 9,
				  .length = UINT64_MAX - 1 } } },
	};
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);

	new_ioas(sim, fd);
	RUN_ROWS(t, sim, fd, rows);
}

UNIT(sim_map, charges_change_hands_when_all_is_mapped_by_file)
{
	struct board b = new_board(t);
	uint32_t other = new_ioas(b.sim, b.iommufd);
	uint64_t everything = UINT64_MAX;
	union cmd cmd = { 0 };

	EXPECT_OK(command(b.sim, b.iommufd, 0x92, &cmd));
	ASSERT_OK(attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_OK(map_file(b.sim, b.iommufd, b.ioas, new_memfd(t, PAGE), 0, PAGE, BOTH, MIB));
	EXPECT_OK(command(b.sim, b.iommufd, 0x92, &cmd));
	EXPECT_OK(map_at(b.sim, b.iommufd, other, new_memory(t, PAGE), PAGE, MIB));
	EXPECT_ERR(-EINVAL, command(b.sim, b.iommufd, 0x92, &cmd));
	EXPECT_OK(unmap(b.sim, b.iommufd, other, 0, &everything));
	EXPECT_OK(command(b.sim, b.iommufd, 0x92, &cmd));
}
