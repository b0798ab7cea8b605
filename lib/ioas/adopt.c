// SPDX-License-Identifier: MIT
/* Mappings that are in force already: put into the table, after checks, without a kernel call. */
#include <errno.h>
#include <inttypes.h>

#include "backend/follow.h"
#include "error.h"
#include "ioas/map.h"

int weir_ioas_adopted(struct weir_ioas *ioas)
{
	const struct weir_follow_ops *ops = ioas->host->kernel.ops->follow;
	/* A space that is made of others goes by these. */
	int error = ioas->space.live && !ioas->space.layer ? ops->look(&ioas->space) : 0;

	if (!error)
		weir_ioas_follow_geometry(ioas);
	return error;
}

static int check(const struct weir_ioas *ioas, const struct weir_slot_map *slot)
{
	const uint32_t both = WEIR_MAP_READ | WEIR_MAP_WRITE;
	const uint64_t mask = ioas->grain - 1;

	if (!slot->len || ((slot->iova | slot->len | slot->offset) & mask) ||
	    slot->iova + (slot->len - 1) < slot->iova || !(slot->prot & both) ||
	    slot->prot & ~(both | WEIR_MAP_OWN))
		return weir_fail(-EPROTO,
				 "the mapping of %#" PRIx64 " bytes at IOVA %#" PRIx64 " cannot be one",
				 slot->len, slot->iova);
	return 0;
}

int weir_ioas_adopt_map(struct weir_ioas *ioas, const struct weir_backing *backing, struct weir_held *held,
			const struct weir_slot_map *slot, uint32_t number, struct weir_map **ret_map)
{
	uint64_t last = slot->iova + (slot->len - 1);
	struct weir_segment *segment;
	struct weir_map *map;
	int error = check(ioas, slot);

	if (error)
		return error;
	error = weir_iova_take_fixed(&ioas->iova, slot->iova, last, &segment);
	if (error)
		return weir_fail(error == -EEXIST ? -EPROTO : error,
				 "the mapping at IOVA %#" PRIx64 "..%#" PRIx64 " lies across another",
				 slot->iova, last);
	if (ioas->addresses && weir_addresses_reserve(ioas, slot->len)) {
		weir_iova_give(&ioas->iova, segment);
		return weir_fail(-ENOMEM, "no memory for finding a mapping");
	}
	map = weir_map_begin(ioas, segment, backing, slot->prot, slot->len);
	map->held = held;
	map->segment.number = number;
	if (held)
		weir_held_get(held);
	if (ioas->addresses)
		weir_addresses_add(ioas, map);
	atomic_store_explicit(&map->state, WEIR_MAP_READY, memory_order_release);
	if (ioas->space.live && ioas->space.geometry.max_mappings < UINT64_MAX)
		ioas->space.geometry.max_mappings++;
	*ret_map = map;
	return 0;
}
