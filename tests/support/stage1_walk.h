/* SPDX-License-Identifier: MIT */
/*
 * Walks first-stage tables as the architectures' manuals say that an IOMMU does (VT-d "First-Stage Translation", Arm ARM "VMSAv8-64" and SMMUv3 "Context
 * Descriptor"), on the hardest hardware that there may be: which writes no accessed or dirty bits, faults on any bit that may be
 * reserved, and knows no pages larger than it is told. Shares nothing with the library.
 */
#ifndef TESTS_SUPPORT_STAGE1_WALK_H
#define TESTS_SUPPORT_STAGE1_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct walker {
	bool arm;
	unsigned int levels;  /* x86 */
	unsigned int largest; /* x86: bits of the largest pages that the hardware has */
	uint64_t root;        /* x86: of the first table; ARM: of the context descriptor */
	const uint64_t *(*at)(void *ctx, uint64_t ipa); /* the 4096 bytes there; NULL: nothing is mapped */
	void *ctx;
	const char *complaint; /* NULL: none so far */
	uint64_t table;        /* that was read last, and what is there */
	const uint64_t *words;
};

/* A page, of whatever size. */
struct walk_page {
	uint64_t iova, ipa, size;
	bool writes;
};

/* What a device's access to @iova meets. False: a fault. */
bool walk_one(struct walker *walker, uint64_t iova, struct walk_page *ret_page);

/* Every page there is, in the order of IOVAs as the tables have them. */
void walk_all(struct walker *walker, void (*visit)(void *ctx, const struct walk_page *page), void *ctx);

/* The context descriptor's address space id. */
uint16_t walk_asid(struct walker *walker);

#endif
