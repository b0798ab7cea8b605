// SPDX-License-Identifier: MIT
/* How a finding is reported. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/input.h"

/* Freed memory need not be kept long in inputs this small, and fetching new pages from the kernel takes most of the time. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8";
}

_Noreturn void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("wrong: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}

void say(const char *format, ...)
{
	static int verbose = -1;
	va_list args;

	if (verbose < 0)
		verbose = getenv("FUZZ_VERBOSE") != NULL;
	if (!verbose)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}
