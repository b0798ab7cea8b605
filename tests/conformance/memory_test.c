// SPDX-License-Identifier: MIT
/* DMA memory and its buffers. */
#include "conformance/dma.h"
#include "conformance/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

CONFORMANCE(memory, a_device_reaches_a_buffer, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_memory *memory =
		new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .address_bits = EDU0_BITS));
	struct weir_buffer buffer = new_buffer(t, memory, 1000, NULL);

	EXPECT_TRUE(dma_reaches(t, edu, buffer.iova, buffer.addr, 1000));
}

static void check_one_addition(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL));
	struct weir_buffer buffer = new_buffer(t, memory, 3 * PAGE, NULL);
	struct weir_memory_chunk chunk;
	unsigned char byte = 0;
	uint64_t iova = 0;

	ASSERT_OK(weir_memory_chunk(memory, buffer.chunk, &chunk));
	EXPECT_TRUE((char *)buffer.addr - (char *)chunk.addr == (ptrdiff_t)buffer.offset);
	EXPECT_EQ(buffer.iova - chunk.iova, buffer.offset);
	memset(buffer.addr, 0x5a, buffer.len);
	EXPECT_EQ(pread(chunk.fd, &byte, 1, (off_t)(buffer.offset + buffer.len - 1)), 1);
	EXPECT_EQ(byte, 0x5a);
	EXPECT_OK(weir_buffer_iova(&buffer, PAGE, 2 * PAGE, &iova));
	EXPECT_EQ(iova, buffer.iova + PAGE);
	EXPECT_EQ(weir_buffer_iova(&buffer, PAGE, 2 * PAGE + 1, &iova), -ERANGE);
	EXPECT_ERR(-ENOENT, weir_memory_chunk(memory, 1, &chunk));
	ASSERT_OK(weir_memory_close(NULL));
}

CONFORMANCE(memory, address_iova_and_offset_are_one_addition_apart, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_one_addition);
}

static void check_sealed(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory =
		new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .initial = PAGE));
	struct weir_memory_chunk chunk;

	ASSERT_OK(weir_memory_chunk(memory, 0, &chunk));
	EXPECT_EQ(ftruncate(chunk.fd, 0), -1);
	EXPECT_EQ(ftruncate(chunk.fd, (off_t)chunk.len * 2), -1);
	EXPECT_TRUE(fcntl(chunk.fd, F_GETFD) & FD_CLOEXEC);
}

CONFORMANCE(memory, its_files_cannot_be_shrunk_or_grown, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_sealed);
}

enum { BUFFERS = 300 };

static bool overlap(const struct weir_buffer *a, const struct weir_buffer *b)
{
	return a->iova < b->iova + b->len && b->iova < a->iova + a->len;
}

static void check_layout(struct t *t, struct weir_ioas *ioas)
{
	static const uint64_t lengths[] = { 1, 63, 64, 65, 512, 2048, 2049, 4096, 4097, 12288 };
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL));
	struct weir_buffer buffers[BUFFERS];

	for (unsigned int i = 0; i < BUFFERS; i++) {
		uint64_t len = lengths[i * 7 % 10], align = (uint64_t)1 << i % 15,
			 boundary = i % 3 ? 0 : 32768;

		buffers[i] = new_buffer(t, memory, len,
					&WEIR_OPTS(weir_buffer_opts, .align = align, .boundary = boundary));
		if (buffers[i].iova % align || (len >= PAGE && buffers[i].iova % PAGE))
			FAIL("buffer %u of %ju bytes is at IOVA %#jx", i, (uintmax_t)len,
			     (uintmax_t)buffers[i].iova);
		if (boundary && buffers[i].iova / boundary != (buffers[i].iova + len - 1) / boundary)
			FAIL("buffer %u crosses its boundary", i);
		for (unsigned int j = 0; j < i; j++)
			if (overlap(&buffers[i], &buffers[j]))
				FAIL("buffers %u and %u overlap", i, j);
	}
	EXPECT_EQ(memory_info(memory).num_buffers, BUFFERS);
	for (unsigned int i = 0; i < BUFFERS; i++)
		if (weir_memory_free(memory, &buffers[i * 7 % BUFFERS]))
			FAIL("%s", weir_error());
	EXPECT_EQ(memory_info(memory).used, 0);
	EXPECT_EQ(memory_info(memory).num_buffers, 0);
}

CONFORMANCE(memory, buffers_are_aligned_and_apart, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_layout);
}

static void check_refused(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL)), *none;
	struct weir_buffer buffer, once = new_buffer(t, memory, 100, NULL),
				   large = new_buffer(t, memory, 2 * PAGE, NULL), inside;

	EXPECT_ERR(-EINVAL, weir_memory_alloc(memory, 0, NULL, &buffer));
	EXPECT_ERR(-EINVAL,
		   weir_memory_alloc(memory, 64, &WEIR_OPTS(weir_buffer_opts, .align = 48), &buffer));
	EXPECT_ERR(-EINVAL,
		   weir_memory_alloc(memory, 64, &WEIR_OPTS(weir_buffer_opts, .align = 2 * GIB), &buffer));
	EXPECT_ERR(-EINVAL,
		   weir_memory_alloc(memory, 64, &WEIR_OPTS(weir_buffer_opts, .boundary = 100), &buffer));
	EXPECT_ERR(-EMSGSIZE, weir_memory_alloc(memory, PAGE + 1,
						&WEIR_OPTS(weir_buffer_opts, .boundary = PAGE), &buffer));
	ASSERT_OK(weir_memory_free(memory, &once));
	EXPECT_ERR(-EINVAL, weir_memory_free(memory, &once));
	inside = large;
	inside.key += PAGE;
	EXPECT_ERR(-EINVAL, weir_memory_free(memory, &inside));
	inside.key = 0;
	EXPECT_ERR(-EINVAL, weir_memory_free(memory, &inside));
	inside.key = UINT64_MAX;
	EXPECT_ERR(-EINVAL, weir_memory_free(memory, &inside));
	ASSERT_OK(weir_memory_free(memory, &large));
	EXPECT_ERR(-EINVAL, weir_memory_free(memory, &large));
	EXPECT_ERR(-EINVAL, weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 8192), &none));
	EXPECT_ERR(-EINVAL, weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .flags = 1u << 31), &none));
}

CONFORMANCE(memory, what_makes_no_sense_is_refused, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_refused);
}

/* Of every length that fits into every boundary, down to the smallest: none crosses. */
static void check_boundaries(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL));

	for (uint64_t boundary = 1; boundary <= 64 * 1024; boundary *= 2) {
		for (uint64_t len = boundary / 2 + 1; len <= boundary; len += boundary / 8 + 1) {
			struct weir_buffer buffer = new_buffer(
				t, memory, len, &WEIR_OPTS(weir_buffer_opts, .boundary = boundary));

			if (buffer.iova / boundary != (buffer.iova + len - 1) / boundary)
				FAIL("%ju bytes at IOVA %#jx cross %#jx", (uintmax_t)len,
				     (uintmax_t)buffer.iova, (uintmax_t)boundary);
		}
	}
}

CONFORMANCE(memory, no_buffer_crosses_its_boundary, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_boundaries);
}

/* At 2 MiB it costs nothing, for chunks are; beyond, the memory grows by what it takes to find such a place, or is at its limit. */
static void check_alignment(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory =
		new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .limit = 16 * MIB));
	struct weir_buffer buffer;

	for (int i = 0; i < 2; i++) {
		buffer = new_buffer(t, memory, 2 * MIB, &WEIR_OPTS(weir_buffer_opts, .align = 2 * MIB));
		EXPECT_EQ(buffer.iova % (2 * MIB), 0);
	}
	EXPECT_EQ(memory_info(memory).bytes, 4 * MIB);
	buffer = new_buffer(t, memory, PAGE, &WEIR_OPTS(weir_buffer_opts, .align = 8 * MIB));
	EXPECT_EQ(buffer.iova % (8 * MIB), 0);
	EXPECT_ERR(-ENOSPC,
		   weir_memory_alloc(memory, 64, &WEIR_OPTS(weir_buffer_opts, .align = GIB), &buffer));
	EXPECT_EQ(memory_info(memory).num_buffers, 3);
	EXPECT_ERR(-EMSGSIZE, weir_memory_alloc(memory, GIB + 1,
						&WEIR_OPTS(weir_buffer_opts, .boundary = 2 * GIB), &buffer));
}

CONFORMANCE(memory, large_alignments_hold_or_are_refused, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_alignment);
}

enum { CHUNKS = 40 };

/* Each page a chunk of its own: nothing spans two, and each is found again. */
static void check_chunks(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .chunk = 1));
	struct weir_buffer buffers[CHUNKS], across;
	struct weir_memory_chunk chunk;

	for (uint32_t i = 0; i < CHUNKS; i++) {
		buffers[i] = new_buffer(t, memory, PAGE, NULL);
		if (weir_memory_chunk(memory, buffers[i].chunk, &chunk) || buffers[i].chunk != i ||
		    chunk.len != PAGE || chunk.iova != buffers[i].iova || chunk.addr != buffers[i].addr)
			FAIL("chunk %u", i);
	}
	EXPECT_EQ(memory_info(memory).num_chunks, CHUNKS);
	EXPECT_EQ(memory_info(memory).bytes, CHUNKS * PAGE);
	for (uint32_t i = 0; i < CHUNKS; i++)
		if (weir_memory_free(memory, &buffers[i * 7 % CHUNKS]))
			FAIL("%s", weir_error());
	across = new_buffer(t, memory, 2 * PAGE, NULL);
	EXPECT_EQ(across.chunk, CHUNKS);
	for (uint32_t i = 0; i < CHUNKS; i++)
		if (new_buffer(t, memory, PAGE, NULL).chunk >= CHUNKS)
			FAIL("a free chunk is not used");
}

CONFORMANCE(memory, any_number_of_chunks_serves, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_chunks);
}

static void check_statistics(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL));
	struct weir_memory_info info = memory_info(memory);
	struct weir_buffer small[64], odd;

	EXPECT_EQ(info.bytes, 0);
	EXPECT_EQ(info.page_size, PAGE);
	EXPECT_EQ(info.num_spaces, 1);
	/* 64 of 64 bytes are a page; the next one begins another. */
	for (int i = 0; i < 64; i++)
		small[i] = new_buffer(t, memory, 1 + (uint64_t)i, NULL);
	EXPECT_EQ(memory_info(memory).used, PAGE);
	odd = new_buffer(t, memory, 64, NULL);
	EXPECT_EQ(memory_info(memory).used, 2 * PAGE);
	new_buffer(t, memory, PAGE + 1, NULL);
	info = memory_info(memory);
	EXPECT_EQ(info.used, 4 * PAGE);
	EXPECT_EQ(info.num_buffers, 66);
	EXPECT_EQ(info.bytes, 2 * MIB);
	ASSERT_OK(weir_memory_free(memory, &odd));
	EXPECT_EQ(memory_info(memory).used, 3 * PAGE);
	for (int i = 0; i < 64; i++)
		ASSERT_OK(weir_memory_free(memory, &small[i]));
	EXPECT_EQ(memory_info(memory).used, 2 * PAGE);
	EXPECT_EQ(memory_info(memory).bytes, 2 * MIB);
}

CONFORMANCE(memory, it_says_what_it_has_and_what_is_used, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_statistics);
}

static uint64_t last_done;

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
	*(uint64_t *)ctx = total;
	last_done = done;
}

static void check_threads(struct t *t, struct weir_ioas *ioas)
{
	uint64_t total = 0;
	struct weir_memory *memory =
		new_dma_memory(t, ioas,
			       &WEIR_OPTS(weir_memory_opts, SMALL, .initial = 40 * MIB, .threads = 2,
					  .progress = note_progress, .progress_ctx = &total));

	EXPECT_EQ(total, 40 * MIB);
	EXPECT_EQ(last_done, 40 * MIB);
	EXPECT_EQ(memory_info(memory).bytes, 40 * MIB);
}

CONFORMANCE(memory, threads_fill_it_and_tell_how_far_they_are, NEEDS(EDU0, LOCKED_MEMORY))
{
	record_no_calls(t);
	in_both_states(t, check_threads);
}
