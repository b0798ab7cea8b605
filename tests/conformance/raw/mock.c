// SPDX-License-Identifier: MIT
/* The kernel's mock devices. */
#include "conformance/raw/mock.h"

int mock_op(struct t *t, int iommufd, struct abi_iommu_test_cmd *cmd)
{
	cmd->size = sizeof(*cmd);
	return raw_ioctl(t, iommufd, ABI_IOMMU_TEST_CMD, cmd);
}

struct mock new_mock(struct t *t, int iommufd, uint32_t pt_id)
{
	struct abi_iommu_test_cmd cmd = { .op = ABI_IOMMU_TEST_OP_MOCK_DOMAIN, .id = pt_id };

	ASSERT_OK(mock_op(t, iommufd, &cmd));
	return (struct mock){ cmd.mock_domain.out_stdev_id, cmd.mock_domain.out_hwpt_id,
			      cmd.mock_domain.out_idev_id };
}

int mock_replace(struct t *t, int iommufd, struct mock mock, uint32_t pt_id)
{
	return mock_op(t, iommufd,
		       &(struct abi_iommu_test_cmd){ .op = ABI_IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
						     .id = mock.device,
						     .mock_domain_replace = { pt_id } });
}

uint32_t new_parent(struct t *t, int iommufd, struct mock mock, uint32_t ioas)
{
	uint32_t parent;

	ASSERT_OK(raw_hwpt_alloc(t, iommufd, mock.id, ioas, ABI_IOMMU_HWPT_ALLOC_NEST_PARENT, &parent));
	return parent;
}

int mock_nest(struct t *t, int iommufd, struct mock mock, uint32_t parent, uint32_t iotlb, uint32_t *ret_id)
{
	struct abi_iommu_hwpt_selftest data = { .iotlb = iotlb };
	struct abi_iommu_hwpt_alloc *alloc = COMMAND(abi_iommu_hwpt_alloc, .dev_id = mock.id, .pt_id = parent,
						     .data_type = ABI_IOMMU_HWPT_DATA_SELFTEST,
						     .data_len = sizeof(data), .data_uptr = (uintptr_t)&data);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_ALLOC, alloc);

	*ret_id = alloc->out_hwpt_id;
	return error;
}

uint32_t new_viommu(struct t *t, int iommufd, struct mock mock, uint32_t parent)
{
	struct abi_iommu_viommu_alloc *alloc =
		COMMAND(abi_iommu_viommu_alloc, .type = ABI_IOMMU_VIOMMU_TYPE_SELFTEST, .dev_id = mock.id,
			.hwpt_id = parent);

	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_VIOMMU_ALLOC, alloc));
	return alloc->out_viommu_id;
}

int mock_number(struct t *t, int iommufd, struct mock mock, uint32_t viommu, uint64_t number,
		uint32_t *ret_id)
{
	struct abi_iommu_vdevice_alloc *alloc =
		COMMAND(abi_iommu_vdevice_alloc, .viommu_id = viommu, .dev_id = mock.id, .virt_id = number);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_VDEVICE_ALLOC, alloc);

	*ret_id = alloc->out_vdevice_id;
	return error;
}
