// SPDX-License-Identifier: MIT
/* Which kind of IOMMU it is, and what all kinds do alike. */
#include "domain/vendor.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "kernel/iommufd_abi.h"
#include "kernel/iommufd_test_abi.h"

/* IOMMUs that weir has no format for; the program may have. */
static int describe_amd(const struct weir_hw_info *info, const struct weir_nested_opts *o,
			struct weir_nested_data *ret_data)
{
	(void)info, (void)o, (void)ret_data;
	return weir_fail(-EOPNOTSUPP,
			 "the kernel (up to Linux 7.2) does not nest behind an AMD IOMMU; for one that does, "
			 "give data of type %u",
			 ABI_IOMMU_HWPT_DATA_AMD_GUEST);
}

static int describe_unknown(const struct weir_hw_info *info, const struct weir_nested_opts *o,
			    struct weir_nested_data *ret_data)
{
	(void)o, (void)ret_data;
	if (info->type == ABI_IOMMU_HW_INFO_TYPE_NONE)
		return weir_fail(-EOPNOTSUPP, "the kernel does not say what IOMMU this is: it does not nest");
	return weir_fail(-EOPNOTSUPP, "weir does not know IOMMUs of type %#x", info->type);
}

static const struct weir_vendor amd = { .kind = WEIR_IOMMU_AMD, .describe = describe_amd };
static const struct weir_vendor unknown = { .kind = WEIR_IOMMU_UNKNOWN, .describe = describe_unknown };

const struct weir_vendor *weir_vendor_of(uint32_t hw_info_type, uint64_t stream)
{
	switch (hw_info_type) {
	case ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD:
		return &weir_vendor_vtd;
	case ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3:
		return &weir_vendor_smmuv3;
	case ABI_IOMMU_HW_INFO_TYPE_AMD:
		return &amd;
	case ABI_IOMMU_HW_INFO_TYPE_SELFTEST:
		return stream ? &weir_vendor_mock_viommu : &weir_vendor_mock;
	default:
		return &unknown;
	}
}

static bool counts(const struct weir_attachment *attachment)
{
	return attachment->pasid == WEIR_NO_PASID && !attachment->blocked && attachment->function->vdevice;
}

uint32_t weir_target_num_functions(const struct weir_inval_target *target)
{
	uint32_t num = 0;

	for (const struct weir_attachment *a = target->table->attached; a; a = a->beside)
		num += counts(a);
	return num;
}

const struct weir_function *weir_target_function(const struct weir_inval_target *target, uint32_t number)
{
	const struct weir_attachment *attachment = target->table->attached;

	while (!counts(attachment) || number--)
		attachment = attachment->beside;
	return attachment->function;
}

int weir_fail_format(uint32_t format, const char *iommu, const char *has)
{
	static const char *const names[] = { "none", "x86, 4 levels", "x86, 5 levels", "AArch64, 4 KiB",
					     "the mock's" };

	if (format >= sizeof(names) / sizeof(names[0]) || !format)
		return weir_fail(-EINVAL, "there is no format of a first stage number %u", format);
	return weir_fail(-EOPNOTSUPP, "%s has no first stage in the format \"%s\": %s", iommu, names[format],
			 has);
}
