/* SPDX-License-Identifier: MIT */
/* A host, as the floors above see it. */
#ifndef WEIR_LIB_HOST_H
#define WEIR_LIB_HOST_H

#include "backend/backend.h"

struct weir_host {
	struct weir_host *next; /* of this process */
	struct weir_kernel kernel;
	/*
	 * Taken first of all locks: held while functions and groups come, go or move. That is rare, so it
	 * is held through system calls; nothing that maps or looks up needs it.
	 */
	pthread_mutex_t lock;
	uint32_t num_spaces;
	int *kept; /* descriptors that are closed with the host */
	uint32_t num_kept;
};

/*
 * Take the locks of all hosts of this process, and let go of them: for what reaches devices that may be open on another. No host comes or
 * goes meanwhile. The caller holds no lock.
 */
struct weir_host *weir_hosts_lock(void); /* the first of them */
void weir_hosts_unlock(void);

/* Close @fd together with the host. Returns 0 or -ENOMEM. */
int weir_host_keep(struct weir_host *host, int fd);

#endif
