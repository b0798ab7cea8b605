/* SPDX-License-Identifier: MIT */
/* Stopping in good order. */
#ifndef SAMPLES_STOP_H
#define SAMPLES_STOP_H

#include <signal.h>

/* Not 0 once the program was asked to stop, after stop_on_signals(). */
extern volatile sig_atomic_t stop;

/* SIGINT and SIGTERM ask for it. What waits in the kernel is interrupted. A second one ends the program the hard way. */
void stop_on_signals(void);

#endif
