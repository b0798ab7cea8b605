// SPDX-License-Identifier: MIT
/* Where ranges lead that are whole frames of 2 MiB. */
#include "ioas/large.h"

#include "ioas/tables.h"

static const uint64_t FRAME = (uint64_t)1 << WEIR_FRAME_SHIFT, frame_mask = FRAME - 1;

static bool suits(uint64_t first, uint64_t last)
{
	return !(first & frame_mask) && (last & frame_mask) == frame_mask &&
	       !(last >> WEIR_PARTS_END_SHIFT) &&
	       (last >> WEIR_FRAME_SHIFT) - (first >> WEIR_FRAME_SHIFT) < WEIR_LOOKUP_FRAMES_LEFT;
}

/* The word of a frame whose part there is. */
static uint64_t *word_of(const struct weir_lookup_view *view, uint64_t address)
{
	return weir_frame_in(weir_part(view, address), address);
}

/* 0: nothing is known. */
static uint64_t written(const struct weir_lookup_view *view, uint64_t address)
{
	return weir_part(view, address) ? weir_written(word_of(view, address)) : 0;
}

/* The words of a range that leads to @to. */
static void write_words(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to)
{
	uint64_t left = (last >> WEIR_FRAME_SHIFT) - (first >> WEIR_FRAME_SHIFT) + 1;

	for (uint64_t at = first; left; left--, at += FRAME)
		weir_write(word_of(view, at), (to - first) | left);
}

bool weir_large_add(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to)
{
	if (!suits(first, last) || !weir_part_make(view, first) || !weir_part_make(view, last))
		return false;
	for (uint64_t at = first; at < last; at += FRAME)
		if (written(view, at))
			return false;
	write_words(view, first, last, to);
	return true;
}

bool weir_large_exact(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t *ret_to)
{
	uint64_t num = (last >> WEIR_FRAME_SHIFT) - (first >> WEIR_FRAME_SHIFT) + 1, word, before;

	if (!suits(first, last))
		return false;
	word = written(view, first);
	before = written(view, first - 1);
	/* It ends here; and it does not begin before. */
	if ((word & WEIR_LOOKUP_FRAMES_LEFT) != num ||
	    ((before & WEIR_LOOKUP_FRAMES_LEFT) && before == word + 1))
		return false;
	*ret_to = weir_lookup_to(word, first);
	return true;
}

static bool is_here(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to)
{
	uint64_t known;

	return weir_large_exact(view, first, last, &known) && known == to;
}

bool weir_large_redirect(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to,
			 uint64_t now_to)
{
	if (!is_here(view, first, last, to))
		return false;
	write_words(view, first, last, now_to);
	return true;
}

bool weir_large_remove(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to)
{
	if (!is_here(view, first, last, to))
		return false;
	for (uint64_t at = first; at < last; at += FRAME)
		weir_write(word_of(view, at), 0);
	return true;
}
