// SPDX-License-Identifier: MIT
/* Where short ranges lead. */
#include "ioas/pages.h"

enum { SLOT_WORDS = 2, BEFORE_SHIFT = 3, PAGE = 1 << WEIR_PAGES_SHIFT };

static uint64_t tag_of(uint64_t address)
{
	return address >> WEIR_PAGES_SHIFT << 1 | WEIR_TAG_USED;
}

static uint64_t key_of(const uint64_t *slot)
{
	return weir_written(slot);
}

void weir_pages_init(struct weir_tables *pages, struct weir_lookup_table *shown)
{
	weir_tables_init(pages, shown, SLOT_WORDS, key_of);
}

/* The word of the page at @at of a range. */
static uint64_t word_of(uint64_t first, uint64_t last, uint64_t to, uint64_t at)
{
	return (to - first) | ((at - first) >> WEIR_PAGES_SHIFT << BEFORE_SHIFT) |
	       (((last - at) >> WEIR_PAGES_SHIFT) + 1);
}

void weir_pages_add(struct weir_tables *pages, uint64_t first, uint64_t last, uint64_t to)
{
	weir_tables_renew(pages);
	for (uint64_t left = last - first + 1, at = first; left; left -= PAGE, at += PAGE) {
		uint64_t *slot = weir_tables_take(pages, tag_of(at));

		weir_write(slot + 1, word_of(first, last, to, at));
		weir_write(slot, tag_of(at));
	}
}

/* The slot of this page whose word agrees with @word in the bits of @mask; NULL: there is none. */
static uint64_t *find(const struct weir_tables *pages, uint64_t at, uint64_t word, uint64_t mask)
{
	struct weir_search search;
	uint64_t tag;

	if (!pages->table)
		return NULL;
	search = weir_search_begin(pages->table, tag_of(at));
	for (; (tag = weir_search_tag(&search)) != WEIR_TAG_EMPTY; weir_search_next(&search, SLOT_WORDS))
		if (tag == tag_of(at) && !((weir_written(search.slot + 1) ^ word) & mask))
			return search.slot;
	return NULL;
}

bool weir_pages_exact(const struct weir_tables *pages, uint64_t first, uint64_t last, uint64_t *ret_to)
{
	const uint64_t *slot = find(pages, first, word_of(first, last, first, first), PAGE - 1);

	if (!slot)
		return false;
	*ret_to = weir_lookup_to(weir_written(slot + 1), first);
	return true;
}

void weir_pages_redirect(struct weir_tables *pages, uint64_t first, uint64_t last, uint64_t to,
			 uint64_t now_to)
{
	for (uint64_t left = last - first + 1, at = first; left; left -= PAGE, at += PAGE)
		weir_write(find(pages, at, word_of(first, last, to, at), UINT64_MAX) + 1,
			   word_of(first, last, now_to, at));
}

void weir_pages_remove(struct weir_tables *pages, uint64_t first, uint64_t last, uint64_t to)
{
	for (uint64_t left = last - first + 1, at = first; left; left -= PAGE, at += PAGE)
		weir_tables_drop(pages, find(pages, at, word_of(first, last, to, at), UINT64_MAX));
}

/* The best word of the table's. */
static uint64_t best_of(const uint64_t *slots, uint64_t address, uint64_t len)
{
	struct weir_search search = weir_search_begin(slots, tag_of(address));
	uint64_t best = 0, tag;

	for (; (tag = weir_search_tag(&search)) != WEIR_TAG_EMPTY; weir_search_next(&search, SLOT_WORDS)) {
		uint64_t word = tag == tag_of(address) ? weir_lookup_read(search.slot + 1) : 0;

		if ((word & WEIR_PAGES_MOST) > (best & WEIR_PAGES_MOST))
			best = word;
		if (best && weir_page_left(best, address) >= len)
			break;
	}
	return best;
}

uint64_t weir_pages_search(const struct weir_lookup_table *shown, uint64_t address, uint64_t len)
{
	uint64_t version, best;

	do {
		version = weir_lookup_read(&shown->version);
		best = best_of(__atomic_load_n(&shown->slots, __ATOMIC_ACQUIRE), address, len);
	} while (!weir_lookup_still(shown, version));
	return best;
}
