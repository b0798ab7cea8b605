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
