// SPDX-License-Identifier: MIT
/* Devices on an iommufd: bound, attached, moved, detached (kernel-interface A.9, B.2). */
#include <errno.h>
#include <stdlib.h>

#include "sim/iommu/stage1.h"
#include "sim/iommufd/ioas.h"

static struct sim_bound *bound_of(const struct weir_sim_device *device)
{
	return sim_bound_find(device->iommufd, device->dev_id);
}

/* The next member of the same group that is bound here after @bound (NULL: the first), or NULL. */
static struct sim_bound *next_member(const struct sim_iommufd *iommufd, const struct sim_group *group,
				     const struct sim_bound *bound)
{
	struct weir_sim_device *device = bound ? bound->device : NULL;

	while ((device = sim_group_next(group, device)))
		if (device->iommufd == iommufd)
			return bound_of(device);
	return NULL;
}

#define for_each_member(member, iommufd, group)                                                              \
	for (struct sim_bound * (member) = next_member(iommufd, group, NULL); (member);                      \
	     (member) = next_member(iommufd, group, member))

/* Binding ------------------------------------------------------------------------------------------------ */

/* A group belongs to one iommufd, one container, or the kernel's drivers, as the IOMMU layer sees to it. */
static bool is_claimed(const struct sim_group *group, const struct sim_iommufd *iommufd)
{
	const struct weir_sim_device *device = NULL;

	if (group->container || !sim_group_viable(group))
		return true;
	while ((device = sim_group_next(group, device)))
		if (device->iommufd && device->iommufd != iommufd)
			return true;
	return false;
}

int sim_iommufd_bind(struct sim_iommufd *iommufd, struct weir_sim_device *device, uint32_t *ret_dev_id)
{
	const struct weir_sim *sim = iommufd->sim;
	struct sim_bound *bound;
	int error;

	if (sim->flags & WEIR_SIM_NO_IOMMU)
		return -EINVAL; /* nothing keeps its DMA coherent with caches */
	if (!device->group)
		return -ENODEV;
	if (sim->flags & WEIR_SIM_UNSAFE_IRQS || is_claimed(device->group, iommufd))
		return -EPERM;
	bound = calloc(1, sizeof(*bound));
	error = bound ? sim_object_add(iommufd, &bound->object, SIM_DEVICE) : -ENOMEM;
	if (error) {
		free(bound);
		return error;
	}
	bound->object.users = 1; /* the open device, so that DESTROY is refused */
	bound->device = device;
	device->iommufd = iommufd;
	device->dev_id = bound->object.id;
	sim_file_hold(iommufd->file);
	*ret_dev_id = device->dev_id;
	return 0;
}

void sim_iommufd_unbind(struct weir_sim_device *device)
{
	struct sim_iommufd *iommufd = device->iommufd;
	struct sim_bound *bound = bound_of(device);

	sim_iommufd_detach(device);
	sim_pasid_detach_all(bound);
	if (bound->vdevice)
		sim_object_bury(iommufd, &bound->vdevice->object);
	sim_object_destroy(iommufd, &bound->object);
	device->iommufd = NULL;
	device->dev_id = 0;
	sim_file_drop(iommufd->file); /* and with it, perhaps, the iommufd */
}

/* Attaching one ------------------------------------------------------------------------------------------ */

/* What the group translates through. */
static struct sim_hwpt *hwpt_of_group(const struct sim_bound *bound)
{
	for_each_member(member, bound->device->iommufd,
			bound->device->group) if (member->hwpt) return member->hwpt;
	return NULL;
}

/* What the group leaves loses what was kept for it. */
static void switch_domain(struct sim_group *group, struct sim_domain *domain)
{
	if (group->domain && group->domain->stage1)
		sim_stage1_left(group->domain->stage1);
	group->domain = domain;
}

/* While PASIDs are on tables of theirs, the device's own has to get on with them. */
static int set_domain(const struct sim_bound *bound, const struct sim_hwpt *hwpt)
{
	int error = bound->device->group->pasids && !hwpt->for_pasids ? -EINVAL : 0;

	if (!error)
		error = sim_hwpt_check_attach(hwpt, bound);
	if (!error)
		switch_domain(bound->device->group, hwpt->domain);
	return error;
}

/* A device that is not attached: to the table of its group, or the group's first to any. */
static int attach(struct sim_bound *bound, struct sim_hwpt *hwpt)
{
	const struct sim_hwpt *old = hwpt_of_group(bound);
	int error;

	if (old && old != hwpt)
		return -EINVAL;
	error = sim_ioas_add_device(hwpt->ioas, bound->device);
	if (error)
		return error;
	error = old ? 0 : set_domain(bound, hwpt);
	if (error) {
		sim_ioas_remove_device(hwpt->ioas, bound->device);
		return error;
	}
	bound->hwpt = hwpt;
	hwpt->object.users++;
	return 0;
}

static void detach(struct sim_bound *bound)
{
	struct sim_hwpt *hwpt = bound->hwpt;

	bound->hwpt = NULL;
	hwpt->object.users--;
	sim_faults_left(hwpt, bound->device, SIM_NO_PASID);
	sim_ioas_remove_device(hwpt->ioas, bound->device);
	if (!hwpt_of_group(bound))
		switch_domain(bound->device->group, NULL);
}

/* Automatic tables vanish with their last device (A.3). */
static void put(struct sim_hwpt *hwpt)
{
	if (hwpt->automatic && !hwpt->object.users)
		sim_object_destroy(hwpt->ioas->iommufd, &hwpt->object);
}

/* Replacing ---------------------------------------------------------------------------------------------- */

static void remove_members(const struct sim_bound *bound, struct sim_ioas *ioas)
{
	for_each_member(member, bound->device->iommufd, bound->device->group) if (member->hwpt)
		sim_ioas_remove_device(ioas, member->device);
}

static int add_members(const struct sim_bound *bound, struct sim_ioas *ioas)
{
	int error = 0;

	for_each_member(member, bound->device->iommufd, bound->device->group) if (member->hwpt && !error)
		error = sim_ioas_add_device(ioas, member->device);
	if (error)
		remove_members(bound, ioas);
	return error;
}

/* The whole group moves. */
static int replace(struct sim_bound *bound, struct sim_hwpt *hwpt)
{
	struct sim_hwpt *old = bound->hwpt;
	bool other_ioas = hwpt->ioas != old->ioas;
	int error;

	if (hwpt == old)
		return 0;
	error = other_ioas ? add_members(bound, hwpt->ioas) : 0;
	if (error)
		return error;
	error = set_domain(bound, hwpt);
	if (other_ioas)
		remove_members(bound, error ? hwpt->ioas : old->ioas);
	if (error)
		return error;
	for_each_member(member, bound->device->iommufd, bound->device->group)
	{
		if (!member->hwpt)
			continue;
		sim_faults_left(old, member->device, SIM_NO_PASID);
		member->hwpt = hwpt;
		hwpt->object.users++;
		old->object.users--;
	}
	put(old);
	return 0;
}

static int put_on(struct sim_bound *bound, struct sim_hwpt *hwpt)
{
	return bound->hwpt ? replace(bound, hwpt) : attach(bound, hwpt);
}

/* Automatic tables --------------------------------------------------------------------------------------- */

/* The first attachment is made before the table has any mapping, a replacement only when it has all. */
static int fill_and_put_on(struct sim_bound *bound, struct sim_hwpt *hwpt)
{
	bool replaces = bound->hwpt;
	int error = replaces ? 0 : attach(bound, hwpt);

	if (error)
		return error;
	error = sim_ioas_add_hwpt(hwpt->ioas, hwpt);
	if (error && !replaces)
		detach(bound);
	if (error || !replaces)
		return error;
	return replace(bound, hwpt);
}

static int new_automatic(struct sim_bound *bound, struct sim_ioas *ioas, struct sim_hwpt **ret_hwpt)
{
	int error = sim_hwpt_new(ioas, bound->device->group->unit, false, ret_hwpt);

	if (error)
		return error;
	error = fill_and_put_on(bound, *ret_hwpt);
	if (error)
		sim_object_destroy(ioas->iommufd, &(*ret_hwpt)->object);
	else
		(*ret_hwpt)->automatic = true;
	return error;
}

/* To one of the space's automatic tables, or else to a new one. -EINVAL means that the next is tried. */
static int put_on_ioas(struct sim_bound *bound, struct sim_ioas *ioas, struct sim_hwpt **ret_hwpt)
{
	for (struct sim_hwpt *hwpt = ioas->hwpts; hwpt; hwpt = hwpt->next) {
		int error;

		if (!hwpt->automatic)
			continue;
		*ret_hwpt = hwpt;
		error = put_on(bound, hwpt);
		if (error != -EINVAL)
			return error;
	}
	return new_automatic(bound, ioas, ret_hwpt);
}

int sim_iommufd_attach(struct weir_sim_device *device, uint32_t *pt_id)
{
	struct sim_bound *bound = bound_of(device);
	struct sim_object *target = sim_object_find(device->iommufd, *pt_id);
	struct sim_hwpt *hwpt;
	int error;

	if (!target)
		return -ENOENT;
	switch (target->type) {
	case SIM_HWPT:
	case SIM_HWPT_NESTED:
		return put_on(bound, (struct sim_hwpt *)target);
	case SIM_IOAS:
		error = put_on_ioas(bound, (struct sim_ioas *)target, &hwpt);
		if (!error)
			*pt_id = hwpt->object.id;
		return error;
	default:
		return -EINVAL;
	}
}

int sim_iommufd_detach(struct weir_sim_device *device)
{
	struct sim_bound *bound = bound_of(device);
	struct sim_hwpt *hwpt = bound->hwpt;

	if (hwpt) {
		detach(bound);
		put(hwpt);
	}
	return 0;
}
