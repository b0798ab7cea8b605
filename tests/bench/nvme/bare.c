// SPDX-License-Identifier: MIT
/* The yardstick: commands written and completions taken with nothing checked and nothing that could be left out. */
#include "bench/nvme/bare.h"

void bare_open(struct bench *b)
{
	b->cq_phase = 1;
	for (b->num_free = 0; b->num_free < 128; b->num_free++)
		b->free_ids[b->num_free] = (uint16_t)(127 - b->num_free);
}

/* PRP entry 2, and the list if there is more than two pages. */
static inline uint64_t describe(uint64_t *list, const struct nvme_request *request)
{
	uint64_t page = (request->iova & ~4095ull) + 4096,
		 last = (request->iova + request->len - 1) & ~4095ull;
	uint64_t *at = list;

	if (page >= last)
		return page == last ? page : 0;
	for (; page <= last; page += 4096)
		*at++ = page;
	return (uintptr_t)list;
}

/* What stays the same is in registers, as far as there are any: no store goes where the compiler would have to look again. */
void bare_put(struct bench *restrict b, unsigned int batch)
{
	const struct nvme_request *request = b->requests, *end = request + batch;
	struct nvme_sqe *restrict sq = b->sq;
	const uint16_t *free_id = &b->free_ids[b->num_free];
	uint64_t *restrict tags = b->tags, *lists = b->lists, first = 2 | (uint64_t)b->ns.nsid << 32;
	uint32_t tail = b->sq_tail, entries = b->entries;

	for (; request != end; request++) {
		uint64_t id = *--free_id;
		struct nvme_sqe *restrict entry = &sq[tail];

		tags[id] = request->tag;
		entry->qword[0] = first | id << 16;
		entry->qword[1] = 0;
		entry->qword[2] = 0;
		entry->qword[3] = request->iova;
		entry->qword[4] = describe(lists + id * 40, request);
		entry->qword[5] = request->block;
		entry->qword[6] = (request->len >> 9) - 1;
		entry->qword[7] = 0;
		tail = tail + 1 == entries ? 0 : tail + 1;
	}
	b->num_free -= batch;
	b->sq_tail = tail;
	__asm__ volatile("" : : : "memory");
	*b->sq_doorbell = tail;
}

unsigned int bare_take(struct bench *restrict b, unsigned int batch)
{
	const struct nvme_cqe *cq = b->cq;
	const uint64_t *tags = b->tags;
	struct nvme_completion *restrict done = b->done;
	uint16_t *restrict free_ids = &b->free_ids[b->num_free];
	uint32_t head = b->cq_head, phase = b->cq_phase, entries = b->entries;
	unsigned int num = 0;

	for (; num < batch; num++) {
		uint64_t entry = __atomic_load_n(&cq[head].qword[1], __ATOMIC_RELAXED), id;

		if ((entry >> 48 & 1) != phase)
			break;
		id = entry >> 32 & 0xffff;
		done[num].tag = tags[id];
		done[num].error = (int32_t)(entry >> 49);
		free_ids[num] = (uint16_t)id;
		if (++head == entries) {
			head = 0;
			phase ^= 1;
		}
	}
	b->num_free += num;
	b->cq_head = head;
	b->cq_phase = phase;
	*b->cq_doorbell = head;
	return num;
}
