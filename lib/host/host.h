/* SPDX-License-Identifier: MIT */
/* A host, as the floors above see it. */
#ifndef WEIR_LIB_HOST_H
#define WEIR_LIB_HOST_H

#include "backend/backend.h"
#include "journal/journal.h"

struct weir_plain_block;
struct weir_taken;

struct weir_host {
	struct weir_host *next; /* of this process */
	struct weir_kernel kernel;
	/*
	 * Taken before all others but a scan's, a weir_memory's and that of all hosts (docs/architecture.md, Locks): held while functions
	 * and groups come, go or move. That is rare, so it is held through system calls; nothing that maps or looks up needs it.
	 */
	pthread_mutex_t lock;
	uint32_t num_spaces, num_faultqs; /* spaces: those that are no part of another; guarded by the lock */
	struct weir_ioas *spaces;         /* all, the parts of others, too; likewise */
	struct weir_memory *memories;     /* likewise */
	struct weir_faultq *faultqs;      /* likewise */
	int *own_fds;                     /* descriptors that are closed with the host */
	uint32_t num_own_fds;
	struct weir_plain_block *blocks; /* without a journal */
	struct weir_taken *taken;        /* received, and not finished */
	_Atomic bool is_given;           /* a hand-over is under way */
	struct weir_ioas *parked;        /* it was given away: its spaces, for threads that do not know yet */
	struct weir_memory *parked_memories; /* likewise */
};

/*
 * Take the locks of all hosts of this process, and let go of them: for what reaches devices that may be open on another. No host comes or
 * goes meanwhile. The caller holds no lock.
 */
struct weir_host *weir_hosts_lock(void); /* the first of them */
void weir_hosts_unlock(void);

/* host.c: a host on what was handed over, which is its own; and let go of, with nothing left in it, for it is somebody else's. */
struct weir_host *weir_host_adopt(enum weir_backend kind, const struct weir_sys *sys, uint32_t iommu_type,
				  int fd, struct weir_journal *journal);
void weir_host_let_go(struct weir_host *host);

/* block.c: what a host without a journal has of blocks ends with it. */
void weir_host_drop_blocks(struct weir_host *host);

/* Close @fd together with the host. Returns 0 or -ENOMEM. */
int weir_host_own_fd(struct weir_host *host, int fd);

#endif
