/* SPDX-License-Identifier: MIT */
/* The system calls that map and unmap, without the library: on the descriptor and the address space that it uses. */
#ifndef TESTS_BENCH_NESTED_BARE_H
#define TESTS_BENCH_NESTED_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/sys.h>

struct bare {
	struct weir_sys table; /* for the library's host: what a map shows is noted */
	const struct weir_sys *below;
	bool type1;
	int fd;
	uint32_t ioas;
};

/* One at a time. */
void bare_init(struct bare *bare, const struct weir_sys *below, bool type1);

/* Something was mapped: the library is measured without the look from now on, if it is told about this table in time. */
void bare_found(struct bare *bare);

/* Exit when the kernel refuses. */
void bare_map(const struct bare *bare, void *addr, size_t len, uint64_t iova);
void bare_unmap(const struct bare *bare, size_t len, uint64_t iova);

#endif
