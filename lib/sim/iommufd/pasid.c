// SPDX-License-Identifier: MIT
/*
 * PASIDs of devices on page tables of their own (kernel-interface A.9.1). As with the device itself the group moves as one: what a
 * PASID of one member is on, that of every member is.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim/iommu/stage1.h"
#include "sim/iommufd/ioas.h"

/* One of a device's. */
struct sim_pasid {
	struct sim_pasid *next; /* of its group */
	uint32_t pasid;
	struct sim_bound *bound;
	struct sim_hwpt *hwpt;
};

/* The group's, of one device or (NULL) of any. */
static struct sim_pasid *find(const struct sim_group *group, uint32_t pasid, const struct sim_bound *bound)
{
	struct sim_pasid *one = group->pasids;

	while (one && (one->pasid != pasid || (bound && one->bound != bound)))
		one = one->next;
	return one;
}

struct sim_domain *sim_pasid_domain(const struct sim_group *group, uint32_t pasid)
{
	const struct sim_pasid *one = find(group, pasid, NULL);

	return one ? one->hwpt->domain : NULL;
}

/* What is refused ----------------------------------------------------------------------------------------- */

static const struct sim_hwpt *hwpt_of_device(const struct sim_group *group, const struct sim_iommufd *iommufd)
{
	const struct weir_sim_device *device = NULL;

	while ((device = sim_group_next(group, device)))
		if (device->iommufd == iommufd && sim_bound_find(iommufd, device->dev_id)->hwpt)
			return sim_bound_find(iommufd, device->dev_id)->hwpt;
	return NULL;
}

/* The table has to be made for PASIDs, and so has that of the device as such, if it is on any. */
static int check_core(const struct sim_bound *bound, const struct sim_hwpt *hwpt)
{
	const struct sim_hwpt *own = hwpt_of_device(bound->device->group, bound->device->iommufd);

	return !hwpt->for_pasids || (own && !own->for_pasids) ? -EINVAL : 0;
}

/* A device without any PASIDs passes, and nothing is done for it: nobody says so. */
static int check_range(const struct sim_group *group, uint32_t pasid)
{
	const struct weir_sim_device *device = NULL;

	while ((device = sim_group_next(group, device)))
		if (device->pasid_bits && pasid >> device->pasid_bits)
			return -EINVAL;
	return 0;
}

/* Arm's keeps a device's PASIDs in a table of its own, which it has not put in use while the program's, or a parent, is. */
static int check_driver(const struct sim_bound *bound, const struct sim_hwpt *hwpt)
{
	const struct sim_hwpt *own = hwpt_of_device(bound->device->group, bound->device->iommufd);

	if (!bound->device->pasid_bits)
		return 0;
	if (bound->device->sim->iommu == WEIR_SIM_IOMMU_SMMUV3 && own && (own->parent || own->nest_parent))
		return -EINVAL;
	return sim_hwpt_check_attach(hwpt, bound);
}

static int check(const struct sim_bound *bound, const struct sim_hwpt *hwpt, uint32_t pasid)
{
	int error = check_core(bound, hwpt);

	if (!error)
		error = check_range(bound->device->group, pasid);
	return error ? error : check_driver(bound, hwpt);
}

/* Attaching ----------------------------------------------------------------------------------------------- */

static int add(struct sim_bound *bound, struct sim_hwpt *hwpt, uint32_t pasid)
{
	struct sim_group *group = bound->device->group;
	const struct sim_pasid *other = find(group, pasid, NULL);
	struct sim_pasid *one;
	int error;

	if (other && other->hwpt != hwpt)
		return -EINVAL;
	error = other ? 0 : check(bound, hwpt, pasid);
	if (error)
		return error;
	one = malloc(sizeof(*one));
	if (!one)
		return -ENOMEM;
	*one = (struct sim_pasid){ group->pasids, pasid, bound, hwpt };
	group->pasids = one;
	hwpt->object.users++;
	return 0;
}

static void leave(const struct sim_hwpt *hwpt)
{
	if (hwpt->domain->stage1)
		sim_stage1_left(hwpt->domain->stage1);
}

static int replace(const struct sim_bound *bound, struct sim_hwpt *hwpt, uint32_t pasid)
{
	int error = check(bound, hwpt, pasid);

	for (struct sim_pasid *one = bound->device->group->pasids; one && !error; one = one->next) {
		if (one->pasid != pasid || one->hwpt == hwpt)
			continue;
		leave(one->hwpt);
		sim_faults_left(one->hwpt, one->bound->device, pasid);
		one->hwpt->object.users--;
		hwpt->object.users++;
		one->hwpt = hwpt;
	}
	return error;
}

int sim_pasid_attach(struct weir_sim_device *device, uint32_t pasid, uint32_t pt_id)
{
	struct sim_bound *bound = sim_bound_find(device->iommufd, device->dev_id);
	struct sim_object *target = sim_object_find(device->iommufd, pt_id);

	if (pasid > INT32_MAX)
		return -ENOSPC;
	if (!target)
		return -ENOENT;
	/* A table that is made for a space by itself is not made for PASIDs. */
	if (target->type != SIM_HWPT && target->type != SIM_HWPT_NESTED)
		return -EINVAL;
	if (find(device->group, pasid, bound))
		return replace(bound, (struct sim_hwpt *)target, pasid);
	return add(bound, (struct sim_hwpt *)target, pasid);
}

static void remove_one(struct sim_group *group, struct sim_pasid *one)
{
	struct sim_pasid **link = &group->pasids;

	while (*link != one)
		link = &(*link)->next;
	*link = one->next;
	leave(one->hwpt);
	sim_faults_left(one->hwpt, one->bound->device, one->pasid);
	one->hwpt->object.users--;
	free(one);
}

void sim_pasid_detach(struct weir_sim_device *device, uint32_t pasid)
{
	struct sim_pasid *one = find(device->group, pasid, sim_bound_find(device->iommufd, device->dev_id));

	if (one)
		remove_one(device->group, one);
}

void sim_pasid_detach_all(const struct sim_bound *bound)
{
	struct sim_group *group = bound->device->group;
	struct sim_pasid *next;

	for (struct sim_pasid *one = group->pasids; one; one = next) {
		next = one->next;
		if (one->bound == bound)
			remove_one(group, one);
	}
}
