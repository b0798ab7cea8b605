/* SPDX-License-Identifier: MIT */
/*
 * The journal of a host, for those who write it: the floors that make and end objects (layout.h says what it looks like).
 *
 *     error = weir_journal_take(journal, WEIR_JOURNAL_MAPS, &number);
 *     slot = weir_journal_at(journal, WEIR_JOURNAL_MAPS, number);
 *     slot->... = ...;
 *     weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
 *     ...                                        // the system call
 *     weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
 *
 * A host without a journal has NULL for one; whoever writes looks first. It has a lock of its own, the last to be taken.
 */
#ifndef WEIR_JOURNAL_H
#define WEIR_JOURNAL_H

#include <pthread.h>
#include <stdbool.h>

#include <weir/host.h>

#include "journal/layout.h"

struct weir_journal {
	const struct weir_sys *sys;
	int fd;
	struct weir_journal_header *header;
	struct weir_journal_header layout; /* the same, but for what changes in it */
	_Atomic bool stale;                /* the host is somebody else's now: nothing is entered any more */

	/* Guards what follows, and which slots are taken. */
	pthread_mutex_t lock;
	struct {
		uint32_t *next;       /* of free slots, by number */
		uint32_t first, used; /* the first free one; how many have ever been taken */
	} slots[WEIR_JOURNAL_TABLES];
	uint64_t serial;
	int *fds;               /* by number of the descriptor's slot */
	uint32_t *fd_of_file;   /* where a file's descriptor may be looked for first; 0: anywhere */
	unsigned char **blocks; /* those that are open, by number */
	int keeper;             /* the socket of who keeps it all; -1: nobody */
	bool has_keeper;        /* there is to be one */
};

/* Make one with room for @maps mappings and @block_bytes bytes (0: as many as usual). */
int weir_journal_open(const struct weir_sys *sys, uint64_t maps, uint64_t block_bytes,
		      struct weir_journal **ret_journal);

/*
 * Make one that says what another did, which was handed over: whoever has that may write into it still, and into this one nobody else does. @theirs, its header, and @tables, of as many
 * slots as that says are used, are a copy of it in memory, and have been checked; blocks are read from @fd.
 */
int weir_journal_adopt(const struct weir_sys *sys, int fd, const struct weir_journal_header *theirs,
		       void *const *tables, struct weir_journal **ret_journal);

/* Its descriptors are their owners'. Returns 0 or why it is mapped still. */
int weir_journal_close(struct weir_journal *journal);

/* A slot of @table, which stays free for others to see until it is intended. -ENOSPC, -ESTALE, with texts. */
int weir_journal_take(struct weir_journal *journal, enum weir_journal_table table, uint32_t *ret_number);

/* What it described is no more. 0 is allowed. */
void weir_journal_give(struct weir_journal *journal, enum weir_journal_table table, uint32_t number);

/* The slot of a number, not 0. */
static inline void *weir_journal_at(const struct weir_journal *journal, enum weir_journal_table table,
				    uint32_t number)
{
	return (char *)journal->header + journal->layout.tables[table].offset +
	       (uint64_t)(number - 1) * journal->layout.tables[table].size;
}

static inline void weir_slot_set(struct weir_slot *slot, enum weir_slot_state state)
{
	atomic_store_explicit(&slot->state, state, memory_order_release);
}

static inline enum weir_slot_state weir_slot_state(const struct weir_slot *slot)
{
	return (enum weir_slot_state)atomic_load_explicit(&slot->state, memory_order_acquire);
}

/* The same by number; 0 is nothing. */
static inline void weir_journal_mark(const struct weir_journal *journal, enum weir_journal_table table,
				     uint32_t number, enum weir_slot_state state)
{
	if (number)
		weir_slot_set((struct weir_slot *)weir_journal_at(journal, table, number), state);
}

/* How many slots of @table may be other than free: their numbers are 1 to this. */
uint32_t weir_journal_used(struct weir_journal *journal, enum weir_journal_table table);

/*
 * A descriptor is there from now on, and with whoever keeps the journal before this returns. -EPIPE: the keeper is gone; -ENOSPC.
 */
int weir_journal_add_fd(struct weir_journal *journal, int fd, enum weir_fd_kind kind, uint32_t owner,
			uint32_t index);

/* All descriptors of an owner are going to be closed: whoever keeps them closes them first. */
void weir_journal_drop_fds(struct weir_journal *journal, enum weir_fd_kind kind, uint32_t owner);

/* The keeper, if there is one, has nothing to keep any more. The lock is held, or nobody else has the journal. */
void weir_journal_part(struct weir_journal *journal);

/* block.c: see weir_block_open(). @give: and it is no more; else it can be opened again. */
int weir_journal_open_block(struct weir_journal *journal, const char *name, size_t len, void **ret_block);
void weir_journal_close_block(struct weir_journal *journal, const void *block, bool give);

/* One object more or less that nobody can take over. */
static inline void weir_journal_count_odd(struct weir_journal *journal, int by)
{
	if (journal)
		atomic_fetch_add(&journal->header->not_carried, (uint32_t)by);
}

#endif
