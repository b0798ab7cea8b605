/* SPDX-License-Identifier: MIT */
/* A queue pair made and ended, its doorbells, and its failure. */
#include "nvme/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/error.h"
#include "nvme/kept.h"

#define LINE 64u /* bytes of a cache line */

/* Set-up ------------------------------------------------------------------------------------------------- */

uint32_t nvme_index_mask(uint32_t depth)
{
	uint32_t mask = 1;

	while (mask < depth)
		mask = mask << 1 | 1;
	return mask;
}

/* Entries for the longest transfer, a whole number of stores, and an odd number of lines unless it is all of a page, or several. */
static uint32_t list_len(uint32_t max_transfer)
{
	uint32_t len = (nvme_prp_list_len(max_transfer) + LINE - 1) / LINE * LINE;

	if (len >= NVME_PAGE_SIZE)
		return len;
	if (len < 3 * LINE)
		len = 3 * LINE;
	if (len / LINE % 2 == 0)
		len += LINE;
	return len < NVME_PAGE_SIZE ? len : NVME_PAGE_SIZE;
}

/* Where the list of a slot is: as many in a page as fit, or one in as many pages as it takes. */
static uint32_t list_offset(uint32_t len, uint32_t index)
{
	uint32_t in_page = NVME_PAGE_SIZE / len;

	if (in_page == 0)
		return index * len;
	return index / in_page * NVME_PAGE_SIZE + index % in_page * len;
}

size_t nvme_lists_len(uint32_t depth, uint32_t max_transfer)
{
	uint32_t len = list_len(max_transfer);

	return ((size_t)list_offset(len, depth - 1) + len + NVME_PAGE_MASK) & ~(size_t)NVME_PAGE_MASK;
}

void nvme_queue_fill_slots(struct nvme_queue *q)
{
	uint32_t i;

	for (i = 0; i <= q->state.index_mask; i++)
		q->slots[i].expected = (i << 16 | q->state.id) | NVME_SLOT_IDLE;
	for (i = 0; i < q->state.depth; i++)
		q->free_slots[i] = &q->slots[q->state.depth - 1 - i]; /* so that slot 0 is taken first */
	q->sq[q->state.entries - 1].qword[0] = UINT64_MAX; /* no command's: adopt.c looks before the tail */
}

/* Where the queue, its slots and its stack are going to lie: what is kept. And what is this process's own. */
static int find_room(const struct nvme_queue_setup *setup, struct nvme_queue_kept **ret_kept,
		     struct nvme_queue_own **ret_own)
{
	size_t len = (nvme_queue_kept_len(setup->depth) + LINE - 1) & ~(size_t)(LINE - 1);
	struct nvme_queue_own *own = calloc(1, sizeof *own + setup->depth * sizeof own->list_offsets[0]);
	struct nvme_queue_kept *kept = setup->kept;
	uint32_t i;

	if (own)
		own->left = calloc(setup->depth, sizeof *own->left);
	if (own && own->left && !kept)
		own->kept = kept = aligned_alloc(LINE, len);
	if (!own || !own->left || !kept) {
		if (own)
			nvme_queue_forget(own);
		return fail(-ENOMEM, "no memory for a queue of depth %u", setup->depth);
	}
	if (own->kept)
		memset(kept, 0, len);
	for (i = 0; i < setup->depth; i++)
		own->list_offsets[i] = list_offset(list_len(setup->max_transfer), i);
	own->queue = &kept->queue;
	*ret_kept = kept;
	*ret_own = own;
	return 0;
}

static int check_kept(const struct nvme_queue_kept *kept, const struct nvme_queue_setup *setup)
{
	if (kept->depth == setup->depth && kept->id == setup->id && kept->max_transfer == setup->max_transfer)
		return 0;
	return fail(-EPROTO, "queue %u: what was kept is of another queue", setup->id);
}

/* All but the state, which may be a predecessor's. */
static void fill_in(struct nvme_queue *q, const struct nvme_queue *from)
{
	memcpy((char *)q + sizeof q->state, (const char *)from + sizeof from->state,
	       sizeof *q - sizeof q->state);
}

static void begin(struct nvme_queue_kept *kept, const struct nvme_queue *fresh)
{
	kept->depth = fresh->state.depth;
	kept->id = fresh->state.id;
	kept->max_transfer = fresh->max_transfer;
	kept->bases[0] = (uintptr_t)fresh->slots;
	kept->stack = 0;
	kept->quiet = 0;
	kept->num_left = kept->first_left = 0;
	kept->queue = *fresh;
	nvme_queue_fill_slots(&kept->queue);
	nvme_queue_acknowledge(&kept->queue);
}

/* @q is what the queue will be; it is put where it is kept. */
static int install(struct nvme_queue *q, const struct nvme_queue_setup *setup)
{
	int r;

	if (!setup->adopt) {
		begin(q->kept, q);
		return 0;
	}
	r = check_kept(q->kept, setup);
	if (r == 0)
		r = nvme_queue_adopt(q, &q->kept->queue.state);
	if (r == 0)
		fill_in(&q->kept->queue, q);
	return r;
}

int nvme_queue_create(const struct nvme_queue_setup *setup, struct nvme_queue **ret_queue)
{
	struct nvme_queue_kept *kept;
	struct nvme_queue_own *own;
	struct nvme_queue q;
	int r;

	if (setup->depth == 0 || setup->depth > NVME_MAX_DEPTH || setup->max_transfer > NVME_PRP_MAX_TRANSFER)
		return fail(-EINVAL, "a queue of depth %u for transfers of %u bytes", setup->depth,
			    setup->max_transfer);
	r = find_room(setup, &kept, &own);
	if (r < 0)
		return r;
	q = (struct nvme_queue){
		.state = { .entries = setup->depth + 1,
			   .phase = 1,
			   .depth = setup->depth,
			   .num_free = setup->depth,
			   .index_mask = nvme_index_mask(setup->depth),
			   .id = setup->id },
		.ops = setup->ops | 1u << NVME_OP_READ | 1u << NVME_OP_WRITE | 1u << NVME_OP_FLUSH,
		.flags = setup->flags,
		.sq = setup->sq,
		.cq = setup->cq,
		.slots = nvme_queue_kept_slots(kept),
		.free_slots = nvme_queue_kept_stack(kept, setup->depth, 0),
		.kept = kept,
		.own = own,
		.left = own->left,
		.lists = setup->lists,
		.lists_iova = setup->lists_iova,
		.list_offsets = own->list_offsets,
		.iovas = (UINT64_MAX - setup->max_transfer) / 4,
		.one_page = setup->flags & NVME_SQE_SGL ? 0 : NVME_PAGE_SIZE,
		.one_list = setup->flags & NVME_SQE_SGL ? 0 : NVME_PRP_LIST_TRANSFER,
		.list_len = list_len(setup->max_transfer),
		.max_transfer = setup->max_transfer,
		.sq_doorbell = setup->sq_doorbell,
		.cq_doorbell = setup->cq_doorbell,
	};
	q.offset_mask = q.state.index_mask * sizeof *q.slots;
	q.step = ((uint64_t)(q.state.index_mask + 1) << 16) + NVME_SLOT_IDLE;
	q.read = q.flags + nvme_cmd_read - q.state.id;
	r = install(&q, setup);
	if (r < 0) {
		nvme_queue_forget(own);
		return r;
	}
	*ret_queue = &kept->queue;
	return 0;
}

void nvme_queue_forget(struct nvme_queue_own *own)
{
	free(own->kept);
	free(own->left);
	free(own);
}

void nvme_queue_destroy(struct nvme_queue *q)
{
	if (q)
		nvme_queue_forget(q->own);
}

uint32_t nvme_queue_in_flight(const struct nvme_queue *q)
{
	return q->state.depth - q->state.num_free - q->state.num_dropped + q->num_left - q->next_left;
}

uint32_t nvme_queue_depth(const struct nvme_queue *q)
{
	return q->state.depth;
}

/* Doorbells ---------------------------------------------------------------------------------------------- */

static int store(const struct nvme_doorbell *doorbell, uint32_t value)
{
	if (doorbell->mapped && !weir_mmio_write32(doorbell->mapped, value))
		return 0;
	return weir_region_write32(doorbell->region, doorbell->offset, value);
}

static int copy_word(const struct nvme_sq_cmb *cmb, uint64_t at, uint64_t word)
{
	if (cmb->mapped && !weir_mmio_write64(cmb->mapped + at, word))
		return 0;
	return weir_region_write64(cmb->region, cmb->offset + at, word);
}

/* Copy the commands before @tail that have not been yet. The order of stores to the device is the order in which they arrive. */
static int copy_commands(struct nvme_queue *q, uint32_t tail)
{
	struct nvme_sq_cmb *cmb = &q->sq_cmb;
	unsigned int i;
	int r = 0;

	while (r == 0 && cmb->copied != tail) {
		for (i = 0; i < 8 && r == 0; i++)
			r = copy_word(cmb, cmb->copied * sizeof(struct nvme_sqe) + 8 * i,
				      le64toh(q->sq[cmb->copied].qword[i]));
		cmb->copied = cmb->copied + 1 == q->state.entries ? 0 : cmb->copied + 1;
	}
	return r;
}

/*
 * Write the shadow. True if the controller has to be rung: the value has come to, or passed, where it asked for that. Its word is looked at after
 * ours is there to be seen, or both sides could miss it (Base 2.0, 5.8, as amended: a host writes, then looks).
 */
static bool write_shadow(const struct nvme_doorbell *doorbell, uint32_t value)
{
	uint32_t old = le32toh(*doorbell->shadow), event;

	__atomic_store_n(doorbell->shadow, htole32(value), __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = le32toh(__atomic_load_n(doorbell->event, __ATOMIC_RELAXED));
	return (uint16_t)(value - event - 1) < (uint16_t)(value - old);
}

int nvme_queue_ring_slowly(struct nvme_queue *q, const struct nvme_doorbell *doorbell, uint32_t value,
			   int num)
{
	int r = 0;

	if (q->sq_cmb.region && doorbell == &q->sq_doorbell)
		r = copy_commands(q, value);
	if (r == 0 && (!doorbell->shadow || write_shadow(doorbell, value)))
		r = store(doorbell, value);
	if (r < 0)
		q->state.failed = r;
	return num;
}

/* Trouble ------------------------------------------------------------------------------------------------ */

int nvme_queue_explain(const struct nvme_queue *q)
{
	if (q->state.failed == NVME_QUEUE_RESET)
		return fail(
			-EAGAIN,
			"queue %u: the controller was reset; what was on its way then is to be reaped first",
			q->state.id);
	if (q->state.failed == -EPROTO)
		return fail(-EPROTO,
			    "queue %u has failed: the controller completed identifier 0x%04x of queue %u, "
			    "which is not in flight",
			    q->state.id, nvme_cqe_cid(q->bad_entry), nvme_cqe_sqid(q->bad_entry));
	if (q->lost)
		return fail(q->state.failed, "queue %u has been closed, which failed", q->state.id);
	if (q->ended)
		return fail(q->state.failed, "queue %u ended with a reset of the controller that failed",
			    q->state.id);
	if (q->state.failed == NVME_QUEUE_PAUSED)
		return fail(-EBUSY, "queue %u is paused: nvme_controller_resume() first", q->state.id);
	return fail(q->state.failed, "queue %u has failed: its doorbell could not be rung", q->state.id);
}

int nvme_queue_intruder(const struct nvme_queue *q)
{
	return fail(-EBUSY, "queue %u is used by two threads at once", q->state.id);
}

void nvme_queue_drop(struct nvme_queue *q)
{
	uint32_t i;

	for (i = 0; i < q->state.depth; i++) {
		if (!nvme_slot_in_flight(&q->slots[i]))
			continue;
		q->slots[i].expected |= NVME_SLOT_DROPPED;
		q->state.num_dropped++;
	}
}
