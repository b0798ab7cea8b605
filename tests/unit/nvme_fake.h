/* SPDX-License-Identifier: MIT */
/*
 * The other side of an NVMe queue pair, in plain memory: takes commands as a controller would, and answers as
 * the test wants. IOVAs are addresses of this process.
 */
#ifndef UNIT_NVME_FAKE_H
#define UNIT_NVME_FAKE_H

#include <nvme/queue.h>

#include "test.h"

struct fake {
	struct nvme_queue *queue; /* the driver's side */
	struct nvme_namespace ns;
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	void *lists;
	uint32_t doorbells[2]; /* submission tail, completion head */
	uint32_t entries, sq_head, cq_tail;
	uint16_t id;
	unsigned int phase;
	unsigned char *disk; /* ns.num_blocks * ns.block_size bytes; NULL: no data moves */
	uint64_t bad_block;  /* a read or write that touches it fails with an unrecovered read error */
};

#define FAKE_NO_BAD_BLOCK UINT64_MAX

/* A queue of @depth and its other side, with a namespace of @num_blocks of 512 bytes. Ends with the case. */
struct fake *fake_open(struct t *t, uint32_t depth, uint32_t max_transfer, uint64_t num_blocks);

/* The same; @flags and @ops as in the queue's set-up. */
struct fake *fake_open_with(struct t *t, uint32_t depth, uint32_t max_transfer, uint64_t num_blocks,
			    uint64_t flags, uint32_t ops);

/* Give the namespace contents: byte i is a hash of i. */
void fake_add_disk(struct fake *fake);

/* The next command that the doorbell has announced. */
bool fake_fetch(struct fake *fake, struct nvme_sqe *ret_command);

/* Post a completion; fake_complete() for a command that was fetched. */
void fake_post(struct fake *fake, uint16_t sqid, uint16_t cid, uint16_t status);
void fake_complete(struct fake *fake, const struct nvme_sqe *command, uint16_t status);

/* Fetch, carry out and complete what there is. Returns how many. */
unsigned int fake_serve(struct fake *fake);

/* Where a command's data is, as a controller finds it: calls @piece for each part within a page, in order. */
void fake_walk(const struct nvme_sqe *command, uint32_t len,
	       void (*piece)(void *ctx, uint64_t iova, uint32_t len), void *ctx);

/* Fields of a command. */
uint16_t fake_cid(const struct nvme_sqe *command);
uint8_t fake_opcode(const struct nvme_sqe *command);
uint64_t fake_block(const struct nvme_sqe *command);
uint32_t fake_num_blocks(const struct nvme_sqe *command);

#endif
