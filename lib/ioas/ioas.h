/* SPDX-License-Identifier: MIT */
/* An address space and its table of mappings, as the floors above see them. */
#ifndef WEIR_LIB_IOAS_H
#define WEIR_LIB_IOAS_H

#include "host/host.h"
#include "ioas/file.h"
#include "ioas/gate.h"
#include "ioas/iova.h"

/*
 * Who has made mappings elsewhere that lead where the mappings of a space lead (a shadow). Set and told while no transition is on, without
 * the lock.
 */
struct weir_follower {
	struct weir_follower *next;
	/* What is mapped in the range is about to go: nothing leads there any more when this returns 0. An error has a text. */
	int (*leave)(struct weir_follower *follower, uint64_t iova, uint64_t last);
	/* What is mapped in the range is back. */
	void (*back)(struct weir_follower *follower, uint64_t iova, uint64_t last);
};

/* Mappings that were closed, and may be reached until the space is synchronised: where that is not done one by one. */
struct weir_leaving {
	struct weir_map *first; /* by their twins */
	_Atomic uint64_t num;   /* written with the lock */
	uint64_t bytes;
	int error;                 /* of a sync of which nobody has been told */
	uint64_t most, most_bytes; /* so many, and it is done; 0: each by itself */
};

struct weir_ioas {
	struct weir_ioas_view view; /* first: weir/lookup.h */
	struct weir_host *host;
	struct weir_ioas *next; /* of the host */
	struct weir_space space;

	/* Its lock guards what follows; it is taken after the host's, and not held through system calls. */
	struct weir_gate gate;
	struct weir_addresses *addresses; /* for looking up without the lock; NULL: nobody does */
	uint64_t mapped_bytes, lost_bytes, num_lost;
	struct weir_leaving leaving;
	struct weir_follower *followers; /* changes in transitions only */
	struct weir_dirty *dirty;        /* that tracks it; likewise, and with the host's lock */
	bool devices_stay;               /* so long, devices may leave, but none may come; likewise */
	/* Live, and nobody but the kernel has a part in a mapping: what is drivers' way. Found at the end of each transition. */
	bool plain;

	bool inner;                    /* a part of another, which counts as one of the host's */
	bool shadowing;                /* a shadow has it to itself; the host's lock guards this */
	_Atomic uint32_t num_memories; /* weir_memory that is mapped in it */

	uint64_t limit;        /* the highest address that a mapping may have: what the bits below come to */
	bool probes;           /* WEIR_IOAS_PROBE, and the kernel would map device memory unasked */
	uint32_t address_bits; /* of the space alone */
	uint32_t device_bits;  /* the fewest of an attached device's, or 64 */
	uint32_t narrow_devices[65]; /* how many attached devices have that many address bits */
	uint64_t page_size;          /* of the processor's */
	uint64_t grain; /* every IOVA and length is a multiple of this: the larger of that and the IOMMU's */

	/* What is not chosen: where devices of its groups hit each other. */
	uint32_t num_diverted;
	struct weir_iova_range diverted[WEIR_MOST_DIVERTED];

	struct weir_iova iova; /* large */
};

/*
 * Flags of ours among WEIR_MAP_...: who has the handle relies on it, so that weir_ioas_unmap() does not end it. What is OWN goes to a successor with what it belongs to, or not at
 * all. What is TENDED (a weir_demand's, or a shadow's) is a mapping like any other to a successor, so that the journal does not say so.
 */
#define WEIR_MAP_OWN    (1u << 31)
#define WEIR_MAP_TENDED (1u << 30)
#define WEIR_MAP_KEPT   (WEIR_MAP_OWN | WEIR_MAP_TENDED)

enum weir_map_state {
	WEIR_MAP_PENDING, /* its system call is under way */
	WEIR_MAP_READY,
	WEIR_MAP_LEAVING, /* its removal is under way */
	WEIR_MAP_LOST,    /* ended, but the kernel failed to unmap it: its range is never given back */
};

/* A mapping is the segment that it takes. */
struct weir_map {
	struct weir_segment segment; /* first */
	struct weir_ioas *ioas;
	struct weir_backing backing;
	struct weir_held
		*held; /* NULL: it is one mapping of the caller's memory, for which nothing is held */
	struct weir_map *twin, *twin_before; /* mappings of the very same memory, in a ring; address.c */
	uint32_t prot;                       /* WEIR_MAP_READ, _WRITE, _DEVICE_MEMORY, _OWN, _TENDED */
	_Atomic uint32_t state; /* enum weir_map_state; leaves PENDING, and READY, without the lock, too */
};

static inline uint64_t weir_map_start(const struct weir_map *map)
{
	return map->segment.node.key;
}

static inline uint64_t weir_map_last(const struct weir_map *map)
{
	return map->segment.last;
}

/* How many bytes; of a piece of a batch, the piece's. */
static inline uint64_t weir_map_size(const struct weir_map *map)
{
	return map->segment.last - map->segment.node.key + 1;
}

/* The piece of a batch that follows @map up to @last, or NULL. Who knows that they do not end needs no lock for this. */
static inline struct weir_map *weir_map_next_piece(const struct weir_map *map, const struct weir_map *last)
{
	return map == last ? NULL : (struct weir_map *)map->segment.above;
}

/* The last piece of a batch; else @map itself. */
static inline struct weir_map *weir_map_last_piece(struct weir_map *map)
{
	return map->held && map->held->last ? map->held->last : map;
}

/* It is, or was until its host was given away, of a device's window. */
static inline bool weir_map_is_of_window(const struct weir_map *map)
{
	return map->held && map->held->map;
}

/* ioas.c: weir_ioas_open() of a space that is not the backend's. */
int weir_ioas_open_with(struct weir_host *host, const struct weir_ioas_opts *opts,
			const struct weir_space_ops *ops, void *layer, struct weir_ioas **ret_ioas);

/* ioas.c: a space that is a part of another, and not counted as one of the host's. */
int weir_ioas_open_inner(struct weir_host *host, struct weir_ioas **ret_ioas);

/* ioas.c: a space that was handed over: its options, which are in order, its number in the journal, and its id in the iommufd. No kernel call. */
int weir_ioas_adopt(struct weir_host *host, const struct weir_ioas_opts *opts, uint32_t number, uint32_t id,
		    struct weir_ioas **ret_ioas);
int weir_ioas_adopt_with(struct weir_host *host, const struct weir_ioas_opts *opts,
			 const struct weir_space_ops *ops, void *layer, uint32_t number, uint32_t id,
			 struct weir_ioas **ret_ioas);

/* ioas.c: an adopted space is a part of another. */
void weir_ioas_set_inner(struct weir_ioas *ioas);

/*
 * adopt.c: a function is in it; all are, so that it is looked at; a mapping that is in force is in the table, with what is held for it, if anything.
 * Nobody else uses it yet. -EPROTO, -ENOMEM, with texts.
 */
void weir_ioas_adopt_function(struct weir_ioas *ioas, uint32_t address_bits);
int weir_ioas_adopted(struct weir_ioas *ioas);
int weir_ioas_adopt_map(struct weir_ioas *ioas, const struct weir_backing *backing, struct weir_held *held,
			const struct weir_slot_map *slot, uint32_t number, struct weir_map **ret_map);

/* ioas.c: it is somebody else's: forget it without a kernel call. The host's lock is held. */
void weir_ioas_let_go(struct weir_ioas *ioas);

/* ioas.c: the mapping that follows @map upwards, or the lowest, or NULL. The lock is held, or a transition is under way. */
struct weir_map *weir_ioas_next_map(const struct weir_ioas *ioas, const struct weir_map *map);

/* The highest mapping, or NULL. */
struct weir_map *weir_ioas_highest_map(const struct weir_ioas *ioas);

/*
 * map.c: map memory that is in order with options that are in order, for the floors above. @source: a mapping of the same in another
 * space, no batch, to be shared, and at the same IOVA if it can be; or NULL.
 */
int weir_ioas_map_backing(struct weir_ioas *ioas, const struct weir_backing *backing, uint64_t len,
			  const struct weir_map_opts *o, const struct weir_map *source,
			  struct weir_map **ret_map);

/* map.c: the same, with something held for it, of which the mapping becomes the only user. */
int weir_ioas_map_held(struct weir_ioas *ioas, const struct weir_backing *backing, struct weir_held *held,
		       uint64_t len, const struct weir_map_opts *o, const struct weir_map *source,
		       struct weir_map **ret_map);

/* map.c: weir_ioas_map() and weir_ioas_map_file(), which take WEIR_MAP_OWN and _TENDED, too. */
int weir_ioas_map_own(struct weir_ioas *ioas, void *addr, size_t len, const struct weir_map_opts *opts,
		      struct weir_map **ret_map);
int weir_ioas_map_own_file(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
			   const struct weir_map_opts *opts, struct weir_map **ret_map);

/*
 * unmap.c: a mapping leaves the table. @lost: the kernel failed to unmap it, and its range is not given back. The lock is held.
 */
void weir_ioas_drop_map(struct weir_ioas *ioas, struct weir_map *map, bool lost);

/* unmap.c: the kernel's part of taking back what is installed there, if the space is live. The error has a text. */
int weir_ioas_take_back(struct weir_ioas *ioas, uint64_t iova, uint64_t len);

/* leaving.c: @map is claimed, hidden, and removed, but can be reached still; this has set out, and arrives. */
int weir_ioas_leave_later(struct weir_ioas *ioas, struct weir_map *map);

/*
 * leaving.c: the same as weir_ioas_sync() for who has set out, or has a transition on, and cannot have devices blocked. If it fails, the next
 * weir_ioas_sync() says so, too, and has them blocked if they still have to be.
 */
int weir_ioas_sync_under_way(struct weir_ioas *ioas);

/* leaving.c: what was removed may be reached still, because a sync failed with @error, and devices could not be blocked; as above. The lock is not held. */
void weir_ioas_owe_sync(struct weir_ioas *ioas, int error);

/* follow.c: from now on @follower is told; and is not any more. The lock is not held. */
void weir_ioas_follow(struct weir_ioas *ioas, struct weir_follower *follower);
void weir_ioas_unfollow(struct weir_ioas *ioas, struct weir_follower *follower);

/* follow.c: tell followers. The first error; all are told. */
int weir_followers_leave(const struct weir_ioas *ioas, uint64_t iova, uint64_t last);
void weir_followers_back(const struct weir_ioas *ioas, uint64_t iova, uint64_t last);

/* unmap.c: mappings could not be ended, which @error says: devices are blocked, where that is wanted. Nothing is under way, and no lock held. Returns
   the error, with its text. */
int weir_ioas_block(struct weir_ioas *ioas, int error);

/* unmap.c: how many bytes are mapped. The lock is not held. */
uint64_t weir_ioas_mapped_bytes(struct weir_ioas *ioas);

/* unmap.c: the kernel failed to unmap something in the range. The lock is not held. */
bool weir_ioas_has_lost(struct weir_ioas *ioas, uint64_t iova, uint64_t last);

/* unmap.c: the mapping that begins at @iova, which there is. The lock is held. */
struct weir_map *weir_ioas_map_at(struct weir_ioas *ioas, uint64_t iova);

/* unmap.c: the lowest mapping that reaches to @iova or lies above it, or NULL. The lock is held. */
struct weir_map *weir_ioas_map_from(struct weir_ioas *ioas, uint64_t iova);

/* ioas.c: choose IOVAs by the geometry that the space has now. The lock is held, and if the space is live, the host's. */
void weir_ioas_follow_geometry(struct weir_ioas *ioas);

/* attach.c: mapping and unmapping wait from the one to the other; what goes on has ended. */
void weir_ioas_begin_transition(struct weir_ioas *ioas);
void weir_ioas_end_transition(struct weir_ioas *ioas);

/*
 * attach.c: an open function comes into the space, leaves it, or moves with its group. The host's lock is held.
 */
int weir_ioas_attach(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits);
int weir_ioas_detach(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits);
int weir_ioas_move(struct weir_ioas *from, struct weir_ioas *to, struct weir_function *function,
		   const uint32_t *address_bits, uint32_t num_functions);

/*
 * The ranges that mappings may lie in: the kernel's while live, else the cautious default. The lock is held.
 */
const struct weir_iova_range *weir_ioas_allowed(const struct weir_ioas *ioas, uint32_t *ret_num);

/* How many address bits a mapping may use. The lock is held. */
static inline uint32_t weir_ioas_address_bits(const struct weir_ioas *ioas)
{
	return ioas->device_bits < ioas->address_bits ? ioas->device_bits : ioas->address_bits;
}

/* The highest address with @bits address bits. */
static inline uint64_t weir_last_address(uint32_t bits)
{
	return bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

/*
 * explain.c: what the kernel meant when it refused @map; an errno as promised in weir/ioas.h, with a text.
 */
int weir_explain_map(struct weir_ioas *ioas, const struct weir_map *map, int error);

/*
 * The same when @map could not be put in force for a function of @group; then the text names the mapping.
 */
int weir_explain_replay(struct weir_ioas *ioas, const struct weir_map *map, uint32_t group, int error);

/*
 * -EADDRINUSE, naming the mapping that lies in a reserved window of @group, if there is one; else @error as it is.
 */
int weir_explain_reserved(const struct weir_ioas *ioas, uint32_t group, int error);

/* explain.c: a mapping that devices may only read, or NULL. The lock is held, or a transition is under way. */
const struct weir_map *weir_ioas_read_only_map(const struct weir_ioas *ioas);

/* -ENOMEM, with what is known of the limit of locked memory. */
int weir_explain_memory(struct weir_ioas *ioas, const struct weir_map *map);

#endif
