// SPDX-License-Identifier: MIT
/*
 * Many threads and one DMA memory: some allocate and free, so that it grows; one puts it into a further space and takes it out again;
 * one asks. Of most use under the thread sanitizer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <weir/memory.h>

#include "unit/yes_host.h"

enum { PAGE = 4096, ALLOCATORS = 3, SLOTS = 8, ROUNDS = 2000, SHARES = 20 };

struct crowd {
	struct weir_memory *memory;
	struct weir_ioas *further;
	_Atomic unsigned int next, left;
};

static void *allocate_and_free(void *arg)
{
	struct crowd *crowd = arg;
	unsigned int random = ++crowd->next;
	struct weir_buffer slots[SLOTS] = { 0 };

	for (unsigned int i = 0; i < ROUNDS + SLOTS; i++) {
		struct weir_buffer *slot = &slots[i % SLOTS];

		if (slot->addr) {
			EXPECT_OK(weir_memory_free(crowd->memory, slot));
			slot->addr = NULL;
		}
		random = random * 1664525u + 1013904223u;
		if (i >= ROUNDS || !EXPECT_OK(weir_memory_alloc(
					   crowd->memory, (uint64_t)1 << (random >> 20) % 16, NULL, slot)))
			continue;
		memset(slot->addr, (int)i, slot->len);
	}
	crowd->left--;
	return NULL;
}

static void *share_and_unshare(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned int i = 0; i < SHARES || crowd->left; i++) {
		EXPECT_OK(weir_memory_share(crowd->memory, crowd->further));
		EXPECT_OK(weir_memory_unshare(crowd->memory, crowd->further));
	}
	return NULL;
}

static void *ask(void *arg)
{
	struct crowd *crowd = arg;
	struct weir_memory_info info;
	struct weir_memory_chunk chunk;

	while (crowd->left) {
		EXPECT_OK(weir_memory_info(crowd->memory, &info, sizeof(info)));
		EXPECT_LE(info.used, info.bytes);
		if (info.num_chunks)
			EXPECT_OK(weir_memory_chunk(crowd->memory, info.num_chunks - 1, &chunk));
	}
	return NULL;
}

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
	EXPECT_LE(done, total);
	*(uint64_t *)ctx = done;
}

UNIT(memory, threads_allocate_free_share_and_ask)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_host *host = new_host(t, yes, WEIR_BACKEND_IOMMUFD);
	struct weir_ioas *own = new_ioas(t, host);
	struct crowd crowd = { .further = new_ioas(t, host), .left = ALLOCATORS };
	pthread_t threads[ALLOCATORS + 2];
	struct weir_memory_info info;

	new_device(t, own, YES_ADDRESS_0);
	ASSERT_OK(weir_memory_open(own, &WEIR_OPTS(weir_memory_opts, .page_size = PAGE, .chunk = 16 * PAGE),
				   &crowd.memory));
	for (int i = 0; i < ALLOCATORS + 2; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL,
					 i < ALLOCATORS    ? allocate_and_free
					 : i == ALLOCATORS ? share_and_unshare
							   : ask,
					 &crowd),
			  0);
	for (int i = 0; i < ALLOCATORS + 2; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
	ASSERT_OK(weir_memory_info(crowd.memory, &info, sizeof(info)));
	EXPECT_EQ(info.num_buffers, 0);
	EXPECT_EQ(info.used, 0);
	EXPECT_EQ(info.num_spaces, 1);
	ASSERT_OK(weir_memory_close(crowd.memory));
}

UNIT(memory, threads_fill_one_chunk_together)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_ioas *own = new_ioas(t, new_host(t, yes, WEIR_BACKEND_IOMMUFD));
	uint64_t len = 80u << 20, done = 0;
	struct weir_memory *memory;

	new_device(t, own, YES_ADDRESS_0);
	ASSERT_OK(weir_memory_open(own,
				   &WEIR_OPTS(weir_memory_opts, .page_size = PAGE, .initial = len,
					      .threads = 1000, .progress = note_progress,
					      .progress_ctx = &done),
				   &memory));
	EXPECT_EQ(done, len);
	ASSERT_OK(weir_memory_close(memory));
}
