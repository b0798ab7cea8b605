// SPDX-License-Identifier: MIT
/* Nested page tables, virtual IOMMUs and dirty bits, which only the kernel's mock devices have (A.8, A.11, A.12, A.14). */
#include "conformance/raw/mock.h"

#include <errno.h>

#define APERTURE ((uint64_t)ABI_MOCK_APERTURE_START)

enum { IOTLB = 0x1234 };

/* What the mock is -------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_mock, it_leaves_another_range_and_smaller_pages, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	struct abi_iommu_iova_range range = { 0, 0 };
	struct abi_iommu_ioas_iova_ranges *ranges =
		COMMAND(abi_iommu_ioas_iova_ranges, .ioas_id = ioas, .num_iovas = 1,
			.allowed_iovas = (uintptr_t)&range);

	ASSERT_OK(raw_map(t, iommufd, ioas, new_range(t, PAGE), PAGE, PAGE));
	EXPECT_ERR(-EADDRINUSE,
		   mock_op(t, iommufd,
			   &(struct abi_iommu_test_cmd){ .op = ABI_IOMMU_TEST_OP_MOCK_DOMAIN, .id = ioas }));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), PAGE);
	new_mock(t, iommufd, ioas);
	EXPECT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_IOVA_RANGES, ranges));
	EXPECT_EQ(range.start, ABI_MOCK_APERTURE_START);
	EXPECT_EQ(range.last, ABI_MOCK_APERTURE_LAST);
	EXPECT_EQ(ranges->out_iova_alignment, ABI_MOCK_PAGE_SIZE);
}

CONFORMANCE(raw_mock, it_tracks_what_is_written_and_has_no_pasids, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	struct mock mock = new_mock(t, iommufd, raw_ioas(t, iommufd));
	struct abi_iommu_hw_info *info = COMMAND(abi_iommu_hw_info, .dev_id = mock.id);

	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_GET_HW_INFO, info));
	EXPECT_EQ(info->out_data_type, ABI_IOMMU_HW_INFO_TYPE_SELFTEST);
	EXPECT_EQ(info->out_capabilities,
		  ABI_IOMMU_HW_CAP_DIRTY_TRACKING | ABI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
	EXPECT_EQ(info->out_max_pasid_log2, 0);
}

/* Nested page tables ------------------------------------------------------------------------------------------------ */

CONFORMANCE(raw_mock, data_of_a_nested_table_is_of_one_type_and_length, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), nested;
	struct mock mock = new_mock(t, iommufd, ioas);
	uint32_t parent = new_parent(t, iommufd, mock, ioas), data[4] = { IOTLB };
	const struct {
		const char *what;
		int error;
		uint32_t type, len;
	} rows[] = { { "too short", -EINVAL, ABI_IOMMU_HWPT_DATA_SELFTEST, 3 },
		     { "too long", -EINVAL, ABI_IOMMU_HWPT_DATA_SELFTEST, sizeof(data) },
		     { "another driver's", -EOPNOTSUPP, ABI_IOMMU_HWPT_DATA_VTD_S1, 8 },
		     { "its own", 0, ABI_IOMMU_HWPT_DATA_SELFTEST, 8 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		EXPECT_EQ(raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_ALLOC,
				    COMMAND(abi_iommu_hwpt_alloc, .dev_id = mock.id, .pt_id = parent,
					    .data_type = rows[i].type, .data_len = rows[i].len,
					    .data_uptr = (uintptr_t)data)),
			  rows[i].error);
	}
	/* An automatic table is no parent. */
	EXPECT_ERR(-EINVAL, mock_nest(t, iommufd, mock, mock.hwpt, IOTLB, &nested));
}

/* @type of @num entries of @len bytes; *@num: how many were done. */
static int invalidate(struct t *t, int iommufd, uint32_t id, uint32_t type, const void *entries, uint32_t len,
		      uint32_t *num)
{
	struct abi_iommu_hwpt_invalidate *cmd =
		COMMAND(abi_iommu_hwpt_invalidate, .hwpt_id = id, .data_uptr = (uintptr_t)entries,
			.data_type = type, .entry_len = len, .entry_num = *num);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_INVALIDATE, cmd);

	*num = cmd->entry_num;
	return error;
}

static int check_iotlb(struct t *t, int iommufd, uint32_t nested, uint32_t slot, uint32_t value)
{
	return mock_op(t, iommufd,
		       &(struct abi_iommu_test_cmd){ .op = ABI_IOMMU_TEST_OP_MD_CHECK_IOTLB,
						     .id = nested,
						     .check_iotlb = { slot, value } });
}

CONFORMANCE(raw_mock, invalidations_are_done_until_one_is_wrong, NEEDS(IOMMUFD, MOCK))
{
	const struct abi_iommu_hwpt_invalidate_selftest entries[4] = {
		{ 0, 0 }, { 0, 1 }, { 0, 99 }, { 0, 2 }
	};
	const uint32_t type = ABI_IOMMU_HWPT_INVALIDATE_DATA_SELFTEST;
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), nested, num = 4;
	struct mock mock = new_mock(t, iommufd, ioas);

	ASSERT_OK(mock_nest(t, iommufd, mock, new_parent(t, iommufd, mock, ioas), IOTLB, &nested));
	EXPECT_ERR(-EINVAL, invalidate(t, iommufd, nested, type, entries, sizeof(entries[0]), &num));
	EXPECT_EQ(num, 2);
	EXPECT_OK(check_iotlb(t, iommufd, nested, 0, 0));
	EXPECT_OK(check_iotlb(t, iommufd, nested, 1, 0));
	EXPECT_OK(check_iotlb(t, iommufd, nested, 2, IOTLB));
	EXPECT_ERR(-EINVAL, check_iotlb(t, iommufd, nested, 2, 0));
	/* Those that were done may be done again. */
	EXPECT_OK(invalidate(t, iommufd, nested, type, entries, sizeof(entries[0]), &num));
	EXPECT_EQ(num, 2);

	/* An entry is as long as the kernel knows it. */
	num = 1;
	EXPECT_ERR(-EINVAL, invalidate(t, iommufd, nested, type, entries, sizeof(entries[0]) + 4, &num));
	EXPECT_EQ(num, 0);
	EXPECT_OK(invalidate(t, iommufd, nested, type, entries, sizeof(entries[0]), &num));
	EXPECT_ERR(-EINVAL, invalidate(t, iommufd, nested, type + 1, entries, sizeof(entries[0]), &num));
}

/* Virtual IOMMUs ---------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_mock, a_device_has_one_number_and_a_number_one_device, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), vdevice, other;
	struct mock one = new_mock(t, iommufd, ioas), two = new_mock(t, iommufd, ioas);
	uint32_t viommu = new_viommu(t, iommufd, one, new_parent(t, iommufd, one, ioas));

	EXPECT_OK(mock_number(t, iommufd, one, viommu, 7, &vdevice));
	EXPECT_ERR(-EEXIST, mock_number(t, iommufd, one, viommu, 8, &other));
	EXPECT_ERR(-EEXIST, mock_number(t, iommufd, two, viommu, 7, &other));
	EXPECT_OK(mock_number(t, iommufd, two, viommu, 8, &other));
}

CONFORMANCE(raw_mock, a_number_may_go_while_its_device_is_attached, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), vdevice, nested;
	struct mock mock = new_mock(t, iommufd, ioas);
	uint32_t viommu = new_viommu(t, iommufd, mock, new_parent(t, iommufd, mock, ioas));

	ASSERT_OK(mock_nest(t, iommufd, mock, viommu, IOTLB, &nested));
	EXPECT_ERR(-ENOENT, mock_replace(t, iommufd, mock, nested));
	ASSERT_OK(mock_number(t, iommufd, mock, viommu, 7, &vdevice));
	EXPECT_OK(mock_replace(t, iommufd, mock, nested));
	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, nested));
	EXPECT_OK(raw_destroy(t, iommufd, vdevice));
	EXPECT_ERR(-ENOENT, raw_destroy(t, iommufd, vdevice));
}

/* The lowest free id is given again, always, but for this one. */
CONFORMANCE(raw_mock, the_number_of_a_device_that_went_is_gone_for_good, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), vdevice;
	struct mock mock = new_mock(t, iommufd, ioas);
	uint32_t viommu = new_viommu(t, iommufd, mock, new_parent(t, iommufd, mock, ioas));

	ASSERT_OK(mock_number(t, iommufd, mock, viommu, 7, &vdevice));
	EXPECT_OK(raw_destroy(t, iommufd, mock.device));
	EXPECT_ERR(-ENOENT, raw_destroy(t, iommufd, vdevice));
	for (int i = 0; i < 8; i++)
		EXPECT_NE(raw_ioas(t, iommufd), vdevice);
}

/* Entries for a virtual IOMMU may be longer than the kernel knows them, like commands. */
CONFORMANCE(raw_mock, a_virtual_iommus_invalidations_may_be_longer, NEEDS(IOMMUFD, MOCK))
{
	struct {
		struct abi_iommu_viommu_invalidate_selftest known;
		uint32_t tail;
	} entry = { { .vdev_id = 7, .cache_id = 1 }, 0 };
	const uint32_t type = ABI_IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST;
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), vdevice, num = 1;
	struct mock mock = new_mock(t, iommufd, ioas);
	uint32_t viommu = new_viommu(t, iommufd, mock, new_parent(t, iommufd, mock, ioas));
	struct abi_iommu_test_cmd check = { .op = ABI_IOMMU_TEST_OP_DEV_CHECK_CACHE,
					    .id = mock.id,
					    .check_dev_cache = { 1, ABI_IOMMU_TEST_DEV_CACHE_DEFAULT } };

	ASSERT_OK(mock_number(t, iommufd, mock, viommu, 7, &vdevice));
	EXPECT_OK(mock_op(t, iommufd, &check));
	EXPECT_OK(invalidate(t, iommufd, viommu, type, &entry, sizeof(entry), &num));
	check.check_dev_cache.cache = 0;
	EXPECT_OK(mock_op(t, iommufd, &check));
	entry.tail = 1;
	EXPECT_ERR(-E2BIG, invalidate(t, iommufd, viommu, type, &entry, sizeof(entry), &num));
	EXPECT_EQ(num, 0);
}

CONFORMANCE(raw_mock, what_a_hardware_queue_uses_is_not_unmapped, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	struct mock mock = new_mock(t, iommufd, ioas);
	uint32_t viommu = new_viommu(t, iommufd, mock, new_parent(t, iommufd, mock, ioas));
	struct abi_iommu_hw_queue_alloc *alloc = COMMAND(abi_iommu_hw_queue_alloc, .viommu_id = viommu,
							 .type = ABI_IOMMU_HW_QUEUE_TYPE_SELFTEST,
							 .nesting_parent_iova = APERTURE, .length = PAGE);
	uint64_t len = PAGE, all = UINT64_MAX;

	EXPECT_ERR(-ENOENT, raw_ioctl(t, iommufd, ABI_IOMMU_HW_QUEUE_ALLOC, alloc));
	ASSERT_OK(raw_map(t, iommufd, ioas, new_range(t, PAGE), PAGE, APERTURE));
	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_HW_QUEUE_ALLOC, alloc));
	EXPECT_ERR(-EBUSY, raw_unmap(t, iommufd, ioas, APERTURE, &len));
	EXPECT_ERR(-EBUSY, raw_unmap(t, iommufd, ioas, 0, &all));
	EXPECT_OK(raw_destroy(t, iommufd, alloc->out_hw_queue_id));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), PAGE);
}

/* Dirty bits -------------------------------------------------------------------------------------------------------- */

/* A page table that tracks, in which @num pages are mapped one by one from the first address on. */
static uint32_t new_tracking(struct t *t, int iommufd, unsigned int num)
{
	uint32_t ioas = raw_ioas(t, iommufd), hwpt;
	struct mock mock = new_mock(t, iommufd, ioas);
	uint64_t addr = new_range(t, num * PAGE);

	ASSERT_OK(raw_hwpt_alloc(t, iommufd, mock.id, ioas, ABI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &hwpt));
	for (unsigned int i = 0; i < num; i++)
		ASSERT_OK(raw_map(t, iommufd, ioas, addr + i * PAGE, PAGE, APERTURE + i * PAGE));
	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_SET_DIRTY_TRACKING,
			    COMMAND(abi_iommu_hwpt_set_dirty_tracking, .hwpt_id = hwpt,
				    .flags = ABI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE)));
	return hwpt;
}

static void write_pages(struct t *t, int iommufd, uint32_t hwpt, uint64_t len, uint64_t page, uint64_t bits)
{
	struct abi_iommu_test_cmd cmd = {
		.op = ABI_IOMMU_TEST_OP_DIRTY,
		.id = hwpt,
		.dirty = { .iova = APERTURE, .length = len, .page_size = page, .uptr = (uintptr_t)&bits }
	};

	ASSERT_OK(mock_op(t, iommufd, &cmd));
}

static int get_dirty(struct t *t, int iommufd, uint32_t hwpt, uint64_t len, uint64_t page, uintptr_t bitmap)
{
	return raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_GET_DIRTY_BITMAP,
			 COMMAND(abi_iommu_hwpt_get_dirty_bitmap, .hwpt_id = hwpt, .iova = APERTURE,
				 .length = len, .page_size = page, .data = bitmap));
}

CONFORMANCE(raw_mock, dirty_bits_are_added_and_lost_without_an_error, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	uint32_t hwpt = new_tracking(t, iommufd, 4);
	uint64_t bits = 8, none = 0;

	write_pages(t, iommufd, hwpt, 4 * PAGE, PAGE, 5);
	EXPECT_OK(get_dirty(t, iommufd, hwpt, 4 * PAGE, PAGE, (uintptr_t)&bits));
	EXPECT_EQ(bits, 8 | 5);
	EXPECT_OK(get_dirty(t, iommufd, hwpt, 4 * PAGE, PAGE, (uintptr_t)&none));
	EXPECT_EQ(none, 0);
	/* Nowhere to write them to, and they are gone. */
	write_pages(t, iommufd, hwpt, 4 * PAGE, PAGE, 5);
	EXPECT_OK(get_dirty(t, iommufd, hwpt, 4 * PAGE, PAGE, no_memory(t, PAGE)));
	EXPECT_OK(get_dirty(t, iommufd, hwpt, 4 * PAGE, PAGE, (uintptr_t)&none));
	EXPECT_EQ(none, 0);
	/* A hole behind them is no error, nor is a page that is no power of two. */
	EXPECT_OK(get_dirty(t, iommufd, hwpt, 8 * PAGE, PAGE, (uintptr_t)&none));
	EXPECT_OK(get_dirty(t, iommufd, hwpt, 4 * PAGE, 3000, (uintptr_t)&none));
}

/* Of a group of entries that are one page, the last is missed. */
CONFORMANCE(raw_mock, the_end_of_a_dirty_page_is_missed, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t);
	uint32_t hwpt = new_tracking(t, iommufd, 1);
	uint64_t bits = 0;

	write_pages(t, iommufd, hwpt, PAGE, ABI_MOCK_PAGE_SIZE, 3);
	EXPECT_OK(get_dirty(t, iommufd, hwpt, PAGE, ABI_MOCK_PAGE_SIZE, (uintptr_t)&bits));
	EXPECT_EQ(bits, 1);
}
