/* SPDX-License-Identifier: MIT */
/* Cases that fail, skip, leak, hang and fork. Not a test: selftest looks at what is reported. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *detail(void)
{
	return "the detail text";
}

static void say(void *text)
{
	puts(text);
}

/* A host that cannot be opened. */

static void open_host(struct t *t)
{
	t_defer(t, say, "host: deferred by open");
	FAIL("this host does not open");
}

static void close_host(struct t *t)
{
	printf("host: close for %s\n", t->test->name);
}

static bool has_everything(struct t *t, const char *capability)
{
	return t && capability;
}

static const struct t_host broken = { "broken", open_host, close_host, has_everything };

static void before(struct t *t)
{
	if (strcmp(t->test->suite, "hooks") == 0)
		puts("before");
}

static void after(struct t *t)
{
	if (strcmp(t->test->suite, "hooks") == 0)
		EXPECT_TRUE(!"the hook found something");
}

__attribute__((constructor)) static void set_up(void)
{
	t_register_host(&broken);
	t_set_error_detail(detail);
	t_before_case(before);
	t_after_case(after);
}

/* Checks that fail */

static int returns(int value)
{
	return value;
}

UNIT(check, ok)
{
	ASSERT_OK(returns(-EBUSY));
	puts("not reached");
}

UNIT(check, error)
{
	EXPECT_ERR(-EINVAL, returns(-ENOMEM));
	EXPECT_ERR(-EINVAL, returns(0));
	EXPECT_ERR(returns(-EIO), returns(7));
}

UNIT(check, integers)
{
	uint64_t all = UINT64_MAX;

	EXPECT_EQ(-1, all);
	EXPECT_GT(-1, 0U);
	EXPECT_LT((uint8_t)200, (int8_t)100);
}

UNIT(check, strings)
{
	EXPECT_STREQ("left text", "right text");
	EXPECT_STREQ(NULL, "not null");
	EXPECT_CONTAINS("haystack", "needle");
}

UNIT(check, memory)
{
	char a[64] = { 0 };
	char b[64] = { [37] = 0x5a };

	EXPECT_MEMEQ(a, b, sizeof(a));
}

UNIT(check, note)
{
	t_note(t, "row %d", 7);
	EXPECT_TRUE(t == NULL);
}

/* Leaving */

static void fail_deep_down(int depth)
{
	if (depth > 0)
		fail_deep_down(depth - 1);
	ASSERT_EQ(depth, 1);
	puts("not reached");
}

static void fail_later(void *arg)
{
	(void)arg;
	FAIL("a deferred failure");
}

UNIT(leave, deferred_runs_backwards)
{
	t_defer(t, say, "deferred first");
	t_defer(t, fail_later, NULL);
	t_defer(t, say, "deferred last");
	fail_deep_down(3);
}

static void *failing_thread(void *arg)
{
	ASSERT_TRUE(arg);
	return "not reached";
}

UNIT(leave, thread)
{
	pthread_t thread;
	void *result;

	ASSERT_EQ(pthread_create(&thread, NULL, failing_thread, NULL), 0);
	pthread_join(thread, &result);
	puts(result ? result : "the thread has ended");
}

UNIT(leave, child)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		EXPECT_EQ(getppid(), 0);
		puts("not reached");
	}
	waitpid(child, &status, 0);
	printf("the child ended with %d\n", WEXITSTATUS(status));
}

/* Leaving something behind */

UNIT(leak, descriptor)
{
	ASSERT_GE(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
}

UNIT(leak, closes_what_is_not_its_own)
{
	close(STDIN_FILENO);
}

UNIT(leak, hang)
{
	t_timeout(t, 1);
	for (;;)
		pause();
}

UNIT(hooks, are_called)
{
	puts("body");
}

CONFORMANCE(leave, host_not_open)
{
	puts("not reached");
}
