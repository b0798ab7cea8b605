/* SPDX-License-Identifier: MIT */
/*
 * Run one case: open its host, run the body, then what was deferred, and see that nothing is left behind.
 *
 * This is C, not C++, because ASSERT_* leaves by longjmp, which must not skip destructors.
 */
#include "run.h"
#include "test.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct deferred {
	void (*fn)(void *arg);
	void *arg;
};

struct t_run {
	pid_t process;
	pthread_t thread;
	jmp_buf leave;
	t_failure_fn *on_failure;
	atomic_bool failed;
	struct t_result *result;
	struct deferred *deferred;
	size_t n_deferred;
	size_t room;
	char note[256];
};

static struct t_run *running;
static unsigned int default_timeout = 30;
static void (*before_hook)(struct t *t);
static void (*after_hook)(struct t *t);
static const char *(*error_detail)(void);

void t_set_default_timeout(unsigned int seconds)
{
	default_timeout = seconds;
}

void t_before_case(void (*hook)(struct t *t))
{
	before_hook = hook;
}

void t_after_case(void (*hook)(struct t *t))
{
	after_hook = hook;
}

void t_set_error_detail(const char *(*detail)(void))
{
	error_detail = detail;
}

const char *t_error_detail(void)
{
	const char *detail = error_detail ? error_detail() : NULL;

	return detail ? detail : "";
}

void t_timeout(struct t *t, unsigned int seconds)
{
	t_watchdog_start(t->test, t->host, seconds > default_timeout ? seconds : default_timeout);
}

void t_note(struct t *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(t->run->note, sizeof(t->run->note), format, args);
	va_end(args);
}

void t_defer(struct t *t, void (*fn)(void *arg), void *arg)
{
	struct t_run *run = t->run;

	run->deferred = t_grow(run->deferred, run->n_deferred, &run->room, sizeof(*run->deferred));
	run->deferred[run->n_deferred++] = (struct deferred){ fn, arg };
}

/* Leaving --------------------------------------------------------------------------------------------------------- */

/* A child has a copy of the case, and must not go on with the rest of the run. */
static void end_a_child(const struct t_run *run, const char *file, int line, const char *text)
{
	if (getpid() == run->process)
		return;
	fprintf(stderr, "%s:%d: in a forked child: %s\n", file, line, text);
	_exit(T_CHILD_FAILED);
}

void t_report(const struct t_at *at, const char *text)
{
	char with_note[4096];

	if (!running) {
		fprintf(stderr, "%s:%d: checked outside of any case: %s\n", at->file, at->line, text);
		abort();
	}
	if (running->note[0] != '\0') {
		snprintf(with_note, sizeof(with_note), "%s\nat: %s", text, running->note);
		text = with_note;
	}
	end_a_child(running, at->file, at->line, text);
	atomic_store(&running->failed, true);
	running->on_failure(at->file, at->line, text);
}

void t_leave(void)
{
	if (!pthread_equal(pthread_self(), running->thread))
		pthread_exit(NULL);
	longjmp(running->leave, 1);
}

void t_skip(struct t_at at, const char *capability, const char *reason)
{
	end_a_child(running, at.file, at.line, "SKIP");
	if (pthread_equal(pthread_self(), running->thread)) {
		running->result->skipped = true;
		snprintf(running->result->missing, sizeof(running->result->missing), "%s", capability);
		snprintf(running->result->reason, sizeof(running->result->reason), "%s", reason);
	} else {
		t_report(&at, "SKIP in a thread that is not the case's own");
	}
	t_leave();
}

static void call_guarded(struct t *t, void (*fn)(struct t *t))
{
	if (setjmp(t->run->leave) == 0)
		fn(t);
	end_a_child(t->run, t->test->file, t->test->line,
		    "came back from its part of the case without _exit()");
}

/* The case -------------------------------------------------------------------------------------------------------- */

static void close_host(void *arg)
{
	struct t *t = arg;

	t->host->close(t);
}

static void find_missing(struct t *t)
{
	struct t_result *result = t->run->result;
	const char *needs = t->test->needs;
	char capability[64];

	while (t_next_word(&needs, capability, sizeof(capability))) {
		size_t used = strlen(result->missing);

		if (t->host->has(t, capability))
			continue;
		result->skipped = true;
		snprintf(result->missing + used, sizeof(result->missing) - used, "%s%s", used ? ", " : "",
			 capability);
	}
}

static void open_and_run(struct t *t)
{
	if (t->host) {
		t->host->open(t);
		t_defer(t, close_host, t);
		find_missing(t);
		if (t->run->result->skipped)
			return;
	}
	t->test->body(t);
}

static void call_last_deferred(struct t *t)
{
	struct deferred last = t->run->deferred[--t->run->n_deferred];

	last.fn(last.arg);
}

static void run_between_hooks(struct t *t)
{
	struct t_fds *before = t_fds_look();
	struct t_fds *after;
	char difference[2048];

	call_guarded(t, open_and_run);
	while (t->run->n_deferred > 0)
		call_guarded(t, call_last_deferred);
	t->run->note[0] = '\0';

	after = t_fds_look();
	t_fds_compare(before, after, difference, sizeof(difference));
	t_fds_free(before);
	t_fds_free(after);
	if (difference[0] != '\0')
		t_report(&(struct t_at){ t->test->file, t->test->line }, difference);
}

void t_run_case(const struct t_case *test, const struct t_host *host, t_failure_fn *on_failure,
		struct t_result *ret_result)
{
	struct t_run run = {
		.process = getpid(),
		.thread = pthread_self(),
		.on_failure = on_failure,
		.result = ret_result,
	};
	struct t t = { .test = test, .host = host, .run = &run };

	*ret_result = (struct t_result){ 0 };
	running = &run;
	t_record_begin();
	t_watchdog_start(test, host, default_timeout);
	if (before_hook)
		call_guarded(&t, before_hook);
	run_between_hooks(&t);
	if (after_hook)
		call_guarded(&t, after_hook);
	t_watchdog_stop();
	running = NULL;
	ret_result->failed = atomic_load(&run.failed);
	free(run.deferred);
	t_record_end(test, host, ret_result);
}
