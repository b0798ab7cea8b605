// SPDX-License-Identifier: MIT
/* What memory is made of, told in every way that it should not be. */
#include "kernel/smaps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/test.h"
#include "support/fake_sys.h"

#define SMAPS "/proc/self/smaps"
#define MAPS  "/proc/self/maps"

static const struct weir_memory_needs reading = { 0 }, writing = { .write = true },
				      anything = { .write = true, .device = true };

static struct fake_sys *with_smaps(struct t *t, const char *text)
{
	struct fake_sys *fake = fake_sys_new(t);

	fake_file(fake, SMAPS, text);
	return fake;
}

static void expect_fine(struct fake_sys *fake, uint64_t start, uint64_t last,
			const struct weir_memory_needs *needs)
{
	struct weir_memory_part part;

	EXPECT_ERR(-ENOENT, weir_smaps_flaw(&fake->table, start, last, needs, &part));
}

static struct weir_memory_part flaw_of(struct fake_sys *fake, uint64_t start, uint64_t last,
				       const struct weir_memory_needs *needs)
{
	struct weir_memory_part part;

	ASSERT_OK(weir_smaps_flaw(&fake->table, start, last, needs, &part));
	EXPECT_LE(start, part.start);
	EXPECT_LE(part.start, part.last);
	EXPECT_LE(part.last, last);
	return part;
}

static void expect_part(struct weir_memory_part part, enum weir_flaw flaw, uint64_t start, uint64_t last,
			const char *what)
{
	EXPECT_EQ(part.flaw, flaw);
	EXPECT_EQ(part.start, start);
	EXPECT_EQ(part.last, last);
	EXPECT_STREQ(part.what, what);
}

/* What stands between an area's first line and its flags; some of it begins like an address. */
#define DETAILS                                                                                              \
	"Size:                  8 kB\nKernelPageSize:        4 kB\nRss:                   8 kB\n"            \
	"FilePmdMapped:         0 kB\nAnonHugePages:         0 kB\nTHPeligible:           0\n"

#define SOME                                                                                                 \
	"1000-3000 r--p 00000000 08:01 42         /usr/bin/program\n" DETAILS "VmFlags: rd mr mw me sd \n"   \
	"3000-5000 rw-p 00000000 00:00 0 \n" DETAILS "VmFlags: rd wr mr mw me ac sd \n"                      \
	"5000-6000 rw-s 00001000 00:05 43         /memfd:a name (deleted)\n" DETAILS "VmFlags: rd wr sh \n"  \
	"6000-8000 rw-s 00000000 00:05 44         /dev/vfio/devices/vfio1\n" DETAILS                         \
	"VmFlags: rd wr sh mr mw me ms pf io de dd \n"                                                       \
	"9000-a000 rw-p 00000000 00:00 0          [heap]\n" DETAILS "VmFlags: rd wr \n"                      \
	"a000-b000 ---p 00000000 00:00 0 \n" DETAILS "VmFlags: mr mw me \n"

UNIT(smaps, memory_without_flaw_may_lie_in_several_areas)
{
	struct fake_sys *fake = with_smaps(t, SOME);

	expect_fine(fake, 0x1000, 0x5fff, &reading);
	expect_fine(fake, 0x3000, 0x5fff, &writing);
	expect_fine(fake, 0x4fff, 0x4fff, &writing);
	expect_fine(fake, 0x9000, 0x9fff, &writing);
}

UNIT(smaps, the_first_flaw_is_found_and_named)
{
	struct fake_sys *fake = with_smaps(t, SOME);

	expect_part(flaw_of(fake, 0x2000, 0x4fff, &writing), WEIR_FLAW_READ_ONLY, 0x2000, 0x2fff,
		    "/usr/bin/program");
	expect_part(flaw_of(fake, 0x9000, 0xafff, &reading), WEIR_FLAW_UNREADABLE, 0xa000, 0xafff, "");
	expect_part(flaw_of(fake, 0x3000, 0x6fff, &writing), WEIR_FLAW_DEVICE, 0x6000, 0x6fff,
		    "/dev/vfio/devices/vfio1");
	expect_part(flaw_of(fake, 0x3000, 0x9fff, &anything), WEIR_FLAW_HOLE, 0x8000, 0x8fff, "");
	expect_part(flaw_of(fake, 0x0, 0x1fff, &reading), WEIR_FLAW_HOLE, 0, 0xfff, "");
	expect_part(flaw_of(fake, 0x8800, 0x8bff, &reading), WEIR_FLAW_HOLE, 0x8800, 0x8bff, "");
	expect_part(flaw_of(fake, UINT64_MAX - 4095, UINT64_MAX, &reading), WEIR_FLAW_HOLE, UINT64_MAX - 4095,
		    UINT64_MAX, "");
}

UNIT(smaps, device_memory_is_told_by_flags_alone)
{
	static const struct {
		const char *flags;
		bool device;
	} rows[] = {
		{ "VmFlags: io ", true },  { "VmFlags: rd pf", true },     { "VmFlags:  rd   io  ", true },
		{ "VmFlags: iox", false }, { "VmFlags: rdio pfd", false }, { "VmFlags:", false },
		{ "VmFlag: io", false },   { " VmFlags: io", false },      { "io pf", false },
	};
	char text[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_memory_part part;
		struct fake_sys *fake;

		t_note(t, "row %zu", i);
		snprintf(text, sizeof(text), "1000-2000 rw-p 0 0:0 0 VmFlags: io\n%s\n", rows[i].flags);
		fake = with_smaps(t, text);
		EXPECT_EQ(weir_smaps_flaw(&fake->table, 0x1000, 0x1fff, &writing, &part),
			  rows[i].device ? 0 : -ENOENT);
	}
}

UNIT(smaps, device_memory_that_will_do_has_to_be_usable_all_the_same)
{
	struct fake_sys *fake = with_smaps(t, "1000-2000 r--s 0 0:0 0 /dev/a\nVmFlags: rd io\n");

	expect_fine(fake, 0x1000, 0x1fff, &(struct weir_memory_needs){ .device = true });
	EXPECT_EQ(flaw_of(fake, 0x1000, 0x1fff, &anything).flaw, WEIR_FLAW_READ_ONLY);
}

UNIT(smaps, what_is_at_an_address)
{
	struct fake_sys *fake = with_smaps(t, SOME);
	struct weir_memory_part part;

	ASSERT_OK(weir_smaps_at(&fake->table, 0x5800, 0xffff, &part));
	EXPECT_EQ(part.start, 0x5800);
	EXPECT_EQ(part.last, 0x5fff);
	EXPECT_STREQ(part.what, "/memfd:a name (deleted)");
	ASSERT_OK(weir_smaps_at(&fake->table, 0x1000, 0x1fff, &part));
	EXPECT_EQ(part.last, 0x1fff);
	EXPECT_ERR(-ENOENT, weir_smaps_at(&fake->table, 0x8000, 0x9fff, &part));
	EXPECT_ERR(-ENOENT, weir_smaps_at(&fake->table, 0xb000, 0xbfff, &part));
}

UNIT(smaps, without_it_maps_has_to_do)
{
	struct fake_sys *fake = fake_sys_new(t);
	struct weir_memory_part part;

	EXPECT_ERR(-ENOENT, weir_smaps_flaw(&fake->table, 0x1000, 0x1fff, &reading, &part));
	fake_file(fake, MAPS, "1000-2000 r--p 0 0:0 0 /a b\n3000-4000 rw-p 0 0:0 0\n");
	EXPECT_STREQ(flaw_of(fake, 0x1000, 0x1fff, &writing).what, "/a b");
	EXPECT_EQ(flaw_of(fake, 0x1000, 0x3fff, &reading).start, 0x2000);
	fake_error(fake, SMAPS, -EACCES);
	EXPECT_ERR(-EACCES, weir_smaps_flaw(&fake->table, 0x1000, 0x1fff, &reading, &part));
	EXPECT_ERR(-EACCES, weir_smaps_at(&fake->table, 0x1000, 0x1fff, &part));
}

UNIT(smaps, the_whole_of_memory_may_be_one_area)
{
	struct fake_sys *fake = with_smaps(t, "0-ffffffffffffffff rw-p 0 0:0 0\n");

	expect_fine(fake, 0, UINT64_MAX - 1, &writing);
	/* It ends one byte earlier. */
	expect_part(flaw_of(fake, 0, UINT64_MAX, &writing), WEIR_FLAW_HOLE, UINT64_MAX, UINT64_MAX, "");
}

UNIT(smaps, what_makes_no_sense_is_passed_over)
{
	static const char *const texts[] = {
		"",
		"\n",
		"nonsense\n",
		"1000\n",
		"1000-\n",
		"1000-2000\n",
		"1000-2000 rw-p\n",
		"1000-2000 rw-p 0 0:0 0", /* cut off */
		"-\n\n\n",
		"1000-2000 \n",
		"2000-1000 rw-p 0 0:0 0\n",
		"1000-1000 rw-p 0 0:0 0\n",
		"1000-0 rw-p 0 0:0 0\n",
		"0x1000-0x2000 rw-p 0 0:0 0\n",
		" 1000-2000 rw-p 0 0:0 0\n",
		"1000-2000rw-p 0 0:0 0\n",
		"VmFlags: rd wr io\n",
		"fffffffffffffffffffffffffffffffffffff-2000 rw-p 0 0:0 0\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_EQ(flaw_of(with_smaps(t, texts[i]), 0x1000, 0x1fff, &reading).flaw, WEIR_FLAW_HOLE);
	}
}

/* A name is whatever somebody called a file. */
UNIT(smaps, names_are_cut_and_cleaned)
{
	char text[9000];
	size_t len = (size_t)sprintf(text, "1000-2000 r--p 0 0:0 0 /");
	struct weir_memory_part part;

	memset(text + len, 'n', 8000);
	strcpy(text + len + 8000, "\nVmFlags: rd io\n");
	part = flaw_of(with_smaps(t, text), 0x1000, 0x1fff, &reading);
	EXPECT_EQ(part.flaw, WEIR_FLAW_DEVICE);
	EXPECT_EQ(strlen(part.what), sizeof(part.what) - 1);
	part = flaw_of(with_smaps(t, "1000-2000 r--p 0 0:0 0     /a\x1b[2J\r\x7f  b\\012c (deleted)\n"),
		       0x1000, 0x1fff, &writing);
	EXPECT_STREQ(part.what, "/a?[2J??  b\\012c (deleted)");
}

UNIT(smaps, it_is_read_no_further_than_needed)
{
	enum { AREAS = 2000, LEN = 64 };
	char *text = malloc(AREAS * LEN);
	struct fake_sys *fake;
	size_t len = 0;

	ASSERT_TRUE(text);
	t_defer(t, free, text);
	for (unsigned int i = 1; i <= AREAS; i++)
		len += (size_t)sprintf(text + len, "%x000-%x800 rw-p 00000000 00:00 0 \nVmFlags: rd wr\n", i,
				       i);
	fake = with_smaps(t, text);
	EXPECT_EQ(flaw_of(fake, 0x1000, 0x1fff, &writing).start, 0x1800);
	EXPECT_LE(fake->calls, 4); /* opened, read once or twice, closed */
	EXPECT_EQ(flaw_of(fake, AREAS * 4096, AREAS * 4096 + 4095, &writing).start, AREAS * 4096 + 2048);
	fake->most_read = 1;
	expect_fine(fake, 100 * 4096, 100 * 4096 + 2047, &writing);
}

/* Whatever stands there: an answer within the range, or none. */
static void ask_everything(struct fake_sys *fake)
{
	static const uint64_t ranges[][2] = { { 0, UINT64_MAX }, { 0x1000, 0x1fff }, { 0x3000, 0xafff } };
	static const struct weir_memory_needs *const needs[] = { &reading, &writing, &anything };
	struct weir_memory_part part;

	for (size_t i = 0; i < 9; i++) {
		const uint64_t *range = ranges[i / 3];

		if (!weir_smaps_flaw(&fake->table, range[0], range[1], needs[i % 3], &part) &&
		    (part.start < range[0] || part.last > range[1] || part.start > part.last))
			FAIL("range %zu", i);
	}
	if (!weir_smaps_at(&fake->table, 0x3000, 0xafff, &part) &&
	    (part.start != 0x3000 || part.last > 0xafff || part.last < 0x3000))
		FAIL("at an address");
	for (const char *at = part.what; *at; at++)
		if ((unsigned char)*at < ' ')
			FAIL("a control character");
}

UNIT(smaps, a_text_cut_anywhere_is_no_harm)
{
	struct fake_sys *fake = fake_sys_new(t);

	for (size_t len = 0; len <= strlen(SOME); len++) {
		fake_name(fake, SMAPS, SOME, len);
		fake->most_read = len % 7 * 5;
		ask_everything(fake);
	}
}

UNIT(smaps, a_spoiled_text_is_no_harm)
{
	static const char spoilers[] = "\n- 0f/:V\xff\t\x01zio pf";
	struct fake_sys *fake = fake_sys_new(t);
	char text[sizeof(SOME)];
	uint32_t random = 1;

	for (int round = 0; round < 3000; round++) {
		memcpy(text, SOME, sizeof(text));
		for (int i = 0; i <= round % 8; i++) {
			random = random * 1103515245 + 12345;
			text[(random >> 8) % (sizeof(text) - 1)] =
				spoilers[(random >> 4) % (sizeof(spoilers) - 1)];
		}
		fake_name(fake, SMAPS, text, sizeof(text) - 1);
		ask_everything(fake);
	}
}
