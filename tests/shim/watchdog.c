/* SPDX-License-Identifier: MIT */
/*
 * A case that hangs is named, and ends the program: in a virtual machine nobody is there to look. The signal handler may
 * only write and abort, so that the message is made beforehand. It has its time twice: machines have been seen to stand still
 * for a minute and a half.
 */
#include "run.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char message[512];
static volatile sig_atomic_t barks_in;
static unsigned int again;

static void bark(int signal)
{
	ssize_t written;

	(void)signal;
	if (--barks_in) {
		alarm(again);
		return;
	}
	written = write(STDERR_FILENO, message, strlen(message));
	(void)written;
	abort();
}

void t_watchdog_start(const struct t_case *test, const struct t_host *host, unsigned int seconds)
{
	struct sigaction action = { .sa_handler = bark, .sa_flags = SA_RESTART };

	snprintf(message, sizeof(message), "\nHUNG: %s%s%s.%s did not finish within twice %u s (%s:%d)\n",
		 host ? host->name : "", host ? "/" : "", test->suite, test->name, seconds, test->file,
		 test->line);
	barks_in = 2;
	again = seconds;
	sigaction(SIGALRM, &action, NULL);
	alarm(seconds);
}

void t_watchdog_stop(void)
{
	alarm(0);
}
