// SPDX-License-Identifier: MIT
/*
 * Receiving (datasheet 7.1). What is done for each packet is kept to straight loads and stores: each buffer that comes out is replaced at once by
 * one from the pool, and what may be wrong with lengths is gathered and looked at once for a burst.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "igb/pool.h"

#define LENGTH_ONE (UINT64_C(1) << IGB_RXD_LEN_SHIFT)
#define RING_EVERY 32u /* descriptors given back until the doorbell is rung for them */

/* Set-up ------------------------------------------------------------------------------------------------- */

static void stock(struct igb_rx *rx)
{
	struct igb_queue *q = &rx->q;
	uint32_t i;

	for (i = 0; i <= q->mask; i++) {
		q->ring[i][0] = htole64(q->slots[i]);
		q->ring[i][1] = 0;
	}
	q->tail = 0;
	q->rung = UINT32_MAX;  /* one before: see struct igb_queue */
	q->stop = q->mask + 1; /* the end of the ring; or tail, when the queue has failed */
	q->failed = 0;
}

int igb_rx_create(uint64_t (*ring)[2], uint32_t depth, struct igb_pool *pool, struct igb_doorbell doorbell,
		  struct igb_rx **ret_rx)
{
	struct igb_rx *rx;

	if (depth < 64 || depth > IGB_MAX_DEPTH || depth & (depth - 1))
		return fail(-EINVAL, "a queue of %u descriptors: a power of two from 64 to %u", depth,
			    IGB_MAX_DEPTH);
	if (pool->num_free < depth)
		return fail(-ENOBUFS,
			    "a receive queue of %u descriptors needs as many buffers; the pool has %u", depth,
			    pool->num_free);
	rx = calloc(1, sizeof *rx);
	if (rx)
		rx->q.slots = calloc(depth, sizeof *rx->q.slots);
	if (!rx || !rx->q.slots) {
		free(rx);
		return fail(-ENOMEM, "no memory for a queue of %u descriptors", depth);
	}
	rx->q.ring = ring;
	rx->q.mask = depth - 1;
	rx->q.pool = pool;
	rx->q.doorbell = doorbell;
	igb_pool_take(pool, rx->q.slots, depth);
	pool->users++;
	stock(rx);
	*ret_rx = rx;
	return 0;
}

void igb_rx_restart(struct igb_rx *rx)
{
	stock(rx);
}

void igb_rx_destroy(struct igb_rx *rx)
{
	if (!rx)
		return;
	igb_pool_give(rx->q.pool, rx->q.slots, rx->q.mask + 1);
	rx->q.pool->users--;
	free(rx->q.slots);
	free(rx);
}

/* At work ------------------------------------------------------------------------------------------------- */

bool igb_rx_pending(const struct igb_rx *rx)
{
	return le64toh(load64(&rx->q.ring[rx->q.tail & rx->q.mask][1])) & IGB_RX_DONE;
}

/* A packet out of a descriptor, if there is one, and the buffer @fresh into it. @gathered: see take(). */
static inline bool take_one(uint64_t *descriptor, uint64_t *slot, uint64_t fresh, struct igb_packet *out,
			    uint64_t *gathered)
{
	uint64_t word = le64toh(load64(&descriptor[1]));

	if (!(word & IGB_RX_DONE))
		return false;
	*gathered |= word - LENGTH_ONE;
	out->word = word;
	out->flow = le64toh(descriptor[0]);
	out->iova = *slot;
	*slot = fresh;
	store64(&descriptor[0], htole64(fresh));
	store64(&descriptor[1], 0);
	return true;
}

/*
 * Take up to @run packets from neighbouring descriptors, four at a time while there are, and put buffers in their place, from @fresh on. Into @ret_gathered go
 * the words, with lengths less one: a length of 0 shows as one that is too long.
 */
__attribute__((always_inline)) static inline uint32_t take(uint64_t (*ring)[2], uint64_t *slots,
							   const uint64_t *fresh, struct igb_packet *out,
							   uint32_t run, uint64_t *ret_gathered)
{
	uint32_t left = run;
	uint64_t all = 0;

	for (; left >= 4; left -= 4, out += 4, ring += 4, slots += 4, fresh += 4) {
		uint32_t before = left;

		if (take_one(ring[0], slots, fresh[0], out, &all) && left-- &&
		    take_one(ring[1], slots + 1, fresh[1], out + 1, &all) && left-- &&
		    take_one(ring[2], slots + 2, fresh[2], out + 2, &all) && left-- &&
		    take_one(ring[3], slots + 3, fresh[3], out + 3, &all))
			left = before;
		else
			goto end;
	}
	for (; left != 0; left--, out++, ring++, slots++, fresh++)
		if (!take_one(ring[0], slots, fresh[0], out, &all))
			break;
end:
	*ret_gathered = all;
	return run - left;
}

/* Nothing was taken, and something is wrong, or the pool is empty. */
__attribute__((noinline)) static int explain_nothing(struct igb_rx *rx, uint64_t *ret_all)
{
	if (rx->q.failed == -EPROTO && rx->bad_word)
		return fail(-EPROTO,
			    "receive queue %u has failed: the controller wrote back 0x%016" PRIx64
			    ", a length of %u in a buffer of %u",
			    rx->q.index, rx->bad_word, (uint32_t)(rx->bad_word >> 32) & 0xffff,
			    rx->q.pool->place.len);
	if (rx->q.failed)
		return igb_queue_explain(&rx->q, "receive");
	if (rx->q.pool->num_free == 0 && igb_rx_pending(rx))
		return fail(-ENOBUFS,
			    "packets wait in receive queue %u, and its pool is empty: give buffers back",
			    rx->q.index);
	*ret_all = 0;
	return 0;
}

/*
 * Some length may be wrong: look at each. The first that is ends the queue's use; it and those after it are not reported. Returns what the burst is to
 * return.
 */
__attribute__((noinline, cold)) static int weed(struct igb_rx *rx, const struct igb_packet *packets,
						uint32_t num, uint64_t *ret_all)
{
	uint32_t i, good, len;

	for (good = 0; good < num; good++) {
		len = igb_packet_len(&packets[good]);
		if (len == 0 || len > rx->q.pool->place.len)
			break;
	}
	if (good == num) {
		if (rx->q.tail - rx->q.rung > RING_EVERY)
			igb_queue_ring(&rx->q, rx->q.tail - 1);
		return (int)num;
	}
	rx->bad_word = packets[good].word;
	igb_queue_fail(&rx->q, -EPROTO);
	for (i = good; i < num; i++)
		igb_pool_give(rx->q.pool, &packets[i].iova, 1);
	return good != 0 ? (int)good : explain_nothing(rx, ret_all);
}

/* What was sent may not have been given back yet. */
__attribute__((noinline, cold)) static void find_buffers(struct igb_pool *pool)
{
	struct igb_tx *tx;

	for (tx = pool->first; tx && pool->num_free == 0; tx = tx->next)
		igb_tx_reclaim(tx);
}

static inline uint32_t run_of(const struct igb_rx *rx, uint32_t max)
{
	uint32_t run = rx->q.stop - rx->q.tail, free = rx->q.pool->num_free;

	run = run < max ? run : max;
	return run < free ? run : free;
}

/* Nothing can be taken as things are. Returns whether that has changed. */
static bool make_ready(struct igb_rx *rx)
{
	struct igb_queue *q = &rx->q;

	if (q->failed)
		return false;
	if (q->stop == q->tail)
		q->stop += q->mask + 1;
	if (q->pool->num_free == 0)
		find_buffers(q->pool);
	return q->pool->num_free != 0;
}

/* Packets were taken, and it is time to say so. */
__attribute__((noinline)) static int taken(struct igb_rx *rx, uint32_t num)
{
	igb_queue_ring(&rx->q, rx->q.tail - 1);
	return (int)num;
}

/* Nothing that is rare comes before the end of this, and all of that in functions of its own: few registers are saved for it. */
__attribute__((always_inline)) static inline int burst(struct igb_rx *rx, struct igb_packet *ret_packets,
						       uint32_t run, uint64_t *ret_all)
{
	struct igb_queue *q = &rx->q;
	struct igb_pool *pool = q->pool;
	uint32_t at = q->tail & q->mask, num;
	uint64_t gathered;

	num = take(q->ring + at, q->slots + at, igb_pool_top(pool), ret_packets, run, &gathered);
	if (unlikely(num == 0))
		return explain_nothing(rx, ret_all);
	*ret_all = (uint32_t)gathered;
	q->tail += num;
	pool->num_free -= num;
	if (unlikely(((gathered >> IGB_RXD_LEN_SHIFT) & 0xffff) >= pool->place.len))
		return weed(rx, ret_packets, num, ret_all);
	return q->tail - q->rung > RING_EVERY ? taken(rx, num) : (int)num;
}

__attribute__((noinline)) static int burst_anew(struct igb_rx *rx, struct igb_packet *ret_packets,
						uint32_t max, uint64_t *ret_all)
{
	return make_ready(rx) ? burst(rx, ret_packets, run_of(rx, max), ret_all)
			      : explain_nothing(rx, ret_all);
}

int igb_rx_burst(struct igb_rx *rx, struct igb_packet *ret_packets, uint32_t max, uint64_t *ret_all)
{
	uint32_t run;
	int r;

	if (unlikely(!igb_queue_enter(&rx->q)))
		return fail(-EBUSY, "receive queue %u is in use by another thread", rx->q.index);
	run = run_of(rx, max);
	r = likely(run != 0) ? burst(rx, ret_packets, run, ret_all)
			     : burst_anew(rx, ret_packets, max, ret_all);
	igb_queue_leave(&rx->q);
	return r;
}
