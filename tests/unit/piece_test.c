// SPDX-License-Identifier: MIT
/* Pieces of a second stage, to which nothing leads that should. */
#include "nested/piece.h"

#include "unit/yes_host.h"

enum { PAGE = 4096 };

static const uint64_t iova = 0x100000;

/* As when a predecessor writes to tables that it has handed over. */
UNIT(piece, what_leads_nowhere_is_passed_over)
{
	struct weir_ioas *stage2 = new_ioas(t, new_host(t, new_yes_kernel(t), WEIR_BACKEND_IOMMUFD));
	const struct weir_backing backing = { .addr = new_memory(t, PAGE, 2 * PAGE), .fd = -1 };
	struct weir_pieces pieces;
	uint64_t ipa;

	weir_pieces_init(&pieces, stage2);
	weir_pieces_put(&pieces, iova, iova, PAGE, NULL);
	EXPECT_EQ(pieces.num_lost, 1);
	ASSERT_OK(weir_pieces_get(&pieces, &backing, iova, 2 * PAGE, WEIR_MAP_READ, &ipa));
	/* Below it, and far above. */
	weir_pieces_put(&pieces, iova, ipa - PAGE, PAGE, NULL);
	weir_pieces_put(&pieces, iova, ipa + 100 * PAGE, 3 * PAGE, NULL);
	EXPECT_EQ(pieces.num_lost, 5);
	EXPECT_EQ(pieces.num, 1);
	EXPECT_EQ(pieces.bytes, 2 * PAGE);
	/* Its last page, and one behind it; then its first. */
	weir_pieces_put(&pieces, iova, ipa + PAGE, 2 * PAGE, NULL);
	EXPECT_EQ(pieces.num_lost, 6);
	EXPECT_EQ(pieces.num, 1);
	weir_pieces_put(&pieces, iova, ipa, PAGE, NULL);
	EXPECT_EQ(pieces.num, 0);
	EXPECT_EQ(pieces.num_lost, 6);
	weir_pieces_finish(&pieces);
}

/* A second stage with pieces, and the two batches of a space. What is dropped is as good as run: nobody remembers it. */
struct waiting {
	struct weir_pieces pieces;
	struct weir_inval *batches[2];
	struct weir_backing backing;
};

static void end_waiting(void *arg)
{
	struct waiting *w = arg;

	for (int i = 0; i < 2; i++)
		EXPECT_OK(weir_inval_close(w->batches[i]));
	weir_pieces_finish(&w->pieces);
}

static struct waiting *new_waiting(struct t *t, bool kept)
{
	static struct waiting waiting;
	struct waiting *w = &waiting;

	weir_pieces_init(&w->pieces, new_ioas(t, new_host(t, new_yes_kernel(t), WEIR_BACKEND_IOMMUFD)));
	/* What is of a file is found by mappings that come, as what is kept is. */
	w->backing = (struct weir_backing){ .addr = new_memory(t, PAGE, 2 * PAGE), .fd = kept ? -1 : 0 };
	for (int i = 0; i < 2; i++)
		ASSERT_OK(weir_inval_open(NULL, &w->batches[i]));
	t_defer(t, end_waiting, w);
	if (kept)
		ASSERT_OK(weir_pieces_keep(&w->pieces, w->backing.addr, 2 * PAGE));
	return w;
}

static uint64_t mapped_page(struct t *t, struct waiting *w)
{
	uint64_t ipa = 0;

	(void)t;
	ASSERT_OK(weir_pieces_get(&w->pieces, &w->backing, iova, PAGE, WEIR_MAP_READ, &ipa));
	EXPECT_EQ(w->pieces.num, 1);
	return ipa;
}

/* Between the removal of its last mapping and the end of the batch that says so, another thread takes back the promise. */
UNIT(piece, what_is_kept_no_more_waits_for_the_batch_that_forgets_it)
{
	struct waiting *w = new_waiting(t, true);

	weir_pieces_put(&w->pieces, iova, mapped_page(t, w), PAGE, w->batches[0]);
	ASSERT_OK(weir_pieces_unkeep(&w->pieces, w->backing.addr));
	EXPECT_EQ(w->pieces.num, 1);
	weir_inval_drop(w->batches[0]);
	EXPECT_EQ(w->pieces.num, 0);
}

/* While one batch is run, more is mapped there and removed, with the other. */
static void expect_to_wait_for_both(struct t *t, bool kept)
{
	struct waiting *w = new_waiting(t, kept);

	weir_pieces_put(&w->pieces, iova + PAGE, mapped_page(t, w), PAGE, w->batches[0]);
	weir_pieces_put(&w->pieces, iova + PAGE, mapped_page(t, w), PAGE, w->batches[1]);
	if (kept)
		ASSERT_OK(weir_pieces_unkeep(&w->pieces, w->backing.addr));
	weir_inval_drop(w->batches[0]);
	EXPECT_EQ(w->pieces.num, 1);
	weir_inval_drop(w->batches[1]);
	EXPECT_EQ(w->pieces.num, 0);
}

UNIT(piece, what_was_kept_waits_for_both_batches)
{
	expect_to_wait_for_both(t, true);
}

UNIT(piece, what_is_of_a_file_waits_for_both_batches)
{
	expect_to_wait_for_both(t, false);
}

/* It is not the last mapping that leaves whose removal is remembered. */
UNIT(piece, what_never_led_there_ends_nothing_early)
{
	struct waiting *w = new_waiting(t, true);
	uint64_t ipa = mapped_page(t, w);

	mapped_page(t, w);
	ASSERT_OK(weir_pieces_unkeep(&w->pieces, w->backing.addr));
	weir_pieces_put(&w->pieces, iova, ipa, PAGE, w->batches[0]);
	weir_pieces_put(&w->pieces, iova, ipa, PAGE, NULL);
	EXPECT_EQ(w->pieces.num, 1);
	weir_inval_drop(w->batches[0]);
	EXPECT_EQ(w->pieces.num, 0);
}
