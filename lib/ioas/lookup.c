// SPDX-License-Identifier: MIT
/* Where an address leads: which of the four places a range is in. */
#include "ioas/lookup.h"

#include <string.h>

/* A place with two empty slots, so that who looks for a page need not ask whether there is a table. */
static const _Alignas(64) uint64_t no_slots[8] = { [3] = 1 };

const struct weir_lookup_view weir_lookup_nothing = { .pages.slots = &no_slots[4] };

void weir_lookup_init(struct weir_lookup *lookup)
{
	memset(lookup, 0, sizeof(*lookup));
	lookup->view = weir_lookup_nothing;
	weir_pages_init(&lookup->pages, &lookup->view.pages);
	weir_ranges_init(&lookup->ranges);
}

void weir_lookup_finish(struct weir_lookup *lookup)
{
	weir_dense_finish(&lookup->view);
	weir_parts_finish(&lookup->view);
	weir_tables_finish(&lookup->pages);
	weir_tables_finish(&lookup->ranges.tables);
	weir_lookup_init(lookup);
}

static bool is_short(uint64_t len)
{
	return len >> WEIR_PAGES_SHIFT <= WEIR_PAGES_MOST;
}

/* Where there is no place for it among the frames, it is a range like others: so there is always room for that. */
int weir_lookup_reserve(struct weir_lookup *lookup, uint64_t len)
{
	if (is_short(len))
		return weir_tables_reserve(&lookup->pages, len >> WEIR_PAGES_SHIFT);
	return weir_tables_reserve(&lookup->ranges.tables, weir_ranges_slots(len));
}

void weir_lookup_unreserve(struct weir_lookup *lookup, uint64_t len)
{
	if (is_short(len))
		weir_tables_unreserve(&lookup->pages, len >> WEIR_PAGES_SHIFT);
	else
		weir_tables_unreserve(&lookup->ranges.tables, weir_ranges_slots(len));
}

static void add_short(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to)
{
	lookup->num_pages += ((last - first) >> WEIR_PAGES_SHIFT) + 1;
	if (!weir_dense_add(&lookup->dense, &lookup->view, lookup->num_pages, first, last, to))
		weir_pages_add(&lookup->pages, first, last, to);
}

void weir_lookup_add(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to)
{
	weir_lookup_unreserve(lookup, last - first + 1);
	if (is_short(last - first + 1))
		add_short(lookup, first, last, to);
	else if (!weir_large_add(&lookup->view, first, last, to))
		weir_ranges_add(&lookup->ranges, first, last, to);
}

bool weir_lookup_exact(const struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t *ret_to)
{
	if (is_short(last - first + 1))
		return weir_dense_exact(&lookup->view, first, last, ret_to) ||
		       weir_pages_exact(&lookup->pages, first, last, ret_to);
	return weir_large_exact(&lookup->view, first, last, ret_to) ||
	       weir_ranges_exact(&lookup->ranges, first, last, ret_to);
}

/* Only a word for a page cannot lead anywhere; its range moves where it can, and is found there before it is gone here. */
void weir_lookup_add_twin(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to,
			  uint64_t other)
{
	weir_lookup_unreserve(lookup, last - first + 1);
	if (!is_short(last - first + 1) || !weir_dense_is_here(&lookup->view, first, last, to) ||
	    weir_dense_can_lead(&lookup->dense, &lookup->view, other, other + (last - first)))
		return;
	weir_pages_add(&lookup->pages, first, last, to);
	weir_dense_remove(&lookup->dense, &lookup->view, first, last, to);
}

void weir_lookup_redirect(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to,
			  uint64_t now_to)
{
	if (is_short(last - first + 1)) {
		if (!weir_dense_redirect(&lookup->dense, &lookup->view, first, last, to, now_to))
			weir_pages_redirect(&lookup->pages, first, last, to, now_to);
	} else if (!weir_large_redirect(&lookup->view, first, last, to, now_to)) {
		weir_ranges_redirect(&lookup->ranges, first, last, to, now_to);
	}
}

static void remove_short(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to)
{
	lookup->num_pages -= ((last - first) >> WEIR_PAGES_SHIFT) + 1;
	if (!weir_dense_remove(&lookup->dense, &lookup->view, first, last, to))
		weir_pages_remove(&lookup->pages, first, last, to);
}

void weir_lookup_remove(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to)
{
	if (is_short(last - first + 1))
		remove_short(lookup, first, last, to);
	else if (!weir_large_remove(&lookup->view, first, last, to))
		weir_ranges_remove(&lookup->ranges, first, last, to);
}

/* The first look once more: what is known of the frame, or of the page by that. */
static struct weir_lookup_answer search_frame(const struct weir_lookup_view *view, uint64_t address)
{
	uint64_t word = weir_lookup_frame(view, address);
	uint32_t dense;

	if (word & WEIR_LOOKUP_FRAMES_LEFT)
		return (struct weir_lookup_answer){ .left = weir_large_left(word, address),
						    .to = weir_lookup_to(word, address) };
	dense = weir_lookup_dense(word, address);
	if (!dense)
		return (struct weir_lookup_answer){ 0 };
	return (struct weir_lookup_answer){
		.left = weir_lookup_left(dense >> 2, WEIR_LOOKUP_PAGES_LEFT, WEIR_PAGES_SHIFT, address),
		.to = weir_lookup_dense_to(view, dense, address),
	};
}

bool weir_lookup_search(const struct weir_lookup *lookup, uint64_t address, uint64_t len,
			struct weir_lookup_answer *ret_answer)
{
	struct weir_lookup_answer best = search_frame(&lookup->view, address);
	uint64_t word;

	if (!best.left || best.left < len) {
		word = weir_pages_search(&lookup->view.pages, address, len);
		if (word && weir_page_left(word, address) > best.left) {
			best.left = weir_page_left(word, address);
			best.to = weir_lookup_to(word, address);
		}
	}
	if (!best.left || best.left < len)
		weir_ranges_search(&lookup->ranges, address, len, &best);
	*ret_answer = best;
	return best.left;
}
