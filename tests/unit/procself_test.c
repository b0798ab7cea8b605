// SPDX-License-Identifier: MIT
/* What /proc/self says, told in every way that it should not be. */
#include "kernel/procself.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/test.h"
#include "support/alloc_fail.h"
#include "support/fake_sys.h"

#define LIMITS "/proc/self/limits"
#define STATUS "/proc/self/status"
#define MAPS   "/proc/self/maps"

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

static void expect_fine(struct fake_sys *fake, uint64_t start, uint64_t last, bool write)
{
	struct weir_range_flaw flaw;

	EXPECT_ERR(-ENOENT, weir_procself_flaw(&fake->table, start, last, write, &flaw));
}

static struct weir_range_flaw flaw_of(struct fake_sys *fake, uint64_t start, uint64_t last, bool write)
{
	struct weir_range_flaw flaw;

	ASSERT_OK(weir_procself_flaw(&fake->table, start, last, write, &flaw));
	return flaw;
}

static struct fake_sys *with_maps(struct t *t, const char *text)
{
	struct fake_sys *fake = fake_sys_new(t);

	fake_file(fake, MAPS, text);
	return fake;
}

#define SOME_MAPS                                                                                            \
	"1000-3000 r--p 00000000 08:01 42         /usr/bin/program\n"                                        \
	"3000-5000 rw-p 00000000 00:00 0 \n"                                                                 \
	"5000-6000 rw-s 00001000 00:05 43         /memfd:a name (deleted)\n"                                 \
	"8000-9000 rw-p 00000000 00:00 0          [heap]\n"                                                  \
	"9000-a000 ---p 00000000 00:00 0 \n"

UNIT(procself, memory_without_flaw_may_lie_in_several_mappings)
{
	struct fake_sys *fake = with_maps(t, SOME_MAPS);

	expect_fine(fake, 0x1000, 0x5fff, false);
	expect_fine(fake, 0x3000, 0x5fff, true);
	expect_fine(fake, 0x4fff, 0x4fff, true);
	expect_fine(fake, 0x8000, 0x8fff, true);
}

UNIT(procself, the_first_hole_is_found)
{
	struct fake_sys *fake = with_maps(t, SOME_MAPS);
	struct weir_range_flaw flaw = flaw_of(fake, 0x4000, 0x8fff, true);

	EXPECT_TRUE(flaw.hole);
	EXPECT_EQ(0x6000, flaw.start);
	EXPECT_EQ(0x7fff, flaw.last);
	flaw = flaw_of(fake, 0x0, 0x1fff, false);
	EXPECT_EQ(0, flaw.start);
	EXPECT_EQ(0xfff, flaw.last);
	flaw = flaw_of(fake, 0x6800, 0x6fff, false); /* no further than what was asked */
	EXPECT_EQ(0x6800, flaw.start);
	EXPECT_EQ(0x6fff, flaw.last);
	flaw = flaw_of(fake, UINT64_MAX - 4095, UINT64_MAX, false); /* behind everything */
	EXPECT_EQ(UINT64_MAX - 4095, flaw.start);
	EXPECT_EQ(UINT64_MAX, flaw.last);
}

UNIT(procself, missing_permissions_are_found_with_the_name)
{
	struct fake_sys *fake = with_maps(t, SOME_MAPS);
	struct weir_range_flaw flaw = flaw_of(fake, 0x2000, 0x4fff, true);

	EXPECT_FALSE(flaw.hole);
	EXPECT_TRUE(flaw.readable);
	EXPECT_FALSE(flaw.writable);
	EXPECT_EQ(0x2000, flaw.start);
	EXPECT_EQ(0x2fff, flaw.last);
	EXPECT_STREQ("/usr/bin/program", flaw.what);
	flaw = flaw_of(fake, 0x8000, 0x9fff, false);
	EXPECT_FALSE(flaw.readable);
	EXPECT_EQ(0x9000, flaw.start);
	EXPECT_STREQ("", flaw.what);
}

UNIT(procself, the_whole_of_memory_may_be_one_mapping)
{
	struct fake_sys *fake = with_maps(t, "0-ffffffffffffffff rw-p 0 0:0 0\n");

	expect_fine(fake, 0, UINT64_MAX - 1, true);
	EXPECT_TRUE(flaw_of(fake, 0, UINT64_MAX, true).hole); /* it ends one byte earlier */
}

UNIT(procself, maps_that_make_no_sense_are_holes)
{
	static const char *const texts[] = {
		"",
		"\n",
		"nonsense\n",
		"1000\n",
		"1000-\n",
		"1000-2000\n",
		"1000-2000 rw-p 0 0:0 0",
		"-\n\n\n",
		"1000-2000 \n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_TRUE(flaw_of(with_maps(t, texts[i]), 0x1000, 0x1fff, false).hole);
	}
}

UNIT(procself, a_name_never_goes_beyond_its_line)
{
	/* Too few fields: the rest of the line is not to be taken from the next. */
	struct fake_sys *fake = with_maps(t, "1000-2000 ---p\n2000-3000 rw-p 0 0:0 0 /a\n");
	struct weir_range_flaw flaw;
	int error = weir_procself_flaw(&fake->table, 0x1000, 0x1fff, false, &flaw);

	ASSERT_OK(error);
	EXPECT_FALSE(strchr(flaw.what, '\n'));
}

UNIT(procself, a_long_name_is_cut)
{
	struct weir_range_flaw flaw;
	char text[5000];
	size_t len = (size_t)sprintf(text, "1000-2000 r--p 0 0:0 0 /");

	memset(text + len, 'n', 4000);
	memcpy(text + len + 4000, "\n", 2);
	flaw = flaw_of(with_maps(t, text), 0x1000, 0x1fff, true);
	EXPECT_EQ(sizeof(flaw.what) - 1, strlen(flaw.what));
}

/* Two thousand mappings with a hole behind each. */
static char *many_maps(void)
{
	char *text = malloc(200000);
	size_t len = 0;

	ASSERT_TRUE(text);
	for (unsigned int i = 1; i <= 2000; i++)
		len += (size_t)sprintf(text + len, "%x000-%x800 rw-p 00000000 00:00 0 \n", i, i);
	return text;
}

UNIT(procself, a_huge_list_is_read_to_its_end)
{
	char *text = many_maps();
	struct fake_sys *fake = with_maps(t, text);

	t_defer(t, free, text);
	EXPECT_EQ(2000 * 4096 + 2048, flaw_of(fake, 2000 * 4096, 2000 * 4096 + 4095, true).start);
	expect_fine(fake, 2000 * 4096, 2000 * 4096 + 2047, true);
	fake->most_read = 4096;
	expect_fine(fake, 2000 * 4096, 2000 * 4096 + 2047, true);
}

UNIT(procself, running_out_of_memory_is_told)
{
	char *text = many_maps();
	struct fake_sys *fake = with_maps(t, text);
	struct weir_range_flaw flaw;
	unsigned int nth;

	t_defer(t, free, text);
	for (nth = 1; nth < 100; nth++) {
		int error;

		alloc_fail(nth);
		error = weir_procself_flaw(&fake->table, 0x1000, 0x17ff, false, &flaw);
		if (!alloc_failed())
			break;
		EXPECT_ERR(-ENOMEM, error);
	}
	EXPECT_GT(nth, 2);
	EXPECT_LT(nth, 100);
}
