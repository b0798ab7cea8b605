/* SPDX-License-Identifier: MIT */
/* Hosts, capabilities and skips: as a run of skipper.c shows them. */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void delete_file(void *path)
{
	unlink(path);
}

static const char *expected_skips(struct t *t, const char *text)
{
	static char path[] = "/tmp/weir-expected-skips.XXXXXX";
	int fd;

	snprintf(path, sizeof(path), "/tmp/weir-expected-skips.XXXXXX");
	fd = mkstemp(path);
	ASSERT_GE(fd, 0);
	t_defer(t, delete_file, path);
	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static const struct outcome *skipper(struct t *t, const char *arguments)
{
	return run_program(t, "weir-shim-skipper", arguments);
}

UNIT(shim, a_skip_leaves_and_runs_deferred_functions)
{
	const struct outcome *outcome = skipper(t, "--gtest_filter=moon.is_seen");

	EXPECT_EQ(outcome->status, 0);
	EXPECT_CONTAINS(outcome->output, "needs MOON: it is cloudy");
	EXPECT_CONTAINS(outcome->output, "deferred before the skip");
	EXPECT_CONTAINS(outcome->output, "without a host: 0 ran, 1 skipped: 1 for MOON\n");
	EXPECT_TRUE(!strstr(outcome->output, "not reached"));
}

UNIT(shim, a_conformance_case_runs_on_every_host_opened_for_it)
{
	const struct outcome *outcome = skipper(t, "--gtest_filter='*/air.*'");

	EXPECT_EQ(outcome->status, 0);
	EXPECT_CONTAINS(outcome->output,
			"flying on eagle\ndeferred by the body\nhost: close\nhost: deferred by open\n");
	EXPECT_TRUE(!strstr(outcome->output, "flying on mole"));
	EXPECT_CONTAINS(outcome->output, "needs WINGS, FEATHERS");
	EXPECT_CONTAINS(outcome->output, "eagle: 2 ran, 0 skipped\n");
	EXPECT_CONTAINS(outcome->output, "mole: 1 ran, 1 skipped: 1 for WINGS, 1 for FEATHERS\n");
}

UNIT(shim, only_the_named_hosts_run)
{
	const struct outcome *outcome = skipper(t, "--host=mole --gtest_filter='*/air.*'");

	EXPECT_EQ(outcome->status, 0);
	EXPECT_TRUE(!strstr(outcome->output, "eagle"));
}

UNIT(shim, mistaken_arguments_are_refused)
{
	EXPECT_EQ(WEXITSTATUS(skipper(t, "--host=sparrow")->status), 2);
	EXPECT_CONTAINS(skipper(t, "--host=sparrow")->output, "no host sparrow here; there are: eagle, mole");
	EXPECT_EQ(WEXITSTATUS(skipper(t, "--hosts=mole")->status), 2);
	EXPECT_EQ(WEXITSTATUS(skipper(t, "--timeout=soon")->status), 2);
	EXPECT_EQ(WEXITSTATUS(skipper(t, "--gtest_filter=no.such_case")->status), 2);
}

/* A full run against a file of expected skips that says @expected. */
static const char *full_run(struct t *t, const char *expected, int expected_status, int expected_complaints)
{
	char arguments[256];
	const struct outcome *outcome;
	int complaints = 0;

	snprintf(arguments, sizeof(arguments), "--expected-skips=%s", expected_skips(t, expected));
	outcome = skipper(t, arguments);
	EXPECT_EQ(WEXITSTATUS(outcome->status), expected_status);
	for (const char *at = outcome->output; (at = strstr(at, "Failure\nFailed\n")); at++)
		complaints++;
	EXPECT_EQ(complaints, expected_complaints);
	return outcome->output;
}

UNIT(shim, skips_as_written_down_pass)
{
	full_run(t, "# comment\n- moon.* MOON\nmole air.fly WINGS # why\n\nmol? *.* FEATHERS\n", 0, 0);
}

UNIT(shim, an_unexpected_skip_fails_the_run)
{
	const char *output = full_run(t, "- moon.* MOON\nmole air.fly WINGS\n", 1, 1);

	EXPECT_CONTAINS(output, "unexpected skip: mole air.fly FEATHERS (");
}

UNIT(shim, an_expected_skip_that_did_not_happen_fails_the_run)
{
	const char *all = "- moon.* MOON\nmole air.fly WINGS\n* air.fly FEATHERS\nmole air.breathe LUNGS\n";
	const char *output = full_run(t, all, 1, 2);

	EXPECT_CONTAINS(output, "expected skip did not happen: eagle air.fly FEATHERS (");
	EXPECT_CONTAINS(output, "expected skip did not happen: mole air.breathe LUNGS (");
}

UNIT(shim, a_partial_run_says_nothing_of_skips)
{
	char arguments[256];

	snprintf(arguments, sizeof(arguments), "--gtest_filter=mole/air.breathe --expected-skips=%s",
		 expected_skips(t, "mole air.fly WINGS\n"));
	EXPECT_EQ(skipper(t, arguments)->status, 0);
}
