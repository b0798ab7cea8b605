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
#include "ioas/watch.h"

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

/* Also if there is nothing on the list: another thread may have taken it, and is not done with it. */
static int end_list(struct weir_ioas *ioas)
{
	struct weir_map *list;
	int error;

	weir_gate_lock(&ioas->gate);
	list = take_list(&ioas->leaving);
	weir_gate_unlock(&ioas->gate);
	error = ioas->space.ops->sync(&ioas->space);
	weir_gate_lock(&ioas->gate);
	drop_list(ioas, list, error != 0);
	weir_gate_unlock(&ioas->gate);
	return error ? explain(error) : 0;
}

void weir_ioas_owe_sync(struct weir_ioas *ioas, int error)
{
	weir_gate_lock(&ioas->gate);
	ioas->leaving.error = error;
	weir_gate_unlock(&ioas->gate);
}

static int take_owed(struct weir_ioas *ioas)
{
	int error;

	weir_gate_lock(&ioas->gate);
	error = ioas->leaving.error;
	ioas->leaving.error = 0;
	weir_gate_unlock(&ioas->gate);
	return error;
}

int weir_ioas_sync_under_way(struct weir_ioas *ioas)
{
	int error = ioas->leaving.num ? end_list(ioas) : 0;

	if (error)
		weir_ioas_owe_sync(ioas, error);
	return error;
}

int weir_ioas_sync(struct weir_ioas *ioas)
{
	int error, owed;

	if (!ioas->space.ops->sync)
		return 0;
	weir_gate_set_out(&ioas->gate);
	error = end_list(ioas);
	owed = take_owed(ioas);
	weir_gate_arrive(&ioas->gate);
	if (error)
		return weir_ioas_block(ioas, error);
	if (owed)
		return weir_fail(
			owed,
			"mappings that were closed could not be ended when devices came or went, or memory "
			"was "
			"mapped: their addresses will not be used again. By now no device reaches them");
	return 0;
}

int weir_ioas_block(struct weir_ioas *ioas, int error)
{
	struct weir_first first = { 0 };
	int blocked;

	if (!ioas->space.ops->block)
		return error;
	if (weir_watches_tell_here()) {
		weir_ioas_owe_sync(ioas, error);
		return error;
	}
	weir_first_note(&first, error);
	blocked = ioas->space.ops->block(&ioas->space);
	weir_first_error(&first);
	if (blocked && blocked != -EOPNOTSUPP)
		weir_error_prefix("devices could not be blocked, either (%s), after", strerror(-blocked));
	else if (!blocked)
		weir_error_prefix("the DMA of the space's devices is blocked now, after");
	return error;
}
