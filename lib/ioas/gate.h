/* SPDX-License-Identifier: MIT */
/*
 * The lock of an address space, and the count of what is under way in it without the lock: one word.
 *
 * Many mappings may be in the making or in removal at a time, each in a system call of its own, for which the lock is let go of. They are
 * counted. A transition wants none of them to run, and none to begin before it is over: a device comes or goes, or a
 * range with gaps is unmapped, into which nothing may be mapped meanwhile.
 *
 * What may happen is decided by one atomic change of the word, or not at all:
 *
 *     lock         while neither the lock is held nor (but for the transition's own needs) a transition is on
 *     set out      while no transition is on: with the lock, or by itself
 *     arrive       at any time
 *     hold up      with the lock: a transition is on from now on. It waits for the count to become 0, if it needs that
 *     let go       with the lock: the transition is over
 *
 * So no operation sets out beside a transition: the word that says that one is on is the word that would count it. Every change that
 * lets go of something (arrive, unlock, let go) is a release and every one that gets something an acquire, of the same word and
 * by read-modify-write; hence whoever gets the lock sees what was done under it, a transition that finds the count 0 sees what the operations
 * did, and an operation that sets out sees what the transitions before it did.
 *
 * Nobody sleeps for ever. Whoever cannot go on takes the mutex, sets WAITING in the word, and only if it still cannot go on, goes to
 * sleep, which gives up the mutex. Whoever lets go of something learns by the same change whether WAITING was set before it. If it was not,
 * the waiter's look comes later and finds what was let go. If it was, then that one takes the mutex, by which
 * time the waiter sleeps or has gone on, and wakes all, who look again.
 */
#ifndef WEIR_IOAS_GATE_H
#define WEIR_IOAS_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weir_gate {
	_Atomic uint32_t word;
	_Atomic uint32_t num_waiting; /* threads in weir_gate_wait() */
	pthread_mutex_t mutex;        /* for sleeping */
	pthread_cond_t changed;
};

enum {
	WEIR_GATE_LOCKED = 1 << 0,
	WEIR_GATE_WAITING = 1 << 1,
	WEIR_GATE_TRANSITION = 1 << 2,
	WEIR_GATE_ONE = 1 << 3, /* from here on: how many operations are under way */
};

void weir_gate_init(struct weir_gate *gate);
void weir_gate_finish(struct weir_gate *gate);

/* Add @by to the word as soon as none of the bits @unless is set. */
void weir_gate_wait(struct weir_gate *gate, uint32_t by, uint32_t unless);

/* Wake all that wait. */
void weir_gate_wake(struct weir_gate *gate);

static inline void weir_gate_enter(struct weir_gate *gate, uint32_t by, uint32_t unless)
{
	uint32_t word = atomic_load_explicit(&gate->word, memory_order_relaxed);

	if ((word & unless) ||
	    !atomic_compare_exchange_strong_explicit(&gate->word, &word, word + by, memory_order_acquire,
						     memory_order_relaxed))
		weir_gate_wait(gate, by, unless);
}

static inline void weir_gate_leave(struct weir_gate *gate, uint32_t by)
{
	if (atomic_fetch_sub_explicit(&gate->word, by, memory_order_release) & WEIR_GATE_WAITING)
		weir_gate_wake(gate);
}

/* Get the lock, whether a transition is on or not. */
static inline void weir_gate_lock(struct weir_gate *gate)
{
	weir_gate_enter(gate, WEIR_GATE_LOCKED, WEIR_GATE_LOCKED);
}

/* Get the lock when no transition is on: then what is under way can be told from what is not. */
static inline void weir_gate_lock_calm(struct weir_gate *gate)
{
	weir_gate_enter(gate, WEIR_GATE_LOCKED, WEIR_GATE_LOCKED | WEIR_GATE_TRANSITION);
}

static inline void weir_gate_unlock(struct weir_gate *gate)
{
	weir_gate_leave(gate, WEIR_GATE_LOCKED);
}

/* One operation more is under way, with the lock held or without. */
static inline void weir_gate_set_out(struct weir_gate *gate)
{
	weir_gate_enter(gate, WEIR_GATE_ONE, WEIR_GATE_TRANSITION);
}

/* The same if no transition is on, without waiting. */
static inline bool weir_gate_try_set_out(struct weir_gate *gate)
{
	uint32_t word = atomic_load_explicit(&gate->word, memory_order_relaxed);

	while (!(word & WEIR_GATE_TRANSITION))
		if (atomic_compare_exchange_weak_explicit(&gate->word, &word, word + WEIR_GATE_ONE,
							  memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

/* One operation more is under way, and get the lock. */
static inline void weir_gate_lock_and_set_out(struct weir_gate *gate)
{
	weir_gate_enter(gate, WEIR_GATE_LOCKED + WEIR_GATE_ONE, WEIR_GATE_LOCKED | WEIR_GATE_TRANSITION);
}

/* One operation less is under way. */
static inline void weir_gate_arrive(struct weir_gate *gate)
{
	weir_gate_leave(gate, WEIR_GATE_ONE);
}

/* The same, and give up the lock. */
static inline void weir_gate_unlock_and_arrive(struct weir_gate *gate)
{
	weir_gate_leave(gate, WEIR_GATE_LOCKED + WEIR_GATE_ONE);
}

/* With the lock held and no transition on: one is on from now on. */
static inline void weir_gate_hold_up(struct weir_gate *gate)
{
	atomic_fetch_add_explicit(&gate->word, WEIR_GATE_TRANSITION, memory_order_relaxed);
}

/* With a transition on, without the lock: wait until nothing is under way. */
void weir_gate_wait_for_none(struct weir_gate *gate);

/* With the lock held: the transition is over. */
static inline void weir_gate_let_go(struct weir_gate *gate)
{
	weir_gate_leave(gate, WEIR_GATE_TRANSITION);
}

#endif
