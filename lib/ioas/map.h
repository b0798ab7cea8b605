/* SPDX-License-Identifier: MIT */
/* How a mapping is made, step by step: for those of several pieces, and for shared ones. */
#ifndef WEIR_IOAS_MAP_H
#define WEIR_IOAS_MAP_H

#include "ioas/address.h"

/* Memory can be mapped by its looks. -EINVAL, -EOVERFLOW, with texts. */
int weir_map_check_memory(const struct weir_ioas *ioas, const void *addr, uint64_t len);

/* Read the caller's options, and check them; for @len bytes. @also: flags that not every call knows. */
int weir_map_read_options(const struct weir_ioas *ioas, uint64_t len, const struct weir_map_opts *opts,
			  uint32_t also, struct weir_map_opts *o);

/* What options that were read allow. */
static inline uint32_t weir_map_prot_of(const struct weir_map_opts *o)
{
	const uint32_t both = WEIR_MAP_READ | WEIR_MAP_WRITE;

	return o->flags & both ? o->flags & both : both;
}

/* The same, that it may be device memory, and that it is the library's to end: what a mapping remembers of them. */
static inline uint32_t weir_map_rights_of(const struct weir_map_opts *o)
{
	return weir_map_prot_of(o) | (o->flags & (WEIR_MAP_DEVICE_MEMORY | WEIR_MAP_KEPT));
}

/* Find a place; @begin: where the backing begins in memory or in its file; @source: as for weir_ioas_map_backing(). The lock is held. */
int weir_map_place(struct weir_ioas *ioas, uint64_t begin, uint64_t len, const struct weir_map_opts *o,
		   const struct weir_map *source, struct weir_segment **ret_segment);

/* The IOMMU can translate this: @bits is the disjunction of addresses and lengths. -EINVAL. The lock is held. */
int weir_map_check_grain(const struct weir_ioas *ioas, uint64_t bits);

/* What was placed is a mapping in the table from now on, pending. The lock is held. */
static inline __attribute__((always_inline)) struct weir_map *
weir_map_begin(struct weir_ioas *ioas, struct weir_segment *segment, const struct weir_backing *backing,
	       uint32_t prot, uint64_t len)
{
	struct weir_map *map = (struct weir_map *)segment;

	map->ioas = ioas;
	/* One by one: a copy of the whole would load more at a time than was stored, and wait for that. */
	map->backing.addr = backing->addr;
	map->backing.offset = backing->offset;
	map->backing.fd = backing->fd;
	map->backing.file = backing->file;
	map->prot = prot;
	atomic_store_explicit(&map->state, WEIR_MAP_PENDING, memory_order_relaxed);
	ioas->mapped_bytes += len;
	return map;
}

/* note.c: into the journal, which there is, as intended; its state there. -ENOSPC, -ESTALE. */
int weir_map_note(struct weir_ioas *ioas, struct weir_map *map);
void weir_map_mark(const struct weir_map *map, enum weir_slot_state state);

/* note.c: it has ended; @lost: for us, but not for devices. */
void weir_map_forget(struct weir_ioas *ioas, struct weir_map *map, bool lost);

/*
 * share.c: install in a live space, at @iova, what @source has installed in another one of the same host, from its first byte on: pinned and
 * charged once. -EOPNOTSUPP: it has to be installed by itself.
 */
int weir_map_copy(struct weir_ioas *ioas, uint64_t iova, uint64_t len, uint32_t prot,
		  const struct weir_map *source);

/*
 * batch.c: map ranges that are in order, with options that are in order, into one block. @source: a batch of the same to be shared; or NULL.
 */
int weir_map_pieces(struct weir_ioas *ioas, const struct weir_map_range *ranges, size_t num,
		    const struct weir_map_opts *o, const struct weir_map *source, struct weir_map **ret_map);

#endif
