/* SPDX-License-Identifier: MIT */
#include "common/stop.h"

#include <stddef.h>

volatile sig_atomic_t stop;

static void on_signal(int signal_number)
{
	(void)signal_number;
	stop = 1;
}

/* Without SA_RESTART: what waits is to notice. */
void stop_on_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}
