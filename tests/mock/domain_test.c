// SPDX-License-Identifier: MIT
/* Domains on the kernel's mock: made, attached, moved, closed, in whatever order. */
#include <errno.h>
#include <string.h>

#include "mock/mock_host.h"

#define NESTED(...) (&WEIR_OPTS(weir_nested_opts, __VA_ARGS__))

UNIT(mock_domain, the_iommu_says_what_it_is)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_iommu_info info;
	struct abi_iommu_test_hw_info data;

	ASSERT_OK(weir_device_iommu_info(device, &info, sizeof(info)));
	EXPECT_EQ(info.kind, WEIR_IOMMU_MOCK);
	EXPECT_EQ(info.pasid_bits, 0);
	EXPECT_EQ(info.dirty, 1);
	ASSERT_EQ(info.data_len, sizeof(data));
	memcpy(&data, info.data, sizeof(data));
	EXPECT_EQ(data.test_reg, ABI_IOMMU_HW_INFO_SELFTEST_REGVAL);
}

UNIT(mock_domain, what_can_be_done_here_is_found_by_trying)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);

	EXPECT_OK(weir_caps_check(device, WEIR_CAP_DOMAIN));
	EXPECT_OK(weir_caps_check(device, WEIR_CAP_NEST));
	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_PASID));
}

UNIT(mock_domain, a_paging_domain_is_attached_instead_of_the_spaces_own_table)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *domain;

	mock_map(t, mock->ioas);
	ASSERT_OK(weir_domain_open(device, NULL, &domain));
	mock_map(t, mock->ioas);
	EXPECT_EQ(info_of(domain).kind, WEIR_DOMAIN_KIND_PAGING);
	EXPECT_EQ(info_of(domain).iommu, WEIR_IOMMU_MOCK);
	EXPECT_EQ(info_of(domain).num_devices, 0);
	EXPECT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_EQ(info_of(domain).num_devices, 1);
	EXPECT_ERR(-EBUSY, weir_domain_close(domain));
	EXPECT_CONTAINS(weir_error(), "0000:00:01.0");
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_EQ(info_of(domain).num_devices, 0);
	EXPECT_OK(weir_domain_close(domain));
	EXPECT_OK(weir_domain_close(NULL));
}

UNIT(mock_domain, a_nested_domain_keeps_its_parent_open)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *parent = new_parent(t, device, 0), *nested;

	ASSERT_OK(weir_domain_open_nested(parent, device, NESTED(.format = WEIR_STAGE1_MOCK, .root = 7),
					  &nested));
	EXPECT_EQ(info_of(nested).kind, WEIR_DOMAIN_KIND_NESTED);
	EXPECT_EQ(info_of(parent).kind, WEIR_DOMAIN_KIND_PARENT);
	EXPECT_EQ(info_of(parent).num_nested, 1);
	EXPECT_TRUE(iotlb_is(t, nested, 7, 7, 7, 7));
	EXPECT_ERR(-EBUSY, weir_domain_close(parent));
	EXPECT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID));
	EXPECT_ERR(-EBUSY, weir_domain_close(nested));
	/* Straight from one to another. */
	EXPECT_OK(weir_domain_attach(parent, device, WEIR_NO_PASID));
	EXPECT_EQ(info_of(nested).num_devices, 0);
	EXPECT_EQ(info_of(parent).num_devices, 1);
	EXPECT_OK(weir_domain_close(nested));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

UNIT(mock_domain, a_space_is_not_closed_under_a_domain)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_domain *parent;

	ASSERT_OK(weir_ioas_open(mock->host, NULL, &ioas));
	ASSERT_OK(weir_device_open(ioas, "0000:00:01.0", NULL, &device));
	ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				   &parent));
	EXPECT_OK(weir_device_close(device));
	EXPECT_ERR(-EBUSY, weir_ioas_close(ioas));
	EXPECT_CONTAINS(weir_error(), "a nesting parent");
	EXPECT_OK(weir_domain_close(parent));
	EXPECT_OK(weir_ioas_close(ioas));
}

/* A device that goes takes its attachments along; the domain stays, and takes the next. */
UNIT(mock_domain, devices_come_and_go_while_domains_stay)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device, *other;
	struct weir_domain *parent, *nested;

	ASSERT_OK(weir_device_open(mock->ioas, "0000:00:01.0", NULL, &device));
	mock_map(t, mock->ioas);
	parent = new_parent(t, device, 0);
	nested = new_nested(t, parent, device, 1, 0);
	ASSERT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID));
	EXPECT_OK(weir_device_close(device));
	EXPECT_EQ(info_of(nested).num_devices, 0);
	/* The space is asleep, and wakes with all its mappings, in the parent too. */
	mock_map(t, mock->ioas);
	other = mock_device(t, mock, 1);
	mock_map(t, mock->ioas);
	EXPECT_OK(weir_domain_attach(nested, other, WEIR_NO_PASID));
	EXPECT_EQ(info_of(nested).num_devices, 1);
	EXPECT_OK(weir_domain_detach(other, WEIR_NO_PASID));
}

UNIT(mock_domain, what_stays_is_closed_after_its_device)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device;
	struct weir_domain *parent, *nested;

	ASSERT_OK(weir_device_open(mock->ioas, "0000:00:01.0", NULL, &device));
	parent = new_parent(t, device, 0);
	nested = new_nested(t, parent, device, 1, 0);
	ASSERT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID));
	EXPECT_OK(weir_device_close(device));
	/* The case closes the rest, nested first. */
}

UNIT(mock_domain, a_device_moves_to_another_space_out_of_a_domain)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_ioas *elsewhere = mock_ioas(t, mock);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *parent = new_parent(t, device, 0), *nested = new_nested(t, parent, device, 1, 0);

	ASSERT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID));
	EXPECT_OK(weir_device_attach(device, elsewhere));
	EXPECT_EQ(info_of(nested).num_devices, 0);
	EXPECT_ERR(-EXDEV, weir_domain_attach(nested, device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_OK(weir_device_attach(device, mock->ioas));
	EXPECT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

UNIT(mock_domain, what_is_foreign_is_refused)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_ioas *elsewhere = mock_ioas(t, mock);
	struct weir_device *device = mock_device(t, mock, 0), *other = mock_device_in(t, elsewhere, 1);
	struct weir_domain *parent = new_parent(t, device, 0), *nested = new_nested(t, parent, device, 1, 0),
			   *domain;
	struct mock_host *second = new_mock_host(t, 0);
	struct weir_device *stranger = mock_device(t, second, 2);

	EXPECT_ERR(-EXDEV, weir_domain_attach(nested, other, WEIR_NO_PASID));
	EXPECT_ERR(-EXDEV, weir_domain_attach(nested, stranger, WEIR_NO_PASID));
	EXPECT_ERR(-EXDEV,
		   weir_domain_open_nested(parent, other, NESTED(.format = WEIR_STAGE1_MOCK), &domain));
	EXPECT_ERR(-EXDEV,
		   weir_domain_open_nested(parent, stranger, NESTED(.format = WEIR_STAGE1_MOCK), &domain));
}

UNIT(mock_domain, what_is_no_nested_domain_is_refused)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *parent = new_parent(t, device, 0), *nested = new_nested(t, parent, device, 1, 0),
			   *domain, *paging;
	struct abi_iommu_hwpt_selftest data[2] = { { .iotlb = 3 } };
	uint32_t mock_type = ABI_IOMMU_HWPT_DATA_SELFTEST, size = sizeof(data[0]);

	ASSERT_OK(weir_domain_open(device, NULL, &paging));
	close_domain_later(t, paging);
	EXPECT_ERR(-EINVAL, weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = 8), &domain));
	EXPECT_ERR(-EINVAL,
		   weir_domain_open_nested(paging, device, NESTED(.format = WEIR_STAGE1_MOCK), &domain));
	EXPECT_CONTAINS(weir_error(), "a paging domain");
	EXPECT_ERR(-EINVAL,
		   weir_domain_open_nested(nested, device, NESTED(.format = WEIR_STAGE1_MOCK), &domain));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device, NESTED(.format = 0), &domain));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device, NESTED(.format = 99), &domain));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device, NESTED(.stage1 = 3), &domain));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device, NESTED(.flags = 1), &domain));
	EXPECT_ERR(-EOPNOTSUPP,
		   weir_domain_open_nested(parent, device, NESTED(.format = WEIR_STAGE1_X86_4), &domain));
	/* Data of one's own: the kernel wants its type, and its length exactly. */
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device, NESTED(.data_len = 8), &domain));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device,
						    NESTED(.data = data, .data_type = mock_type), &domain));
	EXPECT_ERR(-EINVAL,
		   weir_domain_open_nested(parent, device,
					   NESTED(.data = data, .data_type = mock_type, .data_len = 2 * size),
					   &domain));
	EXPECT_ERR(-EOPNOTSUPP,
		   weir_domain_open_nested(
			   parent, device,
			   NESTED(.data = data, .data_type = ABI_IOMMU_HWPT_DATA_VTD_S1, .data_len = size),
			   &domain));
	ASSERT_OK(weir_domain_open_nested(
		parent, device, NESTED(.data = data, .data_type = mock_type, .data_len = size), &domain));
	EXPECT_TRUE(iotlb_is(t, domain, 3, 3, 3, 3));
	EXPECT_OK(weir_domain_close(domain));
}
