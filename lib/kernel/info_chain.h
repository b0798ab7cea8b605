/* SPDX-License-Identifier: MIT */
/*
 * VFIO's growing info structs and the chains of capabilities behind them. What the kernel says is checked like a stranger's.
 */
#ifndef WEIR_KERNEL_INFO_CHAIN_H
#define WEIR_KERNEL_INFO_CHAIN_H

#include <stdbool.h>

#include <weir/sys.h>

/*
 * Ask for an info struct (argsz first, flags second, index third where there is one) with as much room as
 * its chain needs. *@ret_answer is malloc'ed, at least @size bytes; *@ret_size is its length. Returns 0,
 * -ENOMEM, -EIO (it never fits), or the kernel's error.
 */
int weir_info_get(const struct weir_sys *sys, int fd, unsigned long request, uint32_t size, uint32_t index,
		  void **ret_answer, uint32_t *ret_size);

/*
 * One capability: its id, where it starts (header included) and how many bytes there are from there to the end. It is
 * aligned to 4 bytes only, as kernels before 6.6 put one right behind the other: what has 64-bit members is copied out.
 */
struct weir_info_cap {
	uint32_t id;
	uint32_t version;
	const void *start;
	size_t room;
};

/*
 * The capability at byte offset *@next of @answer; *@next moves on to the one after it. False at the end of
 * the chain. A chain that points backwards or outside ends there.
 */
bool weir_info_next(const void *answer, size_t size, uint32_t *next, struct weir_info_cap *ret_cap);

#endif
