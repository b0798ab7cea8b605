// SPDX-License-Identifier: MIT
/* Mappings of a nested space: a piece of memory in the second stage, and entries of the first that lead there. */
#include <errno.h>
#include <inttypes.h>

#include "error.h"
#include "nested/nested.h"
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
	(void)space;
	return 0;
}

/* What devices remember that was changed is forgotten when this returns, by whoever changed it before. */
int weir_nested_space_run(struct weir_nested_space *nested)
{
	const struct weir_inval_run_opts opts = { .size = sizeof(opts), .policy = nested->opts.policy };
	struct weir_inval *batch;
	int error = 0;

	pthread_mutex_lock(&nested->running);
	pthread_mutex_lock(&nested->lock);
	batch = nested->filled;
	nested->filled = nested->spare;
	pthread_mutex_unlock(&nested->lock);
	if (weir_inval_count(batch)) {
		nested->num_syncs++;
		error = weir_inval_run(batch, nested->domains, nested->num_domains, &opts);
	}
	/* What is not done stays in the batch, and is tried again with the next. */
	nested->spare = batch;
	pthread_mutex_unlock(&nested->running);
	return error;
}

static int sync_space(struct weir_space *space)
{
	struct weir_nested_space *nested = of(space);

	return nested->num_domains ? weir_nested_space_run(nested) : 0;
}

/* A new entry is news to a shadow alone. */
static int enter_entries(struct weir_nested_space *nested, uint64_t iova, uint64_t ipa, uint64_t len,
			 uint32_t prot)
{
	int error;

	if (nested->mode == WEIR_NESTED_HARDWARE)
		return weir_stage1_map(nested->tables, iova, ipa, len, prot, NULL);
	pthread_mutex_lock(&nested->lock);
	error = weir_stage1_map(nested->tables, iova, ipa, len, prot, nested->filled);
	pthread_mutex_unlock(&nested->lock);
	if (error || !nested->num_domains)
		return error;
	error = weir_nested_space_run(nested);
	if (error) {
		pthread_mutex_lock(&nested->lock);
		weir_stage1_unmap(nested->tables, iova, len, nested->filled);
		pthread_mutex_unlock(&nested->lock);
	}
	return error;
}

static int install(struct weir_space *space, const struct weir_backing *backing, uint64_t len, uint64_t iova,
		   uint32_t prot)
{
	struct weir_nested_space *nested = of(space);
	uint64_t ipa;
	int error = weir_pieces_get(&nested->pieces, backing, iova, len, prot, &ipa);

	if (error)
		return error;
	error = enter_entries(nested, iova, ipa, len, rights(prot));
	if (error)
		weir_pieces_put(&nested->pieces, iova, ipa, len, NULL);
	return error;
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
 * can fail. What tells the pieces is read before it goes.
 */
static int remove_entries(struct weir_space *space, uint64_t iova, uint64_t len)
{
	struct weir_nested_space *nested = of(space);
	struct weir_stage1_stretch any;
	int error = -ENOENT;

	pthread_mutex_lock(&nested->lock);
	if (weir_stage1_next(nested->tables, iova, iova + (len - 1), iova + (len - 1), &any))
		error = weir_inval_reserve(nested->filled, 1);
	if (!error) {
		put_pieces(nested, iova, iova + (len - 1));
		error = weir_stage1_unmap(nested->tables, iova, len, nested->filled);
	}
	pthread_mutex_unlock(&nested->lock);
	return error;
}

const struct weir_space_ops weir_nested_ops = {
	.open = space_open,
	.close = weir_nested_space_end,
	.enter = weir_nested_space_enter,
	.commit = weir_nested_space_commit,
	.abandon = weir_nested_space_abandon,
	.leave = weir_nested_space_leave,
	.install = install,
	.remove = remove_entries,
	.sync = sync_space,
};
