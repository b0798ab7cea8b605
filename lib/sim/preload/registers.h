/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of a machine's mapped registers. The machine maps such BARs without access (sim/device/mmap.c); the instruction
 * that faults there is executed in software, on what these give. The machine's lock is held.
 */
#ifndef WEIR_SIM_PRELOAD_REGISTERS_H
#define WEIR_SIM_PRELOAD_REGISTERS_H

#include "sim/device/device.h"
#include "sim/preload/decode.h"

/* The mapping of registers that all of @addr..+@len lies in, or NULL. */
struct sim_mapping *sim_registers_at(struct weir_sim *sim, uint64_t addr, size_t len);

/* What was mapped there has just been replaced: what is there now may fault otherwise, or not at all. */
bool sim_registers_changed(struct weir_sim *sim, uint64_t addr);

/* Memory as a program of this machine sees it: registers, and what else an instruction's operands may lie in. */
struct sim_memory sim_registers_memory(struct weir_sim *sim);

#endif
