// SPDX-License-Identifier: MIT
/* Shadows: what stage-1 tables say, in force in an ordinary address space, on any IOMMU. */
#include "conformance/dma.h"
#include "conformance/memory.h"
#include "conformance/nested.h"
#include "conformance/space.h"

#include <errno.h>
#include <string.h>

struct shadowed {
	struct weir_ioas *stage2, *ioas;
	struct weir_memory *memory;
	struct weir_stage1 *tables;
	struct weir_domain *domain;
	struct weir_inval *changes;
	unsigned char *pages; /* in stage 2 */
	struct weir_map *map;
	uint64_t ipa;
};

enum { PAGES = 8 };

static void end_shadowed(void *arg)
{
	struct shadowed *s = arg;

	weir_inval_drop(s->changes);
	EXPECT_OK(weir_inval_close(s->changes));
	EXPECT_OK(weir_domain_close(s->domain));
	weir_stage1_close(s->tables);
	EXPECT_OK(weir_memory_close(s->memory));
}

/* The page numbered n is filled with n + 1. */
static struct shadowed *new_shadowed(struct t *t)
{
	static struct shadowed shadowed;
	struct shadowed *s = &shadowed;

	record_no_calls(t);
	*s = (struct shadowed){ 0 };
	s->stage2 = new_ioas(t);
	s->ioas = new_ioas(t);
	s->pages = new_memory(t, PAGES * PAGE, 0);
	for (int i = 0; i < PAGES; i++)
		memset(s->pages + i * PAGE, i + 1, PAGE);
	s->map = new_map(t, s->stage2, s->pages, PAGES * PAGE, NULL);
	s->ipa = weir_map_iova(s->map);
	ASSERT_OK(weir_memory_open(s->stage2, NULL, &s->memory));
	ASSERT_OK(weir_stage1_open(s->memory, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4),
				   &s->tables));
	ASSERT_OK(weir_inval_open(NULL, &s->changes));
	ASSERT_OK(weir_domain_open_shadow(s->tables, s->stage2, s->ioas, &s->domain));
	t_defer(t, end_shadowed, s);
	return s;
}

static void run(struct t *t, struct shadowed *s)
{
	(void)t;
	ASSERT_OK(weir_inval_run(s->changes, &s->domain, 1, NULL));
}

static void map_pages(struct t *t, struct shadowed *s, uint64_t iova, int page, int num, uint32_t prot)
{
	(void)t;
	ASSERT_OK(weir_stage1_map(s->tables, iova, s->ipa + (uint64_t)page * PAGE, (uint64_t)num * PAGE, prot,
				  s->changes));
}

#define IOVA (64 * MIB)

CONFORMANCE(shadow, what_the_tables_say_is_in_force_when_they_are_run,
	    NEEDS(ORDINARY, DMA_DEVICE, FAULT_COUNT))
{
	struct shadowed *s = new_shadowed(t);
	uint64_t window;
	struct edu *edu;

	map_pages(t, s, IOVA, 2, 1, 0);
	EXPECT_EQ(info_of(s->ioas).num_mappings, 0);
	run(t, s);
	EXPECT_EQ(info_of(s->ioas).num_mappings, 1);
	edu = new_edu(t, s->ioas, "EDU0", 0);
	window = info_of(s->ioas).num_mappings - 1; /* the driver's own page */
	EXPECT_TRUE(dma_reads(t, edu, IOVA, s->pages + 2 * PAGE, PAGE));
	ASSERT_OK(weir_stage1_unmap(s->tables, IOVA, PAGE, s->changes));
	map_pages(t, s, IOVA, 5, 2, 0);
	run(t, s);
	EXPECT_TRUE(dma_reads(t, edu, IOVA + PAGE, s->pages + 6 * PAGE, PAGE));
	/* Two, because they were told of one by one. */
	EXPECT_EQ(info_of(s->ioas).num_mappings, window + 2);
	ASSERT_OK(weir_stage1_unmap(s->tables, IOVA, 2 * PAGE, s->changes));
	run(t, s);
	EXPECT_TRUE(dma_write_blocked(t, edu, IOVA, s->pages + 5 * PAGE, PAGE));
}

CONFORMANCE(shadow, what_follows_is_mapped_beside_and_what_stays_is_left_alone, NEEDS(ORDINARY, EDU0))
{
	struct shadowed *s = new_shadowed(t);

	map_pages(t, s, IOVA, 0, 2, 0);
	run(t, s);
	map_pages(t, s, IOVA + 2 * PAGE, 2, 2, 0);
	run(t, s);
	EXPECT_EQ(info_of(s->ioas).num_mappings, 2);
	/* A page in the middle goes: what was one mapping is two. */
	ASSERT_OK(weir_stage1_unmap(s->tables, IOVA + PAGE, PAGE, s->changes));
	run(t, s);
	EXPECT_EQ(info_of(s->ioas).num_mappings, 2);
	EXPECT_EQ(info_of(s->ioas).mapped_bytes, 3 * PAGE);
	ASSERT_OK(weir_stage1_protect(s->tables, IOVA + 2 * PAGE, PAGE, WEIR_MAP_READ, s->changes));
	run(t, s);
	EXPECT_EQ(info_of(s->ioas).num_mappings, 3);
	ASSERT_GE(weir_inval_all(s->changes), 0);
	run(t, s);
	EXPECT_EQ(info_of(s->ioas).num_mappings, 3);
}

CONFORMANCE(shadow, what_it_has_mapped_is_its_own_to_end, NEEDS(ORDINARY, EDU0))
{
	struct shadowed *s = new_shadowed(t);

	map_pages(t, s, IOVA, 0, 2, 0);
	run(t, s);
	EXPECT_ERR(-EBUSY, weir_ioas_unmap(s->ioas, IOVA, 2 * PAGE));
	EXPECT_CONTAINS(weir_error(), "of a shadow");
	EXPECT_EQ(info_of(s->ioas).num_mappings, 1);
	ASSERT_OK(weir_stage1_unmap(s->tables, IOVA, 2 * PAGE, s->changes));
	run(t, s);
	EXPECT_EQ(info_of(s->ioas).num_mappings, 0);
}

CONFORMANCE(shadow, what_leaves_stage_2_leaves_the_shadow_first, NEEDS(ORDINARY, DMA_DEVICE, FAULT_COUNT))
{
	struct shadowed *s = new_shadowed(t);
	struct edu *edu;

	map_pages(t, s, IOVA, 0, 4, 0);
	run(t, s);
	edu = new_edu(t, s->ioas, "EDU0", 0);
	EXPECT_TRUE(dma_reads(t, edu, IOVA + PAGE, s->pages + PAGE, PAGE));
	ASSERT_OK(weir_map_close(s->map));
	EXPECT_TRUE(dma_write_blocked(t, edu, IOVA + PAGE, s->pages + PAGE, PAGE));
	/* Once there is something again, the range is to be run. */
	s->map = new_map(t, s->stage2, s->pages, PAGES * PAGE, AT(s->ipa));
	memset(s->pages, 0x11, PAGES * PAGE);
	ASSERT_GE(weir_inval_range(s->changes, IOVA, 4 * PAGE, 0, WEIR_INVAL_NEW), 0);
	run(t, s);
	EXPECT_TRUE(dma_reads(t, edu, IOVA + PAGE, s->pages + PAGE, PAGE));
}

CONFORMANCE(shadow, all_that_leads_to_what_leaves_stage_2_goes_and_nothing_else,
	    NEEDS(ORDINARY, DMA_DEVICE, FAULT_COUNT))
{
	struct shadowed *s = new_shadowed(t);
	unsigned char *memory = new_memory(t, PAGE, 0x44);
	struct weir_map *other = new_map(t, s->stage2, memory, PAGE, NULL);
	const int pages[] = { 0, 1, 1, 1, 2 }; /* at one IOVA after the other: some lead to the same */
	struct edu *edu;

	for (int i = 0; i < 5; i++)
		map_pages(t, s, IOVA + (uint64_t)i * 2 * PAGE, pages[i], 1, 0);
	ASSERT_OK(weir_stage1_map(s->tables, IOVA + 32 * PAGE, weir_map_iova(other), PAGE, 0, s->changes));
	run(t, s);
	/* One of those that lead to the same goes before. */
	ASSERT_OK(weir_stage1_unmap(s->tables, IOVA + 4 * PAGE, PAGE, s->changes));
	run(t, s);
	edu = new_edu(t, s->ioas, "EDU0", 0);
	EXPECT_TRUE(dma_reads(t, edu, IOVA + 6 * PAGE, s->pages + PAGE, PAGE));
	ASSERT_OK(weir_map_close(s->map));
	for (int i = 0; i < 5; i++)
		EXPECT_TRUE(dma_write_blocked(t, edu, IOVA + (uint64_t)i * 2 * PAGE,
					      s->pages + pages[i] * PAGE, PAGE));
	EXPECT_TRUE(dma_reads(t, edu, IOVA + 32 * PAGE, memory, PAGE));
	s->map = new_map(t, s->stage2, s->pages, PAGES * PAGE, AT(s->ipa));
}

CONFORMANCE(shadow, it_allows_no_more_than_stage_2, NEEDS(ORDINARY, DMA_DEVICE, FAULT_COUNT))
{
	struct shadowed *s = new_shadowed(t);
	unsigned char *memory = new_memory(t, PAGE, 0x44);
	struct weir_map *reads =
		new_map(t, s->stage2, memory, PAGE, &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ));
	struct edu *edu = new_edu(t, s->ioas, "EDU0", 0);

	ASSERT_OK(weir_stage1_map(s->tables, IOVA, weir_map_iova(reads), PAGE, 0, s->changes));
	run(t, s);
	/* In this order: QEMU's IOMMU reports no fault of a page that it has cached. */
	EXPECT_TRUE(dma_write_blocked(t, edu, IOVA, memory, PAGE));
	memset(memory, 0x45, PAGE);
	EXPECT_TRUE(dma_reads(t, edu, IOVA, memory, PAGE));
}

CONFORMANCE(shadow, what_makes_none_is_refused, NEEDS(ORDINARY, EDU0))
{
	struct shadowed *s = new_shadowed(t);
	struct weir_ioas *other = new_ioas(t);
	struct weir_domain *domain;

	EXPECT_ERR(-EINVAL, weir_domain_open_shadow(s->tables, s->stage2, s->stage2, &domain));
	new_map(t, other, s->pages, PAGE, NULL);
	EXPECT_ERR(-EBUSY, weir_domain_open_shadow(s->tables, s->stage2, other, &domain));
	EXPECT_EQ(domain_info(s->domain).kind, WEIR_DOMAIN_KIND_SHADOW);
	EXPECT_ERR(-EOPNOTSUPP, weir_domain_attach(s->domain, new_device(t, other, "EDU0", 0), 0));
	ASSERT_GE(weir_inval_raw(s->changes, 1, "command", 7), 0);
	EXPECT_ERR(-EIO, weir_inval_run(s->changes, &s->domain, 1, NULL));
	EXPECT_CONTAINS(weir_error(), "no hardware");
}

/* A place that the kernel has no room for: the entry says so, and the others are done. */
CONFORMANCE(shadow, what_cannot_be_mapped_is_told_by_entry, NEEDS(ORDINARY, DMA_DEVICE))
{
	struct shadowed *s = new_shadowed(t);
	struct weir_inval_outcome outcome;
	uint32_t state;
	struct weir_inval_run_opts opts =
		WEIR_OPTS(weir_inval_run_opts, .ret_states = &state, .flags = WEIR_INVAL_KEEP);

	new_device(t, s->ioas, "EDU0", EDU1_BITS);
	map_pages(t, s, IOVA, 0, 1, 0);
	/* Beyond the device's address width. */
	map_pages(t, s, 1 * GIB, 1, 1, 0);
	map_pages(t, s, 3 * IOVA, 2, 1, 0);
	EXPECT_ERR(-EIO, weir_inval_run(s->changes, &s->domain, 1, &opts));
	EXPECT_EQ(state, WEIR_INVAL_ESCALATED);
	EXPECT_OK(weir_inval_outcome(s->changes, 0, 0, &outcome));
	EXPECT_EQ(outcome.kind, WEIR_INVAL_OUT_DONE);
	EXPECT_OK(weir_inval_outcome(s->changes, 0, 1, &outcome));
	EXPECT_EQ(outcome.kind, WEIR_INVAL_OUT_REFUSED);
	EXPECT_EQ(outcome.error, -ERANGE);
	EXPECT_OK(weir_inval_outcome(s->changes, 0, 2, &outcome));
	EXPECT_EQ(outcome.kind, WEIR_INVAL_OUT_DONE);
	EXPECT_EQ(info_of(s->ioas).num_mappings, 2);
}

CONFORMANCE(shadow, the_spaces_below_it_stay_open, NEEDS(ORDINARY))
{
	struct shadowed *s = new_shadowed(t);
	struct weir_domain *second;

	EXPECT_ERR(-EBUSY, weir_domain_open_shadow(s->tables, s->stage2, s->ioas, &second));
	EXPECT_CONTAINS(weir_error(), "is a shadow already");
	EXPECT_ERR(-EBUSY, weir_ioas_close(s->ioas));
	EXPECT_CONTAINS(weir_error(), "shadow");
}
