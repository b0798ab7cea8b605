/* SPDX-License-Identifier: MIT */
#include "common/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void report_line(const char *label, const char *format, ...)
{
	va_list args;

	printf("  %-12s ", label);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void report_title(const struct open_request *request, const struct drive *drive)
{
	printf("%s%s through %s%s\n\n", request->simulate ? "Simulated controller " : "", drive->address,
	       drive->backend, request->broker ? ", opened by the broker" : "");
	report_line("Model", "%s", drive->info.model);
}

void report_privileges(const struct privileges *privileges)
{
	report_line("Privileges", "CapEff %" PRIx64 "%s", privileges->effective,
		    privileges->no_new_privs ? ", and no way to get any" : "");
}
