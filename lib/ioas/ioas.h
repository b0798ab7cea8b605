/* SPDX-License-Identifier: MIT */
/* An address space and its table of mappings, as the floors above see them. */
#ifndef WEIR_LIB_IOAS_H
#define WEIR_LIB_IOAS_H

#include "host/host.h"
#include "ioas/iova.h"

struct weir_ioas {
	struct weir_host *host;
	struct weir_space space;

	/* Guards what follows; taken after the host's lock, and not held through system calls. */
	pthread_mutex_t lock;
	/*
	 * Mappings in the making and in removal are under way without the lock. A device's coming or going
	 * (a transition) waits until none is, and holds up new ones until it is over.
	 */
	pthread_cond_t calm;
	uint32_t under_way;
	bool in_transition;

	struct weir_iova iova;
	struct weir_tree maps; /* by IOVA */
	uint64_t num_maps, lost_bytes;
	_Atomic uint64_t mapped_bytes; /* also read without the lock, to explain a failure */

	uint32_t address_bits;       /* of the space alone */
	uint32_t device_bits;        /* the fewest of an attached device's, or 64 */
	uint32_t narrow_devices[65]; /* how many attached devices have that many address bits */
	uint64_t page_size;          /* of the processor's */
};

enum weir_map_state {
	WEIR_MAP_PENDING, /* its system call is under way */
	WEIR_MAP_READY,
	WEIR_MAP_LEAVING, /* its removal is under way */
};

struct weir_map {
	struct weir_tree_node node; /* first; its key is the IOVA */
	struct weir_ioas *ioas;
	void *addr;
	uint64_t len;
	uint32_t prot; /* WEIR_MAP_READ, _WRITE */
	enum weir_map_state state;
};

static inline uint64_t weir_map_last(const struct weir_map *map)
{
	return map->node.key + (map->len - 1);
}

/* The first mapping that begins at or above @iova, or NULL. */
static inline struct weir_map *weir_ioas_next_map(const struct weir_ioas *ioas, uint64_t iova)
{
	return (struct weir_map *)weir_tree_at_or_above(&ioas->maps, iova);
}

/*
 * attach.c: an open function comes into the space, leaves it, or moves with its group. The host's lock is held.
 */
int weir_ioas_attach(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits);
int weir_ioas_detach(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits);
int weir_ioas_move(struct weir_ioas *from, struct weir_ioas *to, struct weir_function *function,
		   const uint32_t *address_bits, uint32_t num_functions);

/* ioas.c: wait until no transition is under way. The lock is held, and let go of meanwhile. */
void weir_ioas_wait_for_calm(struct weir_ioas *ioas);

/* ioas.c: how many address bits a mapping may use. The lock is held. */
uint32_t weir_ioas_address_bits(const struct weir_ioas *ioas);

/*
 * The ranges that mappings may lie in: the kernel's while live, else the cautious default. The lock is held.
 */
const struct weir_iova_range *weir_ioas_allowed(const struct weir_ioas *ioas, uint32_t *ret_num);

/* The highest address with @bits address bits. */
static inline uint64_t weir_last_address(uint32_t bits)
{
	return bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

/*
 * explain.c: what the kernel meant when it refused @map; an errno as promised in weir/ioas.h, with a text.
 */
int weir_explain_map(const struct weir_ioas *ioas, const struct weir_map *map, int error);

/*
 * The same when @map could not be put in force for a function of @group; then the text names the mapping.
 */
int weir_explain_replay(const struct weir_ioas *ioas, const struct weir_map *map, uint32_t group, int error);

/*
 * -EADDRINUSE, naming the mapping that lies in a reserved window of @group, if there is one; else @error as it is.
 */
int weir_explain_reserved(const struct weir_ioas *ioas, uint32_t group, int error);

/* Whether memory could be mapped, as far as that can be seen without a device. */
int weir_check_memory(const struct weir_ioas *ioas, const struct weir_map *map);

#endif
