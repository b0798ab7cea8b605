// SPDX-License-Identifier: MIT
/*
 * Batches of commands for a virtual SMMUv3 (kernel-interface A.11): what was done of them, entry by entry, when one is refused. The count
 * that comes back includes commands that were never issued: only whole blocks of 63 before the bad one were.
 */
#include "sim_nested.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { SHIFT_4K = 12, NUM = 130, BLOCK = 63, NEW = 200, ASID = 9 };

struct batch {
	struct nest nest;
	uint32_t viommu;
	uint64_t commands[NUM][2];
};

/* Page i was data page i when it was read, and is i + NEW since; a command for each. */
static void new_batch(struct t *t, struct batch *batch)
{
	struct nest *nest = &batch->nest;

	*nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4);
	for (uint32_t i = 0; i < NUM; i++)
		arm_map(nest, (uint64_t)i * PAGE, data_at(i), SHIFT_4K);
	batch->viommu = new_viommu(t, nest);
	attached_smmu(t, nest, batch->viommu, new_cd(nest, ASID));
	for (uint32_t i = 0; i < NUM; i++) {
		const uint64_t command[2] = TLBI_VA(ASID, (uint64_t)i * PAGE, 1);

		EXPECT_EQ(page_at(nest, (uint64_t)i * PAGE), i);
		arm_map(nest, (uint64_t)i * PAGE, data_at(i + NEW), SHIFT_4K);
		memcpy(batch->commands[i], command, sizeof(command));
	}
}

static int run(const struct batch *batch, uint32_t *num)
{
	return invalidate(&batch->nest, batch->viommu, ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
			  batch->commands, sizeof(batch->commands[0]), num);
}

static void expect_fresh_before(const struct batch *batch, uint32_t end)
{
	for (uint32_t i = 0; i < NUM; i++)
		EXPECT_EQ(page_at(&batch->nest, (uint64_t)i * PAGE), i < end ? i + NEW : i);
}

UNIT(sim_smmu_commands, are_counted_before_they_are_issued)
{
	static const uint32_t positions[] = { 0, 1, 62, 63, 64, 125, 126, 127, 129 };

	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		uint32_t bad = positions[i], num = NUM;
		struct batch batch;

		t_note(t, "bad command at %u", bad);
		new_batch(t, &batch);
		batch.commands[bad][0] = 0x46; /* CMD_SYNC */
		EXPECT_ERR(-EIO, run(&batch, &num));
		EXPECT_EQ(num, bad);
		expect_fresh_before(&batch, bad / BLOCK * BLOCK);
		/* What was counted, again, as a batch of its own; nothing of it is bad. */
		num = bad;
		if (bad)
			EXPECT_OK(run(&batch, &num));
		EXPECT_EQ(num, bad);
		expect_fresh_before(&batch, bad);
	}
}

UNIT(sim_smmu_commands, that_are_not_answered_are_all_but_one_of_their_block)
{
	struct batch batch;
	uint32_t num = NUM;

	new_batch(t, &batch);
	weir_sim_fail_invalidation(batch.nest.b.sim, 70, -ETIMEDOUT);
	EXPECT_ERR(-ETIMEDOUT, run(&batch, &num));
	EXPECT_EQ(num, 2 * BLOCK - 1);
	expect_fresh_before(&batch, 69);
	num = NUM;
	EXPECT_OK(run(&batch, &num));
	EXPECT_EQ(num, NUM);
	expect_fresh_before(&batch, NUM);
}

UNIT(sim_smmu_commands, of_a_few_kinds_are_taken)
{
	static const uint8_t taken[] = { 0x05, 0x06, 0x10, 0x11, 0x12, 0x13, 0x30, 0x40 };
	struct batch batch;

	new_batch(t, &batch);
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		int error = memchr(taken, (int)opcode, sizeof(taken)) ? 0 : -EIO;

		t_note(t, "opcode 0x%x", opcode);
		EXPECT_ERR(error,
			   smmu_command(&batch.nest, batch.viommu, opcode | (uint64_t)STREAM << 32, 0));
	}
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		bool names_stream = opcode == 0x05 || opcode == 0x06 || opcode == 0x40;

		if (names_stream)
			EXPECT_ERR(-EIO, smmu_command(&batch.nest, batch.viommu,
						      opcode | (uint64_t)(STREAM + 1) << 32, 0));
	}
}

/* Longer or shorter than the kernel's: zeros are added, and zeros may follow. */
UNIT(sim_smmu_commands, grow_like_structs)
{
	struct batch batch;
	unsigned char entry[4096], zeros[4096];
	uint32_t num;

	new_batch(t, &batch);
	memset(entry, 0, sizeof(entry));
	memset(zeros, 0, sizeof(zeros));
	entry[0] = 0x10;
	for (uint32_t len = 1; len <= sizeof(entry); len += len < 20 ? 1 : 679) {
		num = 1;
		EXPECT_OK(invalidate(&batch.nest, batch.viommu, 1, entry, len, &num));
		EXPECT_EQ(num, 1);
	}
	expect_fresh_before(&batch, NUM);
	entry[16] = 1;
	num = 1;
	EXPECT_ERR(-E2BIG, invalidate(&batch.nest, batch.viommu, 1, entry, 17, &num));
	EXPECT_EQ(num, 0);
	num = 1;
	EXPECT_OK(invalidate(&batch.nest, batch.viommu, 1, entry, 16, &num));
	num = 1;
	EXPECT_ERR(-EINVAL, invalidate(&batch.nest, batch.viommu, 1, entry, 4097, &num));
}

UNIT(sim_smmu_commands, are_checked_before_they_are_looked_at)
{
	struct batch batch;
	uint32_t num = 0;

	new_batch(t, &batch);
	/* None at all is an error here, so nothing can be asked in this way. */
	EXPECT_ERR(-EINVAL, run(&batch, &num));
	num = 1;
	EXPECT_ERR(-EINVAL, invalidate(&batch.nest, batch.viommu, 0, batch.commands, 16, &num));
	EXPECT_EQ(num, 0);
	num = NUM;
	EXPECT_ERR(-EFAULT, invalidate(&batch.nest, batch.viommu, 1, (void *)8, 16, &num));
	EXPECT_EQ(num, 0);
	num = (1 << 19) + 1;
	EXPECT_ERR(-EINVAL, run(&batch, &num));
	EXPECT_EQ(num, 0);
}

/* All are copied before the first is carried out. */
UNIT(sim_smmu_commands, are_copied_first)
{
	struct batch batch;
	unsigned char *memory = new_memory(t, 2 * PAGE);
	uint32_t num = 2;

	new_batch(t, &batch);
	ASSERT_OK(mprotect(memory + PAGE, PAGE, PROT_NONE));
	memcpy(memory + PAGE - 16, batch.commands[0], 16);
	EXPECT_ERR(-EFAULT, invalidate(&batch.nest, batch.viommu, 1, memory + PAGE - 16, 16, &num));
	EXPECT_EQ(num, 0);
	expect_fresh_before(&batch, 0);
}

UNIT(sim_smmu_commands, are_for_the_virtual_iommu)
{
	struct batch batch;
	uint64_t ste[2] = { 1, 0 };
	uint32_t hwpt, num = 1;

	new_batch(t, &batch);
	ASSERT_OK(smmu_nested(&batch.nest, batch.viommu, ste, sizeof(ste), &hwpt));
	EXPECT_ERR(-EOPNOTSUPP, invalidate(&batch.nest, hwpt, 1, batch.commands, 16, &num));
	EXPECT_EQ(num, 0);
}
