// SPDX-License-Identifier: MIT
/* Page tables of the program's own beside those of a space. */
#include <errno.h>

#include "conformance/nested.h"

static struct weir_domain *new_domain(struct t *t, struct weir_device *device, uint32_t flags)
{
	struct weir_domain *domain;

	ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = flags), &domain));
	close_domain_later(t, domain);
	return domain;
}

CONFORMANCE(domain, a_device_on_a_domain_reaches_what_is_in_its_space, NEEDS(DOMAIN, DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *before = new_memory(t, PAGE, 1), *after = new_memory(t, PAGE, 2);
	struct weir_map *map = new_map(t, ioas, before, PAGE, NULL);
	struct weir_domain *domain = new_domain(t, device_of(t, edu), 0);

	EXPECT_EQ(domain_info(domain).kind, WEIR_DOMAIN_KIND_PAGING);
	ASSERT_OK(weir_domain_attach(domain, device_of(t, edu), WEIR_NO_PASID));
	detach_later(t, device_of(t, edu));
	EXPECT_EQ(domain_info(domain).num_devices, 1);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), before, PAGE));
	/* What is mapped later comes too. */
	map = new_map(t, ioas, after, PAGE, NULL);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), after, PAGE));
	EXPECT_OK(weir_domain_detach(device_of(t, edu), WEIR_NO_PASID));
	EXPECT_EQ(domain_info(domain).num_devices, 0);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), after, PAGE));
}

CONFORMANCE(domain, what_is_unmapped_is_out_of_reach_on_a_domain_too, NEEDS(DOMAIN, DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_memory(t, PAGE, 1);
	struct weir_map *map = new_map(t, ioas, memory, PAGE, NULL);
	uint64_t iova = weir_map_iova(map);
	struct weir_domain *domain = new_domain(t, device_of(t, edu), 0);

	ASSERT_OK(weir_domain_attach(domain, device_of(t, edu), WEIR_NO_PASID));
	detach_later(t, device_of(t, edu));
	EXPECT_OK(weir_map_close(map));
	EXPECT_TRUE(dma_write_blocked(t, edu, iova, memory, PAGE));
}

CONFORMANCE(domain, what_is_used_is_not_closed, NEEDS(DOMAIN, DMA_DEVICE))
{
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_domain *domain;

	ASSERT_OK(weir_ioas_open(host_of(t), NULL, &ioas));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	ASSERT_OK(weir_domain_open(device, NULL, &domain));
	ASSERT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_ERR(-EBUSY, weir_domain_close(domain));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
	/* A device takes its attachment along. */
	EXPECT_OK(weir_device_close(device));
	EXPECT_ERR(-EBUSY, weir_ioas_close(ioas));
	EXPECT_CONTAINS(weir_error(), "a paging domain");
	EXPECT_OK(weir_domain_close(domain));
	EXPECT_OK(weir_ioas_close(ioas));
}

CONFORMANCE(domain, a_space_sleeps_and_wakes_under_its_domains, NEEDS(DOMAIN, DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_memory(t, PAGE, 3);
	struct weir_device *device;
	struct weir_domain *domain;
	struct weir_map *map;
	struct edu *edu;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	domain = new_domain(t, device, 0);
	ASSERT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_OK(weir_device_close(device));
	EXPECT_EQ(domain_info(domain).num_devices, 0);
	map = new_map(t, ioas, memory, PAGE, BELOW(28));
	edu = new_edu(t, ioas, "EDU0", 0);
	ASSERT_OK(weir_domain_attach(domain, device_of(t, edu), WEIR_NO_PASID));
	detach_later(t, device_of(t, edu));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), memory, PAGE));
}

CONFORMANCE(domain, a_group_moves_as_one, NEEDS(DOMAIN, EDU_PAIR))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *first = new_edu(t, ioas, "EDU0", 0);
	struct weir_domain *domain = new_domain(t, device_of(t, first), 0);
	unsigned char *memory = new_memory(t, PAGE, 4);
	struct weir_map *map = new_map(t, ioas, memory, PAGE, BELOW(28));
	struct edu *second;

	ASSERT_OK(weir_domain_attach(domain, device_of(t, first), WEIR_NO_PASID));
	detach_later(t, device_of(t, first));
	/* Who comes later goes where the others are. */
	second = new_edu(t, ioas, "EDU1", 0);
	EXPECT_EQ(domain_info(domain).num_devices, 2);
	EXPECT_TRUE(dma_reads(t, second, weir_map_iova(map), memory, PAGE));
	EXPECT_OK(weir_domain_detach(device_of(t, second), WEIR_NO_PASID));
	EXPECT_EQ(domain_info(domain).num_devices, 0);
	EXPECT_OK(weir_domain_attach(domain, device_of(t, second), WEIR_NO_PASID));
	EXPECT_EQ(domain_info(domain).num_devices, 2);
	EXPECT_TRUE(dma_reads(t, first, weir_map_iova(map), memory, PAGE));
}

CONFORMANCE(domain, a_device_moves_to_another_space_out_of_a_domain, NEEDS(DOMAIN, DMA_DEVICE, MOVE))
{
	struct weir_ioas *ioas = new_ioas(t), *elsewhere = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "EDU0", 0);
	struct weir_domain *domain = new_domain(t, device, 0);

	ASSERT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_OK(weir_device_attach(device, elsewhere));
	EXPECT_EQ(domain_info(domain).num_devices, 0);
	EXPECT_ERR(-EXDEV, weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_OK(weir_device_attach(device, ioas));
}

CONFORMANCE(domain, what_is_not_nested_has_nothing_to_invalidate, NEEDS(DOMAIN, DMA_DEVICE))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_domain *domain = new_domain(t, device, 0), *nested;
	struct weir_inval *inval = new_batch(t);

	weir_inval_all(inval);
	EXPECT_ERR(-EINVAL, weir_inval_run(inval, &domain, 1, NULL));
	EXPECT_CONTAINS(weir_error(), "a paging domain");
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(domain, device, &WEIR_OPTS(weir_nested_opts, .format = 1),
						    &nested));
	EXPECT_CONTAINS(weir_error(), "no nesting parent");
	EXPECT_ERR(-EINVAL,
		   weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = 1u << 31), &nested));
}

/* Asked of the device, whatever the kernel says to an attach. */
CONFORMANCE(domain, a_device_without_pasids_is_told_so, NEEDS(DOMAIN, DMA_DEVICE))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_domain *domain = new_domain(t, device, 0);

	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_PASID));
	EXPECT_CONTAINS(weir_error(), "no PASIDs");
	EXPECT_ERR(-EOPNOTSUPP, weir_domain_attach(domain, device, 5));
	EXPECT_OK(weir_domain_detach(device, 5));
	EXPECT_EQ(domain_info(domain).num_devices, 0);
}

CONFORMANCE(domain, pasids_stand_beside_the_device_as_a_whole, NEEDS(PASID))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "EDU1", 0);
	struct weir_domain *whole = new_domain(t, device, WEIR_DOMAIN_PASID),
			   *plain = new_domain(t, device, 0),
			   *domain = new_domain(t, device, WEIR_DOMAIN_PASID);

	EXPECT_ERR(-EINVAL,
		   weir_domain_attach(domain, device, 5)); /* beside the space's own table, none can be */
	ASSERT_OK(weir_domain_attach(whole, device, WEIR_NO_PASID));
	EXPECT_ERR(-EINVAL, weir_domain_attach(plain, device, 5));
	EXPECT_ERR(-ERANGE, weir_domain_attach(domain, device, 256));
	EXPECT_OK(weir_domain_attach(domain, device, 255));
	EXPECT_OK(weir_domain_attach(domain, device, 5));
	EXPECT_EQ(domain_info(domain).num_devices, 2);
	EXPECT_ERR(-EBUSY, weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_ERR(-EBUSY, weir_device_attach(device, new_ioas(t)));
	EXPECT_OK(weir_domain_detach(device, 5));
	EXPECT_OK(weir_domain_detach(device, 255));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

CONFORMANCE(domain, where_nothing_nests_the_reason_is_said, NEEDS(DMA_DEVICE, NO_NEST))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_domain *parent, *nested;
	int error = weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				     &parent);

	/* On AMD there are parents, and nothing to nest in them. */
	if (!error) {
		error = weir_domain_open_nested(
			parent, device, &WEIR_OPTS(weir_nested_opts, .format = WEIR_STAGE1_X86_4), &nested);
		EXPECT_OK(weir_domain_close(parent));
	}
	EXPECT_EQ(error, -EOPNOTSUPP);
	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_NEST));
	EXPECT_TRUE(*weir_error());
}
