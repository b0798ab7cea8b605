// SPDX-License-Identifier: MIT
#include "report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static bool in_background;

void report_to_syslog(void)
{
	openlog("weir-broker", LOG_PID, LOG_DAEMON);
	in_background = true;
}

void report(int priority, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (in_background)
		syslog(priority, "%s", text);
	else
		fprintf(stderr, "weir-broker: %s\n", text);
}
