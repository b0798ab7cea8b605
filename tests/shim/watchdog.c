/* SPDX-License-Identifier: MIT */
/*
 * A case that hangs is named, and ends the program: in a virtual machine nobody is there to look. The signal handler may
 * only write and abort, so that the message is made beforehand.
 */
#include "run.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char message[512];

static void bark(int signal)
{
	ssize_t written = write(STDERR_FILENO, message, strlen(message));

	(void)signal;
	(void)written;
	abort();
}

void t_watchdog_start(const struct t_case *test, const struct t_host *host, unsigned int seconds)
{
	struct sigaction action = { .sa_handler = bark };

	snprintf(message, sizeof(message), "\nHUNG: %s%s%s.%s did not finish within %u s (%s:%d)\n",
		 host ? host->name : "", host ? "/" : "", test->suite, test->name, seconds, test->file,
		 test->line);
	sigaction(SIGALRM, &action, NULL);
	alarm(seconds);
}

void t_watchdog_stop(void)
{
	alarm(0);
}
