// SPDX-License-Identifier: MIT
/* What entries become for each kind of IOMMU, and what its nested tables are described by. */
#include <errno.h>
#include <string.h>

#include "kernel/iommufd_abi.h"
#include "unit/inval_rig.h"

enum { PAGE = 4096, HAS_RANGES = 1, HAS_ATS = 2 };

static void expect_command(struct t *t, const struct rig *rig, uint32_t number, uint64_t low, uint64_t high)
{
	uint64_t expected[2] = { low, high };

	(void)t;
	ASSERT_LT(number, rig->num_done);
	EXPECT_MEMEQ(rig->done[number], expected, sizeof(expected));
}

static struct rig *an_smmu(struct t *t, uint32_t num_devices, uint32_t features)
{
	struct rig *rig = new_inval_rig(t, RIG_SMMUV3, num_devices);

	rig->domain.features = features;
	return rig;
}

UNIT(inval_smmuv3, a_page_is_one_command_by_address_and_asid)
{
	struct rig *rig = an_smmu(t, 1, 0);
	struct weir_inval *inval = new_batch(t);

	weir_inval_range(inval, 0x7000, PAGE, 5, WEIR_INVAL_LEAF);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 1);
	EXPECT_EQ(rig->call_types[0], ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3);
	EXPECT_EQ(rig->call_lens[0], 16);
	expect_command(t, rig, 0, 0x12 | (uint64_t)5 << 48, 0x7001);
	weir_inval_range(inval, 0x7000, PAGE, 5, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	expect_command(t, rig, 1, 0x12 | (uint64_t)5 << 48, 0x7000);
}

UNIT(inval_smmuv3, ranges_of_one_asid_are_not_joined_with_those_of_another)
{
	struct rig *rig = an_smmu(t, 0, HAS_RANGES);
	struct weir_inval *inval = new_batch(t);

	weir_inval_range(inval, 0x2000, PAGE, 5, 0);
	weir_inval_range(inval, 0x1000, PAGE, 6, 0);
	weir_inval_range(inval, 0x3000, PAGE, 5, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 2);
	expect_command(t, rig, 0, 0x12 | (uint64_t)5 << 48 | 1 << 20, 0x2400);
	expect_command(t, rig, 1, 0x12 | (uint64_t)6 << 48, 0x1000);
}

UNIT(inval_smmuv3, without_range_commands_there_is_one_for_each_page_up_to_512)
{
	struct rig *rig = an_smmu(t, 0, 0);
	struct weir_inval *inval = new_batch(t);

	weir_inval_range(inval, 0x100000, 512 * PAGE, 5, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 512);
	expect_command(t, rig, 511, 0x12 | (uint64_t)5 << 48, 0x100000 + 511 * PAGE);
	weir_inval_range(inval, 0x100000, 513 * PAGE, 5, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 513);
	expect_command(t, rig, 512, 0x11 | (uint64_t)5 << 48, 0);
}

/* The whole of 48 bits is more than a range command can say. */
UNIT(inval_smmuv3, a_very_long_range_is_all_of_its_asid)
{
	struct rig *rig = an_smmu(t, 0, HAS_RANGES);
	struct weir_inval *inval = new_batch(t);

	weir_inval_range(inval, 0, (uint64_t)1 << 48, 9, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 1);
	expect_command(t, rig, 0, 0x11 | (uint64_t)9 << 48, 0);
}

/* However long: every page is in a command, and no command is about a page twice. */
UNIT(inval_smmuv3, range_commands_cover_a_range_exactly)
{
	static const uint64_t numbers[] = { 1,
					    2,
					    3,
					    31,
					    32,
					    33,
					    63,
					    64,
					    511,
					    512,
					    513,
					    1023,
					    0x12345,
					    0xfffff,
					    (uint64_t)1 << 31,
					    ((uint64_t)1 << 31) - 1 };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct rig *rig = an_smmu(t, 0, HAS_RANGES);
		struct weir_inval *inval = new_batch(t);
		uint64_t at = 0x40000000;

		weir_inval_range(inval, at, numbers[i] * PAGE, 1, 0);
		EXPECT_OK(run_for(rig, inval, NULL));
		EXPECT_LE(rig->num_done, 8);
		for (uint32_t c = 0; c < rig->num_done; c++) {
			uint64_t words[2], num, scale;

			memcpy(words, rig->done[c], sizeof(words));
			num = words[0] >> 12 & 31;
			scale = words[0] >> 20 & 31;
			EXPECT_EQ(words[1] & ~(uint64_t)0xfff, at);
			/* A range of one page has no range form. */
			EXPECT_EQ(words[1] >> 10 & 3, num || scale ? 1 : 0);
			at += ((num + 1) << scale) * PAGE;
		}
		EXPECT_EQ(at, 0x40000000 + numbers[i] * PAGE);
	}
}

UNIT(inval_smmuv3, contexts_are_forgotten_for_each_device)
{
	struct rig *rig = an_smmu(t, 2, 0);
	struct weir_inval *inval = new_batch(t);

	weir_inval_context(inval, 7);
	weir_inval_context(inval, 7);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 2);
	expect_command(t, rig, 0, 0x05 | 7 << 12 | (uint64_t)0x10 << 32, 0);
	expect_command(t, rig, 1, 0x05 | 7 << 12 | (uint64_t)0x11 << 32, 0);
}

UNIT(inval_smmuv3, everything_is_configuration_then_translations_then_devices)
{
	struct rig *rig = an_smmu(t, 2, HAS_ATS);
	struct weir_inval *inval = new_batch(t);

	rig->vdevices[0].ats = false;
	weir_inval_all(inval);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 4);
	expect_command(t, rig, 0, 0x06 | (uint64_t)0x10 << 32, 0);
	expect_command(t, rig, 1, 0x06 | (uint64_t)0x11 << 32, 0);
	expect_command(t, rig, 2, 0x10, 0);
	expect_command(t, rig, 3, 0x40 | (uint64_t)0x11 << 32, 52);
}

UNIT(inval_smmuv3, devices_that_translate_ahead_are_told_the_smallest_span_around)
{
	static const struct {
		uint64_t iova, len, span;
	} rows[] = {
		{ 0x7000, 0x1000, 0x7000 | 0 },       { 0x6000, 0x2000, 0x6000 | 1 },
		{ 0x7000, 0x2000, 0x0000 | 4 }, /* 7 and 8 have only the first bits in common */
		{ 0x200000, 0x200000, 0x200000 | 9 }, { 0, (uint64_t)1 << 63, 51 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = an_smmu(t, 1, HAS_ATS | HAS_RANGES);
		struct weir_inval *inval = new_batch(t);

		t_note(t, "row %zu", i);
		weir_inval_range(inval, rows[i].iova, rows[i].len, 1, 0);
		EXPECT_OK(run_for(rig, inval, NULL));
		expect_command(t, rig, rig->num_done - 1, 0x40 | (uint64_t)0x10 << 32, rows[i].span);
	}
}

UNIT(inval_smmuv3, devices_that_are_blocked_are_told_nothing)
{
	struct rig *rig = an_smmu(t, 2, HAS_ATS);
	struct weir_inval *inval = new_batch(t);

	rig->attachments[0].blocked = true;
	rig->attachments[1].blocked = true;
	weir_inval_all(inval);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 1); /* what is remembered for them in the IOMMU is forgotten */
	weir_inval_context(inval, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 1);
}

/* How nested tables are described -------------------------------------------------------------------------------- */

static struct weir_hw_info vtd_info(uint64_t cap, uint64_t ecap)
{
	struct abi_iommu_hw_info_vtd hardware = { .cap_reg = cap, .ecap_reg = ecap };
	struct weir_hw_info info = { .type = ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD, .data_len = sizeof(hardware) };

	memcpy(info.data, &hardware, sizeof(hardware));
	return info;
}

#define NESTED(...) (&WEIR_OPTS(weir_nested_opts, __VA_ARGS__))

static const uint64_t nests = 1ull << 26 | 1ull << 43, five_levels = 1ull << 60;

UNIT(nested_data, vtd_is_told_root_and_width)
{
	struct weir_hw_info info = vtd_info(five_levels, nests);
	struct weir_nested_data data = { 0 };
	struct abi_iommu_hwpt_vtd_s1 stage1;

	ASSERT_OK(weir_vendor_vtd.describe(&info, NESTED(.format = WEIR_STAGE1_X86_4, .root = 0x12345000),
					   &data));
	memcpy(&stage1, data.bytes, sizeof(stage1));
	EXPECT_EQ(data.type, ABI_IOMMU_HWPT_DATA_VTD_S1);
	EXPECT_EQ(data.len, sizeof(stage1));
	EXPECT_EQ(stage1.pgtbl_addr, 0x12345000);
	EXPECT_EQ(stage1.addr_width, 48);
	EXPECT_EQ(stage1.flags, 0);
	ASSERT_OK(weir_vendor_vtd.describe(&info, NESTED(.format = WEIR_STAGE1_X86_5, .address_bits = 57),
					   &data));
	memcpy(&stage1, data.bytes, sizeof(stage1));
	EXPECT_EQ(stage1.addr_width, 57);
}

UNIT(nested_data, what_this_vtd_has_not_is_refused_beforehand)
{
	struct weir_hw_info plain = vtd_info(five_levels, 0), nesting = vtd_info(0, nests);
	struct weir_nested_data data = { 0 };
	const struct weir_vendor *vtd = &weir_vendor_vtd;
	struct abi_iommu_hwpt_vtd_s1 stage1 = { .flags = ABI_IOMMU_VTD_S1_SRE, .addr_width = 48 };

	EXPECT_ERR(-EOPNOTSUPP, vtd->describe(&plain, NESTED(.format = WEIR_STAGE1_X86_4), &data));
	EXPECT_ERR(-ERANGE, vtd->describe(&nesting, NESTED(.format = WEIR_STAGE1_X86_5), &data));
	EXPECT_ERR(-ERANGE,
		   vtd->describe(&nesting, NESTED(.format = WEIR_STAGE1_X86_4, .address_bits = 39), &data));
	EXPECT_ERR(-EINVAL,
		   vtd->describe(&nesting, NESTED(.format = WEIR_STAGE1_X86_4, .root = 0x800), &data));
	EXPECT_ERR(-EINVAL, vtd->describe(&nesting, NESTED(.format = 99), &data));
	EXPECT_ERR(-EOPNOTSUPP, vtd->describe(&nesting, NESTED(.format = WEIR_STAGE1_ARM64_4K), &data));
	EXPECT_ERR(-EOPNOTSUPP,
		   vtd->describe(&nesting, NESTED(.format = WEIR_STAGE1_X86_4, .stage1 = WEIR_NESTED_BYPASS),
				 &data));
	/* Data of the caller's own is looked at too. */
	data.type = ABI_IOMMU_HWPT_DATA_VTD_S1;
	data.len = sizeof(stage1);
	memcpy(data.bytes, &stage1, sizeof(stage1));
	EXPECT_ERR(-EINVAL, vtd->describe(&nesting, NESTED(.data = &stage1), &data));
	EXPECT_CONTAINS(weir_error(), "SRE");
	data.len--;
	EXPECT_OK(vtd->describe(&nesting, NESTED(.data = &stage1), &data)); /* the kernel's business */
}

UNIT(nested_data, smmuv3_is_told_by_a_stream_table_entry)
{
	static const struct {
		uint32_t stage1;
		uint64_t ste[2];
	} rows[] = {
		{ WEIR_NESTED_TRANSLATE, { 0x0000123456789000 | 5 << 1 | 1, 1 << 2 | 1 << 4 | 3 << 6 } },
		{ WEIR_NESTED_BYPASS, { 4 << 1 | 1, 0 } },
		{ WEIR_NESTED_ABORT, { 1, 0 } },
	};
	struct weir_hw_info info = { .type = ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3 };
	struct weir_nested_data data = { 0 };

	for (size_t i = 0; i < 3; i++) {
		ASSERT_OK(weir_vendor_smmuv3.describe(&info,
						      NESTED(.stage1 = rows[i].stage1,
							     .format = WEIR_STAGE1_ARM64_4K,
							     .root = 0x123456789000),
						      &data));
		EXPECT_EQ(data.len, 16);
		EXPECT_MEMEQ(data.bytes, rows[i].ste, 16);
	}
	EXPECT_ERR(-EINVAL, weir_vendor_smmuv3.describe(
				    &info, NESTED(.format = WEIR_STAGE1_ARM64_4K, .root = 0x20), &data));
	EXPECT_ERR(-ERANGE,
		   weir_vendor_smmuv3.describe(
			   &info, NESTED(.format = WEIR_STAGE1_ARM64_4K, .root = 1ull << 52), &data));
	EXPECT_ERR(-ERANGE,
		   weir_vendor_smmuv3.describe(
			   &info, NESTED(.format = WEIR_STAGE1_ARM64_4K, .address_bits = 49), &data));
	EXPECT_ERR(-EOPNOTSUPP,
		   weir_vendor_smmuv3.describe(&info, NESTED(.format = WEIR_STAGE1_X86_4), &data));
}

/* Only where the SMMU has ATS, and the entry allows it, are devices told anything: an SMMU without takes that for an error. */
UNIT(nested_data, ats_and_range_commands_are_used_where_smmuv3_has_them)
{
	struct abi_iommu_hw_info_arm_smmuv3 hardware = { .idr = { [0] = 1 << 10, [3] = 1 << 10 } };
	struct weir_hw_info info = { .type = ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3 };
	struct weir_nested_data data = { 0 };

	ASSERT_OK(weir_vendor_smmuv3.describe(&info, NESTED(.format = WEIR_STAGE1_ARM64_4K), &data));
	EXPECT_EQ(weir_vendor_smmuv3.features(&info, &data), 0);
	memcpy(info.data, &hardware, sizeof(hardware));
	EXPECT_EQ(weir_vendor_smmuv3.features(&info, &data), HAS_RANGES); /* the entry has it not */
	ASSERT_OK(weir_vendor_smmuv3.describe(&info, NESTED(.format = WEIR_STAGE1_ARM64_4K), &data));
	EXPECT_EQ(data.bytes[11] >> 4, 1);
	EXPECT_EQ(weir_vendor_smmuv3.features(&info, &data), HAS_RANGES | HAS_ATS);
}

UNIT(nested_data, for_iommus_that_weir_knows_no_format_of_the_reason_is_said)
{
	struct weir_hw_info info = { .type = ABI_IOMMU_HW_INFO_TYPE_AMD };
	struct weir_nested_data data = { 0 };

	EXPECT_EQ(weir_vendor_of(ABI_IOMMU_HW_INFO_TYPE_AMD, 0)->kind, WEIR_IOMMU_AMD);
	EXPECT_ERR(-EOPNOTSUPP, weir_vendor_of(ABI_IOMMU_HW_INFO_TYPE_AMD, 0)
					->describe(&info, NESTED(.format = WEIR_STAGE1_X86_4), &data));
	EXPECT_CONTAINS(weir_error(), "AMD");
	info.type = 77;
	EXPECT_ERR(-EOPNOTSUPP,
		   weir_vendor_of(77, 0)->describe(&info, NESTED(.format = WEIR_STAGE1_X86_4), &data));
}

/* What cannot be made is refused without asking the kernel; the kernel's own commands are sent. */
UNIT(inval_run, for_an_unknown_iommu_there_are_the_kernels_own_commands)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);
	uint64_t raw[2] = { 1, 2 };

	rig->domain.vendor = weir_vendor_of(77, 0);
	weir_inval_range(inval, 0, PAGE, 0, 0);
	weir_inval_raw(inval, 5, raw, sizeof(raw));
	EXPECT_ERR(-EIO, run_for(rig, inval, &WEIR_OPTS(weir_inval_run_opts, .policy = WEIR_INVAL_ESCALATE)));
	EXPECT_EQ(rig->num_done, 1);
	EXPECT_EQ(outcome_of(t, inval, 0, 0).kind, WEIR_INVAL_OUT_REFUSED);
	EXPECT_EQ(outcome_of(t, inval, 0, 0).error, -EOPNOTSUPP);
	EXPECT_EQ(outcome_of(t, inval, 0, 1).kind, WEIR_INVAL_OUT_DONE);
}
