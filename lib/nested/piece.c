// SPDX-License-Identifier: MIT
#include "nested/piece.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "stage1/stage1.h"

static struct weir_piece *of_addr(struct weir_tree_node *node)
{
	return node ? (struct weir_piece *)((char *)node - offsetof(struct weir_piece, by_addr)) : NULL;
}

void weir_pieces_init(struct weir_pieces *pieces, struct weir_ioas *stage2)
{
	*pieces = (struct weir_pieces){ .stage2 = stage2 };
	pthread_mutex_init(&pieces->lock, NULL);
}

/* It is found no more. The lock is held. */
static void leave(struct weir_pieces *pieces, struct weir_piece *piece)
{
	weir_tree_remove(&pieces->by_ipa, &piece->by_ipa);
	if (piece->shared)
		weir_tree_remove(&pieces->by_addr, &piece->by_addr);
	pieces->num--;
	pieces->bytes -= piece->len;
}

static void end(struct weir_piece *piece)
{
	struct weir_pieces *pieces = piece->pieces;

	if (weir_map_close(piece->map)) {
		pthread_mutex_lock(&pieces->lock);
		pieces->num_lost++;
		pthread_mutex_unlock(&pieces->lock);
	}
	free(piece);
}

void weir_pieces_finish(struct weir_pieces *pieces)
{
	struct weir_tree_node *node;

	while ((node = weir_tree_at_or_above(&pieces->by_ipa, 0))) {
		struct weir_piece *piece = (struct weir_piece *)node;

		leave(pieces, piece);
		end(piece);
	}
	pthread_mutex_destroy(&pieces->lock);
}

/* A piece that has all of it, and may be used so. The lock is held. */
static struct weir_piece *find(const struct weir_pieces *pieces, uint64_t addr, uint64_t len, uint32_t prot)
{
	struct weir_piece *piece = of_addr(weir_tree_at_or_below(&pieces->by_addr, addr));
	uint64_t offset = piece ? addr - piece->by_addr.key : 0;

	if (!piece || offset >= piece->len || len > piece->len - offset || (prot & ~piece->map->prot))
		return NULL;
	return piece;
}

/* The piece that @ipa lies in; NULL: there is none. The lock is held. */
static struct weir_piece *at_ipa(const struct weir_pieces *pieces, uint64_t ipa)
{
	struct weir_piece *piece = (struct weir_piece *)weir_tree_at_or_below(&pieces->by_ipa, ipa);

	return piece && ipa - piece->by_ipa.key < piece->len ? piece : NULL;
}

/* The lock is held. */
static void enter(struct weir_pieces *pieces, struct weir_piece *piece, bool share)
{
	const uint64_t addr = (uintptr_t)weir_map_addr(piece->map);
	struct weir_piece *before = of_addr(weir_tree_at_or_below(&pieces->by_addr, addr));

	piece->by_ipa.key = weir_map_iova(piece->map);
	piece->by_addr.key = addr;
	weir_tree_insert(&pieces->by_ipa, &piece->by_ipa);
	piece->shared = share && (!before || before->by_addr.key != addr);
	if (piece->shared)
		weir_tree_insert(&pieces->by_addr, &piece->by_addr);
	pieces->num++;
	pieces->bytes += piece->len;
}

/*
 * Plain memory goes in writable if it is: hardware may be unable to hold what is not, and the first stage keeps it from being written. A file
 * is not ours to decide about.
 */
static int map_memory(struct weir_ioas *stage2, const struct weir_backing *backing, uint64_t len,
		      uint32_t prot, struct weir_map **ret_map)
{
	struct weir_map_opts o = { .flags = prot };
	int error;

	if (backing->fd < 0 && !(prot & WEIR_MAP_DEVICE_MEMORY)) {
		o.flags |= WEIR_MAP_READ | WEIR_MAP_WRITE;
		error = weir_ioas_map_backing(stage2, backing, len, &o, NULL, ret_map);
		if (error != -EFAULT || (prot & WEIR_MAP_WRITE))
			return error;
		o.flags = prot;
	}
	error = weir_ioas_map_backing(stage2, backing, len, &o, NULL, ret_map);
	if (error == -EINVAL && !(prot & WEIR_MAP_WRITE))
		return weir_fail(-EACCES, "the second stage of this IOMMU holds nothing that may be read "
					  "only (VT-d), and this memory may not be "
					  "written");
	return error;
}

static int new_piece(struct weir_pieces *pieces, const struct weir_backing *backing, uint64_t len,
		     uint32_t prot, struct weir_piece **ret_piece)
{
	struct weir_piece *piece = calloc(1, sizeof(*piece));
	int error;

	if (!piece)
		return weir_fail(-ENOMEM, "no memory for a mapping");
	piece->pieces = pieces;
	piece->len = len;
	error = map_memory(pieces->stage2, backing, len, prot, &piece->map);
	if (error) {
		free(piece);
		return error;
	}
	*ret_piece = piece;
	return 0;
}

int weir_pieces_get(struct weir_pieces *pieces, const struct weir_backing *backing, uint64_t iova,
		    uint64_t len, uint32_t prot, uint64_t *ret_ipa)
{
	const uint64_t addr = (uintptr_t)backing->addr;
	struct weir_piece *piece;
	int error;

	pthread_mutex_lock(&pieces->lock);
	piece = find(pieces, addr, len, prot);
	if (piece)
		piece->bytes += len;
	pthread_mutex_unlock(&pieces->lock);
	if (piece) {
		*ret_ipa = piece->by_ipa.key + (addr - piece->by_addr.key);
		return 0;
	}
	error = new_piece(pieces, backing, len, prot, &piece);
	if (error)
		return error;
	piece->bytes = len;
	piece->owner = iova;
	*ret_ipa = weir_map_iova(piece->map);
	pthread_mutex_lock(&pieces->lock);
	/* What a file's mapping has for an address is the library's, and stays what it is; a device's memory may leave. */
	enter(pieces, piece, backing->fd >= 0 && !(prot & WEIR_MAP_DEVICE_MEMORY));
	pthread_mutex_unlock(&pieces->lock);
	return 0;
}

/* If nothing leads there, and nobody remembers that something did, it leaves, and is to be ended. The lock is held. */
static bool let_go(struct weir_piece *piece)
{
	if (piece->bytes || piece->kept || piece->waits[0].changes || piece->waits[1].changes)
		return false;
	leave(piece->pieces, piece);
	return true;
}

/* What was in the batch is forgotten by all. */
static void may_end(struct weir_later *later)
{
	struct weir_piece_wait *wait = (struct weir_piece_wait *)later; /* it comes first */
	struct weir_piece *piece = wait->piece;
	struct weir_pieces *pieces = piece->pieces;
	bool over;

	pthread_mutex_lock(&pieces->lock);
	wait->changes = NULL;
	over = let_go(piece);
	pthread_mutex_unlock(&pieces->lock);
	if (over)
		end(piece);
}

/* The lock is held. */
static void wait_for(struct weir_piece *piece, struct weir_inval *changes)
{
	struct weir_piece_wait *wait = piece->waits;

	if (wait[0].changes == changes || wait[1].changes == changes)
		return;
	if (wait->changes)
		wait++;
	*wait = (struct weir_piece_wait){ .later.done = may_end, .piece = piece, .changes = changes };
	weir_inval_later(changes, &wait->later);
}

/* The lock is held. */
static void hide(struct weir_piece *piece)
{
	weir_tree_remove(&piece->pieces->by_addr, &piece->by_addr);
	piece->shared = false;
}

/*
 * As far as it is one piece. Returns how many bytes of @len that are. Tables that were handed over may be written by a predecessor still: what leads nowhere
 * by now is passed over, a page at a time.
 */
static uint64_t put_part(struct weir_pieces *pieces, uint64_t iova, uint64_t ipa, uint64_t len,
			 struct weir_inval *changes)
{
	struct weir_piece *piece;
	uint64_t part;
	bool over;

	pthread_mutex_lock(&pieces->lock);
	piece = at_ipa(pieces, ipa);
	if (!piece) {
		pieces->num_lost++;
		pthread_mutex_unlock(&pieces->lock);
		return len < WEIR_STAGE1_PAGE ? len : WEIR_STAGE1_PAGE;
	}
	part = piece->len - (ipa - piece->by_ipa.key);
	if (part > len)
		part = len;
	piece->bytes -= part;
	/* What its addresses stand for from now on is unknown; others that lead there may stay. */
	if (piece->shared && !piece->kept && piece->owner >= iova && piece->owner - iova < part)
		hide(piece);
	if (changes)
		wait_for(piece, changes);
	over = let_go(piece);
	pthread_mutex_unlock(&pieces->lock);
	if (over)
		end(piece);
	return part;
}

void weir_pieces_put(struct weir_pieces *pieces, uint64_t iova, uint64_t ipa, uint64_t len,
		     struct weir_inval *changes)
{
	for (uint64_t done = 0; done < len;)
		done += put_part(pieces, iova + done, ipa + done, len - done, changes);
}

/* The next piece that is not kept, from *@ipa on; it leaves. Who keeps one or ends that comes meanwhile. */
static struct weir_piece *take_next(struct weir_pieces *pieces, uint64_t *ipa)
{
	struct weir_piece *piece;

	pthread_mutex_lock(&pieces->lock);
	while ((piece = (struct weir_piece *)weir_tree_at_or_above(&pieces->by_ipa, *ipa))) {
		*ipa = piece->by_ipa.key + 1;
		piece->bytes = 0;
		if (piece->kept)
			continue;
		leave(pieces, piece);
		break;
	}
	pthread_mutex_unlock(&pieces->lock);
	return piece;
}

void weir_pieces_forget(struct weir_pieces *pieces)
{
	struct weir_piece *piece;
	uint64_t ipa = 0;

	while ((piece = take_next(pieces, &ipa)))
		end(piece);
}

int weir_pieces_keep(struct weir_pieces *pieces, void *addr, uint64_t len)
{
	const struct weir_backing backing = { .addr = addr, .fd = -1 };
	struct weir_piece *piece;
	int error = new_piece(pieces, &backing, len, WEIR_MAP_READ, &piece);

	if (error)
		return error;
	pthread_mutex_lock(&pieces->lock);
	enter(pieces, piece, true);
	piece->kept = piece->shared;
	if (!piece->kept)
		leave(pieces, piece);
	pthread_mutex_unlock(&pieces->lock);
	if (piece->kept)
		return 0;
	end(piece);
	return weir_fail(-EEXIST, "memory at %p is in the space already", addr);
}

int weir_pieces_unkeep(struct weir_pieces *pieces, void *addr)
{
	struct weir_piece *piece;
	bool over = false;

	pthread_mutex_lock(&pieces->lock);
	piece = of_addr(weir_tree_at_or_below(&pieces->by_addr, (uintptr_t)addr));
	if (piece && (piece->by_addr.key != (uintptr_t)addr || !piece->kept))
		piece = NULL;
	if (piece) {
		piece->kept = false;
		hide(piece);
		over = let_go(piece);
	}
	pthread_mutex_unlock(&pieces->lock);
	if (!piece)
		return weir_fail(-ENOENT, "no memory is kept at %p", addr);
	if (over)
		end(piece);
	return 0;
}

/* Handed over ------------------------------------------------------------------------------------------------------ */

int weir_pieces_adopt(struct weir_pieces *pieces, struct weir_map *map)
{
	struct weir_piece *piece = calloc(1, sizeof(*piece));

	if (!piece)
		return weir_fail(-ENOMEM, "no memory for a mapping");
	piece->pieces = pieces;
	piece->len = weir_map_size(map);
	piece->map = map;
	piece->owner = UINT64_MAX;
	enter(pieces, piece, true);
	return 0;
}

int weir_pieces_count(struct weir_pieces *pieces, const struct weir_backing *backing, uint64_t iova,
		      uint64_t ipa, uint64_t len)
{
	uint64_t part, addr = (uintptr_t)backing->addr;

	for (uint64_t done = 0; done < len; done += part) {
		struct weir_piece *piece = at_ipa(pieces, ipa + done);
		uint64_t offset = piece ? ipa + done - piece->by_ipa.key : 0;

		if (!piece || piece->map->backing.file != backing->file ||
		    (uintptr_t)piece->map->backing.addr + offset != addr + done)
			return weir_fail(-EPROTO, "IOVA %#" PRIx64 " leads to other memory than is described",
					 iova + done);
		part = piece->len - offset < len - done ? piece->len - offset : len - done;
		piece->bytes += part;
		if (piece->owner == UINT64_MAX || !offset)
			piece->owner = iova + done;
	}
	return 0;
}

struct weir_piece *weir_pieces_next_idle(struct weir_pieces *pieces, uint64_t from)
{
	struct weir_piece *piece = (struct weir_piece *)weir_tree_at_or_above(&pieces->by_ipa, from);

	while (piece && piece->bytes)
		piece = (struct weir_piece *)weir_tree_at_or_above(&pieces->by_ipa, piece->by_ipa.key + 1);
	return piece;
}

void weir_pieces_let_go(struct weir_pieces *pieces, struct weir_piece *piece)
{
	leave(pieces, piece);
	free(piece);
}
