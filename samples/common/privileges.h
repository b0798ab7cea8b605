/* SPDX-License-Identifier: MIT */
/* Giving up every privilege, once what needed them is open. */
#ifndef SAMPLES_PRIVILEGES_H
#define SAMPLES_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

/* What the kernel says this process may still do: /proc/self/status. */
struct privileges {
	uint64_t effective, permitted, inheritable, bounding, ambient; /* capability sets, a bit for each */
	bool no_new_privs;
};

/*
 * Drop all capabilities, from all sets, and see that no exec brings any back. What is open stays open; but
 * from now on RLIMIT_MEMLOCK holds, so mappings that need more have to exist already.
 *
 * Returns 0, or a negative errno when something is left: then the program has no business going on.
 */
int privileges_drop(void);

/* Returns 0 or a negative errno. */
int privileges_read(struct privileges *ret_privileges);

/* privileges_drop(), which says on stderr that it failed; and what is left then (NULL: never mind). */
int privileges_give_up(struct privileges *ret_left);

#endif
