// SPDX-License-Identifier: MIT
/*
 * Page tables (kernel-interface A.8, A.12). Not every IOMMU has dirty bits: what needs those is refused as the kernel refuses it, after the checks that
 * come before.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim/iommufd/ioas.h"

/* In scalable mode VT-d walks first-stage tables for whatever is no parent: addresses are signed there, so half of them are lost. */
static uint32_t reach_of(const struct weir_sim *sim, bool nest_parent)
{
	enum { FIRST_STAGE = 47 };

	if (sim->iommu != WEIR_SIM_IOMMU_VTD || nest_parent || sim->address_bits <= FIRST_STAGE)
		return sim->address_bits;
	return sim->address_bits - 1;
}

static int new_domain(struct weir_sim *sim, uint32_t unit, bool nest_parent, struct sim_domain **ret_domain)
{
	int error = sim_domain_new(sim, ret_domain);

	if (error)
		return error;
	(*ret_domain)->unit = unit;
	(*ret_domain)->address_bits = reach_of(sim, nest_parent);
	(*ret_domain)->no_read_only = nest_parent && sim->iommu == WEIR_SIM_IOMMU_VTD;
	return 0;
}

int sim_hwpt_new(struct sim_ioas *ioas, uint32_t unit, bool nest_parent, struct sim_hwpt **ret_hwpt)
{
	struct sim_hwpt *hwpt = calloc(1, sizeof(*hwpt));
	int error = hwpt ? new_domain(ioas->iommufd->sim, unit, nest_parent, &hwpt->domain) : -ENOMEM;

	if (error) {
		free(hwpt);
		return error;
	}
	error = sim_object_add(ioas->iommufd, &hwpt->object, SIM_HWPT);
	if (error) {
		sim_domain_free(hwpt->domain);
		free(hwpt);
		return error;
	}
	hwpt->nest_parent = nest_parent;
	hwpt->ioas = ioas;
	ioas->object.users++;
	*ret_hwpt = hwpt;
	return 0;
}

static bool in_ioas(const struct sim_hwpt *hwpt)
{
	const struct sim_hwpt *other = hwpt->ioas->hwpts;

	while (other && other != hwpt)
		other = other->next;
	return other;
}

/* What it was made on: its space, its parent, or its virtual IOMMU. */
static struct sim_object *base_of(const struct sim_hwpt *hwpt)
{
	if (hwpt->viommu)
		return &hwpt->viommu->object;
	return hwpt->parent ? &hwpt->parent->object : &hwpt->ioas->object;
}

void sim_hwpt_free(struct sim_hwpt *hwpt)
{
	if (in_ioas(hwpt))
		sim_ioas_remove_hwpt(hwpt->ioas, hwpt);
	base_of(hwpt)->users--;
	if (hwpt->fault)
		hwpt->fault->object.users--;
	sim_domain_free(hwpt->domain);
	free(hwpt);
}

/* Making one (A.8) --------------------------------------------------------------------------------------- */

/* What the kernel's core knows. No IOMMU minds faults, until something is attached. */
static int check_core_flags(const struct weir_sim *sim, uint32_t flags)
{
	const uint32_t both = ABI_IOMMU_HWPT_ALLOC_NEST_PARENT | ABI_IOMMU_HWPT_FAULT_ID_VALID;
	uint32_t known = 0;

	if (sim->age <= WEIR_SIM_6_12)
		known |= ABI_IOMMU_HWPT_ALLOC_NEST_PARENT | ABI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
			 ABI_IOMMU_HWPT_FAULT_ID_VALID;
	if (sim->age <= WEIR_SIM_6_19)
		known |= ABI_IOMMU_HWPT_ALLOC_PASID;
	if (flags & ABI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING && !(sim->flags & WEIR_SIM_DIRTY_BITS))
		return -EOPNOTSUPP;
	if (flags & ~known || (flags & both) == both)
		return -EOPNOTSUPP;
	return 0;
}

/* What the IOMMU's driver does. Arm's nests since 6.13. Neither Arm nor AMD makes a parent for PASIDs. */
static int check_driver_flags(const struct weir_sim *sim, uint32_t flags)
{
	const uint32_t both = ABI_IOMMU_HWPT_ALLOC_NEST_PARENT | ABI_IOMMU_HWPT_ALLOC_PASID;
	bool parent = flags & ABI_IOMMU_HWPT_ALLOC_NEST_PARENT;

	switch (sim->iommu) {
	case WEIR_SIM_IOMMU_VTD:
		return 0;
	case WEIR_SIM_IOMMU_SMMUV3:
		return (parent && sim->age > WEIR_SIM_6_19) || (flags & both) == both ? -EOPNOTSUPP : 0;
	case WEIR_SIM_IOMMU_AMD:
		return (flags & both) == both ? -EOPNOTSUPP : 0;
	default:
		return parent ? -EOPNOTSUPP : 0;
	}
}

static int check_paging(const struct weir_sim *sim, const struct abi_iommu_hwpt_alloc *cmd)
{
	int error = check_core_flags(sim, cmd->flags);

	if (!error)
		error = check_driver_flags(sim, cmd->flags);
	if (error)
		return error;
	return cmd->data_len ? -EOPNOTSUPP : 0;
}

static int alloc_paging(struct sim_ioas *ioas, const struct abi_iommu_hwpt_alloc *cmd,
			const struct sim_bound *bound, struct sim_hwpt **ret_hwpt)
{
	int error = check_paging(ioas->iommufd->sim, cmd);

	if (!error)
		error = sim_hwpt_new(ioas, bound->device->group->unit,
				     cmd->flags & ABI_IOMMU_HWPT_ALLOC_NEST_PARENT, ret_hwpt);
	if (error)
		return error;
	(*ret_hwpt)->for_pasids = cmd->flags & ABI_IOMMU_HWPT_ALLOC_PASID;
	(*ret_hwpt)->has_dirty = cmd->flags & ABI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
	error = sim_ioas_add_hwpt(ioas, *ret_hwpt);
	if (error)
		sim_object_destroy(ioas->iommufd, &(*ret_hwpt)->object);
	return error;
}

static int alloc(struct sim_iommufd *iommufd, const struct abi_iommu_hwpt_alloc *cmd,
		 const struct sim_bound *bound, struct sim_hwpt **ret_hwpt)
{
	struct sim_object *from = sim_object_find(iommufd, cmd->pt_id);

	if (from && from->type == SIM_IOAS)
		return alloc_paging((struct sim_ioas *)from, cmd, bound, ret_hwpt);
	/* 6.6 looked for an IOAS, and nothing else. */
	if (iommufd->sim->age >= WEIR_SIM_6_6)
		return -ENOENT;
	if (from && from->type == SIM_HWPT)
		return sim_nested_alloc(iommufd, cmd, bound, (struct sim_hwpt *)from, NULL, ret_hwpt);
	if (from && from->type == SIM_VIOMMU)
		return sim_nested_alloc(iommufd, cmd, bound, NULL, (struct sim_viommu *)from, ret_hwpt);
	return -EINVAL;
}

static int set_fault_queue(struct sim_iommufd *iommufd, const struct abi_iommu_hwpt_alloc *cmd,
			   struct sim_hwpt *hwpt)
{
	if (!(cmd->flags & ABI_IOMMU_HWPT_FAULT_ID_VALID))
		return 0;
	hwpt->fault = sim_fault_queue_find(iommufd, cmd->fault_id);
	if (!hwpt->fault)
		return -ENOENT;
	hwpt->fault->object.users++;
	hwpt->domain->faults = hwpt->fault;
	return 0;
}

int sim_cmd_hwpt_alloc(struct sim_call *call)
{
	struct abi_iommu_hwpt_alloc *cmd = call->cmd;
	const struct sim_bound *bound;
	struct sim_hwpt *hwpt;
	int error;

	if (cmd->__reserved || (call->iommufd->sim->age >= WEIR_SIM_6_6 && cmd->flags))
		return -EOPNOTSUPP;
	if ((cmd->data_type == ABI_IOMMU_HWPT_DATA_NONE) != !cmd->data_len)
		return -EINVAL;
	bound = sim_bound_find(call->iommufd, cmd->dev_id);
	if (!bound)
		return -ENOENT;
	error = alloc(call->iommufd, cmd, bound, &hwpt);
	if (error)
		return error;
	error = set_fault_queue(call->iommufd, cmd, hwpt);
	cmd->out_hwpt_id = hwpt->object.id;
	if (!error)
		error = sim_respond(call);
	if (error)
		sim_object_destroy(call->iommufd, &hwpt->object);
	return error;
}

/* Dirty tracking (A.12) ---------------------------------------------------------------------------------- */

int sim_cmd_hwpt_set_dirty_tracking(struct sim_call *call)
{
	const struct abi_iommu_hwpt_set_dirty_tracking *cmd = call->cmd;
	const struct sim_hwpt *hwpt;

	if (cmd->flags & ~ABI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
		return -EOPNOTSUPP;
	hwpt = sim_hwpt_find(call->iommufd, cmd->hwpt_id);
	if (!hwpt)
		return -ENOENT;
	if (!hwpt->has_dirty)
		return -EOPNOTSUPP;
	sim_dirty_set(&hwpt->domain->dirty, cmd->flags & ABI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE);
	return 0;
}

static int check_bitmap(const struct sim_ioas *ioas, const struct abi_iommu_hwpt_get_dirty_bitmap *cmd)
{
	uint64_t last, ends;

	if (__builtin_add_overflow(cmd->iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	ends = cmd->iova | (last + 1);
	if (ends & (ioas->alignment - 1) || !cmd->page_size || ends & (cmd->page_size - 1))
		return -EINVAL;
	return 0;
}

/* The walk ends at a hole, and at a bitmap that cannot be written; and nobody hears of either (A.12). */
static void read_dirty(struct weir_sim *sim, struct sim_domain *domain,
		       const struct abi_iommu_hwpt_get_dirty_bitmap *cmd)
{
	const uint64_t last = cmd->iova + (cmd->length - 1);
	struct sim_translation to;

	for (uint64_t at = cmd->iova; at - cmd->iova < cmd->length; at += SIM_IOMMU_PAGE) {
		if (sim_domain_look_up(domain, at, &to))
			break;
		if (sim_dirty_has(&domain->dirty, at, at + (SIM_IOMMU_PAGE - 1)) &&
		    sim_dirty_tell(sim, cmd->data, (at - cmd->iova) / cmd->page_size))
			break;
	}
	if (!(cmd->flags & ABI_IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR))
		sim_dirty_forget(&domain->dirty, cmd->iova, last);
}

int sim_cmd_hwpt_get_dirty_bitmap(struct sim_call *call)
{
	const struct abi_iommu_hwpt_get_dirty_bitmap *cmd = call->cmd;
	const struct sim_hwpt *hwpt;
	int error;

	if (cmd->flags & ~ABI_IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR || cmd->__reserved)
		return -EOPNOTSUPP;
	hwpt = sim_hwpt_find(call->iommufd, cmd->hwpt_id);
	if (!hwpt)
		return -ENOENT;
	error = check_bitmap(hwpt->ioas, cmd);
	if (!error && !hwpt->has_dirty)
		error = -EOPNOTSUPP;
	if (!error)
		read_dirty(call->iommufd->sim, hwpt->domain, cmd);
	return error;
}
