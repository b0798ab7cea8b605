// SPDX-License-Identifier: MIT
/* Trouble on request. */
#include "sim/machine.h"

int sim_trouble_enter(struct weir_sim *sim)
{
	struct sim_trouble *trouble = &sim->trouble;

	trouble->copy_back_fails = false;
	if (++trouble->num_calls != trouble->fail_at)
		return 0;
	trouble->fail_at = 0;
	trouble->copy_back_fails = trouble->fail_copy_back;
	return trouble->fail_copy_back ? 0 : trouble->fail_error;
}

int sim_trouble_invalidation(struct weir_sim *sim)
{
	struct sim_trouble *trouble = &sim->trouble;

	if (++trouble->num_invalidations != trouble->fail_invalidation)
		return 0;
	trouble->fail_invalidation = 0;
	return trouble->invalidation_error;
}

void weir_sim_fail_invalidation(struct weir_sim *sim, uint64_t n, int error)
{
	if (sim_lock(sim))
		return;
	sim->trouble.fail_invalidation = n ? sim->trouble.num_invalidations + n : 0;
	sim->trouble.invalidation_error = error;
	sim_unlock(sim);
}

/* Something is transferred always: a caller that goes on until all is done must come to an end. */
size_t sim_trouble_cut(const struct weir_sim *sim, size_t len)
{
	return sim->trouble.cut ? len - len / 2 : len;
}

void weir_sim_fail_call(struct weir_sim *sim, uint64_t n, int error, bool copy_back)
{
	if (sim_lock(sim))
		return;
	sim->trouble.fail_at = n ? sim->trouble.num_calls + n : 0;
	sim->trouble.fail_error = error;
	sim->trouble.fail_copy_back = copy_back;
	sim_unlock(sim);
}

uint64_t weir_sim_num_calls(struct weir_sim *sim)
{
	uint64_t num_calls;

	if (sim_lock(sim))
		return 0;
	num_calls = sim->trouble.num_calls;
	sim_unlock(sim);
	return num_calls;
}

void weir_sim_cut_transfers(struct weir_sim *sim, bool cut)
{
	if (sim_lock(sim))
		return;
	sim->trouble.cut = cut;
	sim_unlock(sim);
}

void weir_sim_delay_calls(struct weir_sim *sim, uint64_t nanoseconds)
{
	if (sim_lock(sim))
		return;
	sim->trouble.delay_ns = nanoseconds;
	sim_unlock(sim);
}
