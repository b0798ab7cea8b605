// SPDX-License-Identifier: MIT
/* Page tables: automatic ones by attaching, those made by hand, what they tell and what they refuse (A.3, A.8 to A.14). */
#include "conformance/raw/raw.h"

#include <errno.h>

/* Attaching (A.3, A.4.1, A.9) --------------------------------------------------------------------------------------- */

CONFORMANCE(raw_attach, a_page_table_comes_and_goes_with_its_devices, NEEDS(IOMMUFD, EDU0, NVME0))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0"), nvme = new_bound(t, iommufd, "NVME0");
	uint32_t ioas = raw_ioas(t, iommufd), hwpt = attached(t, edu.fd, ioas);

	EXPECT_EQ(ioas, 3);
	EXPECT_EQ(hwpt, 4);
	/* The space again, or the table itself: nothing changes. */
	EXPECT_EQ(attached(t, edu.fd, ioas), hwpt);
	EXPECT_EQ(attached(t, edu.fd, hwpt), hwpt);
	EXPECT_EQ(attached(t, nvme.fd, ioas), hwpt);
	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, hwpt));
	EXPECT_OK(raw_detach(t, edu.fd));
	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, hwpt));
	EXPECT_OK(raw_detach(t, nvme.fd));
	EXPECT_ERR(-ENOENT, raw_destroy(t, iommufd, hwpt));
	EXPECT_OK(raw_destroy(t, iommufd, ioas));
}

CONFORMANCE(raw_attach, an_automatic_page_table_goes_when_it_is_replaced, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint32_t one = raw_ioas(t, iommufd), two = raw_ioas(t, iommufd), manual, hwpt;

	hwpt = attached(t, edu.fd, one);
	EXPECT_NE(attached(t, edu.fd, two), hwpt);
	EXPECT_ERR(-ENOENT, raw_destroy(t, iommufd, hwpt));
	EXPECT_OK(raw_destroy(t, iommufd, one));
	/* One made by hand stays, and is not chosen by itself. */
	ASSERT_OK(raw_hwpt_alloc(t, iommufd, edu.id, two, 0, &manual));
	EXPECT_EQ(attached(t, edu.fd, manual), manual);
	EXPECT_NE(attached(t, edu.fd, two), manual);
	EXPECT_OK(raw_detach(t, edu.fd));
	EXPECT_OK(raw_destroy(t, iommufd, manual));
}

CONFORMANCE(raw_attach, what_is_mapped_where_it_cannot_be_stands_in_the_way, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint32_t ioas = raw_ioas(t, iommufd), pt_id = ioas;
	const struct abi_iommu_iova_range window = { MSI_FIRST, MSI_LAST };
	uint64_t addr = new_range(t, 2 * PAGE);
	const struct {
		uint64_t addr, len, iova;
	} wrong[] = { { addr, PAGE, MSI_FIRST },
		      { addr, PAGE, 1ull << 48 },
		      { addr, 100, MIB },
		      { addr + 1, PAGE, MIB + 1 },
		      { addr + 1, PAGE, MIB } };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t_note(t, "row %zu", i);
		ASSERT_OK(raw_map(t, iommufd, ioas, wrong[i].addr, wrong[i].len, wrong[i].iova));
		EXPECT_ERR(-EADDRINUSE, raw_attach(t, edu.fd, &pt_id));
		EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), wrong[i].len);
	}
	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_ALLOW_IOVAS,
			    COMMAND(abi_iommu_ioas_allow_iovas, .ioas_id = ioas, .num_iovas = 1,
				    .allowed_iovas = (uintptr_t)&window)));
	EXPECT_ERR(-EADDRINUSE, raw_attach(t, edu.fd, &pt_id));
}

CONFORMANCE(raw_attach, only_a_space_or_a_page_table_will_do, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint32_t itself = edu.id, missing = 99;

	EXPECT_ERR(-EINVAL, raw_attach(t, edu.fd, &itself));
	EXPECT_ERR(-ENOENT, raw_attach(t, edu.fd, &missing));
	EXPECT_ERR(-EINVAL, raw_ioctl(t, edu.fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
				      ARGS(abi_vfio_device_attach_iommufd_pt, .flags = 2,
					   .pt_id = raw_ioas(t, iommufd))));
}

CONFORMANCE(raw_attach, detaching_what_is_not_attached_is_no_error, NEEDS(IOMMUFD, EDU0))
{
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");

	EXPECT_OK(raw_detach(t, edu.fd));
	EXPECT_OK(raw_detach(t, edu.fd));
}

/* Making one (A.8) -------------------------------------------------------------------------------------------------- */

struct hwpt_row {
	const char *what;
	int error;
	struct abi_iommu_hwpt_alloc cmd;
};

CONFORMANCE(raw_hwpt, requests_are_checked_in_the_kernels_order, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint32_t ioas = raw_ioas(t, iommufd), hwpt = attached(t, edu.fd, ioas), plain;
	const struct hwpt_row rows[] = {
		{ "reserved word", -EOPNOTSUPP, { .__reserved = 1, .data_len = 1 } },
		{ "data of no kind", -EINVAL, { .data_len = 1 } },
		{ "a kind without data", -EINVAL, { .data_type = 1 } },
		{ "no such device", -ENOENT, { .dev_id = 99, .pt_id = ioas } },
		{ "the space is no device", -ENOENT, { .dev_id = ioas, .pt_id = ioas } },
		{ "no such parent", -EINVAL, { .dev_id = edu.id, .pt_id = 99 } },
		{ "a device is no parent", -EINVAL, { .dev_id = edu.id, .pt_id = edu.id } },
		{ "unknown flag", -EOPNOTSUPP, { .dev_id = edu.id, .pt_id = ioas, .flags = 16 } },
		{ "dirty tracking, which it has not",
		  -EOPNOTSUPP,
		  { .dev_id = edu.id, .pt_id = ioas, .flags = 2 } },
		{ "nesting, which it has not", -EOPNOTSUPP, { .dev_id = edu.id, .pt_id = ioas, .flags = 1 } },
		{ "data for a plain table",
		  -EOPNOTSUPP,
		  { .dev_id = edu.id,
		    .pt_id = ioas,
		    .data_type = 1,
		    .data_len = 24,
		    .data_uptr = (uintptr_t)&plain } },
		{ "nested, without data", -EOPNOTSUPP, { .dev_id = edu.id, .pt_id = hwpt } },
		{ "nested in an automatic table",
		  -EINVAL,
		  { .dev_id = edu.id,
		    .pt_id = hwpt,
		    .data_type = 1,
		    .data_len = 24,
		    .data_uptr = (uintptr_t)&plain } },
		{ "no such queue of faults",
		  -ENOENT,
		  { .dev_id = edu.id,
		    .pt_id = ioas,
		    .flags = ABI_IOMMU_HWPT_FAULT_ID_VALID,
		    .fault_id = 99 } },
		{ "the last word, which nobody looks at",
		  0,
		  { .dev_id = edu.id, .pt_id = ioas, .__reserved2 = 1 } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct abi_iommu_hwpt_alloc cmd = rows[i].cmd;

		t_note(t, "%s", rows[i].what);
		cmd.size = sizeof(cmd);
		EXPECT_EQ(raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_ALLOC, &cmd), rows[i].error);
	}
}

/* A parent has to be made as one. */
CONFORMANCE(raw_hwpt, a_plain_page_table_is_no_parent, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	struct abi_iommu_hwpt_vtd_s1 data = { .addr_width = 48 };
	uint32_t ioas = raw_ioas(t, iommufd), hwpt;

	ASSERT_OK(raw_hwpt_alloc(t, iommufd, edu.id, ioas, 0, &hwpt));
	EXPECT_ERR(-EINVAL, raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_ALLOC,
				      COMMAND(abi_iommu_hwpt_alloc, .dev_id = edu.id, .pt_id = hwpt,
					      .data_type = ABI_IOMMU_HWPT_DATA_VTD_S1,
					      .data_len = sizeof(data), .data_uptr = (uintptr_t)&data)));
}

/* PASIDs (A.9.1) ---------------------------------------------------------------------------------------------------- */

static int attach_pasid(struct t *t, const struct raw_device *device, uint32_t pasid, uint32_t pt_id)
{
	return raw_ioctl(t, device->fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
			 ARGS(abi_vfio_device_attach_iommufd_pt, .flags = ABI_VFIO_DEVICE_ATTACH_PASID,
			      .pt_id = pt_id, .pasid = pasid));
}

static int detach_pasid(struct t *t, const struct raw_device *device, uint32_t pasid)
{
	return raw_ioctl(t, device->fd, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT,
			 ARGS(abi_vfio_device_detach_iommufd_pt, .flags = ABI_VFIO_DEVICE_DETACH_PASID,
			      .pasid = pasid));
}

/* The edu has none. Nobody says so when the page table is one for PASIDs; it is held, and that is all. */
CONFORMANCE(raw_attach, pasids_of_a_device_without_any_are_accepted, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint32_t ioas = raw_ioas(t, iommufd), plain, table;

	ASSERT_OK(raw_hwpt_alloc(t, iommufd, edu.id, ioas, 0, &plain));
	ASSERT_OK(raw_hwpt_alloc(t, iommufd, edu.id, ioas, ABI_IOMMU_HWPT_ALLOC_PASID, &table));
	EXPECT_ERR(-ENOENT, attach_pasid(t, &edu, 5, 99));
	EXPECT_ERR(-EINVAL, attach_pasid(t, &edu, 5, edu.id));
	EXPECT_ERR(-EINVAL, attach_pasid(t, &edu, 5, ioas));
	EXPECT_ERR(-EINVAL, attach_pasid(t, &edu, 5, plain));
	EXPECT_OK(attach_pasid(t, &edu, 5, table));
	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, table));
	EXPECT_OK(attach_pasid(t, &edu, 5, table));
	/* While it is, the device as such can only be on a table for PASIDs. */
	EXPECT_ERR(-EINVAL, raw_attach(t, edu.fd, &plain));
	EXPECT_ERR(-EINVAL, raw_attach(t, edu.fd, &ioas));
	EXPECT_OK(raw_attach(t, edu.fd, &table));
	EXPECT_OK(detach_pasid(t, &edu, 5));
	EXPECT_OK(detach_pasid(t, &edu, 5));
	EXPECT_OK(raw_attach(t, edu.fd, &plain));
	EXPECT_ERR(-EINVAL, attach_pasid(t, &edu, 5, table));
	EXPECT_OK(raw_detach(t, edu.fd));
	EXPECT_OK(raw_destroy(t, iommufd, table));
}

/* What the IOMMU is (A.10) ------------------------------------------------------------------------------------------ */

CONFORMANCE(raw_hwpt, the_iommu_tells_what_it_is, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	struct abi_iommu_hw_info_vtd data[2];
	struct abi_iommu_hw_info *info = COMMAND(abi_iommu_hw_info, .dev_id = edu.id,
						 .data_len = sizeof(data), .data_uptr = (uintptr_t)data);

	data[1].flags = 0x5a;
	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_GET_HW_INFO, info));
	EXPECT_EQ(info->out_data_type, ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD);
	EXPECT_EQ(info->out_capabilities, ABI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
	EXPECT_EQ(info->out_max_pasid_log2, 0);
	EXPECT_EQ(info->data_len, sizeof(data[0]));
	EXPECT_EQ(data[0].flags, ABI_IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17);
	EXPECT_EQ(data[1].flags, 0);
	EXPECT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_GET_HW_INFO, COMMAND(abi_iommu_hw_info, .dev_id = edu.id)));
	EXPECT_ERR(-EOPNOTSUPP, raw_ioctl(t, iommufd, ABI_IOMMU_GET_HW_INFO,
					  COMMAND(abi_iommu_hw_info, .dev_id = edu.id,
						  .flags = ABI_IOMMU_HW_INFO_FLAG_INPUT_TYPE,
						  .in_data_type = ABI_IOMMU_HW_INFO_TYPE_AMD)));
	EXPECT_ERR(-ENOENT,
		   raw_ioctl(t, iommufd, ABI_IOMMU_GET_HW_INFO, COMMAND(abi_iommu_hw_info, .dev_id = 99)));
}

/* What this IOMMU has not (A.11, A.12, A.14) ------------------------------------------------------------------------ */

CONFORMANCE(raw_hwpt, a_plain_page_table_has_nothing_to_invalidate, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	struct abi_iommu_hwpt_vtd_s1_invalidate entry = { .npages = 1 };
	struct abi_iommu_hwpt_invalidate *invalidate =
		COMMAND(abi_iommu_hwpt_invalidate, .hwpt_id = attached(t, edu.fd, raw_ioas(t, iommufd)),
			.data_uptr = (uintptr_t)&entry, .entry_len = sizeof(entry), .entry_num = 1);

	EXPECT_ERR(-EINVAL, raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_INVALIDATE, invalidate));
	EXPECT_EQ(invalidate->entry_num, 0);
	invalidate->entry_num = 1;
	invalidate->hwpt_id = 99;
	EXPECT_ERR(-ENOENT, raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_INVALIDATE, invalidate));
	EXPECT_EQ(invalidate->entry_num, 0);
	invalidate->entry_num = 1;
	invalidate->__reserved = 1;
	EXPECT_ERR(-EOPNOTSUPP, raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_INVALIDATE, invalidate));
	EXPECT_EQ(invalidate->entry_num, 0);
}

static int get_dirty(struct t *t, int iommufd, uint32_t hwpt, uint64_t iova, uint64_t len, uint64_t page)
{
	uint64_t bitmap[4] = { 0 };

	return raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_GET_DIRTY_BITMAP,
			 COMMAND(abi_iommu_hwpt_get_dirty_bitmap, .hwpt_id = hwpt, .iova = iova,
				 .length = len, .page_size = page, .data = (uintptr_t)bitmap));
}

CONFORMANCE(raw_hwpt, what_was_written_is_not_tracked, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	uint32_t hwpt = attached(t, new_bound(t, iommufd, "EDU0").fd, raw_ioas(t, iommufd));

	EXPECT_ERR(-EOPNOTSUPP, get_dirty(t, iommufd, hwpt, MIB, 3 * PAGE, PAGE));
	EXPECT_ERR(-EINVAL, get_dirty(t, iommufd, hwpt, MIB, PAGE, 0));
	EXPECT_ERR(-EINVAL, get_dirty(t, iommufd, hwpt, MIB + 1, PAGE, PAGE));
	EXPECT_ERR(-EOVERFLOW, get_dirty(t, iommufd, hwpt, -PAGE, 2 * PAGE, PAGE));
	EXPECT_ERR(-ENOENT, get_dirty(t, iommufd, 99, MIB, PAGE, PAGE));
	EXPECT_ERR(-EOPNOTSUPP,
		   raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_SET_DIRTY_TRACKING,
			     COMMAND(abi_iommu_hwpt_set_dirty_tracking, .hwpt_id = hwpt, .flags = 1)));
	EXPECT_ERR(-ENOENT, raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_SET_DIRTY_TRACKING,
				      COMMAND(abi_iommu_hwpt_set_dirty_tracking, .hwpt_id = 99, .flags = 1)));
}

CONFORMANCE(raw_hwpt, there_are_no_virtual_iommus, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint32_t hwpt = attached(t, edu.fd, raw_ioas(t, iommufd));

	EXPECT_ERR(-EOPNOTSUPP,
		   raw_ioctl(t, iommufd, ABI_IOMMU_VIOMMU_ALLOC,
			     COMMAND(abi_iommu_viommu_alloc, .dev_id = edu.id, .hwpt_id = hwpt)));
	EXPECT_ERR(-EOPNOTSUPP,
		   raw_ioctl(t, iommufd, ABI_IOMMU_VIOMMU_ALLOC,
			     COMMAND(abi_iommu_viommu_alloc, .type = ABI_IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
				     .dev_id = edu.id, .hwpt_id = hwpt)));
	EXPECT_ERR(-ENOENT, raw_ioctl(t, iommufd, ABI_IOMMU_VDEVICE_ALLOC,
				      COMMAND(abi_iommu_vdevice_alloc, .dev_id = edu.id, .viommu_id = hwpt)));
}
