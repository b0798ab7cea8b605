// SPDX-License-Identifier: MIT
/* What the IOMMU in front of a device says of itself (kernel-interface A.10). */
#include <errno.h>
#include <string.h>

#include "sim/iommufd/ioas.h"
#include "sim/user.h"

/* Registers of VT-d. CAP: ND, 1 GiB pages and 5 levels in the first stage. ECAP: scalable mode, its two stages, nesting, PASIDs. */
#define CAP_FL1GP     ((uint64_t)1 << 56)
#define CAP_FL5LP     ((uint64_t)1 << 60)
#define ECAP_NEST     ((uint64_t)1 << 26)
#define ECAP_PSS(n)   ((uint64_t)((n)-1) << 35)
#define ECAP_PASID    ((uint64_t)1 << 40)
#define ECAP_SMTS     ((uint64_t)1 << 43)
#define ECAP_SLTS     ((uint64_t)1 << 46)
#define ECAP_FLTS     ((uint64_t)1 << 47)
#define ECAP_SCALABLE (ECAP_NEST | ECAP_PSS(20) | ECAP_PASID | ECAP_SMTS | ECAP_SLTS | ECAP_FLTS)

union info {
	struct abi_iommu_hw_info_vtd vtd;
	struct abi_iommu_hw_info_arm_smmuv3 smmuv3;
	struct abi_iommu_hw_info_amd amd;
};

/* What QEMU's intel-iommu says of itself with caching-mode and intremap on; but for the width. */
static struct abi_iommu_hw_info_vtd vtd_info(const struct weir_sim *sim)
{
	uint64_t cap = 0x00d2008c222f0686, mgaw = 0x3f << 16, ecap = 0xf00f5a;

	if (sim->iommu == WEIR_SIM_IOMMU_VTD) {
		cap |= (sim->flags & WEIR_SIM_NO_1_GIB ? 0 : CAP_FL1GP) |
		       (sim->flags & WEIR_SIM_NO_5_LEVEL ? 0 : CAP_FL5LP);
		ecap |= ECAP_SCALABLE;
	}
	return (struct abi_iommu_hw_info_vtd){
		.flags = ABI_IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17,
		.cap_reg = (cap & ~mgaw) | (uint64_t)(sim->address_bits - 1) << 16,
		.ecap_reg = ecap,
	};
}

/* IDR5.OAS, and IPS in a context descriptor: so many bits an address has at most. */
static uint32_t address_size(uint32_t bits)
{
	static const uint32_t sizes[] = { 32, 36, 40, 42, 44, 48, 52 };
	uint32_t code = 0;

	while (code + 1 < sizeof(sizes) / sizeof(sizes[0]) && sizes[code + 1] <= bits)
		code++;
	return code;
}

/*
 * IDR0: both stages (S2P, S1P), AArch64 tables (TTF), coherent walks (COHACC), 16 bits of ASIDs and VMIDs, context descriptors in two
 * levels (CD2L), little-endian tables (TTENDIAN), no stalls (STALL_MODEL), faults always end in an error (TERM_MODEL). IDR1: SSIDSIZE,
 * SIDSIZE. IDR3: invalidation of ranges (RIL). IDR5: 4 KiB pages, OAS.
 */
static struct abi_iommu_hw_info_arm_smmuv3 smmuv3_info(const struct weir_sim *sim)
{
	return (struct abi_iommu_hw_info_arm_smmuv3){
		.idr = { 1 << 0 | 1 << 1 | 2 << 2 | 1 << 4 | 1 << 12 | 1 << 18 | 1 << 19 | 2 << 21 | 1 << 24 |
				 1 << 26,
			 20 << 6 | 16, 0, 1 << 10, 0, 1 << 4 | address_size(sim->address_bits) },
		.aidr = 1,
	};
}

/* The kernel tells of Arm's since 6.13, of AMD's since 7.0. */
static uint32_t info_of(const struct weir_sim *sim, union info *ret_info, uint32_t *ret_len)
{
	memset(ret_info, 0, sizeof(*ret_info));
	*ret_len = 0;
	switch (sim->iommu) {
	case WEIR_SIM_IOMMU_SMMUV3:
		if (sim->age > WEIR_SIM_6_19)
			return ABI_IOMMU_HW_INFO_TYPE_NONE;
		ret_info->smmuv3 = smmuv3_info(sim);
		*ret_len = sizeof(ret_info->smmuv3);
		return ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	case WEIR_SIM_IOMMU_AMD:
		if (sim->age > WEIR_SIM_7_2)
			return ABI_IOMMU_HW_INFO_TYPE_NONE;
		ret_info->amd = (struct abi_iommu_hw_info_amd){ 0x4c77ef22294aefa3, 0 };
		*ret_len = sizeof(ret_info->amd);
		return ABI_IOMMU_HW_INFO_TYPE_AMD;
	default:
		ret_info->vtd = vtd_info(sim);
		*ret_len = sizeof(ret_info->vtd);
		return ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD;
	}
}

static int clear_out(struct weir_sim *sim, uint64_t at, uint64_t len)
{
	static const char zeros[4096];
	int error = 0;

	while (len && !error) {
		size_t part = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		error = sim_copy_out(sim, at, zeros, part);
		at += part;
		len -= part;
	}
	return error;
}

static int check_hw_info(const struct weir_sim *sim, const struct abi_iommu_hw_info *cmd)
{
	uint32_t known = sim->age <= WEIR_SIM_6_19 ? ABI_IOMMU_HW_INFO_FLAG_INPUT_TYPE : 0;

	if (cmd->flags & ~known || cmd->__reserved[0] || cmd->__reserved[1] || cmd->__reserved[2])
		return -EOPNOTSUPP;
	/* Before PASIDs were reported (6.15) that byte was reserved, too. */
	return !known && cmd->out_max_pasid_log2 ? -EOPNOTSUPP : 0;
}

int sim_cmd_get_hw_info(struct sim_call *call)
{
	struct abi_iommu_hw_info *cmd = call->cmd;
	struct weir_sim *sim = call->iommufd->sim;
	const struct sim_bound *bound;
	union info info;
	uint32_t len, type = info_of(sim, &info, &len);
	uint32_t part = cmd->data_len < len ? cmd->data_len : len;
	int error = check_hw_info(sim, cmd);

	if (error)
		return error;
	bound = sim_bound_find(call->iommufd, cmd->dev_id);
	if (!bound)
		return -ENOENT;
	if (cmd->flags & ABI_IOMMU_HW_INFO_FLAG_INPUT_TYPE &&
	    cmd->in_data_type != ABI_IOMMU_HW_INFO_TYPE_DEFAULT && cmd->in_data_type != type)
		return -EOPNOTSUPP;
	if (sim_copy_out(sim, cmd->data_uptr, &info, part) ||
	    clear_out(sim, cmd->data_uptr + part, cmd->data_len - part))
		return -EFAULT;
	cmd->data_len = len;
	cmd->out_data_type = type;
	cmd->out_max_pasid_log2 = sim->age <= WEIR_SIM_6_19 ? (uint8_t)bound->device->pasid_bits : 0;
	cmd->out_capabilities = sim->age == WEIR_SIM_7_2 && !bound->device->page_requests
					? ABI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED
					: 0;
	if (sim->flags & WEIR_SIM_DIRTY_BITS && sim->age <= WEIR_SIM_6_12)
		cmd->out_capabilities |= ABI_IOMMU_HW_CAP_DIRTY_TRACKING;
	return sim_respond(call);
}
