// SPDX-License-Identifier: MIT
/* DMA memory that others have too: further spaces, children, threads. */
#include "conformance/dma.h"
#include "conformance/memory.h"
#include "conformance/os.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

CONFORMANCE(memory, a_second_space_reaches_the_same_memory, NEEDS(NVME0, EDU1, LOCKED_MEMORY))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	struct edu *edu = new_edu(t, second, "EDU1", 0);
	struct weir_memory *memory =
		new_dma_memory(t, first, &WEIR_OPTS(weir_memory_opts, SMALL, .address_bits = EDU1_BITS));
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

/* Devices have to be done with what is freed: what they write there then is found by who has it next. */
CONFORMANCE(memory, what_was_freed_is_reached_through_a_second_space_until_it_leaves,
	    NEEDS(NVME0, EDU1, LOCKED_MEMORY))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	struct edu *edu = new_edu(t, second, "EDU1", 0);
	/* Room for one buffer. */
	struct weir_memory *memory = new_dma_memory(
		t, first,
		&WEIR_OPTS(weir_memory_opts, SMALL, .chunk = PAGE, .limit = PAGE, .address_bits = EDU1_BITS));
	struct weir_buffer buffer = new_buffer(t, memory, PAGE, NULL);
	unsigned char *page = buffer.addr;
	uint64_t iova = 0;

	new_device(t, first, "NVME0", 0);
	ASSERT_OK(weir_memory_share(memory, second));
	ASSERT_OK(weir_memory_iova_in(memory, second, &buffer, &iova));
	memset(page, 1, PAGE);
	ASSERT_OK(weir_memory_free(memory, &buffer));
	dma_writes(t, edu, iova, 7, PAGE / 2);
	buffer = new_buffer(t, memory, PAGE, NULL);
	EXPECT_TRUE(buffer.addr == page);
	EXPECT_TRUE(all_bytes(page, 7, PAGE / 2) && all_bytes(page + PAGE / 2, 1, PAGE / 2));
	ASSERT_OK(weir_memory_free(memory, &buffer));
	EXPECT_TRUE(dma_reaches(t, edu, iova, page, PAGE));
	ASSERT_OK(weir_memory_unshare(memory, second));
	EXPECT_TRUE(dma_write_stopped(t, edu, iova, page, PAGE));
}

CONFORMANCE(memory, it_can_be_read_only_for_devices, NEEDS(READ_ONLY, DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_memory *memory = new_dma_memory(
		t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .chunk = PAGE, .map_flags = WEIR_MAP_READ));
	struct weir_buffer buffer = new_buffer(t, memory, PAGE, NULL);

	/* In this order: emulated VT-d reports no fault where a read came before (docs/kernel-notes.md). */
	EXPECT_TRUE(dma_write_blocked(t, edu, buffer.iova, buffer.addr, PAGE));
	EXPECT_TRUE(dma_reads(t, edu, buffer.iova, buffer.addr, PAGE));
}

CONFORMANCE(memory, a_space_is_not_closed_while_memory_is_in_it, NEEDS(LOCKED_MEMORY))
{
	struct weir_ioas *first = new_ioas(t), *second;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	uint64_t iova = 0;

	ASSERT_OK(weir_ioas_open(host_of(t), NULL, &second));
	ASSERT_OK(weir_memory_open(first, &WEIR_OPTS(weir_memory_opts, SMALL, .chunk = PAGE), &memory));
	buffer = new_buffer(t, memory, PAGE, NULL);
	ASSERT_OK(weir_memory_share(memory, second));
	EXPECT_EQ(memory_info(memory).num_spaces, 2);
	EXPECT_ERR(-EBUSY, weir_ioas_close(first));
	EXPECT_ERR(-EBUSY, weir_ioas_close(second));
	EXPECT_CONTAINS(weir_error(), "weir_memory");
	/* What is freed stays mapped there, and is there when it is used again. */
	ASSERT_OK(weir_memory_free(memory, &buffer));
	EXPECT_EQ(info_of(second).mapped_bytes, PAGE);
	buffer = new_buffer(t, memory, PAGE, NULL);
	EXPECT_OK(weir_memory_iova_in(memory, second, &buffer, &iova));
	EXPECT_EQ(iova, buffer.iova);
	ASSERT_OK(weir_memory_unshare(memory, second));
	EXPECT_EQ(info_of(second).num_mappings, 0);
	ASSERT_OK(weir_memory_share(memory, second));
	/* It leaves all of them at once. */
	EXPECT_OK(weir_memory_close(memory));
	EXPECT_EQ(info_of(second).num_mappings, 0);
	EXPECT_EQ(info_of(first).num_mappings, 0);
	ASSERT_OK(weir_ioas_close(second));
}

CONFORMANCE(memory, where_its_place_is_taken_it_goes_elsewhere, NEEDS(LOCKED_MEMORY))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	struct weir_memory *memory =
		new_dma_memory(t, first, &WEIR_OPTS(weir_memory_opts, SMALL, .chunk = PAGE));
	struct weir_buffer buffer = new_buffer(t, memory, PAGE, NULL);
	uint64_t iova = 0;

	new_map(t, second, new_pages(t, 1), PAGE, AT(buffer.iova));
	ASSERT_OK(weir_memory_share(memory, second));
	ASSERT_OK(weir_memory_iova_in(memory, second, &buffer, &iova));
	EXPECT_NE(iova, buffer.iova);
	ASSERT_OK(weir_memory_iova_in(memory, first, &buffer, &iova));
	EXPECT_EQ(iova, buffer.iova);
}

/* Children ---------------------------------------------------------------------------------------------------------------- */

enum { FROM_THE_CHILD = 0x11, FROM_THE_DEVICE = 0x22 };

/* In the child: write, and wait for what the device writes. */
static int be_the_child(volatile unsigned char *page)
{
	page[0] = FROM_THE_CHILD;
	for (int i = 0; i < 5000 && page[PAGE - 1] != FROM_THE_DEVICE; i++)
		usleep(1000);
	return page[PAGE - 1] != FROM_THE_DEVICE;
}

CONFORMANCE(memory, a_child_sees_what_devices_see, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_memory *memory =
		new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .address_bits = EDU0_BITS));
	struct weir_buffer buffer = new_buffer(t, memory, PAGE, NULL);
	unsigned char expected[64] = { FROM_THE_CHILD };
	volatile unsigned char *page = buffer.addr;
	int status = -1;
	pid_t child = os_fork();

	if (child == 0)
		_exit(be_the_child(page));
	ASSERT_GE(child, 0);
	for (int i = 0; i < 5000 && page[0] != FROM_THE_CHILD; i++)
		usleep(1000);
	EXPECT_TRUE(dma_reads(t, edu, buffer.iova, expected, sizeof(expected)));
	dma_writes(t, edu, buffer.iova + PAGE / 2, FROM_THE_DEVICE, PAGE / 2);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	ASSERT_OK(weir_memory_free(memory, &buffer));
}

/* Threads ----------------------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 3000, SLOTS = 16 };

struct crowd {
	struct weir_memory *memory;
	_Atomic unsigned int next, failures;
};

static bool is_filled(const struct weir_buffer *buffer)
{
	const unsigned char *bytes = buffer->addr, fill = (unsigned char)buffer->reserved;

	return bytes[0] == fill && bytes[buffer->len / 2] == fill && bytes[buffer->len - 1] == fill;
}

/* Each fills its buffers with a number of its own, and finds them so when it gives them back. */
static void *allocate_and_free(void *arg)
{
	struct crowd *crowd = arg;
	unsigned int id = ++crowd->next, random = id;
	struct weir_buffer slots[SLOTS] = { 0 };

	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct weir_buffer *slot =
			&slots[(random = random * 1664525u + 1013904223u) >> 8 & (SLOTS - 1)];

		if (slot->addr) {
			if (!is_filled(slot) || weir_memory_free(crowd->memory, slot))
				crowd->failures++;
			slot->addr = NULL;
			continue;
		}
		if (weir_memory_alloc(crowd->memory, (uint64_t)1 << (random >> 20) % 16, NULL, slot)) {
			crowd->failures++;
			break;
		}
		slot->reserved = id * 16 + (i & 15);
		memset(slot->addr, (int)slot->reserved, slot->len);
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		if (slots[i].addr && (!is_filled(&slots[i]) || weir_memory_free(crowd->memory, &slots[i])))
			crowd->failures++;
	return NULL;
}

CONFORMANCE(memory, threads_allocate_and_free_beside_each_other, NEEDS(EDU0, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct crowd crowd = { 0 };
	pthread_t threads[THREADS];

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	crowd.memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL, .chunk = 64 * 1024));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, allocate_and_free, &crowd), 0);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
	EXPECT_EQ(crowd.failures, 0);
	EXPECT_EQ(memory_info(crowd.memory).num_buffers, 0);
	EXPECT_EQ(memory_info(crowd.memory).used, 0);
}
