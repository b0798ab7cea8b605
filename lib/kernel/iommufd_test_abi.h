/* SPDX-License-Identifier: MIT */
#ifndef WEIR_KERNEL_IOMMUFD_TEST_ABI_H
#define WEIR_KERNEL_IOMMUFD_TEST_ABI_H

/*
 * The kernel's own test double for IOMMUs, present with CONFIG_IOMMUFD_TEST: one more command on /dev/iommu
 * that makes devices of no bus and looks into what iommufd does with them. Only tests use that command; the library knows
 * the formats of its nested page tables and of their invalidation.
 *
 * Not part of the kernel's stable interface and in no package's headers: this is what 7.2 has. Each name is
 * the kernel's with abi_ or ABI_ in front. `tests/abi/run --source TREE` checks it against a kernel source
 * tree.
 */

#include <stdint.h>

/* What abi_iommu_test_cmd does; the comment says what id is. */
#define ABI_IOMMU_TEST_OP_ADD_RESERVED          1 /* IOAS */
#define ABI_IOMMU_TEST_OP_MOCK_DOMAIN           2 /* IOAS or page table: makes, binds and attaches a device */
#define ABI_IOMMU_TEST_OP_MD_CHECK_MAP          3 /* page table: does it lead to the pages at uptr? */
#define ABI_IOMMU_TEST_OP_MD_CHECK_REFS         4 /* unused: are the pages at uptr pinned refs times? */
#define ABI_IOMMU_TEST_OP_CREATE_ACCESS         5 /* IOAS: a user without hardware, as an mdev is */
#define ABI_IOMMU_TEST_OP_DESTROY_ACCESS_PAGES  6 /* access */
#define ABI_IOMMU_TEST_OP_ACCESS_PAGES          7 /* access: pins and compares */
#define ABI_IOMMU_TEST_OP_ACCESS_RW             8 /* access: reads or writes by I/O address */
#define ABI_IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT 9 /* unused: little scratch memory for pinning */
#define ABI_IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE   10 /* mock device */
#define ABI_IOMMU_TEST_OP_ACCESS_REPLACE_IOAS   11 /* access */
#define ABI_IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS     12 /* as MOCK_DOMAIN */
#define ABI_IOMMU_TEST_OP_DIRTY                 13 /* page table: a device wrote there */
#define ABI_IOMMU_TEST_OP_MD_CHECK_IOTLB        14 /* nested page table: what is in one slot of its cache? */
#define ABI_IOMMU_TEST_OP_TRIGGER_IOPF          15 /* unused: dev_id raises a page fault */
#define ABI_IOMMU_TEST_OP_DEV_CHECK_CACHE       16 /* bound device: what is in one slot of its cache? */
#define ABI_IOMMU_TEST_OP_TRIGGER_VEVENT        17 /* unused: dev_id raises an event */
#define ABI_IOMMU_TEST_OP_PASID_ATTACH          18 /* mock device */
#define ABI_IOMMU_TEST_OP_PASID_REPLACE         19 /* mock device */
#define ABI_IOMMU_TEST_OP_PASID_DETACH          20 /* mock device */
#define ABI_IOMMU_TEST_OP_PASID_CHECK_HWPT      21 /* mock device */
#define ABI_IOMMU_TEST_OP_DMABUF_GET            22 /* unused: returns the descriptor of a revocable dma-buf */
#define ABI_IOMMU_TEST_OP_DMABUF_REVOKE         23 /* unused */

/* The mock's page tables: half a page as granule, and an aperture that does not begin at 0. */
#define ABI_MOCK_IOMMUPT_DEFAULT 0
#define ABI_MOCK_IOMMUPT_HUGE    1
#define ABI_MOCK_APERTURE_START  0x1000000u
#define ABI_MOCK_APERTURE_LAST   0x7fffffffu
#define ABI_MOCK_PAGE_SIZE       2048u
#define ABI_MOCK_HUGE_PAGE_SIZE  0x100000u
#define ABI_MOCK_PASID_WIDTH     20

#define ABI_MOCK_FLAGS_ACCESS_WRITE                  (1u << 0)
#define ABI_MOCK_FLAGS_ACCESS_SYZ                    (1u << 16)
#define ABI_MOCK_ACCESS_RW_WRITE                     (1u << 0)
#define ABI_MOCK_ACCESS_RW_SLOW_PATH                 (1u << 2)
#define ABI_MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES (1u << 0)
#define ABI_MOCK_FLAGS_DEVICE_NO_DIRTY               (1u << 0)
#define ABI_MOCK_FLAGS_DEVICE_PASID                  (1u << 2)

#define ABI_MOCK_NESTED_DOMAIN_IOTLB_ID_MAX 3
#define ABI_MOCK_NESTED_DOMAIN_IOTLB_NUM    4
#define ABI_MOCK_DEV_CACHE_ID_MAX           3
#define ABI_MOCK_DEV_CACHE_NUM              4

#define ABI_IOMMU_TEST_PASID_RESERVED 1024u /* attaching it a second time fails by design */

/* From 68 bytes. The alignments only matter where 64-bit integers have 4-byte alignment. */
struct abi_iommu_test_cmd {
	uint32_t size;
	uint32_t op;
	uint32_t id;
	uint32_t __reserved;
	union {
		struct {
			_Alignas(8) uint64_t start;
			_Alignas(8) uint64_t length;
		} add_reserved;
		struct {
			uint32_t out_stdev_id;
			uint32_t out_hwpt_id;
			uint32_t out_idev_id; /* what binding a VFIO device would give */
		} mock_domain;
		struct {
			uint32_t out_stdev_id;
			uint32_t out_hwpt_id;
			uint32_t out_idev_id;
			uint32_t dev_flags;
		} mock_domain_flags;
		struct {
			uint32_t pt_id;
		} mock_domain_replace;
		struct {
			_Alignas(8) uint64_t iova;
			_Alignas(8) uint64_t length;
			_Alignas(8) uint64_t uptr;
		} check_map;
		struct {
			_Alignas(8) uint64_t length;
			_Alignas(8) uint64_t uptr;
			uint32_t refs;
		} check_refs;
		struct {
			uint32_t out_access_fd;
			uint32_t flags;
		} create_access;
		struct {
			uint32_t access_pages_id;
		} destroy_access_pages;
		struct {
			uint32_t flags;
			uint32_t out_access_pages_id;
			_Alignas(8) uint64_t iova;
			_Alignas(8) uint64_t length;
			_Alignas(8) uint64_t uptr;
		} access_pages;
		struct {
			_Alignas(8) uint64_t iova;
			_Alignas(8) uint64_t length;
			_Alignas(8) uint64_t uptr;
			uint32_t flags;
		} access_rw;
		struct {
			uint32_t limit;
		} memory_limit;
		struct {
			uint32_t ioas_id;
		} access_replace_ioas;
		struct {
			uint32_t flags;
			_Alignas(8) uint64_t iova;
			_Alignas(8) uint64_t length;
			_Alignas(8) uint64_t page_size;
			_Alignas(8) uint64_t uptr;
			_Alignas(8) uint64_t out_nr_dirty;
		} dirty;
		struct {
			uint32_t id;
			uint32_t iotlb;
		} check_iotlb;
		struct {
			uint32_t dev_id;
			uint32_t pasid;
			uint32_t grpid;
			uint32_t perm;
			uint64_t addr;
		} trigger_iopf;
		struct {
			uint32_t id;
			uint32_t cache;
		} check_dev_cache;
		struct {
			uint32_t dev_id;
		} trigger_vevent;
		struct {
			uint32_t pasid;
			uint32_t pt_id;
		} pasid_attach;
		struct {
			uint32_t pasid;
			uint32_t pt_id;
		} pasid_replace;
		struct {
			uint32_t pasid;
		} pasid_detach;
		struct {
			uint32_t pasid;
			uint32_t hwpt_id;
		} pasid_check;
		struct {
			uint32_t length;
			uint32_t open_flags;
		} dmabuf_get;
		struct {
			int32_t dmabuf_fd;
			uint32_t revoked;
		} dmabuf_revoke;
	};
	uint32_t last;
};
#define ABI_IOMMU_TEST_CMD (0x3b << 8 | 0xa0)

/* What GET_HW_INFO says of a mock device. */
#define ABI_IOMMU_HW_INFO_TYPE_SELFTEST   0xfeedbeefu
#define ABI_IOMMU_HW_INFO_SELFTEST_REGVAL 0xdeadbeefu

struct abi_iommu_test_hw_info {
	uint32_t flags;
	uint32_t test_reg;
};

/* Data for HWPT_ALLOC: what a nested table's cache holds in the beginning, or the format of a paging one. */
#define ABI_IOMMU_HWPT_DATA_SELFTEST     0xdeadu
#define ABI_IOMMU_TEST_IOTLB_DEFAULT     0xbadbeefu
#define ABI_IOMMU_TEST_DEV_CACHE_DEFAULT 0xbaddadu

struct abi_iommu_hwpt_selftest {
	uint32_t iotlb;
	uint32_t pagetable_type;
};

/*
 * Invalidations: on a nested table one slot of its cache, on a virtual IOMMU one slot of a device's; or, with
 * ALL, all.
 */
#define ABI_IOMMU_HWPT_INVALIDATE_DATA_SELFTEST           0xdeadbeefu
#define ABI_IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID   0xdadbeefu
#define ABI_IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST         0xdeadbeefu
#define ABI_IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID 0xdadbeefu
#define ABI_IOMMU_TEST_INVALIDATE_FLAG_ALL                (1u << 0)

struct abi_iommu_hwpt_invalidate_selftest {
	uint32_t flags;
	uint32_t iotlb_id;
};

struct abi_iommu_viommu_invalidate_selftest {
	uint32_t flags;
	uint32_t vdev_id;
	uint32_t cache_id;
};

/* Virtual IOMMU: out_data repeats in_data, and a page can be mapped. */
#define ABI_IOMMU_VIOMMU_TYPE_SELFTEST 0xdeadbeefu

struct abi_iommu_viommu_selftest {
	uint32_t in_data;
	uint32_t out_data;
	_Alignas(8) uint64_t out_mmap_offset;
	_Alignas(8) uint64_t out_mmap_length;
};

#define ABI_IOMMU_VEVENTQ_TYPE_SELFTEST 0xbeefbeefu

struct abi_iommu_viommu_event_selftest {
	uint32_t virt_id;
};

#define ABI_IOMMU_HW_QUEUE_TYPE_SELFTEST 0xdeadbeefu
#define ABI_IOMMU_TEST_HW_QUEUE_MAX      2

#endif
