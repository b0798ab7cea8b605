// SPDX-License-Identifier: MIT
/* Buffers taken again at the places where they were. */
#include "conformance/memory.h"

#include <errno.h>

enum { NUM = 64 };

static const struct {
	uint64_t len, align, boundary;
} shapes[] = {
	{ 1, 0, 0 },    { 64, 0, 0 },     { 65, 0, 0 },       { 100, 512, 0 },
	{ 400, 0, 0 },  { 2048, 0, 0 },   { 2049, 0, 0 },     { 4096, 0, 0 },
	{ 4097, 0, 0 }, { 64, 4096, 0 },  { 8192, 0, 65536 }, { 1 << 16, 1 << 16, 0 },
	{ 8, 2048, 0 }, { 128, 0, 4096 }, { 70000, 0, 0 },
};

static void cut(struct weir_memory *memory, struct weir_buffer buffers[NUM])
{
	for (unsigned int i = 0; i < NUM; i++) {
		unsigned int shape = i * 7 % (sizeof(shapes) / sizeof(shapes[0]));

		ASSERT_OK(weir_memory_alloc(memory, shapes[shape].len,
					    &WEIR_OPTS(weir_buffer_opts, .align = shapes[shape].align,
						       .boundary = shapes[shape].boundary),
					    &buffers[i]));
	}
}

static bool overlap(const struct weir_buffer *a, const struct weir_buffer *b)
{
	return a->iova < b->iova + b->len && b->iova < a->iova + a->len;
}

/* In any order, since drivers are restored in any. */
CONFORMANCE(memory_claim, all_buffers_are_where_they_were, NEEDS(EDU0, LOCKED_MEMORY))
{
	struct weir_memory *memory = new_dma_memory(t, new_ioas(t), &WEIR_OPTS(weir_memory_opts, SMALL));
	struct weir_buffer were[NUM], are[NUM], more;

	cut(memory, were);
	for (unsigned int i = 0; i < NUM; i++)
		ASSERT_OK(weir_memory_free(memory, &were[i]));
	for (unsigned int i = 0; i < NUM; i++) {
		unsigned int which = i * 27 % NUM;

		t_note(t, "%u: %#lx bytes at %#lx", which, were[which].len, were[which].offset);
		ASSERT_OK(weir_memory_claim(memory, were[which].chunk, were[which].offset, were[which].len,
					    &are[which]));
		EXPECT_EQ(are[which].iova, were[which].iova);
		EXPECT_TRUE(are[which].addr == were[which].addr);
	}
	EXPECT_EQ(memory_info(memory).num_buffers, (uint64_t)NUM);
	for (unsigned int i = 0; i < NUM; i++) {
		ASSERT_OK(weir_memory_alloc(memory, 64, NULL, &more));
		for (unsigned int j = 0; j < NUM; j++)
			EXPECT_TRUE(!overlap(&more, &are[j]));
	}
	for (unsigned int i = 0; i < NUM; i++)
		EXPECT_OK(weir_memory_free(memory, &are[i]));
	EXPECT_EQ(memory_info(memory).num_buffers, (uint64_t)NUM);
}

CONFORMANCE(memory_claim, what_is_taken_or_cannot_be_is_refused, NEEDS(EDU0, LOCKED_MEMORY))
{
	struct weir_memory *memory = new_dma_memory(t, new_ioas(t), &WEIR_OPTS(weir_memory_opts, SMALL));
	struct weir_buffer small, large, got = { 0 };
	struct weir_memory_chunk chunk;

	/* Before there are chunks. */
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, 0, 0, 64, &got));
	ASSERT_OK(weir_memory_alloc(memory, 64, NULL, &small));
	ASSERT_OK(weir_memory_alloc(memory, 3 * PAGE, NULL, &large));
	ASSERT_OK(weir_memory_chunk(memory, 0, &chunk));
	EXPECT_ERR(-EBUSY, weir_memory_claim(memory, 0, small.offset, 64, &got));
	EXPECT_ERR(-EBUSY, weir_memory_claim(memory, 0, small.offset & ~(PAGE - 1), PAGE, &got));
	EXPECT_ERR(-EBUSY, weir_memory_claim(memory, 0, large.offset, 64, &got));
	EXPECT_ERR(-EBUSY, weir_memory_claim(memory, 0, large.offset + PAGE, 2 * PAGE, &got));
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, 1, 0, 64, &got));
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, UINT32_MAX, 0, 64, &got));
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, 0, chunk.len, 64, &got));
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, 0, chunk.len - PAGE, PAGE + 1, &got));
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, 0, chunk.len - PAGE, 0, &got));
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, 0, UINT64_MAX - 63, 64, &got));
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, 0, chunk.len - PAGE + 32, 64, &got));
	EXPECT_ERR(-EINVAL, weir_memory_claim(memory, 0, chunk.len - 2 * PAGE + 64, PAGE, &got));
	EXPECT_EQ(got.len, 0u);
	EXPECT_EQ(memory_info(memory).num_buffers, 2u);
}
