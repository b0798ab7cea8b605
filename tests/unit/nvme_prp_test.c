/* SPDX-License-Identifier: MIT */
/* PRP entries against a model of how a controller reads them. */
#include <nvme/prp.h>

#include "nvme_fake.h"

#define IOVA 0x7654321000000ull

/* What the pieces of a walk have to add up to: one run of addresses. */
struct run {
	uint64_t next;
	uint64_t total;
	bool broken;
};

static void add_piece(void *ctx, uint64_t iova, uint32_t len)
{
	struct run *run = ctx;

	run->broken |= iova != run->next || (run->total > 0 && iova % NVME_PAGE_SIZE != 0);
	run->next += len;
	run->total += len;
}

/* The pointers of a command with that data, as the driver makes them. */
static void describe(struct nvme_sqe *command, uint64_t iova, uint32_t len, uint64_t *list,
		     uint64_t list_iova)
{
	command->qword[3] = htole64(iova);
	command->qword[4] =
		nvme_prp_fits_one(iova, len) ? 0 : htole64(nvme_prp_second(iova, len, list, list_iova));
}

/*
 * True if a controller would find exactly @len bytes from @iova on, and nothing beyond the list was written.
 */
static bool walks_right(uint64_t iova, uint32_t len)
{
	static uint64_t list[NVME_PRP_LIST_ENTRIES + 1] __attribute__((aligned(4096)));
	struct nvme_sqe command = { 0 };
	struct run run = { .next = iova };
	uint32_t room = (len / NVME_PAGE_SIZE + NVME_PRP_AT_ONCE) / NVME_PRP_AT_ONCE * NVME_PRP_AT_ONCE;

	room = room < NVME_PRP_LIST_ENTRIES ? room : NVME_PRP_LIST_ENTRIES;
	list[room] = 0x5a5a;
	describe(&command, iova, len, list, (uintptr_t)list);
	fake_walk(&command, len, add_piece, &run);
	return !run.broken && run.total == len && list[room] == 0x5a5a;
}

UNIT(nvme_prp, every_offset_is_found_again)
{
	static const uint32_t lengths[] = { 4,
					    512,
					    1024,
					    4092,
					    4096,
					    4100,
					    4608,
					    8188,
					    8192,
					    8196,
					    12288,
					    12292,
					    65536,
					    131072,
					    NVME_PRP_LIST_TRANSFER - 4,
					    NVME_PRP_LIST_TRANSFER };
	uint32_t offset;
	size_t i;

	for (offset = 0; offset < NVME_PAGE_SIZE; offset += 4)
		for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
			if (!walks_right(IOVA + offset, lengths[i]))
				FAIL("offset %u, length %u", offset, lengths[i]);
}

UNIT(nvme_prp, every_length_is_found_again)
{
	static const uint32_t offsets[] = { 0, 4, 512, 2048, 4092 };
	uint32_t len;
	size_t i;

	for (i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
		for (len = 512; len <= NVME_PRP_LIST_TRANSFER; len += 512)
			if (!walks_right(IOVA + offsets[i], len))
				FAIL("offset %u, length %u", offsets[i], len);
}

UNIT(nvme_prp, what_fits_two_pages_needs_no_list)
{
	uint64_t list[NVME_PRP_AT_ONCE] __attribute__((aligned(64))) = { 0x5a5a, 0x5a5a };
	struct nvme_sqe command = { 0 };

	describe(&command, IOVA, 4096, list, 0x1000);
	EXPECT_EQ(le64toh(command.qword[3]), IOVA);
	EXPECT_EQ(command.qword[4], 0);
	describe(&command, IOVA + 512, 4096 + 3584, list, 0x1000);
	EXPECT_EQ(le64toh(command.qword[3]), IOVA + 512);
	EXPECT_EQ(le64toh(command.qword[4]), IOVA + 4096);
	EXPECT_EQ(list[0], 0x5a5a);
	describe(&command, IOVA + 512, 4096 + 3588, list, 0x1000);
	EXPECT_EQ(le64toh(command.qword[4]), 0x1000);
	EXPECT_EQ(le64toh(list[0]), IOVA + 4096);
	EXPECT_EQ(le64toh(list[1]), IOVA + 8192);
}

/* No address is special: zero is legal, and so is the last page there is. */
UNIT(nvme_prp, both_ends_of_the_address_space_work)
{
	EXPECT_TRUE(walks_right(0, 65536));
	EXPECT_TRUE(walks_right(UINT64_MAX - 65535, 65536));
	EXPECT_TRUE(walks_right(UINT64_MAX - 4095, 4096));
}
