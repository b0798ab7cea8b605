// SPDX-License-Identifier: MIT
/* Stage-1 tables beside a plain model, by any sequence of calls, as an IOMMU sees them. */
#include <stdlib.h>

#include "unit/stage1_rig.h"

enum { ROUNDS = 1000, COMPARE_EVERY = 24 };

struct run {
	struct rig *rig;
	struct model model;
	uint64_t random;
	unsigned int done;
};

static uint64_t draw(struct run *run, uint64_t below)
{
	run->random = run->random * 6364136223846793005u + 1442695040888963407u;
	return (run->random >> 24) % below;
}

/* Near the borders of pages of all sizes, and of what there is. */
static uint64_t draw_address(struct run *run)
{
	const uint64_t end = (uint64_t)1 << run->model.address_bits;
	const uint64_t places[] = { 0,         2 * MIB, 4 * MIB,    1 * GIB,    2 * GIB,
				    1 * GIB,   3 * GIB, 512 * GIB,  512 * GIB,  end / 2 - 2 * GIB,
				    end - GIB, end / 2, -(end / 2), -(1 * GIB), -(2 * MIB) };
	static const uint64_t units[] = { 4 * KIB, 4 * KIB, 2 * MIB, 1 * GIB };
	uint64_t unit = units[draw(run, 4)];

	return places[draw(run, sizeof(places) / sizeof(places[0]))] + (draw(run, 9) - 4) * unit;
}

static uint64_t draw_length(struct run *run)
{
	static const uint64_t units[] = { 4 * KIB, 4 * KIB, 2 * MIB, 1 * GIB };

	return (draw(run, 4) * units[draw(run, 4)] + draw(run, 5) * units[draw(run, 3)]);
}

static void check(struct run *run, const char *what, uint64_t iova, uint64_t len, int error, int expected)
{
	if (error != expected)
		FAIL("%s %#lx, %#lx bytes: %d, the model says %d: %s", what, iova, len, error, expected,
		     weir_error());
	run->done += !error;
}

/* Mostly congruent, so that large pages are made. What is long and is not takes many tables. */
static void map(struct run *run)
{
	uint64_t iova = draw_address(run), len = draw_length(run),
		 ipa = len > 8 * MIB || draw(run, 4) ? (iova & 0x7fffffffff) + draw(run, 16) * GIB
						     : draw_address(run);
	uint32_t prot = (uint32_t)draw(run, 4);
	bool notes = draw(run, 2);
	int error = weir_stage1_map(run->rig->tables, iova, ipa, len, prot, notes ? run->rig->changes : NULL);

	check(run, "map", iova, len, error, model_map(&run->model, iova, ipa, len, prot));
}

/* Half of the time a piece of what is mapped. */
static uint64_t draw_mapped(struct run *run, uint64_t *ret_len)
{
	const struct model_range *range;
	uint64_t pages, from;

	*ret_len = draw_length(run);
	if (!run->model.num || draw(run, 2))
		return draw_address(run);
	range = &run->model.ranges[draw(run, run->model.num)];
	pages = (range->last - range->iova + 1) / 4096;
	from = draw(run, 3) ? draw(run, pages) : 0;
	if (draw(run, 2))
		*ret_len = (1 + draw(run, pages - from)) * 4096;
	return range->iova + from * 4096;
}

static void unmap(struct run *run)
{
	uint64_t len, iova = draw_mapped(run, &len);
	int error = weir_stage1_unmap(run->rig->tables, iova, len, run->rig->changes);

	check(run, "unmap", iova, len, error, model_unmap(&run->model, iova, len));
}

static void protect(struct run *run)
{
	uint64_t len, iova = draw_mapped(run, &len);
	uint32_t prot = (uint32_t)draw(run, 4);
	int error = weir_stage1_protect(run->rig->tables, iova, len, prot, run->rig->changes);

	check(run, "protect", iova, len, error, model_protect(&run->model, iova, len, prot));
}

static void find(struct run *run)
{
	uint64_t len, iova = draw_mapped(run, &len) + draw(run, 4096), ipa, left;
	const struct model_range *range = model_at(&run->model, iova);
	uint32_t prot;
	int error = weir_stage1_find(run->rig->tables, iova, &ipa, &left, &prot);

	check(run, "find", iova, 0, error, range ? 0 : -ENOENT);
	if (!range)
		return;
	EXPECT_EQ(ipa, range->ipa + (iova - range->iova));
	EXPECT_GE(left, 4096 - iova % 4096);
	EXPECT_EQ(prot, range->writes ? 3 : 1);
	range = model_at(&run->model, iova + left - 1);
	ASSERT_TRUE(range);
	EXPECT_EQ(ipa + left - 1, range->ipa + (iova + left - 1 - range->iova));
}

static void compare(struct run *run)
{
	uint64_t where;
	const char *wrong = model_compare(&run->model, &run->rig->walker, &where);

	if (wrong)
		FAIL("%s: IOVA %#lx", wrong, where);
}

static void settle(struct run *run)
{
	weir_inval_drop(run->rig->changes);
	model_settle(&run->model);
	EXPECT_EQ(info_of(run->rig->tables).waiting, 0);
	compare(run);
}

static void run_random(struct t *t, const struct weir_stage1_opts *opts)
{
	struct run *run = calloc(1, sizeof(*run));
	struct weir_stage1_info info;

	ASSERT_TRUE(run);
	t_defer(t, free, run);
	run->rig = new_rig(t, opts);
	run->random = opts->format;
	model_init(&run->model, opts);
	for (unsigned int i = 0; i < ROUNDS && !model_is_full(&run->model); i++) {
		static void (*const steps[])(struct run *) = { map, map, map, unmap, unmap, protect, find };

		t_note(t, "round %u", i);
		steps[draw(run, 7)](run);
		if (i % COMPARE_EVERY == 0)
			compare(run);
		if (draw(run, 32) == 0)
			settle(run);
	}
	EXPECT_GT(run->done, ROUNDS / 4);
	/* And all of it back. */
	info = info_of(run->rig->tables);
	EXPECT_OK(weir_stage1_unmap(run->rig->tables, 0, (uint64_t)1 << (info.address_bits - 1),
				    run->rig->changes));
	if (run->model.canonical)
		EXPECT_OK(weir_stage1_unmap(run->rig->tables, -((uint64_t)1 << (info.address_bits - 1)),
					    (uint64_t)1 << (info.address_bits - 1), run->rig->changes));
	else
		EXPECT_OK(weir_stage1_unmap(run->rig->tables, (uint64_t)1 << (info.address_bits - 1),
					    (uint64_t)1 << (info.address_bits - 1), run->rig->changes));
	run->model.num = 0;
	settle(run);
	EXPECT_EQ(info_of(run->rig->tables).num_pages, info.descriptor ? 2 : 1);
}

UNIT(stage1, any_sequence_of_calls_is_as_the_model_x86_4)
{
	run_random(t, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4));
}

UNIT(stage1, any_sequence_of_calls_is_as_the_model_x86_5)
{
	run_random(t, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_5));
}

UNIT(stage1, any_sequence_of_calls_is_as_the_model_arm64)
{
	run_random(t, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_ARM64_4K));
}

UNIT(stage1, any_sequence_of_calls_is_as_the_model_arm64_with_39_bits)
{
	run_random(t, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_ARM64_4K, .address_bits = 39,
				 .output_bits = 40));
}

UNIT(stage1, any_sequence_of_calls_is_as_the_model_arm64_with_32_bits)
{
	run_random(t, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_ARM64_4K, .address_bits = 32));
}

UNIT(stage1, any_sequence_of_calls_is_as_the_model_with_small_pages)
{
	run_random(t, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_MOCK, .largest_page = 21));
}
