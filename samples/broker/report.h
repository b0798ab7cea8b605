/* SPDX-License-Identifier: MIT */
/* Messages to the administrator: on standard error, or in the system log once the broker is in the
 * background. */
#ifndef BROKER_REPORT_H
#define BROKER_REPORT_H

#include <syslog.h>

void report_to_syslog(void);

/* @priority is one of syslog's: LOG_INFO, LOG_WARNING, LOG_ERR. */
__attribute__((format(printf, 2, 3))) void report(int priority, const char *format, ...);

#endif
