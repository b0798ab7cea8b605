/* SPDX-License-Identifier: MIT */
/* Lists of more than a page (Base 2.0, 4.1.1). */
#include "nvme/prp.h"

/*
 * The place that leads on is stored each time, not once for all: data that just fills a page of the list has an entry there. That is one store
 * in 512.
 */
void nvme_prp_chain(uint64_t page, uint64_t last, uint64_t *list, uint64_t list_iova)
{
	while ((last - page) / NVME_PAGE_SIZE >= NVME_PRP_LIST_ENTRIES) {
		nvme_prp_list(page, page + (uint64_t)(NVME_PRP_LIST_ENTRIES - 1) * NVME_PAGE_SIZE, list);
		page += (uint64_t)(NVME_PRP_LIST_ENTRIES - 1) * NVME_PAGE_SIZE;
		list += NVME_PRP_LIST_ENTRIES;
		list_iova += NVME_PAGE_SIZE;
		list[-1] = htole64(list_iova);
	}
	nvme_prp_list(page, last, list);
}

/* With the worst offset there are as many entries as @len has pages. Each page of a list but the last has one less than there are places. */
uint32_t nvme_prp_list_len(uint32_t len)
{
	uint32_t entries = (len + NVME_PAGE_MASK) / NVME_PAGE_SIZE, lists = 1;

	if (entries > NVME_PRP_LIST_ENTRIES)
		lists = 1 + (entries - 2) / (NVME_PRP_LIST_ENTRIES - 1);
	return lists == 1 ? entries * 8 : lists * NVME_PAGE_SIZE;
}
