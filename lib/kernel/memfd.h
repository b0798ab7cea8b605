/* SPDX-License-Identifier: MIT */
/* A memfd of a given length, that nobody can shrink, grow or seal further. */
#ifndef WEIR_KERNEL_MEMFD_H
#define WEIR_KERNEL_MEMFD_H

#include <weir/sys.h>

/* @flags: MFD_HUGETLB and its like, or 0. Returns the descriptor, which execve() closes, or an errno without a text. */
int weir_memfd_sealed(const struct weir_sys *sys, const char *name, unsigned int flags, uint64_t len);

#endif
