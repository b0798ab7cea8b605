/* SPDX-License-Identifier: MIT */
/* A domain, as the files of this folder, lib/inval and lib/shadow see it. */
#ifndef WEIR_LIB_DOMAIN_H
#define WEIR_LIB_DOMAIN_H

#include <stdatomic.h>

#include "domain/vendor.h"
#include "ioas/ioas.h"

struct weir_inval_task;

/* What kinds of domains do differently. */
struct weir_domain_type {
	const char *name; /* "a nested domain" */

	/*
	 * Carry out a batch: fill in the task's outcomes and state. Any thread; the host's lock is not held, unless the task says so. NULL: there is
	 * nothing to invalidate in such a domain.
	 */
	void (*run)(struct weir_domain *domain, struct weir_inval *inval, struct weir_inval_task *task);

	/* See weir_domain_close(), weir_domain_info(). The domain is freed by close, under the host's lock; for info, that is not held. */
	int (*close)(struct weir_domain *domain);
	void (*info)(struct weir_domain *domain, struct weir_domain_info *ret_info);
};

/* Of any kind: first in whatever it is. */
struct weir_domain {
	const struct weir_domain_type *type;
	struct weir_host *host;
};

/* One that is a page table of the kernel's. The host's lock guards it. */
struct weir_kernel_domain {
	struct weir_domain domain; /* first */
	struct weir_ioas *ioas;
	struct weir_table *table;
	struct weir_kernel_domain *parent;
	const struct weir_vendor *vendor;
	uint32_t features; /* weir_vendor's */
	uint32_t kind;     /* enum weir_domain_kind */
	bool has_events;   /* a queue that was opened for it is */
	_Atomic bool
		stale; /* it may be remembered as it was: nothing is attached before all of it was invalidated */
};

/* The domain as a page table of the kernel's, or NULL. */
struct weir_kernel_domain *weir_kernel_domain(struct weir_domain *domain);

/*
 * domain.c and nested.c: weir_domain_open(), weir_domain_open_nested(), weir_domain_attach(), _detach() and _close() for a function, which may not be a
 * device's yet, and is in @ioas as the kernel knows it. The host's lock is held.
 */
int weir_domain_make(struct weir_ioas *ioas, struct weir_function *function, uint32_t flags,
		     struct weir_faultq *faultq, struct weir_domain **ret_domain);
int weir_domain_make_nested(struct weir_domain *parent, struct weir_function *function,
			    const struct weir_nested_opts *o, struct weir_domain **ret_domain);
int weir_domain_join(struct weir_domain *domain, struct weir_function *function, uint32_t pasid);
int weir_domain_part(struct weir_function *function, uint32_t pasid);
int weir_domain_end(struct weir_domain *domain);

/* adopt.c: one that was handed over. -EPROTO, -ENOMEM, with texts. */
struct weir_slot_domain;
int weir_domain_adopt(struct weir_ioas *ioas, const struct weir_slot_domain *slot, uint32_t number,
		      struct weir_domain *parent, struct weir_faultq *faultq,
		      struct weir_domain **ret_domain);

/* nested.c: the format of first stages that the IOMMU in front of a function takes; -EOPNOTSUPP: none that is known. The host's lock is held. */
int weir_domain_format(struct weir_function *function, uint32_t *ret_format);

/* nested.c: the largest pages, in bits, that such first stages have; 0: all that the format has. The host's lock is held. */
int weir_domain_largest_page(struct weir_function *function, uint32_t *ret_bits);

/*
 * send.c: block the DMA of all that is attached, because what is remembered may be stale; -EOPNOTSUPP: it is none of the kernel's (a shadow), and nothing is
 * blocked. The host's lock is held.
 */
int weir_domain_quarantine(struct weir_domain *domain);

/* send.c: the run of a nested domain. */
void weir_nested_run(struct weir_domain *domain, struct weir_inval *inval, struct weir_inval_task *task);

/* send.c: invalidate everything in it, as often as that takes up to @tries. Returns 0 or the kernel's error. */
int weir_nested_invalidate_all(struct weir_kernel_domain *domain, uint32_t tries);

/* pri.c: can the function request pages? 0, or -EOPNOTSUPP or another errno, with a text. The host's lock is held. */
int weir_function_check_pri(struct weir_function *function);

/* What is known of the IOMMU in front of a function. The host's lock is held; the error has a text. */
int weir_function_hw_info(struct weir_function *function, struct weir_hw_info *ret_info);

#endif
