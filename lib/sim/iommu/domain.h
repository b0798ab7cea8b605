/* SPDX-License-Identifier: MIT */
/*
 * An IOMMU page table: what DMA from the groups that use it reaches. With a translation cache that holds what
 * was translated until it is invalidated, as hardware's does: unmapping here invalidates, since the kernel
 * does.
 */
#ifndef WEIR_SIM_DOMAIN_H
#define WEIR_SIM_DOMAIN_H

#include "sim/iommu/dirty.h"
#include "sim/iommu/pages.h"
#include "tree.h"

#define SIM_READ  1u
#define SIM_WRITE 2u

enum { SIM_IOMMU_PAGE = 4096 }; /* the smallest page of the IOMMU, and what the cache holds */

/* What one page of I/O addresses stands for. */
struct sim_translation {
	struct sim_pages *pages;
	uint64_t offset; /* of the page's first byte */
	uint32_t prot;
};

/*
 * A plain one has entries and a cache. A nested one has neither: its stage 1 is a table that the program writes, with a cache of its own
 * (stage1.h), and what comes out of that is looked up in the plain one that it is nested in.
 */
struct sim_domain {
	struct weir_sim *sim;
	uint32_t address_bits;
	uint32_t unit;            /* of the IOMMU that it was made for */
	bool no_read_only;        /* entries that do not allow writing are refused (VT-d's erratum 772415) */
	struct weir_tree entries; /* by IOVA */
	struct sim_tlb *tlb;
	struct sim_stage1 *stage1; /* NULL: a plain one */
	struct sim_stage1 *nested; /* those that are nested in it */
	struct sim_dirty
		dirty; /* of a plain one: what was written through it itself, not through what is nested */
	struct sim_fault_queue *faults; /* where requests for pages that it lacks go; NULL: nowhere */
	struct sim_walk_cache *by_vmid; /* Arm: what those have walked; NULL: there were none */
};

/* Who asks for a DMA: @pasid SIM_NO_PASID is the device as such. */
#define SIM_NO_PASID 0u
struct sim_requester {
	const struct weir_sim_device *device;
	uint32_t pasid;
	struct weir_sim_device
		*asks; /* the device, if it can wait for a page that it does not find; or NULL */
};

/* What devices of a group cannot use, and why. */
struct sim_window {
	uint64_t start, last;
	const char *kind; /* "msi", "reserved" */
};
enum { SIM_NUM_WINDOWS = 1 };

/* 0xfee00000..0xfeefffff msi; with Arm's IOMMU 0x08000000..0x080fffff. */
const struct sim_window *sim_windows(const struct weir_sim *sim);
bool sim_is_window(const struct weir_sim *sim, uint64_t iova);

int sim_domain_new(struct weir_sim *sim, struct sim_domain **ret_domain);
void sim_domain_free(struct sim_domain *domain); /* unmaps all */

/*
 * Install [offset, offset + len) of @pages (pinned by the caller) at @iova, which is free. @prot: SIM_READ,
 * SIM_WRITE; neither is -EINVAL, and so is reading alone with no_read_only. -ENOMEM
 */
int sim_domain_map(struct sim_domain *domain, uint64_t iova, uint64_t len, struct sim_pages *pages,
		   uint64_t offset, uint32_t prot);

/* Remove entries that lie in the range, whole ones, and what the cache holds of them. */
void sim_domain_unmap(struct sim_domain *domain, uint64_t iova, uint64_t len);

/* Make two entries of the one that reaches across @iova. -ENOMEM */
int sim_domain_split(struct sim_domain *domain, uint64_t iova);

/* What the table has at @iova now, to the end of the page there; the cache is not asked. -EFAULT */
int sim_domain_look_up(const struct sim_domain *domain, uint64_t iova,
		       struct sim_translation *ret_translation);

/*
 * DMA. Splits at page borders; translates through the cache; reports what it blocks. NULL: there is no table,
 * so all is blocked. Writes to a window are interrupts, and no DMA. -EFAULT: blocked; -EIO: nobody answers; -EAGAIN: a page was asked for.
 */
int sim_domain_dma(struct sim_domain *domain, const struct weir_sim_device *device, uint64_t iova, void *buf,
		   size_t len, bool write);
int sim_domain_dma_by(struct sim_domain *domain, const struct sim_requester *from, uint64_t iova, void *buf,
		      size_t len, bool write);

/* What a translation can come to beside an error: a write there is an interrupt. */
#define SIM_INTERRUPT 1

/*
 * Does an interrupt of @from's get through? Where its address is translated like any other (Arm's, with a first stage), the program has
 * to have mapped it to itself; a write that is blocked is reported.
 */
bool sim_domain_interrupts(struct sim_domain *domain, const struct sim_requester *from);

/* Note a blocked DMA in the machine's log. */
void sim_fault(struct weir_sim *sim, const struct weir_sim_device *device, uint64_t iova, bool write);

#endif
