// SPDX-License-Identifier: MIT
/*
 * Machines whose devices have done all there is to do when a call returns, instead of working on a thread of their own: so that a case
 * makes the same calls in every run, and the n-th is always the same one.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include <errno.h>

#include "sim/machine.h"

enum { MAX_STEPS = 100000 };

static _Atomic(struct weir_sim *) running;
static _Thread_local bool stepping;

/* The names that the linker gives to what it wraps. */
void __real_sim_unlock(struct weir_sim *sim);
void __wrap_sim_unlock(struct weir_sim *sim);
int __wrap_weir_sim_start(struct weir_sim *sim);
int __wrap_weir_sim_stop(struct weir_sim *sim);

int __wrap_weir_sim_start(struct weir_sim *sim)
{
	atomic_store(&running, sim);
	return 0;
}

int __wrap_weir_sim_stop(struct weir_sim *sim)
{
	struct weir_sim *expected = sim;

	atomic_compare_exchange_strong(&running, &expected, NULL);
	return 0;
}

void __wrap_sim_unlock(struct weir_sim *sim)
{
	int saved = errno;

	__real_sim_unlock(sim);
	if (stepping || atomic_load(&running) != sim)
		return;
	stepping = true;
	for (int i = 0; i < MAX_STEPS && weir_sim_step(sim) > 0; i++)
		;
	stepping = false;
	errno = saved;
}
