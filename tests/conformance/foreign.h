/* SPDX-License-Identifier: MIT */
/*
 * A device that somebody else has, whose registers are mapped into this process: what is no memory, and no region of weir's. It is opened by the
 * machine's own system calls, so that neither the record nor the failure sweep takes them for the library's.
 */
#ifndef TESTS_CONFORMANCE_FOREIGN_H
#define TESTS_CONFORMANCE_FOREIGN_H

#include "conformance/fixture.h"

struct foreign {
	int interface, group, device; /* descriptors; group: -1 where there is none */
	unsigned char *registers;     /* the first pages of its BAR 0, */
	size_t len;                   /* so many bytes */
};

/* The device called @name, with @len bytes of its BAR 0 mapped, until the case ends. */
struct foreign *new_foreign(struct t *t, const char *name, size_t len);

/* Its registers over pages of memory, until @memory is unmapped with foreign_uncover(). */
void foreign_cover(struct foreign *foreign, void *memory, size_t len);
void foreign_uncover(void *memory, size_t len);

/* The first eight bytes of its registers; memory decoding on or off. */
uint64_t foreign_first(const struct foreign *foreign);
void foreign_decode(const struct foreign *foreign, bool on);

#endif
