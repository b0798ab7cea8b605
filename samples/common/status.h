/* SPDX-License-Identifier: MIT */
/* What a program exits with that tells why it ended. The others have EXIT_SUCCESS, EXIT_FAILURE and EXIT_USAGE. */
#ifndef SAMPLES_STATUS_H
#define SAMPLES_STATUS_H

enum {
	EXIT_DONE = 0,      /* all that it was to do */
	EXIT_REFUSED = 1,   /* it could not be set up */
	EXIT_USAGE = 2,     /* the command line makes no sense */
	EXIT_FAILED = 3,    /* it failed on the way */
	EXIT_STOPPED = 130, /* by a signal */
};

/* What a run came to that began: 0, -EINTR, or another error. */
int exit_status(int error);

#endif
