// SPDX-License-Identifier: MIT
/* Where ranges lead that are whole frames of 2 MiB. */
#include "ioas/large.h"

#include "ioas/tables.h"

#include <sys/mman.h>

enum { PART_BYTES = WEIR_LARGE_PER_PART * sizeof(uint64_t) };

static const uint64_t frame_mask = ((uint64_t)1 << WEIR_LARGE_SHIFT) - 1;

/* The words of the part that a frame below the end is in; NULL: there are none yet. */
static uint64_t *part_of(const struct weir_lookup_view *view, uint64_t frame)
{
	return (uint64_t *)__atomic_load_n(&view->parts[frame / WEIR_LARGE_PER_PART], __ATOMIC_RELAXED);
}

void weir_large_finish(struct weir_lookup_view *view)
{
	for (uint64_t frame = 0; frame >> (WEIR_LARGE_END_SHIFT - WEIR_LARGE_SHIFT) == 0;
	     frame += WEIR_LARGE_PER_PART)
		if (part_of(view, frame))
			munmap(part_of(view, frame), PART_BYTES);
}

static bool suits(uint64_t first, uint64_t last)
{
	return !(first & frame_mask) && (last & frame_mask) == frame_mask &&
	       !(last >> WEIR_LARGE_END_SHIFT) &&
	       (last >> WEIR_LARGE_SHIFT) - (first >> WEIR_LARGE_SHIFT) < WEIR_LARGE_MOST;
}

/* The word of a frame whose part there is. */
static uint64_t *word_of(const struct weir_lookup_view *view, uint64_t frame)
{
	return &part_of(view, frame)[frame % WEIR_LARGE_PER_PART];
}

/* Small pages: a part that is hardly used takes little memory, and one that is full no more than a word for each frame. */
static bool make_part(struct weir_lookup_view *view, uint64_t frame)
{
	uint64_t *words = part_of(view, frame);

	if (words)
		return true;
	words = mmap(NULL, PART_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	if (words == MAP_FAILED)
		return false;
	__atomic_store_n(&view->parts[frame / WEIR_LARGE_PER_PART], words, __ATOMIC_RELEASE);
	return true;
}

/* The words of a range that leads to @to. */
static void write_words(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to)
{
	uint64_t frame = first >> WEIR_LARGE_SHIFT, left = (last >> WEIR_LARGE_SHIFT) - frame + 1;

	for (; left; left--, frame++)
		__atomic_store_n(word_of(view, frame), (to - first) | left, __ATOMIC_RELEASE);
}

bool weir_large_add(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to)
{
	uint64_t begin = first >> WEIR_LARGE_SHIFT, end = last >> WEIR_LARGE_SHIFT;

	if (!suits(first, last) || !make_part(view, begin) || !make_part(view, end))
		return false;
	for (uint64_t frame = begin; frame <= end; frame++)
		if (weir_written(word_of(view, frame)))
			return false;
	write_words(view, first, last, to);
	return true;
}

bool weir_large_exact(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t *ret_to)
{
	uint64_t frame = first >> WEIR_LARGE_SHIFT, num = (last >> WEIR_LARGE_SHIFT) - frame + 1, word;

	if (!suits(first, last))
		return false;
	word = weir_lookup_frame(view, first);
	/* It ends here; and it does not begin before. */
	if ((word & WEIR_LARGE_MOST) != num || weir_lookup_frame(view, first - 1) == word + 1)
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
	for (uint64_t frame = first >> WEIR_LARGE_SHIFT; frame <= last >> WEIR_LARGE_SHIFT; frame++)
		__atomic_store_n(word_of(view, frame), 0, __ATOMIC_RELEASE);
	return true;
}
