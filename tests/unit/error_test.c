// SPDX-License-Identifier: MIT
/* Texts of failures, one per thread; and structs that grow. */
#include "error.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shim/test.h"

UNIT(error, a_text_stays_until_the_next_failure)
{
	EXPECT_EQ(-EINVAL, weir_fail(-EINVAL, "%s is %d", "this", 7));
	EXPECT_STREQ("this is 7", weir_error());
	EXPECT_EQ(-EIO, weir_fail(-EIO, "other"));
	EXPECT_STREQ("other", weir_error());
}

struct thread_texts {
	char before[32], after[32];
};

static void *fail_elsewhere(void *arg)
{
	struct thread_texts *texts = arg;

	strncpy(texts->before, weir_error(), sizeof(texts->before) - 1);
	weir_error_set("elsewhere");
	strncpy(texts->after, weir_error(), sizeof(texts->after) - 1);
	return NULL;
}

UNIT(error, each_thread_has_a_text_of_its_own)
{
	struct thread_texts texts = { .before = "?" };
	pthread_t thread;

	weir_error_set("here");
	ASSERT_EQ(0, pthread_create(&thread, NULL, fail_elsewhere, &texts));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_STREQ("", texts.before);
	EXPECT_STREQ("elsewhere", texts.after);
	EXPECT_STREQ("here", weir_error());
}

UNIT(error, a_long_text_is_cut)
{
	char *text = malloc(5000);
	size_t kept;

	ASSERT_TRUE(text);
	t_defer(t, free, text);
	memset(text, 'x', 4999);
	text[4999] = '\0';
	EXPECT_EQ(-EIO, weir_fail(-EIO, "%s", text));
	kept = strlen(weir_error());
	EXPECT_GT(kept, 500);
	EXPECT_LT(kept, 1000);
	/* With words in front it is as long as before, and with words that fill it there is nothing else. */
	EXPECT_EQ(-EIO, weir_fail_within(-EIO, "outside"));
	EXPECT_EQ(kept, strlen(weir_error()));
	EXPECT_EQ(0, strncmp(weir_error(), "outside: xxx", 12));
	EXPECT_EQ(-EIO, weir_fail_within(-EIO, "%s", text + 1));
	EXPECT_EQ(kept, strlen(weir_error()));
	EXPECT_TRUE(strspn(weir_error(), "x") == kept);
}

UNIT(error, words_in_front_say_what_was_being_done)
{
	weir_error_set("%s", "100%s");
	EXPECT_EQ(-EPERM, weir_fail_within(-EPERM, "opening %s", "it"));
	EXPECT_STREQ("opening it: 100%s", weir_error());
}

struct opts {
	size_t size;
	uint32_t a, b;
	uint64_t c;
};

/* Options as a newer library would know them. */
struct newer_opts {
	struct opts known;
	uint64_t d, e;
};

UNIT(error, options_of_this_age_are_taken_as_they_are)
{
	struct opts given = { .size = sizeof(given), .a = 1, .b = 2, .c = 3 }, taken = { .a = 99 };

	ASSERT_OK(weir_opts_read(&given, &taken, sizeof(taken)));
	EXPECT_MEMEQ(&given, &taken, sizeof(taken));
}

UNIT(error, no_options_are_all_zero)
{
	struct opts taken = { .a = 99 }, zero = { 0 };

	ASSERT_OK(weir_opts_read(NULL, &taken, sizeof(taken)));
	EXPECT_MEMEQ(&zero, &taken, sizeof(taken));
}

UNIT(error, what_older_options_lack_is_zero)
{
	/* Exactly as long as they say, so that the sanitizers see what is read behind them. */
	static const size_t sizes[] = { offsetof(struct opts, a), offsetof(struct opts, b),
					offsetof(struct opts, c) };
	struct opts full = { .a = 1, .b = 2, .c = 3 };

	for (size_t i = 0; i < 3; i++) {
		struct opts *given = malloc(sizes[i]), taken = { .a = 99, .b = 99, .c = 99 };

		ASSERT_TRUE(given);
		t_defer(t, free, given);
		full.size = sizes[i];
		memcpy(given, &full, sizes[i]);
		ASSERT_OK(weir_opts_read(given, &taken, sizeof(taken)));
		EXPECT_EQ(i > 0 ? 1 : 0, taken.a);
		EXPECT_EQ(i > 1 ? 2 : 0, taken.b);
		EXPECT_EQ(0, taken.c);
	}
}

UNIT(error, newer_options_do_while_their_tail_is_zero)
{
	struct newer_opts given = { .known = { .size = sizeof(given), .a = 1, .c = 3 } };
	struct opts taken;

	ASSERT_OK(weir_opts_read(&given, &taken, sizeof(taken)));
	EXPECT_EQ(1, taken.a);
	EXPECT_EQ(3, taken.c);
	for (size_t i = sizeof(struct opts); i < sizeof(given); i++) {
		((unsigned char *)&given)[i] = 1;
		EXPECT_ERR(-E2BIG, weir_opts_read(&given, &taken, sizeof(taken)));
		EXPECT_CONTAINS(weir_error(), "does not know");
		((unsigned char *)&given)[i] = 0;
	}
}

UNIT(error, options_without_a_size_are_refused)
{
	struct opts given = { 0 }, taken;

	for (given.size = 0; given.size < sizeof(size_t); given.size++) {
		EXPECT_ERR(-EINVAL, weir_opts_read(&given, &taken, sizeof(taken)));
		EXPECT_CONTAINS(weir_error(), "WEIR_OPTS");
	}
}

UNIT(error, a_size_that_is_no_size_is_refused)
{
	struct opts given = { .size = SIZE_MAX }, taken;

	/* What a struct on the stack has there that nobody has set. */
	EXPECT_ERR(-E2BIG, weir_opts_read(&given, &taken, sizeof(taken)));
	given.size = 0x7f0012345678;
	EXPECT_ERR(-E2BIG, weir_opts_read(&given, &taken, sizeof(taken)));
}

UNIT(error, results_fill_what_room_there_is)
{
	struct opts result = { .size = 1, .a = 2, .b = 3, .c = 4 };
	struct newer_opts room;

	memset(&room, 0xff, sizeof(room));
	weir_result_write(&room, offsetof(struct opts, b), &result, sizeof(result));
	EXPECT_EQ(2, room.known.a);
	EXPECT_EQ(UINT32_MAX, room.known.b);
	weir_result_write(&room, sizeof(room), &result, sizeof(result));
	EXPECT_MEMEQ(&result, &room.known, sizeof(result));
	EXPECT_EQ(0, room.d);
	EXPECT_EQ(0, room.e);
	weir_result_write(&room, 0, &result, sizeof(result));
	EXPECT_EQ(2, room.known.a);
}
