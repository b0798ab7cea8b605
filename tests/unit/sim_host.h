/* SPDX-License-Identifier: MIT */
/* A simulated machine with weir on it, for the drivers' cases; everything ends with the case. */
#ifndef UNIT_SIM_HOST_H
#define UNIT_SIM_HOST_H

#include <weir/sim.h>
#include <weir/weir.h>

#include "test.h"

struct sim_host {
	struct weir_sim *sim;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device; /* the last that was opened */
};

/* The interfaces that the machine offers, for loops over them. */
extern const enum weir_backend sim_backends[3];

/* A machine whose devices work on their own, without devices yet; a host and a space on it. */
struct sim_host *sim_host_open(struct t *t, enum weir_backend backend);

/* Open the device at @address, NULL: the first one. */
struct weir_device *sim_host_device(struct t *t, struct sim_host *host, const char *address,
				    uint32_t address_bits);

/* Memory of @len bytes, mapped for devices; its IOVA. */
void *sim_host_memory(struct t *t, struct sim_host *host, size_t len, uint64_t *ret_iova);

/* A page of IOVAs that nothing is mapped at, until something else is. */
uint64_t sim_host_nowhere(struct t *t, struct sim_host *host);

#endif
