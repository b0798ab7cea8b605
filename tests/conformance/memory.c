// SPDX-License-Identifier: MIT
#include "conformance/memory.h"

static void close_memory(void *memory)
{
	EXPECT_OK(weir_memory_close(memory));
}

struct weir_memory *new_dma_memory(struct t *t, struct weir_ioas *ioas, const struct weir_memory_opts *opts)
{
	struct weir_memory *memory;

	ASSERT_OK(weir_memory_open(ioas, opts, &memory));
	t_defer(t, close_memory, memory);
	return memory;
}

struct weir_buffer new_buffer(struct t *t, struct weir_memory *memory, uint64_t len,
			      const struct weir_buffer_opts *opts)
{
	struct weir_buffer buffer;

	(void)t;
	ASSERT_OK(weir_memory_alloc(memory, len, opts, &buffer));
	return buffer;
}

struct weir_memory_info memory_info(struct weir_memory *memory)
{
	struct weir_memory_info info;

	ASSERT_OK(weir_memory_info(memory, &info, sizeof(info)));
	return info;
}
