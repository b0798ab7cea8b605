/* SPDX-License-Identifier: MIT */
/* What the files that make up /dev/iommu share. */
#ifndef WEIR_SIM_IOAS_H
#define WEIR_SIM_IOAS_H

#include "sim/iommufd/iommufd.h"

/* Address spaces (iommufd_areas.c, iommufd_space.c) ------------------------------------------------------ */

/* A mapping: the unit of unmapping. */
struct sim_area {
	struct weir_tree_node node; /* key: IOVA */
	uint64_t len;
	struct sim_pages *pages;
	uint64_t offset; /* of its first byte in pages */
	uint32_t prot;   /* SIM_READ, SIM_WRITE */
	bool installed;  /* in the page tables of its space */
};

/* I/O addresses that cannot be used, on account of a page table or a device. */
struct sim_reserved {
	uint64_t start, last;
	const void *owner;
};

struct sim_ioas {
	struct sim_object object;
	struct sim_iommufd *iommufd;
	struct weir_tree areas;
	struct sim_reserved *reserved; /* in no order; may overlap */
	uint32_t num_reserved, reserved_room;
	struct abi_iommu_iova_range *allowed; /* ascending; none: everything */
	uint32_t num_allowed;
	struct sim_hwpt *hwpts; /* oldest first */
	uint64_t alignment;
	bool no_large_pages;
};

/* A stretch of memory that is to be mapped: one for MAP, one for each area that COPY copies from. */
struct sim_piece {
	struct sim_pages *pages;
	uint64_t offset, len;
};

int sim_ioas_new(struct sim_iommufd *iommufd, struct sim_ioas **ret_ioas);
void sim_ioas_free(struct sim_ioas *ioas);

/* The first area that meets the range, or NULL. */
struct sim_area *sim_ioas_first(const struct sim_ioas *ioas, uint64_t start, uint64_t last);
uint64_t sim_area_last(const struct sim_area *area);

/*
 * Map the pieces, @len bytes together, one after the other; at *@iova, or where there is room
 * (kernel-interface A.4.4 from step 7 on, A.4.5). The areas take their own references. Nothing is changed on
 * failure.
 */
int sim_ioas_map(struct sim_ioas *ioas, const struct sim_piece *pieces, size_t num, uint64_t len, bool fixed,
		 uint32_t prot, uint64_t *iova);

/* The same for memory of the process: an object is made of it (A.4.4 from step 5 on). iommufd_ioas.c */
int sim_ioas_map_memory(struct sim_ioas *ioas, uint64_t addr, uint64_t len, bool fixed, uint32_t prot,
			uint64_t *iova);

/* Unmap the areas in the range, until one reaches out of it (-ENOENT). *@ret_len, in either case: what is
 * gone. */
int sim_ioas_unmap(struct sim_ioas *ioas, uint64_t start, uint64_t last, uint64_t *ret_len);

/*
 * Take what is mapped of a dma-buf out of all page tables, and, when that is done everywhere, mark it as revoked. The areas stay, and
 * so does a copy's share in the pages.
 */
void sim_ioas_uninstall(struct sim_ioas *ioas, const struct sim_dma_buf *buf);
void sim_ioas_mark_revoked(struct sim_ioas *ioas, const struct sim_dma_buf *buf);

/* Make two areas of the one that reaches across @iova. */
int sim_ioas_split(struct sim_ioas *ioas, uint64_t iova);

/* What nobody has reserved, ascending, as far as there is room. Returns how many ranges there are. */
uint32_t sim_ioas_ranges(const struct sim_ioas *ioas, struct abi_iommu_iova_range *ranges, uint32_t room);
bool sim_ioas_is_reserved(const struct sim_ioas *ioas, uint64_t start, uint64_t last);

/* Confine automatic addresses to @num ascending ranges, which become the space's. -EADDRINUSE: reserved */
int sim_ioas_allow(struct sim_ioas *ioas, struct abi_iommu_iova_range *ranges, uint32_t num);

/* Reserve a range (-EADDRINUSE: mapped or allowed); give back all that an owner has reserved. */
int sim_ioas_reserve(struct sim_ioas *ioas, uint64_t start, uint64_t last, const void *owner);
void sim_ioas_unreserve(struct sim_ioas *ioas, const void *owner);

/* Where the kernel would map @len bytes that lie at @address by itself. -EOVERFLOW, -EINVAL, -ENOSPC */
int sim_ioas_choose(const struct sim_ioas *ioas, uint64_t address, uint64_t len, uint64_t *ret_iova);

/* A device comes, goes. -EADDRINUSE: what it cannot use is mapped or allowed. */
int sim_ioas_add_device(struct sim_ioas *ioas, const struct weir_sim_device *device);
void sim_ioas_remove_device(struct sim_ioas *ioas, const struct weir_sim_device *device);

/* A page table comes: its limits, then all mappings, which are pinned. Goes: they are let go. */
int sim_ioas_add_hwpt(struct sim_ioas *ioas, struct sim_hwpt *hwpt);
void sim_ioas_remove_hwpt(struct sim_ioas *ioas, struct sim_hwpt *hwpt);

/* IOMMU_OPTION_HUGE_PAGES. */
int sim_ioas_set_large_pages(struct sim_ioas *ioas, bool large);

struct sim_bound;
struct sim_viommu;

/* Page tables, devices, faults --------------------------------------------------------------------------- */

struct sim_hwpt {
	struct sim_object object;  /* SIM_HWPT or SIM_HWPT_NESTED */
	struct sim_hwpt *next;     /* of its IOAS */
	struct sim_ioas *ioas;     /* of a nested one: that of its stage 2, which it does not use */
	struct sim_hwpt *parent;   /* of a nested one: its stage 2 */
	struct sim_viommu *viommu; /* of a nested one: that it was made on; NULL: on its parent */
	struct sim_domain *domain;
	struct sim_fault_queue *fault; /* NULL: none */
	bool automatic;                /* vanishes with its last device */
	bool nest_parent;
	bool for_pasids; /* made with ALLOC_PASID */
	bool has_dirty;  /* made with ALLOC_DIRTY_TRACKING */
};

/* Not yet in its IOAS. For a device behind IOMMU @unit. */
int sim_hwpt_new(struct sim_ioas *ioas, uint32_t unit, bool nest_parent, struct sim_hwpt **ret_hwpt);
void sim_hwpt_free(struct sim_hwpt *hwpt);

/* nested.c: make one in @parent or on @viommu (the other is NULL), as HWPT_ALLOC is asked to. */
int sim_nested_alloc(struct sim_iommufd *iommufd, const struct abi_iommu_hwpt_alloc *cmd,
		     const struct sim_bound *bound, struct sim_hwpt *parent, struct sim_viommu *viommu,
		     struct sim_hwpt **ret_hwpt);

/* What the IOMMU's driver says to putting a device on a page table of any kind: 0, -EINVAL, -ENODEV, -ENOENT. */
int sim_hwpt_check_attach(const struct sim_hwpt *hwpt, const struct sim_bound *bound);

/* A bound device. */
struct sim_bound {
	struct sim_object object;
	struct weir_sim_device *device;
	struct sim_hwpt *hwpt;       /* attached to; NULL: to nothing */
	struct sim_vdevice *vdevice; /* as a virtual IOMMU knows it; NULL: as none does */
};

/* pasid.c: when a device is unbound. */
void sim_pasid_detach_all(const struct sim_bound *bound);

/* A slice of one IOMMU, over a nesting parent. */
struct sim_viommu {
	struct sim_object object;
	struct sim_hwpt *parent;
	uint32_t type;
	uint32_t unit;
	struct sim_vdevice *vdevices;
	struct sim_veventq *events; /* NULL: nobody listens */
};

struct sim_vdevice {
	struct sim_object object;
	struct sim_vdevice *next; /* of the same virtual IOMMU */
	struct sim_viommu *viommu;
	struct sim_bound *bound;
	uint64_t virt_id;
};

void sim_viommu_free(struct sim_viommu *viommu);
void sim_vdevice_free(struct sim_vdevice *vdevice);

/* veventq.c: an event of the device that is known as @virt_id; lost if nobody listens. */
void sim_viommu_event(const struct sim_viommu *viommu, uint64_t virt_id, const uint64_t words[4]);
void sim_veventq_free(struct sim_veventq *queue);

/* smmu.c: run a batch on a virtual SMMUv3; *@ret_done, in any case: how many the kernel says were handled. */
int sim_smmu_invalidate(const struct sim_viommu *viommu, const struct abi_iommu_hwpt_invalidate *cmd,
			uint32_t *ret_done);

/* The device of a virtual number, or NULL. */
struct sim_vdevice *sim_vdevice_of(const struct sim_viommu *viommu, uint64_t virt_id);

struct sim_fault_group;

struct sim_fault_queue {
	struct sim_object object; /* the open file is a user */
	struct sim_iommufd *iommufd;
	struct sim_fault_group *first, **end; /* that nobody has read */
	struct sim_fault_group **read;        /* by cookie; [0] is never used */
	uint32_t num_read;                    /* room */
	uint32_t lowest;                      /* cookies below are taken */
	struct sim_file *file;                /* NULL: closed */
	bool unwanted;                        /* goes when the file is closed */
};

void sim_fault_queue_free(struct sim_fault_queue *queue);

/* fault.c: a device (or a PASID of its) is on that page table no more: what it asked through that is refused. */
void sim_faults_left(const struct sim_hwpt *hwpt, const struct weir_sim_device *device, uint32_t through);

/* Objects (iommufd.c) ------------------------------------------------------------------------------------ */

/* Give an object its id: the lowest free one. -ENOMEM */
int sim_object_add(struct sim_iommufd *iommufd, struct sim_object *object, enum sim_object_type type);
void sim_object_remove(struct sim_iommufd *iommufd, const struct sim_object *object);

/* The object of an id, of any type, or NULL; or of one type. */
struct sim_object *sim_object_find(const struct sim_iommufd *iommufd, uint32_t id);
struct sim_ioas *sim_ioas_find(const struct sim_iommufd *iommufd, uint32_t id);
struct sim_hwpt *sim_hwpt_find(const struct sim_iommufd *iommufd, uint32_t id);
struct sim_bound *sim_bound_find(const struct sim_iommufd *iommufd, uint32_t id);
struct sim_fault_queue *sim_fault_queue_find(const struct sim_iommufd *iommufd, uint32_t id);
struct sim_viommu *sim_viommu_find(const struct sim_iommufd *iommufd, uint32_t id);

/* Remove and free one that nobody uses; the same, and its id is never given again. */
void sim_object_destroy(struct sim_iommufd *iommufd, struct sim_object *object);
void sim_object_bury(struct sim_iommufd *iommufd, struct sim_object *object);

/* Commands ----------------------------------------------------------------------------------------------- */

/* One under way: @cmd is our copy of the caller's struct at @arg, with the length it has in this kernel. */
struct sim_call {
	struct sim_iommufd *iommufd;
	void *arg, *cmd;
	uint32_t user_size, size;
};

/* Copy the struct back: 0 or -EFAULT. */
int sim_respond(const struct sim_call *call);

int sim_cmd_ioas_alloc(struct sim_call *call);
int sim_cmd_ioas_allow_iovas(struct sim_call *call);
int sim_cmd_ioas_copy(struct sim_call *call);
int sim_cmd_ioas_iova_ranges(struct sim_call *call);
int sim_cmd_ioas_map(struct sim_call *call);
int sim_cmd_ioas_map_file(struct sim_call *call);
int sim_cmd_ioas_unmap(struct sim_call *call);
int sim_cmd_ioas_change_process(struct sim_call *call);
int sim_cmd_vfio_ioas(struct sim_call *call);
int sim_cmd_get_hw_info(struct sim_call *call);
int sim_cmd_hwpt_alloc(struct sim_call *call);
int sim_cmd_hwpt_set_dirty_tracking(struct sim_call *call);
int sim_cmd_hwpt_get_dirty_bitmap(struct sim_call *call);
int sim_cmd_hwpt_invalidate(struct sim_call *call);
int sim_cmd_fault_queue_alloc(struct sim_call *call);
int sim_cmd_viommu_alloc(struct sim_call *call);
int sim_cmd_vdevice_alloc(struct sim_call *call);
int sim_cmd_veventq_alloc(struct sim_call *call);
int sim_cmd_hw_queue_alloc(struct sim_call *call);

#endif
