/* SPDX-License-Identifier: MIT */
/* NVME1's memory buffer as a window that other devices reach. */
#ifndef TESTS_CONFORMANCE_TARGET_H
#define TESTS_CONFORMANCE_TARGET_H

#include "conformance/fixture.h"

enum { PAGE = 4096, WINDOW = 16 * PAGE, CMB_BAR = 2, MOST_MAPPED = 8 };

struct target {
	struct weir_device *device;
	struct weir_region *registers, *bar;
	unsigned char *memory;
	struct weir_peer *peer;
	struct weir_watch *watch;
	struct {
		struct weir_ioas *ioas;
		uint64_t iova;
	} mapped[MOST_MAPPED]; /* where map_window() has put it */
	unsigned int num_mapped;
};

/* Opened into @ioas, with its buffer enabled and its first WINDOW bytes a window, watched. */
struct target *new_target(struct t *t, struct weir_ioas *ioas);

/* Once more: the controller forgets it in a reset. */
void enable_buffer(struct target *target);

/* All of the window, in @ioas, which was made before the target. @flags: WEIR_MAP_SINK or 0. */
struct weir_map *map_window(struct t *t, struct target *target, struct weir_ioas *ioas, uint32_t flags);

struct weir_peer_info window_info(struct target *target);

/* The next event, which there must be; there is none. */
struct weir_peer_event next_event(struct target *target);
void expect_no_event(struct target *target);

#endif
