/* SPDX-License-Identifier: MIT */
/*
 * A bench for device models: in place of the simulated machine, as much of it as a model sees. Memory
 * begins at IOVA BENCH_IOVA; interrupts are counted; the program around it plays the driver, a register
 * at a time.
 */
#ifndef UNIT_SIM_BENCH_H
#define UNIT_SIM_BENCH_H

#include <weir/sim.h>

#include "sim/device/device.h"
#include "test.h"

#define BENCH_IOVA 0x100000000ull /* nothing below: an address that lost its upper half goes astray */

enum { BENCH_MEMORY = 64 << 20, BENCH_VECTORS = 256 };

struct bench {
	struct weir_sim sim; /* first: what weir_sim_add() is given */
	struct weir_sim_device device;
	struct weir_sim_model model;
	unsigned char *memory;
	uint64_t blocked, blocked_len; /* IOVAs where DMA is blocked though there is memory */
	uint32_t messages[BENCH_VECTORS];
	uint32_t pin_changes;
	uint64_t num_dma, num_faults;
	bool pin, plugged;
	bool adding_fails; /* the next device that is added, before it is created */
};

/* One that ends with the case, with nothing in it. To be given to weir_sim_add_...(). */
struct bench *bench_open(struct t *t);
struct weir_sim *bench_sim(struct bench *bench);

/* Take the device out. */
void bench_remove(struct bench *bench);

/* Registers of BAR 0. */
uint32_t bench_read32(struct bench *bench, uint64_t offset);
uint64_t bench_read64(struct bench *bench, uint64_t offset);
void bench_write32(struct bench *bench, uint64_t offset, uint32_t value);
void bench_write64(struct bench *bench, uint64_t offset, uint64_t value);

/* Let the device work until it has nothing to do. Returns the steps it took. */
unsigned int bench_run(struct bench *bench);

/* Memory at an IOVA. */
void *bench_at(struct bench *bench, uint64_t iova);

#endif
