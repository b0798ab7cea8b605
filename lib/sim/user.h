/* SPDX-License-Identifier: MIT */
/* Copying between the machine and its callers' memory, which may not be there: then -EFAULT, as from the kernel. */
#ifndef WEIR_SIM_USER_H
#define WEIR_SIM_USER_H

#include "sim/machine.h"

/* @from, @to: pointers of the caller's. 0 or -EFAULT. */
int sim_copy_in(void *to, uint64_t from, size_t len);
int sim_copy_out(struct weir_sim *sim, uint64_t to, const void *from,
		 size_t len); /* subject to weir_sim_fail_call(copy_back) */

/* A string of at most @size bytes, its zero byte included. 0, -EFAULT, -ENAMETOOLONG. */
int sim_copy_string(char *to, const char *from, size_t size);

/*
 * The framing of iommufd's commands (kernel-interface A.1): the struct at @arg, u32 size first, copied into @ret_cmd of @size bytes; a missing tail
 * is zero, an unknown one must be. 0, -EFAULT, -EINVAL (shorter than @min), -E2BIG. *@ret_user_size: what the caller said.
 */
int sim_cmd_in(void *arg, void *ret_cmd, size_t size, size_t min, uint32_t *ret_user_size);
int sim_cmd_out(struct weir_sim *sim, void *arg, const void *cmd, size_t size, uint32_t user_size);

/* VFIO's: u32 argsz first, at least @min; the rest of @ret_cmd is copied as far as argsz goes. 0, -EFAULT, -EINVAL. */
int sim_argsz_in(void *arg, void *ret_cmd, size_t size, size_t min);

#endif
