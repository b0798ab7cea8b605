// SPDX-License-Identifier: MIT
/* An Arm SMMUv3 that nests: a parent, the virtual IOMMU over it, and tables of the caller's own (A.8, A.10, A.11, A.14). */
#include "conformance/raw/raw.h"

#include <errno.h>
#include <string.h>

/* A stream table entry's first word: valid, and what it does with the stream's accesses. */
enum { STE_VALID = 1, STE_ABORT = STE_VALID | 0 << 1, STE_BYPASS = STE_VALID | 4 << 1 };

enum { SID = 7, CMD_TLBI_NH_ALL = 0x10, CMD_PREFETCH = 1 };

struct nest {
	int iommufd;
	struct raw_device edu;
	uint32_t ioas, parent, viommu;
};

static int viommu_alloc(struct t *t, int iommufd, uint32_t device, uint32_t parent, uint32_t *ret_id)
{
	struct abi_iommu_viommu_alloc *alloc =
		COMMAND(abi_iommu_viommu_alloc, .type = ABI_IOMMU_VIOMMU_TYPE_ARM_SMMUV3, .dev_id = device,
			.hwpt_id = parent);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_VIOMMU_ALLOC, alloc);

	*ret_id = alloc->out_viommu_id;
	return error;
}

static struct nest new_nest(struct t *t)
{
	struct nest nest = { .iommufd = new_iommufd(t) };

	nest.edu = new_bound(t, nest.iommufd, "EDU0");
	nest.ioas = raw_ioas(t, nest.iommufd);
	ASSERT_OK(raw_hwpt_alloc(t, nest.iommufd, nest.edu.id, nest.ioas, ABI_IOMMU_HWPT_ALLOC_NEST_PARENT,
				 &nest.parent));
	ASSERT_OK(viommu_alloc(t, nest.iommufd, nest.edu.id, nest.parent, &nest.viommu));
	return nest;
}

static int vdevice_alloc(struct t *t, const struct nest *nest, uint64_t sid, uint32_t *ret_id)
{
	struct abi_iommu_vdevice_alloc *alloc = COMMAND(abi_iommu_vdevice_alloc, .viommu_id = nest->viommu,
							.dev_id = nest->edu.id, .virt_id = sid);
	int error = raw_ioctl(t, nest->iommufd, ABI_IOMMU_VDEVICE_ALLOC, alloc);

	*ret_id = alloc->out_vdevice_id;
	return error;
}

/* A table on the virtual IOMMU, or on the parent itself. */
static int nested_alloc(struct t *t, const struct nest *nest, uint32_t on, uint64_t ste0, uint64_t ste1,
			uint32_t *ret_id)
{
	struct abi_iommu_hwpt_arm_smmuv3 ste = { { ste0, ste1 } };
	struct abi_iommu_hwpt_alloc *alloc = COMMAND(abi_iommu_hwpt_alloc, .dev_id = nest->edu.id,
						     .pt_id = on, .data_type = ABI_IOMMU_HWPT_DATA_ARM_SMMUV3,
						     .data_len = sizeof(ste), .data_uptr = (uintptr_t)&ste);
	int error = raw_ioctl(t, nest->iommufd, ABI_IOMMU_HWPT_ALLOC, alloc);

	*ret_id = alloc->out_hwpt_id;
	return error;
}

static int invalidate(struct t *t, const struct nest *nest, uint64_t command, uint32_t num)
{
	struct abi_iommu_viommu_arm_smmuv3_invalidate entry = { { command, 0 } };

	return raw_ioctl(t, nest->iommufd, ABI_IOMMU_HWPT_INVALIDATE,
			 COMMAND(abi_iommu_hwpt_invalidate, .hwpt_id = nest->viommu,
				 .data_type = ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
				 .data_uptr = (uintptr_t)&entry, .entry_len = sizeof(entry),
				 .entry_num = num));
}

/* Whether the edu, with what it is attached to, copies what is at MIB to the page behind it. */
static bool copies(struct t *t, const struct nest *nest, unsigned char *pages)
{
	memset(pages, 0x5a, PAGE);
	memset(pages + PAGE, 0, PAGE);
	raw_dma(t, nest->edu.fd, MIB, MIB + PAGE, PAGE);
	return memcmp(pages, pages + PAGE, PAGE) == 0;
}

CONFORMANCE(raw_smmuv3, an_entry_that_bypasses_leaves_stage_2_in_force, NEEDS(IOMMUFD, EDU0, SMMUV3))
{
	struct nest nest = new_nest(t);
	unsigned char *pages = new_memory(t, 2 * PAGE, 0x5a);
	uint32_t vdevice, bypass, abort_all, id;
	uint64_t len = PAGE;

	ASSERT_OK(raw_map(t, nest.iommufd, nest.ioas, (uintptr_t)pages, 2 * PAGE, MIB));
	ASSERT_OK(vdevice_alloc(t, &nest, SID, &vdevice));
	ASSERT_OK(nested_alloc(t, &nest, nest.viommu, STE_BYPASS, 0, &bypass));
	ASSERT_OK(nested_alloc(t, &nest, nest.viommu, STE_ABORT, 0, &abort_all));
	id = bypass;
	ASSERT_OK(raw_attach(t, nest.edu.fd, &id));
	EXPECT_EQ(id, bypass);
	EXPECT_TRUE(copies(t, &nest, pages));
	id = abort_all;
	ASSERT_OK(raw_attach(t, nest.edu.fd, &id));
	EXPECT_FALSE(copies(t, &nest, pages));
	id = bypass;
	ASSERT_OK(raw_attach(t, nest.edu.fd, &id));
	EXPECT_TRUE(copies(t, &nest, pages));
	/* What the parent does not map is out of reach. */
	len = 2 * PAGE;
	ASSERT_OK(raw_unmap(t, nest.iommufd, nest.ioas, MIB, &len));
	EXPECT_FALSE(copies(t, &nest, pages));
	/* All of it is in use, from the inside out. */
	EXPECT_ERR(-EBUSY, raw_destroy(t, nest.iommufd, bypass));
	EXPECT_ERR(-EBUSY, raw_destroy(t, nest.iommufd, nest.viommu));
	EXPECT_ERR(-EBUSY, raw_destroy(t, nest.iommufd, nest.parent));
	EXPECT_OK(raw_detach(t, nest.edu.fd));
	EXPECT_OK(raw_destroy(t, nest.iommufd, bypass));
	EXPECT_OK(raw_destroy(t, nest.iommufd, abort_all));
	EXPECT_OK(raw_destroy(t, nest.iommufd, vdevice));
	EXPECT_OK(raw_destroy(t, nest.iommufd, nest.viommu));
	EXPECT_OK(raw_destroy(t, nest.iommufd, nest.parent));
}

CONFORMANCE(raw_smmuv3, what_is_no_parent_or_no_entry_is_refused, NEEDS(IOMMUFD, EDU0, SMMUV3))
{
	struct nest nest = new_nest(t);
	uint32_t plain, id;

	ASSERT_OK(raw_hwpt_alloc(t, nest.iommufd, nest.edu.id, nest.ioas, 0, &plain));
	EXPECT_ERR(-EINVAL, viommu_alloc(t, nest.iommufd, nest.edu.id, plain, &id));
	EXPECT_ERR(-EOPNOTSUPP, nested_alloc(t, &nest, nest.parent, STE_BYPASS, 0, &id));
	/* A word that only the hypervisor has a say in, a bit that is not there, a kind that is none. */
	EXPECT_ERR(-EIO, nested_alloc(t, &nest, nest.viommu, STE_BYPASS, (uint64_t)1 << 44, &id));
	EXPECT_ERR(-EIO, nested_alloc(t, &nest, nest.viommu, STE_BYPASS | (uint64_t)1 << 58, 0, &id));
	EXPECT_ERR(-EIO, nested_alloc(t, &nest, nest.viommu, STE_VALID | 7 << 1, 0, &id));
}

CONFORMANCE(raw_smmuv3, a_device_has_one_stream_id, NEEDS(IOMMUFD, EDU0, SMMUV3))
{
	struct nest nest = new_nest(t);
	uint32_t vdevice, other;

	ASSERT_OK(vdevice_alloc(t, &nest, SID, &vdevice));
	EXPECT_ERR(-EEXIST, vdevice_alloc(t, &nest, SID + 1, &other));
	EXPECT_OK(raw_destroy(t, nest.iommufd, vdevice));
	EXPECT_OK(vdevice_alloc(t, &nest, SID + 1, &vdevice));
}

CONFORMANCE(raw_smmuv3, commands_of_guests_are_carried_out_or_refused, NEEDS(IOMMUFD, EDU0, SMMUV3))
{
	struct nest nest = new_nest(t);

	EXPECT_OK(invalidate(t, &nest, CMD_TLBI_NH_ALL, 1));
	EXPECT_ERR(-EIO, invalidate(t, &nest, CMD_PREFETCH, 1));
	EXPECT_ERR(-EINVAL, invalidate(t, &nest, CMD_TLBI_NH_ALL, 0));
}

CONFORMANCE(raw_smmuv3, the_iommu_tells_what_it_is, NEEDS(IOMMUFD, EDU0, SMMUV3))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	struct abi_iommu_hw_info_arm_smmuv3 data = { 0 };
	struct abi_iommu_hw_info *info = COMMAND(abi_iommu_hw_info, .dev_id = edu.id,
						 .data_len = sizeof(data), .data_uptr = (uintptr_t)&data);

	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_GET_HW_INFO, info));
	EXPECT_EQ(info->out_data_type, ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3);
	EXPECT_EQ(info->out_capabilities, ABI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
	EXPECT_EQ(info->data_len, sizeof(data));
	/* Both stages, by AArch64 tables. */
	EXPECT_EQ(data.idr[0] & 0xf, 0xb);
}
