// SPDX-License-Identifier: MIT
/*
 * Commands for an SMMUv3 on behalf of a virtual one (kernel-interface A.11).
 *
 * As the kernel does it: all are copied; then each is converted, its VMID and stream replaced by the real ones; and what was converted is
 * issued in blocks. When a conversion fails, what was converted since the last block has been counted and is never issued.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/iommu/stage1.h"
#include "sim/iommufd/ioas.h"
#include "sim/user.h"

enum { BLOCK = 63 };

struct smmu_command {
	uint64_t words[2];
	const struct weir_sim_device *device; /* for which it is, if for one */
};

/* Copying ------------------------------------------------------------------------------------------------- */

/* Shorter ones end in zeros; what is beyond ours has to be zero. */
static int copy_one(uint64_t from, uint32_t len, uint64_t words[2])
{
	const uint32_t size = 2 * sizeof(*words);
	unsigned char bytes[4096];
	int error = 0;

	words[0] = words[1] = 0;
	for (uint32_t at = size; at < len && !error; at += sizeof(bytes)) {
		uint32_t part = len - at < sizeof(bytes) ? len - at : (uint32_t)sizeof(bytes);

		if (sim_copy_in(bytes, from + at, part))
			return -EFAULT;
		for (uint32_t i = 0; i < part && !error; i++)
			error = bytes[i] ? -E2BIG : 0;
	}
	return error ? error : sim_copy_in(words, from, len < size ? len : size);
}

static int copy_all(const struct abi_iommu_hwpt_invalidate *cmd, struct smmu_command *commands)
{
	int error = 0;

	for (uint32_t i = 0; i < cmd->entry_num && !error; i++)
		error = copy_one(cmd->data_uptr + (uint64_t)i * cmd->entry_len, cmd->entry_len,
				 commands[i].words);
	return error;
}

/* Converting ---------------------------------------------------------------------------------------------- */

static unsigned int opcode(const struct smmu_command *command)
{
	return (unsigned int)sim_field(command->words[0], 7, 0);
}

static int find_stream(const struct sim_viommu *viommu, struct smmu_command *command)
{
	const struct sim_vdevice *vdevice = sim_vdevice_of(viommu, sim_field(command->words[0], 63, 32));

	if (!vdevice)
		return -EIO;
	command->device = vdevice->bound->device;
	return 0;
}

static int convert(const struct sim_viommu *viommu, struct smmu_command *command)
{
	switch (opcode(command)) {
	case SIM_TLBI_NSNH_ALL:
		command->words[0] = SIM_TLBI_NH_ALL;
		return 0;
	case SIM_TLBI_NH_ALL:
	case SIM_TLBI_NH_ASID:
	case SIM_TLBI_NH_VA:
	case SIM_TLBI_NH_VAA:
		return 0;
	case SIM_ATC_INV:
	case SIM_CFGI_CD:
	case SIM_CFGI_CD_ALL:
		return find_stream(viommu, command);
	default:
		return -EIO;
	}
}

/* Issuing ------------------------------------------------------------------------------------------------- */

/* One address; or, with a granule (TG), so many of them (NUM, SCALE), and perhaps leaves of one level alone (TTL). */
static struct sim_walk_range range_of(const struct smmu_command *command)
{
	static const uint8_t level_shifts[] = { 0, 30, 21, 12 };
	uint64_t first = command->words[1] & ~(uint64_t)0xfff, len = SIM_IOMMU_PAGE;
	unsigned int granule = (unsigned int)sim_field(command->words[1], 11, 10);
	struct sim_walk_range range = { .tag = (uint32_t)sim_field(command->words[0], 63, 48),
					.leaves = command->words[1] & 1 };

	if (granule) {
		len = (sim_field(command->words[0], 16, 12) + 1)
		      << sim_field(command->words[0], 24, 20) << (10 + 2 * granule);
		range.leaf_shift = level_shifts[sim_field(command->words[1], 9, 8)];
	}
	range.first = first;
	range.last = first + (len - 1);
	return range;
}

static void invalidate(struct sim_domain *parent, const struct smmu_command *command)
{
	struct sim_walk_range range = { .last = UINT64_MAX };

	if (opcode(command) == SIM_TLBI_NH_VA || opcode(command) == SIM_TLBI_NH_VAA) {
		range = range_of(command);
		range.any_tag = opcode(command) == SIM_TLBI_NH_VAA;
	} else if (opcode(command) == SIM_TLBI_NH_ASID) {
		range.tag = (uint32_t)sim_field(command->words[0], 63, 48);
		range.spare_global = true;
	} else {
		range.any_tag = true;
	}
	if (parent->by_vmid)
		sim_walk_cache_drop(parent->by_vmid, &range);
}

/* Of what a device is on. No device here has translations of its own (ATC). */
static void forget_contexts(const struct smmu_command *command)
{
	const struct sim_domain *domain = command->device->group->domain;

	if (opcode(command) == SIM_ATC_INV || !domain || !domain->stage1)
		return;
	sim_arm_drop_cds(domain->stage1, command->device, opcode(command) == SIM_CFGI_CD_ALL,
			 (uint32_t)sim_field(command->words[0], 31, 12));
}

/* What an error leaves of the block undone, nobody can tell: here, what comes behind it. */
static int issue(struct sim_domain *parent, const struct smmu_command *commands, uint32_t num)
{
	int error = 0;

	for (uint32_t i = 0; i < num && !error; i++) {
		error = sim_trouble_invalidation(parent->sim);
		if (error)
			break;
		if (commands[i].device)
			forget_contexts(&commands[i]);
		else
			invalidate(parent, &commands[i]);
	}
	return error;
}

static int run(const struct sim_viommu *viommu, struct smmu_command *commands, uint32_t num,
	       uint32_t *ret_done)
{
	uint32_t at = 0, issued = 0;
	int error = 0;

	while (at < num && !error) {
		error = convert(viommu, &commands[at]);
		if (error)
			break;
		at++;
		if (at < num && at - issued < BLOCK)
			continue;
		error = issue(viommu->parent->domain, commands + issued, at - issued);
		issued = at;
		at -= error ? 1 : 0;
	}
	*ret_done = at;
	return error;
}

int sim_smmu_invalidate(const struct sim_viommu *viommu, const struct abi_iommu_hwpt_invalidate *cmd,
			uint32_t *ret_done)
{
	struct smmu_command *commands;
	int error;

	if (cmd->data_type != ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 || !cmd->entry_num)
		return -EINVAL;
	commands = calloc(cmd->entry_num, sizeof(*commands));
	if (!commands)
		return -ENOMEM;
	error = copy_all(cmd, commands);
	if (!error)
		error = run(viommu, commands, cmd->entry_num, ret_done);
	free(commands);
	return error;
}
