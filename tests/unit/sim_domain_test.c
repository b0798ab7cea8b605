// SPDX-License-Identifier: MIT
/* The IOMMU: what DMA reaches through a page table, what is blocked and noted, and what the cache holds. */
#include "sim_iommu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGES = 64 };

/* A page table, and memory to put into it; page i is filled with i + 1. */
struct bench {
	struct weir_sim *sim;
	struct weir_sim_device *device;
	struct sim_domain *domain;
	struct sim_pages *pages;
	unsigned char *memory;
};

static void free_domain(void *domain)
{
	sim_domain_free(domain);
}

static void free_pages(void *pages)
{
	sim_pages_unpin(pages);
	sim_pages_put(pages);
}

static struct bench new_bench(struct t *t)
{
	struct bench bench = { .sim = new_machine(t, NULL), .memory = new_memory(t, PAGES * PAGE) };

	bench.device = new_toy(t, bench.sim, NULL);
	for (size_t i = 0; i < PAGES; i++)
		memset(bench.memory + i * PAGE, (int)i + 1, PAGE);
	ASSERT_OK(sim_pages_memory(bench.sim, (uintptr_t)bench.memory, PAGES * PAGE, true, SIM_CHARGE_NONE,
				   &bench.pages));
	ASSERT_OK(sim_pages_pin(bench.pages));
	t_defer(t, free_pages, bench.pages);
	ASSERT_OK(sim_domain_new(bench.sim, &bench.domain));
	t_defer(t, free_domain, bench.domain);
	return bench;
}

static int map(const struct bench *bench, uint64_t iova, unsigned int page, unsigned int num)
{
	return sim_domain_map(bench->domain, iova, num * PAGE, bench->pages, page * PAGE,
			      SIM_READ | SIM_WRITE);
}

/* The byte at @iova, or the error. */
static int byte_at(const struct bench *bench, uint64_t iova)
{
	unsigned char byte = 0;
	int error = sim_domain_dma(bench->domain, bench->device, iova, &byte, 1, false);

	return error ? error : byte;
}

static int dma_write(const struct bench *bench, uint64_t iova, const void *buf, size_t len)
{
	return sim_domain_dma(bench->domain, bench->device, iova, (void *)(uintptr_t)buf, len, true);
}

UNIT(sim_domain, dma_reaches_what_is_mapped_and_nothing_else)
{
	struct bench b = new_bench(t);

	EXPECT_OK(map(&b, MIB, 3, 2));
	EXPECT_OK(map(&b, 0, 7, 1));
	EXPECT_EQ(byte_at(&b, MIB), 4);
	EXPECT_EQ(byte_at(&b, MIB + 2 * PAGE - 1), 5);
	EXPECT_EQ(byte_at(&b, 0), 8);
	EXPECT_EQ(weir_sim_num_faults(b.sim), 0);
	EXPECT_EQ(byte_at(&b, MIB - 1), -EFAULT);
	EXPECT_EQ(byte_at(&b, MIB + 2 * PAGE), -EFAULT);
	EXPECT_EQ(byte_at(&b, PAGE), -EFAULT);
	EXPECT_EQ(byte_at(&b, UINT64_MAX), -EFAULT);
	EXPECT_EQ(weir_sim_num_faults(b.sim), 4);
}

UNIT(sim_domain, a_group_without_a_table_reaches_nothing)
{
	struct bench b = new_bench(t);
	char byte;

	EXPECT_ERR(-EFAULT, sim_domain_dma(NULL, b.device, 0, &byte, 1, false));
	EXPECT_EQ(weir_sim_num_faults(b.sim), 1);
}

/* Page by page: what comes before the border is done. */
UNIT(sim_domain, dma_is_done_up_to_the_page_that_is_blocked)
{
	struct bench b = new_bench(t);
	struct weir_sim_fault faults[2];
	unsigned char bytes[PAGE];

	memset(bytes, 0xaa, sizeof(bytes));
	EXPECT_OK(map(&b, MIB, 0, 1));
	EXPECT_ERR(-EFAULT, dma_write(&b, MIB + PAGE - 16, bytes, 32));
	EXPECT_EQ(b.memory[PAGE - 16], 0xaa);
	EXPECT_EQ(b.memory[PAGE], 2);
	EXPECT_EQ(weir_sim_faults(b.sim, faults, 2), 1);
	EXPECT_EQ(faults[0].iova, MIB + PAGE);
	EXPECT_TRUE(faults[0].write);
	EXPECT_STREQ(faults[0].address, weir_sim_device_address(b.device));
	/* Pages that lie apart in memory are one range to the device. */
	EXPECT_OK(map(&b, MIB + PAGE, 9, 1));
	EXPECT_OK(dma_write(&b, MIB + PAGE - 16, bytes, 32));
	EXPECT_EQ(b.memory[9 * PAGE + 15], 0xaa);
	EXPECT_EQ(b.memory[9 * PAGE + 16], 10);
}

UNIT(sim_domain, reading_and_writing_are_allowed_apart)
{
	struct bench b = new_bench(t);

	EXPECT_OK(sim_domain_map(b.domain, 0, PAGE, b.pages, 0, SIM_READ));
	EXPECT_OK(sim_domain_map(b.domain, PAGE, PAGE, b.pages, PAGE, SIM_WRITE));
	EXPECT_ERR(-EINVAL, sim_domain_map(b.domain, 2 * PAGE, PAGE, b.pages, PAGE, 0));
	EXPECT_EQ(byte_at(&b, 0), 1);
	EXPECT_ERR(-EFAULT, dma_write(&b, 0, "x", 1));
	EXPECT_EQ(b.memory[0], 1);
	EXPECT_OK(dma_write(&b, PAGE, "x", 1));
	EXPECT_EQ(b.memory[PAGE], 'x');
	EXPECT_EQ(byte_at(&b, PAGE), -EFAULT);
}

UNIT(sim_domain, writes_to_the_window_are_interrupts)
{
	struct bench b = new_bench(t);

	EXPECT_OK(dma_write(&b, 0xfee00000, "abcd", 4));
	EXPECT_EQ(weir_sim_num_faults(b.sim), 0);
	EXPECT_EQ(byte_at(&b, 0xfee00000), -EFAULT);
	EXPECT_EQ(byte_at(&b, 0xfeefffff), -EFAULT);
	EXPECT_EQ(weir_sim_num_faults(b.sim), 2);
	EXPECT_ERR(-EFAULT, dma_write(&b, 0xfef00000, "abcd", 4));
	EXPECT_ERR(-EFAULT, dma_write(&b, 0xfedfffff, "abcd", 4));
}

/* Not the IOMMU's doing, so it notes nothing. */
UNIT(sim_domain, memory_that_has_gone_does_not_answer)
{
	struct bench b = new_bench(t);

	EXPECT_OK(map(&b, 0, 0, 2));
	ASSERT_OK(munmap(b.memory + PAGE, PAGE));
	EXPECT_EQ(byte_at(&b, 0), 1);
	EXPECT_EQ(byte_at(&b, PAGE), -EIO);
	EXPECT_ERR(-EIO, dma_write(&b, PAGE, "x", 1));
	EXPECT_EQ(weir_sim_num_faults(b.sim), 0);
}

UNIT(sim_domain, the_last_faults_are_remembered)
{
	struct bench b = new_bench(t);
	struct weir_sim_fault faults[80];

	for (uint64_t i = 0; i < 100; i++)
		EXPECT_EQ(byte_at(&b, i * PAGE), -EFAULT);
	EXPECT_EQ(weir_sim_num_faults(b.sim), 100);
	EXPECT_EQ(weir_sim_faults(b.sim, faults, 80), 64);
	EXPECT_EQ(faults[0].iova, 36 * PAGE);
	EXPECT_EQ(faults[63].iova, 99 * PAGE);
}

/* Cache -------------------------------------------------------------------------------------------------- */

UNIT(sim_domain, unmapping_invalidates)
{
	struct bench b = new_bench(t);

	EXPECT_OK(map(&b, MIB, 0, PAGES));
	for (uint64_t i = 0; i < PAGES; i++)
		EXPECT_EQ(byte_at(&b, MIB + i * PAGE), i + 1);
	sim_domain_unmap(b.domain, MIB, PAGES * PAGE);
	for (uint64_t i = 0; i < PAGES; i++)
		EXPECT_EQ(byte_at(&b, MIB + i * PAGE), -EFAULT);
	EXPECT_OK(map(&b, MIB, 5, 1));
	EXPECT_EQ(byte_at(&b, MIB), 6);
}

UNIT(sim_domain, an_entry_can_be_split)
{
	struct bench b = new_bench(t);

	EXPECT_OK(map(&b, MIB, 0, 8));
	EXPECT_OK(sim_domain_split(b.domain, MIB + 3 * PAGE));
	EXPECT_OK(sim_domain_split(b.domain, MIB + 3 * PAGE));
	EXPECT_OK(sim_domain_split(b.domain, 0));
	sim_domain_unmap(b.domain, MIB, 3 * PAGE);
	EXPECT_EQ(byte_at(&b, MIB + 2 * PAGE), -EFAULT);
	EXPECT_EQ(byte_at(&b, MIB + 3 * PAGE), 4);
	EXPECT_EQ(byte_at(&b, MIB + 8 * PAGE - 1), 8);
}

/* Against a plain array: many more pages than the cache has room for, mapped and unmapped at random. */
UNIT(sim_domain, agrees_with_a_model)
{
	enum { SLOTS = 1024, ROUNDS = 60000 };
	struct bench b = new_bench(t);
	unsigned char *model = calloc(1, SLOTS);
	uint32_t random = 1;

	ASSERT_TRUE(model);
	t_defer(t, free, model);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t slot, iova;

		random = random * 1664525 + 1013904223;
		slot = random >> 22;
		iova = slot * PAGE;
		if (random >> 8 & 3) {
			EXPECT_EQ(byte_at(&b, iova), model[slot] ? model[slot] : -EFAULT);
		} else if (model[slot]) {
			sim_domain_unmap(b.domain, iova, PAGE);
			model[slot] = 0;
		} else {
			unsigned int page = random >> 12 & (PAGES - 1);

			EXPECT_OK(map(&b, iova, page, 1));
			model[slot] = (unsigned char)(page + 1);
		}
	}
}
