/* SPDX-License-Identifier: MIT */
/* The least that a library can do: pass a map and an unmap on to the system call, in the shape it wants, and keep no books. */
#ifndef BENCH_MAP_FORWARD_H
#define BENCH_MAP_FORWARD_H

#include <stdbool.h>

#include <weir/sys.h>

struct forward {
	const struct weir_sys *sys;
	int fd;
	uint32_t ioas;
	bool type1;
};

int forward_map(const struct forward *forward, void *addr, size_t len, uint64_t iova);
int forward_unmap(const struct forward *forward, size_t len, uint64_t iova);

#endif
