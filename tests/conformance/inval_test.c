// SPDX-License-Identifier: MIT
/* Invalidation, seen by DMA: what is stale without it, and that what is said of each entry is what devices find. */
#include <errno.h>

#include <weir/sim.h>

#include "conformance/nested.h"
#include "conformance/os.h"

enum { IOVA = 0x4000000, ENTRIES = 130 };

static struct weir_inval_run_opts with_policy(uint32_t policy, uint32_t *ret_state)
{
	return WEIR_OPTS(weir_inval_run_opts, .policy = policy, .ret_states = ret_state,
			 .flags = WEIR_INVAL_KEEP);
}

CONFORMANCE(inval, a_changed_page_is_the_old_one_until_it_is_invalidated, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_inval *inval = new_batch(t);

	map_page(t, nested, IOVA, 7);
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	change_page(t, nested, IOVA, 8);
	/* This shows that the case would notice. */
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	ASSERT_EQ(weir_inval_range(inval, IOVA, PAGE, 5, WEIR_INVAL_LEAF), 0);
	EXPECT_OK(run_batch(nested, inval, NULL));
	EXPECT_TRUE(finds(t, nested, IOVA, 8));
	change_page(t, nested, IOVA, 9);
	weir_inval_all(inval);
	EXPECT_OK(run_batch(nested, inval, NULL));
	EXPECT_TRUE(finds(t, nested, IOVA, 9));
	run_changes(t, nested);
}

CONFORMANCE(inval, tables_note_what_has_to_be_invalidated, NEEDS(NEST, DMA_DEVICE, FAULT_COUNT))
{
	struct nested *nested = new_nested(t, "EDU0");

	map_page(t, nested, IOVA, 7);
	run_changes(t, nested);
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	ASSERT_OK(weir_stage1_unmap(nested->tables, IOVA, PAGE, nested->changes));
	run_changes(t, nested);
	EXPECT_TRUE(dma_write_blocked(t, nested->edu, IOVA, nested->data + 7 * PAGE, 64));
	map_page(t, nested, IOVA, 8);
	run_changes(t, nested);
	EXPECT_TRUE(finds(t, nested, IOVA, 8));
}

/* Page @i of the batch; apart from each other, so that none is merged with the next. */
static uint64_t iova_of(uint32_t i)
{
	return IOVA + 2 * i * PAGE;
}

/* The device has all of them in mind, and none is as it remembers. */
static void make_stale(struct t *t, struct nested *nested, uint32_t num)
{
	for (uint32_t i = 0; i < num; i++) {
		map_page(t, nested, iova_of(i), 2 * i);
		ASSERT_TRUE(finds(t, nested, iova_of(i), 2 * i));
		change_page(t, nested, iova_of(i), 2 * i + 1);
	}
}

/* What DMA finds at each entry is what its outcome says. The command at @bad stands before entry @bad + 1. */
static void check_by_dma(struct t *t, struct nested *nested, struct weir_inval *inval, uint32_t bad,
			 bool goes_on)
{
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint32_t entry = i < bad ? i : i + 1;
		uint32_t kind = outcome_of(t, inval, entry).kind;
		bool fresh = finds(t, nested, iova_of(i), 2 * i + 1);

		if (fresh != (kind == WEIR_INVAL_OUT_DONE) || fresh != (i < bad || goes_on))
			FAIL("entry %u, with a bad command at %u: said to be %u, and is %s", i, bad, kind,
			     fresh ? "done" : "not");
	}
	EXPECT_EQ(outcome_of(t, inval, bad).kind, WEIR_INVAL_OUT_REFUSED);
}

/* The kernel's count on SMMUv3 includes commands that were never issued: at 63 none was, and at 126. */
static void bad_command_at(struct t *t, uint32_t bad)
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_inval *inval = new_batch(t);
	uint32_t state;
	struct weir_inval_run_opts once = with_policy(WEIR_INVAL_ONCE, &state);
	struct weir_inval_run_opts again = with_policy(WEIR_INVAL_RETRY, &state);

	/* Some 260 looks by a device that takes a tenth of a second for each copy. */
	t_timeout(t, 300);
	make_stale(t, nested, ENTRIES);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		if (i == bad)
			add_bad_command(t, nested, inval);
		ASSERT_GE(weir_inval_range(inval, iova_of(i), PAGE, 5, WEIR_INVAL_LEAF), 0);
	}
	EXPECT_ERR(-EIO, run_batch(nested, inval, &once));
	EXPECT_EQ(state, WEIR_INVAL_STALE);
	check_by_dma(t, nested, inval, bad, false);
	EXPECT_ERR(-EIO, run_batch(nested, inval, &again));
	EXPECT_EQ(state, WEIR_INVAL_STALE);
	check_by_dma(t, nested, inval, bad, true);
	run_changes(t, nested);
}

CONFORMANCE(inval, an_early_bad_command_is_told_from_the_others, NEEDS(NEST, DMA_DEVICE))
{
	bad_command_at(t, 1);
}

CONFORMANCE(inval, a_bad_command_at_the_end_of_a_block_is_told_from_the_others, NEEDS(NEST, DMA_DEVICE))
{
	bad_command_at(t, 63);
}

CONFORMANCE(inval, a_bad_command_blocks_later_is_told_from_the_others, NEEDS(NEST, DMA_DEVICE))
{
	bad_command_at(t, 126);
}

CONFORMANCE(inval, what_is_refused_is_made_up_for_by_everything, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_inval *inval = new_batch(t);
	uint32_t state;
	struct weir_inval_run_opts opts = with_policy(WEIR_INVAL_QUARANTINE, &state);

	make_stale(t, nested, 3);
	add_bad_command(t, nested, inval);
	EXPECT_ERR(-EIO, run_batch(nested, inval, &opts));
	EXPECT_EQ(state, WEIR_INVAL_ESCALATED);
	for (uint32_t i = 0; i < 3; i++)
		EXPECT_TRUE(finds(t, nested, iova_of(i), 2 * i + 1));
	EXPECT_EQ(domain_info(nested->domain).quarantined, 0);
	run_changes(t, nested);
}

static void fail_nothing(void *sim)
{
	weir_sim_fail_invalidation(sim, 0, 0);
}

static void needs_failing_hardware(struct t *t)
{
	if (!os_sim())
		SKIP(SIMULATED, "hardware does not fail on request");
	t_defer(t, fail_nothing, os_sim());
}

/* The hardware does not carry out one of them, once. */
static void fails_once(struct t *t, uint32_t failing)
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_inval *inval = new_batch(t);
	uint32_t state;
	struct weir_inval_run_opts opts = with_policy(WEIR_INVAL_RETRY, &state);

	needs_failing_hardware(t);
	make_stale(t, nested, ENTRIES);
	for (uint32_t i = 0; i < ENTRIES; i++)
		ASSERT_GE(weir_inval_range(inval, iova_of(i), PAGE, 5, WEIR_INVAL_LEAF), 0);
	weir_sim_fail_invalidation(os_sim(), failing, -ETIMEDOUT);
	EXPECT_OK(run_batch(nested, inval, &opts));
	EXPECT_EQ(state, WEIR_INVAL_DONE);
	for (uint32_t i = 0; i < ENTRIES; i++)
		if (!finds(t, nested, iova_of(i), 2 * i + 1))
			FAIL("command %u failed once, and entry %u is stale", failing, i);
	run_changes(t, nested);
}

CONFORMANCE(inval, what_fails_once_is_done_by_another_try, NEEDS(NEST, DMA_DEVICE))
{
	fails_once(t, 1);
}

CONFORMANCE(inval, what_fails_once_in_the_middle_is_done_by_another_try, NEEDS(NEST, DMA_DEVICE))
{
	fails_once(t, 64);
}

CONFORMANCE(inval, what_fails_once_at_the_end_is_done_by_another_try, NEEDS(NEST, DMA_DEVICE))
{
	fails_once(t, ENTRIES);
}

CONFORMANCE(inval, in_quarantine_dma_is_blocked_until_the_device_is_attached_again,
	    NEEDS(NEST, DMA_DEVICE, FAULT_COUNT))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_inval *inval = new_batch(t);
	uint32_t state;
	struct weir_inval_run_opts opts = with_policy(WEIR_INVAL_QUARANTINE, &state);

	needs_failing_hardware(t);
	opts.tries = 1;
	make_stale(t, nested, 2);
	/* A command that is refused, and then everything, which fails. */
	add_bad_command(t, nested, inval);
	weir_sim_fail_invalidation(os_sim(), 1, -ETIMEDOUT);
	EXPECT_ERR(-EIO, run_batch(nested, inval, &opts));
	ASSERT_EQ(state, WEIR_INVAL_QUARANTINED);
	EXPECT_CONTAINS(weir_error(), "blocked");
	EXPECT_EQ(domain_info(nested->domain).quarantined, 1);
	EXPECT_TRUE(dma_write_blocked(t, nested->edu, iova_of(0), nested->data, 64));
	EXPECT_ERR(-EBUSY, weir_device_attach(nested->device, new_ioas(t)));
	/* What comes back has forgotten everything. */
	EXPECT_OK(weir_domain_attach(nested->domain, nested->device, WEIR_NO_PASID));
	EXPECT_EQ(domain_info(nested->domain).quarantined, 0);
	EXPECT_TRUE(finds(t, nested, iova_of(1), 3));
	run_changes(t, nested);
}

CONFORMANCE(inval, commands_of_another_length_or_type_are_judged, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	bool smmu = nested->iommu == WEIR_IOMMU_SMMUV3;
	/* The kernel's struct; on a virtual IOMMU a part of it, too, and with zeroes after it. */
	const struct {
		uint32_t type, len, tail;
		int error;
	} rows[] = {
		{ smmu, smmu ? 16 : 24, 0, 0 },
		{ smmu, smmu ? 8 : 16, 0, smmu ? 0 : -EINVAL },
		{ smmu, smmu ? 24 : 32, 0, smmu ? 0 : -EINVAL },
		{ smmu, smmu ? 24 : 32, 1, smmu ? -E2BIG : -EINVAL },
		{ 77, smmu ? 16 : 24, 0, -EINVAL },
	};
	uint32_t state;
	struct weir_inval_run_opts once = with_policy(WEIR_INVAL_ONCE, &state);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_inval *inval = new_batch(t);
		uint64_t command[4] = { smmu ? 0x12 | (uint64_t)5 << 48 : IOVA, smmu ? IOVA : 1 };

		t_note(t, "row %zu", i);
		command[rows[i].len / 8 - 1] |= rows[i].tail;
		ASSERT_EQ(weir_inval_raw(inval, rows[i].type, command, rows[i].len), 0);
		EXPECT_EQ(run_batch(nested, inval, &once), rows[i].error ? -EIO : 0);
		EXPECT_EQ(outcome_of(t, inval, 0).error, rows[i].error);
	}
	run_changes(t, nested);
}

CONFORMANCE(inval, a_batch_without_entries_is_nothing_to_do, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_inval *inval = new_batch(t);

	EXPECT_OK(run_batch(nested, inval, NULL));
	EXPECT_OK(weir_inval_run(inval, NULL, 0, NULL));
	EXPECT_ERR(-EINVAL, run_batch(nested, inval, &WEIR_OPTS(weir_inval_run_opts, .policy = 9)));
	run_changes(t, nested);
}
