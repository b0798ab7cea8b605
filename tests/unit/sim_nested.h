/* SPDX-License-Identifier: MIT */
/*
 * Nested page tables of a simulated machine, the tables written by hand: some memory ("the arena") lies in a nesting parent at
 * ARENA, for tables and for data; of the latter every page is filled with its number.
 */
#ifndef TESTS_UNIT_SIM_NESTED_H
#define TESTS_UNIT_SIM_NESTED_H

#include "sim_iommu.h"

#define GIB         ((uint64_t)1 << 30)
#define ARENA       (2 * GIB)
#define NO_LEAF     0
#define LEAVES_ONLY ABI_IOMMU_VTD_INV_FLAGS_LEAF

/* 4 MiB of data, aligned in stage 2 like a block, and then tables. */
enum { DATA_PAGES = 1024, TABLE_PAGES = 64 };

struct nest {
	struct board b;
	uint32_t parent;      /* the nesting parent */
	unsigned char *arena; /* in the process */
	uint32_t num_tables;  /* given out */
	unsigned int levels;
	uint64_t top;
};

struct nest new_nest(struct t *t, uint32_t iommu, unsigned int levels);
void nest_on(struct t *t, struct nest *nest); /* the board and the levels are there */

/* Where a page of data, or a new empty table, is in stage 2; and where in the process what is there. */
uint64_t data_at(uint32_t page);
uint64_t new_table(struct nest *nest);
uint64_t *entry_at(const struct nest *nest, uint64_t address);

/* x86-64: the entry for @iova that covers 2^shift bytes, tables being made on the way to it; where it is in the process. */
uint64_t *x86_entry(struct nest *nest, uint64_t iova, unsigned int shift);
void x86_map(struct nest *nest, uint64_t iova, uint64_t address, unsigned int shift);

#define X86_ENTRY(address) ((address) | 7)

/* A nested one of the table; -errno. And put the device on it. */
int vtd_nested(const struct nest *nest, const struct abi_iommu_hwpt_vtd_s1 *data, uint32_t len,
	       uint32_t *ret_hwpt);
uint32_t attached_vtd(struct t *t, const struct nest *nest);

/*
 * AArch64: the same, for 48 bits of addresses. A context descriptor for the table, in a page of its own: where it is. Stream id 5 stands
 * for the device on the virtual IOMMU.
 */
#define ARM_ENTRY(address) ((address) | 0xc43) /* not global, accessed, for the unprivileged, a page */
#define ARM_BLOCK          ((uint64_t)2)       /* is clear in one */
#define STREAM             5
uint64_t *arm_entry(struct nest *nest, uint64_t iova, unsigned int shift);
void arm_map(struct nest *nest, uint64_t iova, uint64_t address, unsigned int shift);
uint64_t new_cd(struct nest *nest, uint32_t asid);

/* A virtual IOMMU on the parent, and the device's number on it; a nested table of it; and the device put on that. */
uint32_t new_viommu(struct t *t, const struct nest *nest);
int vdevice_alloc(const struct nest *nest, uint32_t viommu, uint64_t virt_id, uint32_t *ret_vdevice);
int smmu_nested(const struct nest *nest, uint32_t viommu, const uint64_t ste[2], uint32_t len,
		uint32_t *ret_hwpt);
uint32_t attached_smmu(struct t *t, const struct nest *nest, uint32_t viommu, uint64_t cd);

/* Commands: of one address; of a device's descriptors. */
#define TLBI_VA(asid, va, leaf)                                                                              \
	{                                                                                                    \
		0x12 | (uint64_t)(asid) << 48, (va) | (leaf)                                                 \
	}
#define CFGI_CD(stream, ssid)                                                                                \
	{                                                                                                    \
		0x05 | (uint64_t)(ssid) << 12 | (uint64_t)(stream) << 32, 1                                  \
	}
int smmu_command(const struct nest *nest, uint32_t viommu, uint64_t word0, uint64_t word1);

int invalidate(const struct nest *nest, uint32_t id, uint32_t type, const void *entries, uint32_t entry_len,
	       uint32_t *num);
int invalidate_vtd(const struct nest *nest, uint32_t hwpt, uint64_t iova, uint64_t pages, uint32_t flags);

/* The number of the page of data that the device reads at @iova, or -errno; and write there. */
int page_at(const struct nest *nest, uint64_t iova);
int write_at(const struct nest *nest, uint64_t iova);

#endif
