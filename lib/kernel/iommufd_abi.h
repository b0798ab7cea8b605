/* SPDX-License-Identifier: MIT */
#ifndef WEIR_KERNEL_IOMMUFD_ABI_H
#define WEIR_KERNEL_IOMMUFD_ABI_H

/*
 * What goes over /dev/iommu, in our own definitions, so that weir builds where the system's headers are old
 * or absent.
 *
 * Each name is the kernel's with abi_ or ABI_ in front. The library packs these structs and the simulated
 * host unpacks them. tests/abi/run holds every size, offset and number against the newest headers that
 * Debian ships.
 *
 * Rules of every command: the first word is the size of the struct as the caller knows it. The kernel takes
 * any size from that of the first release of the command ("from 24 bytes" below, where it has grown since);
 * a tail that is missing counts as zero, and a tail that the kernel does not know must be zero (-E2BIG).
 * Ids belong to one descriptor and begin at 1. "since" is the kernel that first had it; 6.2 is the first
 * with iommufd.
 */

#include <stdint.h>

#define ABI_IOMMUFD_TYPE     0x3b
#define ABI_IOMMUFD_CMD_BASE 0x80

/* ---- Any object ---- */

/*
 * Destroys an object that nothing else uses (-EBUSY otherwise). Its id is free for reuse at once. Since
 * 6.2.
 */
struct abi_iommu_destroy {
	uint32_t size;
	uint32_t id;
};
#define ABI_IOMMU_DESTROY (0x3b << 8 | 0x80)

/* ---- I/O address space (IOAS) ---- */

/* Makes an empty address space. Since 6.2. */
struct abi_iommu_ioas_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t out_ioas_id;
};
#define ABI_IOMMU_IOAS_ALLOC (0x3b << 8 | 0x81)

/* One range of I/O addresses; both ends belong to it. Since 6.2. */
struct abi_iommu_iova_range {
	uint64_t start;
	uint64_t last;
};

/*
 * Confines addresses that the kernel chooses to the given ranges, and makes an attachment fail that would
 * take them away. Replaces the whole list. Since 6.2.
 */
struct abi_iommu_ioas_allow_iovas {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t __reserved;
	uint64_t allowed_iovas; /* pointer to abi_iommu_iova_range[num_iovas] */
};
#define ABI_IOMMU_IOAS_ALLOW_IOVAS (0x3b << 8 | 0x82)

/*
 * What abi_iommu_ioas_map, _map_file and _copy take as flags. Without FIXED_IOVA the kernel chooses. Since
 * 6.2.
 */
#define ABI_IOMMU_IOAS_MAP_FIXED_IOVA (1u << 0)
#define ABI_IOMMU_IOAS_MAP_WRITEABLE  (1u << 1)
#define ABI_IOMMU_IOAS_MAP_READABLE   (1u << 2)

/*
 * Maps what another address space (or this one) maps already; the pages are pinned and charged once. Since
 * 6.2.
 */
struct abi_iommu_ioas_copy {
	uint32_t size;
	uint32_t flags;
	uint32_t dst_ioas_id;
	uint32_t src_ioas_id;
	uint64_t length;
	uint64_t dst_iova; /* in with FIXED_IOVA, out without */
	uint64_t src_iova;
};
#define ABI_IOMMU_IOAS_COPY (0x3b << 8 | 0x83)

/*
 * Lists what the attached devices can address and how it must be aligned; every attachment may change both.
 * With too little room: -EMSGSIZE, and num_iovas says how many there are. Since 6.2.
 */
struct abi_iommu_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas; /* in: room, out: how many there are */
	uint32_t __reserved;
	uint64_t allowed_iovas; /* pointer to abi_iommu_iova_range[num_iovas] */
	uint64_t out_iova_alignment;
};
#define ABI_IOMMU_IOAS_IOVA_RANGES (0x3b << 8 | 0x84)

/*
 * Maps memory of the calling process. Pins it only while a device is attached, so errors may come later.
 * Since 6.2.
 */
struct abi_iommu_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t __reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova; /* in with FIXED_IOVA, out without */
};
#define ABI_IOMMU_IOAS_MAP (0x3b << 8 | 0x85)

/*
 * Unmaps whole mappings only; 0 and UINT64_MAX mean everything. -ENOENT may leave it done in part. Since
 * 6.2.
 */
struct abi_iommu_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length; /* out: how many bytes were mapped */
};
#define ABI_IOMMU_IOAS_UNMAP (0x3b << 8 | 0x86)

/*
 * Maps memfd, tmpfs or hugetlbfs memory by its file, tied to no process. Since 6.13; dma-bufs too since
 * 6.19.
 */
struct abi_iommu_ioas_map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start; /* offset in the file */
	uint64_t length;
	uint64_t iova; /* in with FIXED_IOVA, out without */
};
#define ABI_IOMMU_IOAS_MAP_FILE (0x3b << 8 | 0x8f)

/*
 * Charges all mappings of the descriptor to the calling process instead of the one that made them. Only
 * when every one of them was made by file (-EINVAL). Since 6.13.
 */
struct abi_iommu_ioas_change_process {
	uint32_t size;
	uint32_t __reserved;
};
#define ABI_IOMMU_IOAS_CHANGE_PROCESS (0x3b << 8 | 0x92)

/* ---- Options ---- */

/*
 * What is set: RLIMIT_MODE for the descriptor (before its first object), HUGE_PAGES for one address space.
 * Since 6.2.
 */
#define ABI_IOMMU_OPTION_RLIMIT_MODE 0 /* 0: charge the user, 1: charge the process */
#define ABI_IOMMU_OPTION_HUGE_PAGES  1 /* 1: join pages where possible (default), 0: never */

#define ABI_IOMMU_OPTION_OP_SET 0
#define ABI_IOMMU_OPTION_OP_GET 1

struct abi_iommu_option {
	uint32_t size;
	uint32_t option_id;
	uint16_t op;
	uint16_t __reserved;
	uint32_t object_id; /* 0 for RLIMIT_MODE */
	uint64_t val64;
};
#define ABI_IOMMU_OPTION (0x3b << 8 | 0x87)

/* ---- The VFIO container's commands on /dev/iommu ---- */

#define ABI_IOMMU_VFIO_IOAS_GET   0
#define ABI_IOMMU_VFIO_IOAS_SET   1
#define ABI_IOMMU_VFIO_IOAS_CLEAR 2

/*
 * Which address space serves the container commands of vfio_abi.h on this descriptor; GET: -ENODEV if none.
 * Since 6.2.
 */
struct abi_iommu_vfio_ioas {
	uint32_t size;
	uint32_t ioas_id;
	uint16_t op;
	uint16_t __reserved;
};
#define ABI_IOMMU_VFIO_IOAS (0x3b << 8 | 0x88)

/* ---- What a device's IOMMU is ---- */

/*
 * Format of the hardware's own data. On input, with INPUT_TYPE, DEFAULT lets the driver choose. Since 6.6.
 */
#define ABI_IOMMU_HW_INFO_TYPE_NONE           0
#define ABI_IOMMU_HW_INFO_TYPE_DEFAULT        0
#define ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD      1 /* since 6.6 */
#define ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3     2 /* since 6.13 */
#define ABI_IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV 3 /* since 6.17 */
#define ABI_IOMMU_HW_INFO_TYPE_AMD            4 /* since 7.0 */

#define ABI_IOMMU_HW_INFO_FLAG_INPUT_TYPE (1u << 0) /* in_data_type is meant; since 6.17 */

#define ABI_IOMMU_HW_CAP_DIRTY_TRACKING        (1u << 0) /* since 6.7 */
#define ABI_IOMMU_HW_CAP_PCI_PASID_EXEC        (1u << 1) /* since 6.15 */
#define ABI_IOMMU_HW_CAP_PCI_PASID_PRIV        (1u << 2) /* since 6.15 */
#define ABI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED (1u << 3) /* since 7.1 */

/*
 * Intel VT-d. With the erratum, a nesting parent may hold no read-only mapping; 7.2 always sets it. Since
 * 6.6.
 */
#define ABI_IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 (1u << 0)

struct abi_iommu_hw_info_vtd {
	uint32_t flags;
	uint32_t __reserved;
	uint64_t cap_reg;
	uint64_t ecap_reg;
};

/*
 * Arm SMMUv3: its identification registers, to be read with care for what the kernel can use. Since 6.13.
 */
struct abi_iommu_hw_info_arm_smmuv3 {
	uint32_t flags;
	uint32_t __reserved;
	uint32_t idr[6];
	uint32_t iidr;
	uint32_t aidr;
};

/* NVIDIA's command queues beside an SMMUv3: how many there may be, as powers of two. Since 6.17. */
struct abi_iommu_hw_info_tegra241_cmdqv {
	uint32_t flags;
	uint8_t version;
	uint8_t log2vcmdqs;
	uint8_t log2vsids;
	uint8_t __reserved;
};

/* AMD: the two extended feature registers. Since 7.0. */
struct abi_iommu_hw_info_amd {
	uint64_t efr;
	uint64_t efr2;
};

/*
 * Says which IOMMU a bound device sits behind and what it can do. Fills the caller's buffer as far as it
 * goes, zeroes the rest, and puts its own length into data_len. Since 6.6, from 32 bytes.
 */
struct abi_iommu_hw_info {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t data_len;
	uint64_t data_uptr;
	union {
		uint32_t in_data_type;
		uint32_t out_data_type;
	};
	uint8_t out_max_pasid_log2; /* 0: no PASIDs */
	uint8_t __reserved[3];
	uint64_t out_capabilities; /* ABI_IOMMU_HW_CAP_* */
};
#define ABI_IOMMU_GET_HW_INFO (0x3b << 8 | 0x8a)

/* ---- Hardware page table (HWPT) ---- */

#define ABI_IOMMU_HWPT_ALLOC_NEST_PARENT    (1u << 0) /* since 6.7 */
#define ABI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING (1u << 1) /* since 6.7 */
#define ABI_IOMMU_HWPT_FAULT_ID_VALID       (1u << 2) /* since 6.11 */
#define ABI_IOMMU_HWPT_ALLOC_PASID          (1u << 3) /* since 6.15 */

/* Which of the structs below data_uptr points to. */
#define ABI_IOMMU_HWPT_DATA_NONE       0
#define ABI_IOMMU_HWPT_DATA_VTD_S1     1 /* since 6.7 */
#define ABI_IOMMU_HWPT_DATA_ARM_SMMUV3 2 /* since 6.13 */
#define ABI_IOMMU_HWPT_DATA_AMD_GUEST  3 /* since 7.0; no driver takes it in 7.2 */

#define ABI_IOMMU_VTD_S1_SRE  (1u << 0)
#define ABI_IOMMU_VTD_S1_EAFE (1u << 1)
#define ABI_IOMMU_VTD_S1_WPE  (1u << 2)

/* VT-d first-stage table, at an address of the parent. Flags and width are judged at attach. Since 6.7. */
struct abi_iommu_hwpt_vtd_s1 {
	uint64_t flags;
	uint64_t pgtbl_addr;
	uint32_t addr_width; /* 48 or 57 */
	uint32_t __reserved;
};

/* The first two words of an SMMUv3 stream table entry, little-endian. Since 6.13. */
struct abi_iommu_hwpt_arm_smmuv3 {
	uint64_t ste[2];
};

/* An AMD device table entry. Since 7.0. */
struct abi_iommu_hwpt_amd_guest {
	uint64_t dte[4];
};

/*
 * Makes a page table for a device: a paging one of an IOAS, or a nested one on a nesting parent (VT-d) or
 * on a virtual IOMMU (SMMUv3), whose stage-1 table the caller writes. Since 6.6, from 24 bytes; nested
 * since
 * 6.7.
 */
struct abi_iommu_hwpt_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pt_id; /* IOAS, nesting parent or virtual IOMMU */
	uint32_t out_hwpt_id;
	uint32_t __reserved;
	uint32_t data_type;
	uint32_t data_len;
	uint64_t data_uptr;
	uint32_t fault_id; /* with FAULT_ID_VALID */
	uint32_t __reserved2;
};
#define ABI_IOMMU_HWPT_ALLOC (0x3b << 8 | 0x89)

/* ---- Dirty tracking of a page table ---- */

#define ABI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE 1u

/* Switches tracking on (forgetting what was dirty) or off. Since 6.7. */
struct abi_iommu_hwpt_set_dirty_tracking {
	uint32_t size;
	uint32_t flags;
	uint32_t hwpt_id;
	uint32_t __reserved;
};
#define ABI_IOMMU_HWPT_SET_DIRTY_TRACKING (0x3b << 8 | 0x8b)

#define ABI_IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR 1u

/*
 * Reads, and unless told otherwise clears, what devices wrote. Sets bits, clears none; bit 0 stands for
 * iova. Holes and a bitmap that cannot be written still give 0, and the state is gone. Since 6.7.
 */
struct abi_iommu_hwpt_get_dirty_bitmap {
	uint32_t size;
	uint32_t hwpt_id;
	uint32_t flags;
	uint32_t __reserved;
	uint64_t iova;
	uint64_t length;
	uint64_t page_size; /* bytes per bit */
	uint64_t data;      /* pointer to uint64_t[] */
};
#define ABI_IOMMU_HWPT_GET_DIRTY_BITMAP (0x3b << 8 | 0x8c)

/* ---- Invalidation of what hardware cached of a nested table ---- */

#define ABI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1       0 /* since 6.8 */
#define ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 1 /* since 6.13 */

#define ABI_IOMMU_VTD_INV_FLAGS_LEAF (1u << 0) /* only leaves changed */

/* VT-d: npages 4 KiB pages from addr; UINT64_MAX pages from 0 are everything. Since 6.8. */
struct abi_iommu_hwpt_vtd_s1_invalidate {
	uint64_t addr;
	uint64_t npages;
	uint32_t flags;
	uint32_t __reserved;
};

/*
 * One SMMUv3 command as a guest would queue it, little-endian; the kernel fills in VMID and stream. Since
 * 6.13.
 */
struct abi_iommu_viommu_arm_smmuv3_invalidate {
	uint64_t cmd[2];
};

/*
 * Runs invalidations in order, on a nested table or on a virtual IOMMU. entry_num comes back on failure
 * too, with how many were handled; on SMMUv3 some of those may not have been issued. Since 6.8.
 */
struct abi_iommu_hwpt_invalidate {
	uint32_t size;
	uint32_t hwpt_id;
	uint64_t data_uptr;
	uint32_t data_type;
	uint32_t entry_len;
	uint32_t entry_num; /* in: given, out: handled */
	uint32_t __reserved;
};
#define ABI_IOMMU_HWPT_INVALIDATE (0x3b << 8 | 0x8d)

/* ---- I/O page faults ---- */

#define ABI_IOMMU_PGFAULT_FLAGS_PASID_VALID (1u << 0)
#define ABI_IOMMU_PGFAULT_FLAGS_LAST_PAGE   (1u << 1) /* ends the group */

#define ABI_IOMMU_PGFAULT_PERM_READ  (1u << 0)
#define ABI_IOMMU_PGFAULT_PERM_WRITE (1u << 1)
#define ABI_IOMMU_PGFAULT_PERM_EXEC  (1u << 2)
#define ABI_IOMMU_PGFAULT_PERM_PRIV  (1u << 3)

/*
 * One request, as read() on the queue's descriptor gives it; all of a group share one cookie. Since 6.11.
 */
struct abi_iommu_hwpt_pgfault {
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pasid;
	uint32_t grpid;
	uint32_t perm;
	uint32_t __reserved;
	uint64_t addr;
	uint32_t length; /* always 0 in 7.2 */
	uint32_t cookie;
};

#define ABI_IOMMUFD_PAGE_RESP_SUCCESS 0 /* the device tries again */
#define ABI_IOMMUFD_PAGE_RESP_INVALID 1 /* its access fails */

/*
 * The answer to a whole group, as write() takes it; the kernel then hands the cookie out again. Since 6.11.
 */
struct abi_iommu_hwpt_page_response {
	uint32_t cookie;
	uint32_t code;
};

/* Makes a queue that page tables may name as theirs, and a descriptor to read and answer it. Since 6.11. */
struct abi_iommu_fault_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t out_fault_id;
	uint32_t out_fault_fd;
};
#define ABI_IOMMU_FAULT_QUEUE_ALLOC (0x3b << 8 | 0x8e)

/* ---- Virtual IOMMU: a slice of one physical IOMMU, for nesting ---- */

#define ABI_IOMMU_VIOMMU_TYPE_DEFAULT        0 /* always refused */
#define ABI_IOMMU_VIOMMU_TYPE_ARM_SMMUV3     1 /* since 6.13 */
#define ABI_IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV 2 /* since 6.17 */

/*
 * Where on the iommufd the queue registers can be mapped; filled by the kernel. The guest must find HYP_OWN
 * of VINTF_CONFIG 0. Since 6.17.
 */
struct abi_iommu_viommu_tegra241_cmdqv {
	uint64_t out_vintf_mmap_offset;
	uint64_t out_vintf_mmap_length;
};

/* Makes one over a nesting parent, for the IOMMU that the device sits behind. Since 6.13, from 24 bytes. */
struct abi_iommu_viommu_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t type;
	uint32_t dev_id;
	uint32_t hwpt_id; /* the nesting parent */
	uint32_t out_viommu_id;
	uint32_t data_len; /* this and the rest since 6.17 */
	uint32_t __reserved;
	uint64_t data_uptr;
};
#define ABI_IOMMU_VIOMMU_ALLOC (0x3b << 8 | 0x90)

/*
 * Gives a device the number by which the virtual IOMMU's tables and commands know it. One per device. Since
 * 6.13.
 */
struct abi_iommu_vdevice_alloc {
	uint32_t size;
	uint32_t viommu_id;
	uint32_t dev_id;
	uint32_t out_vdevice_id;
	uint64_t virt_id; /* SMMUv3: the stream id */
};
#define ABI_IOMMU_VDEVICE_ALLOC (0x3b << 8 | 0x91)

#define ABI_IOMMU_VEVENTQ_FLAG_LOST_EVENTS (1u << 0) /* events are missing here, and no data follows */

/* Stands before each event that read() gives. sequence counts the lost ones too. Since 6.15. */
struct abi_iommufd_vevent_header {
	uint32_t flags;
	uint32_t sequence;
};

#define ABI_IOMMU_VEVENTQ_TYPE_DEFAULT        0 /* always refused */
#define ABI_IOMMU_VEVENTQ_TYPE_ARM_SMMUV3     1 /* since 6.15 */
#define ABI_IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV 2 /* since 6.17 */

/* An SMMUv3 event record, little-endian, with the virtual stream id in it. Since 6.15. */
struct abi_iommu_vevent_arm_smmuv3 {
	uint64_t evt[4];
};

/* One bit per queue that reports an error, little-endian. Since 6.17. */
struct abi_iommu_vevent_tegra241_cmdqv {
	uint64_t lvcmdq_err_map[2];
};

/*
 * Makes a queue of events for a virtual IOMMU, one per type; full, it drops and says so. Since 6.15, from
 * 28 bytes.
 */
struct abi_iommu_veventq_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t viommu_id;
	uint32_t type;
	uint32_t veventq_depth;
	uint32_t out_veventq_id;
	uint32_t out_veventq_fd;
	uint32_t __reserved;
};
#define ABI_IOMMU_VEVENTQ_ALLOC (0x3b << 8 | 0x93)

#define ABI_IOMMU_HW_QUEUE_TYPE_DEFAULT        0 /* always refused */
#define ABI_IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV 1 /* made with ascending index from 0, destroyed in reverse */

/*
 * Lets hardware read a command queue from guest memory, which stays mapped meanwhile (-EBUSY on unmap).
 * Since
 * 6.17.
 */
struct abi_iommu_hw_queue_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t viommu_id;
	uint32_t type;
	uint32_t index;
	uint32_t out_hw_queue_id;
	uint64_t nesting_parent_iova;
	uint64_t length;
};
#define ABI_IOMMU_HW_QUEUE_ALLOC (0x3b << 8 | 0x94)

#endif
