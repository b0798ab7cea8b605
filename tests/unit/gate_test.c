// SPDX-License-Identifier: MIT
/* The lock that counts: what it lets through, and that nobody is forgotten. Of most use under the thread sanitizer. */
#include "ioas/gate.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "shim/test.h"

enum { OPERATORS = 3, CHANGERS = 2, ROUNDS = 20000, CHANGES = 300 };

struct place {
	struct weir_gate gate;
	uint64_t locked;         /* changed with the lock held */
	unsigned int changed;    /* changed while nothing is under way */
	_Atomic int inside;      /* how many are under way, beside the gate */
	_Atomic bool transition; /* one is on, beside the gate */
	atomic_bool over;
};

static void begin_transition(struct place *place)
{
	weir_gate_lock_calm(&place->gate);
	weir_gate_hold_up(&place->gate);
	weir_gate_unlock(&place->gate);
	weir_gate_wait_for_none(&place->gate);
}

static void end_transition(struct place *place)
{
	weir_gate_lock(&place->gate);
	weir_gate_let_go(&place->gate);
	weir_gate_unlock(&place->gate);
}

/* As a mapping is made and taken back. */
static void *operate(void *arg)
{
	struct place *place = arg;

	for (unsigned int i = 0; i < ROUNDS || !atomic_load(&place->over); i++) {
		unsigned int seen;

		if (i % 2) {
			weir_gate_set_out(&place->gate);
		} else {
			weir_gate_lock_and_set_out(&place->gate);
			place->locked++;
			weir_gate_unlock(&place->gate);
		}
		atomic_fetch_add_explicit(&place->inside, 1, memory_order_relaxed);
		EXPECT_FALSE(atomic_load_explicit(&place->transition, memory_order_relaxed));
		seen = place->changed;
		EXPECT_EQ(seen, place->changed);
		atomic_fetch_sub_explicit(&place->inside, 1, memory_order_relaxed);
		if (i % 2) {
			weir_gate_lock(&place->gate);
			place->locked++;
			weir_gate_unlock_and_arrive(&place->gate);
		} else {
			weir_gate_arrive(&place->gate);
		}
	}
	return NULL;
}

/* As devices come and go. */
static void *change(void *arg)
{
	struct place *place = arg;

	for (int i = 0; i < CHANGES; i++) {
		begin_transition(place);
		atomic_store_explicit(&place->transition, true, memory_order_relaxed);
		EXPECT_EQ(0, atomic_load_explicit(&place->inside, memory_order_relaxed));
		place->changed++;
		atomic_store_explicit(&place->transition, false, memory_order_relaxed);
		end_transition(place);
	}
	return NULL;
}

static void finish(void *arg)
{
	struct place *place = arg;

	weir_gate_finish(&place->gate);
	free(place);
}

static struct place *new_place(struct t *t)
{
	struct place *place = calloc(1, sizeof(*place));

	ASSERT_TRUE(place);
	weir_gate_init(&place->gate);
	t_defer(t, finish, place);
	return place;
}

UNIT(gate, keeps_operations_and_transitions_apart)
{
	struct place *place = new_place(t);
	pthread_t operators[OPERATORS], changers[CHANGERS];

	t_timeout(t, 120);
	for (int i = 0; i < OPERATORS; i++)
		ASSERT_EQ(0, pthread_create(&operators[i], NULL, operate, place));
	for (int i = 0; i < CHANGERS; i++)
		ASSERT_EQ(0, pthread_create(&changers[i], NULL, change, place));
	for (int i = 0; i < CHANGERS; i++)
		pthread_join(changers[i], NULL);
	atomic_store(&place->over, true);
	for (int i = 0; i < OPERATORS; i++)
		pthread_join(operators[i], NULL);
	EXPECT_EQ(CHANGERS * CHANGES, place->changed);
	EXPECT_GE(place->locked, OPERATORS * ROUNDS);
	EXPECT_EQ(0, atomic_load(&place->gate.word) & ~(uint32_t)WEIR_GATE_WAITING);
}

static void *wait_for_none(void *arg)
{
	struct place *place = arg;

	begin_transition(place);
	place->changed = 1;
	end_transition(place);
	return NULL;
}

static bool is_held_up(struct place *place)
{
	return atomic_load(&place->gate.word) & WEIR_GATE_TRANSITION;
}

UNIT(gate, lets_what_is_under_way_finish_before_a_transition)
{
	struct place *place = new_place(t);
	pthread_t thread;

	weir_gate_set_out(&place->gate);
	weir_gate_lock_and_set_out(&place->gate);
	weir_gate_unlock(&place->gate);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_none, place));
	while (!is_held_up(place))
		nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 }, NULL);
	/* Those that are on their way get the lock for what they have to put down. */
	weir_gate_lock(&place->gate);
	weir_gate_unlock_and_arrive(&place->gate);
	nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
	EXPECT_TRUE(is_held_up(place));
	EXPECT_EQ(0, place->changed);
	weir_gate_arrive(&place->gate);
	weir_gate_set_out(&place->gate);
	EXPECT_EQ(1, place->changed);
	weir_gate_arrive(&place->gate);
	pthread_join(thread, NULL);
}
