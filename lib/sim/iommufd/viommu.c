// SPDX-License-Identifier: MIT
/* Virtual IOMMUs: slices of one IOMMU, and the numbers by which they know devices (kernel-interface A.14). */
#include <errno.h>
#include <stdlib.h>

#include "sim/iommufd/ioas.h"

/* Virtual IOMMUs ------------------------------------------------------------------------------------------ */

/* AMD's driver takes any type. */
static bool has_type(const struct weir_sim *sim, uint32_t type)
{
	if (sim->iommu == WEIR_SIM_IOMMU_SMMUV3)
		return type == ABI_IOMMU_VIOMMU_TYPE_ARM_SMMUV3;
	return sim->iommu == WEIR_SIM_IOMMU_AMD;
}

/* Arm's page tables are of one IOMMU. */
static int check_viommu(struct sim_iommufd *iommufd, const struct abi_iommu_viommu_alloc *cmd,
			const struct sim_bound *bound, struct sim_hwpt **ret_parent)
{
	const struct weir_sim *sim = iommufd->sim;
	struct sim_hwpt *parent = sim_hwpt_find(iommufd, cmd->hwpt_id);

	if (!has_type(sim, cmd->type))
		return -EOPNOTSUPP;
	if (!parent)
		return -ENOENT;
	if (!parent->nest_parent)
		return -EINVAL;
	if (sim->iommu == WEIR_SIM_IOMMU_SMMUV3 && parent->domain->unit != bound->device->group->unit)
		return -EINVAL;
	*ret_parent = parent;
	return 0;
}

static int new_viommu(struct sim_iommufd *iommufd, struct sim_hwpt *parent, uint32_t type, uint32_t unit,
		      struct sim_viommu **ret_viommu)
{
	struct sim_viommu *viommu = calloc(1, sizeof(*viommu));
	int error = viommu ? sim_object_add(iommufd, &viommu->object, SIM_VIOMMU) : -ENOMEM;

	if (error) {
		free(viommu);
		return error;
	}
	viommu->parent = parent;
	viommu->type = type;
	viommu->unit = unit;
	parent->object.users++;
	*ret_viommu = viommu;
	return 0;
}

void sim_viommu_free(struct sim_viommu *viommu)
{
	viommu->parent->object.users--;
	free(viommu);
}

int sim_cmd_viommu_alloc(struct sim_call *call)
{
	struct abi_iommu_viommu_alloc *cmd = call->cmd;
	const struct sim_bound *bound;
	struct sim_viommu *viommu;
	struct sim_hwpt *parent;
	int error;

	if (cmd->flags || cmd->type == ABI_IOMMU_VIOMMU_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	bound = sim_bound_find(call->iommufd, cmd->dev_id);
	if (!bound)
		return -ENOENT;
	error = check_viommu(call->iommufd, cmd, bound, &parent);
	if (!error)
		error = new_viommu(call->iommufd, parent, cmd->type, bound->device->group->unit, &viommu);
	if (error)
		return error;
	cmd->out_viommu_id = viommu->object.id;
	error = sim_respond(call);
	if (error)
		sim_object_destroy(call->iommufd, &viommu->object);
	return error;
}

/* Devices as they know them ------------------------------------------------------------------------------- */

struct sim_vdevice *sim_vdevice_of(const struct sim_viommu *viommu, uint64_t virt_id)
{
	struct sim_vdevice *vdevice = viommu->vdevices;

	while (vdevice && vdevice->virt_id != virt_id)
		vdevice = vdevice->next;
	return vdevice;
}

static int new_vdevice(struct sim_iommufd *iommufd, struct sim_viommu *viommu, struct sim_bound *bound,
		       uint64_t virt_id, struct sim_vdevice **ret_vdevice)
{
	struct sim_vdevice *vdevice = calloc(1, sizeof(*vdevice));
	int error = vdevice ? sim_object_add(iommufd, &vdevice->object, SIM_VDEVICE) : -ENOMEM;

	if (error) {
		free(vdevice);
		return error;
	}
	vdevice->viommu = viommu;
	vdevice->bound = bound;
	vdevice->virt_id = virt_id;
	vdevice->next = viommu->vdevices;
	viommu->vdevices = vdevice;
	viommu->object.users++;
	bound->vdevice = vdevice;
	*ret_vdevice = vdevice;
	return 0;
}

void sim_vdevice_free(struct sim_vdevice *vdevice)
{
	struct sim_vdevice **link = &vdevice->viommu->vdevices;

	while (*link != vdevice)
		link = &(*link)->next;
	*link = vdevice->next;
	vdevice->viommu->object.users--;
	vdevice->bound->vdevice = NULL;
	free(vdevice);
}

int sim_cmd_vdevice_alloc(struct sim_call *call)
{
	struct abi_iommu_vdevice_alloc *cmd = call->cmd;
	struct sim_viommu *viommu = sim_viommu_find(call->iommufd, cmd->viommu_id);
	struct sim_bound *bound = sim_bound_find(call->iommufd, cmd->dev_id);
	struct sim_vdevice *vdevice;
	int error;

	if (!viommu || !bound)
		return -ENOENT;
	if (viommu->unit != bound->device->group->unit)
		return -EINVAL;
	if (bound->vdevice || sim_vdevice_of(viommu, cmd->virt_id))
		return -EEXIST;
	error = new_vdevice(call->iommufd, viommu, bound, cmd->virt_id, &vdevice);
	if (error)
		return error;
	cmd->out_vdevice_id = vdevice->object.id;
	error = sim_respond(call);
	if (error)
		sim_object_destroy(call->iommufd, &vdevice->object);
	return error;
}

/* What none of them has: queues of commands ---------------------------------------------------------------- */

int sim_cmd_hw_queue_alloc(struct sim_call *call)
{
	const struct abi_iommu_hw_queue_alloc *cmd = call->cmd;
	uint64_t last;

	if (cmd->flags || cmd->type == ABI_IOMMU_HW_QUEUE_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	if (!cmd->length)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->nesting_parent_iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	return sim_viommu_find(call->iommufd, cmd->viommu_id) ? -EOPNOTSUPP : -ENOENT;
}
