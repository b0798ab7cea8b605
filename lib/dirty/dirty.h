/* SPDX-License-Identifier: MIT */
/* Dirty tracking, as its own files and lib/caps see it. */
#ifndef WEIR_LIB_DIRTY_H
#define WEIR_LIB_DIRTY_H

#include <weir/dirty.h>

#include "ioas/ioas.h"
#include "spans.h"

enum {
	WEIR_DIRTY_EXTENTS = 256, /* that are asked for at a time */
	WEIR_DIRTY_WORDS =
		4096, /* of the bitmap that they share: a GiB of pages; it grows for the container */
	WEIR_DIRTY_SPANS = 1024, /* ranges that are remembered; then the closest become one */
};

/* IOVAs that are mapped without a gap, and may be written by devices. */
struct weir_dirty_extent {
	uint64_t iova, len;
	uint64_t *bits; /* one for each page */
	bool unknown;   /* all of it counts as written */
};

struct weir_dirty_spans {
	uint32_t num;
	struct weir_iova_range ranges[WEIR_DIRTY_SPANS];
};

struct weir_dirty {
	struct weir_follower follower; /* first */
	struct weir_ioas *ioas;
	uint32_t source; /* enum weir_dirty_source */
	uint64_t page;

	/* Held by who scans, or closes. Taken before all other locks, and only ever tried. */
	pthread_mutex_t scanning;
	uint64_t *bits;
	uint64_t num_words;
	struct weir_dirty_extent extents[WEIR_DIRTY_EXTENTS];
	uint32_t num_extents;
	struct weir_dirty_spans told; /* what is being told of the lists below */

	/* Guards what follows. Taken last; held through a system call while something is unmapped that is quiet. */
	pthread_mutex_t lock;
	bool quiet;
	struct weir_dirty_spans gone; /* unmapped since the last scan */
	struct weir_dirty_spans owed; /* mapped, and read from the kernel, but not told */
	uint64_t quiet_bits[WEIR_DIRTY_WORDS];
};

/* dirty.c: 0, or -EOPNOTSUPP with a text: can what a device of the space writes be tracked, page by page if @pages? The host's lock is held. */
int weir_dirty_can(struct weir_ioas *ioas, struct weir_function *function, bool pages);

/* dirty.c: a list has a range more. */
void weir_dirty_note(struct weir_dirty_spans *spans, uint64_t iova, uint64_t len);

/*
 * scan.c: set the bit of each page that was written. The bitmap is the library's, and zero: so it has been touched. All of the range is mapped. The host's lock is
 * held, or something is under way in the space, so that no device comes or goes.
 */
int weir_dirty_ask(struct weir_dirty *dirty, uint64_t iova, uint64_t len, uint64_t *bits, bool keep);

/* scan.c: the run of set bits that begins at page *@from or later, before @end. Its first page is put there; returns how long it is, 0: there is none. */
uint64_t weir_dirty_run(const uint64_t *bits, uint64_t *from, uint64_t end);

/* devices.c: log what devices write; and ask, for all devices of the space. The host's lock is held for the first two. */
int weir_dirty_devices_can(struct weir_function *function);
int weir_dirty_devices_start(struct weir_ioas *ioas);
int weir_dirty_devices_stop(struct weir_ioas *ioas);
int weir_dirty_devices_ask(struct weir_ioas *ioas, uint64_t iova, uint64_t len, uint64_t page,
			   uint64_t *bits);

#endif
