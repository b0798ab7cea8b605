// SPDX-License-Identifier: MIT
/* The ioctls of /dev/iommu. */
#include "kernel/iommufd.h"

#include <errno.h>

int weir_iommufd_destroy(const struct weir_sys *sys, int fd, uint32_t id)
{
	struct abi_iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return sys->ioctl(sys->ctx, fd, ABI_IOMMU_DESTROY, &cmd);
}

int weir_iommufd_ioas_alloc(const struct weir_sys *sys, int fd, uint32_t *ret_id)
{
	struct abi_iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_IOAS_ALLOC, &cmd);

	if (!error)
		*ret_id = cmd.out_ioas_id;
	return error;
}

int weir_iommufd_ioas_copy(const struct weir_sys *sys, int fd, uint32_t ioas, uint32_t flags, uint32_t from,
			   uint64_t from_iova, uint64_t len, uint64_t iova)
{
	struct abi_iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = flags | ABI_IOMMU_IOAS_MAP_FIXED_IOVA,
		.dst_ioas_id = ioas,
		.src_ioas_id = from,
		.length = len,
		.dst_iova = iova,
		.src_iova = from_iova,
	};

	return sys->ioctl(sys->ctx, fd, ABI_IOMMU_IOAS_COPY, &cmd);
}

int weir_iommufd_ioas_map_file(const struct weir_sys *sys, int fd, uint32_t ioas, uint32_t flags, int file,
			       uint64_t offset, uint64_t len, uint64_t iova)
{
	struct abi_iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = flags | ABI_IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas,
		.fd = file,
		.start = offset,
		.length = len,
		.iova = iova,
	};

	return sys->ioctl(sys->ctx, fd, ABI_IOMMU_IOAS_MAP_FILE, &cmd);
}

int weir_iommufd_iova_ranges(const struct weir_sys *sys, int fd, uint32_t ioas,
			     struct weir_iova_range *ranges, uint32_t *num, uint64_t *ret_alignment)
{
	struct abi_iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas,
		.num_iovas = *num,
		.allowed_iovas = (uintptr_t)ranges,
	};
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_IOAS_IOVA_RANGES, &cmd);

	_Static_assert(sizeof(struct weir_iova_range) == sizeof(struct abi_iommu_iova_range), "same layout");
	if (!error || error == -EMSGSIZE) {
		*num = cmd.num_iovas;
		*ret_alignment = cmd.out_iova_alignment;
	}
	return error;
}

int weir_iommufd_hwpt_alloc(const struct weir_sys *sys, int fd, uint32_t dev_id, uint32_t ioas,
			    uint32_t *ret_hwpt)
{
	struct abi_iommu_hwpt_alloc cmd = { .size = sizeof(cmd), .dev_id = dev_id, .pt_id = ioas };
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_HWPT_ALLOC, &cmd);

	if (!error)
		*ret_hwpt = cmd.out_hwpt_id;
	return error;
}
