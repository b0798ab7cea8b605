// SPDX-License-Identifier: MIT
/*
 * Intel VT-d: the first stage is nested in the parent directly, and described by its root and depth. Bits of registers: VT-d specification, 11.4.2 and
 * 11.4.3. The kernel judges width and flags only when a device is attached, and says nothing but -EINVAL then; so they are judged here.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "domain/vendor.h"
#include "error.h"
#include "kernel/iommufd_abi.h"

enum { PAGE = 4096 };

#define CAP_1_GIB       (1ull << 56) /* FL1GP */
#define CAP_5_LEVELS    (1ull << 60) /* FL5LP */
#define ECAP_NESTING    (1ull << 26) /* NEST */
#define ECAP_SUPERVISOR (1ull << 31) /* SRS */
#define ECAP_EXT_ACCESS (1ull << 34) /* EAFS */
#define ECAP_SCALABLE   (1ull << 43) /* SMTS */

static int check(const struct abi_iommu_hw_info_vtd *hardware, const struct abi_iommu_hwpt_vtd_s1 *stage1)
{
	if (!(hardware->ecap_reg & ECAP_SCALABLE) || !(hardware->ecap_reg & ECAP_NESTING))
		return weir_fail(-EOPNOTSUPP, "this VT-d does not nest (ECAP is %#" PRIx64 ")",
				 hardware->ecap_reg);
	if (stage1->addr_width != 48 && stage1->addr_width != 57)
		return weir_fail(-ERANGE, "a first stage of VT-d has 48 or 57 address bits, not %u",
				 stage1->addr_width);
	if (stage1->addr_width == 57 && !(hardware->cap_reg & CAP_5_LEVELS))
		return weir_fail(-ERANGE, "this VT-d has no first stage of 5 levels (CAP is %#" PRIx64 ")",
				 hardware->cap_reg);
	if ((stage1->flags & ABI_IOMMU_VTD_S1_SRE) && !(hardware->ecap_reg & ECAP_SUPERVISOR))
		return weir_fail(-EINVAL, "this VT-d has no supervisor requests (SRE; ECAP is %#" PRIx64 ")",
				 hardware->ecap_reg);
	if ((stage1->flags & ABI_IOMMU_VTD_S1_EAFE) && !(hardware->ecap_reg & ECAP_EXT_ACCESS))
		return weir_fail(-EINVAL,
				 "this VT-d has no extended access flag (EAFE; ECAP is %#" PRIx64 ")",
				 hardware->ecap_reg);
	if (stage1->pgtbl_addr % PAGE)
		return weir_fail(-EINVAL, "the root %#" PRIx64 " is no multiple of %u", stage1->pgtbl_addr,
				 PAGE);
	return 0;
}

static int describe(const struct weir_hw_info *info, const struct weir_nested_opts *o,
		    struct weir_nested_data *ret_data)
{
	struct abi_iommu_hwpt_vtd_s1 stage1 = { .pgtbl_addr = o->root };
	struct abi_iommu_hw_info_vtd hardware;

	memcpy(&hardware, info->data, sizeof(hardware));
	if (o->data) {
		/* The kernel says what it does not like of another struct. */
		if (ret_data->type != ABI_IOMMU_HWPT_DATA_VTD_S1 || ret_data->len != sizeof(stage1))
			return 0;
		memcpy(&stage1, ret_data->bytes, sizeof(stage1));
		return check(&hardware, &stage1);
	}
	if (o->stage1 != WEIR_NESTED_TRANSLATE)
		return weir_fail(-EOPNOTSUPP,
				 "behind VT-d, a nested domain translates: it cannot bypass or abort");
	if (o->format != WEIR_STAGE1_X86_4 && o->format != WEIR_STAGE1_X86_5)
		return weir_fail_format(o->format, "VT-d", "it has those of x86");
	stage1.addr_width = o->format == WEIR_STAGE1_X86_4 ? 48 : 57;
	if (o->address_bits && o->address_bits != stage1.addr_width)
		return weir_fail(-ERANGE, "this format has %u address bits, not %u", stage1.addr_width,
				 o->address_bits);
	ret_data->type = ABI_IOMMU_HWPT_DATA_VTD_S1;
	ret_data->len = sizeof(stage1);
	memcpy(ret_data->bytes, &stage1, sizeof(stage1));
	return check(&hardware, &stage1);
}

static uint32_t largest_page(const struct weir_hw_info *info)
{
	struct abi_iommu_hw_info_vtd hardware;

	memcpy(&hardware, info->data, sizeof(hardware));
	return hardware.cap_reg & CAP_1_GIB ? 30 : 21;
}

/* Devices' own caches are the kernel's business, and there are no contexts to change. */
static uint32_t count(const struct weir_inval_target *target, const struct weir_inval_item *item)
{
	(void)target;
	return item->kind != WEIR_INVAL_CONTEXT;
}

static void command(const struct weir_inval_target *target, const struct weir_inval_item *item,
		    uint32_t number, void *ret_command)
{
	struct abi_iommu_hwpt_vtd_s1_invalidate entry = { .npages = UINT64_MAX };

	(void)target, (void)number;
	if (item->kind == WEIR_INVAL_RANGE && (item->iova || item->last != UINT64_MAX)) {
		entry.addr = item->iova;
		entry.npages = (item->last - item->iova) / PAGE + 1;
		entry.flags = item->flags & WEIR_INVAL_LEAF ? ABI_IOMMU_VTD_INV_FLAGS_LEAF : 0;
	}
	memcpy(ret_command, &entry, sizeof(entry));
}

const struct weir_vendor weir_vendor_vtd = {
	.kind = WEIR_IOMMU_VTD,
	.inval_type = ABI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
	.command_len = sizeof(struct abi_iommu_hwpt_vtd_s1_invalidate),
	.describe = describe,
	.largest_page = largest_page,
	.count = count,
	.command = command,
};
