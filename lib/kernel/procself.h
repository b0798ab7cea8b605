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

/* Where a range first is not as it should be. */
struct weir_range_flaw {
	uint64_t start; /* first address that is wrong */
	uint64_t last;  /* last address of the same kind, within the range */
	bool hole;      /* nothing is mapped there */
	bool readable;  /* else: it can be read */
	bool writable;  /* else: it can be written */
	char what[128]; /* else: what /proc/self/maps calls it; "" for anonymous memory */
};

/*
 * The first part of [@start, @last] that is unmapped, or that cannot be read (or written, with @write).
 * Returns 0 and it; -ENOENT when there is none.
 */
int weir_procself_flaw(const struct weir_sys *sys, uint64_t start, uint64_t last, bool write,
		       struct weir_range_flaw *ret_flaw);

#endif
