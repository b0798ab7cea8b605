// SPDX-License-Identifier: MIT
/* Nested page tables of either kind, written by hand. */
#include "conformance/raw/nested.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/os.h"

/* Behind the data: the four tables of a way down, a spare one, a context descriptor, and where the device writes. */
enum { TOP = NEST_PAGES, UPPER, DIRECTORY, LEAVES, SPARE, CONTEXT, LANDING, ALL_PAGES };

static bool is_arm(const struct nest *nest)
{
	return nest->type == ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
}

static uint64_t ipa_of(uint32_t number)
{
	return NEST_DATA + (uint64_t)number * PAGE;
}

static uint64_t *page_of(const struct nest *nest, uint32_t number)
{
	return (uint64_t *)(nest->memory + (size_t)number * PAGE);
}

/* What nests --------------------------------------------------------------------------------------------- */

static uint32_t hw_type(int iommufd, uint32_t dev_id)
{
	struct abi_iommu_hw_info *info = COMMAND(abi_iommu_hw_info, .dev_id = dev_id);

	return os_sys()->ioctl(os_sys()->ctx, iommufd, ABI_IOMMU_GET_HW_INFO, info) ? 0 : info->out_data_type;
}

/* Whether the kernel makes a parent, and for Arm's a virtual IOMMU on it. */
static bool can_nest(int iommufd, uint32_t dev_id, uint32_t type)
{
	const struct weir_sys *sys = os_sys();
	struct abi_iommu_ioas_alloc *ioas = COMMAND(abi_iommu_ioas_alloc);
	struct abi_iommu_hwpt_alloc *hwpt =
		COMMAND(abi_iommu_hwpt_alloc, .dev_id = dev_id, .flags = ABI_IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct abi_iommu_viommu_alloc *viommu =
		COMMAND(abi_iommu_viommu_alloc, .dev_id = dev_id, .type = ABI_IOMMU_VIOMMU_TYPE_ARM_SMMUV3);

	if (sys->ioctl(sys->ctx, iommufd, ABI_IOMMU_IOAS_ALLOC, ioas))
		return false;
	hwpt->pt_id = ioas->out_ioas_id;
	if (sys->ioctl(sys->ctx, iommufd, ABI_IOMMU_HWPT_ALLOC, hwpt))
		return false;
	viommu->hwpt_id = hwpt->out_hwpt_id;
	return type == ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD ||
	       (type == ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3 &&
		!sys->ioctl(sys->ctx, iommufd, ABI_IOMMU_VIOMMU_ALLOC, viommu));
}

static int open_edu(void)
{
	const char *address = getenv("WEIR_DEVICE_EDU0");
	char dir[128], name[64], path[96];

	if (!address)
		return -1;
	snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%s/vfio-dev", address);
	os_find_entry(dir, "vfio", name, sizeof(name));
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	return *name ? os_open(path, O_RDWR) : -1;
}

static uint32_t try_nesting(void)
{
	const struct weir_sys *sys = os_sys();
	int iommufd = os_open("/dev/iommu", O_RDWR), edu = open_edu();
	struct abi_vfio_device_bind_iommufd *bind = ARGS(abi_vfio_device_bind_iommufd, .iommufd = iommufd);
	uint32_t type = 0;

	if (iommufd >= 0 && edu >= 0 && !sys->ioctl(sys->ctx, edu, ABI_VFIO_DEVICE_BIND_IOMMUFD, bind)) {
		type = hw_type(iommufd, bind->out_devid);
		type = can_nest(iommufd, bind->out_devid, type) ? type : 0;
	}
	if (edu >= 0)
		sys->close(sys->ctx, edu);
	if (iommufd >= 0)
		sys->close(sys->ctx, iommufd);
	return type;
}

uint32_t nesting_of(struct t *t)
{
	static const struct t_host *host;
	static uint32_t type;

	if (host != t->host)
		type = try_nesting();
	host = t->host;
	return type;
}

/* Tables ------------------------------------------------------------------------------------------------- */

static uint64_t table_entry(const struct nest *nest, uint32_t number)
{
	return ipa_of(number) | (is_arm(nest) ? 3 : 7);
}

/* Arm: a page, for the unprivileged, accessed, not global. x86: present, writable, for users. */
static uint64_t leaf_entry(const struct nest *nest, uint32_t number)
{
	return ipa_of(number) | (is_arm(nest) ? 0xc43 : 7);
}

uint64_t *nest_entry(const struct nest *nest, uint32_t page)
{
	return page_of(nest, LEAVES) + page;
}

void nest_map(const struct nest *nest, uint32_t page, uint32_t data)
{
	*nest_entry(nest, page) = leaf_entry(nest, data);
}

uint64_t *nest_directory(const struct nest *nest)
{
	return page_of(nest, DIRECTORY);
}

uint64_t nest_copy_leaves(const struct nest *nest, uint64_t **ret_entries)
{
	*ret_entries = page_of(nest, SPARE);
	memcpy(*ret_entries, page_of(nest, LEAVES), PAGE);
	return table_entry(nest, SPARE);
}

/* T0SZ 16, inner and outer write-back, shared; no upper half; valid; 48 bits out; AArch64; faults recorded and ended. */
static void fill_context(const struct nest *nest)
{
	uint64_t *cd = page_of(nest, CONTEXT);

	cd[0] = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 1u << 30 | 1u << 31 | (uint64_t)5 << 32 |
		(uint64_t)1 << 41 | (uint64_t)3 << 45 | (uint64_t)1 << 47 | (uint64_t)NEST_ASID << 48;
	cd[1] = ipa_of(TOP);
	cd[3] = 0xff;
}

static void fill(const struct nest *nest)
{
	for (uint32_t i = 0; i < NEST_PAGES; i++)
		*page_of(nest, i) = i + 1;
	for (uint32_t table = TOP; table < LEAVES; table++)
		*page_of(nest, table) = table_entry(nest, table + 1);
	for (uint32_t i = 0; i < NEST_PAGES; i++)
		nest_map(nest, i, i);
	nest_map(nest, NEST_LANDING, LANDING);
	if (is_arm(nest))
		fill_context(nest);
}

/* Making them -------------------------------------------------------------------------------------------- */

static uint32_t alloc_nested(struct t *t, const struct nest *nest, uint32_t on, uint32_t type,
			     const void *data, uint32_t len)
{
	struct abi_iommu_hwpt_alloc *alloc =
		COMMAND(abi_iommu_hwpt_alloc, .dev_id = nest->edu.id, .pt_id = on, .data_type = type,
			.data_len = len, .data_uptr = (uintptr_t)data);

	ASSERT_OK(raw_ioctl(t, nest->iommufd, ABI_IOMMU_HWPT_ALLOC, alloc));
	return alloc->out_hwpt_id;
}

static void nest_vtd(struct t *t, struct nest *nest)
{
	struct abi_iommu_hwpt_vtd_s1 data = { .pgtbl_addr = ipa_of(TOP), .addr_width = 48 };

	nest->hwpt = alloc_nested(t, nest, nest->parent, ABI_IOMMU_HWPT_DATA_VTD_S1, &data, sizeof(data));
	nest->invalidated = nest->hwpt;
}

static void nest_smmuv3(struct t *t, struct nest *nest)
{
	struct abi_iommu_hwpt_arm_smmuv3 data = { .ste = { 1 | 5 << 1 | ipa_of(CONTEXT), 0 } };
	struct abi_iommu_viommu_alloc *viommu =
		COMMAND(abi_iommu_viommu_alloc, .type = ABI_IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
			.dev_id = nest->edu.id, .hwpt_id = nest->parent);
	struct abi_iommu_vdevice_alloc *vdevice =
		COMMAND(abi_iommu_vdevice_alloc, .dev_id = nest->edu.id, .virt_id = NEST_STREAM);

	ASSERT_OK(raw_ioctl(t, nest->iommufd, ABI_IOMMU_VIOMMU_ALLOC, viommu));
	nest->viommu = nest->invalidated = vdevice->viommu_id = viommu->out_viommu_id;
	ASSERT_OK(raw_ioctl(t, nest->iommufd, ABI_IOMMU_VDEVICE_ALLOC, vdevice));
	nest->vdevice = vdevice->out_vdevice_id;
	nest->hwpt = alloc_nested(t, nest, nest->viommu, ABI_IOMMU_HWPT_DATA_ARM_SMMUV3, &data, sizeof(data));
}

struct nest new_nest(struct t *t)
{
	struct nest nest = { .type = nesting_of(t), .iommufd = new_iommufd(t) };
	uint32_t pt_id;

	nest.edu = new_bound(t, nest.iommufd, "EDU0");
	nest.ioas = raw_ioas(t, nest.iommufd);
	nest.memory = new_memory(t, (size_t)ALL_PAGES * PAGE, 0);
	fill(&nest);
	ASSERT_OK(raw_hwpt_alloc(t, nest.iommufd, nest.edu.id, nest.ioas, ABI_IOMMU_HWPT_ALLOC_NEST_PARENT,
				 &nest.parent));
	ASSERT_OK(raw_map(t, nest.iommufd, nest.ioas, (uintptr_t)nest.memory, (uint64_t)ALL_PAGES * PAGE,
			  NEST_DATA));
	if (is_arm(&nest))
		nest_smmuv3(t, &nest);
	else
		nest_vtd(t, &nest);
	pt_id = nest.hwpt;
	ASSERT_OK(raw_attach(t, nest.edu.fd, &pt_id));
	return nest;
}

/* Using them --------------------------------------------------------------------------------------------- */

int nest_read(struct t *t, const struct nest *nest, uint32_t page)
{
	uint64_t *landing = page_of(nest, LANDING);
	const uint64_t nothing = UINT64_MAX;

	/* What the device cannot read leaves its buffer as it was, which is known, or makes it zero. */
	*landing = nothing;
	raw_dma(t, nest->edu.fd, (uint64_t)NEST_LANDING * PAGE, (uint64_t)NEST_LANDING * PAGE, 8);
	raw_dma(t, nest->edu.fd, (uint64_t)page * PAGE, (uint64_t)NEST_LANDING * PAGE, 8);
	return *landing == nothing ? -1 : (int)*landing - 1;
}

int nest_invalidate(struct t *t, const struct nest *nest, const union nest_entry *entries, uint32_t *num)
{
	unsigned char packed[256 * sizeof(*entries)];
	uint32_t len = is_arm(nest) ? sizeof(entries->smmuv3) : sizeof(entries->vtd);
	struct abi_iommu_hwpt_invalidate *cmd =
		COMMAND(abi_iommu_hwpt_invalidate, .hwpt_id = nest->invalidated,
			.data_uptr = (uintptr_t)packed, .entry_len = len, .entry_num = *num,
			.data_type = is_arm(nest) ? ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3
						  : ABI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1);
	int error;

	ASSERT_LE(*num, 256);
	for (uint32_t i = 0; i < *num; i++)
		memcpy(packed + (size_t)i * len, &entries[i], len);
	error = raw_ioctl(t, nest->iommufd, ABI_IOMMU_HWPT_INVALIDATE, cmd);
	*num = cmd->entry_num;
	return error;
}

static union nest_entry entry_for(const struct nest *nest, uint32_t page, bool leaf)
{
	enum { TLBI_NH_VA = 0x12 };
	uint64_t iova = (uint64_t)page * PAGE;
	union nest_entry entry;

	memset(&entry, 0, sizeof(entry));
	if (is_arm(nest))
		entry.smmuv3 = (struct abi_iommu_viommu_arm_smmuv3_invalidate){
			{ TLBI_NH_VA | (uint64_t)NEST_ASID << 48, iova | leaf }
		};
	else
		entry.vtd = (struct abi_iommu_hwpt_vtd_s1_invalidate){
			.addr = iova, .npages = 1, .flags = leaf ? ABI_IOMMU_VTD_INV_FLAGS_LEAF : 0
		};
	return entry;
}

union nest_entry nest_leaf(const struct nest *nest, uint32_t page)
{
	return entry_for(nest, page, true);
}

union nest_entry nest_walk(const struct nest *nest, uint32_t page)
{
	return entry_for(nest, page, false);
}
