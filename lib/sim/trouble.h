/* SPDX-License-Identifier: MIT */
/* Trouble on request: calls that fail, answers that cannot be copied back, short transfers, delay. */
#ifndef WEIR_SIM_TROUBLE_H
#define WEIR_SIM_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_sim;

struct sim_trouble {
	uint64_t num_calls; /* calls answered so far */
	uint64_t fail_at;   /* num_calls of the call that fails; 0: none */
	int fail_error;
	bool fail_copy_back;
	bool copy_back_fails; /* of the call under way */
	bool cut;
	uint64_t delay_ns;
	uint64_t num_invalidations; /* entries that came so far */
	uint64_t fail_invalidation; /* the one that fails; 0: none */
	int invalidation_error;
};

/* A call begins: count it. 0, or the negative errno with which it ends at once. */
int sim_trouble_enter(struct weir_sim *sim);

/* An invalidation is about to be carried out. 0, or the negative errno with which it is not. */
int sim_trouble_invalidation(struct weir_sim *sim);

/* How much of a transfer of @len bytes is done. */
size_t sim_trouble_cut(const struct weir_sim *sim, size_t len);

#endif
