/* SPDX-License-Identifier: MIT */
/*
 * A thread's registers, as a signal handler is shown them and may change them: context_x86.c,
 * context_arm64.c.
 */
#ifndef WEIR_SIM_PRELOAD_CONTEXT_H
#define WEIR_SIM_PRELOAD_CONTEXT_H

#include <ucontext.h>

#include "sim/preload/decode.h"

/* Execute in software the instruction that the context stands at. As sim_x86_step() and sim_arm64_step(). */
int sim_context_step(ucontext_t *context, const struct sim_memory *memory);

#endif
