// SPDX-License-Identifier: MIT
/* Nested translation by a simulated SMMUv3: stream table entry, context descriptor, AArch64 tables (kernel-interface A.8, A.14). */
#include "sim_nested.h"

#include <errno.h>
#include <string.h>

enum { SHIFT_4K = 12, SHIFT_2M = 21, SHIFT_1G = 30, ASID = 9 };
enum {
	TLBI_ALL = 0x10,
	TLBI_ASID = 0x11,
	TLBI_VA = 0x12,
	TLBI_VAA = 0x13,
	CFGI_CD = 0x05,
	CFGI_CD_ALL = 0x06
};

#define OF_ASID(asid)     ((uint64_t)(asid) << 48)
#define OF_STREAM(stream) ((uint64_t)(stream) << 32)
#define LEAF              1

struct smmu {
	struct nest nest;
	uint32_t viommu;
	uint64_t cd;
	uint32_t hwpt;
};

/* The device is on it; page 0 is data page 1. */
static struct smmu new_smmu(struct t *t)
{
	struct smmu smmu = { .nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4) };

	arm_map(&smmu.nest, 0, data_at(1), SHIFT_4K);
	smmu.viommu = new_viommu(t, &smmu.nest);
	smmu.cd = new_cd(&smmu.nest, ASID);
	smmu.hwpt = attached_smmu(t, &smmu.nest, smmu.viommu, smmu.cd);
	return smmu;
}

static int tlbi(const struct smmu *smmu, uint64_t word0, uint64_t word1)
{
	return smmu_command(&smmu->nest, smmu->viommu, word0, word1);
}

static int forget_everything(const struct smmu *smmu)
{
	int error = tlbi(smmu, CFGI_CD_ALL | OF_STREAM(STREAM), 0);

	return error ? error : tlbi(smmu, TLBI_ALL, 0);
}

/* Walking ------------------------------------------------------------------------------------------------ */

UNIT(sim_smmu, a_table_of_the_programs_says_what_is_where)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	uint64_t high = ((uint64_t)1 << 48) - PAGE;

	arm_map(nest, 7 * GIB + PAGE, data_at(4), SHIFT_4K);
	arm_map(nest, 4 * MIB, data_at(512), SHIFT_2M);
	arm_map(nest, GIB, ARENA, SHIFT_1G);
	arm_map(nest, high, data_at(5), SHIFT_4K);
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_EQ(page_at(nest, 7 * GIB + PAGE), 4);
	EXPECT_EQ(page_at(nest, 6 * MIB - PAGE), 1023);
	EXPECT_EQ(page_at(nest, GIB + 17 * PAGE), 17);
	EXPECT_EQ(page_at(nest, high), 5);
	EXPECT_OK(write_at(nest, high));
	EXPECT_EQ(weir_sim_num_faults(nest->b.sim), 0);
	EXPECT_EQ(page_at(nest, PAGE), -EFAULT);
	EXPECT_EQ(page_at(nest, GIB + 512 * MIB), -EFAULT);
	EXPECT_EQ(page_at(nest, high + PAGE), -EFAULT);
	EXPECT_EQ(weir_sim_num_faults(nest->b.sim), 3);
}

/* T0SZ says how many bits addresses have, and so on which level the walk begins. */
UNIT(sim_smmu, a_narrower_table_begins_further_down)
{
	static const struct {
		unsigned int bits, tables; /* of the four, so many are left out */
	} rows[] = { { 48, 0 }, { 40, 0 }, { 39, 1 }, { 31, 1 }, { 30, 2 }, { 25, 2 } };
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	uint64_t *cd = entry_at(nest, smmu.cd);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t table = nest->top, last = ((uint64_t)1 << rows[i].bits) - PAGE;

		t_note(t, "%u bits", rows[i].bits);
		arm_map(nest, last, data_at(100 + rows[i].bits), SHIFT_4K);
		for (unsigned int left = rows[i].tables; left; left--)
			table = *entry_at(nest, table) & ~(uint64_t)0xfff;
		cd[0] = (cd[0] & ~(uint64_t)0x3f) | (64 - rows[i].bits);
		cd[1] = table;
		ASSERT_OK(forget_everything(&smmu));
		EXPECT_EQ(page_at(nest, 0), 1);
		EXPECT_EQ(page_at(nest, last), 100 + rows[i].bits);
		EXPECT_EQ(page_at(nest, last + PAGE), -EFAULT);
	}
}

UNIT(sim_smmu, permissions_are_those_of_the_entry_and_of_the_tables)
{
	enum { NO_UNPRIVILEGED = 61, READ_ONLY_BELOW = 62 };
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	uint64_t *page = arm_entry(nest, 0, SHIFT_4K), *table = arm_entry(nest, 0, SHIFT_2M);

	*page |= 1 << 7;
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_ERR(-EFAULT, write_at(nest, 0));
	*page = ARM_ENTRY(data_at(1)) & ~(uint64_t)(1 << 6);
	EXPECT_OK(tlbi(&smmu, TLBI_ALL, 0));
	EXPECT_EQ(page_at(nest, 0), -EFAULT);
	*page = ARM_ENTRY(data_at(1));
	*table |= (uint64_t)1 << READ_ONLY_BELOW;
	EXPECT_OK(tlbi(&smmu, TLBI_ALL, 0));
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_ERR(-EFAULT, write_at(nest, 0));
	*table |= (uint64_t)1 << NO_UNPRIVILEGED;
	EXPECT_OK(tlbi(&smmu, TLBI_ALL, 0));
	EXPECT_EQ(page_at(nest, 0), -EFAULT);
	/* A context can say that tables do not count. */
	entry_at(nest, smmu.cd)[1] |= (uint64_t)1 << 60;
	EXPECT_OK(forget_everything(&smmu));
	EXPECT_OK(write_at(nest, 0));
}

UNIT(sim_smmu, what_is_no_entry_is_not_walked)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	const struct {
		const char *what;
		uint64_t entry;
	} rows[] = {
		{ "not valid", ARM_ENTRY(data_at(1)) & ~(uint64_t)1 },
		{ "a block where pages are", ARM_ENTRY(data_at(1)) & ~(uint64_t)2 },
		{ "never accessed", ARM_ENTRY(data_at(1)) & ~(uint64_t)(1 << 10) },
		{ "bits that 48-bit addresses have not", ARM_ENTRY(data_at(1)) | (uint64_t)1 << 49 },
	};
	uint64_t *entry = arm_entry(nest, 0, SHIFT_4K);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		*entry = rows[i].entry;
		EXPECT_OK(tlbi(&smmu, TLBI_ALL, 0));
		EXPECT_EQ(page_at(nest, 0), -EFAULT);
	}
	*arm_entry(nest, 0, 39) &= ~(uint64_t)2;
	*entry = ARM_ENTRY(data_at(1));
	EXPECT_OK(tlbi(&smmu, TLBI_ALL, 0));
	EXPECT_EQ(page_at(nest, 0), -EFAULT);
}

UNIT(sim_smmu, a_context_that_it_cannot_have_lets_nothing_through)
{
	static const struct {
		const char *what;
		uint64_t clear, set;
	} rows[] = {
		{ "not valid", 1u << 31, 0 },
		{ "AArch32", (uint64_t)1 << 41, 0 },
		{ "big-endian", 0, 1 << 15 },
		{ "16 KiB pages", 0, 2 << 6 },
		{ "49 bits", 0x3f, 15 },
		{ "24 bits", 0x3f, 40 },
		{ "stalls", 0, (uint64_t)1 << 44 },
		{ "faults without an error", (uint64_t)1 << 46, 0 },
		{ "no lower half", 0, 1 << 14 },
		{ "32 bits out", (uint64_t)7 << 32, 0 },
	};
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	uint64_t *cd = entry_at(nest, smmu.cd), good = cd[0];

	/* The tables are at 2 GiB, so 32 bits would do; what is mapped lies beyond. */
	arm_map(nest, 0, 4 * GIB, SHIFT_4K);
	ASSERT_OK(map_at(nest->b.sim, nest->b.iommufd, nest->b.ioas, nest->arena, PAGE, 4 * GIB));
	EXPECT_EQ(page_at(nest, 0), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		cd[0] = (good & ~rows[i].clear) | rows[i].set;
		EXPECT_OK(forget_everything(&smmu));
		EXPECT_EQ(page_at(nest, 0), -EFAULT);
	}
	cd[0] = good;
	EXPECT_OK(forget_everything(&smmu));
	EXPECT_EQ(page_at(nest, 0), 0);
}

/* Keeping and invalidating ------------------------------------------------------------------------------- */

UNIT(sim_smmu, what_is_changed_and_not_invalidated_is_stale)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;

	arm_map(nest, PAGE, data_at(2), SHIFT_4K);
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_EQ(page_at(nest, PAGE), 2);
	arm_map(nest, 0, data_at(11), SHIFT_4K);
	arm_map(nest, PAGE, data_at(12), SHIFT_4K);
	EXPECT_EQ(page_at(nest, 0), 1);
	/* Another address, another ASID. */
	EXPECT_OK(tlbi(&smmu, TLBI_VA | OF_ASID(ASID), PAGE | LEAF));
	EXPECT_OK(tlbi(&smmu, TLBI_VA | OF_ASID(ASID + 1), 0 | LEAF));
	EXPECT_OK(tlbi(&smmu, TLBI_ASID | OF_ASID(ASID + 1), 0));
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_EQ(page_at(nest, PAGE), 12);
	EXPECT_OK(tlbi(&smmu, TLBI_VA | OF_ASID(ASID), 0 | LEAF));
	EXPECT_EQ(page_at(nest, 0), 11);
	for (uint32_t i = 0; i < 4; i++) {
		static const uint64_t all[] = { TLBI_ALL, 0x30, TLBI_VAA, TLBI_ASID | OF_ASID(ASID) };

		arm_map(nest, 0, data_at(i + 20), SHIFT_4K);
		EXPECT_OK(tlbi(&smmu, all[i], 0));
		EXPECT_EQ(page_at(nest, 0), i + 20);
	}
}

/* Of global entries the ASID does not matter, and clearing an ASID leaves them. */
UNIT(sim_smmu, global_entries_are_everybodys)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;

	*arm_entry(nest, 0, SHIFT_4K) &= ~(uint64_t)(1 << 11);
	EXPECT_EQ(page_at(nest, 0), 1);
	arm_map(nest, 0, data_at(2), SHIFT_4K);
	EXPECT_OK(tlbi(&smmu, TLBI_ASID | OF_ASID(ASID), 0));
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_OK(tlbi(&smmu, TLBI_VA | OF_ASID(ASID + 7), 0));
	EXPECT_EQ(page_at(nest, 0), 2);
}

UNIT(sim_smmu, ranges_are_invalidated_by_granules)
{
	enum { TG_4K = 1 << 10, TTL_3 = 3 << 8, TTL_2 = 2 << 8, NUM_SHIFT = 12, SCALE_SHIFT = 20 };
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;

	for (uint32_t i = 0; i < 64; i++)
		arm_map(nest, (uint64_t)i * PAGE, data_at(i), SHIFT_4K);
	for (uint32_t i = 0; i < 64; i++)
		EXPECT_EQ(page_at(nest, (uint64_t)i * PAGE), i);
	for (uint32_t i = 0; i < 64; i++)
		arm_map(nest, (uint64_t)i * PAGE, data_at(i + 100), SHIFT_4K);
	/* Leaves of another level are meant. */
	EXPECT_OK(tlbi(&smmu, TLBI_VA | OF_ASID(ASID) | 31 << NUM_SHIFT, TG_4K | TTL_2 | LEAF));
	EXPECT_EQ(page_at(nest, 0), 0);
	/* 3 << 2 pages from 8 on. */
	EXPECT_OK(tlbi(&smmu, TLBI_VA | OF_ASID(ASID) | 2 << NUM_SHIFT | 2 << SCALE_SHIFT,
		       8 * PAGE | TG_4K | TTL_3 | LEAF));
	for (uint32_t i = 0; i < 64; i++)
		EXPECT_EQ(page_at(nest, (uint64_t)i * PAGE), i >= 8 && i < 20 ? i + 100 : i);
}

UNIT(sim_smmu, tables_are_kept_until_more_than_leaves_is_invalidated)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	uint64_t *directory = arm_entry(nest, 0, SHIFT_2M), new = new_table(nest);

	EXPECT_EQ(page_at(nest, 0), 1);
	*entry_at(nest, new) = ARM_ENTRY(data_at(3));
	*directory = new | 3;
	EXPECT_OK(tlbi(&smmu, TLBI_VA | OF_ASID(ASID), 0 | LEAF));
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_OK(tlbi(&smmu, TLBI_VA | OF_ASID(ASID), 0));
	EXPECT_EQ(page_at(nest, 0), 3);
}

UNIT(sim_smmu, a_context_descriptor_is_kept_until_it_is_invalidated)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest, other = *nest;
	uint64_t *cd = entry_at(nest, smmu.cd);

	other.top = new_table(&other);
	arm_map(&other, 0, data_at(50), SHIFT_4K);
	nest->num_tables = other.num_tables;
	EXPECT_EQ(page_at(nest, 0), 1);
	cd[1] = other.top;
	EXPECT_OK(tlbi(&smmu, TLBI_ALL, 0));
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_ERR(-EIO, tlbi(&smmu, CFGI_CD | OF_STREAM(STREAM + 1), LEAF));
	EXPECT_OK(tlbi(&smmu, CFGI_CD | OF_STREAM(STREAM) | 1 << 12, LEAF));
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_OK(tlbi(&smmu, CFGI_CD | OF_STREAM(STREAM), LEAF));
	/* What was walked by the same ASID is still known. */
	EXPECT_EQ(page_at(nest, 0), 1);
	EXPECT_OK(tlbi(&smmu, TLBI_ASID | OF_ASID(ASID), 0));
	EXPECT_EQ(page_at(nest, 0), 50);
	/* A new ASID would have needed none of that. */
	cd[0] = (cd[0] & ~OF_ASID(0xffff)) | OF_ASID(ASID + 1);
	cd[1] = nest->top;
	EXPECT_OK(tlbi(&smmu, CFGI_CD | OF_STREAM(STREAM), LEAF));
	EXPECT_EQ(page_at(nest, 0), 1);
}

UNIT(sim_smmu, what_stage_2_loses_is_out_of_reach_at_once)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	uint64_t len = PAGE;

	ASSERT_OK(map_at(nest->b.sim, nest->b.iommufd, nest->b.ioas, nest->arena, PAGE, GIB));
	arm_map(nest, PAGE, GIB, SHIFT_4K);
	EXPECT_EQ(page_at(nest, PAGE), 0);
	EXPECT_EQ(page_at(nest, 0), 1);
	arm_map(nest, 0, data_at(2), SHIFT_4K);
	ASSERT_OK(unmap(nest->b.sim, nest->b.iommufd, nest->b.ioas, GIB, &len));
	EXPECT_EQ(page_at(nest, PAGE), -EFAULT);
	EXPECT_EQ(page_at(nest, 0), 2);
}

/* Stream table entries ----------------------------------------------------------------------------------- */

UNIT(sim_smmu, a_stream_can_be_let_through_or_stopped)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	static const uint64_t bypass[2] = { 1 | 4 << 1, 0 }, stop[2] = { 1, 0 }, none[2] = { 0xff0, 5 };
	uint32_t hwpt;

	ASSERT_OK(smmu_nested(nest, smmu.viommu, bypass, 16, &hwpt));
	ASSERT_OK(attach_to(nest->b.sim, nest->b.cdev, hwpt));
	EXPECT_EQ(page_at(nest, data_at(7)), 7);
	EXPECT_EQ(page_at(nest, 0), -EFAULT);
	ASSERT_OK(smmu_nested(nest, smmu.viommu, stop, 16, &hwpt));
	ASSERT_OK(attach_to(nest->b.sim, nest->b.cdev, hwpt));
	EXPECT_EQ(page_at(nest, data_at(7)), -EFAULT);
	ASSERT_OK(smmu_nested(nest, smmu.viommu, none, 16, &hwpt));
	ASSERT_OK(attach_to(nest->b.sim, nest->b.cdev, hwpt));
	EXPECT_EQ(page_at(nest, data_at(7)), -EFAULT);
	ASSERT_OK(attach_to(nest->b.sim, nest->b.cdev, smmu.hwpt));
	EXPECT_EQ(page_at(nest, 0), 1);
}

UNIT(sim_smmu, illegal_entries_are_refused)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	const struct {
		const char *what;
		int error;
		uint32_t len;
		uint64_t ste[2];
	} rows[] = {
		{ "stage 2", -EIO, 16, { 1 | 6 << 1, 0 } },
		{ "both stages", -EIO, 16, { 1 | 7 << 1, 0 } },
		{ "bits above the pointer", -EIO, 16, { 1 | 5 << 1 | (uint64_t)1 << 52, 0 } },
		{ "a stream world", -EIO, 16, { 1 | 5 << 1, (uint64_t)1 << 30 } },
		{ "ATS of stage 1 only", -EIO, 16, { 1 | 5 << 1, (uint64_t)2 << 28 } },
		{ "ATS", 0, 16, { 1 | 5 << 1, (uint64_t)1 << 28 } },
		{ "short", -EINVAL, 8, { 1 | 4 << 1, 0 } },
		{ "long", -EINVAL, 24, { 1 | 4 << 1, 0 } },
	};
	uint32_t hwpt;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		EXPECT_ERR(rows[i].error, smmu_nested(nest, smmu.viommu, rows[i].ste, rows[i].len, &hwpt));
	}
}

/* Interrupts --------------------------------------------------------------------------------------------- */

/* Their address is one of stage 2, where the first stage has to lead. */
UNIT(sim_smmu, interrupts_are_translated_like_anything)
{
	struct smmu smmu = new_smmu(t);
	struct nest *nest = &smmu.nest;
	struct sim_requester device = { nest->b.device, SIM_NO_PASID, NULL };
	struct sim_domain *domain = nest->b.device->group->domain;

	EXPECT_FALSE(sim_domain_interrupts(domain, &device));
	EXPECT_EQ(weir_sim_num_faults(nest->b.sim), 1);
	arm_map(nest, 0x08000000, data_at(3), SHIFT_4K);
	EXPECT_FALSE(sim_domain_interrupts(domain, &device));
	EXPECT_EQ(weir_sim_num_faults(nest->b.sim), 1);
	arm_map(nest, 0x08000000, 0x08000000, SHIFT_4K);
	EXPECT_OK(tlbi(&smmu, TLBI_ALL, 0));
	EXPECT_TRUE(sim_domain_interrupts(domain, &device));
	EXPECT_EQ(page_at(nest, 0x08000000), -EFAULT);
	ASSERT_OK(attach_to(nest->b.sim, nest->b.cdev, nest->parent));
	EXPECT_TRUE(sim_domain_interrupts(nest->b.device->group->domain, &device));
	EXPECT_EQ(ranges_of(nest->b.sim, nest->b.iommufd, nest->b.ioas).at[0].last, 0x07ffffff);
}
