// SPDX-License-Identifier: MIT
/*
 * Unmapping, protecting and replacing: first a look at what will change, which counts the tables that blocks have to be divided into; then these are made,
 * and the change is noted in the batch; then nothing can fail any more.
 */
#include <errno.h>
#include <inttypes.h>

#include "error.h"
#include "stage1/stage1.h"

struct change {
	struct weir_stage1 *tables;
	struct weir_inval *batch;
	bool unmaps;
	uint64_t prot;        /* else: the new bits of an entry */
	bool replaces;        /* and the new address: */
	uint64_t distance;    /* what is added to an IOVA */
	uint64_t first, last; /* of what changes; first > last: nothing does */
	bool above;           /* not only entries of pages change */
	struct weir_stage1_reserve reserve;
};

static uint64_t changed(const struct change *c, uint64_t entry, uint64_t iova)
{
	uint64_t kept = entry & ~c->tables->bits.prot_bits;

	if (c->unmaps)
		return 0;
	if (c->replaces)
		kept = (kept & ~c->tables->bits.address) | (iova + c->distance);
	return kept | c->prot;
}

static void note(struct change *c, uint64_t first, uint64_t last)
{
	c->first = first < c->first ? first : c->first;
	c->last = last > c->last ? last : c->last;
}

static int hole(const struct change *c, uint64_t iova)
{
	return c->unmaps ? 0 : weir_fail(-ENOENT, "IOVA %#" PRIx64 " is not mapped", iova);
}

/* The tables that a block of @level needs when only the range in it changes. */
static void count_split(struct change *c, uint32_t level, uint64_t iova, uint64_t last)
{
	uint32_t below = level - 1;

	if (!below) {
		c->reserve.last++;
		return;
	}
	c->reserve.upper++;
	for (uint64_t at = iova, end;; at = end + 1) {
		end = weir_level_end(at, below, last);
		if (!weir_level_is_whole(at, end, below))
			count_split(c, below, at, end);
		if (end == last)
			return;
	}
}

static int look_at_pages(struct change *c, struct weir_stage1_table *table, uint64_t iova, uint64_t last)
{
	for (uint64_t at = iova;; at += WEIR_STAGE1_PAGE) {
		uint64_t entry = weir_entry_read(table, weir_level_index(at, 0));

		if (!entry) {
			int error = hole(c, at);

			if (error)
				return error;
		} else if (changed(c, entry, at) != entry) {
			note(c, at, at + WEIR_STAGE1_PAGE - 1);
		}
		if (last - at < WEIR_STAGE1_PAGE)
			return 0;
	}
}

/* A page in the range, perhaps larger than what of it is in the range. */
static int look_at_page(struct change *c, uint64_t entry, uint32_t level, uint64_t at, uint64_t end)
{
	uint64_t size = weir_level_size(level);
	bool whole = weir_level_is_whole(at, end, level);

	if (c->replaces && (!whole || ((at + c->distance) & (size - 1))))
		return weir_fail(-EOPNOTSUPP,
				 "a page of %#" PRIx64 " bytes at IOVA %#" PRIx64
				 " cannot lead there as a whole",
				 size, at & ~(size - 1));
	if (changed(c, entry, at) == entry)
		return 0;
	if (!whole) {
		count_split(c, level, at, end);
		c->above = true;
	}
	note(c, at & ~(size - 1), at | (size - 1));
	return 0;
}

static int look(struct change *c, struct weir_stage1_table *table, uint64_t iova, uint64_t last)
{
	uint32_t level = table->level;

	if (!level)
		return look_at_pages(c, table, iova, last);
	for (uint64_t at = iova, end;; at = end + 1) {
		struct weir_stage1_table *below;
		uint64_t entry;
		int error = 0;

		end = weir_level_end(at, level, last);
		below = weir_table_step(c->tables, table, weir_level_index(at, level), &entry);
		if (below && c->unmaps && weir_level_is_whole(at, end, level)) {
			c->above = true;
			note(c, at, end);
		} else if (below) {
			error = look(c, below, at, end);
		} else if (entry) {
			error = look_at_page(c, entry, level, at, end);
		} else {
			error = hole(c, at);
		}
		if (error || end == last)
			return error;
	}
}

static void write_pages(const struct change *c, struct weir_stage1_table *table, uint64_t iova, uint64_t last)
{
	uint32_t from = weir_level_index(iova, 0), to = weir_level_index(last, 0);

	for (uint32_t i = from; i <= to; i++) {
		uint64_t entry = weir_entry_read(table, i);

		if (entry)
			weir_entry_write(table, i,
					 changed(c, entry, iova + (uint64_t)(i - from) * WEIR_STAGE1_PAGE));
	}
}

static void write(struct change *c, struct weir_stage1_table *table, uint64_t iova, uint64_t last)
{
	uint32_t level = table->level;

	if (!level) {
		write_pages(c, table, iova, last);
		return;
	}
	for (uint64_t at = iova, end;; at = end + 1) {
		uint32_t index = weir_level_index(at, level);
		struct weir_stage1_table *below;
		uint64_t entry;
		bool whole;

		end = weir_level_end(at, level, last);
		whole = weir_level_is_whole(at, end, level);
		below = weir_table_step(c->tables, table, index, &entry);
		if (below && whole && c->unmaps)
			weir_table_take(table, index, c->batch);
		else if (below)
			write(c, below, at, end);
		else if (entry && whole)
			weir_entry_write(table, index, changed(c, entry, at));
		else if (entry && changed(c, entry, at) != entry)
			write(c, weir_table_split(table, index, &c->reserve, c->batch), at, end);
		if (end == last)
			return;
	}
}

static int run(struct change *c, uint64_t iova, uint64_t len)
{
	uint64_t last = iova + len - 1;
	struct weir_stage1_table *start;
	int error = weir_stage1_check(c->tables, iova, len);

	if (error)
		return error;
	if (!c->batch)
		return weir_fail(-EINVAL, "there is no batch to note the change in");
	start = weir_stage1_start(c->tables, iova, last);
	error = look(c, start, iova, last);
	if (error || c->first > c->last)
		return error;
	if (c->reserve.last || c->reserve.upper) {
		error = weir_stage1_reserve(c->tables, &c->reserve);
		if (error)
			return error;
	}
	error = weir_inval_range(c->batch, c->first, c->last - c->first + 1, c->tables->info.asid,
				 c->above ? 0 : WEIR_INVAL_LEAF);
	if (error >= 0) {
		write(c, start, iova, last);
		error = 0;
	}
	weir_stage1_unreserve(&c->reserve);
	return error;
}

/* What the general way does, in a few steps. */
static int unmap_one_page(struct weir_stage1 *tables, _Atomic uint64_t *entry, uint64_t iova,
			  struct weir_inval *changes)
{
	int error;

	if (!atomic_load_explicit(entry, memory_order_relaxed))
		return 0;
	error = weir_inval_range(changes, iova, WEIR_STAGE1_PAGE, tables->info.asid, WEIR_INVAL_LEAF);
	if (error < 0)
		return error;
	atomic_store_explicit(entry, 0, memory_order_release);
	return 0;
}

static int unmap_range(struct weir_stage1 *tables, uint64_t iova, uint64_t len, struct weir_inval *changes)
{
	struct change c = {
		.tables = tables, .batch = changes, .unmaps = true, .first = UINT64_MAX, .last = 0
	};

	return run(&c, iova, len);
}

int weir_stage1_unmap(struct weir_stage1 *tables, uint64_t iova, uint64_t len, struct weir_inval *changes)
{
	if (len == WEIR_STAGE1_PAGE && !(iova & (WEIR_STAGE1_PAGE - 1)) && changes &&
	    weir_stage1_has(tables, iova)) {
		_Atomic uint64_t *entry = weir_stage1_last(tables, iova);

		if (entry)
			return unmap_one_page(tables, entry, iova, changes);
	}
	return unmap_range(tables, iova, len, changes);
}

int weir_stage1_protect(struct weir_stage1 *tables, uint64_t iova, uint64_t len, uint32_t prot,
			struct weir_inval *changes)
{
	struct change c = { .tables = tables,
			    .batch = changes,
			    .prot = weir_prot_bits(tables, prot),
			    .first = UINT64_MAX,
			    .last = 0 };
	int error = weir_stage1_check_prot(prot);

	return error ? error : run(&c, iova, len);
}

int weir_stage1_replace(struct weir_stage1 *tables, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot,
			struct weir_inval *changes)
{
	struct change c = { .tables = tables,
			    .batch = changes,
			    .prot = weir_prot_bits(tables, prot),
			    .replaces = true,
			    .distance = ipa - iova,
			    .first = UINT64_MAX,
			    .last = 0 };
	int error = weir_stage1_check_prot(prot);

	if (!error)
		error = weir_stage1_check(tables, iova, len);
	if (!error)
		error = weir_stage1_check_output(tables, ipa, len);
	if (error)
		return error;
	if (tables->bits.break_before_make)
		return weir_fail(-EOPNOTSUPP,
				 "the architecture has an entry made invalid before it leads elsewhere");
	return run(&c, iova, len);
}
