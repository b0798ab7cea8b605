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
#include <stdbool.h>
#include <stdint.h>

#include "nvme/spec.h"

/*
 * A page of a list has 512 entries, and PRP entry 1 comes before it. With the worst offset, one byte in the last dword-aligned place of a page,
 * 2 MiB touch 513 pages: just that many. What is longer may take a list of several pages: where there is more to come, the last place of
 * a page has no entry but leads to the next page. The pages of one list follow each other, in memory and where the controller sees them.
 */
#define NVME_PRP_LIST_ENTRIES  (NVME_PAGE_SIZE / 8)
#define NVME_PRP_LIST_TRANSFER (NVME_PRP_LIST_ENTRIES * NVME_PAGE_SIZE)

/* 65536 blocks, which is what a command can name, of 512 bytes. */
#define NVME_PRP_MAX_TRANSFER (65536u * 512u)

/* Entries are written so many at a time: a list has room for a multiple of these, and what comes after the last that counts is noise. */
#define NVME_PRP_AT_ONCE 8

/* Two entries in one store. */
typedef uint64_t nvme_prp_pair __attribute__((vector_size(16)));

static inline nvme_prp_pair nvme_prp_le(nvme_prp_pair pair)
{
	return (nvme_prp_pair){ htole64(pair[0]), htole64(pair[1]) };
}

/* List the pages from @page to @last into @list, which is aligned to 64 bytes. */
static inline void nvme_prp_list(uint64_t page, uint64_t last, uint64_t *list)
{
	const nvme_prp_pair two = { 2ull * NVME_PAGE_SIZE, 2ull * NVME_PAGE_SIZE };
	nvme_prp_pair pages = { page, page + NVME_PAGE_SIZE };
	nvme_prp_pair *at = (nvme_prp_pair *)list;
	uint64_t left = (last - page) / NVME_PAGE_SIZE / NVME_PRP_AT_ONCE + 1;

	do {
		at[0] = nvme_prp_le(pages);
		pages += two;
		at[1] = nvme_prp_le(pages);
		pages += two;
		at[2] = nvme_prp_le(pages);
		pages += two;
		at[3] = nvme_prp_le(pages);
		pages += two;
		at += 4;
	} while (--left);
}

/* The same for a list of any number of pages, which the controller sees from @list_iova on. */
void nvme_prp_chain(uint64_t page, uint64_t last, uint64_t *list, uint64_t list_iova);

/* The bytes of a list for any @len bytes of data: whole pages if it is more than one. */
uint32_t nvme_prp_list_len(uint32_t len);

/*
 * PRP entry 2 for @len bytes at @iova, at most NVME_PRP_LIST_TRANSFER, that do not end in their first page, as a number. @list as above; it is
 * written only if it is needed.
 */
static inline uint64_t nvme_prp_second(uint64_t iova, uint32_t len, uint64_t *list, uint64_t list_iova)
{
	uint64_t page = (iova & ~(uint64_t)NVME_PAGE_MASK) + NVME_PAGE_SIZE;
	uint64_t last = (iova + len - 1) & ~(uint64_t)NVME_PAGE_MASK;

	if (page == last)
		return page;
	nvme_prp_list(page, last, list);
	return list_iova;
}

/* Whether @len bytes at @iova end in the page that they begin in. */
static inline bool nvme_prp_fits_one(uint64_t iova, uint32_t len)
{
	return ((uint32_t)iova & NVME_PAGE_MASK) + len <= NVME_PAGE_SIZE;
}

#endif
