/* SPDX-License-Identifier: MIT */
/*
 * /dev/iommu: one instance a descriptor.
 *
 *     iommufd.c         framing of the commands, the table of objects by id, options
 *     iommufd_areas.c   address spaces (ioas.h): areas, and the page tables they are in
 *     iommufd_space.c   their room: reserved and allowed ranges, automatic IOVAs
 *     iommufd_ioas.c    the commands on them: map, unmap, copy, map by file
 *     iommufd_hwpt.c    page tables, and the commands on them
 *     iommufd_nested.c  page tables of programs, nested in those
 *     iommufd_invalidate.c  what the IOMMU has kept of them is given up
 *     iommufd_smmu.c    the commands that an SMMUv3 is given for that
 *     iommufd_viommu.c  virtual IOMMUs, and devices as they know them
 *     iommufd_veventq.c queues of their events
 *     iommufd_device.c  devices bound, attached, replaced, detached; automatic page tables
 *     iommufd_pasid.c   PASIDs of devices, the same
 *     iommufd_hw_info.c what the IOMMU says of itself
 *     iommufd_fault.c   queues of page faults
 *     iommufd_pri.c     devices that request pages
 *     iommufd_compat.c  the container's ioctls answered by an IOAS
 */
#ifndef WEIR_SIM_IOMMUFD_H
#define WEIR_SIM_IOMMUFD_H

#include "kernel/iommufd_abi.h"
#include "sim/device/dmabuf.h"

enum sim_object_type {
	SIM_DEVICE,
	SIM_HWPT, /* HWPT_PAGING */
	SIM_HWPT_NESTED,
	SIM_IOAS,
	SIM_FAULT,
	SIM_VIOMMU,
	SIM_VDEVICE,
	SIM_VEVENTQ,
};

/*
 * First in every object. Ids are the lowest free from 1; that of an object that the kernel took away before the program destroyed it is
 * not given again (a tombstone).
 */
struct sim_object {
	enum sim_object_type type;
	uint32_t id;
	uint32_t users; /* what pins it; destroying it is -EBUSY then */
};

struct sim_iommufd {
	struct weir_sim *sim;
	struct sim_file *file;
	struct sim_object **objects; /* by id; [0] is never used */
	uint32_t num_objects;        /* room */
	uint32_t compat_ioas;        /* 0: none */
	bool per_process;            /* IOMMU_OPTION_RLIMIT_MODE */
};

/* Is this file an iommufd? */
struct sim_iommufd *sim_iommufd_of(struct sim_file *file);

/* A dma-buf is withdrawn: no DMA reaches it any more when this returns, nor ever will by what is mapped of it. */
void sim_iommufd_revoke(struct weir_sim *sim, const struct sim_dma_buf *buf);

/*
 * iommufd_device.c: BIND, ATTACH and DETACH of a VFIO device. Errno order of kernel-interface A.8, A.9, B.2.
 * Binding fills in the device's iommufd and dev_id, unbinding clears them.
 */
int sim_iommufd_bind(struct sim_iommufd *iommufd, struct weir_sim_device *device, uint32_t *ret_dev_id);
void sim_iommufd_unbind(struct weir_sim_device *device); /* at the last close; detaches */
int sim_iommufd_attach(struct weir_sim_device *device, uint32_t *pt_id);
int sim_iommufd_detach(struct weir_sim_device *device);

/* iommufd_pasid.c: the same for one of its PASIDs; which page table that is on (NULL: on none). */
int sim_pasid_attach(struct weir_sim_device *device, uint32_t pasid, uint32_t pt_id);
void sim_pasid_detach(struct weir_sim_device *device, uint32_t pasid);
struct sim_domain *sim_pasid_domain(const struct sim_group *group, uint32_t pasid);

/*
 * iommufd_compat.c: a group is put into this iommufd as its container (makes the compat IOAS), and taken out;
 * a device of it is opened and closed.
 */
int sim_compat_add_group(struct sim_iommufd *iommufd, struct sim_group *group);
void sim_compat_remove_group(struct sim_iommufd *iommufd, struct sim_group *group);
int sim_compat_open_device(struct sim_iommufd *iommufd, struct weir_sim_device *device);
void sim_compat_close_device(struct sim_iommufd *iommufd, struct weir_sim_device *device);
int sim_compat_ioctl(struct sim_iommufd *iommufd, unsigned long request, void *arg);

#endif
