// SPDX-License-Identifier: MIT
/* Where short ranges lead that are not far from each other. */
#include "ioas/dense.h"

#include <sys/mman.h>

enum {
	PAGE_SHIFT = 12,
	PAGE = 1 << PAGE_SHIFT,
	BLOCK_SHIFT = 32,
	GROUP_SHIFT = 22, /* the pages whose words are in one page of the table */
	LEFT_BITS = 3,
	BASE_BITS = 2,
	BASES = 1 << BASE_BITS,
	TO_SHIFT = LEFT_BITS + BASE_BITS,
	/* What it may take: so much, and so much for each page of a range. */
	FREE_BYTES = 1 << 20,
	BYTES_PER_PAGE = 64,
};

/* A block; the words come first, which is where the part points. */
struct block {
	uint32_t words[1 << (BLOCK_SHIFT - PAGE_SHIFT)];
	uint16_t used[1 << (BLOCK_SHIFT - GROUP_SHIFT)]; /* words of each group */
};

static const struct block **block_slot(struct weir_lookup_part *part, uint64_t at)
{
	return (const struct block **)&part->dense[at >> BLOCK_SHIFT & (WEIR_LOOKUP_BLOCKS - 1)];
}

/* NULL: there is none. */
static struct block *block_of(const struct weir_lookup_view *view, uint64_t at)
{
	struct weir_lookup_part *part = weir_part(view, at);

	return part ? (struct block *)*block_slot(part, at) : NULL;
}

static uint32_t *word_in(struct block *block, uint64_t at)
{
	return &block->words[(uint32_t)at >> PAGE_SHIFT];
}

static uint16_t *used_in(struct block *block, uint64_t at)
{
	return &block->used[(uint32_t)at >> GROUP_SHIFT];
}

static uint32_t written(const struct weir_lookup_view *view, uint64_t at)
{
	struct block *block = block_of(view, at);

	return block ? __atomic_load_n(word_in(block, at), __ATOMIC_RELAXED) : 0;
}

void weir_dense_finish(struct weir_lookup_view *view)
{
	for (int i = 0; i < WEIR_PARTS; i++)
		for (int j = 0; view->parts[i] && j < WEIR_LOOKUP_BLOCKS; j++)
			if (view->parts[i]->dense[j])
				munmap((void *)view->parts[i]->dense[j], sizeof(struct block));
}

static uint64_t base_of(uint64_t to)
{
	return to >> WEIR_PART_SHIFT << WEIR_PART_SHIFT;
}

/* Where a range leads, of @left pages; 0: no word can say that. */
static uint32_t word_of(const struct weir_dense *dense, const struct weir_lookup_view *view, uint64_t to,
			uint64_t left)
{
	for (uint32_t i = 0; i < dense->num_bases; i++)
		if (view->bases[i] == base_of(to))
			return (uint32_t)((to - base_of(to)) >> PAGE_SHIFT << TO_SHIFT | i << LEFT_BITS |
					  left);
	return 0;
}

bool weir_dense_can_lead(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t to, uint64_t to_last)
{
	if (base_of(to) != base_of(to_last))
		return false;
	if (word_of(dense, view, to, 1))
		return true;
	if (dense->num_bases == BASES)
		return false;
	__atomic_store_n(&view->bases[dense->num_bases++], base_of(to), __ATOMIC_RELAXED);
	return true;
}

static struct block *make_block(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t at)
{
	struct weir_lookup_part *part = weir_part_make(view, at);
	struct block *block = part ? (struct block *)*block_slot(part, at) : NULL;

	if (!part || block)
		return block;
	block = weir_part_memory(sizeof(*block));
	if (!block)
		return NULL;
	dense->live++;
	__atomic_store_n(block_slot(part, at), block, __ATOMIC_RELEASE);
	return block;
}

/* Is this page's group in use; or may one more be? */
static bool has_room(const struct weir_dense *dense, const struct weir_lookup_view *view, uint64_t num,
		     uint64_t at)
{
	struct block *block = block_of(view, at);

	/* For a block, a group at either end of a range. */
	return (block && *used_in(block, at)) ||
	       (dense->live + 3) * PAGE <= FREE_BYTES + num * BYTES_PER_PAGE;
}

/* The words of a range whose blocks there are. */
static void write_words(const struct weir_dense *dense, struct weir_lookup_view *view, uint64_t first,
			uint64_t last, uint64_t to)
{
	uint64_t left = ((last - first) >> PAGE_SHIFT) + 1;

	for (uint64_t at = first; left; left--, at += PAGE)
		__atomic_store_n(word_in(block_of(view, at), at),
				 word_of(dense, view, to + (at - first), left), __ATOMIC_RELEASE);
}

bool weir_dense_add(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t num, uint64_t first,
		    uint64_t last, uint64_t to)
{
	if (last >> WEIR_PARTS_END_SHIFT || !has_room(dense, view, num, first) ||
	    !has_room(dense, view, num, last) || !make_block(dense, view, first) ||
	    !make_block(dense, view, last))
		return false;
	for (uint64_t at = first; at < last; at += PAGE)
		if (written(view, at))
			return false;
	if (!weir_dense_can_lead(dense, view, to, to + (last - first)))
		return false;
	for (uint64_t at = first; at < last; at += PAGE)
		dense->live += !(*used_in(block_of(view, at), at))++;
	write_words(dense, view, first, last, to);
	return true;
}

bool weir_dense_exact(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t *ret_to)
{
	uint32_t word = written(view, first), before = written(view, first - PAGE);

	/* It ends here; and it does not begin before. */
	if ((word & WEIR_LOOKUP_LEFT) != ((last - first) >> PAGE_SHIFT) + 1 ||
	    (before && before == word - (1 << TO_SHIFT) + 1))
		return false;
	*ret_to = weir_lookup_dense_to(view, word, first);
	return true;
}

bool weir_dense_is_here(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to)
{
	uint64_t known;

	return weir_dense_exact(view, first, last, &known) && known == to;
}

bool weir_dense_redirect(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t first,
			 uint64_t last, uint64_t to, uint64_t now_to)
{
	if (!weir_dense_is_here(view, first, last, to))
		return false;
	write_words(dense, view, first, last, now_to);
	return true;
}

bool weir_dense_remove(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t first, uint64_t last,
		       uint64_t to)
{
	if (!weir_dense_is_here(view, first, last, to))
		return false;
	for (uint64_t at = first; at < last; at += PAGE) {
		struct block *block = block_of(view, at);

		__atomic_store_n(word_in(block, at), 0, __ATOMIC_RELEASE);
		dense->live -= !--*used_in(block, at);
	}
	return true;
}
