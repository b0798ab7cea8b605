/* SPDX-License-Identifier: MIT */
/* What this process's memory is made of, by /proc/self/smaps. Read only after the kernel has refused some of it. */
#ifndef WEIR_KERNEL_SMAPS_H
#define WEIR_KERNEL_SMAPS_H

#include <stdbool.h>

#include <weir/sys.h>

/* What can be wrong with a part of memory that devices are to reach. */
enum weir_flaw {
	WEIR_FLAW_HOLE,   /* nothing is mapped there */
	WEIR_FLAW_DEVICE, /* device memory (VM_IO, VM_PFNMAP) */
	WEIR_FLAW_UNREADABLE,
	WEIR_FLAW_READ_ONLY,
};

/* A part of a range. */
struct weir_memory_part {
	uint64_t start, last; /* its first and last address, within the range */
	enum weir_flaw flaw;
	char what
		[128]; /* what the kernel calls it, without control characters; "": nothing, or anonymous memory */
};

/* What will do for a device. */
struct weir_memory_needs {
	bool write;  /* it has to be writable */
	bool device; /* device memory will do */
};

/*
 * The first part of [@start, @last] that will not do. Returns 0 and it; -ENOENT when there is none; or the error of reading.
 * What is no line of smaps is passed over.
 */
int weir_smaps_flaw(const struct weir_sys *sys, uint64_t start, uint64_t last,
		    const struct weir_memory_needs *needs, struct weir_memory_part *ret_part);

/* What is mapped at @start, and to where within [@start, @last]. As above; -ENOENT: nothing is. */
int weir_smaps_at(const struct weir_sys *sys, uint64_t start, uint64_t last,
		  struct weir_memory_part *ret_part);

#endif
