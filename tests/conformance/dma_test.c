// SPDX-License-Identifier: MIT
/* What devices can reach: mapped memory, in the ways it was mapped, and nothing else. */
#include "conformance/dma.h"
#include "conformance/machine.h"
#include "conformance/space.h"

#include <stdio.h>
#include <string.h>

/* The kernel's log ------------------------------------------------------------------------------------------------ */

/*
 * Have the device touch @iova until the kernel's log shows it: the log is for the first few faults of every 5 s only, of all
 * cases together, so these come before those that make others. It names the requester, which for a device behind a
 * conventional bridge is an alias on the same bus. VT-d tells the direction; an SMMU the kind of fault, which is @smmu.
 */
static bool logged(struct t *t, struct edu *edu, enum edu_direction direction, uint64_t iova,
		   const char *smmu)
{
	const char *vtd = direction == EDU_TO_MEMORY ? "[DMA Write" : "[DMA Read";
	bool is_smmu = has_smmuv3();
	char bus[32], place[32];

	snprintf(bus, sizeof(bus), "%s%.8s", is_smmu ? "client: " : "device [",
		 address_of(t, "EDU0")); /* "0000:00:" */
	snprintf(place, sizeof(place), "%s%#llx", is_smmu ? "iova: " : "fault addr ",
		 (unsigned long long)iova);
	log_begin(t);
	for (int i = 0; i < 8; i++) {
		if (edu_dma(edu, direction, iova, 0, PAGE, EDU_BY_POLLING, 2000))
			FAIL("edu_dma: %s", edu_error());
		if (log_shows(t, (const char *[]){ is_smmu ? smmu : vtd, bus, place, NULL }))
			return true;
	}
	return false;
}

CONFORMANCE(dma, the_kernel_logs_a_write_to_read_only_memory, NEEDS(DMA_DEVICE, KERNEL_LOG))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);

	new_map(t, ioas, page, PAGE,
		&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ | WEIR_MAP_FIXED, .iova = 0x7654000));
	EXPECT_TRUE(logged(t, edu, EDU_TO_MEMORY, 0x7654000, "F_PERMISSION"));
	EXPECT_TRUE(all_bytes(page, 0x33, PAGE));
	EXPECT_TRUE(dma_reads(t, edu, 0x7654000, page, PAGE));
}

CONFORMANCE(dma, the_kernel_logs_a_read_of_unmapped_memory, NEEDS(DMA_DEVICE, KERNEL_LOG))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);
	struct weir_map *map = new_map(t, ioas, page, PAGE, AT(0x7321000));

	ASSERT_TRUE(dma_reads(t, edu, 0x7321000, page, PAGE));
	ASSERT_OK(weir_map_close(map));
	EXPECT_TRUE(logged(t, edu, EDU_FROM_MEMORY, 0x7321000, "F_TRANSLATION"));
}

/* Reach ----------------------------------------------------------------------------------------------------------- */

CONFORMANCE(dma, mapped_memory_is_reached, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_memory(t, 4096, 0x5a);
	struct weir_map *map = new_map(t, ioas, memory, 4096, BELOW(EDU0_BITS));

	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), memory, 4096));
	dma_writes(t, edu, weir_map_iova(map), 0xa5, 4096);
	EXPECT_TRUE(all_bytes(memory, 0xa5, 4096));
}

CONFORMANCE(dma, unmapped_memory_is_out_of_reach, NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_memory(t, 4096, 0x5a);
	struct weir_map *map = new_map(t, ioas, memory, 4096, BELOW(EDU0_BITS));
	uint64_t iova = weir_map_iova(map);

	ASSERT_TRUE(dma_reaches(t, edu, iova, memory, 4096));
	ASSERT_OK(weir_map_close(map));
	EXPECT_TRUE(dma_write_blocked(t, edu, iova, memory, 4096));
	EXPECT_TRUE(dma_read_blocked(t, edu, iova, memory, 4096));
}

CONFORMANCE(dma, reach_ends_where_the_mapping_ends, NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_pages(t, 3);

	new_map(t, ioas, memory + PAGE, PAGE, AT(MIB));
	EXPECT_TRUE(dma_reaches(t, edu, MIB, memory + PAGE, PAGE));
	EXPECT_TRUE(dma_write_blocked(t, edu, MIB - PAGE, memory, PAGE));
	EXPECT_TRUE(dma_write_blocked(t, edu, MIB + PAGE, memory + 2 * PAGE, PAGE));
}

CONFORMANCE(dma, neighbouring_iovas_need_not_be_neighbouring_memory, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_pages(t, 4), expected[PAGE];

	new_map(t, ioas, memory + 3 * PAGE, PAGE, AT(MIB));
	new_map(t, ioas, memory + PAGE, PAGE, AT(MIB + PAGE));
	memset(expected, 0x61, PAGE / 2);
	memset(expected + PAGE / 2, 0x62, PAGE / 2);
	memcpy(memory + 3 * PAGE + PAGE / 2, expected, PAGE / 2);
	memcpy(memory + PAGE, expected + PAGE / 2, PAGE / 2);
	EXPECT_TRUE(dma_reads(t, edu, MIB + PAGE / 2, expected, PAGE));
}

CONFORMANCE(dma, addresses_above_four_gib_are_reached, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu_with_bits(t, ioas, "EDU0", 64);
	unsigned char *page = new_pages(t, 1);
	struct weir_map *map = new_map(t, ioas, page, PAGE, NULL);

	EXPECT_GE(weir_map_iova(map), 4 * GIB);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), page, PAGE));
	new_map(t, ioas, page, PAGE, AT((uint64_t)1 << 38));
	EXPECT_TRUE(dma_reads(t, edu, (uint64_t)1 << 38, page, PAGE));
}

CONFORMANCE(dma, an_interrupt_tells_that_it_arrived, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", EDU_INTERRUPTS);
	unsigned char *memory = new_pages(t, 2);

	memset(memory, 0x78, PAGE);
	new_map(t, ioas, memory, 2 * PAGE, AT(MIB));
	ASSERT_EQ(edu_dma(edu, EDU_FROM_MEMORY, MIB, 0, PAGE, EDU_BY_INTERRUPT, 2000), 0);
	ASSERT_EQ(edu_dma(edu, EDU_TO_MEMORY, MIB + PAGE, 0, PAGE, EDU_BY_INTERRUPT, 2000), 0);
	EXPECT_TRUE(all_bytes(memory + PAGE, 0x78, PAGE));
}
