/* SPDX-License-Identifier: MIT */
/*
 * Nested translation: a first stage that the program writes in memory, walked by the IOMMU through the second stage, which the kernel
 * keeps. Every table of the first stage is at an address of the second, and so is what comes out of it.
 */
#ifndef WEIR_SIM_STAGE1_H
#define WEIR_SIM_STAGE1_H

#include "sim/iommu/domain.h"
#include "sim/iommu/smmu.h"
#include "sim/iommu/walk_cache.h"

enum sim_stage1_kind {
	SIM_STAGE1_X86, /* first-stage tables of VT-d */
	SIM_STAGE1_ARM, /* a stream table entry of SMMUv3 */
};

enum { SIM_KEPT_CDS = 16, SIM_ARM_BYPASS = 1 };

struct sim_stage1 {
	enum sim_stage1_kind kind;
	struct sim_domain *parent;       /* stage 2 */
	struct sim_stage1 *next, **link; /* of those on the same */
	struct sim_walk_cache *cache;    /* x86: its own; Arm: that of its parent, by ASID */
	uint64_t table;                  /* x86: where the top one is */
	uint64_t flags;                  /* x86: ABI_IOMMU_VTD_S1_... */
	uint32_t width;  /* x86: of addresses, 48 or 57 bits; anything else is never put in use */
	uint64_t ste[2]; /* Arm */
	struct sim_kept_cd {
		const struct weir_sim_device *device; /* NULL: nothing is kept here */
		uint32_t ssid;
		uint64_t words[SIM_CD_WORDS];
	} cds[SIM_KEPT_CDS];
	uint32_t next_cd;
	/* Arm: an event of the first stage, for who has it; NULL: nobody. The stream id is still to be filled in. */
	void (*report)(void *owner, const struct weir_sim_device *device, const uint64_t event[4]);
	void *owner;
};

/* What the walk of one address came to. */
struct sim_leaf {
	uint64_t start, output; /* of the page or block: as it came in, and where it is in stage 2 */
	unsigned int shift;     /* of its size */
	uint32_t prot;
};

/* Make a domain of stage 1 alone, nested in @parent, which outlives it. -ENOMEM */
int sim_stage1_new(struct sim_domain *parent, enum sim_stage1_kind kind, struct sim_domain **ret_domain);
void sim_stage1_free(struct sim_stage1 *stage1);

/* Where @from gets at the page of @iova, both stages taken together; SIM_INTERRUPT; -EFAULT. */
int sim_stage1_translate(struct sim_stage1 *stage1, const struct sim_requester *from, uint64_t iova,
			 bool write, struct sim_translation *ret_translation);

/* Stage 2 has lost something, so nothing of what was kept is relied on. */
void sim_stage1_forget_all(struct sim_domain *parent);

/* The devices of a group leave it. */
void sim_stage1_left(struct sim_stage1 *stage1);

/* An entry of a table at an address of stage 2, read at one go; changed, if it is still @old (else -EAGAIN). -EFAULT */
int sim_stage1_load(struct sim_stage1 *stage1, uint64_t address, uint64_t *ret_entry);
int sim_stage1_change(struct sim_stage1 *stage1, uint64_t address, uint64_t old, uint64_t new);

/* stage1_x86.c: walk, from as far down as the cache knows the way. -EFAULT */
int sim_x86_walk(struct sim_stage1 *stage1, uint64_t iova, bool write, struct sim_leaf *ret_leaf);

/*
 * stage1_cd.c: the context that a request is in. 0; SIM_ARM_BYPASS: stage 2 alone; -EFAULT, and why. What was kept of a device's
 * descriptors is dropped: of one substream, or all.
 */
int sim_arm_context(struct sim_stage1 *stage1, const struct sim_requester *from,
		    struct sim_context *ret_context, enum sim_smmu_event *ret_event);
void sim_arm_drop_cds(struct sim_stage1 *stage1, const struct weir_sim_device *device, bool all,
		      uint32_t ssid);

/* stage1_arm.c: the same as for x86, in a context. -EFAULT, and why. */
int sim_arm_walk(struct sim_stage1 *stage1, const struct sim_context *context, uint64_t iova, bool write,
		 struct sim_leaf *ret_leaf, enum sim_smmu_event *ret_event);

#endif
