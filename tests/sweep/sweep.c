// SPDX-License-Identifier: MIT
/* One case on one host: run clean, then with each injection. */
#include "sweep/sweep.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/calls.h"
#include "sweep/world.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else
static int __lsan_do_recoverable_leak_check(void)
{
	return 0;
}
#endif

enum { LEAKS_TOGETHER = 16 };

/* The failed checks of a run; any thread may add to them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char checks[MAX_TEXT / 2];

static void note_check(const char *file, int line, const char *text)
{
	size_t used;

	pthread_mutex_lock(&lock);
	used = strlen(checks);
	snprintf(checks + used, sizeof(checks) - used, "%s:%d: %s\n", file, line, text);
	pthread_mutex_unlock(&lock);
}

void complain_of(struct findings *findings, const struct injection *injection, const char *format, ...)
{
	unsigned int at = findings->num_complaints++;
	const char *kind = injection->kind == CALL ? "call" : "allocation";
	va_list args;
	int used;

	if (at >= MAX_COMPLAINTS)
		return;
	if (injection->nth)
		used = snprintf(findings->complaints[at], MAX_TEXT, "%s %u (%s): ", kind, injection->nth,
				findings->what);
	else
		used = snprintf(findings->complaints[at], MAX_TEXT, "nothing injected: ");
	va_start(args, format);
	vsnprintf(findings->complaints[at] + used, (size_t)(MAX_TEXT - used), format, args);
	va_end(args);
}

/* One run. Writes to @out what is wrong: "" for nothing. */
static void run(const struct t_case *test, const struct t_host *host, const struct injection *injection,
		struct t_result *ret_result, unsigned int ret_counts[KINDS], FILE *out)
{
	struct world *before = world_look(), *after;
	bool must_pass;

	checks[0] = '\0';
	calls_start(out);
	inject_start(injection);
	t_run_case(test, host, note_check, ret_result);
	inject_stop(ret_counts);
	must_pass = calls_stop() || !injection->nth;
	after = world_look();
	world_compare(before, after, out);
	world_free(before);
	world_free(after);
	if (inject_reuses())
		fprintf(out, "addresses that could not be unmapped were mapped again\n");
	if (must_pass && ret_result->skipped && injection->nth)
		fprintf(out, "the case was skipped\n");
	if (must_pass && ret_result->failed && !(injection->nth && may_fail(test, injected_what())))
		fprintf(out, "the case failed%s:\n%s",
			injection->nth ? ", although what failed was called again" : "", checks);
}

/* The run's complaint, malloc'ed; "" if there is none. */
static char *run_and_look(const struct t_case *test, const struct t_host *host,
			  const struct injection *injection, struct t_result *ret_result,
			  unsigned int ret_counts[KINDS])
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	run(test, host, injection, ret_result, ret_counts, out);
	fclose(out);
	return text;
}

static bool run_clean(const struct t_case *test, const struct t_host *host, struct findings *findings,
		      unsigned int ret_counts[KINDS])
{
	struct injection none = { 0 };
	struct t_result result;
	char *text;

	findings->now.nth = 0;
	text = run_and_look(test, host, &none, &result, ret_counts);
	findings->skipped = result.skipped;
	if (result.skipped && findings->counted)
		complain_of(findings, &none, "the case is skipped now");
	if (*text)
		complain_of(findings, &none, "%s", text);
	free(text);
	return !result.failed && !result.skipped;
}

/* The first run fills caches, of the C library's among others. A case that makes other calls in each run cannot be swept. */
static bool count(const struct t_case *test, const struct t_host *host, struct findings *findings)
{
	struct injection none = { 0 };
	struct t_result result;
	unsigned int again[KINDS];

	free(run_and_look(test, host, &none, &result, again));
	if (findings->counted)
		return true;
	if (!run_clean(test, host, findings, findings->counts) || !run_clean(test, host, findings, again))
		return false;
	for (int kind = 0; kind < KINDS; kind++)
		if (again[kind] != findings->counts[kind])
			complain_of(findings, &none, "%u %s in one run, %u in the next",
				    findings->counts[kind], kind == CALL ? "calls" : "allocations",
				    again[kind]);
	findings->counted = true;
	return !findings->num_complaints;
}

static void inject(const struct t_case *test, const struct t_host *host, const struct options *options,
		   struct findings *findings)
{
	struct t_result result;
	unsigned int counts[KINDS];
	char *text;

	findings->what[0] = '\0';
	inject_describe(findings->what);
	text = run_and_look(test, host, &findings->now, &result, counts);

	if (injected())
		findings->injections[findings->now.kind]++;
	else
		complain_of(findings, &findings->now, "it was not reached: there were %u",
			    counts[findings->now.kind]);
	if (*text)
		complain_of(findings, &findings->now, "%s", text);
	if (options->verbose)
		printf("%s %u (%s)%s\n%s", findings->now.kind == CALL ? "call" : "allocation",
		       findings->now.nth, findings->what, result.failed ? ": the case failed:" : "", checks);
	free(text);
}

/* This takes as long as a run, so it is done for some of them together. The library's own allocations are counted in each. */
static void look_for_leaks(struct findings *findings)
{
	if (__lsan_do_recoverable_leak_check())
		complain_of(
			findings, &findings->now,
			"memory was leaked by this one or by one of the %d before it; the report is below",
			LEAKS_TOGETHER - 1);
}

/* The sample is another part of each case, and the same in every run. */
static unsigned int first_of_sample(const struct t_case *test, unsigned int every)
{
	unsigned int hash = 5381;

	for (const char *c = test->name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	return hash % every + 1;
}

static void inject_all(const struct t_case *test, const struct t_host *host, const struct options *options,
		       struct findings *findings, struct injection at)
{
	unsigned int done = 0;

	for (; at.kind < KINDS; at.kind++, at.nth = 0) {
		if (!at.nth)
			at.nth = first_of_sample(test, options->every);
		for (; at.nth <= findings->counts[at.kind]; at.nth += options->every) {
			findings->now = at;
			findings->chosen[at.kind]++;
			inject(test, host, options, findings);
			if (++done % LEAKS_TOGETHER == 0)
				look_for_leaks(findings);
		}
	}
}

void sweep_case(const struct t_case *test, const struct t_host *host, const struct options *options,
		struct findings *findings)
{
	struct injection at = findings->now;
	unsigned int counts[KINDS];

	if (count(test, host, findings)) {
		if (options->only.nth) {
			findings->now = options->only;
			findings->chosen[findings->now.kind]++;
			inject(test, host, options, findings);
		} else {
			at.nth += at.nth ? options->every : 0;
			inject_all(test, host, options, findings, at);
		}
		look_for_leaks(findings);
		run_clean(test, host, findings, counts);
	}
	findings->finished = true;
}
