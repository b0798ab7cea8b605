// SPDX-License-Identifier: MIT
/*
 * Page tables (kernel-interface A.8, A.11, A.12, A.14), as on QEMU's intel-iommu: no nesting, no dirty bits,
 * no page requests, no virtual IOMMUs. What needs those is refused as the kernel refuses it there, after the
 * checks that come before.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim/iommufd/ioas.h"

int sim_hwpt_new(struct sim_ioas *ioas, struct sim_hwpt **ret_hwpt)
{
	struct sim_hwpt *hwpt = calloc(1, sizeof(*hwpt));
	int error = hwpt ? sim_domain_new(ioas->iommufd->sim, &hwpt->domain) : -ENOMEM;

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

void sim_hwpt_free(struct sim_hwpt *hwpt)
{
	if (in_ioas(hwpt))
		sim_ioas_remove_hwpt(hwpt->ioas, hwpt);
	hwpt->ioas->object.users--;
	if (hwpt->fault)
		hwpt->fault->object.users--;
	sim_domain_free(hwpt->domain);
	free(hwpt);
}

/* Making one (A.8) --------------------------------------------------------------------------------------- */

/* What the kernel's core knows. This IOMMU minds neither faults nor PASIDs, until something is attached. */
static int check_paging_flags(const struct weir_sim *sim, const struct abi_iommu_hwpt_alloc *cmd)
{
	uint32_t known = 0;

	if (sim->age <= WEIR_SIM_6_12)
		known |= ABI_IOMMU_HWPT_ALLOC_NEST_PARENT | ABI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
			 ABI_IOMMU_HWPT_FAULT_ID_VALID;
	if (sim->age <= WEIR_SIM_6_19)
		known |= ABI_IOMMU_HWPT_ALLOC_PASID;
	if (cmd->flags & ~known)
		return -EOPNOTSUPP;
	if (cmd->flags & (ABI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING | ABI_IOMMU_HWPT_ALLOC_NEST_PARENT))
		return -EOPNOTSUPP;
	return cmd->data_len ? -EOPNOTSUPP : 0;
}

static int alloc_paging(struct sim_ioas *ioas, const struct abi_iommu_hwpt_alloc *cmd,
			struct sim_hwpt **ret_hwpt)
{
	int error = check_paging_flags(ioas->iommufd->sim, cmd);

	if (!error)
		error = sim_hwpt_new(ioas, ret_hwpt);
	if (error)
		return error;
	error = sim_ioas_add_hwpt(ioas, *ret_hwpt);
	if (error)
		sim_object_destroy(ioas->iommufd, &(*ret_hwpt)->object);
	return error;
}

/* No table here can be the parent that is needed. */
static int check_nested(const struct abi_iommu_hwpt_alloc *cmd)
{
	uint32_t known = ABI_IOMMU_HWPT_FAULT_ID_VALID | ABI_IOMMU_HWPT_ALLOC_PASID;

	return cmd->flags & ~known || !cmd->data_len ? -EOPNOTSUPP : -EINVAL;
}

static int alloc(struct sim_iommufd *iommufd, const struct abi_iommu_hwpt_alloc *cmd,
		 struct sim_hwpt **ret_hwpt)
{
	struct sim_object *from = sim_object_find(iommufd, cmd->pt_id);

	if (from && from->type == SIM_IOAS)
		return alloc_paging((struct sim_ioas *)from, cmd, ret_hwpt);
	/* 6.6 looked for an IOAS, and nothing else. */
	if (iommufd->sim->age >= WEIR_SIM_6_6)
		return -ENOENT;
	return from && from->type == SIM_HWPT ? check_nested(cmd) : -EINVAL;
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
	return 0;
}

int sim_cmd_hwpt_alloc(struct sim_call *call)
{
	struct abi_iommu_hwpt_alloc *cmd = call->cmd;
	struct sim_hwpt *hwpt;
	int error;

	if (cmd->__reserved || (call->iommufd->sim->age >= WEIR_SIM_6_6 && cmd->flags))
		return -EOPNOTSUPP;
	if ((cmd->data_type == ABI_IOMMU_HWPT_DATA_NONE) != !cmd->data_len)
		return -EINVAL;
	if (!sim_bound_find(call->iommufd, cmd->dev_id))
		return -ENOENT;
	error = alloc(call->iommufd, cmd, &hwpt);
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

	if (cmd->flags & ~ABI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
		return -EOPNOTSUPP;
	return sim_hwpt_find(call->iommufd, cmd->hwpt_id) ? -EOPNOTSUPP : -ENOENT;
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
	return error ? error : -EOPNOTSUPP;
}

/* Invalidation (A.11) ------------------------------------------------------------------------------------ */

enum { MAX_ENTRIES = 1 << 19, MAX_VEVENTS = 1 << 19 };

static int check_invalidate(const struct sim_iommufd *iommufd, const struct abi_iommu_hwpt_invalidate *cmd)
{
	if (cmd->__reserved)
		return -EOPNOTSUPP;
	if (cmd->entry_num && (!cmd->data_uptr || !cmd->entry_len))
		return -EINVAL;
	if (iommufd->sim->age == WEIR_SIM_7_2 &&
	    (cmd->entry_num > MAX_ENTRIES || (cmd->entry_num && cmd->entry_len > sim_page_size())))
		return -EINVAL;
	/* It must be nested, or a virtual IOMMU. */
	return sim_object_find(iommufd, cmd->hwpt_id) ? -EINVAL : -ENOENT;
}

int sim_cmd_hwpt_invalidate(struct sim_call *call)
{
	struct abi_iommu_hwpt_invalidate *cmd = call->cmd;
	int error = check_invalidate(call->iommufd, cmd);

	/* How many entries were handled is said in any case. */
	cmd->entry_num = 0;
	return sim_respond(call) ? -EFAULT : error;
}

/* Virtual IOMMUs (A.14) ---------------------------------------------------------------------------------- */

int sim_cmd_viommu_alloc(struct sim_call *call)
{
	const struct abi_iommu_viommu_alloc *cmd = call->cmd;

	if (cmd->flags || cmd->type == ABI_IOMMU_VIOMMU_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	return sim_bound_find(call->iommufd, cmd->dev_id) ? -EOPNOTSUPP : -ENOENT;
}

/* As no virtual IOMMU can be made, none is found. */
int sim_cmd_vdevice_alloc(struct sim_call *call)
{
	(void)call;
	return -ENOENT;
}

int sim_cmd_veventq_alloc(struct sim_call *call)
{
	const struct abi_iommu_veventq_alloc *cmd = call->cmd;

	if (cmd->flags || cmd->__reserved || cmd->type == ABI_IOMMU_VEVENTQ_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	return !cmd->veventq_depth || cmd->veventq_depth > MAX_VEVENTS ? -EINVAL : -ENOENT;
}

int sim_cmd_hw_queue_alloc(struct sim_call *call)
{
	const struct abi_iommu_hw_queue_alloc *cmd = call->cmd;
	uint64_t last;

	if (cmd->flags || cmd->type == ABI_IOMMU_HW_QUEUE_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	if (!cmd->length)
		return -EINVAL;
	return __builtin_add_overflow(cmd->nesting_parent_iova, cmd->length - 1, &last) ? -EOVERFLOW
											: -ENOENT;
}
