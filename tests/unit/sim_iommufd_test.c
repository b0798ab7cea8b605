// SPDX-License-Identifier: MIT
/* The simulated /dev/iommu: commands, objects, and what older kernels lack (kernel-interface A.1 to A.3, F). */
#include "sim_iommu.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Framing (A.1) ------------------------------------------------------------------------------------------ */

UNIT(sim_iommufd, numbers_that_are_none_are_enotty)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	union cmd cmd = { .size = 64 };

	EXPECT_ERR(-ENOTTY, call(sim, fd, 0x3b95, &cmd));
	EXPECT_ERR(-ENOTTY, call(sim, fd, 0x3ba0, &cmd));
	EXPECT_ERR(-ENOTTY, call(sim, fd, 0x3ba1, &cmd));
	EXPECT_ERR(-ENOTTY, call(sim, fd, 0x3b7f, &cmd));
	/* The whole number is compared, but only after the size has been read. */
	EXPECT_ERR(-ENOTTY, call(sim, fd, 0x40003b81, &cmd));
	EXPECT_ERR(-ENOTTY, call(sim, fd, 0x3c81, &cmd));
	EXPECT_ERR(-EFAULT, call(sim, fd, 0x40003b81, NULL));
	EXPECT_ERR(-EFAULT, call(sim, fd, ABI_IOMMU_IOAS_ALLOC, NULL));
}

UNIT(sim_iommufd, structs_are_shorter_or_longer_than_the_kernels)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	union cmd cmd = { .size = 8 };

	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_IOMMU_IOAS_ALLOC, &cmd));
	cmd.size = 0;
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_IOMMU_IOAS_ALLOC, &cmd));
	cmd.size = 100;
	cmd.bytes[99] = 1;
	EXPECT_ERR(-E2BIG, call(sim, fd, ABI_IOMMU_IOAS_ALLOC, &cmd));
	cmd.bytes[99] = 0;
	EXPECT_OK(call(sim, fd, ABI_IOMMU_IOAS_ALLOC, &cmd));
	EXPECT_EQ(cmd.ioas_alloc.out_ioas_id, 1);
	/* The tail is looked at as far as it is said to go. */
	cmd.size = 1u << 31;
	EXPECT_LT(call(sim, fd, ABI_IOMMU_IOAS_ALLOC, &cmd), 0);
	/* The first release of HWPT_ALLOC had 24 bytes, which is all that is copied back. */
	cmd = (union cmd){ .size = 23 };
	EXPECT_ERR(-EINVAL, call(sim, fd, ABI_IOMMU_HWPT_ALLOC, &cmd));
	cmd.size = 24;
	EXPECT_ERR(-ENOENT, call(sim, fd, ABI_IOMMU_HWPT_ALLOC, &cmd));
}

/* Each command that has flags or reserved words, with all else wrong as well: they are looked at first. */
UNIT(sim_iommufd, unknown_flags_and_reserved_words_come_first)
{
	static const struct row rows[] = {
		{ "alloc", 0x81, -EOPNOTSUPP, { .ioas_alloc = { .flags = 1 } } },
		{ "allow", 0x82, -EOPNOTSUPP, { .allow = { .__reserved = 1, .ioas_id = 9 } } },
		{ "copy", 0x83, -EOPNOTSUPP, { .copy = { .flags = 8, .length = UINT64_MAX } } },
		{ "ranges", 0x84, -EOPNOTSUPP, { .ranges = { .__reserved = 1, .ioas_id = 9 } } },
		{ "map", 0x85, -EOPNOTSUPP, { .map = { .flags = 8, .length = UINT64_MAX } } },
		{ "map, reserved", 0x85, -EOPNOTSUPP, { .map = { .__reserved = 1, .length = UINT64_MAX } } },
		{ "option", 0x87, -EOPNOTSUPP, { .option = { .__reserved = 1, .op = 1 } } },
		{ "vfio_ioas", 0x88, -EOPNOTSUPP, { .vfio_ioas = { .__reserved = 1, .op = 2 } } },
		{ "hwpt", 0x89, -EOPNOTSUPP, { .hwpt = { .__reserved = 1, .data_len = 4 } } },
		{ "hw_info", 0x8a, -EOPNOTSUPP, { .hw_info = { .flags = 2 } } },
		{ "hw_info, reserved", 0x8a, -EOPNOTSUPP, { .hw_info = { .__reserved = { 0, 0, 1 } } } },
		{ "set_dirty", 0x8b, -EOPNOTSUPP, { .set_dirty = { .flags = 2 } } },
		{ "get_dirty", 0x8c, -EOPNOTSUPP, { .get_dirty = { .flags = 2 } } },
		{ "get_dirty, reserved", 0x8c, -EOPNOTSUPP, { .get_dirty = { .__reserved = 1 } } },
		{ "invalidate", 0x8d, -EOPNOTSUPP, { .invalidate = { .__reserved = 1, .entry_num = 1 } } },
		{ "fault", 0x8e, -EOPNOTSUPP, { .fault = { .flags = 1 } } },
		{ "map_file", 0x8f, -EOPNOTSUPP, { .map_file = { .flags = 8, .fd = -1 } } },
		{ "viommu", 0x90, -EOPNOTSUPP, { .viommu = { .flags = 1, .type = 1 } } },
		{ "viommu, type", 0x90, -EOPNOTSUPP, { .viommu = { .type = 0 } } },
		{ "change_process", 0x92, -EOPNOTSUPP, { .change_process = { .__reserved = 1 } } },
		{ "veventq", 0x93, -EOPNOTSUPP, { .veventq = { .flags = 1, .type = 1 } } },
		{ "veventq, reserved", 0x93, -EOPNOTSUPP, { .veventq = { .__reserved = 1, .type = 1 } } },
		{ "veventq, type", 0x93, -EOPNOTSUPP, { .veventq = { .type = 0 } } },
		{ "hw_queue", 0x94, -EOPNOTSUPP, { .hw_queue = { .flags = 1, .type = 1 } } },
		{ "hw_queue, type", 0x94, -EOPNOTSUPP, { .hw_queue = { .type = 0 } } },
	};
	struct weir_sim *sim = new_machine(t, NULL);

	RUN_ROWS(t, sim, open_iommufd(t, sim), rows);
}

/* Objects (A.1, A.3) ------------------------------------------------------------------------------------- */

UNIT(sim_iommufd, ids_are_the_lowest_free_from_1)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim), other = open_iommufd(t, sim);

	for (uint32_t id = 1; id <= 40; id++)
		EXPECT_EQ(new_ioas(sim, fd), id);
	EXPECT_EQ(new_ioas(sim, other), 1);
	EXPECT_OK(destroy(sim, fd, 7));
	EXPECT_OK(destroy(sim, fd, 3));
	EXPECT_ERR(-ENOENT, destroy(sim, fd, 3));
	EXPECT_EQ(new_ioas(sim, fd), 3);
	EXPECT_EQ(new_ioas(sim, fd), 7);
	EXPECT_EQ(new_ioas(sim, fd), 41);
	EXPECT_ERR(-ENOENT, destroy(sim, fd, 0));
	EXPECT_ERR(-ENOENT, destroy(sim, fd, UINT32_MAX));
}

/* One IOAS, id 1; one fault queue, id 2. */
UNIT(sim_iommufd, ids_that_are_missing_or_of_another_type_are_enoent)
{
	static const struct row rows[] = {
		{ "allow", 0x82, -ENOENT, { .allow = { .ioas_id = 2 } } },
		{ "copy, source",
		  0x83,
		  -ENOENT,
		  { .copy = { .flags = BOTH, .src_ioas_id = 2, .dst_ioas_id = 1 } } },
		{ "ranges", 0x84, -ENOENT, { .ranges = { .ioas_id = 0 } } },
		{ "map", 0x85, -ENOENT, { .map = { .flags = BOTH, .ioas_id = 2 } } },
		{ "unmap", 0x86, -ENOENT, { .unmap = { .ioas_id = 3 } } },
		{ "option", 0x87, -ENOENT, { .option = { .option_id = 1, .op = 1, .object_id = 2 } } },
		{ "vfio_ioas", 0x88, -ENOENT, { .vfio_ioas = { .ioas_id = 2, .op = 1 } } },
		{ "hwpt", 0x89, -ENOENT, { .hwpt = { .dev_id = 1, .pt_id = 1 } } },
		{ "hw_info", 0x8a, -ENOENT, { .hw_info = { .dev_id = 1 } } },
		{ "set_dirty", 0x8b, -ENOENT, { .set_dirty = { .hwpt_id = 1 } } },
		{ "get_dirty", 0x8c, -ENOENT, { .get_dirty = { .hwpt_id = 1 } } },
		{ "invalidate", 0x8d, -ENOENT, { .invalidate = { .hwpt_id = 3 } } },
		{ "invalidate an IOAS", 0x8d, -EINVAL, { .invalidate = { .hwpt_id = 1 } } },
		{ "map_file", 0x8f, -ENOENT, { .map_file = { .flags = BOTH, .ioas_id = 2, .fd = -1 } } },
		{ "viommu", 0x90, -ENOENT, { .viommu = { .type = 1, .dev_id = 1 } } },
		{ "vdevice", 0x91, -ENOENT, { .vdevice = { .viommu_id = 1 } } },
		{ "veventq", 0x93, -ENOENT, { .veventq = { .type = 1, .veventq_depth = 1 } } },
		{ "veventq, no depth", 0x93, -EINVAL, { .veventq = { .type = 1 } } },
		{ "veventq, too deep", 0x93, -EINVAL, { .veventq = { .type = 1, .veventq_depth = 524289 } } },
		{ "hw_queue", 0x94, -ENOENT, { .hw_queue = { .type = 1, .length = 1 } } },
		{ "hw_queue, no length", 0x94, -EINVAL, { .hw_queue = { .type = 1 } } },
		{ "hw_queue, too long",
		  0x94,
		  -EOVERFLOW,
		  { .hw_queue = { .type = 1, .nesting_parent_iova = 2, .length = UINT64_MAX } } },
	};
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	union cmd cmd = { 0 };

	EXPECT_EQ(new_ioas(sim, fd), 1);
	EXPECT_OK(command(sim, fd, 0x8e, &cmd));
	EXPECT_EQ(cmd.fault.out_fault_id, 2);
	RUN_ROWS(t, sim, fd, rows);
	EXPECT_OK(close((int)cmd.fault.out_fault_fd));
}

UNIT(sim_iommufd, an_object_whose_id_cannot_be_copied_back_is_gone_again)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	union cmd cmd = { 0 };

	weir_sim_fail_call(sim, 1, 0, true);
	EXPECT_ERR(-EFAULT, command(sim, fd, 0x81, &cmd));
	weir_sim_fail_call(sim, 1, 0, true);
	cmd = (union cmd){ 0 };
	EXPECT_ERR(-EFAULT, command(sim, fd, 0x8e, &cmd));
	EXPECT_EQ(new_ioas(sim, fd), 1);
}

UNIT(sim_iommufd, a_mapping_that_cannot_be_reported_stays)
{
	struct weir_sim *sim = new_machine(t, NULL);
	int fd = open_iommufd(t, sim);
	uint32_t ioas = new_ioas(sim, fd);
	unsigned char *memory = new_memory(t, PAGE);

	weir_sim_fail_call(sim, 1, 0, true);
	EXPECT_ERR(-EFAULT, map_at(sim, fd, ioas, memory, PAGE, MIB));
	EXPECT_ERR(-EEXIST, map_at(sim, fd, ioas, memory, PAGE, MIB));
}

UNIT(sim_iommufd, nothing_can_be_mapped_or_read_from_it)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	int fd = open_iommufd(t, sim);
	char byte = 0;
	void *addr;

	EXPECT_ERR(-ENXIO, sys->mmap(sys->ctx, NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0, &addr));
	EXPECT_ERR(-EINVAL, sys->mmap(sys->ctx, NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0, &addr));
	EXPECT_ERR(-EPERM, sys->mmap(sys->ctx, NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0, &addr));
	EXPECT_ERR(-EINVAL, sys->read(sys->ctx, fd, &byte, 1));
	EXPECT_ERR(-EINVAL, sys->write(sys->ctx, fd, &byte, 1));
}

/* Ages (F) ----------------------------------------------------------------------------------------------- */

UNIT(sim_iommufd, older_kernels_have_fewer_commands)
{
	static const struct {
		enum weir_sim_age age;
		uint32_t last;
	} rows[] = { { WEIR_SIM_7_2, 0x94 },
		     { WEIR_SIM_6_19, 0x94 },
		     { WEIR_SIM_6_12, 0x8e },
		     { WEIR_SIM_6_6, 0x8a } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_sim *sim = new_machine(t, &WEIR_OPTS(weir_sim_opts, .age = rows[i].age));
		int fd = open_iommufd(t, sim);

		for (uint32_t number = 0x80; number <= 0x95; number++) {
			union cmd cmd = { .size = 4 };

			t_note(t, "age %u, number %#x", rows[i].age, number);
			EXPECT_ERR(number <= rows[i].last ? -EINVAL : -ENOTTY,
				   call(sim, fd, 0x3b00 | number, &cmd));
		}
	}
}

UNIT(sim_iommufd, the_6_6_kernel_knows_the_first_structs_only)
{
	struct weir_sim *sim = new_machine(t, &WEIR_OPTS(weir_sim_opts, .age = WEIR_SIM_6_6));
	int fd = open_iommufd(t, sim);
	union cmd cmd = { .hwpt = { .size = 48, .fault_id = 1 } };

	EXPECT_ERR(-E2BIG, command(sim, fd, 0x89, &cmd));
	cmd.hwpt.fault_id = 0;
	EXPECT_ERR(-ENOENT, command(sim, fd, 0x89, &cmd));
	cmd.hwpt.flags = ABI_IOMMU_HWPT_ALLOC_NEST_PARENT;
	EXPECT_ERR(-EOPNOTSUPP, command(sim, fd, 0x89, &cmd));
}
