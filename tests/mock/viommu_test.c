// SPDX-License-Identifier: MIT
/* By way of a virtual IOMMU, as SMMUv3 does it, on the kernel's mock: devices' numbers, and their caches. */
#include <errno.h>

#include "mock/mock_host.h"

enum { PAGE = 4096, OLD = ABI_IOMMU_TEST_DEV_CACHE_DEFAULT };

#define NESTED(...) (&WEIR_OPTS(weir_nested_opts, .format = WEIR_STAGE1_MOCK, __VA_ARGS__))

static void drop_and_close(void *inval)
{
	weir_inval_drop(inval);
	EXPECT_OK(weir_inval_close(inval));
}

static struct weir_inval *new_batch(struct t *t)
{
	struct weir_inval *inval;

	ASSERT_OK(weir_inval_open(NULL, &inval));
	t_defer(t, drop_and_close, inval);
	return inval;
}

static void detach(void *device)
{
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

static void attach_until_the_end(struct t *t, struct weir_domain *domain, struct weir_device *device)
{
	ASSERT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	t_defer(t, detach, device);
}

UNIT(mock_viommu, each_attached_device_is_told_by_its_number)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *first = mock_device(t, mock, 0), *second = mock_device(t, mock, 1),
			   *third = mock_device(t, mock, 2);
	struct weir_domain *parent = new_parent(t, first, 0),
			   *nested = new_nested(t, parent, first, 1, 0x1234);
	struct weir_inval *inval = new_batch(t);

	/* Nobody is attached, so nobody remembers. */
	weir_inval_all(inval);
	EXPECT_OK(weir_inval_run(inval, &nested, 1, NULL));
	EXPECT_EQ(mock->num_invalidations, 0);
	EXPECT_TRUE(cache_is(t, first, OLD, OLD, OLD, OLD));
	attach_until_the_end(t, nested, first);
	attach_until_the_end(t, nested, second); /* gets a number now */
	weir_inval_range(inval, 0x2000, 2 * PAGE, 0, 0);
	EXPECT_OK(weir_inval_run(inval, &nested, 1, NULL));
	EXPECT_TRUE(cache_is(t, first, OLD, OLD, 0, 0));
	EXPECT_TRUE(cache_is(t, second, OLD, OLD, 0, 0));
	EXPECT_TRUE(cache_is(t, third, OLD, OLD, OLD, OLD));
	weir_inval_all(inval);
	EXPECT_OK(weir_inval_run(inval, &nested, 1, NULL));
	EXPECT_TRUE(cache_is(t, first, 0, 0, 0, 0));
	EXPECT_TRUE(cache_is(t, second, 0, 0, 0, 0));
}

UNIT(mock_viommu, a_number_is_one_devices_and_a_device_has_one)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *first = mock_device(t, mock, 0), *second = mock_device(t, mock, 1);
	struct weir_domain *parent = new_parent(t, first, 0), *nested = new_nested(t, parent, first, 1, 8),
			   *domain;

	EXPECT_ERR(-EEXIST, weir_domain_open_nested(parent, second, NESTED(.stream = 8), &domain));
	EXPECT_CONTAINS(weir_error(), "0000:00:01.0");
	EXPECT_ERR(-EEXIST, weir_domain_open_nested(parent, first, NESTED(.stream = 9), &domain));
	EXPECT_EQ(info_of(nested).num_devices, 0);
}

UNIT(mock_viommu, numbers_are_chosen_around_those_that_are_taken)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *first = mock_device(t, mock, 0), *second = mock_device(t, mock, 1);
	/* 0000:00:02.0 would be 0x10. */
	struct weir_domain *parent = new_parent(t, first, 0), *nested = new_nested(t, parent, first, 1, 0x10);
	struct weir_inval *inval = new_batch(t);

	attach_until_the_end(t, nested, second);
	weir_inval_all(inval);
	EXPECT_OK(weir_inval_run(inval, &nested, 1, NULL));
	EXPECT_TRUE(cache_is(t, second, 0, 0, 0, 0));
	EXPECT_TRUE(cache_is(t, first, OLD, OLD, OLD, OLD));
}

UNIT(mock_viommu, a_device_has_a_number_under_one_parent_at_a_time)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *parent = new_parent(t, device, 0), *nested = new_nested(t, parent, device, 1, 8),
			   *domain;
	struct weir_domain *other_parent = new_parent(t, device, 0), *other;

	ASSERT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID));
	EXPECT_ERR(-EBUSY, weir_domain_open_nested(other_parent, device, NESTED(.stream = 9), &domain));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
	other = new_nested(t, other_parent, device, 1, 9);
	EXPECT_OK(weir_domain_attach(other, device, WEIR_NO_PASID));
	EXPECT_ERR(-EBUSY, weir_domain_attach(nested, device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID)); /* with another number */
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

UNIT(mock_viommu, what_failed_leaves_no_virtual_iommu)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *parent, *domain;
	struct abi_iommu_hwpt_selftest data = { 0 };

	ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				   &parent));
	EXPECT_ERR(-EOPNOTSUPP, weir_domain_open_nested(parent, device,
							NESTED(.stream = 5, .data = &data, .data_type = 1,
							       .data_len = sizeof(data)),
							&domain));
	EXPECT_OK(weir_domain_close(parent)); /* nothing holds it */
}

UNIT(mock_viommu, a_device_that_is_closed_takes_its_number_along)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *first, *second = mock_device(t, mock, 1);
	struct weir_domain *parent, *nested;
	struct weir_inval *inval = new_batch(t);

	ASSERT_OK(weir_device_open(mock->ioas, "0000:00:01.0", NULL, &first));
	parent = new_parent(t, first, 0);
	nested = new_nested(t, parent, first, 1, 8);
	ASSERT_OK(weir_domain_attach(nested, first, WEIR_NO_PASID));
	attach_until_the_end(t, nested, second);
	EXPECT_OK(weir_device_close(first));
	weir_inval_all(inval);
	EXPECT_OK(weir_inval_run(inval, &nested, 1, NULL));
	EXPECT_TRUE(cache_is(t, second, 0, 0, 0, 0));
	/* The number is free again. */
	first = mock_device(t, mock, 0);
	new_nested(t, parent, first, 1, 8);
}

/* A virtual IOMMU takes entries that are longer, if what it does not know is zero; and shorter ones, from their first version on. */
UNIT(mock_viommu, entries_of_another_length_are_judged_one_by_one)
{
	static const struct {
		uint32_t len, tail;
		int error;
		uint32_t slots[2];
	} rows[] = {
		{ 4, 0, -EINVAL, { OLD, OLD } }, /* no device is named */
		{ 8, 0, 0, { 0, OLD } },         /* what is left out counts as zero: slot 0 */
		{ 12, 0, 0, { OLD, 0 } },        { 16, 0, 0, { OLD, 0 } },
		{ 16, 1, -E2BIG, { OLD, OLD } }, { 64, 0, 0, { OLD, 0 } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mock_host *mock = new_mock_host(t, 0);
		struct weir_device *device = mock_device(t, mock, 0);
		struct weir_domain *parent = new_parent(t, device, 0),
				   *nested = new_nested(t, parent, device, 1, 8);
		struct weir_inval *inval = new_batch(t);
		uint32_t entry[16] = { 0, 8, 1, rows[i].tail };
		struct weir_inval_outcome outcome;

		t_note(t, "%u bytes, tail %u", rows[i].len, rows[i].tail);
		weir_inval_raw(inval, ABI_IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST, entry, rows[i].len);
		EXPECT_EQ(weir_inval_run(inval, &nested, 1,
					 &WEIR_OPTS(weir_inval_run_opts, .policy = WEIR_INVAL_ONCE,
						    .flags = WEIR_INVAL_KEEP)),
			  rows[i].error ? -EIO : 0);
		EXPECT_OK(weir_inval_outcome(inval, 0, 0, &outcome));
		EXPECT_EQ(outcome.error, rows[i].error);
		EXPECT_TRUE(cache_is(t, device, rows[i].slots[0], rows[i].slots[1], OLD, OLD));
	}
}
