/* SPDX-License-Identifier: MIT */
/*
 * What entries look like, format by format: values only, because all of them agree in the rest. Tables have 512 entries of 8 bytes; an
 * entry is an address and bits around it; bit 0 says that it is valid, and without it the rest means nothing to the hardware.
 */
#ifndef WEIR_STAGE1_FORMAT_H
#define WEIR_STAGE1_FORMAT_H

#include <stdbool.h>

#include <weir/stage1.h>

#define WEIR_ENTRY_VALID ((uint64_t)1)

struct weir_stage1_format_bits {
	const char *name;
	uint32_t address_bits, least_address_bits, output_bits;
	uint32_t levels;       /* 0: as many as the address bits need */
	uint32_t largest_page; /* bits, if nothing is said of it */
	bool canonical;        /* the topmost address bit is repeated above it */
	bool has_asid;
	bool break_before_make; /* a valid entry is never replaced by another for pages of another size */
	uint64_t address;       /* these bits of an entry are the address */
	uint64_t table;         /* bits of an entry that leads to a table */
	uint64_t page,
		block; /* of one for a page of the last level, or for a larger one; read and write come on top */
	uint64_t size_bits;              /* these bits tell a block from a table */
	uint64_t prot_bits, read, write; /* these bits tell what is allowed; their values */
};

/* NULL: there is no such format. */
const struct weir_stage1_format_bits *weir_stage1_format_bits(uint32_t format);

enum { WEIR_CONTEXT_WORDS = 8 };

/* The context descriptor of an SMMUv3, which leads to @root. */
void weir_stage1_context(uint64_t words[WEIR_CONTEXT_WORDS], uint64_t root, uint32_t address_bits,
			 uint32_t output_bits, uint32_t asid);

#endif
