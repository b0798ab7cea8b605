/* SPDX-License-Identifier: MIT */
/*
 * A queue of page requests: who may ask, and what is outstanding. The backend tells it of functions that come to and leave the tables that have it; what programs do
 * with it is in lib/faultq.
 *
 * The kernel gives a number (cookie) to a group as it is read, and gives it again once it is answered. Everything goes under one lock: reading, answering, and
 * what makes the kernel answer by itself. So a number stands for one group whenever it is written, and the record of that
 * group is gone before it can stand for another.
 */
#ifndef WEIR_BACKEND_FAULTQ_H
#define WEIR_BACKEND_FAULTQ_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/domain.h>
#include <weir/faultq.h>

#include "backend/backend.h"
#include "journal/layout.h"
#include "kernel/iommufd_abi.h"
#include "tree.h"

/* A function that is attached, as a whole or for a PASID, to tables that have the queue. */
struct weir_faultq_member {
	struct weir_faultq_member *next;
	const struct weir_function *function;
	const struct weir_group *group; /* to be compared, and no more */
	uint32_t dev_id;
	uint32_t pasid;
	uint32_t num_attached; /* to how many; two, while it goes from one to the other */
	uint32_t num_outstanding;
};

/* A group of requests that the kernel waits for an answer to. */
struct weir_faultq_group {
	struct weir_tree_node by_serial; /* first */
	struct weir_tree_node by_cookie;
	struct weir_faultq_member *member;
	struct weir_fault *fault; /* until it is given out */
	uint64_t due;             /* ns */
	uint32_t cookie;
	uint32_t pasid, grpid;
	uint32_t num_noted; /* with a journal: its pages' slots, the first page's first */
	uint32_t noted[];
};

struct weir_faultq {
	const struct weir_sys *sys;
	struct weir_kernel *kernel;
	struct weir_host *host;   /* for the floors above */
	struct weir_faultq *next; /* of the host */
	struct weir_faultq_opts opts;
	uint32_t number; /* of all that this process has made; never 0 */
	uint32_t id;     /* the kernel's */
	uint32_t noted;  /* in the journal */
	int fd;
	uint32_t num_domains;        /* the host's lock guards it */
	_Atomic uint32_t num_spaces; /* nested ones, whose domains come and go with their devices */
	uint32_t users;              /* likewise: who waits in it */

	pthread_mutex_t lock; /* recursive; after the host's, before those of tables */
	pthread_cond_t settled;
	struct weir_faultq_member *members;
	struct weir_tree by_serial, by_cookie;
	uint64_t last_serial; /* that was given */
	uint64_t last_out;    /* groups up to this serial were given out */
	struct weir_faultq_info counts;
	struct abi_iommu_hwpt_pgfault *records;
	size_t room;
	size_t num_left; /* of the records, that a predecessor had read when it was killed */
	bool gone;       /* the host is another process's: there is nothing to be read or answered */
};

/* What a function is attached to when its table has no queue is NULL, and all of these do nothing then. */

/*
 * A function is about to be attached to a table: its requests are known from now on. -ENOMEM, with a text. undo: that came to nothing. leave: it is
 * attached no more, as the kernel knows; what was outstanding has been answered by that.
 */
int weir_faultq_enter(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid);
void weir_faultq_undo(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid);
void weir_faultq_leave(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid);

/* The kernel has answered what was outstanding, and the function stays. */
void weir_faultq_orphan(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid);

/*
 * Hold the queue while the kernel takes a function (its group, without a PASID) off a table: nothing is read or answered. -EBUSY, not held, if the rule is to
 * refuse that now. release: from there on.
 */
int weir_faultq_hold(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid);
void weir_faultq_hold_anyway(struct weir_faultq *queue);
void weir_faultq_release(struct weir_faultq *queue);

/* For lib/faultq, with the lock held ---------------------------------------------------------------------------------- */

uint64_t weir_faultq_now(void);

/* Answer one with @code: 0, -ESTALE (the kernel knows it no more), or the kernel's error with a text, and it is there still. Else it is gone, and counted. */
int weir_faultq_answer(struct weir_faultq *queue, struct weir_faultq_group *group, uint32_t code,
		       uint64_t *count);

/* It needs no answer any more: forget it. */
void weir_faultq_forget(struct weir_faultq *queue, struct weir_faultq_group *group, uint64_t *count);

/* What is due. Returns how many, or an errno with a text. */
int weir_faultq_expire_locked(struct weir_faultq *queue, uint64_t now);

/* The one with the lowest serial from @from on, or NULL. */
struct weir_faultq_group *weir_faultq_group_from(struct weir_faultq *queue, uint64_t from);

struct weir_faultq_member *weir_faultq_member(const struct weir_faultq *queue, uint32_t dev_id,
					      uint32_t pasid);

/* faultq_note.c: what the journal says of it; without a journal, nothing ------------------------------------------------------ */

/* It is about to be made; it has been (-ENOSPC, -EPIPE, with texts, and it is to be closed again); it is about to end; it has. */
int weir_faultq_note(struct weir_faultq *queue);
int weir_faultq_note_made(const struct weir_faultq *queue);
void weir_faultq_note_leaving(const struct weir_faultq *queue);
void weir_faultq_note_end(const struct weir_faultq *queue);

/* Where up to @num records are to be read into, NULL: anywhere; and all that were read are in slots, or answered. */
struct abi_iommu_hwpt_pgfault *weir_faultq_note_reading(const struct weir_faultq *queue, size_t num);
void weir_faultq_note_read(const struct weir_faultq *queue);

/* A group that has room for its pages' slots is about to be outstanding. -ENOSPC, -ESTALE, with texts. */
int weir_faultq_note_group(const struct weir_faultq *queue, struct weir_faultq_group *group,
			   const struct abi_iommu_hwpt_pgfault *first, size_t len);

/* It is about to be answered; it was not; the kernel waits for no answer any more. */
void weir_faultq_note_answer(const struct weir_faultq *queue, const struct weir_faultq_group *group,
			     uint32_t code);
void weir_faultq_note_unanswered(const struct weir_faultq *queue, const struct weir_faultq_group *group);
void weir_faultq_note_over(const struct weir_faultq *queue, const struct weir_faultq_group *group);

#endif
