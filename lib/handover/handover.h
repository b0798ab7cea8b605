/* SPDX-License-Identifier: MIT */
/*
 * Hand-over, as its own files see it (weir/handover.h says what it is).
 *
 *     description.c   a journal that came, copied and checked
 *     adopt.c         objects made of it: spaces, devices, interrupts; and the order of them all
 *     adopt_domains.c domains, and what is attached to them
 *     adopt_faults.c  queues of page requests, and what is outstanding
 *     adopt_maps.c    memories, files, mappings
 *     adopt_rest.c    what was only begun
 *     check.c         what cannot be carried, and how it is dropped
 *     take.c          what is charged becomes this process's
 *     give.c          the giver's side
 *     receive.c       the taker's side
 *     entrust.c       a keeper named, who gets all there is
 *     keeper.c        the keeper's side
 *     exec.c          another program in this process's place
 *     find.c          what was received, by kind and number
 */
#ifndef WEIR_LIB_HANDOVER_H
#define WEIR_LIB_HANDOVER_H

#include <weir/handover.h>

#include "device/device.h"
#include "journal/wire.h"
#include "memory/memory.h"

/* A journal as it was at one moment, in memory of our own, with what came for its descriptors. */
struct weir_description {
	struct weir_journal_header header;
	void *tables[WEIR_JOURNAL_TABLES];
	uint32_t used[WEIR_JOURNAL_TABLES];
	uint32_t num_fds; /* that it numbers, and that are in force */
	int *fds;         /* by number; -1: none */
};

static inline void *weir_described(const struct weir_description *description, enum weir_journal_table table,
				   uint32_t number)
{
	return (char *)description->tables[table] +
	       (uint64_t)(number - 1) * description->header.tables[table].size;
}

/* The slot of a number, if there is one and it is in force; else NULL. 0 is none. */
void *weir_described_in_force(const struct weir_description *description, enum weir_journal_table table,
			      uint32_t number);

/* The descriptor of an owner, or -1. It stays the description's until it is taken. */
int *weir_described_fd(const struct weir_description *description, enum weir_fd_kind kind, uint32_t owner,
		       uint32_t index);

/* Read what is in the file @fd. -EPROTO and others, with texts. */
int weir_description_open(const struct weir_sys *sys, int fd, struct weir_description *ret_description);

/* Close it, with the descriptors that nobody has taken. */
void weir_description_close(const struct weir_sys *sys, struct weir_description *description);

/*
 * What tells a description that was damaged on its way: of the header and all slots that were ever used, not of the blocks, which are their drivers' to check.
 * Any change within eight bytes changes it. @header and @tables[] have to stand still meanwhile.
 */
uint64_t weir_description_sum(const struct weir_journal_header *header, const void *const *tables,
			      const uint32_t *used);

/* adopt.c: make a host of it, which has all descriptors that it uses, and a journal like that of @fd, on success. */
int weir_handover_adopt(struct weir_description *description, const struct weir_sys *sys, int fd,
			struct weir_host **ret_host);

/* take.c: all that is charged is this process's. The first error, with a text. */
int weir_handover_take(struct weir_host *host);

/* take.c: forget all of the host, which is somebody else's. */
void weir_handover_let_go(struct weir_host *host);

/* check.c: drop what @flags say; put it back. All transitions are on. */
int weir_handover_drop(struct weir_host *host, uint32_t flags);
int weir_handover_put_back(struct weir_host *host);

/* check.c: is this mapping one that the successor finds? */
bool weir_handover_is_carried(const struct weir_map *map);

/* What a received host remembers until it is finished. */
struct weir_taken {
	int socket, timeout_ms;
	struct weir_description description;
};

enum { WEIR_HANDOVER_MS = 10000 };

static inline int weir_handover_timeout(const struct weir_handover_opts *o)
{
	return o->timeout_ms ? o->timeout_ms > INT32_MAX ? INT32_MAX : (int)o->timeout_ms : WEIR_HANDOVER_MS;
}

/* give.c: the protocol of who gives. */
struct weir_giver {
	const struct weir_sys *sys;
	int socket, timeout_ms;
	int journal;    /* its descriptor */
	const int *fds; /* by number, up to @used */
	const struct weir_journal_header *header;
	const struct weir_journal_place *tables;
	uint32_t used;
	/* The taker is silent or has gone: take back what is charged. 0 or an error with a text. */
	int (*take_back)(void *ctx);
	void *ctx;
};

/* pass.c: 0, the taker has all. Else, with all as before, as weir_handover_give(). */
int weir_handover_pass(const struct weir_giver *giver);
int weir_handover_check_socket(int socket); /* -EINVAL with a text */

/* give.c: the steps of giving. After begin, the host's lock is held, and all that maps is held up; cancel goes on as before. */
int weir_handover_read_options(const struct weir_handover_opts *opts, struct weir_handover_opts *o);
int weir_handover_begin(struct weir_host *host, uint32_t flags);
struct weir_giver weir_handover_giver(struct weir_host *host, int socket, int timeout_ms);
int weir_handover_cancel(struct weir_host *host);

/* check.c: what can be said before all is held up. The host's lock is held. */
int weir_handover_check_before(struct weir_host *host, uint32_t flags);

#endif
