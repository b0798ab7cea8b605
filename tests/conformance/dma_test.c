// SPDX-License-Identifier: MIT
/* What devices can reach: mapped memory, in the ways it was mapped, and nothing else. */
#include "conformance/dma.h"

CONFORMANCE(dma, mapped_memory_is_reached, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_memory(t, 4096, 0x5a);
	struct weir_map *map = new_map(t, ioas, memory, 4096, &WEIR_OPTS(weir_map_opts, .address_bits = 32));

	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), memory, 4096));
	dma_writes(t, edu, weir_map_iova(map), 0xa5, 4096);
	EXPECT_TRUE(all_bytes(memory, 0xa5, 4096));
}

CONFORMANCE(dma, unmapped_memory_is_out_of_reach, NEEDS(DMA_DEVICE, KERNEL_LOG))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_memory(t, 4096, 0x5a);
	struct weir_map *map = new_map(t, ioas, memory, 4096, &WEIR_OPTS(weir_map_opts, .address_bits = 32));
	uint64_t iova = weir_map_iova(map);

	ASSERT_TRUE(dma_reads(t, edu, iova, memory, 4096));
	dma_writes(t, edu, iova, 0xa5, 4096);
	ASSERT_TRUE(all_bytes(memory, 0xa5, 4096));
	ASSERT_OK(weir_map_close(map));

	faults_begin(t);
	dma_writes(t, edu, iova, 0xff, 4096);
	EXPECT_TRUE(all_bytes(memory, 0xa5, 4096));
	EXPECT_FALSE(dma_reads(t, edu, iova, memory, 4096));
	EXPECT_TRUE(faults_reported(t));
}
