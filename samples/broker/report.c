// SPDX-License-Identifier: MIT
#include "report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static bool in_background;
static const char *name = "weir-broker";

void report_as(const char *who)
{
	name = who;
}

void report_to_syslog(void)
{
	openlog(name, LOG_PID, LOG_DAEMON);
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
		fprintf(stderr, "%s: %s\n", name, text);
}
