/* SPDX-License-Identifier: MIT */
/* Which of a machine's processes makes a call. */
#ifndef WEIR_SIM_PROCESS_H
#define WEIR_SIM_PROCESS_H

#include "sim/machine.h"

/* Of the thread's call: 0 is the machine's own table's. */
unsigned int sim_process_now(void);

/* When the machine's own table has been filled in. */
void sim_processes_init(struct weir_sim *sim);

#endif
