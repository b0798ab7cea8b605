/* SPDX-License-Identifier: MIT */
/*
 * What a test case, its host and the framework know of each other: the part of test.h that has no macros, so that the C++
 * side can include it next to GoogleTest, whose macros have the same names.
 */
#ifndef TESTS_SHIM_CASE_H
#define TESTS_SHIM_CASE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct t;
struct t_run;

/* A case, as UNIT() and CONFORMANCE() declare it. */
struct t_case {
	const char *suite;
	const char *name;
	const char *file;
	int line;
	bool on_hosts;     /* a conformance case */
	const char *needs; /* "DMA_DEVICE, IRQ", or "" */
	void (*body)(struct t *t);
	struct t_case *next; /* set by the framework */
};

void t_register_case(struct t_case *test);

/*
 * Somewhere to run conformance cases, told of by the suite from a constructor. open() may use ASSERT_*, SKIP() and
 * t_defer() like a case; close() is called if open() came to its end, after whatever the body deferred. has() is asked
 * between the two, once for each capability a case needs; what the names mean is the suite's affair.
 */
struct t_host {
	const char *name;
	void (*open)(struct t *t);
	void (*close)(struct t *t);
	bool (*has)(struct t *t, const char *capability);
};

void t_register_host(const struct t_host *host);

/* What a running case is given. */
struct t {
	const struct t_case *test;
	const struct t_host *host; /* NULL in a unit case */
	void *fixture;             /* the host's own; set by its open() */
	struct t_run *run;         /* the framework's own */
};

/*
 * Call fn(arg) when the case is over, whether it passed, failed or skipped: the last deferred first. A deferred function
 * may itself use ASSERT_*; the others run nevertheless.
 */
void t_defer(struct t *t, void (*fn)(void *arg), void *arg);

/* Allow this case at least twice this much time, counted from now. The default for a case is 30 s, or --timeout=SECONDS. */
void t_timeout(struct t *t, unsigned int seconds);

/* Say where the case is ("row 7: length 0"); shown with every failure from here on. "" for nothing. */
__attribute__((format(printf, 2, 3))) void t_note(struct t *t, const char *format, ...);

/*
 * Called before every case, and after it when its host is closed and what it deferred has run: for checks of the suite's
 * own (locked memory, say). A failed check in them is a failure of the case.
 */
void t_before_case(void (*hook)(struct t *t));
void t_after_case(void (*hook)(struct t *t));

/* Where ASSERT_OK and its like find the detail text of this thread's last error; it may return NULL or "". */
void t_set_error_detail(const char *(*detail)(void));

/*
 * Add a line to the record that --record=FILE makes of the case, next to the checks it makes: something that must be the same
 * on every host of a kind. t_record_forget(): nothing of this case so far can be compared (it depends on timing, say).
 */
__attribute__((format(printf, 1, 2))) void t_record(const char *format, ...);
void t_record_forget(void);

/* How a forked child ends in which a check failed. */
enum { T_CHILD_FAILED = 99 };

#ifdef __cplusplus
}
#endif

#endif
