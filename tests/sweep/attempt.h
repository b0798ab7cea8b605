/* SPDX-License-Identifier: MIT */
/* One call of a function that is watched, with what is known before it. */
#ifndef TESTS_SWEEP_ATTEMPT_H
#define TESTS_SWEEP_ATTEMPT_H

#include <stdbool.h>

#include <weir/weir.h>

enum { MAX_RANGES = 16 };

/* All that can be seen of an address space, and what a call was to give. */
struct view {
	struct weir_ioas_info info;
	struct weir_iova_range ranges[MAX_RANGES];
	size_t num_ranges;
	struct weir_ioas *where; /* a device is */
	void *handle;
};

struct attempt {
	const char *name;
	struct weir_ioas *ioas;     /* NULL: the call is about none */
	struct weir_device *device; /* likewise */
	void **ret_handle;          /* likewise */
	size_t *num, room;          /* how many there is room for, and then how many there are; likewise */
	struct weir_map *map;       /* that is closed; likewise */
	bool maps, releases;
	bool takes_back; /* what it did, when it fails in the middle; if that fails too, it is lost */
	bool outermost;
	struct view before;
};

void attempt_begin(struct attempt *attempt);

/* What the failed call must hold to. Whether it is to be called again, by the same arguments. */
bool attempt_failed(const struct attempt *attempt, int result, bool came_before);

void attempt_end(const struct attempt *attempt, int result);

/* The same of a driver's function, where an allocation of its own failed. What failed in the library was seen below. */
bool attempt_driver_failed(const struct attempt *attempt, int result, bool came_before, const void *handle);

#endif
