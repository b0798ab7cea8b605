// SPDX-License-Identifier: MIT
/*
 * Sending (datasheet 7.2). Packets of one buffer and without offloads go the short way, one comparison each for what may be wrong with them; all others the long one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include <weir/guard.h>

#include "common/opts.h"
#include "igb/pool.h"

#define LEN(what)    ((uint32_t)((what) >> IGB_RXD_LEN_SHIFT) & 0xffff)
#define OFFSET(what) ((uint32_t)((what) >> 48))
#define COMMON       (IGB_TXD_DATA | IGB_TXD_FCS | IGB_TXD_ADVANCED)
#define TWICE        (1 | UINT64_C(1) << IGB_TXD_PAYLEN_SHIFT) /* struct igb_tx */
#define FIRST_FLAGS  (IGB_TX_VLAN | IGB_TX_IP_SUM | IGB_TX_L4_SUM)
#define KNOWN        (UINT64_C(0xffffffff) << 32 | IGB_TX_END | FIRST_FLAGS)

/* Where the descriptor has the flags of a piece. */
static inline uint64_t flags_of(uint64_t what)
{
	return (what & IGB_TX_END ? IGB_TXD_END : 0) | (what & IGB_TX_VLAN ? IGB_TXD_VLAN : 0) |
	       (what & IGB_TX_IP_SUM ? IGB_TXD_IP_SUM : 0) | (what & IGB_TX_L4_SUM ? IGB_TXD_L4_SUM : 0);
}

static const uint64_t nothing; /* is awaited: see watched */

/* Set-up ------------------------------------------------------------------------------------------------- */

/* How far a run can go: to the next report, to the end of the ring, while there is room. */
static inline void set_stop(struct igb_tx *tx)
{
	struct igb_queue *q = &tx->q;
	uint32_t most = q->mask + 1 - (q->tail & q->mask), to_report = IGB_REPORT - (q->tail - tx->reported),
		 room = q->mask - (q->tail - q->clean);

	most = most < to_report ? most : to_report;
	most = most < room ? most : room;
	q->stop = q->failed ? q->tail : q->tail + most;
}

int igb_tx_create(uint64_t (*ring)[2], uint32_t depth, struct igb_pool *pool, struct igb_doorbell doorbell,
		  uint32_t max_len, struct igb_tx **ret_tx)
{
	struct igb_tx *tx;

	if (depth < 64 || depth > IGB_MAX_DEPTH || depth & (depth - 1))
		return fail(-EINVAL, "a queue of %u descriptors: a power of two from 64 to %u", depth,
			    IGB_MAX_DEPTH);
	tx = calloc(1, sizeof *tx);
	if (tx)
		tx->q.slots = calloc(depth, sizeof *tx->q.slots);
	if (!tx || !tx->q.slots) {
		free(tx);
		return fail(-ENOMEM, "no memory for a queue of %u descriptors", depth);
	}
	tx->q.ring = ring;
	tx->q.mask = depth - 1;
	tx->q.pool = pool;
	tx->q.doorbell = doorbell;
	tx->max_len = max_len;
	tx->twice = TWICE;
	tx->max_simple = max_len < pool->place.len ? max_len : pool->place.len;
	tx->watched = &nothing;
	set_stop(tx);
	tx->next = pool->first;
	pool->first = tx;
	pool->users++;
	*ret_tx = tx;
	return 0;
}

/* Those of which some are no buffers; or of which there are too many for the pool, which ends the queue's use. */
__attribute__((noinline, cold)) static void give_some(struct igb_tx *tx, uint32_t from, uint32_t num)
{
	struct igb_queue *q = &tx->q;
	uint32_t i;

	for (i = 0; i < num; i++) {
		uint64_t iova = q->slots[(from + i) & q->mask];

		if (iova == IGB_NO_SLOT)
			tx->holes--;
		else if (q->pool->num_free < q->pool->num)
			igb_pool_give(q->pool, &iova, 1);
		else
			igb_queue_fail(q, -EINVAL);
	}
}

/* Give @num buffers, from position @from on, to the pool. */
static void give(struct igb_tx *tx, uint32_t from, uint32_t num)
{
	struct igb_queue *q = &tx->q;
	struct igb_pool *pool = q->pool;
	uint32_t at = from & q->mask, run = q->mask + 1 - at;

	if (unlikely(tx->holes) || unlikely(num > pool->num - pool->num_free)) {
		give_some(tx, from, num);
		return;
	}
	run = run < num ? run : num;
	pool->num_free += num;
	memcpy(igb_pool_top(pool), q->slots + at, run * sizeof *q->slots);
	memcpy(igb_pool_top(pool) + run, q->slots, (num - run) * sizeof *q->slots);
}

static inline uint32_t report(const struct igb_tx *tx, uint32_t number)
{
	return tx->reports[number & (IGB_REPORTS - 1)];
}

static inline void set_watched(struct igb_tx *tx)
{
	uint32_t end = report(tx, tx->first_report);

	tx->watched = tx->first_report == tx->next_report ? &nothing : &tx->q.ring[(end - 1) & tx->q.mask][1];
}

void igb_tx_restart(struct igb_tx *tx)
{
	struct igb_queue *q = &tx->q;

	q->failed = 0;
	give(tx, q->clean, q->tail - q->clean);
	memset(q->ring, 0, (q->mask + 1) * sizeof *q->ring);
	q->tail = q->clean = q->rung = 0;
	tx->reported = tx->first_report = tx->next_report = tx->holes = 0;
	set_watched(tx);
	set_stop(tx);
}

void igb_tx_destroy(struct igb_tx *tx)
{
	struct igb_tx **link;

	if (!tx)
		return;
	give(tx, tx->q.clean, tx->q.tail - tx->q.clean);
	for (link = &tx->q.pool->first; *link != tx; link = &(*link)->next)
		;
	*link = tx->next;
	tx->q.pool->users--;
	free(tx->q.slots);
	free(tx);
}

/* What has been sent ---------------------------------------------------------------------------------------- */

static inline bool has_report(const struct igb_tx *tx)
{
	return le64toh(load64(tx->watched)) & IGB_TXD_DONE;
}

__attribute__((noinline)) void igb_tx_reclaim(struct igb_tx *tx)
{
	struct igb_queue *q = &tx->q;
	uint32_t end = q->clean;

	while (has_report(tx)) {
		end = report(tx, tx->first_report++);
		set_watched(tx);
	}
	give(tx, q->clean, end - q->clean);
	q->clean = end;
	set_stop(tx);
}

/* Have the descriptor before the tail reported. */
static inline void ask_for_report(struct igb_tx *tx)
{
	struct igb_queue *q = &tx->q;
	uint64_t *last = &q->ring[(q->tail - 1) & q->mask][1];

	*last |= htole64(IGB_TXD_REPORT);
	tx->reports[tx->next_report++ & (IGB_REPORTS - 1)] = q->tail;
	tx->reported = q->tail;
	if (tx->watched == &nothing)
		tx->watched = last;
	set_stop(tx);
}

/* Where the controller is, as a position. Returns 0 or the error with which the queue has failed. */
static int find_head(struct igb_tx *tx, uint32_t *ret_head)
{
	struct igb_queue *q = &tx->q;
	uint32_t value = UINT32_MAX, ahead;
	int r = q->doorbell.addr ? weir_mmio_read32(q->doorbell.addr - (IGB_Q_TAIL - IGB_Q_HEAD) / 4, &value)
				 : weir_region_read32(q->doorbell.region,
						      q->doorbell.offset - (IGB_Q_TAIL - IGB_Q_HEAD), &value);

	if (r == 0 && value == UINT32_MAX)
		r = -ENODEV;
	if (r < 0) {
		igb_queue_fail(q, r);
		return fail(r, r == -ENODEV ? "the controller is gone: a register reads as ones"
					    : "a register cannot be read");
	}
	ahead = (value - q->clean) & q->mask;
	if (value > q->mask || ahead > q->tail - q->clean) {
		igb_queue_fail(q, -EPROTO);
		return fail(-EPROTO,
			    "transmit queue %u has failed: the controller says that it is at descriptor %u, "
			    "which it does not own",
			    q->index, value);
	}
	*ret_head = q->clean + ahead;
	return 0;
}

static int flush(struct igb_tx *tx)
{
	struct igb_queue *q = &tx->q;
	uint32_t head;
	int r;

	if (q->failed)
		return igb_queue_explain(q, "transmit");
	igb_tx_reclaim(tx);
	if (q->rung != q->tail && igb_queue_ring(q, q->tail) < 0) /* offloads that no packet has come after */
		return igb_queue_explain(q, "transmit");
	if (q->tail != q->clean) {
		r = find_head(tx, &head);
		if (r < 0)
			return r;
		give(tx, q->clean, head - q->clean);
		q->clean = head;
		while (tx->first_report != tx->next_report &&
		       (int32_t)(report(tx, tx->first_report) - head) <= 0)
			tx->first_report++;
		set_watched(tx);
		set_stop(tx);
	}
	return (int)(q->tail - q->clean);
}

int igb_tx_flush(struct igb_tx *tx)
{
	int r;

	if (!igb_queue_enter(&tx->q))
		return fail(-EBUSY, "transmit queue %u is in use by another thread", tx->q.index);
	r = flush(tx);
	igb_queue_leave(&tx->q);
	return r;
}

/* Whether buffers are the pool's is looked at for each packet only where checks are left in. */
static inline bool trusted(const struct igb_pool *pool, uint64_t iova)
{
#ifdef IGB_CHECKS
	return igb_pool_has(pool, iova);
#else
	(void)pool;
	(void)iova;
	return true;
#endif
}

/* Sending ------------------------------------------------------------------------------------------------- */

/*
 * Put a packet of one whole buffer without offloads into a descriptor. What the shortest such packet's word is less than this one's, turned so that the
 * length comes last, is a small number; of any other word it is a large one. False: it is no such packet.
 */
static inline bool put_one(struct igb_tx *tx, uint64_t *descriptor, uint64_t *slot,
			   const struct igb_piece *piece, uint64_t range, uint64_t twice)
{
	uint64_t iova = piece->iova, longer = piece->what - (IGB_TX_LEN(IGB_MIN_SEND) | IGB_TX_END);

	longer = longer << 32 | longer >> 32;
	if (unlikely(longer > range) || unlikely(!trusted(tx->q.pool, iova)))
		return false;
	*slot = iova;
	store64(&descriptor[0], htole64(iova));
	store64(&descriptor[1], htole64(longer * twice + (IGB_MIN_SEND * TWICE + (COMMON | IGB_TXD_END))));
	return true;
}

/* Up to @run of them into neighbouring descriptors, four at a time while there are. Returns how many there were. */
__attribute__((always_inline)) static inline uint32_t put_simple(struct igb_tx *tx,
								 const struct igb_piece *piece, uint32_t run)
{
	uint32_t at = tx->q.tail & tx->q.mask, left = run;
	uint64_t(*ring)[2] = tx->q.ring + at, *slots = tx->q.slots + at;
	const uint64_t range = tx->max_simple - IGB_MIN_SEND, twice = tx->twice;

	for (; left >= 4; left -= 4, piece += 4, ring += 4, slots += 4)
		if (unlikely(!put_one(tx, ring[0], slots, piece, range, twice)) ||
		    unlikely(!put_one(tx, ring[1], slots + 1, piece + 1, range, twice)) ||
		    unlikely(!put_one(tx, ring[2], slots + 2, piece + 2, range, twice)) ||
		    unlikely(!put_one(tx, ring[3], slots + 3, piece + 3, range, twice)))
			break; /* the next loop finds out at which */
	for (; left != 0; left--, piece++, ring++, slots++)
		if (unlikely(!put_one(tx, ring[0], slots, piece, range, twice)))
			break;
	tx->q.tail += run - left;
	return run - left;
}

/* How many pieces the packet that begins at @pieces has, and its length; or an error. */
static int measure(const struct igb_tx *tx, const struct igb_piece *pieces, uint32_t num, uint32_t *ret_len)
{
	const struct igb_pool *pool = tx->q.pool;
	uint32_t i, total = 0;

	for (i = 0; i < num; i++) {
		uint64_t what = pieces[i].what;

		if (i == IGB_MAX_PIECES)
			return fail(-EMSGSIZE, "a packet of more than %u pieces", IGB_MAX_PIECES);
		if (LEN(what) == 0)
			return fail(-EINVAL, "piece %u of a packet has no bytes", i);
		if (what & ~KNOWN)
			return fail(-EINVAL, "unknown flags: 0x%016" PRIx64, what & ~KNOWN);
		if (!igb_pool_has(pool, pieces[i].iova))
			return fail(-EINVAL, "IOVA 0x%" PRIx64 " is no buffer of this queue's pool",
				    pieces[i].iova);
		if (OFFSET(what) + LEN(what) > pool->place.len)
			return fail(-EINVAL, "%u bytes at offset %u do not lie in a buffer of %u", LEN(what),
				    OFFSET(what), pool->place.len);
		total += LEN(what);
		if (!(what & IGB_TX_END))
			continue;
		if (total < IGB_MIN_SEND)
			return fail(-EINVAL, "a packet of %u bytes: the shortest is %u", total, IGB_MIN_SEND);
		if (total > tx->max_len)
			return fail(-EMSGSIZE, "a packet of %u bytes: the port's longest is %u", total,
				    tx->max_len);
		*ret_len = total;
		return (int)i + 1;
	}
	return fail(-EINVAL, "the last packet has no end");
}

/* Any packet. Returns how many of @num pieces it has; or an error. */
__attribute__((noinline, cold)) static int put_any(struct igb_tx *tx, const struct igb_piece *pieces,
						   uint32_t num, uint32_t room)
{
	struct igb_queue *q = &tx->q;
	uint32_t len = 0, i;
	uint64_t flags, payload;
	int r = measure(tx, pieces, num, &len);

	if (r < 0)
		return r;
	if ((uint32_t)r > room)
		return fail(-EAGAIN, "transmit queue %u has room for %u pieces, and the packet has %d",
			    q->index, room, r);
	flags = flags_of(pieces[0].what & FIRST_FLAGS) | COMMON;
	payload = (uint64_t)len << IGB_TXD_PAYLEN_SHIFT;
	for (i = 0; i < (uint32_t)r; i++) {
		uint64_t what = pieces[i].what;
		uint32_t at = q->tail & q->mask;

		q->slots[at] = pieces[i].iova;
		q->ring[at][0] = htole64(pieces[i].iova + OFFSET(what));
		q->ring[at][1] = htole64(LEN(what) | flags_of(what & IGB_TX_END) | flags | payload);
		payload = 0;
		q->tail++;
	}
	return r;
}

/* Pieces that are no short run of simple packets; @done are in descriptors already. Returns how many then are, or an error. */
__attribute__((noinline)) static int put(struct igb_tx *tx, const struct igb_piece *pieces, uint32_t num,
					 uint32_t done)
{
	struct igb_queue *q = &tx->q;
	uint32_t run, n;
	int r;

	while (done < num) {
		if (unlikely(q->tail - q->clean == q->mask)) {
			r = fail(-EAGAIN, "transmit queue %u is full: %u descriptors are on their way",
				 q->index, q->mask);
			return done != 0 ? (int)done : r;
		}
		run = num - done < q->stop - q->tail ? num - done : q->stop - q->tail;
		n = put_simple(tx, pieces + done, run);
		done += n;
		if (n < run) {
			r = put_any(tx, pieces + done, num - done, q->mask - (q->tail - q->clean));
			if (r < 0)
				return done != 0 ? (int)done : r;
			done += (uint32_t)r;
		}
		if (q->tail - tx->reported >= IGB_REPORT)
			ask_for_report(tx);
		else
			set_stop(tx);
	}
	return (int)done;
}

/* Descriptors have been filled: @r pieces. Returns what the burst is to return. */
__attribute__((noinline)) static int finish(struct igb_tx *tx, int r)
{
	/* The last of a lot; or what may be the last for a while. */
	if (tx->watched == &nothing || tx->q.tail - tx->reported >= IGB_REPORT)
		ask_for_report(tx);
	else
		set_stop(tx);
	igb_queue_ring(
		&tx->q,
		tx->q.tail); /* when that fails, the pieces are the queue's all the same: the next call tells */
	return r;
}

/* A burst of which @done are in descriptors, and something else than simple packets follows. */
__attribute__((noinline, cold)) static int burst_mixed(struct igb_tx *tx, const struct igb_piece *pieces,
						       uint32_t num, uint32_t done)
{
	int r = put(tx, pieces, num, done);

	return r > 0 ? finish(tx, r) : r;
}

/* One before which something has been sent, or that passes a report or the end of the ring. */
__attribute__((noinline)) static int burst_long(struct igb_tx *tx, const struct igb_piece *pieces,
						uint32_t num)
{
	uint32_t done = 0;

	if (has_report(tx))
		igb_tx_reclaim(tx);
	if (unlikely(tx->q.failed))
		return igb_queue_explain(&tx->q, "transmit");
	if (likely(num <= tx->q.stop - tx->q.tail))
		done = put_simple(tx, pieces, num);
	return done == num && num != 0 ? finish(tx, (int)num) : burst_mixed(tx, pieces, num, done);
}

static inline int burst(struct igb_tx *tx, const struct igb_piece *pieces, uint32_t num)
{
	struct igb_queue *q = &tx->q;
	uint32_t done;

	if (has_report(tx) || unlikely(num - 1 >= q->stop - q->tail)) /* also if there are none */
		return burst_long(tx, pieces, num);
	done = put_simple(tx, pieces, num);
	if (unlikely(done < num))
		return burst_mixed(tx, pieces, num, done);
	if (tx->watched == &nothing || q->tail == q->stop)
		return finish(tx, (int)num);
	igb_queue_ring(q, q->tail); /* as above */
	return (int)num;
}

int igb_tx_burst(struct igb_tx *tx, const struct igb_piece *pieces, uint32_t num)
{
	int r;

	if (unlikely(!igb_queue_enter(&tx->q)))
		return fail(-EBUSY, "transmit queue %u is in use by another thread", tx->q.index);
	r = burst(tx, pieces, num);
	igb_queue_leave(&tx->q);
	return r;
}

/* Offloads ------------------------------------------------------------------------------------------------ */

static int read_offload(const struct igb_offload *callers, struct igb_offload *ret)
{
	int r = opts_copy(ret, sizeof *ret, callers);

	if (r < 0)
		return fail(r, r == -E2BIG ? "offloads newer than this driver"
					   : "the size of the offloads is impossible");
	ret->mac_len = ret->mac_len ? ret->mac_len : 14;
	ret->ip_len = ret->ip_len ? ret->ip_len : 20;
	ret->l4 = ret->l4 ? ret->l4 : IPPROTO_UDP;
	if (ret->mac_len < 14 || ret->mac_len > 127 || ret->ip_len < 20 || ret->ip_len > 511)
		return fail(-EINVAL,
			    "an Ethernet header of %u bytes, an IP header of %u: 14 to 127, and 20 to 511",
			    ret->mac_len, ret->ip_len);
	if (ret->l4 != IPPROTO_TCP && ret->l4 != IPPROTO_UDP && ret->l4 != IPPROTO_SCTP)
		return fail(-EINVAL, "no checksums for IP protocol %u", ret->l4);
	return 0;
}

int igb_tx_offload(struct igb_tx *tx, const struct igb_offload *offload)
{
	struct igb_queue *q = &tx->q;
	struct igb_offload o;
	uint64_t types = IGB_TXD_CONTEXT | IGB_TXD_ADVANCED;
	uint32_t at = q->tail & q->mask;
	int r = read_offload(offload, &o);

	if (r < 0)
		return r;
	if (!igb_queue_enter(q))
		return fail(-EBUSY, "transmit queue %u is in use by another thread", q->index);
	igb_tx_reclaim(tx);
	if (q->failed)
		r = igb_queue_explain(q, "transmit");
	else if (q->tail - q->clean == q->mask)
		r = fail(-EAGAIN, "transmit queue %u is full: %u descriptors are on their way", q->index,
			 q->mask);
	if (r == 0) {
		types |= o.ipv6 ? 0 : IGB_CTX_IPV4;
		types |= o.l4 == IPPROTO_TCP ? IGB_CTX_TCP : o.l4 == IPPROTO_SCTP ? IGB_CTX_SCTP : 0;
		q->ring[at][0] = htole64((uint64_t)o.vlan << IGB_CTX_VLAN_SHIFT |
					 o.mac_len << IGB_CTX_MAC_SHIFT | o.ip_len);
		q->ring[at][1] = htole64(types);
		q->slots[at] = IGB_NO_SLOT;
		tx->holes++;
		q->tail++;
		if (q->tail - tx->reported >= IGB_REPORT)
			tx->reported++; /* a context is not reported: the packet after it is */
		set_stop(tx);
	}
	igb_queue_leave(q);
	return r;
}
