/* SPDX-License-Identifier: MIT */
/* What the library holds for the sake of mappings. */
#ifndef WEIR_IOAS_HELD_H
#define WEIR_IOAS_HELD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/sys.h>

struct weir_journal;
struct weir_map;
struct weir_window;

/* Counted by the mappings that it is for, and ends with the last of them: those of one part of a file, or the pieces of one batch. */
struct weir_held {
	struct weir_held *next; /* of those that end together */
	_Atomic uint64_t users;
	/* A mapping of a host that was given away refers to it, which threads may come to that do not know yet: it stays when it has ended. */
	_Atomic bool parked;

	/* A part of a file, mapped into this process. */
	void *base; /* whole pages of the file's own size */
	uint64_t len;
	int fd;          /* our own; -1: there is no file */
	uint32_t number; /* in the journal of the host whose mappings all its users are; 0: it is in none */
	struct weir_journal *journal; /* that */
	bool dmabuf; /* it is no file, but a dma-buf, and its addresses are nothing but addresses */

	/* A batch: its pieces lie one after the other. */
	struct weir_map *first, *last; /* NULL: it is none */

	/*
	 * Of a device's window: always one mapping alone. What follows is guarded by the window's lock.
	 * Window: NULL if it is of none, or parked and has ended; that is the only change, made with the lock of its space (weir_window_of()).
	 * Map: NULL if it is of none; never changes.
	 * Away: changes only while the mapping is claimed and counted as under way in its space; or with a transition on there, without the window's lock.
	 */
	struct weir_window *window;
	struct weir_map *map;
	struct weir_held *before; /* in the window's list, which @next links */
	bool sinks;               /* while the window is away, it leads to the sink */
	_Atomic bool away;
};

static inline void weir_held_get(struct weir_held *held)
{
	atomic_fetch_add_explicit(&held->users, 1, memory_order_relaxed);
}

/* Whether this was the last user; then it has to be closed. */
static inline bool weir_held_put(struct weir_held *held)
{
	return atomic_fetch_sub_explicit(&held->users, 1, memory_order_acq_rel) == 1;
}

/* A list of what has no users any more, or NULL: it ends, and is freed unless it is parked. Runs to its end; @error, with its text, is what went wrong before. Returns the first error. */
int weir_held_close(const struct weir_sys *sys, struct weir_held *list, int error);

#endif
