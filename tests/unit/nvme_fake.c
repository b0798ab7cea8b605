/* SPDX-License-Identifier: MIT */
#include "nvme_fake.h"

#include <stdlib.h>
#include <string.h>

static void fake_close(void *arg)
{
	struct fake *fake = arg;

	nvme_queue_destroy(fake->queue);
	free(fake->sq);
	free(fake->cq);
	free(fake->lists);
	free(fake->disk);
	free(fake);
}

static void *pages(size_t len)
{
	size_t whole = (len + NVME_PAGE_SIZE - 1) / NVME_PAGE_SIZE * NVME_PAGE_SIZE;
	void *memory = aligned_alloc(NVME_PAGE_SIZE, whole);

	if (memory)
		memset(memory, 0, whole);
	return memory;
}

struct fake *fake_open_with(struct t *t, uint32_t depth, uint32_t max_transfer, uint64_t num_blocks,
			    uint64_t flags, uint32_t ops)
{
	struct fake *fake = calloc(1, sizeof *fake);
	struct nvme_queue_setup setup = {
		.depth = depth, .max_transfer = max_transfer, .id = 1, .flags = flags, .ops = ops
	};

	ASSERT_TRUE(fake);
	t_defer(t, fake_close, fake);
	*fake = (struct fake){
		.ns = { .num_blocks = num_blocks, .nsid = 7, .block_size = 512, .block_shift = 9 },
		.sq = pages((depth + 1) * sizeof(struct nvme_sqe)),
		.cq = pages((depth + 1) * sizeof(struct nvme_cqe)),
		.lists = pages(nvme_lists_len(depth, max_transfer)),
		.entries = depth + 1,
		.id = 1,
		.phase = 1,
		.bad_block = FAKE_NO_BAD_BLOCK,
	};
	ASSERT_TRUE(fake->sq && fake->cq && fake->lists);
	setup.sq = fake->sq;
	setup.cq = fake->cq;
	setup.lists = fake->lists;
	setup.lists_iova = (uintptr_t)fake->lists;
	setup.sq_doorbell.addr = &fake->doorbells[0];
	setup.cq_doorbell.addr = &fake->doorbells[1];
	ASSERT_OK(nvme_queue_create(&setup, &fake->queue));
	return fake;
}

struct fake *fake_open(struct t *t, uint32_t depth, uint32_t max_transfer, uint64_t num_blocks)
{
	return fake_open_with(t, depth, max_transfer, num_blocks, 0, 0);
}

void fake_add_disk(struct fake *fake)
{
	size_t len = fake->ns.num_blocks * fake->ns.block_size, i;

	fake->disk = malloc(len);
	ASSERT_TRUE(fake->disk);
	for (i = 0; i < len; i++)
		fake->disk[i] = (unsigned char)((i * 2654435761u) >> 13);
}

bool fake_fetch(struct fake *fake, struct nvme_sqe *ret_command)
{
	if (le32toh(__atomic_load_n(&fake->doorbells[0], __ATOMIC_ACQUIRE)) == fake->sq_head)
		return false;
	*ret_command = fake->sq[fake->sq_head];
	fake->sq_head = (fake->sq_head + 1) % fake->entries;
	return true;
}

void fake_post(struct fake *fake, uint16_t sqid, uint16_t cid, uint16_t status)
{
	struct nvme_cqe *entry = &fake->cq[fake->cq_tail];
	uint64_t word = fake->sq_head | (uint64_t)sqid << 16 | (uint64_t)cid << 32 |
			(uint64_t)fake->phase << 48 | (uint64_t)status << 49;

	__atomic_store_n(&entry->qword[1], htole64(word), __ATOMIC_RELEASE);
	if (++fake->cq_tail == fake->entries) {
		fake->cq_tail = 0;
		fake->phase ^= 1;
	}
}

void fake_complete(struct fake *fake, const struct nvme_sqe *command, uint16_t status)
{
	fake_post(fake, fake->id, fake_cid(command), status);
}

uint16_t fake_cid(const struct nvme_sqe *command)
{
	return (uint16_t)(le64toh(command->qword[0]) >> 16);
}

uint8_t fake_opcode(const struct nvme_sqe *command)
{
	return (uint8_t)le64toh(command->qword[0]);
}

uint64_t fake_block(const struct nvme_sqe *command)
{
	return le64toh(command->qword[5]);
}

uint32_t fake_num_blocks(const struct nvme_sqe *command)
{
	return (uint32_t)(le64toh(command->qword[6]) & 0xffff) + 1;
}

/* Written from the specification's words, not from the driver's code: Base 2.0, 4.1.1. */
void fake_walk(const struct nvme_sqe *command, uint32_t len,
	       void (*piece)(void *ctx, uint64_t iova, uint32_t len), void *ctx)
{
	uint64_t prp = le64toh(command->qword[3]), prp2 = le64toh(command->qword[4]);
	uint32_t room = NVME_PAGE_SIZE - (uint32_t)(prp % NVME_PAGE_SIZE);
	uint32_t part = len < room ? len : room;
	const uint64_t *list;

	piece(ctx, prp, part);
	len -= part;
	if (len == 0)
		return;
	if (len <= NVME_PAGE_SIZE) {
		piece(ctx, prp2, len);
		return;
	}
	for (list = (const uint64_t *)(uintptr_t)prp2; len > 0; list++, len -= part) {
		/* "If more PRP entries are needed, the last one of a page is a PRP List pointer." */
		if (((uintptr_t)(list + 1) & NVME_PAGE_MASK) == 0 && len > NVME_PAGE_SIZE)
			list = (const uint64_t *)(uintptr_t)le64toh(*list);
		part = len < NVME_PAGE_SIZE ? len : NVME_PAGE_SIZE;
		piece(ctx, le64toh(*list), part);
	}
}

struct copy {
	unsigned char *disk;
	bool to_disk;
};

static void copy_piece(void *ctx, uint64_t iova, uint32_t len)
{
	struct copy *copy = ctx;
	void *memory = (void *)(uintptr_t)iova;

	memcpy(copy->to_disk ? copy->disk : memory, copy->to_disk ? memory : copy->disk, len);
	copy->disk += len;
}

static uint16_t carry_out(struct fake *fake, const struct nvme_sqe *command)
{
	uint64_t block = fake_block(command);
	uint32_t num = fake_num_blocks(command);
	struct copy copy = { .to_disk = fake_opcode(command) == nvme_cmd_write };

	if (fake_opcode(command) == nvme_cmd_flush || !fake->disk)
		return NVME_SC_SUCCESS;
	if (block + num > fake->ns.num_blocks)
		return NVME_SC_LBA_RANGE;
	if (fake->bad_block >= block && fake->bad_block - block < num)
		return NVME_SCT_MEDIA << NVME_SCT_SHIFT | NVME_SC_READ_ERROR;
	copy.disk = fake->disk + block * fake->ns.block_size;
	fake_walk(command, num * fake->ns.block_size, copy_piece, &copy);
	return NVME_SC_SUCCESS;
}

unsigned int fake_serve(struct fake *fake)
{
	struct nvme_sqe command;
	unsigned int num = 0;

	for (; fake_fetch(fake, &command); num++)
		fake_complete(fake, &command, carry_out(fake, &command));
	return num;
}
