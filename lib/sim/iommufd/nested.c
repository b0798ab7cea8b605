// SPDX-License-Identifier: MIT
/*
 * Page tables of programs, nested in the kernel's (kernel-interface A.8): on a nesting parent, as VT-d does, or on a virtual IOMMU.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim/iommu/stage1.h"
#include "sim/iommufd/ioas.h"
#include "sim/user.h"

/* Room for the data of any vendor. Exactly as long as the struct is: no shorter, and no longer either. */
static int copy_data(const struct abi_iommu_hwpt_alloc *cmd, void *data, uint32_t size)
{
	return cmd->data_len == size ? sim_copy_in(data, cmd->data_uptr, size) : -EINVAL;
}

/* VT-d --------------------------------------------------------------------------------------------------- */

/* Flags and width are looked at when a device is put on it. */
static int new_vtd(const struct abi_iommu_hwpt_alloc *cmd, struct sim_domain *parent,
		   struct sim_domain **ret_domain)
{
	struct abi_iommu_hwpt_vtd_s1 data;
	int error;

	if (cmd->data_type != ABI_IOMMU_HWPT_DATA_VTD_S1)
		return -EOPNOTSUPP;
	error = copy_data(cmd, &data, sizeof(data));
	if (!error)
		error = sim_stage1_new(parent, SIM_STAGE1_X86, ret_domain);
	if (error)
		return error;
	(*ret_domain)->stage1->table = data.pgtbl_addr;
	(*ret_domain)->stage1->flags = data.flags;
	(*ret_domain)->stage1->width = data.addr_width;
	return 0;
}

static int check_vtd(const struct weir_sim *sim, const struct sim_stage1 *stage1)
{
	enum { FOUR_LEVELS = 48, FIVE_LEVELS = 57 };

	if (stage1->width == FIVE_LEVELS && sim->flags & WEIR_SIM_NO_5_LEVEL)
		return -EINVAL;
	if (stage1->width != FOUR_LEVELS && stage1->width != FIVE_LEVELS)
		return -EINVAL;
	/* This hardware has neither supervisor requests nor extended accessed flags. */
	return stage1->flags & (ABI_IOMMU_VTD_S1_SRE | ABI_IOMMU_VTD_S1_EAFE) ? -EINVAL : 0;
}

/* SMMUv3 ------------------------------------------------------------------------------------------------ */

enum { STE_EATS_SHIFT = 28, STE_EATS_FULL = 1 };

/* One that is not valid is any other bits, and lets nothing through. */
static int check_ste(uint64_t ste[2])
{
	unsigned int config = sim_ste_config(ste), ats = (unsigned int)sim_field(ste[1], 29, 28);

	if (!(ste[0] & SIM_STE0_VALID)) {
		ste[0] = ste[1] = 0;
		return 0;
	}
	if (ste[0] & ~SIM_STE0_ALLOWED || ste[1] & ~SIM_STE1_ALLOWED || ats > STE_EATS_FULL)
		return -EIO;
	return config == SIM_STE_ABORT || config == SIM_STE_BYPASS || config == SIM_STE_S1 ? 0 : -EIO;
}

/* Of a device that the virtual IOMMU knows. */
static void report(void *owner, const struct weir_sim_device *device, const uint64_t event[4])
{
	const struct sim_viommu *viommu = owner;
	const struct sim_bound *bound = sim_bound_find(device->iommufd, device->dev_id);

	if (bound && bound->vdevice && bound->vdevice->viommu == viommu)
		sim_viommu_event(viommu, bound->vdevice->virt_id, event);
}

static int new_smmuv3(const struct abi_iommu_hwpt_alloc *cmd, struct sim_viommu *viommu,
		      struct sim_domain **ret_domain)
{
	struct abi_iommu_hwpt_arm_smmuv3 data;
	int error;

	if (cmd->flags & ABI_IOMMU_HWPT_ALLOC_PASID)
		return -EOPNOTSUPP;
	if (cmd->data_type != ABI_IOMMU_HWPT_DATA_ARM_SMMUV3)
		return -EINVAL;
	error = copy_data(cmd, &data, sizeof(data));
	if (!error)
		error = check_ste(data.ste);
	if (!error)
		error = sim_stage1_new(viommu->parent->domain, SIM_STAGE1_ARM, ret_domain);
	if (error)
		return error;
	(*ret_domain)->stage1->report = report;
	(*ret_domain)->stage1->owner = viommu;
	(*ret_domain)->stage1->ste[0] = data.ste[0];
	(*ret_domain)->stage1->ste[1] = data.ste[1] & ~((uint64_t)3 << STE_EATS_SHIFT);
	return 0;
}

static bool has_number(const struct sim_viommu *viommu, const struct weir_sim_device *device)
{
	const struct sim_bound *bound =
		device->iommufd ? sim_bound_find(device->iommufd, device->dev_id) : NULL;

	return bound && bound->vdevice && bound->vdevice->viommu == viommu;
}

/* Commands and events have to say which device they mean, so all that are translated for have numbers: every one of the group. */
static int check_smmuv3(const struct sim_hwpt *hwpt, const struct sim_bound *bound)
{
	const struct weir_sim_device *device = NULL;

	if (sim_ste_config(hwpt->domain->stage1->ste) != SIM_STE_S1)
		return 0;
	while ((device = sim_group_next(bound->device->group, device)))
		if (!has_number(hwpt->viommu, device))
			return -ENOENT;
	return 0;
}

/* Any ---------------------------------------------------------------------------------------------------- */

static int wrap(struct sim_iommufd *iommufd, struct sim_hwpt *parent, struct sim_viommu *viommu,
		struct sim_domain *domain, struct sim_hwpt **ret_hwpt)
{
	struct sim_hwpt *hwpt = calloc(1, sizeof(*hwpt));
	int error = hwpt ? sim_object_add(iommufd, &hwpt->object, SIM_HWPT_NESTED) : -ENOMEM;

	if (error) {
		free(hwpt);
		sim_domain_free(domain);
		return error;
	}
	hwpt->domain = domain;
	hwpt->parent = viommu ? viommu->parent : parent;
	hwpt->viommu = viommu;
	hwpt->ioas = hwpt->parent->ioas;
	if (viommu)
		viommu->object.users++;
	else
		parent->object.users++;
	*ret_hwpt = hwpt;
	return 0;
}

/* Intel's driver alone nests in a page table; those of others have no such operation. */
static int check_parent(const struct weir_sim *sim, const struct sim_hwpt *parent)
{
	if (sim->iommu == WEIR_SIM_IOMMU_SMMUV3 || sim->iommu == WEIR_SIM_IOMMU_AMD)
		return -EOPNOTSUPP;
	return parent->automatic || !parent->nest_parent ? -EINVAL : 0;
}

/* AMD's makes virtual IOMMUs in which nothing nests. */
static int check_viommu(const struct weir_sim *sim)
{
	return sim->iommu == WEIR_SIM_IOMMU_SMMUV3 ? 0 : -EOPNOTSUPP;
}

int sim_nested_alloc(struct sim_iommufd *iommufd, const struct abi_iommu_hwpt_alloc *cmd,
		     const struct sim_bound *bound, struct sim_hwpt *parent, struct sim_viommu *viommu,
		     struct sim_hwpt **ret_hwpt)
{
	uint32_t known = ABI_IOMMU_HWPT_FAULT_ID_VALID | ABI_IOMMU_HWPT_ALLOC_PASID;
	const struct weir_sim *sim = iommufd->sim;
	struct sim_domain *domain;
	int error;

	if (viommu && viommu->unit != bound->device->group->unit)
		return -EINVAL;
	if (sim->age > WEIR_SIM_6_19)
		known &= ~ABI_IOMMU_HWPT_ALLOC_PASID;
	if (cmd->flags & ~known || !cmd->data_len)
		return -EOPNOTSUPP;
	error = viommu ? check_viommu(sim) : check_parent(sim, parent);
	if (!error)
		error = viommu ? new_smmuv3(cmd, viommu, &domain) : new_vtd(cmd, parent->domain, &domain);
	if (!error)
		error = wrap(iommufd, parent, viommu, domain, ret_hwpt);
	if (!error)
		(*ret_hwpt)->for_pasids = cmd->flags & ABI_IOMMU_HWPT_ALLOC_PASID;
	return error;
}

/* Attaching ---------------------------------------------------------------------------------------------- */

/*
 * Arm's page tables are of one IOMMU; the others' of any that can do the same. Arm's and AMD's drivers do not mind a device that will never ask
 * for pages.
 */
int sim_hwpt_check_attach(const struct sim_hwpt *hwpt, const struct sim_bound *bound)
{
	const struct weir_sim *sim = bound->device->sim;

	if (sim->iommu == WEIR_SIM_IOMMU_SMMUV3 && hwpt->domain->unit != bound->device->group->unit)
		return -EINVAL;
	if (hwpt->fault && !bound->device->page_requests && sim->iommu != WEIR_SIM_IOMMU_SMMUV3 &&
	    sim->iommu != WEIR_SIM_IOMMU_AMD)
		return -ENODEV;
	if (!hwpt->domain->stage1)
		return 0;
	return hwpt->viommu ? check_smmuv3(hwpt, bound) : check_vtd(sim, hwpt->domain->stage1);
}
