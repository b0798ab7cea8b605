// SPDX-License-Identifier: MIT
/*
 * Mappings that were closed, and end together later: where to end one is dear, and to end many costs no more (a nested space, whose hardware is to
 * forget what it remembers). Until then they take their IOVAs.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "ioas/ioas.h"

/* The lock is held. */
static struct weir_map *take_list(struct weir_leaving *leaving)
{
	struct weir_map *list = leaving->first;

	leaving->first = NULL;
	leaving->num = 0;
	leaving->bytes = 0;
	return list;
}

/* The lock is held. */
static void drop_list(struct weir_ioas *ioas, struct weir_map *list, bool lost)
{
	for (struct weir_map *map = list, *next; map; map = next) {
		next = map->twin;
		weir_ioas_drop_map(ioas, map, lost);
	}
}

static int explain(int error)
{
	return weir_fail(
		error,
		"mappings that were closed could not be ended (%s): devices may still reach the memory; "
		"these addresses will not be used again",
		weir_error());
}

int weir_ioas_leave_later(struct weir_ioas *ioas, struct weir_map *map)
{
	struct weir_leaving *leaving = &ioas->leaving;
	bool full;

	weir_gate_lock(&ioas->gate);
	map->twin = leaving->first;
	leaving->first = map;
	leaving->num++;
	leaving->bytes += weir_map_size(map);
	full = leaving->num >= leaving->most ||
	       (leaving->most_bytes && leaving->bytes >= leaving->most_bytes);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return full ? weir_ioas_sync(ioas) : 0;
}

int weir_ioas_sync_held_up(struct weir_ioas *ioas)
{
	struct weir_map *list;
	int error;

	weir_gate_lock(&ioas->gate);
	list = take_list(&ioas->leaving);
	weir_gate_unlock(&ioas->gate);
	if (!list)
		return 0;
	error = ioas->space.ops->sync(&ioas->space);
	weir_gate_lock(&ioas->gate);
	drop_list(ioas, list, error != 0);
	weir_gate_unlock(&ioas->gate);
	return error ? explain(error) : 0;
}

int weir_ioas_sync(struct weir_ioas *ioas)
{
	struct weir_map *list;
	int error;

	if (!ioas->space.ops->sync)
		return 0;
	weir_gate_lock_and_set_out(&ioas->gate);
	list = take_list(&ioas->leaving);
	weir_gate_unlock(&ioas->gate);
	/* Also if there is none: another thread may have taken the list, and is not done with it. */
	error = ioas->space.ops->sync(&ioas->space);
	weir_gate_lock(&ioas->gate);
	drop_list(ioas, list, error != 0);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return error ? weir_ioas_block(ioas, explain(error)) : 0;
}
