// SPDX-License-Identifier: MIT
#include "stage1/format.h"

#include <stddef.h>

#define BIT(n) ((uint64_t)1 << (n))

/*
 * VT-d, first stage ("First-Stage Paging Entries"). Accessed and dirty are set from the beginning, so that hardware has nothing to write
 * here, whether it would or not. Requests are a user's unless the device says otherwise. Bits of no use to devices (global, execute-disable, which
 * needs another bit elsewhere) are 0.
 */
enum {
	X86_PRESENT = 1 << 0,
	X86_WRITE = 1 << 1,
	X86_USER = 1 << 2,
	X86_ACCESSED = 1 << 5,
	X86_DIRTY = 1 << 6,
	X86_LARGE = 1 << 7,
};

#define X86_BITS                                                                                             \
	.least_address_bits = 13, .output_bits = 52, .largest_page = 21, .canonical = true,                  \
	.address = 0x000ffffffffff000, .table = X86_PRESENT | X86_WRITE | X86_USER | X86_ACCESSED,           \
	.page = X86_PRESENT | X86_USER | X86_ACCESSED,                                                       \
	.block = X86_PRESENT | X86_USER | X86_ACCESSED | X86_LARGE, .size_bits = X86_LARGE,                  \
	.prot_bits = X86_WRITE | X86_DIRTY, .read = 0, .write = X86_WRITE | X86_DIRTY

/* Arm ARM, "VMSAv8-64 descriptors", stage 1. Attributes are number 0 of the context descriptor's. */
enum {
	ARM_VALID = 1 << 0,
	ARM_TABLE = 1 << 1, /* on the last level: a page */
	ARM_USER = 1 << 6,
	ARM_READ_ONLY = 1 << 7,
	ARM_INNER_SHAREABLE = 3 << 8,
	ARM_ACCESSED = 1 << 10,
	ARM_NOT_GLOBAL = 1 << 11,
	ARM_LEAF = ARM_VALID | ARM_USER | ARM_INNER_SHAREABLE | ARM_ACCESSED | ARM_NOT_GLOBAL,
};

static const struct weir_stage1_format_bits formats[] = {
	[WEIR_STAGE1_X86_4] = { .name = "x86-64 with 4 levels", .address_bits = 48, .levels = 4, X86_BITS },
	[WEIR_STAGE1_X86_5] = { .name = "x86-64 with 5 levels", .address_bits = 57, .levels = 5, X86_BITS },
	[WEIR_STAGE1_ARM64_4K] = { .name = "AArch64 with 4 KiB pages",
				   .address_bits = 48,
				   .least_address_bits = 25, /* T0SZ is at most 39 */
				   .output_bits = 48,
				   .largest_page = 30,
				   .has_asid = true,
				   .break_before_make = true,
				   .address = 0x0000fffffffff000,
				   .table = ARM_VALID | ARM_TABLE,
				   .page = ARM_LEAF | ARM_TABLE,
				   .block = ARM_LEAF,
				   .size_bits = ARM_TABLE,
				   .prot_bits = ARM_READ_ONLY,
				   .read = ARM_READ_ONLY,
				   .write = 0 },
	[WEIR_STAGE1_MOCK] = { .name = "the mock's", .address_bits = 48, .levels = 4, X86_BITS },
};

const struct weir_stage1_format_bits *weir_stage1_format_bits(uint32_t format)
{
	if (format >= sizeof(formats) / sizeof(formats[0]) || !formats[format].name)
		return NULL;
	return &formats[format];
}

/* Intermediate address sizes that can be named, from IPS 0 on. */
static uint64_t output_size(uint32_t bits)
{
	static const uint32_t sizes[] = { 32, 36, 40, 42, 44, 48 };
	uint64_t i = 0;

	while (sizes[i] < bits)
		i++;
	return i;
}

/*
 * SMMUv3, "Context Descriptor". The walk reads cacheable, inner shareable memory, as this process writes it. TTB1 is not used (EPD1). The
 * access flag is set in all entries; so HA and HD are 0, as they must be for hardware without them. What fails is aborted and recorded.
 */
void weir_stage1_context(uint64_t words[WEIR_CONTEXT_WORDS], uint64_t root, uint32_t address_bits,
			 uint32_t output_bits, uint32_t asid)
{
	const uint64_t t0sz = 64 - address_bits, write_back = 1, inner_shareable = 3;

	for (int i = 0; i < WEIR_CONTEXT_WORDS; i++)
		words[i] = 0;
	words[0] = t0sz | write_back << 8 /* IR0 */ | write_back << 10 /* OR0 */ |
		   inner_shareable << 12 /* SH0 */ | BIT(30) /* EPD1 */ | BIT(31) /* V */ |
		   output_size(output_bits) << 32 /* IPS */ | BIT(41) /* AA64 */ | BIT(45) /* R */ |
		   BIT(46) /* A */ | BIT(47) /* ASET */ | (uint64_t)asid << 48;
	words[1] = root;
	words[3] = 0xff; /* MAIR: attributes 0 are normal memory, write back, allocating */
}
