/* SPDX-License-Identifier: MIT */
/* How checks fail, how a case is left, and what it may not leave behind: as a run of victim.c shows it. */
#include "program.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* Run one case, which fails; and see what is said. */
static const char *failing_case(struct t *t, const char *name)
{
	char arguments[256];
	const struct outcome *outcome;

	snprintf(arguments, sizeof(arguments), "--gtest_filter='%s'", name);
	outcome = run_program(t, "weir-shim-victim", arguments);
	EXPECT_TRUE(WIFEXITED(outcome->status));
	EXPECT_EQ(WEXITSTATUS(outcome->status), 1);
	EXPECT_CONTAINS(outcome->output, "1 FAILED TEST");
	EXPECT_TRUE(!strstr(outcome->output, "not reached"));
	return outcome->output;
}

UNIT(shim, a_failed_call_shows_its_errno_and_detail)
{
	const char *output = failing_case(t, "check.ok");

	EXPECT_CONTAINS(output, "victim.c:");
	EXPECT_CONTAINS(output, "returns(-EBUSY)");
	EXPECT_CONTAINS(output, "returned -EBUSY, not 0: the detail text");
}

UNIT(shim, an_unexpected_error_shows_both)
{
	const char *output = failing_case(t, "check.error");

	EXPECT_CONTAINS(output, "returned -ENOMEM, not -EINVAL: the detail text");
	EXPECT_CONTAINS(output, "returned 0, not -EINVAL\n");
	EXPECT_CONTAINS(output, "returned 7, not returns(-EIO) (-EIO)");
}

UNIT(shim, integers_are_compared_by_value)
{
	const char *output = failing_case(t, "check.integers");
	uint64_t all = UINT64_MAX;

	EXPECT_CONTAINS(output, "-1 == all");
	EXPECT_CONTAINS(output, "left:  -1 (0xffffffffffffffff)");
	EXPECT_CONTAINS(output, "right: 18446744073709551615 (0xffffffffffffffff)");
	EXPECT_CONTAINS(output, "-1 > 0U");
	EXPECT_CONTAINS(output, "(uint8_t)200 < (int8_t)100");

	EXPECT_NE(-1, all);
	EXPECT_LT(INT64_MIN, all);
	EXPECT_LT(INT64_MIN, -1);
	EXPECT_GE(0U, 0);
	EXPECT_LE(true, 1);
	EXPECT_EQ(t, t);
}

UNIT(shim, strings_and_memory_show_where_they_differ)
{
	const char *strings = failing_case(t, "check.strings");
	const char *memory = failing_case(t, "check.memory");

	EXPECT_CONTAINS(strings, "left:  left text\nright: right text");
	EXPECT_CONTAINS(strings, "left:  (NULL)\nright: not null");
	EXPECT_CONTAINS(strings, "has in it: needle\ntext:  haystack");
	EXPECT_CONTAINS(memory, "first difference at offset 37 (0x25)\nleft:  00 ");
	EXPECT_CONTAINS(memory, "right: 5a ");
}

UNIT(shim, a_note_is_shown_with_the_failure)
{
	EXPECT_CONTAINS(failing_case(t, "check.note"), "t == NULL\nis false\nat: row 7");
}

/* Leaving */

UNIT(shim, a_failure_leaves_and_deferred_functions_run_backwards)
{
	const char *output = failing_case(t, "leave.deferred_runs_backwards");
	const char *first = strstr(output, "deferred first");
	const char *failure = strstr(output, "a deferred failure");
	const char *last = strstr(output, "deferred last");

	ASSERT_TRUE(first && failure && last);
	EXPECT_LT(last, failure);
	EXPECT_LT(failure, first);
	EXPECT_CONTAINS(output, "depth == 1");
}

UNIT(shim, a_failure_in_a_thread_ends_the_thread_and_fails_the_case)
{
	EXPECT_CONTAINS(failing_case(t, "leave.thread"), "the thread has ended");
}

UNIT(shim, a_failure_in_a_child_ends_the_child)
{
	const struct outcome *outcome = run_program(t, "weir-shim-victim", "--gtest_filter=leave.child");

	EXPECT_EQ(outcome->status, 0);
	EXPECT_CONTAINS(outcome->output, "in a forked child: getppid() == 0");
	EXPECT_CONTAINS(outcome->output, "the child ended with 99");
	EXPECT_TRUE(!strstr(outcome->output, "not reached"));
}

/* Leaving something behind */

UNIT(shim, a_descriptor_left_open_fails_the_case)
{
	EXPECT_CONTAINS(failing_case(t, "leak.descriptor"), "was left open: /dev/null");
}

UNIT(shim, closing_a_descriptor_of_others_fails_the_case)
{
	EXPECT_CONTAINS(failing_case(t, "leak.closes_what_is_not_its_own"),
			"descriptor 0 of someone else was closed");
}

UNIT(shim, a_case_that_hangs_is_named_and_ends_the_program)
{
	const struct outcome *outcome =
		run_program(t, "weir-shim-victim", "--timeout=1 --gtest_filter=leak.hang");

	EXPECT_TRUE(WIFSIGNALED(outcome->status));
	EXPECT_CONTAINS(outcome->output, "HUNG: leak.hang did not finish within twice 1 s (");
}

UNIT(shim, hooks_run_around_the_case_and_can_fail_it)
{
	EXPECT_CONTAINS(failing_case(t, "hooks.are_called"), "before\nbody\n");
}

UNIT(shim, a_host_that_does_not_open_fails_the_case_and_is_not_closed)
{
	const char *output = failing_case(t, "broken/leave.host_not_open");

	EXPECT_CONTAINS(output, "this host does not open");
	EXPECT_CONTAINS(output, "host: deferred by open");
	EXPECT_TRUE(!strstr(output, "host: close"));
}
