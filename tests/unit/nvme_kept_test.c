// SPDX-License-Identifier: MIT
/*
 * A queue whose process is killed after each of its stores in turn, and what a successor makes of it.
 *
 * A child works with a queue in shared memory, one machine instruction at a time. Whenever that memory has changed, a copy of it is what a
 * successor would find if the child were killed now: the copy is adopted, the controller in it goes on, and every command has to be carried
 * out once, and to be delivered once unless the child may have taken note of it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nvme/kept.h>

#include "test.h"

enum { DEPTH = 5, ENTRIES = DEPTH + 1, MAX_TRANSFER = 8192, TAGS = 32, BLOCKS = 64, KEPT_LEN = 4096 };

/* How far the child is with a tag. */
enum { UNKNOWN, SUBMITTING, SUBMITTED, REAPED, ACKNOWLEDGED, FORGOTTEN };

/* All that outlives the child. */
struct shared {
	_Alignas(64) unsigned char kept[KEPT_LEN];
	_Alignas(4096) struct nvme_sqe sq[ENTRIES];
	_Alignas(4096) struct nvme_cqe cq[ENTRIES];
	_Alignas(4096) unsigned char lists[4096];
	volatile uint32_t doorbells[2];

	/* The controller. While it works, the child does not exist. */
	uint32_t sq_head, cq_tail, cq_phase;
	uint32_t executed[TAGS]; /* a command's block is its tag */
	volatile uint32_t in_controller;

	volatile uint32_t progress[TAGS], over;
};

static const struct nvme_namespace the_ns = {
	.num_blocks = BLOCKS, .nsid = 1, .block_size = 512, .block_shift = 9
};

static struct nvme_queue *make(struct shared *shared, bool adopt)
{
	struct nvme_queue_setup setup = {
		.sq = shared->sq,
		.cq = shared->cq,
		.lists = shared->lists,
		.lists_iova = 0x100000,
		.depth = DEPTH,
		.max_transfer = MAX_TRANSFER,
		.id = 1,
		.sq_doorbell = { .addr = &shared->doorbells[0] },
		.cq_doorbell = { .addr = &shared->doorbells[1] },
		.kept = (struct nvme_queue_kept *)shared->kept,
		.adopt = adopt,
	};
	struct nvme_queue *q = NULL;

	return nvme_queue_create(&setup, &q) == 0 ? q : NULL;
}

/* The controller: up to @max commands, the newest first, so that completions come in another order. */
static void serve(struct shared *shared, uint32_t max)
{
	struct nvme_sqe commands[ENTRIES];
	uint32_t num = 0;

	shared->in_controller = 1;
	while (num < max && shared->sq_head != shared->doorbells[0]) {
		commands[num++] = shared->sq[shared->sq_head];
		shared->sq_head = (shared->sq_head + 1) % ENTRIES;
	}
	while (num-- > 0) {
		uint64_t cid = commands[num].qword[0] >> 16 & 0xffff;
		struct nvme_cqe *entry = &shared->cq[shared->cq_tail];

		shared->executed[commands[num].qword[5] % TAGS]++;
		entry->qword[1] = shared->sq_head | 1ull << 16 | cid << 32 | (uint64_t)shared->cq_phase << 48;
		if (++shared->cq_tail == ENTRIES) {
			shared->cq_tail = 0;
			shared->cq_phase ^= 1;
		}
	}
	shared->in_controller = 0;
}

/* The child ------------------------------------------------------------------------------------------------ */

static void move_on(struct shared *shared, uint32_t from, uint32_t to)
{
	for (int tag = 0; tag < TAGS; tag++)
		if (shared->progress[tag] == from)
			shared->progress[tag] = to;
}

static void submit(struct nvme_queue *q, struct shared *shared, uint32_t first, uint32_t num)
{
	struct nvme_request requests[DEPTH];

	move_on(shared, REAPED, ACKNOWLEDGED); /* who submits has taken note of what it reaped */
	for (uint32_t i = 0; i < num; i++) {
		requests[i] = (struct nvme_request){
			.op = NVME_OP_READ, .block = first + i, .len = 512, .iova = 0x1000, .tag = first + i
		};
		shared->progress[first + i] = SUBMITTING;
	}
	if (nvme_queue_submit(q, &the_ns, requests, num) != (int)num)
		_exit(1);
	move_on(shared, ACKNOWLEDGED, FORGOTTEN);
	for (uint32_t i = 0; i < num; i++)
		shared->progress[first + i] = SUBMITTED;
}

static void reap(struct nvme_queue *q, struct shared *shared, int num)
{
	struct nvme_completion done[DEPTH];

	if (nvme_queue_reap(q, done, DEPTH) != num)
		_exit(2);
	for (int i = 0; i < num; i++)
		shared->progress[done[i].tag] = REAPED;
}

/* Batches and single ones, over the end of the rings more than once, with commands that are overtaken. */
static void work(struct nvme_queue *q, struct shared *shared)
{
	submit(q, shared, 0, 3);
	serve(shared, 2);
	reap(q, shared, 2);
	submit(q, shared, 3, 4);
	serve(shared, 5);
	reap(q, shared, 5);
	submit(q, shared, 7, 1);
	submit(q, shared, 8, 4);
	serve(shared, 1);
	reap(q, shared, 1);
	reap(q, shared, 0);
	serve(shared, 4);
	reap(q, shared, 4);
	submit(q, shared, 12, 5);
	serve(shared, 5);
	reap(q, shared, 5);
	reap(q, shared, 0);
}

static __attribute__((noreturn)) void child(struct shared *shared)
{
	struct nvme_queue *q = make(shared, false);

	if (!q || ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(3);
	raise(SIGSTOP);
	work(q, shared);
	shared->over = 1;
	_exit(0);
}

/* The successor -------------------------------------------------------------------------------------------- */

static void take_all(struct nvme_queue *q, uint32_t *delivered)
{
	struct nvme_completion done[2]; /* fewer than there may be */
	int num;

	while ((num = nvme_queue_reap(q, done, 2)) > 0)
		for (int i = 0; i < num; i++)
			delivered[done[i].tag % TAGS]++;
	if (num < 0)
		FAIL("reaping: %s", nvme_error());
}

static bool is_pending(struct nvme_queue *q, uint32_t tag)
{
	uint64_t tags[2 * DEPTH];
	size_t num = nvme_queue_pending(q, tags, 2 * DEPTH);

	for (size_t i = 0; i < num && i < 2 * DEPTH; i++)
		if (tags[i] == tag)
			return true;
	return false;
}

/* Was everything done that should be, and nothing twice? */
static void check_tag(const struct shared *shared, uint32_t tag, uint32_t executed, uint32_t delivered,
		      bool pending)
{
	EXPECT_LE(executed, 1);
	EXPECT_LE(delivered, 1);
	EXPECT_EQ(delivered, pending);
	switch (shared->progress[tag]) {
	case UNKNOWN:
		EXPECT_EQ(executed + delivered, 0);
		break;
	case SUBMITTING: /* all the way, or not at all */
		EXPECT_EQ(executed, delivered);
		break;
	case SUBMITTED:
		EXPECT_EQ(executed, 1);
		EXPECT_EQ(delivered, 1);
		break;
	case REAPED:
		EXPECT_EQ(executed, 1);
		EXPECT_EQ(delivered, 1);
		break;
	case ACKNOWLEDGED:
		EXPECT_EQ(executed, 1);
		break;
	case FORGOTTEN:
		EXPECT_EQ(executed, 1);
		EXPECT_EQ(delivered, 0);
		break;
	}
}

/* It works like any other: full, and empty again, twice round. */
static void use(struct nvme_queue *q, struct shared *shared)
{
	struct nvme_completion done[DEPTH];

	for (int round = 0; round < 3; round++) {
		struct nvme_request requests[DEPTH];

		for (uint32_t i = 0; i < DEPTH; i++)
			requests[i] = (struct nvme_request){
				.op = NVME_OP_WRITE, .block = TAGS - 1, .len = 512, .tag = i
			};
		ASSERT_EQ(nvme_queue_submit(q, &the_ns, requests, DEPTH), DEPTH);
		serve(shared, DEPTH);
		ASSERT_EQ(nvme_queue_reap(q, done, DEPTH), DEPTH);
	}
}

static void succeed(struct t *t, const struct shared *left, struct shared *copy)
{
	struct nvme_queue *q;
	uint32_t delivered[TAGS] = { 0 };
	bool pending[TAGS];

	(void)t;
	memcpy(copy, left, sizeof *copy);
	/* And its successor is killed at once, and followed, too. */
	q = make(copy, true);
	if (!q)
		FAIL("adopting: %s", nvme_error());
	nvme_queue_destroy(q);
	q = make(copy, true);
	if (!q)
		FAIL("adopting again: %s", nvme_error());
	for (uint32_t tag = 0; tag < TAGS; tag++)
		pending[tag] = is_pending(q, tag);
	take_all(q, delivered);
	serve(copy, ENTRIES);
	take_all(q, delivered);
	for (uint32_t tag = 0; tag < TAGS; tag++) {
		t_note(t, "tag %u, progress %u", tag, copy->progress[tag]);
		check_tag(copy, tag, copy->executed[tag], delivered[tag], pending[tag]);
	}
	EXPECT_EQ(nvme_queue_in_flight(q), 0);
	use(q, copy);
	nvme_queue_destroy(q);
}

static void unmap(void *shared)
{
	munmap(shared, sizeof(struct shared));
}

static struct shared *new_shared(struct t *t, int flags)
{
	struct shared *shared =
		mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	ASSERT_TRUE(shared != MAP_FAILED);
	t_defer(t, unmap, shared);
	shared->cq_phase = 1;
	return shared;
}

static void kill_child(void *pid)
{
	kill(*(pid_t *)pid, SIGKILL);
	waitpid(*(pid_t *)pid, NULL, 0);
}

UNIT(nvme_kept, killed_after_any_store_it_is_followed)
{
	static pid_t pid;
	struct shared *shared = new_shared(t, MAP_SHARED), *copy = new_shared(t, MAP_PRIVATE),
		      *before = new_shared(t, MAP_PRIVATE);
	unsigned int stores = 0;
	int status;

	ASSERT_LE(nvme_queue_kept_len(DEPTH), KEPT_LEN);
	if (getenv("LD_PRELOAD"))
		return; /* it would be valgrind that is stepped */
	pid = fork();
	if (pid == 0)
		child(shared);
	t_defer(t, kill_child, &pid);
	t_timeout(t, 120);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(WIFSTOPPED(status));
	while (!shared->over) {
		ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_TRUE(WIFSTOPPED(status));
		if (shared->in_controller || !memcmp(before, shared, sizeof *shared))
			continue;
		memcpy(before, shared, sizeof *shared);
		stores++;
		succeed(t, before, copy);
	}
	EXPECT_GE(stores, 150);
}

/* What is written down ------------------------------------------------------------------------------------- */

static bool leads_to(uint64_t word, const void *what, size_t len)
{
	return word - (uintptr_t)what < len;
}

UNIT(nvme_kept, no_address_is_written_down)
{
	struct shared *shared = new_shared(t, MAP_PRIVATE);
	struct nvme_queue *q = make(shared, false);
	unsigned int words = 0;

	ASSERT_TRUE(q != NULL);
	submit(q, shared, 0, 3);
	serve(shared, 1);
	reap(q, shared, 1);
	submit(q, shared, 3, 2);
	for (size_t at = 0; at + 8 <= nvme_queue_kept_len(DEPTH); at += 8) {
		uint64_t word;

		memcpy(&word, shared->kept + at, sizeof word);
		words += word != 0;
		if (leads_to(word, q, sizeof *q) || leads_to(word, shared, sizeof *shared) ||
		    leads_to(word, q->free_slots, DEPTH * sizeof *q->free_slots))
			FAIL("at %zu: %#llx", at, (unsigned long long)word);
	}
	EXPECT_GE(words, 2 * DEPTH);
	nvme_queue_destroy(q);
}

static uint32_t chance(uint32_t *seed)
{
	return (*seed = *seed * 1664525 + 1013904223) >> 8;
}

/* Somebody who has the block and the rings writes into them: a bit, or what the queue itself would write. */
static void meddle(struct shared *shared, uint32_t *seed)
{
	struct nvme_slot *slots = nvme_queue_kept_slots((struct nvme_queue_kept *)shared->kept);
	struct nvme_slot *slot = &slots[chance(seed) % (nvme_index_mask(DEPTH) + 1)];
	struct nvme_cqe *entry = &shared->cq[chance(seed) % ENTRIES];

	switch (chance(seed) % 4) {
	case 0:
		shared->kept[chance(seed) % nvme_queue_kept_len(DEPTH)] ^= 1u << chance(seed) % 8;
		break;
	case 1: /* in flight, it says */
		slot->expected = (uint32_t)slot->expected;
		break;
	case 2: /* and complete */
		slot->expected = (uint32_t)slot->expected;
		entry->qword[1] = (slot->expected << 16) | (uint64_t)(chance(seed) % 2) << 48;
		break;
	case 3:
		slot->expected ^= NVME_SLOT_DROPPED;
		break;
	}
}

/* Commands may be lost, and end for one another; memory is in order (AddressSanitizer and valgrind look), and so is what is counted in it. */
UNIT(nvme_kept, who_writes_into_it_decides_nothing_in_the_process)
{
	struct shared *shared = new_shared(t, MAP_PRIVATE);
	struct nvme_queue *q = make(shared, false);
	uint32_t seed = 1, ended = 0;

	ASSERT_TRUE(q != NULL);
	for (int step = 0; step < 20000; step++) {
		struct nvme_request requests[DEPTH] = { 0 };
		struct nvme_completion done[DEPTH];
		int num = (int)(chance(&seed) % DEPTH) + 1, r;

		meddle(shared, &seed);
		for (int i = 0; i < num; i++)
			requests[i] = (struct nvme_request){ .op = NVME_OP_READ, .len = 8192, .iova = 0x800 };
		r = nvme_queue_submit(q, &the_ns, requests, (size_t)num);
		EXPECT_LE(r, num);
		if (shared->sq_head < ENTRIES && shared->doorbells[0] < ENTRIES)
			serve(shared, chance(&seed) % ENTRIES);
		r = nvme_queue_reap(q, done, (size_t)num);
		EXPECT_LE(r, num);
		EXPECT_LE(q->place.num_free, DEPTH);
		ended += r == -EPROTO;
		if (r != -EPROTO && chance(&seed) % 16)
			continue;
		nvme_queue_reset(q);
		shared->sq_head = shared->cq_tail = shared->doorbells[0] = 0;
		shared->cq_phase = 1;
		while (nvme_queue_reap(q, done, DEPTH) > 0)
			continue;
	}
	EXPECT_GE(ended, 300);
	nvme_queue_destroy(q);
}
