// SPDX-License-Identifier: MIT
/* An IOMMU page table, and a cache of translations in front of it. */
#include "sim/iommu/domain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/device/device.h"
#include "sim/iommu/stage1.h"

/* Arm's is where the kernel puts the doorbell of the interrupt controller into page tables (IOMMU_RESV_SW_MSI). */
const struct sim_window *sim_windows(const struct weir_sim *sim)
{
	static const struct sim_window windows[SIM_NUM_WINDOWS] = { { 0xfee00000, 0xfeefffff, "msi" } };
	static const struct sim_window of_arm[SIM_NUM_WINDOWS] = { { 0x08000000, 0x080fffff, "msi" } };

	return sim->iommu == WEIR_SIM_IOMMU_SMMUV3 ? of_arm : windows;
}

bool sim_is_window(const struct weir_sim *sim, uint64_t iova)
{
	const struct sim_window *windows = sim_windows(sim);

	for (size_t i = 0; i < SIM_NUM_WINDOWS; i++)
		if (iova >= windows[i].start && iova <= windows[i].last)
			return true;
	return false;
}

struct entry {
	struct weir_tree_node node; /* key: IOVA */
	uint64_t len;
	struct sim_pages *pages;
	uint64_t offset;
	uint32_t prot;
};

/* As hardware has it: a page can be in any way of one set; the ways are used in turn. */
enum { SETS = 64, WAYS = 4 };

struct sim_tlb {
	struct set {
		struct way {
			uint64_t page; /* the I/O page's number, + 1; 0: nothing is here */
			struct sim_translation translation;
		} ways[WAYS];
		uint32_t next;
	} sets[SETS];
};

static struct entry *entry_of(struct weir_tree_node *node)
{
	return (struct entry *)node; /* it comes first */
}

static uint64_t last_of(const struct entry *entry)
{
	return entry->node.key + (entry->len - 1);
}

/* Cache -------------------------------------------------------------------------------------------------- */

static struct set *set_of(struct sim_tlb *tlb, uint64_t page)
{
	return &tlb->sets[(page ^ page / SETS) % SETS];
}

static bool recall(struct sim_tlb *tlb, uint64_t page, struct sim_translation *ret_translation)
{
	struct set *set = set_of(tlb, page);

	for (size_t i = 0; i < WAYS; i++) {
		if (set->ways[i].page == page + 1) {
			*ret_translation = set->ways[i].translation;
			return true;
		}
	}
	return false;
}

static void remember(struct sim_tlb *tlb, uint64_t page, const struct sim_translation *translation)
{
	struct set *set = set_of(tlb, page);

	set->ways[set->next++ % WAYS] = (struct way){ page + 1, *translation };
}

static void forget(struct set *set, uint64_t first, uint64_t last)
{
	for (size_t i = 0; i < WAYS; i++)
		if (set->ways[i].page > first && set->ways[i].page <= last + 1)
			set->ways[i].page = 0;
}

static void invalidate(struct sim_domain *domain, uint64_t iova, uint64_t len)
{
	uint64_t first = iova / SIM_IOMMU_PAGE, last = (iova + (len - 1)) / SIM_IOMMU_PAGE;

	if (!len)
		return;
	if (last - first < SETS) {
		for (uint64_t page = first; page <= last; page++)
			forget(set_of(domain->tlb, page), page, page);
		return;
	}
	for (size_t i = 0; i < SETS; i++)
		forget(&domain->tlb->sets[i], first, last);
}

/* Table -------------------------------------------------------------------------------------------------- */

static struct entry *find(const struct sim_domain *domain, uint64_t iova)
{
	struct weir_tree_node *node = weir_tree_at_or_below(&domain->entries, iova);

	return node && last_of(entry_of(node)) >= iova ? entry_of(node) : NULL;
}

int sim_domain_look_up(const struct sim_domain *domain, uint64_t iova,
		       struct sim_translation *ret_translation)
{
	const struct entry *entry = find(domain, iova);

	if (!entry)
		return -EFAULT;
	*ret_translation = (struct sim_translation){ .pages = entry->pages,
						     .offset = entry->offset + (iova - entry->node.key),
						     .prot = entry->prot };
	return 0;
}

int sim_domain_new(struct weir_sim *sim, struct sim_domain **ret_domain)
{
	struct sim_domain *domain = calloc(1, sizeof(*domain));
	struct sim_tlb *tlb = calloc(1, sizeof(*tlb));

	if (!domain || !tlb) {
		free(domain);
		free(tlb);
		return -ENOMEM;
	}
	domain->sim = sim;
	domain->address_bits = sim->address_bits;
	domain->tlb = tlb;
	*ret_domain = domain;
	return 0;
}

void sim_domain_free(struct sim_domain *domain)
{
	if (domain->stage1)
		sim_stage1_free(domain->stage1);
	else
		sim_domain_unmap(domain, 0, UINT64_MAX);
	if (domain->by_vmid)
		sim_walk_cache_free(domain->by_vmid);
	free(domain->tlb);
	free(domain);
}

int sim_domain_map(struct sim_domain *domain, uint64_t iova, uint64_t len, struct sim_pages *pages,
		   uint64_t offset, uint32_t prot)
{
	struct entry *entry;

	/* An entry that allows nothing is none: the page tables' code refuses it (A.15). */
	if (!prot || (domain->no_read_only && !(prot & SIM_WRITE)))
		return -EINVAL;
	entry = malloc(sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	*entry = (struct entry){
		.node = { .key = iova }, .len = len, .pages = pages, .offset = offset, .prot = prot
	};
	weir_tree_insert(&domain->entries, &entry->node);
	return 0;
}

void sim_domain_unmap(struct sim_domain *domain, uint64_t iova, uint64_t len)
{
	struct weir_tree_node *node = weir_tree_at_or_above(&domain->entries, iova);
	uint64_t last = iova + (len - 1);

	while (node && last_of(entry_of(node)) <= last) {
		uint64_t key = node->key;

		weir_tree_remove(&domain->entries, node);
		free(entry_of(node));
		node = weir_tree_at_or_above(&domain->entries, key);
	}
	sim_dirty_forget(&domain->dirty, iova, last);
	invalidate(domain, iova, len);
	sim_stage1_forget_all(domain);
}

int sim_domain_split(struct sim_domain *domain, uint64_t iova)
{
	struct entry *entry = find(domain, iova), *upper;

	if (!entry || entry->node.key == iova)
		return 0;
	upper = malloc(sizeof(*upper));
	if (!upper)
		return -ENOMEM;
	*upper = *entry;
	upper->node.key = iova;
	upper->len = last_of(entry) - iova + 1;
	upper->offset += iova - entry->node.key;
	entry->len -= upper->len;
	weir_tree_insert(&domain->entries, &upper->node);
	return 0;
}

/* DMA ---------------------------------------------------------------------------------------------------- */

void sim_fault(struct weir_sim *sim, const struct weir_sim_device *device, uint64_t iova, bool write)
{
	enum { ROOM = sizeof(sim->faults.ring) / sizeof(sim->faults.ring[0]) };
	struct weir_sim_fault *fault = &sim->faults.ring[sim->faults.count++ % ROOM];

	*fault = (struct weir_sim_fault){ .iova = iova, .write = write };
	snprintf(fault->address, sizeof(fault->address), "%s", device->address);
}

/*
 * Where interrupts are, whatever the table says: a write is one. Requests with a PASID mean memory there, and what Arm's first stage
 * translates is looked at behind it.
 */
static bool is_window(const struct sim_domain *domain, const struct sim_requester *from, uint64_t iova)
{
	if (from->pasid != SIM_NO_PASID)
		return false;
	if (domain && domain->stage1 && domain->stage1->kind == SIM_STAGE1_ARM)
		return false;
	return sim_is_window(from->device->sim, iova);
}

static int translate(struct sim_domain *domain, const struct sim_requester *from, uint64_t iova, bool write,
		     struct sim_translation *ret_translation)
{
	uint64_t page = iova / SIM_IOMMU_PAGE;
	int error;

	if (!domain)
		return -EFAULT;
	if (domain->stage1)
		return sim_stage1_translate(domain->stage1, from, iova, write, ret_translation);
	if (iova >> domain->address_bits)
		return -EFAULT;
	if (!recall(domain->tlb, page, ret_translation)) {
		error = sim_domain_look_up(domain, page * SIM_IOMMU_PAGE, ret_translation);
		if (error)
			return error;
		remember(domain->tlb, page, ret_translation);
	}
	return ret_translation->prot & (write ? SIM_WRITE : SIM_READ) ? 0 : -EFAULT;
}

static int translate_or_fault(struct sim_domain *domain, const struct sim_requester *from, uint64_t iova,
			      bool write, struct sim_translation *ret_translation)
{
	int how;

	if (is_window(domain, from, iova))
		how = write ? SIM_INTERRUPT : -EFAULT;
	else
		how = translate(domain, from, iova, write, ret_translation);
	if (how < 0 && from->asks && !is_window(domain, from, iova))
		how = sim_device_ask(from->asks, domain, from->pasid, iova, write);
	if (how < 0 && how != -EAGAIN)
		sim_fault(from->device->sim, from->device, iova, write);
	return how;
}

/* Within one page. Models raise their interrupts in another way, so one that is written does nothing. */
static int access_page(struct sim_domain *domain, const struct sim_requester *from, uint64_t iova, void *buf,
		       size_t len, bool write)
{
	struct sim_translation to = { 0 };
	uint64_t offset = iova % SIM_IOMMU_PAGE;
	int error = translate_or_fault(domain, from, iova, write, &to);

	if (error == SIM_INTERRUPT)
		return 0;
	if (error)
		return error == -EAGAIN ? error : -EFAULT;
	if (write && !domain->stage1)
		sim_dirty_mark(&domain->dirty, iova);
	error = write ? sim_pages_write(to.pages, to.offset + offset, buf, len)
		      : sim_pages_read(to.pages, to.offset + offset, buf, len);
	return error ? -EIO : 0;
}

bool sim_domain_interrupts(struct sim_domain *domain, const struct sim_requester *from)
{
	struct sim_translation to;

	if (!domain || !domain->stage1)
		return true;
	return translate_or_fault(domain, from, sim_windows(domain->sim)->start, true, &to) == SIM_INTERRUPT;
}

int sim_domain_dma(struct sim_domain *domain, const struct weir_sim_device *device, uint64_t iova, void *buf,
		   size_t len, bool write)
{
	return sim_domain_dma_by(domain, &(struct sim_requester){ device, SIM_NO_PASID, NULL }, iova, buf,
				 len, write);
}

int sim_domain_dma_by(struct sim_domain *domain, const struct sim_requester *from, uint64_t iova, void *buf,
		      size_t len, bool write)
{
	unsigned char *bytes = buf;
	int error = 0;

	while (len && !error) {
		size_t part = SIM_IOMMU_PAGE - iova % SIM_IOMMU_PAGE;

		if (part > len)
			part = len;
		error = access_page(domain, from, iova, bytes, part, write);
		iova += part;
		bytes += part;
		len -= part;
	}
	return error;
}
