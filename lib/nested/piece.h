/* SPDX-License-Identifier: MIT */
/*
 * Pieces: memory that is mapped into the second stage of a nested space, for any number of mappings of its first stage. A piece knows how many bytes lead to it, and
 * ends when there are none left; its end waits for the invalidation of what led there, whether that was all or some: of a space's two batches, one is run while the other is filled.
 */
#ifndef WEIR_NESTED_PIECE_H
#define WEIR_NESTED_PIECE_H

#include <pthread.h>

#include "inval/later.h"
#include "ioas/ioas.h"
#include "tree.h"

struct weir_piece_wait {
	struct weir_later later; /* first */
	struct weir_piece *piece;
	struct weir_inval
		*changes; /* the batch that has mappings' end which led there; NULL: it waits for none */
};

struct weir_piece {
	struct weir_tree_node by_ipa; /* first */
	struct weir_tree_node by_addr;
	struct weir_piece_wait waits[2];
	struct weir_pieces *pieces;
	struct weir_map *map; /* in the second stage */
	uint64_t len, bytes;  /* how long it is; how many bytes of mappings lead to it */
	uint64_t
		owner; /* the IOVA of the mapping that it was made for: with it, the addresses go out of use */
	bool shared;   /* mappings that come find it by its address */
	bool kept;     /* it stays without any */
};

struct weir_pieces {
	struct weir_ioas *stage2;
	pthread_mutex_t
		lock; /* guards what follows; taken after that of any window, before that of the second stage */
	struct weir_tree by_ipa, by_addr;
	uint64_t num, bytes, num_lost;
};

void weir_pieces_init(struct weir_pieces *pieces, struct weir_ioas *stage2);
void weir_pieces_finish(struct weir_pieces *pieces); /* ends all of them */

/*
 * Where @len bytes of @backing are in the second stage: in a piece that is there, or in a new one. They are counted as leading there, from @iova
 * on. Returns 0 or an errno with a text.
 */
int weir_pieces_get(struct weir_pieces *pieces, const struct weir_backing *backing, uint64_t iova,
		    uint64_t len, uint32_t prot, uint64_t *ret_ipa);

/*
 * @len bytes from @iova on that led to @ipa, and to what follows there, of however many pieces, do not any more, when what is in @changes is done; NULL:
 * they never have.
 */
void weir_pieces_put(struct weir_pieces *pieces, uint64_t iova, uint64_t ipa, uint64_t len,
		     struct weir_inval *changes);

/* No mapping leads to any piece any more, and nobody remembers one. */
void weir_pieces_forget(struct weir_pieces *pieces);

/*
 * For hand-over: a mapping of the second stage that was handed over is a piece, which no mapping leads to yet; -ENOMEM. @len bytes from @iova on lead to @ipa: as is described, with @backing
 * behind them; -EPROTO. A piece to which nothing leads, or NULL; and forget it, with its mapping.
 */
int weir_pieces_adopt(struct weir_pieces *pieces, struct weir_map *map);
int weir_pieces_count(struct weir_pieces *pieces, const struct weir_backing *backing, uint64_t iova,
		      uint64_t ipa, uint64_t len);
struct weir_piece *weir_pieces_next_idle(struct weir_pieces *pieces, uint64_t from);
void weir_pieces_let_go(struct weir_pieces *pieces, struct weir_piece *piece);

int weir_pieces_keep(struct weir_pieces *pieces, void *addr, uint64_t len);
int weir_pieces_unkeep(struct weir_pieces *pieces, void *addr);

#endif
