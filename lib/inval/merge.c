// SPDX-License-Identifier: MIT
/* A batch in order: what touches or is there twice becomes one. */
#include "inval/run.h"

#include <stdlib.h>

/* Where an entry stands among those between two commands of the kernel's own. */
static int rank(const struct weir_inval_entry *entry)
{
	switch (entry->kind) {
	case WEIR_INVAL_ALL:
		return 0;
	case WEIR_INVAL_CONTEXT:
		return 1;
	case WEIR_INVAL_RANGE:
		return entry->flags & WEIR_INVAL_NEW ? 3 : 2;
	default:
		return 4;
	}
}

static int either(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_entries(const struct weir_inval_entry *a, const struct weir_inval_entry *b)
{
	int order = either(a->stretch, b->stretch);

	if (!order)
		order = rank(a) - rank(b);
	if (!order)
		order = either(a->id, b->id);
	return order ? order : either(a->iova, b->iova);
}

static int compare(const void *a, const void *b, void *entries)
{
	const struct weir_inval_entry *all = entries;

	return compare_entries(&all[*(const uint32_t *)a], &all[*(const uint32_t *)b]);
}

void weir_inval_sort(struct weir_inval *inval)
{
	bool sorted = true;

	for (uint32_t i = 0; i < inval->num; i++) {
		inval->order[i] = i;
		if (i && compare_entries(&inval->entries[i - 1], &inval->entries[i]) > 0)
			sorted = false;
	}
	if (!sorted)
		qsort_r(inval->order, inval->num, sizeof(*inval->order), compare, inval->entries);
}

/* Does @entry, which stands after what is in @item already, become part of it? */
static bool joins(const struct weir_inval_item *item, const struct weir_inval_entry *entry)
{
	switch (item->kind) {
	case WEIR_INVAL_ALL:
		return entry->kind != WEIR_INVAL_RAW;
	case WEIR_INVAL_CONTEXT:
		return entry->kind == WEIR_INVAL_CONTEXT && entry->id == item->id;
	case WEIR_INVAL_RANGE:
		return entry->kind == WEIR_INVAL_RANGE && entry->id == item->id &&
		       (entry->flags & WEIR_INVAL_NEW) == (item->flags & WEIR_INVAL_NEW) &&
		       (entry->iova <= item->last || entry->iova == item->last + 1);
	default:
		return false;
	}
}

bool weir_inval_item(const struct weir_inval *inval, uint32_t *at, struct weir_inval_item *ret_item)
{
	const struct weir_inval_entry *first, *entry;

	if (*at == inval->num)
		return false;
	first = &inval->entries[inval->order[*at]];
	*ret_item =
		(struct weir_inval_item){ first->iova, first->last, first->id, first->kind, first->flags };
	while (++*at < inval->num) {
		entry = &inval->entries[inval->order[*at]];
		if (entry->stretch != first->stretch || !joins(ret_item, entry))
			break;
		if (entry->last > ret_item->last)
			ret_item->last = entry->last;
		/* Only where none of them is about tables above do these stay. */
		ret_item->flags &= entry->flags;
	}
	return true;
}
