// SPDX-License-Identifier: MIT
/* One mapping in several spaces. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "ioas/file.h"
#include "ioas/map.h"
#include "ioas/window.h"

/*
 * @source stays as it is meanwhile, being counted in its space. While a transition is on there, this does not wait: whoever moves a device has
 * one on in both spaces, and waits for this one.
 */
int weir_map_copy(struct weir_ioas *ioas, uint64_t iova, uint64_t len, uint32_t prot,
		  const struct weir_map *source)
{
	struct weir_ioas *from = source->ioas;
	const struct weir_space_ops *ops = ioas->space.ops;
	int error = -EOPNOTSUPP;

	if (!ops->copy || from->host != ioas->host || !weir_gate_try_set_out(&from->gate))
		return error;
	if (from->space.live)
		error = ops->copy(&ioas->space, &from->space, weir_map_start(source), len, iova, prot);
	weir_gate_arrive(&from->gate);
	return error;
}

/* No more than @map allows. */
static int check_prot(const struct weir_map *map, struct weir_map_opts *o)
{
	uint32_t asked = o->flags & (WEIR_MAP_READ | WEIR_MAP_WRITE);

	if (asked & ~map->prot)
		return weir_fail(-EACCES, "the mapping that is to be shared lets devices %s the memory only",
				 map->prot & WEIR_MAP_READ ? "read" : "write");
	if (!asked)
		o->flags |= map->prot & ~WEIR_MAP_KEPT;
	return 0;
}

static int share_batch(const struct weir_map *map, struct weir_ioas *ioas, const struct weir_map_opts *o,
		       struct weir_map **ret_map)
{
	/* All its pieces are its users, and stay. */
	size_t num = atomic_load_explicit(&map->held->users, memory_order_relaxed), i = 0;
	struct weir_map_range *ranges = malloc(num * sizeof(*ranges));
	int error;

	if (!ranges)
		return weir_fail(-ENOMEM, "no memory for sharing a batch of %zu mappings", num);
	for (const struct weir_map *piece = map; piece; piece = weir_map_next_piece(piece, map->held->last))
		ranges[i++] = (struct weir_map_range){ piece->backing.addr, weir_map_size(piece) };
	error = weir_map_pieces(ioas, ranges, num, o, map, ret_map);
	free(ranges);
	return error;
}

static int given_away(void)
{
	return weir_fail(-ESTALE, "the host has been handed over to another process");
}

/* Of a host that is given away meanwhile, the window is lost or gone. */
static int share_window(const struct weir_map *map, struct weir_ioas *ioas, struct weir_map_opts *o,
			struct weir_map **ret_map)
{
	const struct weir_journal *journal = map->ioas->host->kernel.journal;
	struct weir_window *window = weir_window_of(map);
	struct weir_first first = { 0 };

	if (map->held->sinks)
		o->flags |= WEIR_MAP_SINK;
	if (window) {
		weir_first_note(&first, weir_window_map(window, ioas, map->backing.offset, weir_map_size(map),
							o, ret_map));
		weir_first_note(&first, weir_window_put(window));
	}
	if ((first.error || !window) && journal && journal->stale)
		return given_away();
	return weir_first_error(&first);
}

/* The file of a mapping, to be put; NULL: its host was given away, which may be at any moment, and it has ended. */
static struct weir_held *hold_file(const struct weir_map *map)
{
	struct weir_held *held = map->held;

	weir_gate_lock(&map->ioas->gate);
	if (atomic_load_explicit(&held->parked, memory_order_relaxed))
		held = NULL;
	else
		weir_held_get(held);
	weir_gate_unlock(&map->ioas->gate);
	return held;
}

/* What is held belongs to one host, whose journal may be gone before the other's: so that has a descriptor and addresses of its own. */
static int share_file_abroad(const struct weir_map *map, struct weir_ioas *ioas,
			     const struct weir_map_opts *o, struct weir_map **ret_map)
{
	const struct weir_sys *sys = ioas->host->kernel.sys;
	const uint64_t len = weir_map_size(map);
	struct weir_held *theirs = hold_file(map), *held;
	struct weir_backing backing;
	int error;

	if (!theirs)
		return given_away();
	/* Whether the file may shrink was settled when it was mapped first. */
	error = weir_file_open(sys, theirs->fd, map->backing.offset, len, weir_map_prot_of(o), true, &held,
			       &backing);
	if (!error) {
		error = weir_ioas_map_held(ioas, &backing, held, len, o, map, ret_map);
		error = error ? weir_held_close(sys, held, error) : 0;
	}
	/* For a host that went meanwhile. What fails to be unmapped then is left, and does no harm. */
	if (weir_held_put(theirs))
		weir_held_close(sys, theirs, error);
	return error;
}

int weir_map_share(struct weir_map *map, struct weir_ioas *ioas, const struct weir_map_opts *opts,
		   struct weir_map **ret_map)
{
	const struct weir_held *held = map->held;
	struct weir_map_opts o;
	int error = weir_map_read_options(ioas, weir_map_len(map), opts, 0, &o);

	if (!error)
		error = check_prot(map, &o);
	if (error)
		return error;
	if (weir_map_is_of_window(map))
		return share_window(map, ioas, &o, ret_map);
	if (held && held->last)
		return share_batch(map, ioas, &o, ret_map);
	if (held && map->ioas->host->kernel.sys != ioas->host->kernel.sys)
		return weir_fail(-EXDEV, "a file's mapping is shared among hosts with the same system calls");
	if (held && !held->dmabuf && map->ioas->host != ioas->host)
		return share_file_abroad(map, ioas, &o, ret_map);
	return weir_ioas_map_backing(ioas, &map->backing, weir_map_size(map), &o, map, ret_map);
}
