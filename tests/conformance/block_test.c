// SPDX-License-Identifier: MIT
/* Blocks: by name, zero when new, in a host with a journal and in one without. */
#include "conformance/fixture.h"

#include <errno.h>
#include <string.h>

static void close_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

static struct weir_host *opened(struct t *t, uint32_t flags)
{
	const struct weir_host_opts opts = { .size = sizeof(opts),
					     .backend = fixture_of(t)->backend,
					     .sys = sys_of(t),
					     .flags = flags,
					     .journal_blocks = 1 << 16 };
	struct weir_host *host;

	ASSERT_OK(weir_host_open(&opts, &host));
	t_defer(t, close_host, host);
	return host;
}

static void in_both_kinds_of_host(struct t *t, void (*check)(struct t *t, struct weir_host *host))
{
	check(t, opened(t, 0));
	check(t, opened(t, WEIR_HOST_JOURNAL));
}

static bool all_zero(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static void check_new_ones(struct t *t, struct weir_host *host)
{
	void *a, *b;

	(void)t;
	ASSERT_OK(weir_block_open(host, "a", 100, &a));
	ASSERT_OK(weir_block_open(host, "b", 4096, &b));
	EXPECT_EQ((uintptr_t)a % 64, 0u);
	EXPECT_EQ((uintptr_t)b % 64, 0u);
	EXPECT_TRUE((char *)b >= (char *)a + 100 || (char *)a >= (char *)b + 4096);
	memset(a, 1, 100);
	EXPECT_TRUE(all_zero(b, 4096));
	memset(b, 2, 4096);
	weir_block_close(host, a);
	ASSERT_OK(weir_block_open(host, "c", 100, &a));
	EXPECT_TRUE(all_zero(a, 100));
}

CONFORMANCE(block, new_ones_are_zero_and_apart)
{
	in_both_kinds_of_host(t, check_new_ones);
}

static void check_bad_names(struct t *t, struct weir_host *host)
{
	void *block = NULL;
	char name[65];

	(void)t;
	memset(name, 'x', 64);
	name[64] = '\0';
	EXPECT_ERR(-EINVAL, weir_block_open(host, name, 1, &block));
	EXPECT_ERR(-EINVAL, weir_block_open(host, "", 1, &block));
	EXPECT_ERR(-EINVAL, weir_block_open(host, "a", 0, &block));
	EXPECT_TRUE(block == NULL);
	name[63] = '\0';
	EXPECT_OK(weir_block_open(host, name, 1, &block));
	EXPECT_ERR(-EBUSY, weir_block_open(host, name, 1, &block));
}

CONFORMANCE(block, bad_names_lengths_and_a_second_opening_are_refused)
{
	in_both_kinds_of_host(t, check_bad_names);
}

CONFORMANCE(block, journal_that_is_full_says_so)
{
	struct weir_host *host = opened(t, WEIR_HOST_JOURNAL);
	void *first, *second, *third = NULL;

	ASSERT_OK(weir_block_open(host, "first", 1 << 15, &first));
	ASSERT_OK(weir_block_open(host, "second", 1 << 15, &second));
	ASSERT_ERR(-ENOSPC, weir_block_open(host, "third", 1, &third));
	EXPECT_CONTAINS(weir_error(), "65536 bytes");
	weir_block_close(host, first);
	EXPECT_OK(weir_block_open(host, "third", 1 << 15, &third));
	EXPECT_TRUE(third == first);
}

CONFORMANCE(block, absurd_journals_are_refused)
{
	const struct weir_host_opts opts = { .size = sizeof(opts),
					     .sys = sys_of(t),
					     .flags = WEIR_HOST_JOURNAL,
					     .journal_blocks = (uint64_t)1 << 40 };
	struct weir_host *host;

	EXPECT_ERR(-EINVAL, weir_host_open(&opts, &host));
	EXPECT_ERR(-EINVAL, weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = sys_of(t), .flags = 2), &host));
}
