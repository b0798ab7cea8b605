/* SPDX-License-Identifier: MIT */
/*
 * Hash tables that are read without a lock or registration, while one thread at a time changes them: what they have in common.
 *
 * A table is a row of slots, each of two or four words: a tag and what its owner keeps behind it; who does not find it in its place looks on in
 * the next ones, up to an empty one. Readers read, in this order, the version; the table; a tag; what is behind it; and the version again.
 * If that is the same, what was read belongs together, and was true when the tag was read. For that the version goes up
 *   - before slots get new tags, whatever they were before, and
 *   - when the table has been replaced by another: so that who found nothing in one that was replaced looks again.
 * A tag that goes, and a single value that changes behind one that stays, need no new version: each was true while the reader
 * looked.
 *
 * A table that was replaced gives its pages back to the system and keeps its addresses, where one then reads zeros, which are empty slots; it
 * is used again when one of its size is needed.
 */
#ifndef WEIR_IOAS_TABLES_H
#define WEIR_IOAS_TABLES_H

#include <stdbool.h>

#include <weir/lookup.h>

/* A tag in use is odd. */
enum { WEIR_TAG_EMPTY = 0, WEIR_TAG_USED = 1, WEIR_TAG_GIVEN_UP = 2 /* as good as empty, but look on */ };

enum { WEIR_TABLES_MOST = 128, WEIR_PLACE_WORDS = 4 };

struct weir_tables {
	struct weir_lookup_table *shown;   /* what readers begin with */
	uint64_t *table;                   /* the same one's slots; NULL: none yet */
	uint64_t used, given_up, reserved; /* slots; and those that were promised */
	uint64_t *made[WEIR_TABLES_MOST];  /* all there ever were; at most two of a size */
	uint64_t sizes[WEIR_TABLES_MOST];  /* in bytes */
	uint32_t num_made, slot_words;
	uint64_t (*key)(const uint64_t *slot);
};

/* What @shown says before there is a table is the caller's. @key: by which a slot is put in. */
void weir_tables_init(struct weir_tables *tables, struct weir_lookup_table *shown, uint32_t slot_words,
		      uint64_t (*key)(const uint64_t *slot));

/* Nobody reads any more. */
void weir_tables_finish(struct weir_tables *tables);

/* Promise @num slots, which weir_tables_unreserve() takes back before they are taken or not needed. -ENOMEM */
int weir_tables_reserve(struct weir_tables *tables, uint64_t num);

static inline void weir_tables_unreserve(struct weir_tables *tables, uint64_t num)
{
	tables->reserved -= num;
}

/* How many slots there are. */
uint64_t weir_tables_room(const struct weir_tables *tables);

/* Slots are about to get new tags. */
void weir_tables_renew(struct weir_tables *tables);

/* A slot for @key, which there is room for. The caller writes what is behind the tag, then the tag. */
uint64_t *weir_tables_take(struct weir_tables *tables, uint64_t key);

/* A slot in use is not any more. */
void weir_tables_drop(struct weir_tables *tables, uint64_t *slot);

/* Going through the slots that may have a key. */
struct weir_search {
	uint64_t *slots, *slot;
	uint64_t words; /* of all slots; 0: the table has been replaced */
};

static inline struct weir_search weir_search_begin(const uint64_t *slots, uint64_t key)
{
	return (struct weir_search){ .slots = (uint64_t *)slots,
				     .slot = weir_lookup_home(slots, key),
				     .words = weir_lookup_read(slots - 1) * WEIR_PLACE_WORDS };
}

static inline void weir_search_next(struct weir_search *search, uint32_t slot_words)
{
	search->slot += slot_words;
	if (search->slot >= search->slots + search->words)
		search->slot = search->slots;
}

/* The tag that it has come to, or WEIR_TAG_EMPTY, that is the end. */
static inline uint64_t weir_search_tag(const struct weir_search *search)
{
	return search->words ? weir_lookup_read(search->slot) : WEIR_TAG_EMPTY;
}

/* The one who writes reads what it has written itself. */
static inline uint64_t weir_written(const uint64_t *value)
{
	return __atomic_load_n(value, __ATOMIC_RELAXED);
}

/* Who sees it also sees what was written before. */
static inline void weir_write(uint64_t *value, uint64_t to)
{
	__atomic_store_n(value, to, __ATOMIC_RELEASE);
}

/* Whether what was read since the version was @version belongs together. */
static inline bool weir_lookup_still(const struct weir_lookup_table *shown, uint64_t version)
{
	return weir_written(&shown->version) == version;
}

#endif
