// SPDX-License-Identifier: MIT
/* Nested page tables of a simulated machine. */
#include "sim_nested.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { ARENA_PAGES = DATA_PAGES + TABLE_PAGES, PAGE_SHIFT = 12, INDEX_BITS = 9 };

static void fill(unsigned char *arena)
{
	for (uint32_t page = 0; page < DATA_PAGES; page++)
		for (uint32_t i = 0; i < PAGE / sizeof(page); i++)
			memcpy(arena + (uint64_t)page * PAGE + i * sizeof(page), &page, sizeof(page));
}

static uint32_t new_parent(struct t *t, const struct board *b)
{
	union cmd cmd = {
		.hwpt = { .dev_id = b->dev_id, .pt_id = b->ioas, .flags = ABI_IOMMU_HWPT_ALLOC_NEST_PARENT }
	};

	(void)t;
	ASSERT_OK(command(b->sim, b->iommufd, 0x89, &cmd));
	return cmd.hwpt.out_hwpt_id;
}

void nest_on(struct t *t, struct nest *nest)
{
	const struct board *b = &nest->b;

	nest->arena = new_memory(t, (size_t)ARENA_PAGES * PAGE);
	fill(nest->arena);
	ASSERT_OK(map_at(b->sim, b->iommufd, b->ioas, nest->arena, (uint64_t)ARENA_PAGES * PAGE, ARENA));
	nest->parent = new_parent(t, b);
	nest->top = new_table(nest);
}

struct nest new_nest(struct t *t, uint32_t iommu, unsigned int levels)
{
	struct nest nest = { .levels = levels };

	nest.b = new_board_on(t, &WEIR_OPTS(weir_sim_opts, .iommu = iommu), NULL);
	nest_on(t, &nest);
	return nest;
}

uint64_t data_at(uint32_t page)
{
	return ARENA + (uint64_t)page * PAGE;
}

uint64_t new_table(struct nest *nest)
{
	ASSERT_LT(nest->num_tables, TABLE_PAGES);
	return data_at(DATA_PAGES + nest->num_tables++);
}

uint64_t *entry_at(const struct nest *nest, uint64_t address)
{
	return (uint64_t *)(nest->arena + (address - ARENA));
}

uint64_t *x86_entry(struct nest *nest, uint64_t iova, unsigned int shift)
{
	unsigned int at = PAGE_SHIFT + INDEX_BITS * (nest->levels - 1);
	uint64_t table = nest->top;

	for (;; at -= INDEX_BITS) {
		uint64_t *entry = entry_at(nest, table) + (iova >> at) % (1 << INDEX_BITS);

		if (at == shift)
			return entry;
		if (!*entry)
			*entry = X86_ENTRY(new_table(nest));
		table = *entry & 0x000ffffffffff000;
	}
}

void x86_map(struct nest *nest, uint64_t iova, uint64_t address, unsigned int shift)
{
	*x86_entry(nest, iova, shift) = X86_ENTRY(address) | (shift > PAGE_SHIFT ? 1 << 7 : 0);
}

int vtd_nested(const struct nest *nest, const struct abi_iommu_hwpt_vtd_s1 *data, uint32_t len,
	       uint32_t *ret_hwpt)
{
	union cmd cmd = { .hwpt = { .dev_id = nest->b.dev_id,
				    .pt_id = nest->parent,
				    .data_type = ABI_IOMMU_HWPT_DATA_VTD_S1,
				    .data_len = len,
				    .data_uptr = (uintptr_t)data } };
	int error = command(nest->b.sim, nest->b.iommufd, 0x89, &cmd);

	*ret_hwpt = cmd.hwpt.out_hwpt_id;
	return error;
}

uint32_t attached_vtd(struct t *t, const struct nest *nest)
{
	struct abi_iommu_hwpt_vtd_s1 data = { .pgtbl_addr = nest->top,
					      .addr_width = nest->levels == 5 ? 57 : 48 };
	uint32_t hwpt;

	(void)t;
	ASSERT_OK(vtd_nested(nest, &data, sizeof(data), &hwpt));
	ASSERT_OK(attach_to(nest->b.sim, nest->b.cdev, hwpt));
	return hwpt;
}

/* SMMUv3 -------------------------------------------------------------------------------------------------- */

uint64_t *arm_entry(struct nest *nest, uint64_t iova, unsigned int shift)
{
	unsigned int at = PAGE_SHIFT + 3 * INDEX_BITS;
	uint64_t table = nest->top;

	for (;; at -= INDEX_BITS) {
		uint64_t *entry = entry_at(nest, table) + (iova >> at) % (1 << INDEX_BITS);

		if (at == shift)
			return entry;
		if (!*entry)
			*entry = new_table(nest) | 3;
		table = *entry & 0x0000fffffffff000;
	}
}

void arm_map(struct nest *nest, uint64_t iova, uint64_t address, unsigned int shift)
{
	*arm_entry(nest, iova, shift) = ARM_ENTRY(address) & ~(shift > PAGE_SHIFT ? ARM_BLOCK : 0);
}

/* V, AA64, R, A; T0SZ 16, EPD1, IPS of 48 bits. */
uint64_t new_cd(struct nest *nest, uint32_t asid)
{
	uint64_t at = new_table(nest), *cd = entry_at(nest, at);

	cd[0] = 16 | 1u << 30 | 1u << 31 | (uint64_t)5 << 32 | (uint64_t)1 << 41 | (uint64_t)3 << 45 |
		(uint64_t)asid << 48;
	cd[1] = nest->top;
	return at;
}

int vdevice_alloc(const struct nest *nest, uint32_t viommu, uint64_t virt_id, uint32_t *ret_vdevice)
{
	union cmd cmd = { .vdevice = { .viommu_id = viommu, .dev_id = nest->b.dev_id, .virt_id = virt_id } };
	int error = command(nest->b.sim, nest->b.iommufd, 0x91, &cmd);

	*ret_vdevice = cmd.vdevice.out_vdevice_id;
	return error;
}

uint32_t new_viommu(struct t *t, const struct nest *nest)
{
	union cmd cmd = { .viommu = { .type = ABI_IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
				      .dev_id = nest->b.dev_id,
				      .hwpt_id = nest->parent } };
	uint32_t vdevice;

	(void)t;
	ASSERT_OK(command(nest->b.sim, nest->b.iommufd, 0x90, &cmd));
	ASSERT_OK(vdevice_alloc(nest, cmd.viommu.out_viommu_id, STREAM, &vdevice));
	return cmd.viommu.out_viommu_id;
}

int smmu_nested(const struct nest *nest, uint32_t viommu, const uint64_t ste[2], uint32_t len,
		uint32_t *ret_hwpt)
{
	union cmd cmd = { .hwpt = { .dev_id = nest->b.dev_id,
				    .pt_id = viommu,
				    .data_type = ABI_IOMMU_HWPT_DATA_ARM_SMMUV3,
				    .data_len = len,
				    .data_uptr = (uintptr_t)ste } };
	int error = command(nest->b.sim, nest->b.iommufd, 0x89, &cmd);

	*ret_hwpt = cmd.hwpt.out_hwpt_id;
	return error;
}

uint32_t attached_smmu(struct t *t, const struct nest *nest, uint32_t viommu, uint64_t cd)
{
	uint64_t ste[2] = { 1 | 5 << 1 | cd, 0 };
	uint32_t hwpt;

	(void)t;
	ASSERT_OK(smmu_nested(nest, viommu, ste, sizeof(ste), &hwpt));
	ASSERT_OK(attach_to(nest->b.sim, nest->b.cdev, hwpt));
	return hwpt;
}

int smmu_command(const struct nest *nest, uint32_t viommu, uint64_t word0, uint64_t word1)
{
	uint64_t words[2] = { word0, word1 };
	uint32_t num = 1;

	return invalidate(nest, viommu, ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3, words, sizeof(words),
			  &num);
}

/* Both ---------------------------------------------------------------------------------------------------- */

int invalidate(const struct nest *nest, uint32_t id, uint32_t type, const void *entries, uint32_t entry_len,
	       uint32_t *num)
{
	union cmd cmd = { .invalidate = { .hwpt_id = id,
					  .data_type = type,
					  .data_uptr = (uintptr_t)entries,
					  .entry_len = entry_len,
					  .entry_num = *num } };
	int error = command(nest->b.sim, nest->b.iommufd, 0x8d, &cmd);

	*num = cmd.invalidate.entry_num;
	return error;
}

int invalidate_vtd(const struct nest *nest, uint32_t hwpt, uint64_t iova, uint64_t pages, uint32_t flags)
{
	struct abi_iommu_hwpt_vtd_s1_invalidate entry = { .addr = iova, .npages = pages, .flags = flags };
	uint32_t num = 1;
	int error =
		invalidate(nest, hwpt, ABI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1, &entry, sizeof(entry), &num);

	EXPECT_EQ(num, error ? 0 : 1);
	return error;
}

int page_at(const struct nest *nest, uint64_t iova)
{
	int page = 0, error = weir_sim_device_dma_read(nest->b.device, iova, &page, sizeof(page));

	return error ? error : page;
}

int write_at(const struct nest *nest, uint64_t iova)
{
	return weir_sim_device_dma_write(nest->b.device, iova, "x", 1);
}
