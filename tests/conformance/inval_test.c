// SPDX-License-Identifier: MIT
/* Invalidation, seen by DMA: what is stale without it, and that what is said of each entry is what devices find. */
#include <errno.h>
#include <string.h>

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

/* Several devices look at what many entries lead to: a copy takes each of them a tenth of a second. */
struct looks {
	struct edu *edus[2];
	uint64_t iovas[ENTRIES];
	unsigned char found[ENTRIES][16];
};

static void add_second_look(struct t *t, struct nested *nested, struct looks *looks)
{
	uint64_t window;

	looks->edus[0] = nested->edu;
	looks->edus[1] = new_edu(t, nested->ioas, "EDU1", 0);
	window = dma_window(t, looks->edus[1]);
	ASSERT_OK(weir_stage1_map(nested->tables, window, window, EDU_BUFFER_SIZE, 0, nested->changes));
	/* Where it shares its group, the other has to be there as well (SMMUv3). */
	if (weir_domain_attach(nested->domain, device_of(t, looks->edus[1]), WEIR_NO_PASID) == -ENOENT) {
		new_device(t, nested->ioas, "EDU2", 0);
		ASSERT_OK(weir_domain_attach(nested->domain, device_of(t, looks->edus[1]), WEIR_NO_PASID));
	}
	detach_later(t, device_of(t, looks->edus[1]));
}

/* At the entries from @first on: is page 2 * i + @which there? */
static void look(struct t *t, struct looks *looks, uint32_t first)
{
	for (uint32_t i = first; i < ENTRIES; i++)
		looks->iovas[i] = iova_of(i);
	dma_gather(t, looks->edus, 2, looks->iovas + first, ENTRIES - first, sizeof(looks->found[0]),
		   looks->found[first]);
}

static bool found(const struct nested *nested, const struct looks *looks, uint32_t i, uint32_t which)
{
	return memcmp(looks->found[i], nested->data + (2 * i + which) * PAGE, sizeof(looks->found[i])) == 0;
}

/* The same as make_stale() does for few. */
static void make_all_stale(struct t *t, struct nested *nested, struct looks *looks)
{
	for (uint32_t i = 0; i < ENTRIES; i++)
		map_page(t, nested, iova_of(i), 2 * i);
	look(t, looks, 0);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		ASSERT_TRUE(found(nested, looks, i, 0));
		change_page(t, nested, iova_of(i), 2 * i + 1);
	}
}

/* What DMA finds at each entry from @first on is what its outcome says. The command at @bad stands before entry @bad + 1. */
static void check_by_dma(struct t *t, struct nested *nested, struct weir_inval *inval, struct looks *looks,
			 uint32_t first, uint32_t bad, bool goes_on)
{
	look(t, looks, first);
	for (uint32_t i = first; i < ENTRIES; i++) {
		uint32_t kind = outcome_of(t, inval, i < bad ? i : i + 1).kind;
		bool fresh = found(nested, looks, i, 1);

		if (!fresh && !found(nested, looks, i, 0))
			FAIL("entry %u leads to neither the page before nor the one after", i);
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
	struct looks looks;

	/* Some two hundred copies by each of the devices. */
	t_timeout(t, 120);
	add_second_look(t, nested, &looks);
	make_all_stale(t, nested, &looks);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		if (i == bad)
			add_bad_command(t, nested, inval);
		ASSERT_GE(weir_inval_range(inval, iova_of(i), PAGE, 5, WEIR_INVAL_LEAF), 0);
	}
	EXPECT_ERR(-EIO, run_batch(nested, inval, &once));
	EXPECT_EQ(state, WEIR_INVAL_STALE);
	check_by_dma(t, nested, inval, &looks, 0, bad, false);
	EXPECT_ERR(-EIO, run_batch(nested, inval, &again));
	EXPECT_EQ(state, WEIR_INVAL_STALE);
	/* What was new already stays so. */
	check_by_dma(t, nested, inval, &looks, bad, bad, true);
	run_changes(t, nested);
}

CONFORMANCE(inval, an_early_bad_command_is_told_from_the_others, NEEDS(NEST, EDU1))
{
	bad_command_at(t, 1);
}

CONFORMANCE(inval, a_bad_command_at_the_end_of_a_block_is_told_from_the_others, NEEDS(NEST, EDU1))
{
	bad_command_at(t, 63);
}

CONFORMANCE(inval, a_bad_command_blocks_later_is_told_from_the_others, NEEDS(NEST, EDU1))
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

/* In several calls, from behind; of as many as a batch holds a unit test makes sure. */
CONFORMANCE(inval, a_long_batch_is_carried_out, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_inval *inval = new_batch(t);
	const uint32_t num = 2 * 4096 + 1;

	make_stale(t, nested, 1);
	for (uint32_t i = num; i-- > 0;)
		if (weir_inval_range(inval, IOVA + 2 * (uint64_t)i * PAGE, PAGE, 5, WEIR_INVAL_LEAF) < 0)
			FAIL("entry %u from behind: %s", i, weir_error());
	EXPECT_OK(run_batch(nested, inval, NULL));
	EXPECT_EQ(weir_inval_count(inval), 0);
	EXPECT_TRUE(finds(t, nested, iova_of(0), 1));
	run_changes(t, nested);
}

CONFORMANCE(inval, what_is_no_command_is_refused, NEEDS(NEST, DMA_DEVICE))
{
	struct weir_inval *inval = new_batch(t);
	const unsigned char command[65] = { 0 };

	EXPECT_ERR(-EINVAL, weir_inval_raw(inval, 1, NULL, 16));
	EXPECT_ERR(-EINVAL, weir_inval_raw(inval, 1, command, 0));
	EXPECT_ERR(-EINVAL, weir_inval_raw(inval, 1, command, sizeof(command)));
	EXPECT_EQ(weir_inval_count(inval), 0);
}
