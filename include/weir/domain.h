/* SPDX-License-Identifier: MIT */
/*
 * Domains: hardware page tables as objects.
 *
 *     weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT), &stage2);
 *     weir_domain_open_nested(stage2, device, &WEIR_OPTS(weir_nested_opts, .format = WEIR_STAGE1_X86_4, .root = root), &nested);
 *     weir_domain_attach(nested, device, WEIR_NO_PASID);
 *
 * A device that is opened into an address space uses a page table that the library keeps for that space. A domain is another page table: over the
 * same space, with properties of its own (paging), or made to be the second stage of others (nesting parent); or one whose first stage
 * the program writes itself (nested). A device is attached to a domain instead of to its space's own table, as a whole or for one PASID, and
 * stays a device of its address space all the time: what is mapped there is all it ever reaches.
 *
 * A shadow is the same as a nested domain where the IOMMU or the kernel cannot nest: the library reads the program's tables and keeps an
 * ordinary address space like them (weir_domain_open_shadow()).
 *
 * The IOMMU group is the unit of attachment without a PASID: its other open devices move along.
 *
 * Threads: calls on domains may come from any thread; those on one host are serialised. A domain is closed by one thread, once.
 */
#ifndef WEIR_DOMAIN_H
#define WEIR_DOMAIN_H

#include <weir/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_domain;
struct weir_faultq;
struct weir_stage1;

#define WEIR_NO_PASID 0u /* the device's requests without a PASID (the kernel's IOMMU_NO_PASID) */

/* Formats of a first stage. */
enum weir_stage1_format {
	WEIR_STAGE1_X86_4 = 1, /* VT-d first stage, 4 levels: 48 bits, canonical */
	WEIR_STAGE1_X86_5,     /* 5 levels: 57 bits */
	WEIR_STAGE1_ARM64_4K,  /* SMMUv3: AArch64 with 4 KiB pages, 48 bits, and a context descriptor */
	WEIR_STAGE1_MOCK,      /* the kernel's iommufd mock, which walks no tables; for tests */
};

/* What kind of IOMMU is in front of a device. */
enum weir_iommu_kind {
	WEIR_IOMMU_UNKNOWN, /* the kernel does not say */
	WEIR_IOMMU_VTD,
	WEIR_IOMMU_SMMUV3,
	WEIR_IOMMU_AMD,
	WEIR_IOMMU_MOCK,
};

struct weir_iommu_info {
	uint32_t kind;       /* enum weir_iommu_kind */
	uint32_t pasid_bits; /* PASIDs that the device can use: below 2^this; 0: it has none */
	uint32_t dirty;      /* 1: page tables can note what was written */
	uint32_t data_len;   /* how many bytes of data are the kernel's */
	unsigned char data
		[64]; /* as the kernel has it (struct iommu_hw_info_vtd, _arm_smmuv3, ...); zero beyond data_len */
	uint64_t
		stream; /* number of the device in the virtual IOMMU that it is in, by which events name it; 0: it is in none */
};

/*
 * What the kernel says of the IOMMU in front of @device; fill in @ret_info (@size: sizeof *@ret_info).
 *
 * Returns 0; or -EOPNOTSUPP, the kernel interface does not tell (VFIO container). Kernel: IOMMU_GET_HW_INFO. Since 0.1.
 */
WEIR_API int weir_device_iommu_info(struct weir_device *device, struct weir_iommu_info *ret_info,
				    size_t size);

#define WEIR_DOMAIN_NEST_PARENT (1u << 0) /* can be the second stage of nested domains */
#define WEIR_DOMAIN_PASID       (1u << 1) /* can be attached for a PASID, or beside domains that are */

struct weir_domain_opts {
	size_t size;       /* sizeof(struct weir_domain_opts); set by WEIR_OPTS() */
	uint32_t flags;    /* WEIR_DOMAIN_... */
	uint32_t reserved; /* 0 */
	/* Where page requests of attached devices go (weir/faultq.h); NULL: they are refused. Not with WEIR_DOMAIN_NEST_PARENT. */
	struct weir_faultq *faultq;
};

/*
 * Make a page table over the address space that @device is in, as the IOMMU in front of @device needs it. All that is mapped there is in it when this
 * returns, and what is mapped and unmapped there later comes and goes.
 *
 * It outlives @device; the address space outlives it.
 *
 * Returns 0 and the domain in @ret_domain, which the caller closes with weir_domain_close(); or, with nothing changed,
 *   -EINVAL     unknown flag; a queue, and WEIR_DOMAIN_NEST_PARENT; or the hardware's second stage cannot hold a mapping of the space: VT-d's refuses what may be read only
 *               (weir_error() names the mapping where it can)
 *   -EADDRINUSE a mapping lies outside what such a table addresses
 *   -EXDEV      the queue is another host's
 *   -EOPNOTSUPP this kernel interface has no such page tables (VFIO container), or the IOMMU or its driver cannot do what flags ask for
 *   -EFAULT, -ENOMEM  a mapping cannot be pinned, or no memory
 *   -E2BIG      options newer than this library
 *
 * Kernel: IOMMU_HWPT_ALLOC. Since 0.1.
 */
WEIR_API int weir_domain_open(struct weir_device *device, const struct weir_domain_opts *opts,
			      struct weir_domain **ret_domain);

/* What the first stage of a nested domain does. */
enum weir_nested_stage1 {
	WEIR_NESTED_TRANSLATE, /* goes by the tables at opts.root */
	WEIR_NESTED_BYPASS,    /* passes addresses on to stage 2 (SMMUv3) */
	WEIR_NESTED_ABORT,     /* lets nothing pass (SMMUv3) */
};

struct weir_nested_opts {
	size_t size;           /* sizeof(struct weir_nested_opts); set by WEIR_OPTS() */
	uint32_t flags;        /* WEIR_DOMAIN_PASID */
	uint32_t stage1;       /* enum weir_nested_stage1 */
	uint32_t format;       /* enum weir_stage1_format, for TRANSLATE */
	uint32_t address_bits; /* of IOVAs; 0: the format's (48 or 57) */
	uint64_t root; /* IPA of the first table; SMMUv3: of the context descriptor (weir_stage1_info()) */
	/*
	 * The number by which commands and events name @device; below 2^32. 0: on SMMUv3 the library chooses one, on the mock there is no
	 * virtual IOMMU in between.
	 */
	uint64_t stream;
	/* Not NULL: data of the kernel's own, of this type, instead of what is made from format, address_bits and root. */
	const void *data;
	uint32_t data_type;
	uint32_t data_len;
	struct weir_faultq *faultq; /* as for weir_domain_open() */
};

/*
 * Make a nested domain: addresses that the device says go through a first stage, which the program writes, and then through @parent.
 *
 * What the hardware needs beside is made and kept by the library: SMMUv3 has a vIOMMU for each parent and physical IOMMU, and a vDEVICE for each
 * device. Tables may lie anywhere in stage 2: an address that is not mapped there makes the walk fault.
 *
 * Returns 0 and the domain in @ret_domain, which the caller closes with weir_domain_close(), and which keeps @parent open; or, with nothing changed,
 *   -EINVAL     unknown stage1, format or flag; @parent is no nesting parent; root is no multiple of the page size (of 64 for a context
 *               descriptor); data of more than 32 bytes, or that is for the kernel not in order (weir_error() says what it knows)
 *   -ERANGE     address_bits that this format or this IOMMU has not (asked of the hardware information, because the kernel says so only
 *               when a device is attached); root beyond what stage 2 addresses
 *   -EXDEV      @device is in another address space than @parent, or behind another physical IOMMU than its own; the queue is another host's
 *   -EEXIST     stream is another device's, or @device has another number under @parent already
 *   -EBUSY      @device is attached to a domain nested in another parent, and can have a number in one virtual IOMMU alone (SMMUv3)
 *   -EOPNOTSUPP the IOMMU, its driver or this kernel interface cannot nest, or has not this format; found by trying
 *   -EIO        the kernel found illegal bits in data (SMMUv3)
 *   -ENOMEM, -E2BIG
 *
 * Kernel: IOMMU_HWPT_ALLOC, IOMMU_VIOMMU_ALLOC, IOMMU_VDEVICE_ALLOC. Since 0.1.
 */
WEIR_API int weir_domain_open_nested(struct weir_domain *parent, struct weir_device *device,
				     const struct weir_nested_opts *opts, struct weir_domain **ret_domain);

/*
 * Make the ordinary address space @ioas a shadow of @tables: when a batch is run for this domain (weir_inval_run()), whatever differs in the ranges
 * that it names is mapped and unmapped there. IPAs are IOVAs of @stage2, and reach what is mapped there, with no more than is allowed there.
 *
 * @ioas is the domain's while it is open: nobody else maps in it, and weir_ioas_unmap() ends nothing there (-EBUSY). A device uses the domain by
 * being opened into @ioas (or moved there). @stage2 needs no device. What is taken out of @stage2 is taken out of @ioas first, by the same call. What leads nowhere in @stage2 leads nowhere in @ioas either; once
 * something is mapped there, the range is to be run again, which hardware would not need.
 *
 * Returns 0 and the domain in @ret_domain, with what @tables map already in force, closed with weir_domain_close() before @ioas, @stage2 and
 * @tables; or, with nothing changed,
 *   -EINVAL  @ioas and @stage2 are one, or one of them is a nested space, which has its own shadow
 *   -EXDEV   they are of different hosts
 *   -EBUSY   @ioas has mappings, or is a shadow already
 *   and those of weir_ioas_map()
 * Since 0.1.
 */
WEIR_API int weir_domain_open_shadow(struct weir_stage1 *tables, struct weir_ioas *stage2,
				     struct weir_ioas *ioas, struct weir_domain **ret_domain);

/*
 * Close a domain. NULL is allowed. Returns 0; or -EBUSY, with nothing changed, while a device is attached, or a nested domain has it for its parent
 * (weir_error() names it); or another error, with the domain closed all the same. Since 0.1.
 */
WEIR_API int weir_domain_close(struct weir_domain *domain);

/*
 * Attach @device, which is in the domain's address space, to @domain: instead of what it was attached to before. Without a PASID its whole
 * group moves; a device that does DMA meanwhile sees the old or the new, or is blocked, where the hardware cannot switch in one step. Page requests
 * that are outstanding in the queue of the domain that it leaves are settled by that queue's rule (weir/faultq.h).
 *
 * Returns 0; or, with nothing changed,
 *   -EXDEV      @device is in another address space, or behind another physical IOMMU
 *   -EINVAL     the kernel finds that the domain does not suit the device (weir_error() says what is known: address width, PASIDs)
 *   -ERANGE     @pasid is beyond what the device has
 *   -EOPNOTSUPP the domain has a queue, and the device cannot request pages (WEIR_CAP_FAULT; the kernel may say yes to that, and no request
 *               will ever come); @pasid, and the device has no PASIDs (the kernel may say yes to that, and do nothing), or this kernel cannot; a shadow:
 *               devices are opened into its address space
 *   -EBUSY      the device is being reset; page requests are outstanding, and the rule is WEIR_FAULTQ_REFUSE; or it is attached to a domain nested in another parent (SMMUv3): detach it first
 *   -ENOENT     a device of the group is not open here, and so has no number in the virtual IOMMU (SMMUv3): open it first
 *   -EIO        an invalidation of this domain failed (weir/inval.h), and everything in it could not be invalidated now either
 *
 * Kernel: VFIO_DEVICE_ATTACH_IOMMUFD_PT. Since 0.1.
 */
WEIR_API int weir_domain_attach(struct weir_domain *domain, struct weir_device *device, uint32_t pasid);

/*
 * Put @device back: to the page table of its address space; with a PASID, to nothing. Also what ends quarantine (weir/inval.h). Outstanding page requests
 * are settled as with weir_domain_attach().
 *
 * Returns 0, also if it is attached to no domain; -EBUSY, with nothing changed, while a device of its group is attached for PASIDs, beside which the table of the
 * space cannot stand, or by the rule WEIR_FAULTQ_REFUSE; or the kernel's error: then its DMA is blocked (without a PASID) or as before. Since 0.1.
 */
WEIR_API int weir_domain_detach(struct weir_device *device, uint32_t pasid);

enum weir_domain_kind {
	WEIR_DOMAIN_KIND_PAGING,
	WEIR_DOMAIN_KIND_PARENT,
	WEIR_DOMAIN_KIND_NESTED,
	WEIR_DOMAIN_KIND_SHADOW,
};

struct weir_domain_info {
	uint32_t kind;        /* enum weir_domain_kind */
	uint32_t iommu;       /* enum weir_iommu_kind */
	uint32_t num_devices; /* attached, once for each PASID */
	uint32_t num_nested;  /* that have it for their parent */
	uint32_t
		quarantined; /* 1: its devices' DMA is blocked, because an invalidation failed (weir/inval.h) */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_domain_info(struct weir_domain *domain, struct weir_domain_info *ret_info, size_t size);

#ifdef __cplusplus
}
#endif

#endif
