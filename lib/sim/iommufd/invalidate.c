// SPDX-License-Identifier: MIT
/*
 * Invalidation of what the IOMMU has kept of programs' page tables (kernel-interface A.11). How many entries were handled is said in
 * any case.
 */
#include <errno.h>

#include "sim/iommu/stage1.h"
#include "sim/iommufd/ioas.h"
#include "sim/user.h"

enum { MAX_ENTRIES = 1 << 19 };

static int check(const struct sim_iommufd *iommufd, const struct abi_iommu_hwpt_invalidate *cmd)
{
	if (cmd->__reserved)
		return -EOPNOTSUPP;
	if (cmd->entry_num && (!cmd->data_uptr || !cmd->entry_len))
		return -EINVAL;
	if (iommufd->sim->age == WEIR_SIM_7_2 &&
	    (cmd->entry_num > MAX_ENTRIES || (cmd->entry_num && cmd->entry_len > sim_page_size())))
		return -EINVAL;
	return 0;
}

/* VT-d --------------------------------------------------------------------------------------------------- */

/* As long as the kernel's struct, no more and no less. */
static int copy_vtd(const struct abi_iommu_hwpt_invalidate *cmd, uint32_t index,
		    struct abi_iommu_hwpt_vtd_s1_invalidate *ret_entry)
{
	if (cmd->entry_len != sizeof(*ret_entry))
		return -EINVAL;
	return sim_copy_in(ret_entry, cmd->data_uptr + (uint64_t)index * cmd->entry_len, sizeof(*ret_entry));
}

static int check_vtd(const struct abi_iommu_hwpt_vtd_s1_invalidate *entry)
{
	if (entry->flags & ~ABI_IOMMU_VTD_INV_FLAGS_LEAF || entry->__reserved)
		return -EOPNOTSUPP;
	if (entry->addr % SIM_IOMMU_PAGE || (entry->npages == UINT64_MAX && entry->addr))
		return -EINVAL;
	return 0;
}

/* The kernel counts in bytes, so no pages at all from 0 on are everything, too. */
static void invalidate_vtd(struct sim_stage1 *stage1, const struct abi_iommu_hwpt_vtd_s1_invalidate *entry)
{
	uint64_t len = entry->npages == UINT64_MAX ? 0 : entry->npages * SIM_IOMMU_PAGE;
	struct sim_walk_range range = { .first = entry->addr,
					.last = entry->addr + len - 1,
					.any_tag = true,
					.leaves = entry->flags & ABI_IOMMU_VTD_INV_FLAGS_LEAF };

	if (range.first <= range.last)
		sim_walk_cache_drop(stage1->cache, &range);
}

static int run_vtd(struct sim_stage1 *stage1, const struct abi_iommu_hwpt_invalidate *cmd, uint32_t *ret_done)
{
	int error = cmd->data_type == ABI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 ? 0 : -EINVAL;

	for (uint32_t i = 0; i < cmd->entry_num && !error; i++) {
		struct abi_iommu_hwpt_vtd_s1_invalidate entry;

		error = copy_vtd(cmd, i, &entry);
		if (!error)
			error = check_vtd(&entry);
		if (!error)
			error = sim_trouble_invalidation(stage1->parent->sim);
		if (error)
			break;
		invalidate_vtd(stage1, &entry);
		++*ret_done;
	}
	return error;
}

/* The command -------------------------------------------------------------------------------------------- */

/* Arm's driver takes commands for a virtual IOMMU, and none for a page table; Intel's the other way round; AMD's none. */
static int run(struct sim_iommufd *iommufd, const struct abi_iommu_hwpt_invalidate *cmd, uint32_t *ret_done)
{
	struct sim_object *object = sim_object_find(iommufd, cmd->hwpt_id);

	if (!object)
		return -ENOENT;
	switch (object->type) {
	case SIM_HWPT_NESTED:
		if (iommufd->sim->iommu != WEIR_SIM_IOMMU_VTD)
			return -EOPNOTSUPP;
		return run_vtd(((struct sim_hwpt *)object)->domain->stage1, cmd, ret_done);
	case SIM_VIOMMU:
		if (iommufd->sim->iommu != WEIR_SIM_IOMMU_SMMUV3)
			return -EOPNOTSUPP;
		return sim_smmu_invalidate((struct sim_viommu *)object, cmd, ret_done);
	default:
		return -EINVAL;
	}
}

int sim_cmd_hwpt_invalidate(struct sim_call *call)
{
	struct abi_iommu_hwpt_invalidate *cmd = call->cmd;
	uint32_t done = 0;
	int error = check(call->iommufd, cmd);

	if (!error)
		error = run(call->iommufd, cmd, &done);
	cmd->entry_num = done;
	return sim_respond(call) ? -EFAULT : error;
}
