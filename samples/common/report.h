/* SPDX-License-Identifier: MIT */
/* What programs for one NVMe controller say to people, on stdout: lines with a label. */
#ifndef SAMPLES_REPORT_H
#define SAMPLES_REPORT_H

#include "common/drive.h"
#include "common/privileges.h"

__attribute__((format(printf, 2, 3))) void report_line(const char *label, const char *format, ...);

/* Which controller this is about, and how it was reached. */
void report_title(const struct open_request *request, const struct drive *drive);

/* What is left of privileges. */
void report_privileges(const struct privileges *privileges);

#endif
