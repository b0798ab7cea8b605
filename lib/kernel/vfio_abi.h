/* SPDX-License-Identifier: MIT */
#ifndef WEIR_KERNEL_VFIO_ABI_H
#define WEIR_KERNEL_VFIO_ABI_H

/*
 * What goes over VFIO's containers, groups and PCI devices, in our own definitions, so that weir builds
 * where the system's headers are old or absent.
 *
 * Each name is the kernel's with abi_ or ABI_ in front. The library packs these structs and the simulated
 * host unpacks them. tests/abi/run holds every size, offset and number against the newest headers that
 * Debian ships. Left out is what has no use here: s390, POWER, graphics and the mediated devices of
 * vendors.
 *
 * Rules of every command: argsz is the room that the caller has; too little is -EINVAL, more does no harm.
 * Device and container commands share numbers: the descriptor decides. "since" is the kernel that first had
 * it, where that is later than 5.10.
 */

#include <stdint.h>

#define ABI_VFIO_TYPE 0x3b
#define ABI_VFIO_BASE 0x64

/* ---- Capability chains in what the INFO commands return ---- */

/*
 * One link. Offsets count from the start of the info struct; 0 ends the chain. With too little room the
 * command succeeds, with cap_offset 0 and the needed size in argsz.
 */
struct abi_vfio_info_cap_header {
	uint16_t id;
	uint16_t version;
	uint32_t next;
};

/* ---- Container: /dev/vfio/vfio, or /dev/iommu in its place ---- */

#define ABI_VFIO_API_VERSION 0

/* Returns the version of all of this; no other than 0 was ever given. */
#define ABI_VFIO_GET_API_VERSION (0x3b << 8 | 0x64)

/*
 * Returns 1 (or more) if the container can do what is named by number, 0 if not. The argument is one of
 * these.
 */
#define ABI_VFIO_CHECK_EXTENSION (0x3b << 8 | 0x65)

#define ABI_VFIO_TYPE1_IOMMU   1
#define ABI_VFIO_TYPE1v2_IOMMU 3 /* unmaps whole mappings or refuses */
#define ABI_VFIO_DMA_CC_IOMMU  4 /* device accesses are cache coherent */
#define ABI_VFIO_NOIOMMU_IOMMU 8
#define ABI_VFIO_UNMAP_ALL     9  /* since 5.12 */
#define ABI_VFIO_UPDATE_VADDR  10 /* since 5.12; never on iommufd */

/* Chooses TYPE1 or TYPE1v2; needs a group first. Until then every command below it is refused. */
#define ABI_VFIO_SET_IOMMU (0x3b << 8 | 0x66)

/* ---- Group: /dev/vfio/N ---- */

#define ABI_VFIO_GROUP_FLAGS_VIABLE        (1u << 0) /* no sibling has a driver of the kernel's */
#define ABI_VFIO_GROUP_FLAGS_CONTAINER_SET (1u << 1)

struct abi_vfio_group_status {
	uint32_t argsz;
	uint32_t flags;
};
#define ABI_VFIO_GROUP_GET_STATUS (0x3b << 8 | 0x67)

/*
 * Puts the group into a container; the argument points to its descriptor, which may be an iommufd since
 * 6.2.
 */
#define ABI_VFIO_GROUP_SET_CONTAINER (0x3b << 8 | 0x68)

/* Takes it out again. On type1 the last group takes all mappings with it. */
#define ABI_VFIO_GROUP_UNSET_CONTAINER (0x3b << 8 | 0x69)

/*
 * Returns a descriptor of the device whose name the argument points to ("0000:01:00.0", or that and "
 * vf_token=UUID").
 */
#define ABI_VFIO_GROUP_GET_DEVICE_FD (0x3b << 8 | 0x6a)

/* ---- Device: what it is ---- */

#define ABI_VFIO_DEVICE_FLAGS_RESET (1u << 0) /* VFIO_DEVICE_RESET works */
#define ABI_VFIO_DEVICE_FLAGS_PCI   (1u << 1)
#define ABI_VFIO_DEVICE_FLAGS_CAPS  (1u << 7) /* there is a chain */

struct abi_vfio_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions; /* highest index + 1 */
	uint32_t num_irqs;    /* highest index + 1 */
	uint32_t cap_offset;
	uint32_t pad;
};
#define ABI_VFIO_DEVICE_GET_INFO (0x3b << 8 | 0x6b)

/* In that chain: which PCIe atomic operations reach the root port. Since 6.5. */
#define ABI_VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP 5

#define ABI_VFIO_PCI_ATOMIC_COMP32  (1u << 0)
#define ABI_VFIO_PCI_ATOMIC_COMP64  (1u << 1)
#define ABI_VFIO_PCI_ATOMIC_COMP128 (1u << 2)

struct abi_vfio_device_info_cap_pci_atomic_comp {
	struct abi_vfio_info_cap_header header;
	uint32_t flags;
	uint32_t reserved;
};

/* ---- Device: regions ---- */

#define ABI_VFIO_PCI_BAR0_REGION_INDEX   0
#define ABI_VFIO_PCI_BAR1_REGION_INDEX   1
#define ABI_VFIO_PCI_BAR2_REGION_INDEX   2
#define ABI_VFIO_PCI_BAR3_REGION_INDEX   3
#define ABI_VFIO_PCI_BAR4_REGION_INDEX   4
#define ABI_VFIO_PCI_BAR5_REGION_INDEX   5
#define ABI_VFIO_PCI_ROM_REGION_INDEX    6
#define ABI_VFIO_PCI_CONFIG_REGION_INDEX 7
#define ABI_VFIO_PCI_VGA_REGION_INDEX    8
#define ABI_VFIO_PCI_NUM_REGIONS         9 /* from here on, the capability TYPE tells what it is */

#define ABI_VFIO_REGION_INFO_FLAG_READ  (1u << 0)
#define ABI_VFIO_REGION_INFO_FLAG_WRITE (1u << 1)
#define ABI_VFIO_REGION_INFO_FLAG_MMAP  (1u << 2)
#define ABI_VFIO_REGION_INFO_FLAG_CAPS  (1u << 3) /* there is a chain */

/*
 * Where a region lies in the device's descriptor. What the device does not have has size 0, and is no
 * error.
 */
struct abi_vfio_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset; /* for pread, pwrite and mmap */
};
#define ABI_VFIO_DEVICE_GET_REGION_INFO (0x3b << 8 | 0x6c)

/* In that chain. MSIX_MAPPABLE has no data: the MSI-X table does not stand in the way of mmap. */
#define ABI_VFIO_REGION_INFO_CAP_SPARSE_MMAP   1
#define ABI_VFIO_REGION_INFO_CAP_TYPE          2
#define ABI_VFIO_REGION_INFO_CAP_MSIX_MAPPABLE 3

struct abi_vfio_region_sparse_mmap_area {
	uint64_t offset; /* within the region */
	uint64_t size;
};

/* Only these parts may be mapped. vfio-pci itself never says so; drivers for particular devices do. */
struct abi_vfio_region_info_cap_sparse_mmap {
	struct abi_vfio_info_cap_header header;
	uint32_t nr_areas;
	uint32_t reserved;
	struct abi_vfio_region_sparse_mmap_area areas[];
};

#define ABI_VFIO_REGION_TYPE_PCI_VENDOR_TYPE 0x80000000u /* the low bits are a PCI vendor id */
#define ABI_VFIO_REGION_TYPE_PCI_VENDOR_MASK 0xffffu

/* What a region beyond the fixed ones is. */
struct abi_vfio_region_info_cap_type {
	struct abi_vfio_info_cap_header header;
	uint32_t type;
	uint32_t subtype;
};

/* ---- Device: interrupts ---- */

#define ABI_VFIO_PCI_INTX_IRQ_INDEX 0
#define ABI_VFIO_PCI_MSI_IRQ_INDEX  1
#define ABI_VFIO_PCI_MSIX_IRQ_INDEX 2
#define ABI_VFIO_PCI_ERR_IRQ_INDEX  3 /* an uncorrectable PCIe error */
#define ABI_VFIO_PCI_REQ_IRQ_INDEX  4 /* the kernel wants the device back */
#define ABI_VFIO_PCI_NUM_IRQS       5

/* NORESIZE: more vectors only by starting over. MSI-X may come without it since 6.5. */
#define ABI_VFIO_IRQ_INFO_EVENTFD    (1u << 0)
#define ABI_VFIO_IRQ_INFO_MASKABLE   (1u << 1)
#define ABI_VFIO_IRQ_INFO_AUTOMASKED (1u << 2)
#define ABI_VFIO_IRQ_INFO_NORESIZE   (1u << 3)

struct abi_vfio_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
#define ABI_VFIO_DEVICE_GET_IRQ_INFO (0x3b << 8 | 0x6d)

/* One kind of data and one action, exactly. */
#define ABI_VFIO_IRQ_SET_DATA_NONE      (1u << 0)
#define ABI_VFIO_IRQ_SET_DATA_BOOL      (1u << 1) /* uint8_t[count] */
#define ABI_VFIO_IRQ_SET_DATA_EVENTFD   (1u << 2) /* int32_t[count]; -1: none */
#define ABI_VFIO_IRQ_SET_ACTION_MASK    (1u << 3)
#define ABI_VFIO_IRQ_SET_ACTION_UNMASK  (1u << 4)
#define ABI_VFIO_IRQ_SET_ACTION_TRIGGER (1u << 5)

#define ABI_VFIO_IRQ_SET_DATA_TYPE_MASK   (7u << 0)
#define ABI_VFIO_IRQ_SET_ACTION_TYPE_MASK (7u << 3)

/*
 * TRIGGER with eventfds switches an index on, with no data and count 0 off. A positive result is a failure:
 * so many vectors there are, and none is on.
 */
struct abi_vfio_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	uint8_t data[];
};
#define ABI_VFIO_DEVICE_SET_IRQS (0x3b << 8 | 0x6e)

/* ---- Device: reset ---- */

/*
 * Resets the function, if it knows how (-EINVAL). Mappings for its DMA stay; exported dma-bufs are
 * withdrawn.
 */
#define ABI_VFIO_DEVICE_RESET (0x3b << 8 | 0x6f)

#define ABI_VFIO_PCI_DEVID_OWNED     0u
#define ABI_VFIO_PCI_DEVID_NOT_OWNED 0xffffffffu

struct abi_vfio_pci_dependent_device {
	union {
		uint32_t group_id;
		uint32_t devid; /* with the flag DEV_ID: an iommufd device id, or one of the above */
	};
	uint16_t segment;
	uint8_t bus;
	uint8_t devfn;
};

#define ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID       (1u << 0) /* since 6.6 */
#define ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED (1u << 1) /* nothing stands in the way; since 6.6 */

/*
 * Who else a bus or slot reset hits. Too little room: -ENOSPC, and count says how many; no such reset:
 * -ENODEV.
 */
struct abi_vfio_pci_hot_reset_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t count;
	struct abi_vfio_pci_dependent_device devices[];
};
#define ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO (0x3b << 8 | 0x70)

/*
 * Resets bus or slot. Through groups: give the descriptors of all groups it hits; through the cdev: count 0
 * (since 6.6).
 */
struct abi_vfio_pci_hot_reset {
	uint32_t argsz;
	uint32_t flags;
	uint32_t count;
	int32_t group_fds[];
};
#define ABI_VFIO_DEVICE_PCI_HOT_RESET (0x3b << 8 | 0x71)

/* ---- Device: a register write by eventfd ---- */

#define ABI_VFIO_DEVICE_IOEVENTFD_8         (1u << 0)
#define ABI_VFIO_DEVICE_IOEVENTFD_16        (1u << 1)
#define ABI_VFIO_DEVICE_IOEVENTFD_32        (1u << 2)
#define ABI_VFIO_DEVICE_IOEVENTFD_64        (1u << 3) /* refused by vfio-pci */
#define ABI_VFIO_DEVICE_IOEVENTFD_SIZE_MASK 0xfu

/* The kernel writes data to a BAR each time the eventfd is signalled; fd -1 ends it. */
struct abi_vfio_device_ioeventfd {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset; /* in the device's descriptor */
	uint64_t data;
	int32_t fd;
	uint32_t reserved;
};
#define ABI_VFIO_DEVICE_IOEVENTFD (0x3b << 8 | 0x74)

/* ---- Device opened as /dev/vfio/devices/vfioN: binding and attachment, since 6.6 ---- */

#define ABI_VFIO_DEVICE_BIND_FLAG_TOKEN (1u << 0) /* since 6.17, right since 6.19 */

/*
 * Binds the device to an iommufd, which opens it; closing is the only way back. Alone among VFIO's commands
 * it refuses a tail it does not know unless it is zero. From 16 bytes.
 */
struct abi_vfio_device_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr; /* since 6.17 */
};
#define ABI_VFIO_DEVICE_BIND_IOMMUFD (0x3b << 8 | 0x76)

#define ABI_VFIO_DEVICE_ATTACH_PASID (1u << 0) /* since 6.15 */

/*
 * Attaches, or replaces what was attached, for the whole group. pt_id becomes that of the page table. From
 * 12 bytes.
 */
struct abi_vfio_device_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id; /* in: IOAS or page table, out: page table */
	uint32_t pasid; /* since 6.15 */
};
#define ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT (0x3b << 8 | 0x77)

#define ABI_VFIO_DEVICE_DETACH_PASID (1u << 0) /* since 6.15 */

/* After this the device's DMA goes nowhere. From 8 bytes. */
struct abi_vfio_device_detach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pasid; /* since 6.15 */
};
#define ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT (0x3b << 8 | 0x78)

/* ---- Device: features ---- */

#define ABI_VFIO_DEVICE_FEATURE_MASK  0xffffu
#define ABI_VFIO_DEVICE_FEATURE_GET   (1u << 16)
#define ABI_VFIO_DEVICE_FEATURE_SET   (1u << 17)
#define ABI_VFIO_DEVICE_FEATURE_PROBE (1u << 18) /* only ask whether GET or SET would work */

/*
 * Gets, sets or probes one of the features that follow, by number; what a device lacks is -ENOTTY, mostly.
 */
struct abi_vfio_device_feature {
	uint32_t argsz;
	uint32_t flags;
	uint8_t data[];
};
#define ABI_VFIO_DEVICE_FEATURE (0x3b << 8 | 0x75)

/* SET: uint8_t[16], the UUID that openers of the virtual functions must show. */
#define ABI_VFIO_DEVICE_FEATURE_PCI_VF_TOKEN 0

/* GET: which of the migration states exist. Since 5.18. */
#define ABI_VFIO_DEVICE_FEATURE_MIGRATION 1

#define ABI_VFIO_MIGRATION_STOP_COPY (1u << 0)
#define ABI_VFIO_MIGRATION_P2P       (1u << 1)
#define ABI_VFIO_MIGRATION_PRE_COPY  (1u << 2) /* since 6.2 */

struct abi_vfio_device_feature_migration {
	uint64_t flags;
};

/*
 * GET and SET: the state of migration. data_fd comes with a state that begins a transfer, otherwise it is
 * -1. Since 5.18.
 */
#define ABI_VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE 2

#define ABI_VFIO_DEVICE_STATE_ERROR        0 /* only a reset helps */
#define ABI_VFIO_DEVICE_STATE_STOP         1
#define ABI_VFIO_DEVICE_STATE_RUNNING      2
#define ABI_VFIO_DEVICE_STATE_STOP_COPY    3
#define ABI_VFIO_DEVICE_STATE_RESUMING     4
#define ABI_VFIO_DEVICE_STATE_RUNNING_P2P  5 /* starts no peer-to-peer DMA */
#define ABI_VFIO_DEVICE_STATE_PRE_COPY     6 /* since 6.2 */
#define ABI_VFIO_DEVICE_STATE_PRE_COPY_P2P 7 /* since 6.2 */
#define ABI_VFIO_DEVICE_STATE_NR           8

struct abi_vfio_device_feature_mig_state {
	uint32_t device_state;
	int32_t data_fd;
};

#define ABI_VFIO_PRECOPY_INFO_REINIT (1u << 0) /* since 7.1, with MIG_PRECOPY_INFOv2 */

/* On the data descriptor, in PRE_COPY: how much is left to read, by estimate. Since 6.2. */
struct abi_vfio_precopy_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t initial_bytes;
	uint64_t dirty_bytes;
};
#define ABI_VFIO_MIG_GET_PRECOPY_INFO (0x3b << 8 | 0x79)

/*
 * SET: the device may be powered down. Its mmaps raise SIGBUS and its dma-bufs are withdrawn until EXIT.
 * Since 6.1.
 */
#define ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY             3
#define ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP 4 /* until it wakes, and says so */
#define ABI_VFIO_DEVICE_FEATURE_LOW_POWER_EXIT              5

struct abi_vfio_device_low_power_entry_with_wakeup {
	int32_t wakeup_eventfd;
	uint32_t reserved;
};

/* SET, SET and GET: the device itself notes what it writes, where it can. Since 6.1. */
#define ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_START  6
#define ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP   7 /* no data */
#define ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT 8

struct abi_vfio_device_feature_dma_logging_control {
	uint64_t page_size; /* in: wanted, out: what the device does */
	uint32_t num_ranges;
	uint32_t __reserved;
	uint64_t ranges; /* pointer to abi_vfio_device_feature_dma_logging_range[num_ranges] */
};

struct abi_vfio_device_feature_dma_logging_range {
	uint64_t iova;
	uint64_t length;
};

/* Reads and clears. Sets bits, clears none. After an error everything counts as dirty. */
struct abi_vfio_device_feature_dma_logging_report {
	uint64_t iova;
	uint64_t length;
	uint64_t page_size; /* bytes per bit */
	uint64_t bitmap;    /* pointer to uint64_t[] */
};

/* GET: how much STOP_COPY will have to transfer, by estimate. Since 6.2. */
#define ABI_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE 9

struct abi_vfio_device_feature_mig_data_size {
	uint64_t stop_copy_length;
};

/* SET: bus mastering for buses that have no such bit in config space. Not for PCI. */
#define ABI_VFIO_DEVICE_FEATURE_BUS_MASTER 10

#define ABI_VFIO_DEVICE_FEATURE_CLEAR_MASTER 0
#define ABI_VFIO_DEVICE_FEATURE_SET_MASTER   1

struct abi_vfio_device_feature_bus_master {
	uint32_t op;
};

/*
 * GET: a dma-buf of parts of a BAR; the result of the ioctl is its descriptor. Withdrawn when the BAR goes
 * away, by reset, by config space or by close. For iommufd to import it, nr_ranges must be 1. Since 6.19.
 */
#define ABI_VFIO_DEVICE_FEATURE_DMA_BUF 11

struct abi_vfio_region_dma_range {
	uint64_t offset;
	uint64_t length;
};

struct abi_vfio_device_feature_dma_buf {
	uint32_t region_index;
	uint32_t open_flags; /* as for open() */
	uint32_t flags;      /* 0 */
	uint32_t nr_ranges;
	struct abi_vfio_region_dma_range dma_ranges[];
};

/*
 * SET, no data: from now on the flags of abi_vfio_precopy_info mean something. Absent: -EINVAL. Since 7.1.
 */
#define ABI_VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 12

/* ---- Type1: the container's mappings ---- */

#define ABI_VFIO_IOMMU_INFO_PGSIZES (1u << 0)
#define ABI_VFIO_IOMMU_INFO_CAPS    (1u << 1) /* there is a chain */

struct abi_vfio_iommu_type1_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova_pgsizes; /* bit n: pages of 2^n bytes */
	uint32_t cap_offset;
	uint32_t pad;
};
#define ABI_VFIO_IOMMU_GET_INFO (0x3b << 8 | 0x70)

/* In that chain, in no fixed order. */
#define ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE 1
#define ABI_VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION  2 /* absent on iommufd */
#define ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL      3

struct abi_vfio_iova_range {
	uint64_t start;
	uint64_t end; /* belongs to the range */
};

/* What the attached groups can address. */
struct abi_vfio_iommu_type1_info_cap_iova_range {
	struct abi_vfio_info_cap_header header;
	uint32_t nr_iovas;
	uint32_t reserved;
	struct abi_vfio_iova_range iova_ranges[];
};

/* VFIO_IOMMU_DIRTY_PAGES works, with these page sizes. */
struct abi_vfio_iommu_type1_info_cap_migration {
	struct abi_vfio_info_cap_header header;
	uint32_t flags;
	uint64_t pgsize_bitmap;
	uint64_t max_dirty_bitmap_size; /* in bytes */
};

/* How many mappings more it takes: 65535 in the beginning, unless the administrator chose otherwise. */
struct abi_vfio_iommu_type1_info_dma_avail {
	struct abi_vfio_info_cap_header header;
	uint32_t avail;
};

#define ABI_VFIO_DMA_MAP_FLAG_READ  (1u << 0)
#define ABI_VFIO_DMA_MAP_FLAG_WRITE (1u << 1)
#define ABI_VFIO_DMA_MAP_FLAG_VADDR (1u << 2) /* only: here the memory is now; since 5.12 */

/* Maps and pins memory of the calling process, or a BAR that it has mapped. */
struct abi_vfio_iommu_type1_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t iova;
	uint64_t size;
};
#define ABI_VFIO_IOMMU_MAP_DMA (0x3b << 8 | 0x71)

/* Where a dirty bitmap goes; the caller zeroes it first. */
struct abi_vfio_bitmap {
	uint64_t pgsize; /* bytes per bit */
	uint64_t size;   /* of the bitmap, in bytes */
	uint64_t *data;
};

#define ABI_VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP (1u << 0) /* data is an abi_vfio_bitmap */
#define ABI_VFIO_DMA_UNMAP_FLAG_ALL              (1u << 1) /* iova and size 0; since 5.12 */
#define ABI_VFIO_DMA_UNMAP_FLAG_VADDR            (1u << 2) /* keep it mapped, forget vaddr; since 5.12 */

/* Unmaps all in the range. A mapping that sticks out: refused by v2, wholly removed or left alone by v1. */
struct abi_vfio_iommu_type1_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size; /* out: how many bytes were mapped */
	uint8_t data[];
};
#define ABI_VFIO_IOMMU_UNMAP_DMA (0x3b << 8 | 0x72)

#define ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_START      (1u << 0)
#define ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP       (1u << 1)
#define ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP (1u << 2) /* data: ..._dirty_bitmap_get */

/* Dirty tracking of v2, where everything pinned counts as dirty. One flag at a time. */
struct abi_vfio_iommu_type1_dirty_bitmap {
	uint32_t argsz;
	uint32_t flags;
	uint8_t data[];
};

struct abi_vfio_iommu_type1_dirty_bitmap_get {
	uint64_t iova;
	uint64_t size;
	struct abi_vfio_bitmap bitmap;
};
#define ABI_VFIO_IOMMU_DIRTY_PAGES (0x3b << 8 | 0x75)

#endif
