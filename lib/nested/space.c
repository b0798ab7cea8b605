// SPDX-License-Identifier: MIT
/* Mappings of a nested space: a piece of memory in the second stage, and entries of the first that lead there. */
#include <errno.h>
#include <stdlib.h>
#include <inttypes.h>

#include "error.h"
#include "nested/nested.h"
#include "shadow/shadow.h"
#include "stage1/stage1.h"

static struct weir_nested_space *of(struct weir_space *space)
{
	return space->layer;
}

static uint32_t rights(uint32_t prot)
{
	return prot & (WEIR_MAP_READ | WEIR_MAP_WRITE);
}

static int space_open(struct weir_space *space)
{
	weir_nested_space_note(space);
	return 0;
}

static bool is_stale(const uint32_t *states, uint32_t num)
{
	for (uint32_t i = 0; i < num; i++)
		if (states[i] == WEIR_INVAL_STALE)
			return true;
	return false;
}

/* What is not done stays in the batch. Running is held. */
static int run_batch(struct weir_nested_space *nested, struct weir_inval *batch)
{
	uint32_t states[WEIR_NESTED_MOST_DOMAINS] = { 0 };
	/* The host's lock, which quarantine takes, may be held by who waits for this. */
	const struct weir_inval_run_opts opts = { .size = sizeof(opts),
						  .policy = nested->opts.policy == WEIR_INVAL_QUARANTINE
								    ? WEIR_INVAL_ESCALATE
								    : nested->opts.policy,
						  .ret_states = states };
	int error;

	if (!weir_inval_count(batch))
		return 0;
	nested->num_syncs++;
	error = weir_inval_run(batch, nested->domains, nested->num_domains, &opts);
	return error == -EIO && !is_stale(states, nested->num_domains) ? 0 : error;
}

/*
 * What devices remember that was changed is forgotten when this returns 0, by whoever changed it before: also what an earlier run could not do, which
 * is in the spare batch, and comes first.
 */
int weir_nested_space_run(struct weir_nested_space *nested)
{
	int error;

	pthread_mutex_lock(&nested->running);
	error = run_batch(nested, nested->spare);
	if (!error) {
		struct weir_inval *batch;

		pthread_mutex_lock(&nested->lock);
		batch = nested->filled;
		nested->filled = nested->spare;
		pthread_mutex_unlock(&nested->lock);
		error = run_batch(nested, batch);
		nested->spare = batch;
	}
	pthread_mutex_unlock(&nested->running);
	return error;
}

/* What could not be made to forget has no devices any more that could use it. */
static int block(struct weir_space *space)
{
	struct weir_nested_space *nested = of(space);
	int error = 0;

	if (nested->opts.policy != WEIR_INVAL_QUARANTINE)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&nested->host->lock);
	for (uint32_t i = 0; i < nested->num_domains; i++) {
		int failed = weir_domain_quarantine(nested->domains[i]);

		error = error ? error : failed;
	}
	pthread_mutex_unlock(&nested->host->lock);
	return error;
}

static int sync_space(struct weir_space *space)
{
	struct weir_nested_space *nested = of(space);

	return nested->num_domains ? weir_nested_space_run(nested) : 0;
}

static bool is_within(const struct weir_geometry *geometry, uint64_t iova, uint64_t last)
{
	for (uint32_t i = 0; i < geometry->num_ranges; i++)
		if (geometry->ranges[i].start <= iova && last <= geometry->ranges[i].last)
			return true;
	return false;
}

bool weir_nested_space_fits(const struct weir_nested_space *nested, const struct weir_map *map)
{
	return is_within(&nested->ioas->space.geometry, weir_map_start(map), weir_map_last(map));
}

/* The pieces that the range leads to, when what is in the batch by then is done. The lock is held. */
static void put_pieces(struct weir_nested_space *nested, uint64_t iova, uint64_t last)
{
	struct weir_stage1_stretch stretch;

	while (weir_stage1_next(nested->tables, iova, last, last, &stretch)) {
		weir_pieces_put(&nested->pieces, stretch.iova, stretch.ipa, stretch.len, nested->filled);
		if (last - stretch.iova < stretch.len)
			break;
		iova = stretch.iova + stretch.len;
	}
}

/*
 * Mappings are removed whole, and no page of the tables is of two; so no page is divided, and with room for one entry in the batch nothing
 * can fail. What tells the pieces is read before it goes. The lock is held.
 */
static int remove_range(struct weir_nested_space *nested, uint64_t iova, uint64_t last)
{
	struct weir_stage1_stretch any;
	int error;

	if (!weir_stage1_next(nested->tables, iova, last, last, &any))
		return -ENOENT;
	error = weir_inval_reserve(nested->filled, 1);
	if (error)
		return error;
	put_pieces(nested, iova, last);
	return weir_stage1_unmap(nested->tables, iova, last - iova + 1, nested->filled);
}

/* What is between the ranges that can be mapped is none of the space's, though the tables may have something there. */
static int try_to_remove(struct weir_space *space, uint64_t iova, uint64_t len)
{
	struct weir_nested_space *nested = of(space);
	const struct weir_geometry *geometry = &space->geometry;
	const uint64_t last = iova + (len - 1);
	int error = -ENOENT;

	pthread_mutex_lock(&nested->lock);
	for (uint32_t i = 0; i < geometry->num_ranges && (!error || error == -ENOENT); i++) {
		const struct weir_iova_range *range = &geometry->ranges[i];
		uint64_t from = range->start > iova ? range->start : iova;
		uint64_t to = range->last < last ? range->last : last;
		int removed = from <= to ? remove_range(nested, from, to) : -ENOENT;

		error = removed == -ENOENT ? error : removed;
	}
	pthread_mutex_unlock(&nested->lock);
	return error;
}

/* If the batch has no room for it, because much is deferred or for want of memory, the one that takes its place has. */
static int remove_entries(struct weir_space *space, uint64_t iova, uint64_t len)
{
	int error = try_to_remove(space, iova, len);

	if (error != -ENOSPC && error != -ENOMEM)
		return error;
	error = weir_nested_space_run(of(space));
	return error ? error : try_to_remove(space, iova, len);
}

/*
 * New entries, of which hardware need not hear. A shadow follows them at once, so that it can say what is wrong; then they go as any do, and the
 * pieces when the shadow has forgotten them. If not even that can be, both stay.
 */
static int enter_entries(struct weir_space *space, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot)
{
	struct weir_nested_space *nested = of(space);
	struct weir_first first = { 0 };
	bool stale;
	int error = weir_stage1_map(nested->tables, iova, ipa, len, prot, NULL);

	if (error) {
		weir_pieces_put(&nested->pieces, iova, ipa, len, NULL);
		return error;
	}
	if (nested->mode == WEIR_NESTED_HARDWARE)
		return 0;
	error = weir_shadow_follow_domain(nested->domains[0], iova, iova + (len - 1), &stale);
	if (!error)
		return 0;
	weir_first_note(&first, error);
	if (!remove_entries(space, iova, len))
		weir_nested_space_run(nested);
	return weir_first_error(&first);
}

/* Mappings from before there was a device may lie anywhere: then the error is what the kernel would say. */
static int install(struct weir_space *space, const struct weir_backing *backing, uint64_t len, uint64_t iova,
		   uint32_t prot)
{
	struct weir_nested_space *nested = of(space);
	uint64_t ipa;
	int error;

	if (!is_within(&space->geometry, iova, iova + (len - 1)))
		return -EINVAL;
	error = weir_pieces_get(&nested->pieces, backing, iova, len, prot & ~WEIR_MAP_KEPT, &ipa);
	return error ? error : enter_entries(space, iova, ipa, len, rights(prot));
}

/* What a range leads to, remembered while that is replaced. */
struct stretches {
	struct weir_stage1_stretch *list;
	size_t num;
};

/* The lock is held. */
static int remember(struct weir_nested_space *nested, uint64_t iova, uint64_t last, struct stretches *ret)
{
	struct weir_stage1_stretch stretch, *more;

	*ret = (struct stretches){ 0 };
	while (weir_stage1_next(nested->tables, iova, last, last, &stretch)) {
		more = realloc(ret->list, (ret->num + 1) * sizeof(*more));
		if (!more) {
			free(ret->list);
			return weir_fail(-ENOMEM, "no memory for replacing what a range leads to");
		}
		ret->list = more;
		ret->list[ret->num++] = stretch;
		if (last - stretch.iova < stretch.len)
			break;
		iova = stretch.iova + stretch.len;
	}
	return 0;
}

static int replace_entries(struct weir_nested_space *nested, uint64_t iova, uint64_t ipa, uint64_t len,
			   uint32_t prot)
{
	struct stretches old;
	int error = remember(nested, iova, iova + (len - 1), &old);

	if (error)
		return error;
	error = weir_stage1_replace(nested->tables, iova, ipa, len, prot, nested->filled);
	for (size_t i = 0; i < old.num && !error; i++)
		weir_pieces_put(&nested->pieces, old.list[i].iova, old.list[i].ipa, old.list[i].len,
				nested->filled);
	free(old.list);
	return error;
}

/* Entries that are there change in one store each. A shadow cannot do that. */
static int replace(struct weir_space *space, const struct weir_backing *backing, uint64_t len, uint64_t iova,
		   uint32_t prot)
{
	struct weir_nested_space *nested = of(space);
	uint64_t ipa;
	int error;

	if (nested->mode != WEIR_NESTED_HARDWARE)
		return -EOPNOTSUPP;
	error = weir_pieces_get(&nested->pieces, backing, iova, len, prot & ~WEIR_MAP_KEPT, &ipa);
	if (error)
		return error;
	pthread_mutex_lock(&nested->lock);
	error = replace_entries(nested, iova, ipa, len, rights(prot));
	pthread_mutex_unlock(&nested->lock);
	if (error) {
		weir_pieces_put(&nested->pieces, iova, ipa, len, NULL);
		return error;
	}
	return weir_nested_space_run(nested);
}

const struct weir_space_ops weir_nested_ops = {
	.open = space_open,
	.close = weir_nested_space_end,
	.let_go = weir_nested_space_let_go,
	.enter = weir_nested_space_enter,
	.commit = weir_nested_space_commit,
	.abandon = weir_nested_space_abandon,
	.leave = weir_nested_space_leave,
	.install = install,
	.remove = remove_entries,
	.sync = sync_space,
	.block = block,
	.replace = replace,
};
