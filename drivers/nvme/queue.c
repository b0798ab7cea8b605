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

void nvme_queue_begin(struct nvme_queue *q)
{
	uint32_t i;

	q->place = (union nvme_place){ .phase = 1, .num_free = (uint16_t)q->state.depth };
	q->phase = 1ull << 48;
	q->state.num_dropped = 0;
	for (i = 0; i <= q->state.index_mask; i++)
		q->slots[i].expected = (i << 16 | q->state.id) | NVME_SLOT_IDLE;
	for (i = 0; i < q->state.depth; i++)
		q->free_slots[i] = &q->slots[q->state.depth - 1 - i]; /* so that slot 0 is taken first */
	nvme_queue_acknowledge(q);
}

static size_t round_up(size_t len)
{
	return (len + LINE - 1) & ~(size_t)(LINE - 1);
}

static void *alloc_lines(size_t len)
{
	void *lines = aligned_alloc(LINE, round_up(len));

	if (lines)
		memset(lines, 0, round_up(len));
	return lines;
}

/* A queue with room for all that there is of it. */
static struct nvme_queue *alloc_queue(const struct nvme_queue_setup *setup)
{
	size_t slots = nvme_index_mask(setup->depth) + 1;
	struct nvme_queue *q = alloc_lines(sizeof *q + slots * sizeof q->list_offsets[0]);

	if (!q)
		return NULL;
	q->left = calloc(setup->depth, sizeof *q->left);
	q->free_slots = calloc(setup->depth, sizeof(struct nvme_slot *));
	q->kept = setup->kept;
	if (!q->kept)
		q->kept = q->kept_alone = alloc_lines(nvme_queue_kept_len(setup->depth));
	if (q->left && q->free_slots && q->kept)
		return q;
	nvme_queue_destroy(q);
	return NULL;
}

static int check_kept(const struct nvme_queue_kept *kept, const struct nvme_queue_setup *setup)
{
	if (kept->depth == setup->depth && kept->id == setup->id && kept->max_transfer == setup->max_transfer)
		return 0;
	return fail(-EPROTO, "queue %u: what was kept is of another queue", setup->id);
}

static void begin(struct nvme_queue *q)
{
	struct nvme_queue_kept *kept = q->kept;

	kept->depth = q->state.depth;
	kept->id = q->state.id;
	kept->max_transfer = q->max_transfer;
	kept->quiet = 0;
	kept->num_left = kept->first_left = 0;
	nvme_queue_begin(q);
}

/* All that is worked out from the setup. */
static void fill_in(struct nvme_queue *q, const struct nvme_queue_setup *setup)
{
	uint32_t i;

	q->state = (struct nvme_queue_state){ .entries = setup->depth + 1,
					      .depth = setup->depth,
					      .index_mask = nvme_index_mask(setup->depth),
					      .id = setup->id };
	q->ops = setup->ops | 1u << NVME_OP_READ | 1u << NVME_OP_WRITE | 1u << NVME_OP_FLUSH;
	q->flags = setup->flags;
	q->sq = setup->sq;
	q->cq = setup->cq;
	q->slots = nvme_queue_kept_slots(q->kept);
	q->lists = setup->lists;
	q->lists_iova = setup->lists_iova;
	q->iovas = (UINT64_MAX - setup->max_transfer) / 4;
	q->one_page = setup->flags & NVME_SQE_SGL ? 0 : NVME_PAGE_SIZE;
	q->one_list = setup->flags & NVME_SQE_SGL ? 0 : NVME_PRP_LIST_TRANSFER;
	q->list_len = list_len(setup->max_transfer);
	q->max_transfer = setup->max_transfer;
	q->sq_doorbell = setup->sq_doorbell;
	q->cq_doorbell = setup->cq_doorbell;
	q->offset_mask = q->state.index_mask * sizeof *q->slots;
	q->step = ((uint64_t)(q->state.index_mask + 1) << 16) + NVME_SLOT_IDLE;
	q->read = q->flags + nvme_cmd_read - q->state.id;
	for (i = 0; i < setup->depth; i++)
		q->list_offsets[i] = list_offset(q->list_len, i);
}

int nvme_queue_create(const struct nvme_queue_setup *setup, struct nvme_queue **ret_queue)
{
	struct nvme_queue *q;
	int r = 0;

	if (setup->depth == 0 || setup->depth > NVME_MAX_DEPTH || setup->max_transfer > NVME_PRP_MAX_TRANSFER)
		return fail(-EINVAL, "a queue of depth %u for transfers of %u bytes", setup->depth,
			    setup->max_transfer);
	q = alloc_queue(setup);
	if (!q)
		return fail(-ENOMEM, "no memory for a queue of depth %u", setup->depth);
	fill_in(q, setup);
	if (!setup->adopt)
		begin(q);
	else
		r = check_kept(q->kept, setup);
	if (r == 0 && setup->adopt)
		r = nvme_queue_adopt(q);
	if (r < 0) {
		nvme_queue_destroy(q);
		return r;
	}
	*ret_queue = q;
	return 0;
}

void nvme_queue_destroy(struct nvme_queue *q)
{
	if (!q)
		return;
	free(q->kept_alone);
	free(q->free_slots);
	free(q->left);
	free(q);
}

uint32_t nvme_queue_in_flight(const struct nvme_queue *q)
{
	return q->state.depth - q->place.num_free - q->state.num_dropped + q->num_left - q->next_left;
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
