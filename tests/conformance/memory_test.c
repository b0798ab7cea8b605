// SPDX-License-Identifier: MIT
/* DMA memory and its buffers. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void close_memory(void *memory)
{
	EXPECT_OK(weir_memory_close(memory));
}

/* Small pages, so that the case does not depend on how many large ones the machine has reserved. */
#define SMALL .page_size = PAGE

static struct weir_memory *new_memory_of(struct t *t, struct weir_ioas *ioas,
					 const struct weir_memory_opts *opts)
{
	struct weir_memory *memory;

	ASSERT_OK(weir_memory_open(ioas, opts, &memory));
	t_defer(t, close_memory, memory);
	return memory;
}

static struct weir_buffer new_buffer(struct t *t, struct weir_memory *memory, uint64_t len,
				     const struct weir_buffer_opts *opts)
{
	struct weir_buffer buffer;

	(void)t;
	ASSERT_OK(weir_memory_alloc(memory, len, opts, &buffer));
	return buffer;
}

static struct weir_memory_info memory_info(struct weir_memory *memory)
{
	struct weir_memory_info info;

	ASSERT_OK(weir_memory_info(memory, &info, sizeof(info)));
	return info;
}

CONFORMANCE(memory, a_device_reaches_a_buffer, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_memory *memory =
		new_memory_of(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .address_bits = EDU0_BITS));
	struct weir_buffer buffer = new_buffer(t, memory, 1000, NULL);

	EXPECT_TRUE(dma_reaches(t, edu, buffer.iova, buffer.addr, 1000));
}

static void check_one_addition(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory = new_memory_of(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL));
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
		new_memory_of(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .initial = PAGE));
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
	struct weir_memory *memory = new_memory_of(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL));
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
	struct weir_memory *memory = new_memory_of(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL)), *none;
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
	ASSERT_OK(weir_memory_free(memory, &large));
	EXPECT_ERR(-EINVAL, weir_memory_free(memory, &large));
	EXPECT_ERR(-EINVAL, weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 8192), &none));
	EXPECT_ERR(-EINVAL, weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .flags = 1u << 31), &none));
	EXPECT_ERR(-EINVAL,
		   weir_memory_open(ioas,
				    &WEIR_OPTS(weir_memory_opts, .flags = WEIR_MEMORY_NODE, .node = 1000),
				    &none));
}

CONFORMANCE(memory, what_makes_no_sense_is_refused, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_refused);
}

static void check_limit(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory =
		new_memory_of(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .limit = 4 * MIB));
	struct weir_buffer first = new_buffer(t, memory, 2 * MIB, NULL),
			   second = new_buffer(t, memory, 2 * MIB, NULL), third;

	EXPECT_ERR(-ENOSPC, weir_memory_alloc(memory, PAGE, NULL, &third));
	EXPECT_EQ(memory_info(memory).bytes, 4 * MIB);
	EXPECT_EQ(memory_info(memory).num_chunks, 2);
	ASSERT_OK(weir_memory_free(memory, &first));
	third = new_buffer(t, memory, PAGE, NULL);
	EXPECT_TRUE(!overlap(&second, &third));
}

CONFORMANCE(memory, it_grows_up_to_its_limit, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_limit);
}

CONFORMANCE(memory, a_second_space_reaches_the_same_memory, NEEDS(DMA_DEVICE, NVME0, LOCKED_MEMORY))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	struct edu *edu = new_edu(t, second, "EDU0", 0);
	struct weir_memory *memory =
		new_memory_of(t, first, &WEIR_OPTS(weir_memory_opts, SMALL, .address_bits = EDU0_BITS));
	struct weir_buffer before = new_buffer(t, memory, PAGE, NULL), after;
	uint64_t iova = 0;

	new_device(t, first, "NVME0", 0);
	EXPECT_ERR(-ENOENT, weir_memory_iova_in(memory, second, &before, &iova));
	ASSERT_OK(weir_memory_share(memory, second));
	EXPECT_ERR(-EEXIST, weir_memory_share(memory, second));
	ASSERT_OK(weir_memory_iova_in(memory, second, &before, &iova));
	EXPECT_TRUE(dma_reaches(t, edu, iova, before.addr, PAGE));
	/* What comes later is there as well. */
	after = new_buffer(t, memory, 2 * MIB, NULL);
	ASSERT_OK(weir_memory_iova_in(memory, second, &after, &iova));
	EXPECT_TRUE(dma_reaches(t, edu, iova, after.addr, PAGE));
	ASSERT_OK(weir_memory_unshare(memory, second));
	EXPECT_ERR(-ENOENT, weir_memory_unshare(memory, second));
	EXPECT_ERR(-ENOENT, weir_memory_iova_in(memory, second, &after, &iova));
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
		new_memory_of(t, ioas,
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

CONFORMANCE(memory, pages_that_cannot_be_had_are_replaced_or_refused, NEEDS(EDU0, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_memory *memory;
	int error;

	record_no_calls(t);
	error = weir_memory_open(ioas,
				 &WEIR_OPTS(weir_memory_opts, .page_size = GIB, .initial = PAGE,
					    .flags = WEIR_MEMORY_EXACT_PAGES),
				 &memory);
	if (!error) {
		ASSERT_OK(weir_memory_close(memory)); /* this machine has them */
		return;
	}
	EXPECT_TRUE(error == -ENOMEM || error == -EOPNOTSUPP || error == -EFAULT);
	memory = new_memory_of(t, ioas, &WEIR_OPTS(weir_memory_opts, .page_size = GIB, .initial = PAGE));
	EXPECT_TRUE(memory_info(memory).page_size < GIB);
	EXPECT_TRUE(strstr(memory_info(memory).fell_back, "1048576 KiB"));
}
