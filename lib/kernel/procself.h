/* SPDX-License-Identifier: MIT */
/* What /proc/self says about this process. Read only to explain a failure, or before anything is pinned. */
#ifndef WEIR_KERNEL_PROCSELF_H
#define WEIR_KERNEL_PROCSELF_H

#include <stdbool.h>

#include <weir/sys.h>

struct weir_memlock {
	uint64_t limit;  /* bytes; UINT64_MAX: none */
	uint64_t locked; /* bytes locked by this process so far */
	bool exempt;     /* CAP_IPC_LOCK: the limit does not apply */
};

/* RLIMIT_MEMLOCK and how this process stands to it. */
int weir_procself_memlock(const struct weir_sys *sys, struct weir_memlock *ret_memlock);

#endif
