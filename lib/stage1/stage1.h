/* SPDX-License-Identifier: MIT */
/*
 * Stage-1 tables, as their own parts see them.
 *
 * Beside each page of tables, which the hardware reads, there is a record in ordinary memory, which leads to the records of the tables below. So
 * the way down needs no addresses of stage 2, and nothing that a device could write is ever followed.
 *
 * Who maps, unmaps or protects has his range to himself. That decides what needs care. Entries in the range are his: plain stores. A table is shared
 * with neighbours, who may be at work in it; but nobody else can take away a table that his range has a part of, because a table is
 * taken away only by who has all of its range. So the way down needs neither lock nor count. What is left is to make a table where neighbours
 * make one too: all that changes which tables there are is done under one lock.
 *
 * A table that is merely empty stays. If it were taken away with its last page, a neighbour could map in the same place before the batch is run, in
 * a new table, while the IOMMU remembers the way to the old one, and sees nothing.
 */
#ifndef WEIR_STAGE1_STAGE1_H
#define WEIR_STAGE1_STAGE1_H

#include <pthread.h>
#include <stdatomic.h>

#include "inval/later.h"
#include "stage1/format.h"

enum { WEIR_STAGE1_ENTRIES = 512, WEIR_STAGE1_PAGE_SHIFT = 12, WEIR_STAGE1_LEVEL_SHIFT = 9 };

#define WEIR_STAGE1_PAGE ((uint64_t)1 << WEIR_STAGE1_PAGE_SHIFT)

/* A page of tables. Level 0 is the last one, whose entries are pages of 4 KiB. */
struct weir_stage1_table {
	_Atomic uint64_t *entries; /* what the hardware reads */
	struct weir_stage1 *tables;
	struct weir_stage1_table *next; /* of a reserve */
	struct weir_later later;        /* waits to be given back, or to be made valid */
	_Atomic uint64_t *link;         /* the entry that leads here */
	struct weir_buffer buffer;
	uint32_t level;
	bool broken; /* took the place of a block, whose entry is invalid until nobody remembers it */
	bool gone;   /* is broken, and was taken away */
	_Atomic(struct weir_stage1_table *) below[]; /* for each entry, but on the last level */
};

struct weir_stage1 {
	struct weir_stage1_format_bits bits;
	struct weir_stage1_table *root;
	uint32_t top;       /* level of the root */
	uint32_t largest;   /* level of the largest pages */
	uint64_t low, high; /* IOVAs are up to low, or from high on */
	uint64_t output;    /* IPAs are up to this */
	struct weir_memory *memory;
	struct weir_buffer context;
	struct weir_stage1_info info;
	pthread_mutex_t lock; /* which tables there are: below, link, broken, gone; and info's counts */
};

static inline uint64_t weir_level_size(uint32_t level)
{
	return WEIR_STAGE1_PAGE << (level * WEIR_STAGE1_LEVEL_SHIFT);
}

static inline uint32_t weir_level_index(uint64_t iova, uint32_t level)
{
	return iova >> (WEIR_STAGE1_PAGE_SHIFT + level * WEIR_STAGE1_LEVEL_SHIFT) & (WEIR_STAGE1_ENTRIES - 1);
}

/* The last address that belongs to the same entry as @iova, or @last if that comes first. */
static inline uint64_t weir_level_end(uint64_t iova, uint32_t level, uint64_t last)
{
	uint64_t end = iova | (weir_level_size(level) - 1);

	return end < last ? end : last;
}

/* Does the range from @iova to @end, which lies in one entry, take all of it? */
static inline bool weir_level_is_whole(uint64_t iova, uint64_t end, uint32_t level)
{
	return end - iova == weir_level_size(level) - 1;
}

static inline uint64_t weir_entry_read(const struct weir_stage1_table *table, uint32_t index)
{
	return atomic_load_explicit(&table->entries[index], memory_order_relaxed);
}

/* The IOMMU sees what was written before, too: it reads memory that it shares with the processors. */
static inline void weir_entry_write(struct weir_stage1_table *table, uint32_t index, uint64_t entry)
{
	atomic_store_explicit(&table->entries[index], entry, memory_order_release);
}

/* Is an entry, which is not 0, that of a page? */
static inline bool weir_entry_is_page(const struct weir_stage1 *tables, uint64_t entry, uint32_t level)
{
	return !level || !((entry ^ tables->bits.block) & tables->bits.size_bits);
}

static inline struct weir_stage1_table *weir_table_below(const struct weir_stage1_table *table,
							 uint32_t index)
{
	return atomic_load_explicit(&table->below[index], memory_order_acquire);
}

/*
 * What an entry above the last level has: returns the table that it leads to; or NULL, and a page, or 0 for nothing, in @ret_entry. With the lock, or
 * by who has a part of its range to himself.
 */
struct weir_stage1_table *weir_table_step(struct weir_stage1 *tables, struct weir_stage1_table *table,
					  uint32_t index, uint64_t *ret_entry);

/* The lowest table that the range is in, without taking all of it. Ranges in it need not be looked for above. */
static inline struct weir_stage1_table *weir_stage1_start(struct weir_stage1 *tables, uint64_t iova,
							  uint64_t last)
{
	struct weir_stage1_table *table = tables->root, *below;

	for (uint32_t level = tables->top; level; level--) {
		if ((iova ^ last) & ~(weir_level_size(level) - 1) || weir_level_is_whole(iova, last, level))
			break;
		below = weir_table_below(table, weir_level_index(iova, level));
		if (!below)
			break;
		table = below;
	}
	return table;
}

/* The entry for a page of 4 KiB at @iova; NULL, if there is no table of them. What is most frequent, and short. */
static inline _Atomic uint64_t *weir_stage1_last(const struct weir_stage1 *tables, uint64_t iova)
{
	const struct weir_stage1_table *table = tables->root;

	for (uint32_t level = tables->top; level; level--) {
		table = weir_table_below(table, weir_level_index(iova, level));
		if (!table)
			return NULL;
	}
	return &table->entries[weir_level_index(iova, 0)];
}

static inline bool weir_stage1_has(const struct weir_stage1 *tables, uint64_t iova)
{
	return iova <= tables->low || iova >= tables->high;
}

/* stage1.c: tables without a root. */
int weir_stage1_new(struct weir_memory *memory, const struct weir_stage1_opts *opts,
		    struct weir_stage1 **ret_tables);

/* table.c: a table by itself, on a page that is given, and the caller's again if there is no memory (NULL). */
struct weir_stage1_table *weir_table_on(struct weir_stage1 *tables, const struct weir_buffer *page,
					uint32_t level);

/* Tables made beforehand, so that what needs them cannot fail. */
struct weir_stage1_reserve {
	uint64_t last, upper; /* how many are wanted: of the last level, and of others */
	struct weir_stage1_table *lasts, *uppers;
};

/* Make what is wanted. -ENOMEM, and those of weir_memory_alloc(): then there is nothing. */
int weir_stage1_reserve(struct weir_stage1 *tables, struct weir_stage1_reserve *reserve);

/* What was not needed is given back. */
void weir_stage1_unreserve(struct weir_stage1_reserve *reserve);

/* The table below an entry that is 0; made if it is not there yet. */
struct weir_stage1_table *weir_table_make(struct weir_stage1_table *table, uint32_t index,
					  struct weir_stage1_reserve *reserve);

/* The table below an entry; if that is a block, one that says the same takes its place. */
struct weir_stage1_table *weir_table_split(struct weir_stage1_table *table, uint32_t index,
					   struct weir_stage1_reserve *reserve, struct weir_inval *changes);

/* Take away the table below an entry, with all that is below it. It is given back when @changes has been run. */
void weir_table_take(struct weir_stage1_table *table, uint32_t index, struct weir_inval *changes);

/* Give back a table with all that is below it, which nobody can reach. */
void weir_table_free(struct weir_stage1_table *table);

/* What is wrong with a range, if anything: -EINVAL, -EOVERFLOW, -ERANGE. */
int weir_stage1_check(const struct weir_stage1 *tables, uint64_t iova, uint64_t len);
int weir_stage1_check_prot(uint32_t prot);
int weir_stage1_check_output(const struct weir_stage1 *tables, uint64_t ipa, uint64_t len);

static inline uint64_t weir_prot_bits(const struct weir_stage1 *tables, uint32_t prot)
{
	return prot == WEIR_MAP_READ ? tables->bits.read : tables->bits.write;
}

/* A stretch of IOVAs that lead to IPAs in the same order, with the same rights, by one table. */
struct weir_stage1_stretch {
	uint64_t iova, ipa, len;
	uint32_t prot;
};

/*
 * The first stretch that has an IOVA from @iova to @last, both included; from there on, or from @iova, up to @limit if it is that long. False: there is
 * none. What a batch will put back is there. Anybody may ask.
 */
bool weir_stage1_next(const struct weir_stage1 *tables, uint64_t iova, uint64_t last, uint64_t limit,
		      struct weir_stage1_stretch *ret_stretch);

#endif
