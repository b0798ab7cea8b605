// SPDX-License-Identifier: MIT
/* IOMMU_HWPT_INVALIDATE (kernel-interface A.11): what is refused, in which order, and what was done when it was. */
#include "sim_nested.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { SHIFT_4K = 12, NUM = 130, NEW = 200 };

typedef struct abi_iommu_hwpt_vtd_s1_invalidate vtd_entry;

/* Page i was data page i when it was read, and is i + NEW since. */
static uint32_t stale_vtd(struct t *t, struct nest *nest)
{
	uint32_t hwpt;

	for (uint32_t i = 0; i < NUM; i++)
		x86_map(nest, (uint64_t)i * PAGE, data_at(i), SHIFT_4K);
	hwpt = attached_vtd(t, nest);
	for (uint32_t i = 0; i < NUM; i++)
		EXPECT_EQ(page_at(nest, (uint64_t)i * PAGE), i);
	for (uint32_t i = 0; i < NUM; i++)
		x86_map(nest, (uint64_t)i * PAGE, data_at(i + NEW), SHIFT_4K);
	return hwpt;
}

static void one_a_page(vtd_entry entries[NUM])
{
	for (uint32_t i = 0; i < NUM; i++)
		entries[i] = (vtd_entry){ .addr = (uint64_t)i * PAGE, .npages = 1, .flags = LEAVES_ONLY };
}

/* Those before @end are fresh, the others are not. */
static void expect_fresh_before(struct t *t, const struct nest *nest, uint32_t end)
{
	(void)t;
	for (uint32_t i = 0; i < NUM; i++)
		EXPECT_EQ(page_at(nest, (uint64_t)i * PAGE), i < end ? i + NEW : i);
}

UNIT(sim_invalidate, a_bad_entry_ends_the_batch_there)
{
	static const uint32_t positions[] = { 0, 1, 62, 63, 64, 126, 129 };

	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
		uint32_t hwpt = stale_vtd(t, &nest), num = NUM;
		vtd_entry entries[NUM];

		t_note(t, "bad entry at %u", positions[i]);
		one_a_page(entries);
		entries[positions[i]].addr++;
		EXPECT_ERR(-EINVAL, invalidate(&nest, hwpt, 0, entries, sizeof(entries[0]), &num));
		EXPECT_EQ(num, positions[i]);
		expect_fresh_before(t, &nest, positions[i]);
		/* The caller goes on from there. */
		entries[positions[i]].addr--;
		num = NUM - positions[i];
		EXPECT_OK(invalidate(&nest, hwpt, 0, entries + positions[i], sizeof(entries[0]), &num));
		expect_fresh_before(t, &nest, NUM);
	}
}

UNIT(sim_invalidate, hardware_that_does_not_answer_ends_it_too)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt = stale_vtd(t, &nest), num = NUM;
	vtd_entry entries[NUM];

	one_a_page(entries);
	weir_sim_fail_invalidation(nest.b.sim, 64, -ETIMEDOUT);
	EXPECT_ERR(-ETIMEDOUT, invalidate(&nest, hwpt, 0, entries, sizeof(entries[0]), &num));
	EXPECT_EQ(num, 63);
	expect_fresh_before(t, &nest, 63);
	num = NUM;
	weir_sim_fail_invalidation(nest.b.sim, 3, -ETIMEDOUT);
	weir_sim_fail_invalidation(nest.b.sim, 0, 0);
	EXPECT_OK(invalidate(&nest, hwpt, 0, entries, sizeof(entries[0]), &num));
	expect_fresh_before(t, &nest, NUM);
}

UNIT(sim_invalidate, entries_of_vtd_are_checked)
{
	static const struct {
		const char *what;
		int error;
		vtd_entry entry;
	} rows[] = {
		{ "unknown flag", -EOPNOTSUPP, { .npages = 1, .flags = 2 } },
		{ "reserved word", -EOPNOTSUPP, { .npages = 1, .__reserved = 1 } },
		{ "flags come before the address", -EOPNOTSUPP, { .addr = 1, .npages = 1, .flags = 2 } },
		{ "misaligned", -EINVAL, { .addr = 2048, .npages = 1 } },
		{ "everything, but from somewhere", -EINVAL, { .addr = PAGE, .npages = UINT64_MAX } },
		{ "nothing, from somewhere", 0, { .addr = PAGE } },
	};
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt = stale_vtd(t, &nest), num;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		num = 1;
		EXPECT_ERR(rows[i].error,
			   invalidate(&nest, hwpt, 0, &rows[i].entry, sizeof(vtd_entry), &num));
		EXPECT_EQ(num, !rows[i].error);
		expect_fresh_before(t, &nest, 0);
	}
	/* No pages from 0 on: the kernel counts in bytes, and that makes it all. */
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, 0, LEAVES_ONLY));
	expect_fresh_before(t, &nest, NUM);
}

UNIT(sim_invalidate, entries_for_a_nested_table_are_of_the_kernels_length)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt = stale_vtd(t, &nest), num;
	unsigned char entries[2][32];

	memset(entries, 0, sizeof(entries));
	for (uint32_t len = 1; len <= 32; len++) {
		num = 2;
		EXPECT_ERR(len == 24 ? 0 : -EINVAL, invalidate(&nest, hwpt, 0, entries, len, &num));
		EXPECT_EQ(num, len == 24 ? 2 : 0);
	}
}

UNIT(sim_invalidate, no_entries_are_enough_to_ask_for_the_type)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt = stale_vtd(t, &nest), num = 0;

	EXPECT_OK(invalidate(&nest, hwpt, ABI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1, NULL, 0, &num));
	EXPECT_ERR(-EINVAL, invalidate(&nest, hwpt, 77, NULL, 0, &num));
	EXPECT_ERR(-EINVAL, invalidate(&nest, nest.parent, 0, NULL, 0, &num));
	EXPECT_ERR(-ENOENT, invalidate(&nest, 99, 0, NULL, 0, &num));
}

UNIT(sim_invalidate, too_many_and_unreadable_ones_are_refused)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt = stale_vtd(t, &nest), num = 1 << 20;
	unsigned char *memory = new_memory(t, 2 * PAGE);
	vtd_entry *last = (vtd_entry *)(memory + PAGE) - 1;

	EXPECT_ERR(-EINVAL, invalidate(&nest, hwpt, 0, memory, 24, &num));
	EXPECT_EQ(num, 0);
	num = 1;
	EXPECT_ERR(-EINVAL, invalidate(&nest, hwpt, 0, memory, PAGE + 1, &num));
	num = 1;
	EXPECT_ERR(-EFAULT, invalidate(&nest, hwpt, 0, (void *)8, 24, &num));
	EXPECT_EQ(num, 0);
	/* What can be read ends behind the first one. */
	ASSERT_OK(mprotect(memory + PAGE, PAGE, PROT_NONE));
	*last = (vtd_entry){ .npages = 5 };
	num = UINT32_C(1) << 19;
	EXPECT_ERR(-EFAULT, invalidate(&nest, hwpt, 0, last, 24, &num));
	EXPECT_EQ(num, 1);
	expect_fresh_before(t, &nest, 5);
}
