/* SPDX-License-Identifier: MIT */
/*
 * The sweep over one case on one host. It runs in a process of its own (worker.c), which may crash, hang or be confused by what
 * was injected; so everything that it finds out is in memory that it shares with the program that reports it.
 */
#ifndef TESTS_SWEEP_SWEEP_H
#define TESTS_SWEEP_SWEEP_H

#include <stdbool.h>
#include <stdio.h>

#include "shim/run.h"
#include "sweep/inject.h"

enum { MAX_COMPLAINTS = 12, MAX_TEXT = 4096 };

struct findings {
	unsigned int counts[KINDS];     /* in the clean run */
	unsigned int injections[KINDS]; /* that came to pass */
	unsigned int chosen[KINDS];     /* that should have: all, or those of the sample */
	bool counted, skipped;
	bool finished;
	struct injection now;   /* under way; nth 0: a clean run */
	char what[INJECT_TEXT]; /* that came to, once it has come to pass */
	unsigned int num_complaints;
	char complaints[MAX_COMPLAINTS][MAX_TEXT];
};

struct options {
	const char *hosts;     /* a list */
	const char *cases;     /* a shell pattern; NULL: all */
	const char *junit;     /* a file, or NULL */
	struct injection only; /* nth 0: all */
	unsigned int every;    /* one injection of so many */
	unsigned int jobs;     /* at a time */
	unsigned int timeout;  /* seconds a run may take */
	bool verbose;          /* say what fails in the cases themselves */
};

/* sweep.c: all injections that come after @findings->now. */
void sweep_case(const struct t_case *test, const struct t_host *host, const struct options *options,
		struct findings *findings);
__attribute__((format(printf, 3, 4))) void
complain_of(struct findings *findings, const struct injection *injection, const char *format, ...);

/* exempt.c: why the case is left out, or NULL. */
const char *exempt(const struct t_case *test);

/* Whether the case may fail even when what failed, by this @call of the table failing, was called again. */
bool may_fail(const struct t_case *test, const char *call);

/* worker.c: sweep all cases that @options choose, each in a process of its own, and report. The number of those with complaints. */
unsigned int sweep_all(const struct options *options);

/* report.c */
void report_begin(const struct options *options);
void report_case(const struct t_case *test, const struct t_host *host, const struct findings *findings,
		 double seconds);
void report_exempt(const struct t_case *test, const struct t_host *host, const char *reason);
/* The number of complaints about the totals. */
unsigned int report_end(void);

#endif
