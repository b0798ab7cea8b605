/* SPDX-License-Identifier: MIT */
/*
 * Physical region pages: how a command says where its data is (Base 2.0, 4.1.1). Internal.
 *
 * PRP entry 1 points at the first byte and covers the rest of its page. What lies beyond it is one page, then
 * PRP entry 2 points at it; or more, then PRP entry 2 points at a list of pages. Pages are 4 KiB (CC.MPS =
 * 0). Only the first pointer may have an offset into its page.
 */
#ifndef NVME_PRP_H
#define NVME_PRP_H

#include <endian.h>
#include <stdint.h>

#include "nvme/spec.h"

/*
 * A list is one page, not chained: 512 entries, and PRP entry 1 before it. With the worst offset, one byte in
 * the last dword-aligned place of a page, 2 MiB touch 513 pages: just that many.
 */
#define NVME_PRP_LIST_ENTRIES (NVME_PAGE_SIZE / 8)
#define NVME_PRP_MAX_TRANSFER (NVME_PRP_LIST_ENTRIES * NVME_PAGE_SIZE)

/* PRP entries 1 and 2, in the controller's byte order. */
struct nvme_prp {
	uint64_t entry1;
	uint64_t entry2;
};

/*
 * Describe @len bytes (1 to NVME_PRP_MAX_TRANSFER) at @iova, a multiple of 4. @list is the command's page for
 * a list, which the controller sees at @list_iova; it is written only if the data needs a list.
 */
static inline struct nvme_prp nvme_prp_build(uint64_t iova, uint32_t len, uint64_t *list, uint64_t list_iova)
{
	struct nvme_prp prp = { .entry1 = htole64(iova), .entry2 = 0 };
	uint32_t first = NVME_PAGE_SIZE - ((uint32_t)iova & NVME_PAGE_MASK);
	uint64_t page = (iova & ~(uint64_t)NVME_PAGE_MASK) + NVME_PAGE_SIZE;
	uint64_t last;

	if (len <= first)
		return prp;
	if (len - first <= NVME_PAGE_SIZE) {
		prp.entry2 = htole64(page);
		return prp;
	}
	prp.entry2 = htole64(list_iova);
	last = (iova + len - 1) & ~(uint64_t)NVME_PAGE_MASK;
	for (; page != last; page += NVME_PAGE_SIZE)
		*list++ = htole64(page);
	*list = htole64(page);
	return prp;
}

#endif
