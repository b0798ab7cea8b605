/* SPDX-License-Identifier: MIT */
/* A queue of page requests, as the files of this folder and the floors above see it. */
#ifndef WEIR_FAULTQ_QUEUE_H
#define WEIR_FAULTQ_QUEUE_H

#include "backend/faultq.h"

/* leave.c: would hold be refused? The same for a function on its own, with all of its PASIDs; -EBUSY with a text. The host's lock is held. */
int weir_faultq_check_leave(const struct weir_function *function);

/*
 * leave.c: wait, if that is the rule, for what is outstanding of the function's group with that PASID (WEIR_FAULTQ_ANY: of the function, with any). The host's
 * lock is held, and given up while waiting; what was known under it is to be looked at again.
 */
#define WEIR_FAULTQ_ANY UINT32_MAX
void weir_faultq_wait(struct weir_host *host, struct weir_function *function, uint32_t pasid);

/*
 * leave.c: the function is about to be reset, and will not know of anything that it asked for: all of that is answered with failure now, so that no answer meets a
 * request from after the reset. What the kernel does not take is outstanding still. The host's lock is held.
 */
void weir_faultq_fail_all(const struct weir_function *function);

/* read.c: what the kernel has, up to @num records if the first group is not longer. How many groups there are, malformed ones too; 0; or an errno with a text. */
int weir_faultq_fetch(struct weir_faultq *queue, size_t num);

/* read.c: a group that was handed over, of pages that are in slots of the journal. Its memory is the queue's on success. */
int weir_faultq_put(struct weir_faultq *queue, struct weir_faultq_group *group,
		    const struct abi_iommu_hwpt_pgfault *first, size_t len);

/* faultq.c: a number for a queue, of which no token was given. @above: those of its predecessor's end there. */
uint32_t weir_faultq_next_number(uint32_t above);
void weir_faultq_init(struct weir_faultq *queue);   /* its locks */
void weir_faultq_enlist(struct weir_faultq *queue); /* it is the host's */
void weir_faultq_delist(struct weir_faultq *queue);
void weir_faultq_free(struct weir_faultq *queue);

/* follow.c: hand-over ---------------------------------------------------------------------------------------------------- */

/*
 * A queue that was handed over, with its descriptor, which is its own on success; and a group that its predecessor had read, whose pages are in @num slots. Those
 * that are in the middle of being read come by themselves. -EPROTO, -ENOMEM, with texts; -ENODEV, without one: nobody is attached that could have asked.
 */
int weir_faultq_adopt(struct weir_host *host, const struct weir_slot_faultq *slot, uint32_t noted, int fd,
		      struct weir_faultq **ret_queue);
int weir_faultq_adopt_group(struct weir_faultq *queue, const struct abi_iommu_hwpt_pgfault *records,
			    const uint32_t *noted, size_t num);

/* Was it in the middle of being read? */
bool weir_faultq_is_left(const struct weir_faultq *queue, uint32_t cookie);

/* Nothing is read or answered in any of the host's until it is released; @gone: for ever. The host's lock is held. */
void weir_faultqs_hold(struct weir_host *host);
void weir_faultqs_release(struct weir_host *host, bool gone);

/* They are another process's: what is outstanding is forgotten; and then, when nothing is attached, they themselves, but for threads that do not know yet. */
void weir_faultqs_forget(struct weir_host *host);
void weir_faultqs_let_go(struct weir_host *host);

/* Whether it may be used: -ESTALE, it was handed over; -EBUSY, it was received, and the host is not finished; with texts. The lock is held. */
int weir_faultq_check(const struct weir_faultq *queue);

#endif
