// SPDX-License-Identifier: MIT
/*
 * Many ranges behind one handle: a block of IOVAs, taken in one piece and then divided. Each piece is a mapping of its own in the table, so that whatever
 * goes through the table need not know of batches; what the pieces hold in common says that they end together.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "ioas/flaw.h"
#include "ioas/map.h"

struct batch {
	const struct weir_map_range *ranges;
	size_t num;
	const struct weir_map_opts *o;
	const struct weir_map *source; /* see weir_map_pieces() */
	uint64_t len, bits; /* of all ranges: their sum; the disjunction of addresses and lengths */
	uint64_t num_pieces;
	struct weir_held *held;
};

/* The piece that begins with range *@at, which is moved on to the next one's first. */
static struct weir_map_range next_piece(const struct batch *batch, size_t *at)
{
	const struct weir_map_range *ranges = batch->ranges;
	struct weir_map_range piece = ranges[(*at)++];

	for (; *at < batch->num && ranges[*at].addr == (char *)piece.addr + piece.len; ++*at)
		piece.len += ranges[*at].len;
	return piece;
}

static void measure(struct batch *batch)
{
	for (size_t i = 0; i < batch->num; batch->num_pieces++) {
		struct weir_map_range piece = next_piece(batch, &i);

		batch->len += piece.len;
		batch->bits |= (uintptr_t)piece.addr | piece.len;
	}
}

/* Pieces that are in the table leave it. The lock is held. */
static void drop(struct weir_ioas *ioas, struct weir_map *first, const struct weir_map *last, bool lost)
{
	for (struct weir_map *piece = first, *next; piece; piece = next) {
		next = weir_map_next_piece(piece, last);
		weir_ioas_drop_map(ioas, piece, lost);
	}
}

/* Divide the block, and enter the pieces. The lock is held. */
static int enter_pieces(struct weir_ioas *ioas, const struct batch *batch, struct weir_segment *segment)
{
	struct weir_held *held = batch->held;
	int error = 0;

	held->first = (struct weir_map *)segment;
	for (size_t i = 0; i < batch->num && !error;) {
		struct weir_map_range range = next_piece(batch, &i);
		const struct weir_backing backing = { .addr = range.addr, .fd = -1 };
		struct weir_segment *rest = NULL;
		uint64_t len;

		if (i < batch->num)
			error = weir_iova_divide(&ioas->iova, segment, range.len, &rest);
		/* Without memory for a border, it is all that is left, for a moment. */
		len = segment->last - segment->node.key + 1;
		held->last = weir_map_begin(ioas, segment, &backing, weir_map_rights_of(batch->o), len);
		held->last->held = held;
		held->last->segment.number = 0;
		if (!error && ioas->space.kernel->journal)
			error = weir_map_note(ioas, held->last);
		segment = rest;
	}
	if (error && segment)
		weir_iova_give(&ioas->iova, segment);
	if (error)
		drop(ioas, held->first, held->last, false);
	if (error == -ENOMEM)
		return weir_fail(error, "no memory for a batch of %" PRIu64 " mappings", batch->num_pieces);
	if (error)
		return error;
	return 0;
}

static void unreserve(struct weir_ioas *ioas, const struct weir_held *held, const struct weir_map *end)
{
	for (struct weir_map *piece = held->first; piece != end && ioas->addresses;
	     piece = weir_map_next_piece(piece, held->last))
		weir_addresses_unreserve(ioas, weir_map_size(piece));
}

/* All pieces can be found by their addresses once they are mapped. The lock is held. */
static int reserve(struct weir_ioas *ioas, const struct weir_held *held)
{
	for (struct weir_map *piece = held->first; piece && ioas->addresses;
	     piece = weir_map_next_piece(piece, held->last)) {
		if (!weir_addresses_reserve(ioas, weir_map_size(piece)))
			continue;
		unreserve(ioas, held, piece);
		return weir_fail(-ENOMEM, "no memory for finding a mapping");
	}
	return 0;
}

/* The kernel counts what it has failed to unmap, too. The lock is held. */
static int check_limit(const struct weir_ioas *ioas, uint64_t num_pieces)
{
	uint64_t limit = ioas->space.live ? ioas->space.geometry.max_mappings : UINT64_MAX;
	uint64_t taken = weir_iova_num_taken(&ioas->iova);
	uint64_t left = taken < limit ? limit - taken : 0;

	if (num_pieces <= left)
		return 0;
	return weir_fail(-ENOSPC,
			 "the batch is %" PRIu64 " mappings; the kernel's limit of %" PRIu64
			 " (vfio_iommu_type1.dma_entry_limit) leaves %" PRIu64
			 ": map fewer, larger pieces, or such as follow each other in memory",
			 num_pieces, limit, left);
}

static int enter_table(struct weir_ioas *ioas, const struct batch *batch)
{
	struct weir_held *held = batch->held;
	struct weir_segment *block;
	int error = check_limit(ioas, batch->num_pieces);

	if (!error)
		error = weir_map_check_grain(ioas, batch->bits);
	if (!error)
		error = weir_map_place(ioas, (uintptr_t)batch->ranges->addr, batch->len, batch->o,
				       batch->source, &block);
	if (!error)
		error = enter_pieces(ioas, batch, block);
	if (error)
		return error;
	error = reserve(ioas, held);
	if (error)
		drop(ioas, held->first, held->last, false);
	return error;
}

/* Which piece it was goes before the reason. */
static int explain(const struct batch *batch, const struct weir_map *piece, int error)
{
	return weir_fail_within(error, "the %#" PRIx64 " bytes at %p, of a batch of %#" PRIx64,
				weir_map_size(piece), piece->backing.addr, batch->len);
}

static int install_piece(struct weir_ioas *ioas, const struct weir_map *piece)
{
	int error;

	if (!ioas->space.live)
		return weir_check_memory(ioas, piece);
	error = ioas->probes && weir_would_take_any(ioas, piece) ? weir_probe_memory(ioas, piece) : 0;
	if (error)
		return error;
	error = ioas->space.ops->install(&ioas->space, &piece->backing, weir_map_size(piece),
					 weir_map_start(piece), piece->prot);
	return error ? weir_explain_map(ioas, piece, error) : 0;
}

/* Piece by piece. *@ret_failed: the one that was refused. */
static int install_pieces(struct weir_ioas *ioas, const struct batch *batch, struct weir_map **ret_failed)
{
	const struct weir_held *held = batch->held;

	for (struct weir_map *piece = held->first; piece; piece = weir_map_next_piece(piece, held->last)) {
		int error = install_piece(ioas, piece);

		if (error) {
			*ret_failed = piece;
			return explain(batch, piece, error);
		}
	}
	return 0;
}

/* A copy has the source's borders. */
static int install(struct weir_ioas *ioas, const struct batch *batch, struct weir_map **ret_failed)
{
	struct weir_map *first = batch->held->first;
	int error = -EOPNOTSUPP;

	if (batch->source && ioas->space.live)
		error = weir_map_copy(ioas, weir_map_start(first), batch->len, first->prot, batch->source);
	if (error == -EOPNOTSUPP)
		return install_pieces(ioas, batch, ret_failed);
	*ret_failed = first;
	return error ? explain(batch, first, weir_explain_map(ioas, first, error)) : 0;
}

/* The kernel refused @failed: what comes before it is taken back. */
static int give_up(struct weir_ioas *ioas, const struct batch *batch, struct weir_map *failed, int error)
{
	const struct weir_held *held = batch->held;
	uint64_t start = weir_map_start(held->first), len = weir_map_start(failed) - start;
	struct weir_first first = { 0 };
	bool lost;

	weir_first_note(&first, error);
	lost = len && weir_ioas_take_back(ioas, start, len);
	weir_first_error(&first);
	if (lost)
		error = weir_fail_within(
			error,
			"the kernel failed to map all of a batch, and then to unmap %#" PRIx64
			" bytes at IOVA %#" PRIx64 ", which devices may still reach",
			len, start);
	weir_gate_lock(&ioas->gate);
	unreserve(ioas, held, NULL);
	if (len)
		drop(ioas, held->first, (struct weir_map *)failed->segment.below, lost);
	drop(ioas, failed, held->last, false);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return lost ? weir_ioas_block(ioas, error) : error;
}

static void announce(struct weir_ioas *ioas, const struct weir_held *held)
{
	weir_gate_lock(&ioas->gate);
	for (struct weir_map *piece = held->first; piece; piece = weir_map_next_piece(piece, held->last)) {
		if (ioas->addresses)
			weir_addresses_add(ioas, piece);
		if (ioas->space.kernel->journal)
			weir_map_mark(piece, WEIR_SLOT_IN_FORCE);
		atomic_store_explicit(&piece->state, WEIR_MAP_READY, memory_order_release);
	}
	weir_gate_unlock_and_arrive(&ioas->gate);
}

/* What has left for the caller may be in the way: it ends now. This has set out; the lock is held, and again at the end. */
static int enter_after_sync(struct weir_ioas *ioas, const struct batch *batch)
{
	int error;

	weir_gate_unlock(&ioas->gate);
	error = weir_ioas_sync_under_way(ioas);
	weir_gate_lock(&ioas->gate);
	return error ? error : enter_table(ioas, batch);
}

static int map_batch(struct weir_ioas *ioas, const struct batch *batch)
{
	struct weir_map *failed = NULL;
	int error;

	weir_gate_lock_and_set_out(&ioas->gate);
	error = enter_table(ioas, batch);
	if (error && ioas->leaving.num)
		error = enter_after_sync(ioas, batch);
	if (error) {
		weir_gate_unlock_and_arrive(&ioas->gate);
		return error;
	}
	weir_gate_unlock(&ioas->gate);
	error = install(ioas, batch, &failed);
	if (error)
		return give_up(ioas, batch, failed, error);
	announce(ioas, batch->held);
	return 0;
}

int weir_map_pieces(struct weir_ioas *ioas, const struct weir_map_range *ranges, size_t num,
		    const struct weir_map_opts *o, const struct weir_map *source, struct weir_map **ret_map)
{
	struct batch batch = { .ranges = ranges, .num = num, .o = o, .source = source };
	struct weir_backing all = { .addr = ranges->addr, .fd = -1 };
	int error;

	measure(&batch);
	if (batch.num_pieces == 1)
		return weir_ioas_map_backing(ioas, &all, batch.len, o, source, ret_map);
	batch.held = malloc(sizeof(*batch.held));
	if (!batch.held)
		return weir_fail(-ENOMEM, "no memory for a batch of mappings");
	*batch.held = (struct weir_held){ .users = batch.num_pieces, .fd = -1 };
	error = map_batch(ioas, &batch);
	if (error)
		free(batch.held);
	else
		*ret_map = batch.held->first;
	return error;
}

static int check_ranges(const struct weir_ioas *ioas, const struct weir_map_range *ranges, size_t num,
			uint64_t *ret_len)
{
	uint64_t len = 0;

	if (!num)
		return weir_fail(-EINVAL, "there are no ranges");
	for (size_t i = 0; i < num; i++) {
		int error = weir_map_check_memory(ioas, ranges[i].addr, ranges[i].len);

		if (!error && __builtin_add_overflow(len, ranges[i].len, &len))
			error = weir_fail(-EOVERFLOW, "the lengths add up to more than there are addresses");
		if (error)
			return weir_fail_within(error, "range %zu of %zu", i, num);
	}
	*ret_len = len;
	return 0;
}

int weir_ioas_map_batch(struct weir_ioas *ioas, const struct weir_map_range *ranges, size_t num,
			const struct weir_map_opts *opts, uint64_t *ret_iovas, struct weir_map **ret_map)
{
	struct weir_map_opts o;
	uint64_t len, iova;
	int error = check_ranges(ioas, ranges, num, &len);

	if (!error)
		error = weir_map_read_options(ioas, len, opts, 0, &o);
	if (!error)
		error = weir_map_pieces(ioas, ranges, num, &o, NULL, ret_map);
	if (error || !ret_iovas)
		return error;
	iova = weir_map_iova(*ret_map);
	for (size_t i = 0; i < num; iova += ranges[i++].len)
		ret_iovas[i] = iova;
	return 0;
}
