// SPDX-License-Identifier: MIT
/* Batches: what is taken, what waits, and when it is free. */
#include <errno.h>
#include <string.h>

#include "inval/inval.h"
#include "support/alloc_fail.h"
#include "shim/test.h"

static void drop_and_close(void *inval)
{
	weir_inval_drop(inval);
	weir_inval_close(inval);
}

static struct weir_inval *a_batch(struct t *t, uint32_t room)
{
	struct weir_inval *inval = NULL;

	ASSERT_OK(weir_inval_open(&WEIR_OPTS(weir_inval_opts, .room = room), &inval));
	t_defer(t, drop_and_close, inval);
	return inval;
}

UNIT(inval, entries_are_numbered_as_they_come)
{
	struct weir_inval *inval = a_batch(t, 0);

	EXPECT_EQ(weir_inval_count(inval), 0);
	EXPECT_EQ(weir_inval_range(inval, 0x1000, 0x1000, 0, 0), 0);
	EXPECT_EQ(weir_inval_all(inval), 1);
	EXPECT_EQ(weir_inval_context(inval, 7), 2);
	EXPECT_EQ(weir_inval_raw(inval, 1, "abcd", 4), 3);
	EXPECT_EQ(weir_inval_range(inval, 0, 0x1000, 65535, WEIR_INVAL_LEAF), 4);
	EXPECT_EQ(weir_inval_count(inval), 5);
}

UNIT(inval, what_is_no_range_is_refused_and_changes_nothing)
{
	struct weir_inval *inval = a_batch(t, 0);

	EXPECT_ERR(-EINVAL, weir_inval_range(inval, 0x1000, 0, 0, 0));
	EXPECT_ERR(-EINVAL, weir_inval_range(inval, 0x1800, 0x1000, 0, 0));
	EXPECT_ERR(-EINVAL, weir_inval_range(inval, 0x1000, 0x800, 0, 0));
	EXPECT_ERR(-EOVERFLOW, weir_inval_range(inval, UINT64_MAX - 4095, 0x2000, 0, 0));
	EXPECT_ERR(-EINVAL, weir_inval_range(inval, 0x1000, 0x1000, 0, 4));
	EXPECT_ERR(-EINVAL, weir_inval_range(inval, 0x1000, 0x1000, 65536, 0));
	EXPECT_ERR(-EINVAL, weir_inval_context(inval, 1 << 20));
	EXPECT_ERR(-EINVAL, weir_inval_raw(inval, 1, "", 0));
	EXPECT_ERR(-EINVAL, weir_inval_raw(inval, 1, "", 65));
	EXPECT_EQ(weir_inval_count(inval), 0);
	EXPECT_EQ(weir_inval_range(inval, UINT64_MAX - 4095, 0x1000, 0, 0), 0); /* the very last page */
}

UNIT(inval, options_of_another_age_are_judged)
{
	struct weir_inval *inval;
	struct {
		struct weir_inval_opts opts;
		uint64_t new_field;
	} newer = { .opts = { .size = sizeof(newer) }, .new_field = 1 };

	EXPECT_ERR(-E2BIG, weir_inval_open(&newer.opts, &inval));
	EXPECT_ERR(-EINVAL, weir_inval_open(&WEIR_OPTS(weir_inval_opts, .reserved = 1), &inval));
	EXPECT_ERR(-EINVAL, weir_inval_open(&WEIR_OPTS(weir_inval_opts, .room = (1 << 20) + 1), &inval));
}

UNIT(inval, room_that_was_asked_for_takes_no_memory_any_more)
{
	struct weir_inval *inval = a_batch(t, 100);

	alloc_fail(1);
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(weir_inval_range(inval, 0, 0x1000, 0, 0), i);
	EXPECT_ERR(-ENOMEM, weir_inval_range(inval, 0, 0x1000, 0, 0));
	EXPECT_TRUE(alloc_failed());
	EXPECT_EQ(weir_inval_count(inval), 100);
	EXPECT_EQ(weir_inval_range(inval, 0, 0x1000, 0, 0), 100);
}

UNIT(inval, a_batch_has_an_end)
{
	struct weir_inval *inval = a_batch(t, 1 << 20);

	for (int i = 0; i < 1 << 20; i++)
		if (weir_inval_all(inval) != i)
			FAIL("entry %d was not taken", i);
	EXPECT_ERR(-ENOSPC, weir_inval_all(inval));
	EXPECT_ERR(-ENOSPC, weir_inval_reserve(inval, 1));
	EXPECT_EQ(weir_inval_count(inval), 1 << 20);
}

struct waiting {
	struct weir_later later; /* first */
	char *log;
	char name;
};

static void is_done(struct weir_later *later)
{
	struct waiting *waiting = (struct waiting *)later;
	size_t len = strlen(waiting->log);

	waiting->log[len] = waiting->name;
	waiting->log[len + 1] = '\0';
}

UNIT(inval, what_waits_is_free_when_the_batch_is_dropped_in_the_order_it_came)
{
	struct weir_inval *inval = a_batch(t, 0);
	char log[8] = "";
	struct waiting first = { { .done = is_done }, log, 'a' }, second = { { .done = is_done }, log, 'b' };

	weir_inval_all(inval);
	weir_inval_later(inval, &first.later);
	weir_inval_later(inval, &second.later);
	EXPECT_ERR(-EBUSY, weir_inval_close(inval));
	EXPECT_STREQ(log, "");
	weir_inval_drop(inval);
	EXPECT_STREQ(log, "ab");
	EXPECT_EQ(weir_inval_count(inval), 0);
	weir_inval_drop(inval);
	EXPECT_STREQ(log, "ab");
}

UNIT(inval, nothing_is_known_before_a_run)
{
	struct weir_inval *inval = a_batch(t, 0);
	struct weir_inval_outcome outcome;

	weir_inval_all(inval);
	EXPECT_ERR(-ENOENT, weir_inval_outcome(inval, 0, 0, &outcome));
	EXPECT_OK(weir_inval_close(NULL));
}
