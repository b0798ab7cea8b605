/* SPDX-License-Identifier: MIT */
/* Messages to the administrator: on standard error, or in the system log once the program is in the
 * background. */
#ifndef BROKER_REPORT_H
#define BROKER_REPORT_H

#include <syslog.h>

/* Messages come from @name; without it, from weir-broker. */
void report_as(const char *name);

void report_to_syslog(void);

/* @priority is one of syslog's: LOG_INFO, LOG_WARNING, LOG_ERR. */
__attribute__((format(printf, 2, 3))) void report(int priority, const char *format, ...);

#endif
