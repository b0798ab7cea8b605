// SPDX-License-Identifier: MIT
/* Answers with capability chains, honest and otherwise; and what the container says of itself in one. */
#include "kernel/info_chain.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/type1.h"
#include "kernel/vfio_abi.h"
#include "shim/test.h"
#include "support/fake_sys.h"

enum { REQUEST = 77, HEAD = sizeof(struct abi_vfio_region_info) };

/* What the made-up kernel answers: some bytes, and what it says about their number. */
struct answer {
	unsigned char bytes[2048];
	uint32_t len;
	uint32_t says;  /* in argsz when there is room; 0: len */
	uint32_t grows; /* with every call, len is so much more */
	uint32_t index; /* what was asked for */
	unsigned int calls;
	int error;
};

static int answer_info(void *ctx, int fd, void *arg)
{
	struct answer *answer = ctx;
	uint32_t room, says;

	(void)fd;
	answer->calls++;
	memcpy(&room, arg, sizeof(room));
	memcpy(&answer->index, (char *)arg + 8, sizeof(answer->index));
	if (answer->error)
		return answer->error;
	answer->len += answer->grows;
	says = answer->says ? answer->says : answer->len;
	if (room >= answer->len)
		memcpy(arg, answer->bytes, answer->len);
	memcpy(arg, &says, sizeof(says));
	return 0;
}

static struct fake_sys *with_answer(struct t *t, struct answer *answer)
{
	struct fake_sys *fake = fake_sys_new(t);

	fake_ioctl(fake, REQUEST, answer_info, answer);
	fake_ioctl(fake, ABI_VFIO_IOMMU_GET_INFO, answer_info, answer);
	return fake;
}

static int get(struct fake_sys *fake, void **ret_answer, uint32_t *ret_size)
{
	return weir_info_get(&fake->table, 5, REQUEST, HEAD, 3, ret_answer, ret_size);
}

UNIT(info_chain, a_usual_answer_takes_one_call)
{
	struct answer answer = { .bytes = { [500] = 9 }, .len = 512 };
	unsigned char *got;
	uint32_t size;

	ASSERT_OK(get(with_answer(t, &answer), (void **)&got, &size));
	t_defer(t, free, got);
	EXPECT_EQ(1, answer.calls);
	EXPECT_EQ(3, answer.index);
	EXPECT_GE(size, 512);
	EXPECT_EQ(9, got[500]);
}

UNIT(info_chain, a_long_answer_takes_a_second_call)
{
	struct answer answer = { .bytes = { [2000] = 9 }, .len = 2048 };
	unsigned char *got;
	uint32_t size;

	ASSERT_OK(get(with_answer(t, &answer), (void **)&got, &size));
	t_defer(t, free, got);
	EXPECT_EQ(2, answer.calls);
	EXPECT_EQ(2048, size);
	EXPECT_EQ(9, got[2000]);
}

UNIT(info_chain, an_answer_that_says_less_than_it_is_stays_within_its_room)
{
	struct answer answer = { .len = 400, .says = 1 };
	unsigned char *got;
	uint32_t size;

	ASSERT_OK(get(with_answer(t, &answer), (void **)&got, &size));
	t_defer(t, free, got);
	EXPECT_GE(size, HEAD);
}

UNIT(info_chain, an_answer_that_never_fits_is_an_error)
{
	struct answer grows = { .len = 600, .grows = 100 }, huge = { .len = 600, .says = UINT32_MAX },
		      fails = { .error = -EPERM };
	void *got = &grows;
	uint32_t size = 99;

	EXPECT_ERR(-EIO, get(with_answer(t, &grows), &got, &size));
	EXPECT_LE(grows.calls, 8);
	EXPECT_ERR(-EIO, get(with_answer(t, &huge), &got, &size));
	EXPECT_ERR(-EPERM, get(with_answer(t, &fails), &got, &size));
	EXPECT_EQ(99, size);
	EXPECT_EQ((uintptr_t)&grows, (uintptr_t)got);
}

/* Put a capability's header at @at. */
static void put_cap(void *bytes, uint32_t at, uint16_t id, uint32_t next)
{
	struct abi_vfio_info_cap_header header = { .id = id, .version = 1, .next = next };

	memcpy((char *)bytes + at, &header, sizeof(header));
}

/* The ids of a chain that begins at @first, as many as there are; at most 32. */
static unsigned int walk(const void *answer, uint32_t size, uint32_t first, uint32_t ret_ids[32])
{
	struct weir_info_cap cap;
	unsigned int num = 0;

	while (weir_info_next(answer, size, &first, &cap)) {
		ASSERT_LT(num, 32);
		ASSERT_EQ((uintptr_t)answer + size, (uintptr_t)cap.start + cap.room);
		ASSERT_GE(cap.room, sizeof(struct abi_vfio_info_cap_header));
		ret_ids[num++] = cap.id;
	}
	return num;
}

UNIT(info_chain, a_chain_is_followed_to_its_end)
{
	uint64_t answer[16] = { 0 };
	uint32_t ids[32];

	put_cap(answer, 32, 7, 44);
	put_cap(answer, 44, 8, 120);
	put_cap(answer, 120, 9, 0);
	ASSERT_EQ(3, walk(answer, sizeof(answer), 32, ids));
	EXPECT_EQ(7, ids[0]);
	EXPECT_EQ(8, ids[1]);
	EXPECT_EQ(9, ids[2]);
	EXPECT_EQ(0, walk(answer, sizeof(answer), 0, ids));
}

UNIT(info_chain, a_chain_that_lies_ends_where_it_does)
{
	static const struct {
		uint32_t first, next;
		unsigned int found;
	} rows[] = {
		{ 32, 32, 1 },                          /* itself */
		{ 64, 32, 1 },                          /* backwards: a loop */
		{ 32, 41, 1 },                          /* unaligned */
		{ 32, 121, 1 },        { 32, 124, 1 },  /* half a header */
		{ 32, 128, 1 },        { 32, 4096, 1 }, /* outside */
		{ 32, 0xfffffffc, 1 }, { 33, 0, 0 },         { 121, 0, 0 },
		{ 128, 0, 0 },         { UINT32_MAX, 0, 0 }, { 0xfffffffc, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t *answer = calloc(1, 128);
		uint32_t ids[32];

		t_note(t, "row %zu", i);
		ASSERT_TRUE(answer);
		t_defer(t, free, answer);
		if (rows[i].found)
			put_cap(answer, rows[i].first, 7, rows[i].next);
		EXPECT_EQ(rows[i].found, walk(answer, 128, rows[i].first, ids));
	}
}

/* The container's info: a chain that holds how many mappings it takes, and a list of ranges behind that. */
static void put_container_info(struct answer *answer, uint32_t ranges_at, uint32_t num)
{
	struct abi_vfio_iommu_type1_info info = { .flags = ABI_VFIO_IOMMU_INFO_PGSIZES |
							   ABI_VFIO_IOMMU_INFO_CAPS,
						  .iova_pgsizes = 0x40201000,
						  .cap_offset = sizeof(info) };
	uint32_t avail = 1000;

	memcpy(answer->bytes, &info, sizeof(info));
	put_cap(answer->bytes, sizeof(info), ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, ranges_at);
	memcpy(answer->bytes + sizeof(info) + 8, &avail, sizeof(avail));
	put_cap(answer->bytes, ranges_at, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
	memcpy(answer->bytes + ranges_at + 8, &num, sizeof(num));
	for (uint32_t i = 0; i < 2; i++) {
		struct abi_vfio_iova_range range = { (uint64_t)i << 32, ((uint64_t)i << 32) + 0xffff };

		memcpy(answer->bytes + ranges_at + 16 + i * sizeof(range), &range, sizeof(range));
	}
	answer->len = ranges_at + 16 + 2 * sizeof(struct abi_vfio_iova_range);
}

/* Behind the ranges at @ranges_at: the sizes of pages that the container tells dirty ones by. */
static void put_migration(struct answer *answer, uint32_t ranges_at)
{
	uint64_t sizes = 0x201000;

	put_cap(answer->bytes, ranges_at, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, answer->len);
	put_cap(answer->bytes, answer->len, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 0);
	memcpy(answer->bytes + answer->len +
		       offsetof(struct abi_vfio_iommu_type1_info_cap_migration, pgsize_bitmap),
	       &sizes, sizeof(sizes));
	answer->len += sizeof(struct abi_vfio_iommu_type1_info_cap_migration);
}

/* Kernels before 6.6 put one capability behind the other without regard to alignment: 12 bytes, then the ranges. */
UNIT(info_chain, a_container_is_understood_however_its_answer_is_laid_out)
{
	static const uint32_t places[] = { sizeof(struct abi_vfio_iommu_type1_info) + 12,
					   sizeof(struct abi_vfio_iommu_type1_info) + 16, 600 };

	for (size_t i = 0; i < 3; i++) {
		struct answer answer = { 0 };
		struct weir_type1_info info;

		t_note(t, "ranges at byte %u", places[i]);
		put_container_info(&answer, places[i], 2);
		put_migration(&answer, places[i]);
		ASSERT_OK(weir_type1_get_info(&with_answer(t, &answer)->table, 5, &info));
		t_defer(t, free, info.ranges);
		EXPECT_EQ(0x40201000, info.page_sizes);
		EXPECT_EQ(1000, info.mappings_left);
		EXPECT_EQ(0x201000, info.dirty_pages);
		ASSERT_EQ(2, info.num_ranges);
		EXPECT_EQ(0xffff, info.ranges[0].last);
		EXPECT_EQ(0x100000000, info.ranges[1].start);
	}
}

UNIT(info_chain, a_container_with_more_ranges_than_bytes_is_refused)
{
	static const uint32_t counts[] = { 100, 0x10000000, UINT32_MAX };

	for (size_t i = 0; i < 3; i++) {
		struct answer answer = { 0 };
		struct weir_type1_info info = { .num_ranges = 99 };

		put_container_info(&answer, 48, counts[i]);
		EXPECT_ERR(-EIO, weir_type1_get_info(&with_answer(t, &answer)->table, 5, &info));
		EXPECT_EQ(99, info.num_ranges);
	}
}

UNIT(info_chain, the_last_of_two_lists_of_ranges_counts)
{
	struct answer answer = { 0 };
	struct weir_type1_info info;

	put_container_info(&answer, 48, 2);
	put_cap(answer.bytes, 48, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 96);
	put_cap(answer.bytes, 96, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
	answer.len = 112;
	ASSERT_OK(weir_type1_get_info(&with_answer(t, &answer)->table, 5, &info));
	t_defer(t, free, info.ranges);
	EXPECT_EQ(0, info.num_ranges);
}

UNIT(info_chain, a_container_of_before_chains_says_nothing_of_ranges)
{
	struct answer answer = { .len = 16 };
	struct weir_type1_info info;

	ASSERT_OK(weir_type1_get_info(&with_answer(t, &answer)->table, 5, &info));
	EXPECT_FALSE(info.ranges);
	EXPECT_EQ(UINT64_MAX, info.mappings_left);
	EXPECT_EQ(4096, info.page_sizes);
}
