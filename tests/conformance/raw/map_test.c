// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_MAP, of memory: what is checked, when it is pinned, where it goes. */
#include "conformance/raw/raw.h"

#include <errno.h>
#include <fcntl.h>

enum { R = ABI_IOMMU_IOAS_MAP_READABLE, W = ABI_IOMMU_IOAS_MAP_WRITEABLE, F = ABI_IOMMU_IOAS_MAP_FIXED_IOVA };

/* The checks and their order (A.4.4). */
CONFORMANCE(raw_map, requests_are_checked_in_the_kernels_order, NEEDS(IOMMUFD))
{
	static const struct {
		const char *what;
		int error;
		uint32_t flags, ioas;
		uint64_t addr, len, iova;
	} rows[] = {
		{ "unknown flag", -EOPNOTSUPP, 8, 99, 0, UINT64_MAX, 0 },
		{ "the last length", -EOVERFLOW, F, 99, 0, UINT64_MAX, 0 },
		{ "the last address, which is not even used", -EOVERFLOW, 0, 99, 0, 0, UINT64_MAX },
		{ "neither read nor write", -EINVAL, F, 99, 0, 0, 0 },
		{ "no such space", -ENOENT, F | R, 99, 0, 0, 0 },
		{ "no length", -EINVAL, F | R, 1, 0, 0, 0 },
		{ "memory that wraps", -EOVERFLOW, F | R, 1, UINT64_MAX - PAGE, 2 * PAGE, 0 },
		{ "addresses that wrap", -EOVERFLOW, F | R, 1, PAGE, 2 * PAGE, UINT64_MAX - PAGE },
	};
	int iommufd = new_iommufd(t);

	ASSERT_EQ(raw_ioas(t, iommufd), 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		EXPECT_ERR(rows[i].error, raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_MAP,
						    COMMAND(abi_iommu_ioas_map, .flags = rows[i].flags,
							    .ioas_id = rows[i].ioas, .user_va = rows[i].addr,
							    .length = rows[i].len, .iova = rows[i].iova)));
	}
}

CONFORMANCE(raw_map, with_a_device_addresses_are_those_of_its_iommu, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t addr = new_range(t, 2 * PAGE), len = PAGE;

	attached(t, new_bound(t, iommufd, "EDU0").fd, ioas);
	EXPECT_ERR(-EINVAL, raw_map(t, iommufd, ioas, addr, 100, MIB));
	EXPECT_ERR(-EINVAL, raw_map(t, iommufd, ioas, addr, PAGE, MIB + 1));
	EXPECT_ERR(-EINVAL, raw_map(t, iommufd, ioas, addr + 1, PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_map(t, iommufd, ioas, addr, PAGE, MSI_FIRST));
	EXPECT_ERR(-EINVAL, raw_map(t, iommufd, ioas, addr, PAGE, 1ull << 48));
	EXPECT_OK(raw_map(t, iommufd, ioas, addr, PAGE, MIB));
	EXPECT_ERR(-EEXIST, raw_map(t, iommufd, ioas, addr, PAGE, MIB));
	EXPECT_OK(raw_unmap(t, iommufd, ioas, MIB, &len));
	EXPECT_EQ(len, PAGE);
}

CONFORMANCE(raw_map, address_0_is_one_like_any_other_but_never_chosen, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t addr = new_range(t, PAGE), iova = 0;

	EXPECT_OK(raw_map_anywhere(t, iommufd, ioas, addr, PAGE, &iova));
	EXPECT_EQ(iova, PAGE);
	EXPECT_OK(raw_map(t, iommufd, ioas, addr, PAGE, 0));
	EXPECT_TRUE(is_taken(t, iommufd, ioas, 0));
}

/* Lazy pinning (A.4.4) ---------------------------------------------------------------------------------------------- */

/* Mapped without a device it is no error; a device then finds out, by attaching or with a page table of its own. */
static void expect_found_out(struct t *t, int iommufd, struct raw_device device, uint32_t ioas, int error)
{
	uint32_t pt_id = ioas, hwpt;

	EXPECT_ERR(error, raw_attach(t, device.fd, &pt_id));
	EXPECT_EQ(pt_id, ioas);
	EXPECT_ERR(error, raw_hwpt_alloc(t, iommufd, device.id, ioas, 0, &hwpt));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), PAGE);
	EXPECT_OK(raw_attach(t, device.fd, &pt_id));
	EXPECT_OK(raw_detach(t, device.fd));
}

CONFORMANCE(raw_map, what_is_no_memory_shows_when_a_device_comes, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), null = raw_keep(t, open("/dev/null", O_RDWR | O_CLOEXEC));
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");

	EXPECT_OK(raw_map(t, iommufd, ioas, no_memory(t, PAGE), PAGE, MIB));
	expect_found_out(t, iommufd, edu, ioas, -EFAULT);
	EXPECT_OK(raw_map_file(t, iommufd, ioas, null, 0, PAGE, MIB));
	expect_found_out(t, iommufd, edu, ioas, -EINVAL);
	EXPECT_OK(raw_map_file(t, iommufd, ioas, new_memfd(t, PAGE), PAGE, PAGE, MIB));
	expect_found_out(t, iommufd, edu, ioas, -EINVAL);
}

CONFORMANCE(raw_map, what_is_no_memory_shows_at_once_with_a_device, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), null = raw_keep(t, open("/dev/null", O_RDWR | O_CLOEXEC));
	uint32_t ioas = raw_ioas(t, iommufd);

	attached(t, new_bound(t, iommufd, "EDU0").fd, ioas);
	EXPECT_ERR(-EFAULT, raw_map(t, iommufd, ioas, no_memory(t, PAGE), PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_map_file(t, iommufd, ioas, null, 0, PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_map_file(t, iommufd, ioas, new_memfd(t, PAGE), PAGE, PAGE, MIB));
	EXPECT_FALSE(is_taken(t, iommufd, ioas, MIB));
}

/* Registers mapped into the process are no memory either (A.4.4, B.10). */
CONFORMANCE(raw_map, mapped_registers_are_no_memory, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), pt_id = ioas;
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint64_t addr = map_bar(t, edu.fd, ABI_VFIO_PCI_BAR0_REGION_INDEX, PAGE);

	EXPECT_OK(raw_map(t, iommufd, ioas, addr, PAGE, MIB));
	EXPECT_ERR(-EFAULT, raw_attach(t, edu.fd, &pt_id));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), PAGE);
	ASSERT_OK(raw_attach(t, edu.fd, &pt_id));
	EXPECT_ERR(-EFAULT, raw_map(t, iommufd, ioas, addr, PAGE, MIB));
}

/* Chosen addresses (A.4.5) ------------------------------------------------------------------------------------------ */

CONFORMANCE(raw_map, a_chosen_address_is_aligned_as_the_memory_is, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t), small = new_memfd(t, 12 * KIB), large = new_memfd(t, 8 * MIB);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t addr = (new_range(t, 4 * PAGE) | PAGE), iova = 0, len = PAGE;

	EXPECT_OK(raw_map_anywhere(t, iommufd, ioas, addr, PAGE, &iova));
	EXPECT_EQ(iova, 0x1000);
	EXPECT_OK(raw_map_anywhere(t, iommufd, ioas, addr + 123, 100, &iova));
	EXPECT_EQ(iova, 0x207b);
	EXPECT_OK(raw_map_file_anywhere(t, iommufd, ioas, small, 0, 12 * KIB, &iova));
	EXPECT_EQ(iova, 0x4000);
	EXPECT_OK(raw_map_file_anywhere(t, iommufd, ioas, large, 0, 8 * MIB, &iova));
	EXPECT_EQ(iova, 0x200000);
	/* What is given back is taken again, the lowest first. */
	EXPECT_OK(raw_unmap(t, iommufd, ioas, 0x1000, &len));
	EXPECT_OK(raw_map_anywhere(t, iommufd, ioas, addr, PAGE, &iova));
	EXPECT_EQ(iova, 0x1000);
}

CONFORMANCE(raw_map, a_chosen_address_is_aligned_as_the_registers_are, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	int dma_buf = raw_export(t, edu.fd, ABI_VFIO_PCI_BAR0_REGION_INDEX, 0, MIB);
	uint64_t iova = 0;

	ASSERT_GE(dma_buf, 0);
	EXPECT_OK(raw_map_file_anywhere(t, iommufd, ioas, dma_buf, 0, MIB, &iova));
	EXPECT_EQ(iova, 0x100000);
}
