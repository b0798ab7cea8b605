// SPDX-License-Identifier: MIT
/* The gate's slow paths: waiting and waking. */
#include "ioas/gate.h"

void weir_gate_init(struct weir_gate *gate)
{
	atomic_init(&gate->word, 0);
	atomic_init(&gate->num_waiting, 0);
	pthread_mutex_init(&gate->mutex, NULL);
	pthread_cond_init(&gate->changed, NULL);
}

void weir_gate_finish(struct weir_gate *gate)
{
	pthread_cond_destroy(&gate->changed);
	pthread_mutex_destroy(&gate->mutex);
}

/* Whether it could: one attempt goes on until it either succeeds or finds a reason not to. */
static bool try_enter(struct weir_gate *gate, uint32_t by, uint32_t unless)
{
	uint32_t word = atomic_load_explicit(&gate->word, memory_order_relaxed);

	while (!(word & unless))
		if (atomic_compare_exchange_weak_explicit(&gate->word, &word, word + by, memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

/* The mutex is held: ask to be woken. Returns what the word was then. */
static uint32_t ask(struct weir_gate *gate)
{
	return atomic_fetch_or_explicit(&gate->word, WEIR_GATE_WAITING, memory_order_acquire);
}

void weir_gate_wait(struct weir_gate *gate, uint32_t by, uint32_t unless)
{
	/* What is done under the lock is short: it may be over before going to sleep would be. */
	enum { TRIES = 100 };

	atomic_fetch_add(&gate->num_waiting, 1);
	for (int i = 0; i < TRIES; i++) {
		if (try_enter(gate, by, unless)) {
			atomic_fetch_sub(&gate->num_waiting, 1);
			return;
		}
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
	pthread_mutex_lock(&gate->mutex);
	for (;;) {
		ask(gate);
		if (try_enter(gate, by, unless))
			break;
		pthread_cond_wait(&gate->changed, &gate->mutex);
	}
	pthread_mutex_unlock(&gate->mutex);
	atomic_fetch_sub(&gate->num_waiting, 1);
}

void weir_gate_wait_for_none(struct weir_gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	while (ask(gate) >= WEIR_GATE_ONE)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
}

void weir_gate_wake(struct weir_gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	atomic_fetch_and_explicit(&gate->word, ~(uint32_t)WEIR_GATE_WAITING, memory_order_relaxed);
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
}
