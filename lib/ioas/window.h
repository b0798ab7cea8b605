/* SPDX-License-Identifier: MIT */
/*
 * A window: memory of a device that mappings in any space lead to, and that can go away while they are there.
 *
 * Its mappings are ordinary ones in the tables of their spaces; what is held for each of them (struct weir_held) says that it is a
 * window's. While the window is away, such a mapping keeps its IOVA and leads to nothing, or to a sink.
 *
 * Whoever takes the device's memory away calls weir_window_withdraw() before and weir_window_restore() or weir_window_lose() after it.
 * When weir_window_withdraw() has returned, no device reaches the memory through this library's spaces.
 *
 * Locks: a window's is taken after its device's, and before that of any space. It is held while mappings are installed and removed, which
 * pins nothing but a sink's pages. A mapping that is being withdrawn or restored is claimed as if it were to be closed (LEAVING), so that
 * nobody else ends it meanwhile; who closes one finds it by its handle, takes the window's lock first, and so waits.
 */
#ifndef WEIR_IOAS_WINDOW_H
#define WEIR_IOAS_WINDOW_H

#include <pthread.h>

#include <weir/peer.h>

#include "ioas/ioas.h"

/* Of what others have done with the device. */
enum weir_window_trace {
	WEIR_WINDOW_NO_TRACE,
	WEIR_WINDOW_REFUSED, /* the kernel does not map it, which may have other reasons */
	WEIR_WINDOW_TAKEN,   /* the kernel has taken it away */
};

/* Whose memory it is: the device, while the window is not lost. */
struct weir_window_owner {
	pthread_mutex_t *lock; /* the host's */
	/* Find out what has become of the device, and withdraw or restore its windows. That lock is held. */
	void (*look)(void *ctx, bool taken);
	void *ctx;
};

struct weir_window {
	pthread_mutex_t lock;
	_Atomic uint64_t users; /* the region, peers, mappings, and who is about to do something with it */
	struct weir_window_owner owner;

	/* Where it is. */
	const struct weir_sys *sys;
	char name[64]; /* "BAR 0 of 0000:01:00.0" */
	void *addr;    /* as this process sees it; whole pages */
	uint64_t len;
	int device_fd;
	uint32_t region;
	int dmabuf; /* of all of it, made when first needed; -1: none, because of no_dmabuf */
	int no_dmabuf;

	/* How it is. */
	enum weir_peer_state state;
	_Atomic uint32_t trace; /* enum weir_window_trace: it is to be looked after */
	uint64_t generation, sunk;
	char reason[160];

	struct weir_held *mappings; /* here or away */
	uint64_t num_mappings;
	uint64_t closing; /* mappings that are off the list, and not out of their space yet */
	struct weir_sink *sink;
	struct weir_watch *watches;
	uint64_t tellings;
};

/* Of a region's mapping, @addr..+@len in this process. Returns 0 and one user's hold, or -ENOMEM. */
int weir_window_open(const struct weir_sys *sys, const struct weir_window_owner *owner, int device_fd,
		     uint32_t region, const char *name, void *addr, uint64_t len,
		     struct weir_window **ret_window);
void weir_window_get(struct weir_window *window);
/*
 * The window that a mapping is of, and a hold on it; NULL: it is of none, or of one that has gone with a host that was given away, which may be at any moment. So who has
 * nothing but a handle does not look at its window but through this. No lock but a window's may be held.
 */
struct weir_window *weir_window_of(const struct weir_map *map);
/* Runs to its end; an error, with a text, when this was the last user and something stays behind. */
int weir_window_put(struct weir_window *window);

/* As weir_peer_map() with @offset in the window; @o: options that were read. */
int weir_window_map(struct weir_window *window, struct weir_ioas *ioas, uint64_t offset, uint64_t len,
		    const struct weir_map_opts *o, struct weir_map **ret_map);

/* It is here: 0; or -EAGAIN, -ENODEV, with a text. Its lock is held. */
int weir_window_check(const struct weir_window *window);

/*
 * If there is a trace of what others have done with the device, look what it is; unless its host's lock is held, which leaves it to the next
 * call. No lock is held. Leaves the error's text alone.
 */
void weir_window_follow_trace(struct weir_window *window);

/* Has anybody but the region to do with it? Of a window that nobody can find meanwhile. */
bool weir_window_is_used(struct weir_window *window);

/* A new dma-buf of a part of the window. Its lock is held. -EOPNOTSUPP and others, with a text. */
int weir_window_export(struct weir_window *window, uint64_t offset, uint64_t len, int *ret_fd);

/*
 * Take its mappings away, everywhere, before the device is touched. An error: the kernel failed to unmap one, which is as it was, like those after it.
 * @reason: for people, in a few words. No lock but the host's and the device's may be held. One that is away stays so, for
 * this reason.
 */
int weir_window_withdraw(struct weir_window *window, const char *reason);

/*
 * Put them back; those that cannot be are lost with the window. One that the kernel still keeps away (-ENODEV, -EFAULT) stays so. Nothing happens when
 * it is not away.
 */
void weir_window_restore(struct weir_window *window);

/* It does not come back. Runs to its end; the first error. */
int weir_window_lose(struct weir_window *window, const char *reason);

/* The window's mappings that are to be put in force with a space that comes to life: what there is to install of one now. */
int weir_window_replay(struct weir_map *map);

/* What the kernel meant when it refused such a mapping: an errno as promised, with a text. */
int weir_window_explain(const struct weir_map *map, int error);

/* A mapping of a window is about to be taken back, claimed or by its handle; and has been. One that is parked has no window then. */
void weir_window_closing(struct weir_held *held);
int weir_window_closed(struct weir_held *held); /* as weir_window_put() */

#endif
