/* SPDX-License-Identifier: MIT */
/*
 * /dev/iommu, a function per ioctl: packs, calls, unpacks. No policy. All return 0 or the kernel's negative errno.
 */
#ifndef WEIR_KERNEL_IOMMUFD_H
#define WEIR_KERNEL_IOMMUFD_H

#include <stdbool.h>

#include <weir/ioas.h>

#include "kernel/iommufd_abi.h"

int weir_iommufd_destroy(const struct weir_sys *sys, int fd, uint32_t id);
int weir_iommufd_ioas_alloc(const struct weir_sys *sys, int fd, uint32_t *ret_id);

/* At @iova, always fixed. @flags: ABI_IOMMU_IOAS_MAP_READABLE and _WRITEABLE. */
static inline int weir_iommufd_ioas_map(const struct weir_sys *sys, int fd, uint32_t ioas, uint32_t flags,
					const void *addr, uint64_t len, uint64_t iova)
{
	struct abi_iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = flags | ABI_IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas,
		.user_va = (uintptr_t)addr,
		.length = len,
		.iova = iova,
	};

	return sys->ioctl(sys->ctx, fd, ABI_IOMMU_IOAS_MAP, &cmd);
}

/* What @from maps at @from_iova, in @ioas at @iova as well. */
int weir_iommufd_ioas_copy(const struct weir_sys *sys, int fd, uint32_t ioas, uint32_t flags, uint32_t from,
			   uint64_t from_iova, uint64_t len, uint64_t iova);

/* All mappings of all spaces are charged to this process from now on. -ENOTTY: the kernel does not know the call. */
int weir_iommufd_change_process(const struct weir_sys *sys, int fd);

/* The same of a file: memfd, tmpfs or hugetlbfs. */
int weir_iommufd_ioas_map_file(const struct weir_sys *sys, int fd, uint32_t ioas, uint32_t flags, int file,
			       uint64_t offset, uint64_t len, uint64_t iova);

static inline int weir_iommufd_ioas_unmap(const struct weir_sys *sys, int fd, uint32_t ioas, uint64_t iova,
					  uint64_t len, uint64_t *ret_len)
{
	struct abi_iommu_ioas_unmap cmd = {
		.size = sizeof(cmd), .ioas_id = ioas, .iova = iova, .length = len
	};
	int error = sys->ioctl(sys->ctx, fd, ABI_IOMMU_IOAS_UNMAP, &cmd);

	if (!error)
		*ret_len = cmd.length;
	return error;
}

/*
 * *@num: in, room in @ranges; out, how many there are, of which as many as fit are filled in; -EMSGSIZE
 * when they do not all fit, with *@num and *@ret_alignment set all the same.
 */
int weir_iommufd_iova_ranges(const struct weir_sys *sys, int fd, uint32_t ioas,
			     struct weir_iova_range *ranges, uint32_t *num, uint64_t *ret_alignment);

/*
 * A page table as device @dev_id needs it. @pt_id: an IOAS, for a paging one, which has all of its mappings when this returns; or a nesting parent or virtual
 * IOMMU, for a nested one. @flags: ABI_IOMMU_HWPT_...; @faults: a queue, with FAULT_ID_VALID; @data: nested ones, @len bytes of @type.
 */
int weir_iommufd_hwpt_alloc(const struct weir_sys *sys, int fd, uint32_t dev_id, uint32_t pt_id,
			    uint32_t flags, uint32_t type, const void *data, uint32_t len, uint32_t faults,
			    uint32_t *ret_hwpt);

/* The kernel joins pages to large ones in this IOAS, or never does. */
int weir_iommufd_set_huge_pages(const struct weir_sys *sys, int fd, uint32_t ioas, bool on);

/* Begin to note what is written through a page table, from now on, or stop. */
int weir_iommufd_set_dirty(const struct weir_sys *sys, int fd, uint32_t hwpt, bool on);

/*
 * Set the bit of each page (@page bytes) that was written, and forget it unless @keep. 0 says nothing: the range has to be mapped without a hole, and
 * the bitmap to be memory that can be written and was touched.
 */
int weir_iommufd_get_dirty(const struct weir_sys *sys, int fd, uint32_t hwpt, uint64_t iova, uint64_t len,
			   uint64_t page, uint64_t *bits, bool keep);
/* A queue of page requests, and its descriptor. */
int weir_iommufd_fault_queue_alloc(const struct weir_sys *sys, int fd, uint32_t *ret_id, int *ret_fd);

/* What IOMMU is in front of a device: up to @len bytes of its own data are written to @data, and the rest zeroed. */
int weir_iommufd_hw_info(const struct weir_sys *sys, int fd, uint32_t dev_id, void *data, uint32_t len,
			 struct abi_iommu_hw_info *ret_info);

/*
 * Carry out *@num invalidations of @len bytes each, on a nested page table or a virtual IOMMU. *@num: out, on failure too, how many the kernel
 * counted: never more than it was given.
 */
int weir_iommufd_invalidate(const struct weir_sys *sys, int fd, uint32_t id, uint32_t type,
			    const void *entries, uint32_t len, uint32_t *num);

/* A virtual IOMMU over a nesting parent, in front of a device; a device's number in one. */
int weir_iommufd_viommu_alloc(const struct weir_sys *sys, int fd, uint32_t type, uint32_t dev_id,
			      uint32_t parent, uint32_t *ret_viommu);
int weir_iommufd_vdevice_alloc(const struct weir_sys *sys, int fd, uint32_t viommu, uint32_t dev_id,
			       uint64_t number, uint32_t *ret_vdevice);

/* A queue of up to @depth events of a virtual IOMMU, and the descriptor that they are read from, which is the caller's. -EIO: the kernel gave none. */
int weir_iommufd_veventq_alloc(const struct weir_sys *sys, int fd, uint32_t viommu, uint32_t type,
			       uint32_t depth, uint32_t *ret_queue, int *ret_fd);

#endif
