// SPDX-License-Identifier: MIT
/* What /proc/self says, told in every way that it should not be. */
#include "kernel/procself.h"

#include <errno.h>

#include "shim/test.h"
#include "support/fake_sys.h"

#define LIMITS "/proc/self/limits"
#define STATUS "/proc/self/status"

static struct fake_sys *usual(struct t *t)
{
	struct fake_sys *fake = fake_sys_new(t);

	fake_file(fake, LIMITS,
		  "Limit                     Soft Limit           Hard Limit           Units     \n"
		  "Max cpu time              unlimited            unlimited            seconds   \n"
		  "Max locked memory         8388608              8388608              bytes     \n"
		  "Max address space         unlimited            unlimited            bytes     \n");
	fake_file(fake, STATUS,
		  "Name:\tsome CapEff: ffff program\nVmPin:\t  4 kB\nVmLck:\t      64 kB\n"
		  "CapPrm:\tffffffffffffffff\nCapEff:\t0000000000000000\nCapBnd:\tffffffffffffffff\n");
	return fake;
}

UNIT(procself, the_limit_and_how_this_process_stands_to_it)
{
	struct fake_sys *fake = usual(t);
	struct weir_memlock memlock;

	ASSERT_OK(weir_procself_memlock(&fake->table, &memlock));
	EXPECT_EQ(8388608, memlock.limit);
	EXPECT_EQ(65536, memlock.locked);
	EXPECT_FALSE(memlock.exempt);

	fake_file(fake, STATUS, "Name:\tx\nCapEff:\t0000000000004000\n");
	fake_file(fake, LIMITS,
		  "Max locked memory         unlimited            unlimited            bytes     \n");
	ASSERT_OK(weir_procself_memlock(&fake->table, &memlock));
	EXPECT_EQ(UINT64_MAX, memlock.limit);
	EXPECT_EQ(0, memlock.locked);
	EXPECT_TRUE(memlock.exempt);
}

UNIT(procself, files_come_in_pieces_of_any_size)
{
	struct fake_sys *fake = usual(t);
	struct weir_memlock memlock;

	for (fake->most_read = 1; fake->most_read < 40; fake->most_read += 3) {
		ASSERT_OK(weir_procself_memlock(&fake->table, &memlock));
		EXPECT_EQ(8388608, memlock.limit);
		EXPECT_EQ(65536, memlock.locked);
	}
}

UNIT(procself, what_cannot_be_read_says_so)
{
	struct fake_sys *fake = usual(t);
	struct weir_memlock memlock = { .limit = 99 };

	fake_error(fake, STATUS, -EACCES);
	EXPECT_ERR(-EACCES, weir_procself_memlock(&fake->table, &memlock));
	fake_error(fake, LIMITS, -EMFILE);
	EXPECT_ERR(-EMFILE, weir_procself_memlock(&fake->table, &memlock));
	fake_file(fake, LIMITS, "");
	EXPECT_ERR(-EIO, weir_procself_memlock(&fake->table, &memlock));
	fake_file(fake, LIMITS, "Max locked mem");
	EXPECT_ERR(-EIO, weir_procself_memlock(&fake->table, &memlock));
	EXPECT_EQ(99, memlock.limit);
}

UNIT(procself, a_status_that_makes_no_sense_counts_as_nothing)
{
	static const char *const texts[] = { "", "\n",
					     "\nVmLck:", "\nVmLck:\nCapEff:", "\nVmLck: x kB\nCapEff: y\n" };
	struct fake_sys *fake = usual(t);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct weir_memlock memlock;

		t_note(t, "row %zu", i);
		fake_file(fake, STATUS, texts[i]);
		ASSERT_OK(weir_procself_memlock(&fake->table, &memlock));
		EXPECT_EQ(0, memlock.locked);
		EXPECT_FALSE(memlock.exempt);
	}
}
