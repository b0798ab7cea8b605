// SPDX-License-Identifier: MIT
/*
 * Mapping: first a look whether the range is free, which also counts the tables that will be needed; then these are made; then nothing can
 * fail any more.
 */
#include <errno.h>
#include <inttypes.h>

#include "error.h"
#include "stage1/stage1.h"

struct mapping {
	struct weir_stage1 *tables;
	uint64_t delta; /* from an IOVA to its IPA */
	uint64_t prot;  /* bits of an entry */
	struct weir_stage1_reserve reserve;
};

/* Does a page of this level take all of the range, which lies in one entry? */
static bool fits(const struct mapping *m, uint64_t iova, uint64_t end, uint32_t level)
{
	return level <= m->tables->largest && weir_level_is_whole(iova, end, level) &&
	       !((iova + m->delta) & (weir_level_size(level) - 1));
}

static void count_table(struct mapping *m, uint32_t level)
{
	if (level)
		m->reserve.upper++;
	else
		m->reserve.last++;
}

/* The tables that a range needs below a table of @level that is still to be made. */
static void count_new(struct mapping *m, uint32_t level, uint64_t iova, uint64_t last)
{
	if (!level)
		return;
	for (uint64_t at = iova, end;; at = end + 1) {
		end = weir_level_end(at, level, last);
		if (!fits(m, at, end, level)) {
			count_table(m, level - 1);
			count_new(m, level - 1, at, end);
		}
		if (end == last)
			return;
	}
}

static int say_mapped(uint64_t iova)
{
	return weir_fail(-EEXIST, "IOVA %#" PRIx64 " is mapped", iova);
}

static int look_at_pages(struct weir_stage1_table *table, uint64_t iova, uint64_t last)
{
	uint32_t from = weir_level_index(iova, 0), to = weir_level_index(last, 0);

	for (uint32_t i = from; i <= to; i++)
		if (weir_entry_read(table, i))
			return say_mapped(iova + (i - from) * WEIR_STAGE1_PAGE);
	return 0;
}

static int look(struct mapping *m, struct weir_stage1_table *table, uint64_t iova, uint64_t last)
{
	if (!table->level)
		return look_at_pages(table, iova, last);
	for (uint64_t at = iova, end;; at = end + 1) {
		uint32_t index = weir_level_index(at, table->level);
		struct weir_stage1_table *below;
		uint64_t entry;
		int error = 0;

		end = weir_level_end(at, table->level, last);
		below = weir_table_step(m->tables, table, index, &entry);
		if (below) {
			error = look(m, below, at, end);
		} else if (entry) {
			error = say_mapped(at);
		} else if (!fits(m, at, end, table->level)) {
			count_table(m, table->level - 1);
			count_new(m, table->level - 1, at, end);
		}
		if (error || end == last)
			return error;
	}
}

static void write_pages(const struct mapping *m, struct weir_stage1_table *table, uint64_t iova,
			uint64_t last)
{
	uint64_t entry = (iova + m->delta) | m->prot | m->tables->bits.page;
	uint32_t to = weir_level_index(last, 0);

	for (uint32_t i = weir_level_index(iova, 0); i <= to; i++, entry += WEIR_STAGE1_PAGE)
		weir_entry_write(table, i, entry);
}

/* What is below an entry may have been made by a neighbour meanwhile. Where a large page fits there are none. */
static void write(struct mapping *m, struct weir_stage1_table *table, uint64_t iova, uint64_t last)
{
	if (!table->level) {
		write_pages(m, table, iova, last);
		return;
	}
	for (uint64_t at = iova, end;; at = end + 1) {
		uint32_t index = weir_level_index(at, table->level);
		struct weir_stage1_table *below = weir_table_below(table, index);

		end = weir_level_end(at, table->level, last);
		if (!below && fits(m, at, end, table->level))
			weir_entry_write(table, index, (at + m->delta) | m->prot | m->tables->bits.block);
		else
			write(m, below ? below : weir_table_make(table, index, &m->reserve), at, end);
		if (end == last)
			return;
	}
}

static int check_output(const struct weir_stage1 *tables, uint64_t ipa, uint64_t len)
{
	uint64_t last = ipa + len - 1;

	if (last < ipa)
		return weir_fail(-EOVERFLOW, "%#" PRIx64 " bytes from IPA %#" PRIx64 " on are beyond 64 bits",
				 len, ipa);
	if (last > tables->output)
		return weir_fail(-ERANGE,
				 "IPAs %#" PRIx64 " to %#" PRIx64 " are beyond the %" PRIu32
				 " output bits of these tables",
				 ipa, last, tables->info.output_bits);
	return 0;
}

static int check(const struct weir_stage1 *tables, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot)
{
	int error = weir_stage1_check_prot(prot);

	if (error)
		return error;
	if (ipa & (WEIR_STAGE1_PAGE - 1))
		return weir_fail(-EINVAL, "IPA %#" PRIx64 " is no multiple of 4096", ipa);
	error = weir_stage1_check(tables, iova, len);
	return error ? error : check_output(tables, ipa, len);
}

/* One page, where there is a table for it: what the general way does, in a few steps. False: it is not like that, or something is wrong. */
static bool is_one_page(const struct weir_stage1 *tables, uint64_t iova, uint64_t ipa, uint64_t len,
			uint32_t prot, _Atomic uint64_t **ret_entry)
{
	_Atomic uint64_t *entry;

	if (len != WEIR_STAGE1_PAGE || (iova | ipa) & (WEIR_STAGE1_PAGE - 1) || ipa > tables->output ||
	    prot > (WEIR_MAP_READ | WEIR_MAP_WRITE) || !weir_stage1_has(tables, iova))
		return false;
	entry = weir_stage1_last(tables, iova);
	if (!entry || atomic_load_explicit(entry, memory_order_relaxed))
		return false;
	*ret_entry = entry;
	return true;
}

static int map_one_page(const struct weir_stage1 *tables, _Atomic uint64_t *entry, uint64_t iova,
			uint64_t ipa, uint32_t prot, struct weir_inval *changes)
{
	if (changes) {
		int error =
			weir_inval_range(changes, iova, WEIR_STAGE1_PAGE, tables->info.asid, WEIR_INVAL_NEW);

		if (error < 0)
			return error;
	}
	atomic_store_explicit(entry, ipa | weir_prot_bits(tables, prot) | tables->bits.page,
			      memory_order_release);
	return 0;
}

static int map_range(struct weir_stage1 *tables, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot,
		     struct weir_inval *changes)
{
	struct mapping m = { .tables = tables, .delta = ipa - iova, .prot = weir_prot_bits(tables, prot) };
	struct weir_stage1_table *start;
	int error = check(tables, iova, ipa, len, prot);

	if (error)
		return error;
	start = weir_stage1_start(tables, iova, iova + len - 1);
	error = look(&m, start, iova, iova + len - 1);
	if (!error && (m.reserve.last || m.reserve.upper))
		error = weir_stage1_reserve(tables, &m.reserve);
	if (error)
		return error;
	if (changes) {
		error = weir_inval_range(changes, iova, len, tables->info.asid, WEIR_INVAL_NEW);
		if (error < 0) {
			weir_stage1_unreserve(&m.reserve);
			return error;
		}
	}
	write(&m, start, iova, iova + len - 1);
	weir_stage1_unreserve(&m.reserve);
	return 0;
}

int weir_stage1_map(struct weir_stage1 *tables, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot,
		    struct weir_inval *changes)
{
	_Atomic uint64_t *entry;

	if (is_one_page(tables, iova, ipa, len, prot, &entry))
		return map_one_page(tables, entry, iova, ipa, prot, changes);
	return map_range(tables, iova, ipa, len, prot, changes);
}
