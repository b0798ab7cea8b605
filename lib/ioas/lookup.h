/* SPDX-License-Identifier: MIT */
/*
 * Where an address leads: ranges of addresses, each with where its first byte leads, found without a lock while one thread at a time
 * adds and removes. A space has two of these: from memory to IOVAs, and back.
 *
 * A hash table of slots. A range is put in at every frame that it touches; the frame's size is the largest power of eight pages
 * that is no longer than the range, so that there are nine frames at most, and one for 4 KiB, 2 MiB or 1 GiB in their places. Who looks for an address tries
 * the frame sizes that are in use.
 *
 * Readers need no registration. A slot tells by itself whether what was read of it belongs together: its sequence number is odd while
 * it changes, and no number is used twice. A slot that holds the address is therefore an answer that was true while the reader
 * looked, whichever table the slot is in. Only "there is none" depends on the table: a reader who comes to that looks again when the
 * table has been replaced meanwhile. A table that was replaced gives its pages back to the system and keeps its addresses: there one reads
 * zeros, which is an empty slot.
 */
#ifndef WEIR_IOAS_LOOKUP_H
#define WEIR_IOAS_LOOKUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_lookup_slot {
	_Atomic uint64_t sequence; /* WEIR_SLOT_...; 0: empty */
	_Atomic uint64_t first;    /* of the whole range */
	_Atomic uint64_t span;     /* its length less 1 */
	_Atomic uint64_t to;       /* where its first byte leads */
};

enum {
	WEIR_SLOT_CHANGES = 1 << 0,
	WEIR_SLOT_USED = 1 << 1,
	WEIR_SLOT_GIVEN_UP = 1 << 2, /* as good as empty, but what is looked for may come after it */
	WEIR_SLOT_FRAME_SHIFT = 3,   /* four bits: for which of the range's frames it stands */
	WEIR_SLOT_ONE = 1 << 7,      /* from here on: the number */
};

enum {
	WEIR_LOOKUP_PAGE_SHIFT = 12,
	WEIR_LOOKUP_CLASSES = 18, /* frames of 8^class pages */
	WEIR_LOOKUP_TABLES = 128,
};

struct weir_lookup {
	/* What readers need. */
	_Alignas(64) _Atomic uint64_t
		table; /* address | 64 less the binary logarithm of how many slots it has; 0: there is none */
	_Atomic uint64_t version;      /* how often it was replaced */
	_Atomic uint32_t classes;      /* bit c: there are ranges of class c */
	_Atomic uint32_t likely_shift; /* the frame size that most ranges have */

	/* What the writer needs. */
	_Alignas(64) uint64_t sequence;    /* the last one that a slot got */
	uint64_t used, given_up, reserved; /* slots; and those that were promised */
	uint64_t ranges[WEIR_LOOKUP_CLASSES];
	uint64_t tables[WEIR_LOOKUP_TABLES]; /* all that were ever made; at most two of a size */
	uint32_t num_tables;
};

void weir_lookup_init(struct weir_lookup *lookup);

/* Nobody reads any more. */
void weir_lookup_finish(struct weir_lookup *lookup);

/* Promise room for a range of @len bytes, which weir_lookup_add() uses up, or weir_lookup_unreserve() takes back. -ENOMEM */
int weir_lookup_reserve(struct weir_lookup *lookup, uint64_t len);
void weir_lookup_unreserve(struct weir_lookup *lookup, uint64_t len);

/* Add a range for which there is room; it is whole pages. */
void weir_lookup_add(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to);

/* Is exactly this range there, and where does it lead? */
bool weir_lookup_exact(const struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t *ret_to);

/* A range that was added leads elsewhere from now on; or is not there any more. */
void weir_lookup_redirect(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to,
			  uint64_t now_to);
void weir_lookup_remove(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to);

/* What was found. */
struct weir_lookup_answer {
	uint64_t to;   /* where the address leads */
	uint64_t left; /* bytes from there to the end of the range */
};

static inline struct weir_lookup_slot *weir_lookup_slots(uint64_t table)
{
	return (struct weir_lookup_slot *)(uintptr_t)(table & ~(uint64_t)63);
}

static inline uint64_t weir_lookup_num(uint64_t table)
{
	return (uint64_t)1 << (64 - (table & 63));
}

/* Where a frame belongs: multiplied by a number far from any pattern, of which the upper bits count. */
static inline uint64_t weir_lookup_home(uint64_t table, uint64_t frame)
{
	return frame * 0x9e3779b97f4a7c15 >> (table & 63);
}

/* What a slot says of an address. Returns its sequence number, or 1 when it changed meanwhile. */
static inline uint64_t weir_lookup_read(const struct weir_lookup_slot *slot, uint64_t address,
					uint64_t *ret_offset, uint64_t *ret_span, uint64_t *ret_to)
{
	uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);

	*ret_offset = address - atomic_load_explicit(&slot->first, memory_order_acquire);
	*ret_span = atomic_load_explicit(&slot->span, memory_order_acquire);
	*ret_to = atomic_load_explicit(&slot->to, memory_order_acquire);
	return atomic_load_explicit(&slot->sequence, memory_order_relaxed) == sequence ? sequence
										       : WEIR_SLOT_CHANGES;
}

/* See weir_lookup_find(). */
bool weir_lookup_search(const struct weir_lookup *lookup, uint64_t address,
			struct weir_lookup_answer *ret_answer);

/* The range that @address lies in, if there is one; any of them, if there are several. From any thread. */
static inline bool weir_lookup_find(const struct weir_lookup *lookup, uint64_t address,
				    struct weir_lookup_answer *ret_answer)
{
	uint64_t table = atomic_load_explicit(&lookup->table, memory_order_acquire), offset, span, to,
		 sequence;
	uint32_t shift = atomic_load_explicit(&lookup->likely_shift, memory_order_relaxed);

	if (__builtin_expect(!table, 0))
		return false;
	/* Mostly the first look is enough. */
	sequence = weir_lookup_read(&weir_lookup_slots(table)[weir_lookup_home(table, address >> shift)],
				    address, &offset, &span, &to);
	if (__builtin_expect(
		    (sequence & (WEIR_SLOT_USED | WEIR_SLOT_CHANGES)) != WEIR_SLOT_USED || offset > span, 0))
		return weir_lookup_search(lookup, address, ret_answer);
	*ret_answer = (struct weir_lookup_answer){ .to = to + offset, .left = span - offset + 1 };
	return true;
}

#endif
