/* SPDX-License-Identifier: MIT */
#include "common/status.h"

#include <errno.h>

int exit_status(int error)
{
	if (error == -EINTR)
		return EXIT_STOPPED;
	return error < 0 ? EXIT_FAILED : EXIT_DONE;
}
