// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_COPY and IOMMU_IOAS_UNMAP (A.4.6, A.4.7). */
#include "conformance/raw/raw.h"

#include <errno.h>

/* Unmapping --------------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_unmap, everything_may_be_nothing, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);

	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), 0);
	ASSERT_OK(raw_map(t, iommufd, ioas, new_range(t, 2 * PAGE), 2 * PAGE, MIB));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), 2 * PAGE);
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), 0);
}

CONFORMANCE(raw_unmap, nothing_found_is_an_error_and_writes_no_length, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t len = PAGE;

	EXPECT_ERR(-ENOENT, raw_unmap(t, iommufd, ioas, MIB, &len));
	EXPECT_EQ(len, PAGE);
}

CONFORMANCE(raw_unmap, what_is_no_range_is_refused, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t none = 0, all = UINT64_MAX, page = PAGE;

	EXPECT_ERR(-EINVAL, raw_unmap(t, iommufd, ioas, MIB, &none));
	EXPECT_ERR(-EOVERFLOW, raw_unmap(t, iommufd, ioas, PAGE, &all));
	EXPECT_ERR(-EOVERFLOW, raw_unmap(t, iommufd, ioas, UINT64_MAX, &page));
	EXPECT_ERR(-ENOENT, raw_unmap(t, iommufd, ioas + 1, MIB, &page));
}

/* In ascending order, until one reaches out of the range: those before it are gone then, and nobody says so. */
CONFORMANCE(raw_unmap, a_range_that_cuts_takes_those_before_the_cut, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t addr = new_range(t, 2 * PAGE), len = 3 * PAGE;

	ASSERT_OK(raw_map(t, iommufd, ioas, addr, PAGE, MIB));
	ASSERT_OK(raw_map(t, iommufd, ioas, addr, 2 * PAGE, MIB + 2 * PAGE));
	EXPECT_ERR(-ENOENT, raw_unmap(t, iommufd, ioas, MIB, &len));
	EXPECT_EQ(len, 3 * PAGE);
	EXPECT_FALSE(is_taken(t, iommufd, ioas, MIB));
	EXPECT_TRUE(is_taken(t, iommufd, ioas, MIB + 2 * PAGE));
	EXPECT_TRUE(is_taken(t, iommufd, ioas, MIB + 3 * PAGE));
	len = PAGE;
	EXPECT_ERR(-ENOENT, raw_unmap(t, iommufd, ioas, MIB + 3 * PAGE, &len));
	/* Holes are no hindrance. */
	ASSERT_OK(raw_map(t, iommufd, ioas, addr, PAGE, MIB));
	len = 4 * PAGE;
	EXPECT_OK(raw_unmap(t, iommufd, ioas, MIB, &len));
	EXPECT_EQ(len, 3 * PAGE);
}

/* Copying ----------------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_copy, a_part_of_what_is_mapped_can_be_copied, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t from = raw_ioas(t, iommufd), to = raw_ioas(t, iommufd);
	uint64_t addr = new_range(t, 4 * PAGE), len = PAGE;

	ASSERT_OK(raw_map(t, iommufd, from, addr, 2 * PAGE, MIB));
	ASSERT_OK(raw_map(t, iommufd, from, addr, 2 * PAGE, MIB + 2 * PAGE));
	EXPECT_OK(raw_copy(t, iommufd, from, MIB + PAGE, PAGE, to, MIB));
	EXPECT_OK(raw_unmap(t, iommufd, to, MIB, &len));
	EXPECT_EQ(len, PAGE);
	/* Of two mappings come two, which can be unmapped one by one. */
	EXPECT_OK(raw_copy(t, iommufd, from, MIB + PAGE, 2 * PAGE, to, MIB));
	EXPECT_OK(raw_unmap(t, iommufd, to, MIB, &len));
	EXPECT_EQ(raw_unmap_all(t, iommufd, to), PAGE);
	/* The space may be the same. */
	EXPECT_OK(raw_copy(t, iommufd, from, MIB, PAGE, from, 8 * MIB));
	EXPECT_ERR(-EEXIST, raw_copy(t, iommufd, from, MIB, PAGE, from, 8 * MIB));
}

CONFORMANCE(raw_copy, holes_are_not_copied, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t from = raw_ioas(t, iommufd), to = raw_ioas(t, iommufd);
	uint64_t addr = new_range(t, PAGE);

	ASSERT_OK(raw_map(t, iommufd, from, addr, PAGE, MIB));
	ASSERT_OK(raw_map(t, iommufd, from, addr, PAGE, MIB + 2 * PAGE));
	EXPECT_ERR(-ENOENT, raw_copy(t, iommufd, from, MIB, 3 * PAGE, to, MIB));
	EXPECT_ERR(-ENOENT, raw_copy(t, iommufd, from, MIB + 2 * PAGE, 2 * PAGE, to, MIB));
	EXPECT_ERR(-ENOENT, raw_copy(t, iommufd, from, 2 * MIB, PAGE, to, MIB));
	EXPECT_EQ(raw_unmap_all(t, iommufd, to), 0);
}

CONFORMANCE(raw_copy, what_was_mapped_for_reading_is_not_copied_for_writing, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t from = raw_ioas(t, iommufd), to = raw_ioas(t, iommufd);
	const uint32_t flags = ABI_IOMMU_IOAS_MAP_READABLE | ABI_IOMMU_IOAS_MAP_FIXED_IOVA;

	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_MAP,
			    COMMAND(abi_iommu_ioas_map, .flags = flags, .ioas_id = from,
				    .user_va = new_range(t, PAGE), .length = PAGE, .iova = MIB)));
	EXPECT_ERR(-EPERM, raw_copy(t, iommufd, from, MIB, PAGE, to, MIB));
	EXPECT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_COPY,
			    COMMAND(abi_iommu_ioas_copy, .flags = flags, .src_ioas_id = from, .src_iova = MIB,
				    .dst_ioas_id = to, .dst_iova = MIB, .length = PAGE)));
}

CONFORMANCE(raw_copy, a_copy_outlives_what_it_was_made_of, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	uint32_t from = raw_ioas(t, iommufd), to = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");

	ASSERT_OK(raw_map(t, iommufd, from, new_range(t, PAGE), PAGE, MIB));
	ASSERT_OK(raw_copy(t, iommufd, from, MIB, PAGE, to, 2 * MIB));
	EXPECT_EQ(raw_unmap_all(t, iommufd, from), PAGE);
	EXPECT_OK(raw_destroy(t, iommufd, from));
	attached(t, edu.fd, to);
	EXPECT_OK(raw_copy(t, iommufd, to, 2 * MIB, PAGE, to, 4 * MIB));
	/* They share their pages, which are pinned once. */
	EXPECT_EQ(pinned_bytes(), PAGE);
	EXPECT_EQ(raw_unmap_all(t, iommufd, to), 2 * PAGE);
	EXPECT_EQ(pinned_bytes(), 0);
}
