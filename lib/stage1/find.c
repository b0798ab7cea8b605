// SPDX-License-Identifier: MIT
/* Asking the tables. Under the lock no table goes away, so that anybody may ask about any address. */
#include <errno.h>
#include <inttypes.h>

#include "error.h"
#include "stage1/stage1.h"

/* How far it goes on from entry @index, which is @entry, up to @limit. */
static uint64_t end_of(const struct weir_stage1_table *table, uint64_t iova, uint64_t entry, uint64_t limit)
{
	const struct weir_stage1 *tables = table->tables;
	uint64_t size = weir_level_size(table->level), end = weir_level_end(iova, table->level, limit);

	for (uint32_t i = weir_level_index(iova, table->level) + 1; end < limit && i < WEIR_STAGE1_ENTRIES;
	     i++) {
		entry += size;
		if (weir_entry_read(table, i) != entry || (table->level && weir_table_below(table, i)) ||
		    !weir_entry_is_page(tables, entry, table->level))
			break;
		end = weir_level_end(end + 1, table->level, limit);
	}
	return end;
}

static void tell(const struct weir_stage1_table *table, uint64_t iova, uint64_t entry, uint64_t limit,
		 struct weir_stage1_stretch *ret_stretch)
{
	const struct weir_stage1_format_bits *bits = &table->tables->bits;
	uint64_t inside = iova & (weir_level_size(table->level) - 1);

	ret_stretch->iova = iova;
	ret_stretch->ipa = (entry & bits->address) + inside;
	ret_stretch->len = end_of(table, iova, entry, limit) - iova + 1;
	ret_stretch->prot =
		(entry & bits->prot_bits) == bits->read ? WEIR_MAP_READ : WEIR_MAP_READ | WEIR_MAP_WRITE;
}

/* From @iova to @last; the stretch goes up to @limit, if it is that long. */
static bool search(const struct weir_stage1_table *table, uint64_t iova, uint64_t last, uint64_t limit,
		   struct weir_stage1_stretch *ret_stretch)
{
	uint32_t level = table->level;

	for (uint64_t at = iova, end;; at = end + 1) {
		uint32_t index = weir_level_index(at, level);
		const struct weir_stage1_table *below = level ? weir_table_below(table, index) : NULL;
		uint64_t entry = weir_entry_read(table, index);

		end = weir_level_end(at, level, last);
		if (below && search(below, at, end, limit, ret_stretch))
			return true;
		if (!below && entry) {
			tell(table, at, entry, limit, ret_stretch);
			return true;
		}
		if (end == last)
			return false;
	}
}

bool weir_stage1_next(const struct weir_stage1 *tables, uint64_t iova, uint64_t last, uint64_t limit,
		      struct weir_stage1_stretch *ret_stretch)
{
	struct weir_stage1 *locked = (struct weir_stage1 *)tables;
	uint64_t high = iova > tables->high ? iova : tables->high;
	bool found = false;

	pthread_mutex_lock(&locked->lock);
	if (iova <= tables->low)
		found = search(tables->root, iova, last < tables->low ? last : tables->low, limit,
			       ret_stretch);
	if (!found && tables->high != UINT64_MAX && last >= high)
		found = search(tables->root, high, last, limit, ret_stretch);
	pthread_mutex_unlock(&locked->lock);
	return found;
}

int weir_stage1_find(const struct weir_stage1 *tables, uint64_t iova, uint64_t *ret_ipa, uint64_t *ret_left,
		     uint32_t *ret_prot)
{
	struct weir_stage1_stretch stretch;

	if (!weir_stage1_next(tables, iova, iova, ret_left ? UINT64_MAX : iova, &stretch))
		return weir_fail(-ENOENT, "IOVA %#" PRIx64 " is not mapped", iova);
	*ret_ipa = stretch.ipa;
	if (ret_left)
		*ret_left = stretch.len;
	if (ret_prot)
		*ret_prot = stretch.prot;
	return 0;
}
