// SPDX-License-Identifier: MIT
/* Where short ranges lead that are not far from each other. */
#include "ioas/dense.h"

#include "ioas/tables.h"

#include <sys/mman.h>

enum {
	PAGE_SHIFT = 12,
	PAGE = 1 << PAGE_SHIFT,
	BLOCK_FRAMES = 1 << (WEIR_BLOCK_SHIFT - WEIR_FRAME_SHIFT),
	GROUP = PAGE / (WEIR_LOOKUP_PAGES * sizeof(uint32_t)), /* frames whose words are in one page */
	BASES = 4,
	LEFT_SHIFT = 2,
	TO_SHIFT = 5,
	/* What it may take: so much, and so much for each page of a range. */
	FREE_BYTES = 1 << 20,
	BYTES_PER_PAGE = 64,
	FREE_GROUPS = FREE_BYTES / PAGE,
};

struct weir_block {
	uint32_t words[BLOCK_FRAMES][WEIR_LOOKUP_PAGES];
	uint16_t used[BLOCK_FRAMES];        /* words of each frame */
	uint32_t live;                      /* how many groups are in use */
	bool touched[BLOCK_FRAMES / GROUP]; /* a group may take memory */
	bool listed;
	struct weir_block *next;
};

static struct weir_block **block_in(struct weir_part *part, uint64_t at)
{
	return &part->blocks[at >> WEIR_BLOCK_SHIFT & (WEIR_PART_BLOCKS - 1)];
}

/* NULL: there is none. */
static struct weir_block *block_of(const struct weir_lookup_view *view, uint64_t at)
{
	struct weir_part *part = weir_part(view, at);

	return part ? *block_in(part, at) : NULL;
}

static uint32_t frame_of(uint64_t at)
{
	return at >> WEIR_FRAME_SHIFT & (BLOCK_FRAMES - 1);
}

/* Its block is there. */
static uint32_t *word_at(const struct weir_lookup_view *view, uint64_t at)
{
	return &block_of(view, at)->words[frame_of(at)][at >> PAGE_SHIFT & (WEIR_LOOKUP_PAGES - 1)];
}

static uint32_t written(const struct weir_lookup_view *view, uint64_t at)
{
	return block_of(view, at) ? __atomic_load_n(word_at(view, at), __ATOMIC_RELAXED) : 0;
}

void weir_dense_finish(struct weir_lookup_view *view)
{
	for (uint64_t at = 0; at >> WEIR_PARTS_END_SHIFT == 0; at += (uint64_t)1 << WEIR_PART_SHIFT)
		for (int i = 0; weir_part(view, at) && i < WEIR_PART_BLOCKS; i++)
			if (weir_part(view, at)->blocks[i])
				munmap(weir_part(view, at)->blocks[i], sizeof(struct weir_block));
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
			return (uint32_t)((to - base_of(to)) >> PAGE_SHIFT << TO_SHIFT | left << LEFT_SHIFT |
					  i);
	return 0;
}

bool weir_dense_can_lead(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t to,
			 uint64_t to_last)
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

static bool make_block(struct weir_lookup_view *view, uint64_t at)
{
	struct weir_part *part = weir_part_make(view, at);

	if (!part || *block_in(part, at))
		return part;
	*block_in(part, at) = weir_part_memory(sizeof(struct weir_block));
	return *block_in(part, at);
}

/* Are there words in use in a group? */
static bool is_group_live(const struct weir_block *block, uint32_t group)
{
	return block->used[group * GROUP] || block->used[group * GROUP + 1];
}

static bool is_live(const struct weir_lookup_view *view, uint64_t at)
{
	return block_of(view, at) && is_group_live(block_of(view, at), frame_of(at) / GROUP);
}

/* Groups that are not in use are zeros, and so they are afterwards. */
static void give_back_groups(struct weir_block *block)
{
	uint32_t begin = 0;
	bool touched = false;

	for (uint32_t group = 0; group <= BLOCK_FRAMES / GROUP; group++) {
		if (group < BLOCK_FRAMES / GROUP && !is_group_live(block, group)) {
			touched = touched || block->touched[group];
			block->touched[group] = false;
			continue;
		}
		if (touched)
			madvise(block->words[begin * GROUP], (size_t)(group - begin) * PAGE, MADV_DONTNEED);
		begin = group + 1;
		touched = false;
	}
}

/* A block that is not in use is all zeros, but for what is said of it here. */
static __attribute__((noinline)) void give_back(struct weir_dense *dense)
{
	struct weir_block *block = dense->blocks, *next;

	dense->blocks = NULL;
	dense->touched = 0;
	for (; block; block = next) {
		next = block->next;
		if (!block->live) {
			madvise(block, sizeof(*block), MADV_DONTNEED);
			continue;
		}
		give_back_groups(block);
		dense->touched += block->live;
		block->next = dense->blocks;
		dense->blocks = block;
	}
}

static void touch(struct weir_dense *dense, struct weir_block *block, uint32_t group)
{
	dense->touched += !block->touched[group];
	block->touched[group] = true;
	if (block->listed)
		return;
	block->listed = true;
	block->next = dense->blocks;
	dense->blocks = block;
}

/* May there be ranges of pages in this page's frame? */
static bool has_room(const struct weir_dense *dense, const struct weir_lookup_view *view, uint64_t num,
		     uint64_t at)
{
	if (weir_part(view, at) &&
	    (weir_written(weir_frame_in(weir_part(view, at), at)) & WEIR_LOOKUP_FRAMES_LEFT))
		return false;
	/* At either end of a range it may be the first there, and in a block. */
	return is_live(view, at) || (dense->live + 4) * PAGE <= FREE_BYTES + num * BYTES_PER_PAGE;
}

/* A word more is in use. */
static void use(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t at)
{
	struct weir_block *block = block_of(view, at);

	touch(dense, block, frame_of(at) / GROUP);
	if (!is_live(view, at))
		dense->live += 1 + !block->live++;
	if (!block->used[frame_of(at)]++)
		weir_write(weir_frame_in(weir_part(view, at), at), (uintptr_t)block->words[frame_of(at)]);
}

static void clear(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t at)
{
	struct weir_block *block = block_of(view, at);

	__atomic_store_n(word_at(view, at), 0, __ATOMIC_RELEASE);
	if (!--block->used[frame_of(at)])
		weir_write(weir_frame_in(weir_part(view, at), at), 0);
	if (!is_live(view, at))
		dense->live -= 1 + !--block->live;
}

/* The words of a range whose blocks there are. */
static void write_words(const struct weir_dense *dense, struct weir_lookup_view *view, uint64_t first,
			uint64_t last, uint64_t to)
{
	uint64_t left = ((last - first) >> PAGE_SHIFT) + 1;

	for (uint64_t at = first; left; left--, at += PAGE)
		__atomic_store_n(word_at(view, at), word_of(dense, view, to + (at - first), left),
				 __ATOMIC_RELEASE);
}

bool weir_dense_add(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t num, uint64_t first,
		    uint64_t last, uint64_t to)
{
	if (last >> WEIR_PARTS_END_SHIFT || !has_room(dense, view, num, first) ||
	    !has_room(dense, view, num, last) || !make_block(view, first) || !make_block(view, last))
		return false;
	for (uint64_t at = first; at < last; at += PAGE)
		if (written(view, at))
			return false;
	if (!weir_dense_can_lead(dense, view, to, to + (last - first)))
		return false;
	for (uint64_t at = first; at < last; at += PAGE)
		use(dense, view, at);
	write_words(dense, view, first, last, to);
	return true;
}

bool weir_dense_exact(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t *ret_to)
{
	uint32_t word = written(view, first), before = written(view, first - PAGE);

	/* It ends here; and it does not begin before. */
	if ((word >> LEFT_SHIFT & WEIR_LOOKUP_PAGES_LEFT) != ((last - first) >> PAGE_SHIFT) + 1 ||
	    (before && before == word - (1 << TO_SHIFT) + (1 << LEFT_SHIFT)))
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
	for (uint64_t at = first; at < last; at += PAGE)
		clear(dense, view, at);
	if (dense->touched > 2 * dense->live + FREE_GROUPS)
		give_back(dense);
	return true;
}
