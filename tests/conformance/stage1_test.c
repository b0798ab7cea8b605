// SPDX-License-Identifier: MIT
/* Stage-1 tables in the memory of any host. What they say to hardware is the unit tests' business, and the domains'. */
#include <errno.h>

#include "conformance/memory.h"

static const uint32_t formats[] = { WEIR_STAGE1_X86_4, WEIR_STAGE1_X86_5, WEIR_STAGE1_ARM64_4K,
				    WEIR_STAGE1_MOCK };

static void drop_and_close(void *changes)
{
	weir_inval_drop(changes);
	EXPECT_OK(weir_inval_close(changes));
}

static struct weir_inval *new_changes(struct t *t)
{
	struct weir_inval *changes;

	ASSERT_OK(weir_inval_open(NULL, &changes));
	t_defer(t, drop_and_close, changes);
	return changes;
}

static void close_tables(void *tables)
{
	weir_stage1_close(tables);
}

static void expect_found(const struct weir_stage1 *tables, uint64_t iova, uint64_t ipa, uint32_t prot)
{
	uint64_t got;
	uint32_t got_prot;

	ASSERT_OK(weir_stage1_find(tables, iova, &got, NULL, &got_prot));
	EXPECT_EQ(got, ipa);
	EXPECT_EQ(got_prot, prot);
}

static void expect_nothing(const struct weir_stage1 *tables, uint64_t iova)
{
	uint64_t ipa;

	EXPECT_ERR(-ENOENT, weir_stage1_find(tables, iova, &ipa, NULL, NULL));
}

static void check_format(struct t *t, struct weir_memory *memory, uint32_t format)
{
	const uint32_t both = WEIR_MAP_READ | WEIR_MAP_WRITE;
	uint64_t others = memory_info(memory).num_buffers;
	struct weir_inval *changes = new_changes(t);
	struct weir_stage1_info info, later;
	struct weir_stage1 *tables;

	ASSERT_OK(weir_stage1_open(memory, &WEIR_OPTS(weir_stage1_opts, .format = format), &tables));
	t_defer(t, close_tables, tables);
	ASSERT_OK(weir_stage1_info(tables, &info, sizeof(info)));
	ASSERT_OK(weir_stage1_map(tables, 0x10000, 0x90000, 2 * PAGE, both, NULL));
	ASSERT_OK(weir_stage1_map(tables, GIB, 4 * GIB, 4 * MIB, both, changes));
	expect_found(tables, 0x11000, 0x91000, both);
	expect_found(tables, GIB + 3 * MIB, 4 * GIB + 3 * MIB, both);
	ASSERT_OK(weir_stage1_protect(tables, GIB + PAGE, PAGE, WEIR_MAP_READ, changes));
	ASSERT_OK(weir_stage1_unmap(tables, GIB + 2 * MIB, PAGE, changes));
	expect_found(tables, GIB, 4 * GIB, both);
	expect_found(tables, GIB + PAGE, 4 * GIB + PAGE, WEIR_MAP_READ);
	expect_nothing(tables, GIB + 2 * MIB);
	ASSERT_OK(weir_stage1_unmap(tables, 0, (uint64_t)1 << (info.address_bits - 1), changes));
	weir_inval_drop(changes);
	expect_nothing(tables, 0x10000);
	expect_nothing(tables, GIB);
	ASSERT_OK(weir_stage1_info(tables, &later, sizeof(later)));
	EXPECT_EQ(later.num_pages, info.num_pages);
	EXPECT_EQ(memory_info(memory).num_buffers, others + info.num_pages);
}

CONFORMANCE(stage1, tables_lie_in_dma_memory_and_give_it_back, NEEDS(EDU0, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL));

	new_device(t, ioas, "EDU0", 0);
	for (unsigned int i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		t_note(t, "format %u", formats[i]);
		check_format(t, memory, formats[i]);
	}
}
