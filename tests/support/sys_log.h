/* SPDX-License-Identifier: MIT */
/*
 * A table of system calls that passes everything on to the real ones and writes down what was called.
 *
 * Tests look at the log to see that an operation made the calls it should have, and no more.
 */
#ifndef TESTS_SUPPORT_SYS_LOG_H
#define TESTS_SUPPORT_SYS_LOG_H

#include <weir/sys.h>

enum { SYS_LOG_ROOM = 4096 };

struct sys_log_entry {
	const char *call;      /* "ioctl", "open", ... */
	unsigned long request; /* of an ioctl */
	long result;
	char path[64]; /* of a call by name */
};

struct sys_log {
	struct weir_sys table; /* give this to the host */
	const struct weir_sys *below;
	void (*told)(const struct sys_log_entry
			     *entry); /* of each call, on the thread that made it; may be NULL */
	_Atomic unsigned int num;     /* entries so far, also those past the room */
	struct sys_log_entry entries[SYS_LOG_ROOM];
};

/* Log calls to @below; NULL: the real ones. */
void sys_log_init(struct sys_log *log, const struct weir_sys *below);

/* Forget what was logged. */
void sys_log_clear(struct sys_log *log);

/* How many calls are logged: all of them, those with that name, ioctls with that request. */
unsigned int sys_log_count(const struct sys_log *log);
unsigned int sys_log_count_call(const struct sys_log *log, const char *call);
unsigned int sys_log_count_ioctl(const struct sys_log *log, unsigned long request);

/* The logged calls in one line each, for messages; malloc'ed. */
char *sys_log_text(const struct sys_log *log);

#endif
