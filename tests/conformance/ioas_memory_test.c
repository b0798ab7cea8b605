// SPDX-License-Identifier: MIT
/* Mappings and the memory behind them: what cannot be mapped, in which ways the rest can be reached, and what is pinned. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What cannot be mapped ------------------------------------------------------------------------------------------- */

enum { NUM_PAGES = 8 };

struct flaw {
	const char *what;
	void (*make)(struct t *t, unsigned char *memory);
	uint32_t flags;
	size_t first, num; /* the flawed pages */
	const char *text;
};

static void forbid_access(struct t *t, unsigned char *memory)
{
	(void)t;
	ASSERT_EQ(mprotect(memory + 2 * PAGE, 3 * PAGE, PROT_NONE), 0);
}

static void forbid_writing(struct t *t, unsigned char *memory)
{
	(void)t;
	ASSERT_EQ(mprotect(memory + 5 * PAGE, 3 * PAGE, PROT_READ), 0);
}

static void make_hole(struct t *t, unsigned char *memory)
{
	take_away(t, memory + 3 * PAGE, PAGE);
}

static void free_all(struct t *t, unsigned char *memory)
{
	take_away(t, memory, NUM_PAGES * PAGE);
}

static void free_the_end(struct t *t, unsigned char *memory)
{
	take_away(t, memory + 7 * PAGE, PAGE);
}

static const struct flaw flaws[] = {
	{ "unreadable", forbid_access, WEIR_MAP_READ, 2, 3, "it cannot be read" },
	{ "unreadable, both ways", forbid_access, 0, 2, 3, "it cannot be read" },
	{ "read-only, both ways", forbid_writing, 0, 5, 3, "it cannot be written" },
	{ "read-only, to be written", forbid_writing, WEIR_MAP_WRITE, 5, 3, "it cannot be written" },
	{ "a hole", make_hole, 0, 3, 1, "nothing is mapped there" },
	{ "a hole, to be read", make_hole, WEIR_MAP_READ, 3, 1, "nothing is mapped there" },
	{ "freed", free_all, 0, 0, NUM_PAGES, "nothing is mapped there" },
	{ "the last page freed", free_the_end, 0, 7, 1, "nothing is mapped there" },
};

/* Memory with nothing mapped on either side, so that what is missing ends where it should. */
static unsigned char *lonely_memory(struct t *t)
{
	unsigned char *memory = new_memory(t, (NUM_PAGES + 2) * PAGE, 0x33);

	ASSERT_EQ(mprotect(memory, PAGE, PROT_NONE), 0);
	ASSERT_EQ(mprotect(memory + (NUM_PAGES + 1) * PAGE, PAGE, PROT_NONE), 0);
	return memory + PAGE;
}

static void check_flaws(struct t *t, struct weir_ioas *ioas)
{
	for (size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
		const struct flaw *flaw = &flaws[i];
		unsigned char *memory = lonely_memory(t);
		struct weir_ioas_info before = info_of(ioas);
		struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = flaw->flags);
		struct weir_map *map = NULL;

		at(t, ioas, flaw->what);
		flaw->make(t, memory);
		EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, memory, NUM_PAGES * PAGE, &opts, &map));
		EXPECT_CONTAINS(weir_error(), flaw->text);
		EXPECT_CONTAINS(weir_error(),
				range_text((uintptr_t)memory + flaw->first * PAGE, flaw->num * PAGE));
		EXPECT_TRUE(map == NULL);
		expect_unchanged(t, ioas, before);
	}
}

CONFORMANCE(ioas_memory, what_is_not_memory_is_refused_by_name, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_flaws);
}

static void check_read_only(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 4);

	ASSERT_EQ(mprotect(memory, 4 * PAGE, PROT_READ), 0);
	new_map(t, ioas, memory, 4 * PAGE, &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ));
}

CONFORMANCE(ioas_memory, read_only_memory_can_be_mapped_for_reading, NEEDS(READ_ONLY, DMA_DEVICE))
{
	in_both_states(t, check_read_only);
}

static void close_fd(void *fd)
{
	close((int)(intptr_t)fd);
}

/* @pages pages mapped of a file in memory that has @room; shared. */
static unsigned char *new_file_pages(struct t *t, size_t pages, size_t room)
{
	int fd = memfd_create("weir-conformance", MFD_CLOEXEC);
	unsigned char *memory = new_pages(t, pages);

	ASSERT_TRUE(fd >= 0);
	t_defer(t, close_fd, (void *)(intptr_t)fd);
	ASSERT_EQ(ftruncate(fd, (off_t)(room * PAGE)), 0);
	ASSERT_TRUE(mmap(memory, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    memory);
	return memory;
}

static void check_file_end(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_file_pages(t, 4, 2);
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map *map = NULL;

	EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, memory, 4 * PAGE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "beyond the end of its file");
	expect_unchanged(t, ioas, before);
	new_map(t, ioas, memory, 2 * PAGE, NULL);
}

CONFORMANCE(ioas_memory, pages_beyond_the_end_of_their_file_are_refused, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_file_end);
}

/* Ways of reaching it --------------------------------------------------------------------------------------------- */

CONFORMANCE(ioas_memory, a_mapping_for_reading_cannot_be_written, NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);
	struct weir_map_opts opts =
		WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ, .address_bits = EDU0_BITS);
	struct weir_map *reading = new_map(t, ioas, page, PAGE, &opts);
	struct weir_map *both = new_map(t, ioas, page, PAGE, BELOW(EDU0_BITS));

	/* In this order: an address that QEMU's IOMMU has cached for reading is still not written, but no fault is reported. */
	EXPECT_TRUE(dma_write_blocked(t, edu, weir_map_iova(reading), page, PAGE));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(reading), page, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(both), page, PAGE));
}

/* Some IOMMUs let pass every read of what may be written; the others report it. */
CONFORMANCE(ioas_memory, a_mapping_for_writing_is_written_and_read_only_as_the_iommu_has_it,
	    NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);
	struct weir_map_opts opts =
		WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_WRITE, .address_bits = EDU0_BITS);
	uint64_t iova = weir_map_iova(new_map(t, ioas, page, PAGE, &opts));
	bool arrived;

	faults_begin(t);
	arrived = dma_reads(t, edu, iova, page, PAGE);
	EXPECT_NE(arrived, faults_reported(t));
	dma_writes(t, edu, iova, 0xa5, PAGE);
	EXPECT_TRUE(all_bytes(page, 0xa5, PAGE));
}

CONFORMANCE(ioas_memory, one_page_can_be_mapped_twice_and_each_mapping_is_its_own,
	    NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);
	struct weir_map *one = new_map(t, ioas, page, PAGE, BELOW(EDU0_BITS));
	struct weir_map *other = new_map(t, ioas, page, PAGE, BELOW(EDU0_BITS));
	uint64_t gone = weir_map_iova(one);

	EXPECT_TRUE(dma_reaches(t, edu, gone, page, PAGE));
	ASSERT_OK(weir_map_close(one));
	EXPECT_TRUE(dma_write_blocked(t, edu, gone, page, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(other), page, PAGE));
}

/* Two MiB that begin at a multiple of it, from the machine's reserve of large pages if it has one. */
static unsigned char *new_large_page(struct t *t)
{
	unsigned char *memory = new_memory(t, 4 * MIB, 0);
	unsigned char *aligned = (unsigned char *)(((uintptr_t)memory + 2 * MIB - 1) & -(2 * MIB));

	if (mmap(aligned, 2 * MIB, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0) == MAP_FAILED)
		ASSERT_TRUE(mmap(aligned, 2 * MIB, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == aligned);
	memset(aligned, 0, 2 * MIB);
	return aligned;
}

CONFORMANCE(ioas_memory, files_and_large_pages_are_memory_too, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *shared = new_file_pages(t, 2, 2), *large = new_large_page(t);
	struct weir_map *map;

	map = new_map(t, ioas, shared, 2 * PAGE, BELOW(EDU0_BITS));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map) + PAGE, shared + PAGE, PAGE));
	map = new_map(t, ioas, large, 2 * MIB, BELOW(EDU0_BITS));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map) + 2 * MIB - PAGE, large + 2 * MIB - PAGE, PAGE));
}

/* Pinning --------------------------------------------------------------------------------------------------------- */

CONFORMANCE(ioas_memory, pages_are_pinned_while_mapped_for_a_device, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_memory(t, 3 * MIB, 0);
	struct weir_map *map;
	uint64_t before;

	new_device(t, ioas, "EDU0", 0);
	before = pinned_bytes();
	map = new_map(t, ioas, memory, 3 * MIB, NULL);
	EXPECT_EQ(pinned_bytes(), before + 3 * MIB);
	EXPECT_EQ(info_of(ioas).mapped_bytes, 3 * MIB);
	EXPECT_OK(weir_map_close(map));
	EXPECT_EQ(pinned_bytes(), before);
	EXPECT_EQ(info_of(ioas).mapped_bytes, 0);
}

CONFORMANCE(ioas_memory, nothing_is_pinned_without_a_device, NEEDS())
{
	struct weir_ioas *ioas = new_ioas(t);
	uint64_t before = pinned_bytes();
	struct weir_map *map = new_map(t, ioas, new_memory(t, MIB, 0), MIB, NULL);

	EXPECT_EQ(pinned_bytes(), before);
	EXPECT_EQ(info_of(ioas).max_mappings, UINT64_MAX);
	EXPECT_OK(weir_map_close(map));
}
