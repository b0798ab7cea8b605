/* SPDX-License-Identifier: MIT */
/*
 * Invalidation: what the IOMMU and devices may remember of a first stage is forgotten, and one knows of what.
 *
 *     struct weir_inval *changes;
 *     weir_inval_open(NULL, &changes);
 *     weir_stage1_unmap(tables, iova, len, changes);      (or weir_inval_range(), for tables of one's own)
 *     weir_inval_run(changes, &nested, 1, NULL);
 *
 * A batch collects ranges. Run for one or several domains that use the tables, it is translated to the commands of each one's IOMMU: merged, without
 * doubles, in calls within the kernel's limits. Each entry, for each domain, has an outcome of its own: done, not done, or refused and why. A domain is never skipped
 * because another one failed.
 *
 * What the kernel reports is not believed further than it goes. After an error on SMMUv3 its count includes commands that were never sent; so they are sent
 * again by themselves before they are called done. To invalidate twice harms nobody.
 *
 * When an entry fails, the policy goes on as far as the caller allows: it is tried again; then everything is invalidated; then the domain's devices are
 * put into quarantine: their DMA is blocked, so that what they remember cannot be used. What was unmapped is safe in any case but WEIR_INVAL_STALE. A shadow
 * (weir_domain_open_shadow()) has no hardware that remembers, and knows no policy: what the kernel fails to unmap there is WEIR_INVAL_STALE, for good.
 *
 * Threads: a batch is one thread's at a time. Different batches may be run for the same domain by different threads.
 */
#ifndef WEIR_INVAL_H
#define WEIR_INVAL_H

#include <weir/domain.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_inval;

struct weir_inval_opts {
	size_t size; /* sizeof(struct weir_inval_opts); set by WEIR_OPTS() */
	uint32_t
		room; /* entries that can be added, and run for one domain, without allocating memory; 0: 256 */
	uint32_t reserved; /* 0 */
};

/* Make an empty batch. Returns 0 and the batch in @ret_inval, closed with weir_inval_close(); or -EINVAL (room above 2^20), -ENOMEM, -E2BIG. Since 0.1. */
WEIR_API int weir_inval_open(const struct weir_inval_opts *opts, struct weir_inval **ret_inval);

/*
 * Close a batch. NULL is allowed. Returns 0; or -EBUSY, with nothing changed, while it has entries that are not done: what hangs on these
 * would be used again too early. weir_inval_drop() says that no device can remember them. Since 0.1.
 */
WEIR_API int weir_inval_close(struct weir_inval *inval);

#define WEIR_INVAL_LEAF                                                                                      \
	(1u << 0) /* only last-level entries changed: what is remembered of tables above stays */
#define WEIR_INVAL_NEW (1u << 1) /* nothing was there before: hardware need not hear of it, a shadow must */

/*
 * Add an entry: @len bytes from @iova on were changed. @asid: SMMUv3's address space id, else 0.
 *
 * Returns its number, from 0 on; or, with nothing changed,
 *   -EINVAL    zero length, or not whole pages of 4096; unknown flag; @asid above 65535
 *   -EOVERFLOW @iova + @len is beyond the end of the 64-bit space
 *   -ENOSPC    2^20 entries; -ENOMEM
 * Since 0.1.
 */
WEIR_API int weir_inval_range(struct weir_inval *inval, uint64_t iova, uint64_t len, uint32_t asid,
			      uint32_t flags);

/* Add an entry: everything was changed. Returns as weir_inval_range(). Since 0.1. */
WEIR_API int weir_inval_all(struct weir_inval *inval);

/*
 * Add an entry: the context descriptor of @pasid was changed (SMMUv3: CFGI_CD); what the IOMMU remembers of the tables that it led to is another matter: weir_inval_all().
 * For other IOMMUs it is done by doing nothing. Returns as weir_inval_range(), and -EINVAL for a @pasid of more than 20 bits. Since 0.1.
 */
WEIR_API int weir_inval_context(struct weir_inval *inval, uint32_t pasid);

/*
 * Add an entry that is a command of the kernel's own, 1 to 64 bytes, for those who know it: @type is its invalidation data type. It is neither merged
 * nor reordered: what was added before it is carried out before it, and what after, after. It takes memory beside the batch's room. Returns as
 * weir_inval_range(), and -EINVAL for its length, or for NULL. Since 0.1.
 */
WEIR_API int weir_inval_raw(struct weir_inval *inval, uint32_t type, const void *command, uint32_t len);

/* How far to go when an entry fails. */
enum weir_inval_policy {
	WEIR_INVAL_QUARANTINE, /* try again, then everything, then block the domain's devices */
	WEIR_INVAL_ESCALATE,   /* try again, then everything, and no further */
	WEIR_INVAL_RETRY,      /* try again, and no further */
	WEIR_INVAL_ONCE,       /* report, and do nothing */
};

/* How it stands with a domain after a run, from good to bad. */
enum weir_inval_state {
	WEIR_INVAL_DONE,      /* every entry is done, perhaps on a second try */
	WEIR_INVAL_ESCALATED, /* entries failed, but everything was invalidated: nothing stale is left */
	WEIR_INVAL_QUARANTINED, /* everything failed: the domain's devices are blocked until weir_domain_detach() or _attach() */
	WEIR_INVAL_STALE, /* devices may go on using what was there before: run it again, or block them */
};

enum weir_inval_outcome_kind {
	WEIR_INVAL_OUT_DONE,    /* carried out */
	WEIR_INVAL_OUT_NOT,     /* not carried out, because of another entry that was refused */
	WEIR_INVAL_OUT_REFUSED, /* the kernel or the hardware refused it: error says how */
};

struct weir_inval_outcome {
	uint32_t kind;  /* enum weir_inval_outcome_kind, at the last try; escalation is no try of the entry */
	int32_t error;  /* REFUSED: the kernel's negative errno; else 0 */
	uint32_t tries; /* how often the kernel was given it, and got as far; 0: it takes no command */
	uint32_t reserved;
};

struct weir_inval_run_opts {
	size_t size;     /* sizeof(struct weir_inval_run_opts); set by WEIR_OPTS() */
	uint32_t policy; /* enum weir_inval_policy */
	uint32_t tries;  /* of an entry, up to 1000; 0: 3. WEIR_INVAL_ONCE has one */
	uint32_t flags;  /* WEIR_INVAL_KEEP */
	uint32_t reserved;
	uint32_t *
		ret_states; /* NULL, or room for the state of each domain (enum weir_inval_state), also written on failure */
};

#define WEIR_INVAL_KEEP                                                                                      \
	(1u << 0) /* entries that are done for all stay in the batch, to be asked for or run again */

/*
 * Carry out the batch for @num domains, none of which is twice in @domains. A batch without entries is nothing to do.
 *
 * A refused entry does not keep others from being carried out, but with WEIR_INVAL_ONCE; after 64 refused ones no more are tried.
 *
 * If all domains are safe afterwards (no state is WEIR_INVAL_STALE), the batch is empty, but with WEIR_INVAL_KEEP, and what waited for it (pages of tables,
 * a space's mappings) is free. Else entries stay, all of them; the batch may be run again.
 *
 * Returns 0 when every state is WEIR_INVAL_DONE; or
 *   -EINVAL a domain is not nested and no shadow (weir_error() says what it is); unknown policy or flag; nothing was done
 *   -EIO    a state is ESCALATED, QUARANTINED or STALE: ret_states and weir_inval_outcome() say more
 *   -ENOMEM nothing was done
 *   -E2BIG  options newer than this library; nothing was done
 *
 * Kernel: IOMMU_HWPT_INVALIDATE, in calls of up to 4096 entries; in quarantine VFIO_DEVICE_DETACH_IOMMUFD_PT. Since 0.1.
 */
WEIR_API int weir_inval_run(struct weir_inval *inval, struct weir_domain *const *domains, size_t num,
			    const struct weir_inval_run_opts *opts);

/*
 * What became of entry @entry, as numbered by weir_inval_range() and the others, for the domain that was number @domain in the last run, if that returned
 * -EIO or was told to keep its entries. Known until the next run or weir_inval_drop(), also where the entries themselves have left. Returns 0 or
 * -ENOENT. Since 0.1.
 */
WEIR_API int weir_inval_outcome(const struct weir_inval *inval, size_t domain, uint32_t entry,
				struct weir_inval_outcome *ret_outcome);

/* Forget all entries: no device can remember what they name, because none uses the tables any more. What waited is free. Since 0.1. */
WEIR_API void weir_inval_drop(struct weir_inval *inval);

/* How many entries it has. Since 0.1. */
WEIR_API uint32_t weir_inval_count(const struct weir_inval *inval);

#ifdef __cplusplus
}
#endif

#endif
