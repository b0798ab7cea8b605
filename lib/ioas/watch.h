/* SPDX-License-Identifier: MIT */
/* Who wants to know when a window goes away and comes back. */
#ifndef WEIR_IOAS_WATCH_H
#define WEIR_IOAS_WATCH_H

#include "ioas/window.h"

enum { WEIR_WATCH_ROOM = 16 };

/* Guarded by the window's lock, but for what never changes. */
struct weir_watch {
	struct weir_watch *next;
	struct weir_window *window;
	uint32_t *count;
	struct weir_watch_opts opts;
	int fd; /* an eventfd */
	struct weir_peer_event events[WEIR_WATCH_ROOM];
	uint32_t first, num;
	uint64_t told;  /* which of the window's tellings its callback has had */
	bool running;   /* its callback */
	bool withdrawn; /* and not acknowledged */
};

/* Tell all that watch; @kind: enum weir_peer_event_kind. Waits for callbacks, and those with patience. The lock is not held. */
void weir_watches_tell(struct weir_window *window, uint32_t kind, bool written);

/* This thread is in a callback of one, so that the host's lock may be held below it. */
bool weir_watches_tell_here(void);

/* The window's part of weir_peer_watch(). *@count, guarded by the window's lock: how many there are. */
int weir_watch_open(struct weir_window *window, uint32_t *count, const struct weir_watch_opts *o,
		    struct weir_watch **ret_watch);

#endif
