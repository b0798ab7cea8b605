// SPDX-License-Identifier: MIT
/* Nested domains: tables of the program's own in front of stage 2. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "conformance/nested.h"
#include "conformance/os.h"
#include "kernel/iommufd_abi.h"

enum { IOVA = 0x4000000 };

#define NESTED(...) (&WEIR_OPTS(weir_nested_opts, __VA_ARGS__))

CONFORMANCE(domain_nested, dma_goes_through_both_stages, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");

	map_page(t, nested, IOVA, 7);
	map_page(t, nested, IOVA + PAGE, 3);
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	EXPECT_TRUE(finds(t, nested, IOVA + PAGE, 3));
	dma_writes(t, nested->edu, IOVA, 0x77, 64);
	EXPECT_TRUE(all_bytes(nested->data + 7 * PAGE, 0x77, 64));
	EXPECT_EQ(domain_info(nested->domain).kind, WEIR_DOMAIN_KIND_NESTED);
	EXPECT_EQ(domain_info(nested->domain).iommu, nested->iommu);
	EXPECT_EQ(domain_info(nested->parent).num_nested, 1);
	EXPECT_ERR(-EBUSY, weir_domain_close(nested->parent));
	run_changes(t, nested);
}

CONFORMANCE(domain_nested, what_either_stage_lacks_is_out_of_reach, NEEDS(NEST, DMA_DEVICE, FAULT_COUNT))
{
	struct nested *nested = new_nested(t, "EDU0");
	uint64_t nowhere = nested->ipa + DATA_PAGES * PAGE + 16 * MIB;

	map_page(t, nested, IOVA, 7);
	ASSERT_OK(weir_stage1_map(nested->tables, IOVA + PAGE, nowhere, PAGE, 0, nested->changes));
	EXPECT_TRUE(dma_write_blocked(t, nested->edu, IOVA + PAGE, nested->data, 64));
	EXPECT_TRUE(dma_write_blocked(t, nested->edu, IOVA + 2 * PAGE, nested->data, 64));
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	run_changes(t, nested);
}

CONFORMANCE(domain_nested, a_detached_device_is_in_its_space_again, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");

	map_page(t, nested, IOVA, 7);
	EXPECT_OK(weir_domain_detach(nested->device, WEIR_NO_PASID));
	EXPECT_TRUE(finds(t, nested, nested->ipa + 5 * PAGE, 5));
	EXPECT_OK(weir_domain_attach(nested->domain, nested->device, WEIR_NO_PASID));
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	run_changes(t, nested);
}

/* SMMUv3 knows each of a group by its number, so all of them have to be open. */
CONFORMANCE(domain_nested, a_group_is_behind_one_table, NEEDS(NEST, EDU1, EDU2))
{
	struct nested *nested = prepare_nested(t, "EDU1");
	struct edu *second;
	uint64_t window;

	if (nested->iommu == WEIR_IOMMU_SMMUV3) {
		EXPECT_ERR(-ENOENT, weir_domain_attach(nested->domain, nested->device, WEIR_NO_PASID));
		EXPECT_CONTAINS(weir_error(), "group");
		second = new_edu(t, nested->ioas, "EDU2", 0);
		attach_nested(t, nested);
	} else {
		attach_nested(t, nested);
		second = new_edu(t, nested->ioas, "EDU2", 0);
	}
	EXPECT_EQ(domain_info(nested->domain).num_devices, 2);
	window = dma_window(t, second);
	ASSERT_OK(weir_stage1_map(nested->tables, window, window, EDU_BUFFER_SIZE, 0, nested->changes));
	map_page(t, nested, IOVA, 7);
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	EXPECT_TRUE(dma_reads(t, second, IOVA, nested->data + 7 * PAGE, 64));
	run_changes(t, nested);
}

CONFORMANCE(domain_nested, a_device_behind_another_iommu_is_refused, NEEDS(NEST, EDU3))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_device *other = new_device(t, nested->ioas, "EDU3", 0);
	struct weir_domain *domain;
	int error = weir_domain_attach(nested->domain, other, WEIR_NO_PASID);

	/* VT-d says nothing of which IOMMU a table is for but that it does not suit. */
	if (nested->iommu == WEIR_IOMMU_SMMUV3) {
		EXPECT_EQ(error, -EXDEV);
		EXPECT_ERR(-EXDEV, open_nested(nested, other, &domain));
	} else if (!error) {
		EXPECT_OK(weir_domain_detach(other, WEIR_NO_PASID));
	}
	EXPECT_EQ(domain_info(nested->domain).num_devices, 1);
}

CONFORMANCE(domain_nested, a_table_that_the_hardware_has_not_is_refused_beforehand, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_domain *parent = nested->parent, *domain;
	struct weir_device *device = nested->device;
	uint32_t format = format_of(t, device),
		 other = format == WEIR_STAGE1_X86_4 ? WEIR_STAGE1_ARM64_4K : WEIR_STAGE1_X86_4;

	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device, NESTED(.format = 0), &domain));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device, NESTED(.format = 77), &domain));
	EXPECT_ERR(-EOPNOTSUPP, weir_domain_open_nested(parent, device, NESTED(.format = other), &domain));
	EXPECT_ERR(-ERANGE, weir_domain_open_nested(parent, device,
						    NESTED(.format = format, .address_bits = 52), &domain));
	EXPECT_ERR(-EINVAL,
		   weir_domain_open_nested(parent, device, NESTED(.format = format, .root = 0x20), &domain));
	EXPECT_ERR(-ERANGE, weir_domain_open_nested(parent, device,
						    NESTED(.format = format, .root = 1ull << 51), &domain));
	EXPECT_ERR(-EINVAL,
		   weir_domain_open_nested(parent, device, NESTED(.format = format, .stage1 = 3), &domain));
	EXPECT_ERR(-EINVAL,
		   weir_domain_open_nested(parent, device, NESTED(.format = format, .flags = 1), &domain));
	EXPECT_ERR(-EINVAL,
		   weir_domain_open_nested(nested->domain, device, NESTED(.format = format), &domain));
	EXPECT_EQ(domain_info(parent).num_nested, 1);
}

CONFORMANCE(domain_nested, five_levels_are_refused_where_the_hardware_has_four, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct abi_iommu_hw_info_vtd vtd;
	struct weir_iommu_info info;
	struct weir_domain *domain;
	int error = weir_domain_open_nested(nested->parent, nested->device,
					    NESTED(.format = WEIR_STAGE1_X86_5), &domain);

	ASSERT_OK(weir_device_iommu_info(nested->device, &info, sizeof(info)));
	memcpy(&vtd, info.data, sizeof(vtd));
	if (nested->iommu != WEIR_IOMMU_VTD)
		EXPECT_EQ(error, -EOPNOTSUPP);
	else if (!(vtd.cap_reg >> 60 & 1))
		EXPECT_EQ(error, -ERANGE);
	else if (EXPECT_OK(error))
		EXPECT_OK(weir_domain_close(domain));
}

CONFORMANCE(domain_nested, data_of_ones_own_is_the_kernels_to_judge, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	bool smmu = nested->iommu == WEIR_IOMMU_SMMUV3;
	uint64_t data[4] = { smmu ? 0xb : 0, smmu ? 1ull << 63 : 0x1000, 48 };
	uint32_t type = smmu ? ABI_IOMMU_HWPT_DATA_ARM_SMMUV3 : ABI_IOMMU_HWPT_DATA_VTD_S1,
		 len = smmu ? 16 : 24;
	struct weir_domain *parent = nested->parent, *domain;
	struct weir_device *device = nested->device;

	/* Too long or too short, or of another type; illegal bits of a stream table entry. */
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(
				    parent, device,
				    NESTED(.data = data, .data_type = type, .data_len = len + 8), &domain));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(
				    parent, device,
				    NESTED(.data = data, .data_type = type, .data_len = len - 8), &domain));
	EXPECT_ERR(-EINVAL,
		   weir_domain_open_nested(parent, device, NESTED(.data = data, .data_type = type), &domain));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(parent, device,
						    NESTED(.data_type = type, .data_len = len), &domain));
	/* Which of the two is the driver's choice. */
	EXPECT_ERR(smmu ? -EINVAL : -EOPNOTSUPP,
		   weir_domain_open_nested(parent, device,
					   NESTED(.data = data, .data_type = 77, .data_len = len), &domain));
	if (smmu) {
		EXPECT_ERR(-EIO, weir_domain_open_nested(
					 parent, device,
					 NESTED(.data = data, .data_type = type, .data_len = len), &domain));
		data[1] = 0;
	}
	ASSERT_OK(weir_domain_open_nested(parent, device,
					  NESTED(.data = data, .data_type = type, .data_len = len), &domain));
	EXPECT_OK(weir_domain_close(domain));
	EXPECT_EQ(domain_info(parent).num_nested, 1);
}

CONFORMANCE(domain_nested, a_first_stage_can_bypass_or_abort, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_domain *bypass, *abort_all;
	int error = weir_domain_open_nested(nested->parent, nested->device,
					    NESTED(.stage1 = WEIR_NESTED_BYPASS), &bypass);

	if (nested->iommu != WEIR_IOMMU_SMMUV3) {
		EXPECT_EQ(error, -EOPNOTSUPP);
		return;
	}
	ASSERT_OK(error);
	close_domain_later(t, bypass);
	ASSERT_OK(weir_domain_open_nested(nested->parent, nested->device, NESTED(.stage1 = WEIR_NESTED_ABORT),
					  &abort_all));
	close_domain_later(t, abort_all);
	ASSERT_OK(weir_domain_attach(bypass, nested->device, WEIR_NO_PASID));
	EXPECT_TRUE(finds(t, nested, nested->ipa + 9 * PAGE, 9));
	ASSERT_OK(weir_domain_attach(abort_all, nested->device, WEIR_NO_PASID));
	EXPECT_TRUE(dma_write_stopped(t, nested->edu, nested->ipa, nested->data, 64));
	ASSERT_OK(weir_domain_attach(nested->domain, nested->device, WEIR_NO_PASID));
}

CONFORMANCE(domain_nested, a_stream_is_one_devices, NEEDS(NEST, EDU1))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_device *other = new_device(t, nested->ioas, "EDU1", 0);
	uint32_t format = format_of(t, other);
	struct weir_domain *first, *second;

	if (nested->iommu != WEIR_IOMMU_SMMUV3)
		return;
	ASSERT_OK(weir_domain_open_nested(nested->parent, other, NESTED(.format = format, .stream = 0x77),
					  &first));
	close_domain_later(t, first);
	EXPECT_ERR(-EEXIST, weir_domain_open_nested(nested->parent, nested->device,
						    NESTED(.format = format, .stream = 0x77), &second));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU1"));
	EXPECT_ERR(-EEXIST, weir_domain_open_nested(nested->parent, other,
						    NESTED(.format = format, .stream = 0x78), &second));
	EXPECT_ERR(-EINVAL, weir_domain_open_nested(nested->parent, other,
						    NESTED(.format = format, .stream = 1ull << 32), &second));
}

CONFORMANCE(domain_nested, a_parent_of_vtd_holds_nothing_that_may_be_read_only, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_map_opts read_only = WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ);
	unsigned char *memory = new_memory(t, PAGE, 1);
	struct weir_ioas *other = new_ioas(t);
	struct weir_device *device = new_device(t, other, "EDU1", 0);
	struct weir_domain *parent;
	int file = new_file(t, PAGE), error;
	struct weir_map *map;

	if (nested->iommu != WEIR_IOMMU_VTD)
		return;
	ASSERT_EQ(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
	EXPECT_ERR(-EINVAL, weir_ioas_map(nested->ioas, memory, PAGE, &read_only, &map));
	EXPECT_CONTAINS(weir_error(), "nesting parent");
	error = weir_ioas_map_file(nested->ioas, file, 0, PAGE, &read_only, &map);
	EXPECT_EQ(error, -EINVAL);
	EXPECT_CONTAINS(weir_error(), "nesting parent");
	/* The other way round: the mapping was there first, and is named. */
	map = new_map(t, other, memory, PAGE, &read_only);
	EXPECT_ERR(-EINVAL,
		   weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				    &parent));
	EXPECT_CONTAINS(weir_error(), "read only");
	EXPECT_OK(weir_map_close(map));
	ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				   &parent));
	EXPECT_OK(weir_domain_close(parent));
}

CONFORMANCE(domain_nested, tables_outside_stage_2_lead_nowhere, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_nested(t, "EDU0");
	uint64_t nowhere = nested->ipa + DATA_PAGES * PAGE + 16 * MIB;
	struct weir_domain *lost;

	map_page(t, nested, IOVA, 7);
	map_page(t, nested, IOVA + PAGE, 3);
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	ASSERT_OK(weir_domain_open_nested(nested->parent, nested->device,
					  NESTED(.format = format_of(t, nested->device), .root = nowhere),
					  &lost));
	close_domain_later(t, lost);
	ASSERT_OK(weir_domain_attach(lost, nested->device, WEIR_NO_PASID));
	EXPECT_TRUE(dma_write_stopped(t, nested->edu, IOVA, nested->data + 7 * PAGE, 64));
	/* It is the device's affair alone: with the right tables, all is as it was. */
	ASSERT_OK(weir_domain_attach(nested->domain, nested->device, WEIR_NO_PASID));
	EXPECT_TRUE(finds(t, nested, IOVA + PAGE, 3));
	run_changes(t, nested);
}

CONFORMANCE(domain_nested, a_device_of_another_space_is_refused, NEEDS(NEST, EDU1))
{
	struct nested *nested = new_nested(t, "EDU0");
	struct weir_device *stranger = new_device(t, new_ioas(t), "EDU1", 0);
	struct weir_domain *domain;

	EXPECT_ERR(-EXDEV, open_nested(nested, stranger, &domain));
	EXPECT_CONTAINS(weir_error(), "another address space");
	EXPECT_ERR(-EXDEV, weir_domain_attach(nested->domain, stranger, WEIR_NO_PASID));
	EXPECT_ERR(-EXDEV, weir_domain_attach(nested->parent, stranger, WEIR_NO_PASID));
	EXPECT_EQ(domain_info(nested->domain).num_devices, 1);
	EXPECT_EQ(domain_info(nested->parent).num_nested, 1);
}
