/* SPDX-License-Identifier: MIT */
#include "common/say.h"

#include <err.h>
#include <stddef.h>

int say_error(int error, const char *what, const char *(*why)(void))
{
	if (error < 0 && what)
		warnx("%s: %s", what, why());
	else if (error < 0)
		warnx("%s", why());
	return error;
}

void keep_first(int *first, int error)
{
	if (*first == 0)
		*first = error;
}
