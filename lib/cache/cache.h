/* SPDX-License-Identifier: MIT */
/*
 * The registration cache inside.
 *
 * An entry is a mapping, known by the pages that it has: page numbers of addresses, or of a file, whose number is in the upper bits (file.c). Entries
 * that can be found do not overlap. They are in a tree, which the lock guards and which is the truth; and in a hash table of hints (table.c), which is
 * read without the lock.
 *
 * An entry's state is one atomic word: whether it can be found, by how many it is held, how often it was found, and its version, which
 * changes each time that the entry is used for another mapping. Who finds an entry takes hold of it by changing the word it has
 * looked at. If that succeeds, the entry was LIVE and is the mapping whose pages were compared in between, since these are written only while it is
 * not LIVE, for another version. Entries are never freed, so a hint may be as old as it likes.
 *
 * Whoever leaves an entry neither LIVE nor held puts it into the list of the dead, whose mappings end without the lock (weir_cache_reap()).
 *
 * Nobody who holds the lock may allocate, free, or unmap: such a call can wait for the watching thread, and that for the lock.
 */
#ifndef WEIR_LIB_CACHE_H
#define WEIR_LIB_CACHE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weir/cache.h>
#include <weir/sys.h>

#include "tree.h"

#define WEIR_ENTRY_LIVE       ((uint64_t)1 << 0) /* it can be found */
#define WEIR_ENTRY_REFERENCED ((uint64_t)1 << 1) /* it was, since the hand of the clock came by */
#define WEIR_ENTRY_HOLD       ((uint64_t)1 << 4) /* 20 bits: by how many it is held */
#define WEIR_ENTRY_HOLDS      ((uint64_t)0xfffff << 4)
#define WEIR_ENTRY_HIT        ((uint64_t)1 << 24) /* 10 bits: how often it was found, since that was added up */
#define WEIR_ENTRY_HITS       ((uint64_t)0x3ff << 24)
#define WEIR_ENTRY_VERSION    ((uint64_t)1 << 34) /* 30 bits */

enum {
	WEIR_CACHE_MOST = 1 << 28,
	WEIR_CACHE_KEY_BITS = 46,   /* a page's number; above it, the file's */
	WEIR_CACHE_FILES = 1 << 18, /* numbers of files; 0 is for addresses */
	WEIR_CACHE_NONE = 0,        /* an entry's or file's number is from 1 on */
};

struct weir_entry {
	/* What is read without the lock; but for the state, it changes only while the entry is not LIVE. */
	_Alignas(64) _Atomic uint64_t state;
	_Atomic uint64_t first, last; /* pages */
	_Atomic uint64_t iova, addr;  /* of its first byte */
	_Atomic uint64_t generation;
	_Atomic uint32_t prot;

	/* What the lock guards. */
	uint32_t next; /* in the list of the dead or of the free */
	struct weir_map *map;
	struct weir_tree_node node; /* its key is first */
	uint32_t file;
	bool in_tree, filling;
	bool registered; /* with the kernel, to be told */
};

struct weir_cache_file {
	uint64_t dev, ino;
	struct weir_tree_node node;
	uint32_t entries; /* that it has; 0: the record is free */
	uint32_t next;    /* free one */
};

struct weir_cache {
	/* What is read without the lock. */
	_Atomic uint64_t *slots; /* number of an entry | upper half of the hash << 32; 0: empty */
	uint32_t slot_shift;     /* 32 less the binary logarithm of how many there are */
	uint32_t page_shift;
	struct weir_entry *entries; /* number 1 is the first */
	void *memory;               /* that they are in */
	int watch_fd;               /* -1: not watched */
	uint32_t flags;
	const struct weir_sys *sys;
	_Atomic uint64_t classes; /* bit c: there are entries of 2^c pages and more */
	_Atomic bool unsettled;   /* changes were read that are not in force yet */

	_Alignas(64) pthread_mutex_t watch_lock; /* of registering; taken before the lock */
	pthread_mutex_t lock;                    /* of what follows */
	pthread_cond_t changed;                  /* an entry has been filled, or has left */
	struct weir_ioas *ioas;
	struct weir_tree tree;
	struct weir_cache_file *files;
	struct weir_tree file_tree;
	uint64_t limit;
	uint32_t most, most_files, address_bits;
	uint32_t used, files_used; /* records that were ever in use */
	uint32_t free, dead, free_file;
	uint32_t hand;    /* of the clock */
	uint32_t leaving; /* entries whose mappings are being ended */
	uint32_t in_class[64];
	_Atomic uint64_t hits; /* that are not in the entries any more */
	struct weir_cache_info info;
};

/* A range of pages and what is to be done with them. */
struct weir_cache_range {
	uint64_t first, last;
	uint32_t prot;
};

static inline struct weir_entry *weir_cache_entry(const struct weir_cache *cache, uint32_t number)
{
	return &cache->entries[number - 1];
}

static inline uint32_t weir_cache_number(const struct weir_cache *cache, const struct weir_entry *entry)
{
	return (uint32_t)(entry - cache->entries) + 1;
}

static inline uint64_t weir_entry_bytes(const struct weir_cache *cache, const struct weir_entry *entry)
{
	return (entry->last - entry->first + 1) << cache->page_shift;
}

/* table.c: take hold of the entry that has the range, if the hints lead to it; or NULL. Without the lock. */
struct weir_entry *weir_cache_find(struct weir_cache *cache, const struct weir_cache_range *range);

/* Take hold of @entry, if it has the range and is LIVE. */
bool weir_entry_hold(struct weir_cache *cache, struct weir_entry *entry,
		     const struct weir_cache_range *range);

/* table.c; with the lock: the first entry in the tree that touches the range, or NULL. */
struct weir_entry *weir_cache_first_in(const struct weir_cache *cache, uint64_t first, uint64_t last);

/* A free entry for the range, held once, not LIVE and in the tree if @tree; NULL: there is none. Counts its bytes. */
struct weir_entry *weir_cache_new_entry(struct weir_cache *cache, const struct weir_cache_range *range,
					uint32_t file, bool tree);

/* It can be found from now on. */
void weir_cache_publish(struct weir_cache *cache, struct weir_entry *entry);

/* It cannot any more; the dead get it if nobody holds it. It is in the tree. */
void weir_cache_kill(struct weir_cache *cache, struct weir_entry *entry);

/* It has no mapping, and is free. */
void weir_cache_free_entry(struct weir_cache *cache, struct weir_entry *entry);

/* Kill all that touch a range of pages, and begin another generation. @gone: the kernel tells it, and so knows them no more. */
void weir_cache_kill_range(struct weir_cache *cache, uint64_t first, uint64_t last, bool gone);

/* Kill what nobody holds and was not used for long: @bytes and @num entries at least. False: there is less than that. */
bool weir_cache_evict(struct weir_cache *cache, uint64_t bytes, uint32_t num);

/* It is neither LIVE nor held. */
void weir_cache_bury(struct weir_cache *cache, struct weir_entry *entry);

/* End the mappings of the dead. The lock is given up meanwhile. Returns the first error, with its text. */
int weir_cache_reap(struct weir_cache *cache);

/* file.c; with the lock: the number of a file, a new one if @make. 0: there is none. */
uint32_t weir_cache_file_number(struct weir_cache *cache, uint64_t dev, uint64_t ino, bool make);

/* An entry of file @file, which is not 0, has come or gone. */
void weir_cache_file_use(struct weir_cache *cache, uint32_t file, int by);

/* cache.c: the pages of file @file that a range touches. 0; -EINVAL: none; or -EOVERFLOW. */
int weir_cache_pages(const struct weir_cache *cache, uint32_t file, uint64_t addr, uint64_t len,
		     struct weir_cache_range *ret_range);

/* get.c: which file a descriptor is. Returns 0 or an error with its text. */
int weir_cache_identify(const struct weir_cache *cache, int fd, uint64_t *ret_dev, uint64_t *ret_ino);

/*
 * watch.c: what was told is in force. False when something is about to be told (without LAX): then memory is what it is only after
 * that, and nothing that is known of it can be relied on. Without the lock.
 */
bool weir_cache_settle(struct weir_cache *cache);

/* Be told of these pages from now on. False: the kernel cannot. And not any more, unless an entry touches them. Without the lock. */
bool weir_cache_register(struct weir_cache *cache, uint64_t first, uint64_t last);
void weir_cache_unregister(struct weir_cache *cache, uint64_t first, uint64_t last);

#endif
