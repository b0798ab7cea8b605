// SPDX-License-Identifier: MIT
/* Regions: what the kernel may say of them, and access at and beyond their ends. */
#include <errno.h>
#include <string.h>

#include "kernel/vfio_abi.h"
#include "unit/yes_host.h"

/* What the kernel says of region 2, with a chain behind it. */
struct answer {
	struct abi_vfio_region_info info;
	unsigned char chain[1024];
	uint32_t len;
};

enum { HEAD = sizeof(struct abi_vfio_region_info), BAR2_SIZE = 0x10000 };

static int answer_info(void *ctx, int fd, unsigned long request, void *arg)
{
	const struct answer *answer = ctx;
	struct abi_vfio_region_info *info = arg;
	uint32_t room = info->argsz;

	(void)fd;
	if (request != ABI_VFIO_DEVICE_GET_REGION_INFO || info->index != 2)
		return YES_PASS;
	if (room >= answer->len)
		memcpy(arg, answer, answer->len);
	info->argsz = answer->len;
	return 0;
}

static struct answer usual_answer(void)
{
	return (struct answer){
		.info = { .flags = ABI_VFIO_REGION_INFO_FLAG_READ | ABI_VFIO_REGION_INFO_FLAG_WRITE |
				   ABI_VFIO_REGION_INFO_FLAG_MMAP | ABI_VFIO_REGION_INFO_FLAG_CAPS,
			  .index = 2,
			  .cap_offset = HEAD,
			  .size = BAR2_SIZE,
			  .offset = (uint64_t)2 << 40 },
		.len = sizeof(struct answer) - sizeof(uint32_t),
	};
}

static void put(struct answer *answer, uint32_t at, const void *bytes, size_t len)
{
	if (len)
		memcpy((char *)answer + at, bytes, len);
}

static void put_cap(struct answer *answer, uint32_t at, uint16_t id, uint32_t next)
{
	put(answer, at, &(struct abi_vfio_info_cap_header){ id, 1, next },
	    sizeof(struct abi_vfio_info_cap_header));
}

static void put_areas(struct answer *answer, uint32_t at, uint32_t says,
		      const struct abi_vfio_region_sparse_mmap_area *areas, uint32_t num)
{
	put(answer, at + 8, &says, sizeof(says));
	put(answer, at + 16, areas, num * sizeof(*areas));
}

static struct weir_device *device_that_says(struct t *t, struct answer *answer)
{
	struct yes_kernel *yes = new_yes_kernel(t);

	yes->hook = answer_info;
	yes->hook_ctx = answer;
	return new_device(t, new_ioas(t, new_host(t, yes, WEIR_BACKEND_IOMMUFD)), YES_ADDRESS_0);
}

static struct weir_region *region_of(struct weir_device *device, uint32_t index)
{
	struct weir_region *region;

	ASSERT_OK(weir_device_region(device, index, &region));
	return region;
}

static struct weir_region_info info_of(struct weir_region *region)
{
	struct weir_region_info info;

	ASSERT_OK(weir_region_info(region, &info, sizeof(info)));
	return info;
}

UNIT(region, a_chain_tells_what_can_be_mapped)
{
	static const struct abi_vfio_region_sparse_mmap_area areas[] = { { 0, 0x2000 }, { 0x4000, 0xc000 } };
	/* The second place is where older kernels put it, behind a capability of 12 bytes. */
	static const uint32_t places[] = { HEAD + 24, HEAD + 28 };

	for (size_t i = 0; i < 2; i++) {
		struct answer answer = usual_answer();
		struct weir_region_area area;
		struct weir_region *region;

		t_note(t, "areas at byte %u", places[i]);
		put_cap(&answer, HEAD, ABI_VFIO_REGION_INFO_CAP_TYPE, places[i]);
		put(&answer, HEAD + 8, (uint32_t[]){ 0x80008086, 3 }, 8);
		put_cap(&answer, places[i], ABI_VFIO_REGION_INFO_CAP_SPARSE_MMAP, 200);
		put_areas(&answer, places[i], 2, areas, 2);
		put_cap(&answer, 200, ABI_VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 0);
		region = region_of(device_that_says(t, &answer), 2);
		EXPECT_EQ(0x80008086, info_of(region).type);
		EXPECT_EQ(3, info_of(region).subtype);
		EXPECT_EQ(2, info_of(region).num_areas);
		EXPECT_TRUE(info_of(region).flags & WEIR_REGION_MSIX_MAP);
		ASSERT_OK(weir_region_area(region, 1, &area));
		EXPECT_EQ(0x4000, area.offset);
		EXPECT_EQ(0xc000, area.len);
		EXPECT_ERR(-EINVAL, weir_region_area(region, 2, &area));
	}
}

UNIT(region, areas_outside_of_the_region_are_refused)
{
	static const struct abi_vfio_region_sparse_mmap_area rows[] = {
		{ 0, BAR2_SIZE + 1 },   { BAR2_SIZE, 1 },  { BAR2_SIZE + 1, 0 },
		{ 0x1000, UINT64_MAX }, { UINT64_MAX, 2 }, { UINT64_MAX, UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer answer = usual_answer();
		struct weir_region *region;

		t_note(t, "row %zu", i);
		put_cap(&answer, HEAD, ABI_VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0);
		put_areas(&answer, HEAD, 1, &rows[i], 1);
		EXPECT_ERR(-EIO, weir_device_region(device_that_says(t, &answer), 2, &region));
	}
}

UNIT(region, more_areas_than_bytes_are_refused)
{
	static const uint32_t counts[] = { 64, 0x0fffffff, 0x10000000, UINT32_MAX };

	for (size_t i = 0; i < 4; i++) {
		struct answer answer = usual_answer();
		struct weir_region *region;

		put_cap(&answer, HEAD, ABI_VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0);
		put_areas(&answer, HEAD, counts[i], NULL, 0);
		EXPECT_ERR(-EIO, weir_device_region(device_that_says(t, &answer), 2, &region));
	}
}

UNIT(region, a_chain_that_lies_is_followed_no_further)
{
	static const uint32_t starts[] = { 4, HEAD + 2, 1050, 4096, UINT32_MAX - 3 };

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct answer answer = usual_answer();

		t_note(t, "a chain from byte %u", starts[i]);
		answer.info.cap_offset = starts[i];
		EXPECT_EQ(1, info_of(region_of(device_that_says(t, &answer), 2)).num_areas);
	}
}

UNIT(region, without_any_area_there_is_nothing_to_map)
{
	struct answer answer = usual_answer();
	struct weir_region *region;
	void *addr;

	put_cap(&answer, HEAD, ABI_VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0);
	region = region_of(device_that_says(t, &answer), 2);
	EXPECT_EQ(0, info_of(region).num_areas);
	EXPECT_ERR(-EOPNOTSUPP, weir_region_map(region, &addr, NULL));
}

UNIT(region, a_size_beyond_all_memory_cannot_be_mapped)
{
	static const uint64_t sizes[] = { UINT64_MAX, UINT64_MAX - 4095, (uint64_t)1 << 63 };

	for (size_t i = 0; i < 3; i++) {
		struct answer answer = usual_answer();
		struct weir_region *region;
		void *addr;

		answer.info.flags &= ~ABI_VFIO_REGION_INFO_FLAG_CAPS;
		answer.info.size = sizes[i];
		region = region_of(device_that_says(t, &answer), 2);
		EXPECT_LT(weir_region_map(region, &addr, NULL), 0);
	}
}

UNIT(region, what_is_not_there_says_so)
{
	struct weir_device *device = new_device(
		t, new_ioas(t, new_host(t, new_yes_kernel(t), WEIR_BACKEND_IOMMUFD)), YES_ADDRESS_0);
	struct weir_region *region = NULL;

	EXPECT_ERR(-ENOENT, weir_device_region(device, 1, &region));
	EXPECT_ERR(-EINVAL, weir_device_region(device, 9, &region));
	EXPECT_ERR(-EINVAL, weir_device_region(device, UINT32_MAX, &region));
	EXPECT_FALSE(region);
}

/* Refused accesses, at any offset, whether the region is mapped or not. */
static void expect_bounds(struct weir_region *region)
{
	static const uint64_t beyond[] = { YES_BAR_SIZE, YES_BAR_SIZE + 8, UINT64_MAX - 7,
					   UINT64_MAX & ~(uint64_t)0xfff };
	uint64_t value64;
	uint32_t value32;
	uint16_t value16;
	uint8_t value8;

	for (size_t i = 0; i < 4; i++) {
		EXPECT_ERR(-EINVAL, weir_region_read64(region, beyond[i], &value64));
		EXPECT_ERR(-EINVAL, weir_region_read32(region, beyond[i], &value32));
		EXPECT_ERR(-EINVAL, weir_region_read16(region, beyond[i], &value16));
		EXPECT_ERR(-EINVAL, weir_region_read8(region, beyond[i], &value8));
		EXPECT_ERR(-EINVAL, weir_region_write64(region, beyond[i], 0));
		EXPECT_ERR(-EINVAL, weir_region_write8(region, beyond[i], 0));
	}
	EXPECT_ERR(-EINVAL, weir_region_read8(region, UINT64_MAX, &value8));
	EXPECT_ERR(-EINVAL, weir_region_read32(region, UINT64_MAX - 3, &value32));
	EXPECT_ERR(-EINVAL, weir_region_read32(region, 2, &value32));
	EXPECT_ERR(-EINVAL, weir_region_read64(region, YES_BAR_SIZE - 4, &value64));
	EXPECT_OK(weir_region_read64(region, YES_BAR_SIZE - 8, &value64));
	EXPECT_OK(weir_region_read8(region, YES_BAR_SIZE - 1, &value8));
	EXPECT_OK(weir_region_write16(region, YES_BAR_SIZE - 2, 0x1234));
}

UNIT(region, registers_end_with_the_region)
{
	struct weir_device *device =
		new_device(t, new_ioas(t, new_host(t, new_yes_kernel(t), WEIR_BACKEND_TYPE1)), YES_ADDRESS_0);
	struct weir_region *region = region_of(device, WEIR_REGION_BAR0);
	uint32_t value;
	uint64_t len;
	void *addr, *again;

	expect_bounds(region);
	ASSERT_OK(weir_region_map(region, &addr, &len));
	ASSERT_OK(weir_region_map(region, &again, NULL));
	EXPECT_EQ((uintptr_t)addr, (uintptr_t)again);
	EXPECT_EQ(YES_BAR_SIZE, len);
	expect_bounds(region);
	ASSERT_OK(weir_region_write32(region, 8, 0x12345678));
	EXPECT_EQ(0x78, ((unsigned char *)addr)[8]);
	ASSERT_OK(weir_region_read32(region, 8, &value));
	EXPECT_EQ(0x12345678, value);
}
