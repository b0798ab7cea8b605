/* SPDX-License-Identifier: MIT */
/* Memfds: made with a given length, that nobody can shrink, grow or seal further; and read. */
#ifndef WEIR_KERNEL_MEMFD_H
#define WEIR_KERNEL_MEMFD_H

#include <weir/sys.h>

/* @flags: MFD_HUGETLB and its like, or 0. Returns the descriptor, which execve() closes, or an errno without a text. */
int weir_memfd_sealed(const struct weir_sys *sys, const char *name, unsigned int flags, uint64_t len);

/* Read all of [@from, @from + @len) into @to. Returns 0, or an errno without a text; -ENODATA: the file is too short. */
int weir_memfd_read(const struct weir_sys *sys, int fd, void *to, uint64_t len, uint64_t from);

#endif
