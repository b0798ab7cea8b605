/* SPDX-License-Identifier: MIT */
/*
 * /dev/vfio/vfio and /dev/vfio/GROUP.
 *
 *     container.c        the container: API, extensions, its type, what it says of itself, groups in it
 *     container_map.c    type1 v1 and v2: mappings
 *     container_group.c  groups: into a container (or an iommufd, compat) and out again, device descriptors
 */
#ifndef WEIR_SIM_CONTAINER_H
#define WEIR_SIM_CONTAINER_H

#include "sim/device/device.h"

struct sim_container {
	struct weir_sim *sim;
	struct sim_file *file;
	uint32_t num_groups;
	uint32_t iommu_type;       /* 0 before SET_IOMMU */
	struct sim_domain *domain; /* while groups are in it and the type is set */
	struct weir_tree mappings; /* by IOVA */
	uint32_t num_mappings;
	uint32_t num_invalid; /* mappings whose address in the process has been taken back (VADDR) */
	bool tracks_dirty;
};

/* container_map.c: the ioctls on mappings, once the type is set; all errors as C.3 to C.6 have them. */
int sim_container_map(struct sim_container *container, void *arg);
int sim_container_unmap(struct sim_container *container, void *arg);
int sim_container_dirty(struct sim_container *container, void *arg);
void sim_container_unmap_all(struct sim_container *container);

/* What the groups in it can address: the @i-th range, false when there is none. */
bool sim_container_range(const struct sim_container *container, unsigned int i,
			 struct abi_vfio_iova_range *ret_range);

/* Is this file a container? */
struct sim_container *sim_container_of(struct sim_file *file);

/*
 * A group comes in (-EPERM without isolated interrupts, -EINVAL when a mapping meets its windows, -EBUSY) or
 * leaves; the last drops all mappings.
 */
int sim_container_add_group(struct sim_container *container, struct sim_group *group);
void sim_container_remove_group(struct sim_container *container, struct sim_group *group);

#endif
