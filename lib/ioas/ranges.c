// SPDX-License-Identifier: MIT
/* Where ranges lead, of any length. */
#include "ioas/ranges.h"

#include <string.h>

/* The words of a slot. Its tag: the first address of the whole range | for which of its frames << 1 | 1. */
enum {
	TAG,
	SPAN, /* its length less 1 */
	TO,   /* where its first byte leads */
	SLOT_WORDS = 4,
	FRAME_SHIFT = 1,
};

static const uint64_t page_mask = ((uint64_t)1 << WEIR_RANGES_PAGE_SHIFT) - 1;

static uint64_t frame_of(uint64_t address, uint32_t class)
{
	return address >> (WEIR_RANGES_PAGE_SHIFT + 3 * class);
}

static uint32_t class_of(uint64_t len)
{
	return (63 - (uint32_t)__builtin_clzll(len >> WEIR_RANGES_PAGE_SHIFT)) / 3;
}

/* How many frames a range touches. */
static uint32_t frames_of(uint64_t first, uint64_t last)
{
	uint32_t class = class_of(last - first + 1);

	return (uint32_t)(frame_of(last, class) - frame_of(first, class)) + 1;
}

uint64_t weir_ranges_slots(uint64_t len)
{
	return frame_of(len - 1, class_of(len)) + 2;
}

static uint64_t tag_of(uint64_t first, uint32_t frame)
{
	return first | (uint64_t)frame << FRAME_SHIFT | WEIR_TAG_USED;
}

static uint64_t first_of(uint64_t tag)
{
	return tag & ~page_mask;
}

static uint64_t key_of(const uint64_t *slot)
{
	uint64_t tag = weir_written(slot + TAG);

	return frame_of(first_of(tag), class_of(weir_written(slot + SPAN) + 1)) +
	       ((tag & page_mask) >> FRAME_SHIFT);
}

void weir_ranges_init(struct weir_ranges *ranges)
{
	memset(ranges, 0, sizeof(*ranges));
	weir_tables_init(&ranges->tables, &ranges->shown, SLOT_WORDS, key_of);
}

void weir_ranges_add(struct weir_ranges *ranges, uint64_t first, uint64_t last, uint64_t to)
{
	uint32_t class = class_of(last - first + 1);

	weir_tables_renew(&ranges->tables);
	for (uint32_t frame = 0; frame < frames_of(first, last); frame++) {
		uint64_t *slot = weir_tables_take(&ranges->tables, frame_of(first, class) + frame);

		weir_write(slot + SPAN, last - first);
		weir_write(slot + TO, to);
		weir_write(slot + TAG, tag_of(first, frame));
	}
	if (!ranges->num[class]++)
		weir_write(&ranges->classes, weir_written(&ranges->classes) | (uint64_t)1 << class);
}

/* The slot with this range at one of its frames, or NULL. @to: where it leads; NULL: wherever. */
static uint64_t *find(const struct weir_ranges *ranges, uint64_t first, uint64_t last, const uint64_t *to,
		      uint32_t frame)
{
	struct weir_search search;
	uint64_t tag;

	if (!ranges->tables.table)
		return NULL;
	search = weir_search_begin(ranges->tables.table, frame_of(first, class_of(last - first + 1)) + frame);
	for (; (tag = weir_search_tag(&search)) != WEIR_TAG_EMPTY; weir_search_next(&search, SLOT_WORDS))
		if (tag == tag_of(first, frame) && weir_written(search.slot + SPAN) == last - first &&
		    (!to || weir_written(search.slot + TO) == *to))
			return search.slot;
	return NULL;
}

bool weir_ranges_exact(const struct weir_ranges *ranges, uint64_t first, uint64_t last, uint64_t *ret_to)
{
	const uint64_t *slot = find(ranges, first, last, NULL, 0);

	if (!slot)
		return false;
	*ret_to = weir_written(slot + TO);
	return true;
}

void weir_ranges_redirect(struct weir_ranges *ranges, uint64_t first, uint64_t last, uint64_t to,
			  uint64_t now_to)
{
	for (uint32_t frame = frames_of(first, last); frame-- > 0;)
		weir_write(find(ranges, first, last, &to, frame) + TO, now_to);
}

void weir_ranges_remove(struct weir_ranges *ranges, uint64_t first, uint64_t last, uint64_t to)
{
	uint32_t class = class_of(last - first + 1);

	for (uint32_t frame = frames_of(first, last); frame-- > 0;)
		weir_tables_drop(&ranges->tables, find(ranges, first, last, &to, frame));
	if (!--ranges->num[class])
		weir_write(&ranges->classes, weir_written(&ranges->classes) & ~((uint64_t)1 << class));
}

/* True when it need not be looked for any more. */
static bool search_frame(const uint64_t *slots, uint64_t address, uint32_t class, uint64_t len,
			 struct weir_lookup_answer *best)
{
	struct weir_search search = weir_search_begin(slots, frame_of(address, class));
	uint64_t tag;

	for (; (tag = weir_search_tag(&search)) != WEIR_TAG_EMPTY; weir_search_next(&search, SLOT_WORDS)) {
		uint64_t offset = address - first_of(tag), span = weir_lookup_read(search.slot + SPAN);

		if (!(tag & WEIR_TAG_USED) || offset > span || span - offset < best->left)
			continue;
		best->to = weir_lookup_read(search.slot + TO) + offset;
		best->left = span - offset + 1;
		if (best->left >= len)
			return true;
	}
	return false;
}

void weir_ranges_search(const struct weir_ranges *ranges, uint64_t address, uint64_t len,
			struct weir_lookup_answer *best)
{
	struct weir_lookup_answer found;
	uint64_t version;

	do {
		uint64_t classes = weir_lookup_read(&ranges->classes);
		const uint64_t *slots;

		found = *best;
		if (!classes)
			return;
		version = weir_lookup_read(&ranges->shown.version);
		slots = __atomic_load_n(&ranges->shown.slots, __ATOMIC_ACQUIRE);
		for (; classes; classes &= classes - 1)
			if (search_frame(slots, address, (uint32_t)__builtin_ctzll(classes), len, &found))
				break;
	} while (!weir_lookup_still(&ranges->shown, version));
	*best = found;
}
