// SPDX-License-Identifier: MIT
/* PASIDs on the kernel's mock, some of whose devices have them. */
#include <errno.h>

#include "mock/mock_host.h"

static struct weir_domain *new_domain(struct t *t, struct weir_device *device, uint32_t flags)
{
	struct weir_domain *domain;

	ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = flags), &domain));
	close_domain_later(t, domain);
	return domain;
}

UNIT(mock_pasid, a_device_without_pasids_is_refused_whatever_the_kernel_says)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *domain = new_domain(t, device, WEIR_DOMAIN_PASID);

	EXPECT_ERR(-EOPNOTSUPP, weir_domain_attach(domain, device, 5));
	EXPECT_CONTAINS(weir_error(), "no PASIDs");
	EXPECT_EQ(info_of(domain).num_devices, 0);
}

UNIT(mock_pasid, pasids_are_attached_beside_the_device_as_a_whole)
{
	struct mock_host *mock = new_mock_host(t, ABI_MOCK_FLAGS_DEVICE_PASID);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *whole = new_domain(t, device, WEIR_DOMAIN_PASID),
			   *a = new_domain(t, device, WEIR_DOMAIN_PASID),
			   *b = new_domain(t, device, WEIR_DOMAIN_PASID), *plain = new_domain(t, device, 0);
	struct weir_iommu_info info;

	ASSERT_OK(weir_device_iommu_info(device, &info, sizeof(info)));
	EXPECT_EQ(info.pasid_bits, ABI_MOCK_PASID_WIDTH);
	EXPECT_OK(weir_caps_check(device, WEIR_CAP_PASID));
	/* The space's own table is not made for that. */
	EXPECT_ERR(-EINVAL, weir_domain_attach(a, device, 5));
	ASSERT_OK(weir_domain_attach(whole, device, WEIR_NO_PASID));
	EXPECT_ERR(-EINVAL, weir_domain_attach(plain, device, 5));
	EXPECT_CONTAINS(weir_error(), "WEIR_DOMAIN_PASID");
	EXPECT_ERR(-ERANGE, weir_domain_attach(a, device, 1 << ABI_MOCK_PASID_WIDTH));
	EXPECT_OK(weir_domain_attach(a, device, 5));
	EXPECT_TRUE(pasid_is(t, mock, device, 5, a));
	EXPECT_OK(weir_domain_attach(b, device, 6));
	EXPECT_EQ(info_of(a).num_devices, 1);
	EXPECT_OK(weir_domain_attach(b, device, 5)); /* instead */
	EXPECT_TRUE(pasid_is(t, mock, device, 5, b));
	EXPECT_EQ(info_of(a).num_devices, 0);
	EXPECT_EQ(info_of(b).num_devices, 2);
	EXPECT_ERR(-EBUSY, weir_domain_close(b));
	EXPECT_ERR(-EINVAL, weir_domain_attach(plain, device, WEIR_NO_PASID));
	EXPECT_ERR(-EBUSY, weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_detach(device, 5));
	EXPECT_OK(weir_domain_detach(device, 5));
	EXPECT_TRUE(pasid_is(t, mock, device, 5, NULL));
	EXPECT_OK(weir_domain_detach(device, 6));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

UNIT(mock_pasid, a_device_that_goes_takes_its_pasids_along)
{
	struct mock_host *mock = new_mock_host(t, ABI_MOCK_FLAGS_DEVICE_PASID);
	struct weir_device *device;
	struct weir_domain *whole, *domain;

	ASSERT_OK(weir_device_open(mock->ioas, "0000:00:01.0", NULL, &device));
	whole = new_domain(t, device, WEIR_DOMAIN_PASID);
	domain = new_domain(t, device, WEIR_DOMAIN_PASID);
	ASSERT_OK(weir_domain_attach(whole, device, WEIR_NO_PASID));
	ASSERT_OK(weir_domain_attach(domain, device, 5));
	EXPECT_ERR(-EBUSY, weir_device_attach(device, mock_ioas(t, mock)));
	EXPECT_OK(weir_device_close(device));
	EXPECT_EQ(info_of(domain).num_devices, 0);
}

/* The kernel fails the second attach of this PASID by design: what was attached before is in force. */
UNIT(mock_pasid, what_fails_leaves_what_was_there)
{
	struct mock_host *mock = new_mock_host(t, ABI_MOCK_FLAGS_DEVICE_PASID);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *whole = new_domain(t, device, WEIR_DOMAIN_PASID),
			   *a = new_domain(t, device, WEIR_DOMAIN_PASID),
			   *b = new_domain(t, device, WEIR_DOMAIN_PASID);

	ASSERT_OK(weir_domain_attach(whole, device, WEIR_NO_PASID));
	ASSERT_OK(weir_domain_attach(a, device, ABI_IOMMU_TEST_PASID_RESERVED));
	EXPECT_ERR(-ENOMEM, weir_domain_attach(b, device, ABI_IOMMU_TEST_PASID_RESERVED));
	EXPECT_TRUE(pasid_is(t, mock, device, ABI_IOMMU_TEST_PASID_RESERVED, a));
	EXPECT_EQ(info_of(a).num_devices, 1);
	EXPECT_EQ(info_of(b).num_devices, 0);
	EXPECT_OK(weir_domain_detach(device, ABI_IOMMU_TEST_PASID_RESERVED));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}
