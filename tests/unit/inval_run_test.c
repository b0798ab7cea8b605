// SPDX-License-Identifier: MIT
/* Running batches on a made-up kernel: what is merged, what is sent, and whether what is said of each entry is what was done. */
#include <errno.h>
#include <string.h>

#include "unit/inval_rig.h"

enum { PAGE = 4096 };

/* @num single pages that do not touch each other, from @first on. */
static void add_pages(struct t *t, struct weir_inval *inval, uint32_t num)
{
	(void)t;
	for (uint32_t i = 0; i < num; i++)
		ASSERT_EQ(weir_inval_range(inval, (uint64_t)i * 2 * PAGE, PAGE, 0, 0), i);
}

#define POLICY(which)                                                                                        \
	(&WEIR_OPTS(weir_inval_run_opts, .policy = WEIR_INVAL_##which, .flags = WEIR_INVAL_KEEP))

UNIT(inval_run, what_is_done_leaves_the_batch)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);
	struct weir_inval_outcome outcome;

	add_pages(t, inval, 3);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_calls, 1);
	EXPECT_EQ(rig->call_sizes[0], 3);
	EXPECT_EQ(weir_inval_count(inval), 0);
	EXPECT_ERR(-ENOENT, weir_inval_outcome(inval, 0, 0, &outcome));
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_calls, 1); /* nothing to do */
}

UNIT(inval_run, ranges_that_touch_or_meet_become_one)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);
	uint64_t expected[3] = { 0x1000, 5, 0 };

	weir_inval_range(inval, 0x3000, 0x2000, 0, WEIR_INVAL_LEAF);
	weir_inval_range(inval, 0x1000, 0x2000, 0, 0);
	weir_inval_range(inval, 0x2000, 0x1000, 0, WEIR_INVAL_LEAF);
	weir_inval_range(inval, 0x2000, 0x1000, 0, WEIR_INVAL_LEAF);
	weir_inval_range(inval, 0x5000, 0x1000, 0, WEIR_INVAL_LEAF);
	EXPECT_OK(run_for(rig, inval, POLICY(ONCE)));
	ASSERT_EQ(rig->num_done, 1);
	EXPECT_MEMEQ(rig->done[0], expected,
		     sizeof(expected)); /* not leaves alone: one of them was about tables */
	for (uint32_t i = 0; i < 5; i++) {
		EXPECT_EQ(outcome_of(t, inval, 0, i).kind, WEIR_INVAL_OUT_DONE);
		EXPECT_EQ(outcome_of(t, inval, 0, i).tries, 1);
	}
}

UNIT(inval_run, leaves_alone_stay_leaves)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);
	uint64_t expected[3] = { 0x1000, 2, 1 };

	weir_inval_range(inval, 0x2000, 0x1000, 0, WEIR_INVAL_LEAF);
	weir_inval_range(inval, 0x1000, 0x1000, 0, WEIR_INVAL_LEAF);
	EXPECT_OK(run_for(rig, inval, NULL));
	ASSERT_EQ(rig->num_done, 1);
	EXPECT_MEMEQ(rig->done[0], expected, sizeof(expected));
}

UNIT(inval_run, both_ends_of_the_address_space_are_ordinary)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);
	uint64_t all[3] = { 0, UINT64_MAX, 0 };

	weir_inval_range(inval, UINT64_MAX - 0xfff, 0x1000, 0, 0);
	weir_inval_range(inval, 0, 0x1000, 0, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_done, 2);
	rig->num_done = 0;
	weir_inval_range(inval, 0, (uint64_t)1 << 63, 0, 0);
	weir_inval_range(inval, (uint64_t)1 << 63, (uint64_t)1 << 63, 0, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	ASSERT_EQ(rig->num_done, 1);
	EXPECT_MEMEQ(rig->done[0], all, sizeof(all)); /* together they are everything */
}

UNIT(inval_run, everything_takes_in_all_but_the_kernels_own_commands)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);
	uint64_t raw[3] = { 0x9000, 1, 0 }, after[3] = { 0x4000, 1, 0 };

	weir_inval_range(inval, 0x1000, 0x1000, 0, 0);
	weir_inval_context(inval, 3);
	weir_inval_all(inval);
	weir_inval_raw(inval, 0, raw, sizeof(raw));
	weir_inval_range(inval, 0x4000, 0x1000, 0, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_calls, 1);
	ASSERT_EQ(rig->num_done, 3);
	EXPECT_MEMEQ(rig->done[1], raw, sizeof(raw));
	EXPECT_MEMEQ(rig->done[2], after, sizeof(after));
}

UNIT(inval_run, what_is_new_is_no_business_of_hardware)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);

	weir_inval_range(inval, 0x1000, 0x1000, 0, WEIR_INVAL_NEW);
	EXPECT_OK(run_for(rig, inval, POLICY(ONCE)));
	EXPECT_EQ(rig->num_calls, 0);
	EXPECT_EQ(outcome_of(t, inval, 0, 0).kind, WEIR_INVAL_OUT_DONE);
	EXPECT_EQ(outcome_of(t, inval, 0, 0).tries, 0);
	/* Beside what is not new it does not count either. */
	weir_inval_range(inval, 0x2000, 0x1000, 0, 0);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_FALSE(rig_forgot(rig, 0x1000));
	EXPECT_TRUE(rig_forgot(rig, 0x2000));
}

UNIT(inval_run, a_call_has_up_to_4096_commands)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);

	add_pages(t, inval, 4096 + 4096 + 7);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_calls, 3);
	EXPECT_EQ(rig->call_sizes[0], 4096);
	EXPECT_EQ(rig->call_sizes[2], 7);
	EXPECT_EQ(rig->num_done, 2 * 4096 + 7);
}

/* As many as a batch holds. */
UNIT(inval_run, a_million_entries_go_in_256_calls)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);

	add_pages(t, inval, 1 << 20);
	EXPECT_EQ(weir_inval_range(inval, 0, 0x1000, 0, 0), -ENOSPC);
	EXPECT_OK(run_for(rig, inval, NULL));
	EXPECT_EQ(rig->num_calls, 256);
	EXPECT_EQ(rig->num_done, 1 << 20);
	EXPECT_EQ(weir_inval_count(inval), 0);
}

UNIT(inval_run, commands_of_the_kernels_own_go_by_type_and_length)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);
	uint64_t raw[8] = { 0x9000, 1, 0 };

	weir_inval_raw(inval, 0, raw, 24);
	weir_inval_raw(inval, 0, raw, 24);
	weir_inval_raw(inval, 0, raw, 16);
	weir_inval_raw(inval, 7, raw, 16);
	for (int i = 0; i < 300; i++)
		weir_inval_raw(inval, 7, raw, 64);
	EXPECT_OK(run_for(rig, inval, NULL));
	ASSERT_EQ(rig->num_calls, 3 + 2); /* of 64 bytes, as many at a time as there is room for */
	EXPECT_EQ(rig->call_sizes[0], 2);
	EXPECT_EQ(rig->call_lens[1], 16);
	EXPECT_EQ(rig->call_types[2], 7);
	EXPECT_EQ(rig->call_lens[3], 64);
	EXPECT_EQ(rig->num_done, 304);
}

/* What is said of each entry is true; which entries are refused is not guessed. */
static void check_outcomes(struct t *t, struct rig *rig, struct weir_inval *inval, uint32_t num, uint32_t bad,
			   bool goes_on)
{
	for (uint32_t i = 0; i < num; i++) {
		struct weir_inval_outcome outcome = outcome_of(t, inval, 0, i);
		uint32_t expected = i == bad             ? WEIR_INVAL_OUT_REFUSED
				    : i < bad || goes_on ? WEIR_INVAL_OUT_DONE
							 : WEIR_INVAL_OUT_NOT;
		bool forgot = rig_forgot(rig, (uint64_t)i * 2 * PAGE);

		if (outcome.kind != expected || forgot != (expected == WEIR_INVAL_OUT_DONE) ||
		    outcome.error != (i == bad ? -EIO : 0))
			FAIL("entry %u of %u, %u is bad: outcome %u (error %d), %s", i, num, bad,
			     outcome.kind, outcome.error, forgot ? "done" : "not done");
	}
}

static void each_in_turn(struct t *t, enum rig_kind kind, uint32_t policy)
{
	static const uint32_t sizes[] = { 1, 2, 62, 63, 64, 126, 127, 130, 200 };

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (uint32_t bad = 0; bad < sizes[s]; bad++) {
			struct rig *rig = new_inval_rig(t, kind, 0);
			struct weir_inval *inval = new_batch(t);
			uint32_t state = 99;

			t_note(t, "%u entries, %u is bad", sizes[s], bad);
			rig->refuses = refuse_bad;
			rig->bad = (uint64_t)bad * 2 * PAGE;
			rig->bad_left = UINT32_MAX;
			add_pages(t, inval, sizes[s]);
			EXPECT_ERR(-EIO, run_for(rig, inval,
						 &WEIR_OPTS(weir_inval_run_opts, .policy = policy,
							    .ret_states = &state)));
			EXPECT_EQ(state, WEIR_INVAL_STALE);
			EXPECT_EQ(weir_inval_count(inval), sizes[s]);
			EXPECT_EQ(outcome_of(t, inval, 0, bad).tries, policy == WEIR_INVAL_ONCE ? 1 : 3);
			check_outcomes(t, rig, inval, sizes[s], bad, policy == WEIR_INVAL_RETRY);
		}
}

UNIT(inval_run, each_entry_in_turn_is_refused_by_vtd_once)
{
	each_in_turn(t, RIG_VTD, WEIR_INVAL_ONCE);
}

UNIT(inval_run, each_entry_in_turn_is_refused_by_vtd_again_and_again)
{
	each_in_turn(t, RIG_VTD, WEIR_INVAL_RETRY);
}

/* A naive reading of the count would call done what was never issued. */
UNIT(inval_run, each_entry_in_turn_is_refused_by_smmuv3_once)
{
	each_in_turn(t, RIG_SMMUV3, WEIR_INVAL_ONCE);
}

UNIT(inval_run, each_entry_in_turn_is_refused_by_smmuv3_again_and_again)
{
	each_in_turn(t, RIG_SMMUV3, WEIR_INVAL_RETRY);
}

UNIT(inval_run, a_try_too_few_is_made_up_for)
{
	for (enum rig_kind kind = RIG_VTD; kind <= RIG_SMMUV3; kind++)
		for (uint32_t bad = 0; bad < 130; bad++) {
			struct rig *rig = new_inval_rig(t, kind, 1);
			struct weir_inval *inval = new_batch(t);

			rig->refuses = refuse_bad;
			rig->bad = (uint64_t)bad * 2 * PAGE;
			rig->bad_left = 2;
			add_pages(t, inval, 130);
			ASSERT_OK(run_for(rig, inval, POLICY(RETRY)));
			for (uint32_t i = 0; i < 130; i++)
				if (!rig_forgot(rig, (uint64_t)i * 2 * PAGE))
					FAIL("%u was bad twice, and %u is not done", bad, i);
			EXPECT_EQ(outcome_of(t, inval, 0, bad).kind, WEIR_INVAL_OUT_DONE);
			EXPECT_EQ(outcome_of(t, inval, 0, bad).tries, 3);
		}
}

/* While what was counted is sent again, something in it is refused that was not before. */
static int refuse_the_second_time(struct rig *rig, const void *command, uint32_t len, uint32_t number)
{
	(void)number;
	if (rig->num_calls == 1) {
		uint64_t iova;

		memcpy(&iova, (const char *)command + 8, sizeof(iova));
		return iova == 120 * 2 * PAGE ? -EIO : 0;
	}
	return refuse_bad(rig, command, len, number);
}

UNIT(inval_run, what_is_sent_again_is_not_believed_either)
{
	for (uint32_t bad = 0; bad < 120; bad++) {
		struct rig *rig = new_inval_rig(t, RIG_SMMUV3, 0);
		struct weir_inval *inval = new_batch(t);

		t_note(t, "%u is bad the second time", bad);
		rig->refuses = refuse_the_second_time;
		rig->bad = (uint64_t)bad * 2 * PAGE;
		rig->bad_left = UINT32_MAX;
		add_pages(t, inval, 130);
		EXPECT_ERR(-EIO, run_for(rig, inval, POLICY(ONCE)));
		for (uint32_t i = 0; i < 130; i++) {
			bool done = outcome_of(t, inval, 0, i).kind == WEIR_INVAL_OUT_DONE;

			if (done != (i < bad) || (done && !rig_forgot(rig, (uint64_t)i * 2 * PAGE)))
				FAIL("entry %u, of which %u is bad", i, bad);
		}
	}
}

UNIT(inval_run, entries_of_one_command_share_its_fate)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);

	rig->refuses = refuse_bad;
	rig->bad = 0x2000;
	rig->bad_left = UINT32_MAX;
	weir_inval_range(inval, 0x2000, 0x1000, 0, 0);
	weir_inval_range(inval, 0x8000, 0x1000, 0, 0);
	weir_inval_range(inval, 0x3000, 0x1000, 0, 0);
	EXPECT_ERR(-EIO, run_for(rig, inval, POLICY(RETRY)));
	EXPECT_EQ(outcome_of(t, inval, 0, 0).kind, WEIR_INVAL_OUT_REFUSED);
	EXPECT_EQ(outcome_of(t, inval, 0, 1).kind, WEIR_INVAL_OUT_DONE);
	EXPECT_EQ(outcome_of(t, inval, 0, 2).kind, WEIR_INVAL_OUT_REFUSED);
	EXPECT_EQ(outcome_of(t, inval, 0, 2).error, -EIO);
}

/* Ten pages of SMMUv3 without range commands are ten commands. */
UNIT(inval_run, an_entry_is_done_when_all_of_its_commands_are)
{
	for (uint32_t bad = 0; bad < 10; bad++) {
		struct rig *rig = new_inval_rig(t, RIG_SMMUV3, 0);
		struct weir_inval *inval = new_batch(t);

		rig->refuses = refuse_bad;
		rig->bad = 0x10000 + (uint64_t)bad * PAGE;
		rig->bad_left = UINT32_MAX;
		weir_inval_range(inval, 0x1000, PAGE, 0, 0);
		weir_inval_range(inval, 0x10000, 10 * PAGE, 0, 0);
		weir_inval_range(inval, 0x100000, PAGE, 0, 0);
		EXPECT_ERR(-EIO, run_for(rig, inval, POLICY(RETRY)));
		EXPECT_EQ(outcome_of(t, inval, 0, 0).kind, WEIR_INVAL_OUT_DONE);
		EXPECT_EQ(outcome_of(t, inval, 0, 1).kind, WEIR_INVAL_OUT_REFUSED);
		EXPECT_EQ(outcome_of(t, inval, 0, 2).kind, WEIR_INVAL_OUT_DONE);
		EXPECT_TRUE(rig_forgot(rig, 0x100000));
		EXPECT_FALSE(rig_forgot(rig, rig->bad));
	}
}

UNIT(inval_run, what_fails_is_made_up_for_by_everything)
{
	for (enum rig_kind kind = RIG_VTD; kind <= RIG_SMMUV3; kind++) {
		struct rig *rig = new_inval_rig(t, kind, 2);
		struct weir_inval *inval = new_batch(t);
		uint32_t state = 99;

		rig->refuses = refuse_bad;
		rig->bad = 0x2000;
		rig->bad_left = UINT32_MAX;
		add_pages(t, inval, 3);
		EXPECT_ERR(-EIO, run_for(rig, inval, &WEIR_OPTS(weir_inval_run_opts, .ret_states = &state)));
		EXPECT_EQ(state, WEIR_INVAL_ESCALATED);
		EXPECT_CONTAINS(weir_error(), "everything was invalidated");
		EXPECT_TRUE(rig_forgot(rig, 0x2000));
		EXPECT_EQ(rig->num_blocks, 0);
		/* Safe: the entries are gone, what became of them is known. */
		EXPECT_EQ(weir_inval_count(inval), 0);
		EXPECT_EQ(outcome_of(t, inval, 0, 1).kind, WEIR_INVAL_OUT_REFUSED);
		EXPECT_OK(weir_inval_close(NULL));
	}
}

UNIT(inval_run, a_kernel_that_does_nothing_gets_the_devices_blocked)
{
	static const struct {
		uint32_t policy, state, blocks;
		int block_error;
	} rows[] = {
		{ WEIR_INVAL_QUARANTINE, WEIR_INVAL_QUARANTINED, 1, 0 },
		{ WEIR_INVAL_QUARANTINE, WEIR_INVAL_STALE, 1, -EIO },
		{ WEIR_INVAL_ESCALATE, WEIR_INVAL_STALE, 0, 0 },
		{ WEIR_INVAL_RETRY, WEIR_INVAL_STALE, 0, 0 },
		{ WEIR_INVAL_ONCE, WEIR_INVAL_STALE, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
		struct weir_inval *inval = new_batch(t);
		uint32_t state = 99;

		t_note(t, "row %zu", i);
		rig->call_error = -ETIMEDOUT;
		rig->block_error = rows[i].block_error;
		add_pages(t, inval, 200);
		EXPECT_ERR(-EIO, run_for(rig, inval,
					 &WEIR_OPTS(weir_inval_run_opts, .policy = rows[i].policy,
						    .ret_states = &state)));
		EXPECT_EQ(state, rows[i].state);
		EXPECT_EQ(rig->num_blocks, rows[i].blocks);
		EXPECT_EQ(outcome_of(t, inval, 0, 0).kind, WEIR_INVAL_OUT_REFUSED);
		EXPECT_EQ(outcome_of(t, inval, 0, 0).error, -ETIMEDOUT);
		EXPECT_EQ(outcome_of(t, inval, 0, 199).kind, WEIR_INVAL_OUT_NOT);
		EXPECT_EQ(weir_inval_count(inval), rows[i].state == WEIR_INVAL_STALE ? 200 : 0);
		/* It is not asked for ever. */
		EXPECT_LE(rig->num_calls, 3 * 64 + 3);
	}
}

static void count_done(struct weir_later *later);

struct counted {
	struct weir_later later; /* first */
	uint32_t times;
};

static void count_done(struct weir_later *later)
{
	((struct counted *)later)->times++;
}

UNIT(inval_run, what_waits_is_free_when_all_domains_are_safe_and_not_before)
{
	struct rig *good = new_inval_rig(t, RIG_VTD, 1), *bad = new_inval_rig(t, RIG_SMMUV3, 1);
	struct weir_domain *domains[] = { &bad->domain.domain, &good->domain.domain };
	struct weir_inval *inval = new_batch(t);
	struct counted waits = { .later = { .done = count_done } };
	uint32_t states[2];

	bad->call_error = -EIO;
	bad->block_error = -EIO;
	add_pages(t, inval, 3);
	weir_inval_later(inval, &waits.later);
	EXPECT_ERR(-EIO,
		   weir_inval_run(inval, domains, 2, &WEIR_OPTS(weir_inval_run_opts, .ret_states = states)));
	EXPECT_EQ(states[0], WEIR_INVAL_STALE);
	EXPECT_EQ(states[1], WEIR_INVAL_DONE); /* none is skipped */
	EXPECT_EQ(good->num_done, 3);
	EXPECT_EQ(outcome_of(t, inval, 0, 2).kind, WEIR_INVAL_OUT_REFUSED);
	EXPECT_EQ(outcome_of(t, inval, 1, 2).kind, WEIR_INVAL_OUT_DONE);
	EXPECT_EQ(waits.times, 0);
	EXPECT_ERR(-EBUSY, weir_inval_close(inval));
	bad->call_error = 0;
	EXPECT_OK(weir_inval_run(inval, domains, 2, NULL));
	EXPECT_EQ(waits.times, 1);
	EXPECT_EQ(good->num_done, 6);
	EXPECT_EQ(weir_inval_count(inval), 0);
}

UNIT(inval_run, what_is_kept_can_be_run_again_and_closed)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = NULL;

	ASSERT_OK(weir_inval_open(NULL, &inval));
	add_pages(t, inval, 2);
	EXPECT_OK(run_for(rig, inval, POLICY(RETRY)));
	EXPECT_EQ(weir_inval_count(inval), 2);
	EXPECT_OK(run_for(rig, inval, POLICY(RETRY)));
	EXPECT_EQ(rig->num_done, 4);
	EXPECT_EQ(weir_inval_range(inval, 0x100000, PAGE, 0, 0), 2);
	EXPECT_ERR(-EBUSY, weir_inval_close(inval)); /* that one is not done */
	EXPECT_OK(run_for(rig, inval, POLICY(RETRY)));
	EXPECT_OK(weir_inval_close(inval));
}

UNIT(inval_run, what_is_not_nested_has_nothing_to_invalidate)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);

	weir_inval_all(inval);
	rig->domain.domain.type = &weir_paging_type;
	EXPECT_ERR(-EINVAL, run_for(rig, inval, NULL));
	EXPECT_CONTAINS(weir_error(), "a paging domain");
	rig->domain.domain.type = &weir_parent_type;
	EXPECT_ERR(-EINVAL, run_for(rig, inval, NULL));
	EXPECT_CONTAINS(weir_error(), "a nesting parent");
	rig->domain.domain.type = &weir_nested_type;
	EXPECT_ERR(-EINVAL, run_for(rig, inval, &WEIR_OPTS(weir_inval_run_opts, .policy = 4)));
	EXPECT_ERR(-EINVAL, run_for(rig, inval, &WEIR_OPTS(weir_inval_run_opts, .flags = 2)));
	EXPECT_EQ(rig->num_calls, 0);
}

/* A kernel that is not to be trusted: it says yes, and counts less; or counts more than it was given. */
static int count_wrong(struct weir_table *table, uint32_t type, const void *entries, uint32_t len,
		       uint32_t *num)
{
	(void)table, (void)type, (void)entries, (void)len;
	*num -= 1;
	return 0;
}

UNIT(inval_run, a_success_that_left_something_out_is_none)
{
	struct rig *rig = new_inval_rig(t, RIG_VTD, 1);
	struct weir_inval *inval = new_batch(t);

	rig->ops.invalidate = count_wrong;
	add_pages(t, inval, 2);
	EXPECT_ERR(-EIO, run_for(rig, inval, POLICY(RETRY)));
	EXPECT_EQ(outcome_of(t, inval, 0, 0).kind, WEIR_INVAL_OUT_DONE);
	EXPECT_EQ(outcome_of(t, inval, 0, 1).kind, WEIR_INVAL_OUT_REFUSED);
}
