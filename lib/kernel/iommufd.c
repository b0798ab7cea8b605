// SPDX-License-Identifier: MIT
/* The ioctls of /dev/iommu. */
#include "kernel/iommufd.h"

#include <errno.h>
#include <limits.h>

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

int weir_iommufd_change_process(const struct weir_sys *sys, int fd)
{
	struct abi_iommu_ioas_change_process cmd = { .size = sizeof(cmd) };

	return sys->ioctl(sys->ctx, fd, ABI_IOMMU_IOAS_CHANGE_PROCESS, &cmd);
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

int weir_iommufd_hwpt_alloc(const struct weir_sys *sys, int fd, uint32_t dev_id, uint32_t pt_id,
			    uint32_t flags, uint32_t type, const void *data, uint32_t len, uint32_t faults,
			    uint32_t *ret_hwpt)
{
	struct abi_iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.dev_id = dev_id,
		.pt_id = pt_id,
		.data_type = type,
		.data_len = len,
		.data_uptr = (uintptr_t)data,
		.fault_id = faults,
	};
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_HWPT_ALLOC, &cmd);

	if (!error)
		*ret_hwpt = cmd.out_hwpt_id;
	return error;
}

int weir_iommufd_fault_queue_alloc(const struct weir_sys *sys, int fd, uint32_t *ret_id, int *ret_fd)
{
	struct abi_iommu_fault_alloc cmd = { .size = sizeof(cmd) };
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_FAULT_QUEUE_ALLOC, &cmd);

	if (error)
		return error;
	*ret_id = cmd.out_fault_id;
	*ret_fd = (int)cmd.out_fault_fd;
	return 0;
}

int weir_iommufd_hw_info(const struct weir_sys *sys, int fd, uint32_t dev_id, void *data, uint32_t len,
			 struct abi_iommu_hw_info *ret_info)
{
	struct abi_iommu_hw_info cmd = {
		.size = sizeof(cmd), .dev_id = dev_id, .data_len = len, .data_uptr = (uintptr_t)data
	};
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_GET_HW_INFO, &cmd);

	if (!error)
		*ret_info = cmd;
	return error;
}

int weir_iommufd_invalidate(const struct weir_sys *sys, int fd, uint32_t id, uint32_t type,
			    const void *entries, uint32_t len, uint32_t *num)
{
	struct abi_iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = id,
		.data_uptr = (uintptr_t)entries,
		.data_type = type,
		.entry_len = len,
		.entry_num = *num,
	};
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_HWPT_INVALIDATE, &cmd);

	/* A call that failed before it reached the command left the number as it was: nothing was handled. */
	if (cmd.entry_num < *num)
		*num = cmd.entry_num;
	else if (error)
		*num = 0;
	return error;
}

int weir_iommufd_viommu_alloc(const struct weir_sys *sys, int fd, uint32_t type, uint32_t dev_id,
			      uint32_t parent, uint32_t *ret_viommu)
{
	struct abi_iommu_viommu_alloc cmd = {
		.size = sizeof(cmd), .type = type, .dev_id = dev_id, .hwpt_id = parent
	};
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_VIOMMU_ALLOC, &cmd);

	if (!error)
		*ret_viommu = cmd.out_viommu_id;
	return error;
}

int weir_iommufd_vdevice_alloc(const struct weir_sys *sys, int fd, uint32_t viommu, uint32_t dev_id,
			       uint64_t number, uint32_t *ret_vdevice)
{
	struct abi_iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd), .viommu_id = viommu, .dev_id = dev_id, .virt_id = number
	};
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_VDEVICE_ALLOC, &cmd);

	if (!error)
		*ret_vdevice = cmd.out_vdevice_id;
	return error;
}

int weir_iommufd_set_huge_pages(const struct weir_sys *sys, int fd, uint32_t ioas, bool on)
{
	struct abi_iommu_option cmd = { .size = sizeof(cmd),
					.option_id = ABI_IOMMU_OPTION_HUGE_PAGES,
					.op = ABI_IOMMU_OPTION_OP_SET,
					.object_id = ioas,
					.val64 = on };

	return sys->ioctl(sys->ctx, fd, ABI_IOMMU_OPTION, &cmd);
}

int weir_iommufd_set_dirty(const struct weir_sys *sys, int fd, uint32_t hwpt, bool on)
{
	struct abi_iommu_hwpt_set_dirty_tracking cmd = {
		.size = sizeof(cmd), .flags = on ? ABI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0, .hwpt_id = hwpt
	};

	return sys->ioctl(sys->ctx, fd, ABI_IOMMU_HWPT_SET_DIRTY_TRACKING, &cmd);
}

int weir_iommufd_get_dirty(const struct weir_sys *sys, int fd, uint32_t hwpt, uint64_t iova, uint64_t len,
			   uint64_t page, uint64_t *bits, bool keep)
{
	struct abi_iommu_hwpt_get_dirty_bitmap cmd = {
		.size = sizeof(cmd),
		.hwpt_id = hwpt,
		.flags = keep ? ABI_IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR : 0,
		.iova = iova,
		.length = len,
		.page_size = page,
		.data = (uintptr_t)bits,
	};

	return sys->ioctl(sys->ctx, fd, ABI_IOMMU_HWPT_GET_DIRTY_BITMAP, &cmd);
}

int weir_iommufd_veventq_alloc(const struct weir_sys *sys, int fd, uint32_t viommu, uint32_t type,
			       uint32_t depth, uint32_t *ret_queue, int *ret_fd)
{
	struct abi_iommu_veventq_alloc cmd = {
		.size = sizeof(cmd), .viommu_id = viommu, .type = type, .veventq_depth = depth
	};
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_VEVENTQ_ALLOC, &cmd);

	if (error)
		return error;
	if (cmd.out_veventq_fd > INT_MAX) {
		weir_iommufd_destroy(sys, fd, cmd.out_veventq_id);
		return -EIO;
	}
	*ret_queue = cmd.out_veventq_id;
	*ret_fd = (int)cmd.out_veventq_fd;
	return 0;
}
