/* SPDX-License-Identifier: MIT */
/*
 * Tests in C, run by GoogleTest.
 *
 *     UNIT(error, detail_is_per_thread)
 *     {
 *             ASSERT_EQ(...);
 *     }
 *
 *     CONFORMANCE(ioas, unmapped_memory_is_out_of_reach, NEEDS(DMA_DEVICE))
 *     {
 *             ASSERT_OK(weir_ioas_map(ioas_of(t), ...));
 *     }
 *
 * A unit case runs once and needs no host. A conformance case runs once on every host that the program was told to use
 * (--host=NAME,...), each time on a freshly opened one. Both bodies get `struct t *t`.
 *
 * ASSERT_* records a failure and leaves the case at once, by longjmp: the rest of the body, and of every helper it had
 * called, does not run. What has to be undone is therefore handed to t_defer(). EXPECT_* records a failure, returns false
 * and goes on. Both work in helpers, in any file. In a thread that the case started, ASSERT_* ends that thread; in a
 * forked child, any failed check is printed and ends the child with status T_CHILD_FAILED.
 *
 * After every case its open descriptors must be what they were before; a difference fails the case.
 */
#ifndef TESTS_SHIM_TEST_H
#define TESTS_SHIM_TEST_H

#include "case.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Declaring cases ------------------------------------------------------------------------------------------------- */

#define UNIT(suite, name)             T_CASE(suite##_##name, #suite, #name, false, "")
#define CONFORMANCE(suite, name, ...) T_CASE(suite##_##name, #suite, #name, true, "" __VA_ARGS__)

/* The capabilities without which the case is skipped: plain words. */
#define NEEDS(...) #__VA_ARGS__

#define T_CASE(id, suite_, name_, on_hosts_, needs_)                                                         \
	static void t_body_##id(struct t *t);                                                                \
	static struct t_case t_case_##id = {                                                                 \
		.suite = suite_,                                                                             \
		.name = name_,                                                                               \
		.file = __FILE__,                                                                            \
		.line = __LINE__,                                                                            \
		.on_hosts = on_hosts_,                                                                       \
		.needs = needs_,                                                                             \
		.body = t_body_##id,                                                                         \
	};                                                                                                   \
	__attribute__((constructor)) static void t_register_##id(void)                                       \
	{                                                                                                    \
		t_register_case(&t_case_##id);                                                               \
	}                                                                                                    \
	static void t_body_##id(struct t *t __attribute__((unused)))

/* Checks ---------------------------------------------------------------------------------------------------------- */

/* A call that returns 0 or a negative errno: that it returned 0; that it returned this error. */
#define ASSERT_OK(call)         T_ASSERT(t_check_ok(T_HERE, #call, (call)))
#define ASSERT_ERR(error, call) T_ASSERT(t_check_error(T_HERE, #call, (call), #error, (error)))
#define EXPECT_OK(call)         t_check_ok(T_HERE, #call, (call))
#define EXPECT_ERR(error, call) t_check_error(T_HERE, #call, (call), #error, (error))

/* A condition. ASSERT_TRUE(pointer) also tells the analyzers that it is not NULL. */
#define ASSERT_TRUE(x)                                                                                       \
	do {                                                                                                 \
		if (!(x)) {                                                                                  \
			t_check_true(T_HERE, #x, false);                                                     \
			t_leave();                                                                           \
		}                                                                                            \
	} while (0)
#define ASSERT_FALSE(x)                                                                                      \
	do {                                                                                                 \
		if (x) {                                                                                     \
			t_check_false(T_HERE, #x, true);                                                     \
			t_leave();                                                                           \
		}                                                                                            \
	} while (0)
#define EXPECT_TRUE(x)  t_check_true(T_HERE, #x, (x))
#define EXPECT_FALSE(x) t_check_false(T_HERE, #x, (x))

/*
 * Integers of any type (and pointers), compared by value: -1 differs from UINT64_MAX. Both are printed in decimal and
 * hexadecimal.
 */
#define ASSERT_EQ(a, b) T_ASSERT(t_check_ints(T_HERE, #a, T_INT(a), T_EQ, #b, T_INT(b)))
#define ASSERT_NE(a, b) T_ASSERT(t_check_ints(T_HERE, #a, T_INT(a), T_NE, #b, T_INT(b)))
#define ASSERT_LT(a, b) T_ASSERT(t_check_ints(T_HERE, #a, T_INT(a), T_LT, #b, T_INT(b)))
#define ASSERT_LE(a, b) T_ASSERT(t_check_ints(T_HERE, #a, T_INT(a), T_LE, #b, T_INT(b)))
#define ASSERT_GT(a, b) T_ASSERT(t_check_ints(T_HERE, #a, T_INT(a), T_GT, #b, T_INT(b)))
#define ASSERT_GE(a, b) T_ASSERT(t_check_ints(T_HERE, #a, T_INT(a), T_GE, #b, T_INT(b)))
#define EXPECT_EQ(a, b) t_check_ints(T_HERE, #a, T_INT(a), T_EQ, #b, T_INT(b))
#define EXPECT_NE(a, b) t_check_ints(T_HERE, #a, T_INT(a), T_NE, #b, T_INT(b))
#define EXPECT_LT(a, b) t_check_ints(T_HERE, #a, T_INT(a), T_LT, #b, T_INT(b))
#define EXPECT_LE(a, b) t_check_ints(T_HERE, #a, T_INT(a), T_LE, #b, T_INT(b))
#define EXPECT_GT(a, b) t_check_ints(T_HERE, #a, T_INT(a), T_GT, #b, T_INT(b))
#define EXPECT_GE(a, b) t_check_ints(T_HERE, #a, T_INT(a), T_GE, #b, T_INT(b))

/* Strings (NULL equals only NULL), a part of one, and memory (the first difference is shown). */
#define ASSERT_STREQ(a, b)            T_ASSERT(t_check_strings(T_HERE, #a, (a), #b, (b)))
#define EXPECT_STREQ(a, b)            t_check_strings(T_HERE, #a, (a), #b, (b))
#define ASSERT_CONTAINS(text, needle) T_ASSERT(t_check_contains(T_HERE, #text, (text), #needle, (needle)))
#define EXPECT_CONTAINS(text, needle) t_check_contains(T_HERE, #text, (text), #needle, (needle))
#define ASSERT_MEMEQ(a, b, len)       T_ASSERT(t_check_memory(T_HERE, #a, (a), #b, (b), (len)))
#define EXPECT_MEMEQ(a, b, len)       t_check_memory(T_HERE, #a, (a), #b, (b), (len))

/* Fail here, with a message as for printf. */
#define FAIL(...)                                                                                            \
	do {                                                                                                 \
		t_fail(T_HERE, __VA_ARGS__);                                                                 \
		t_leave();                                                                                   \
	} while (0)

/* Leave the case: what it needs turned out to be missing. The capability is a plain word, as in NEEDS(). */
#define SKIP(capability, reason) t_skip(T_HERE, #capability, (reason))

/* What the checks are made of ------------------------------------------------------------------------------------- */

struct t_at {
	const char *file;
	int line;
};

/* An integer of any type: the value is @bits as int64_t if @is_signed, else as uint64_t. */
struct t_int {
	uint64_t bits;
	bool is_signed;
};

enum t_op { T_EQ, T_NE, T_LT, T_LE, T_GT, T_GE };

#define T_HERE ((struct t_at){ __FILE__, __LINE__ })

/* The operand of _Generic is not evaluated, so @x is evaluated once. Floating point is refused by the compiler. */
#define T_INT(x) ((struct t_int){ (uint64_t)(x), T_IS_SIGNED(x) })
/* clang-format off */
#define T_IS_SIGNED(x)                                                                  \
	_Generic((x),                                                                   \
		char: CHAR_MIN < 0,                                                     \
		signed char: true, short: true, int: true, long: true, long long: true, \
		float: (void)0, double: (void)0,                                        \
		default: false)
/* clang-format on */

#define T_ASSERT(check)                                                                                      \
	do {                                                                                                 \
		if (!(check))                                                                                \
			t_leave();                                                                           \
	} while (0)

bool t_check_ok(struct t_at at, const char *call, int64_t result);
bool t_check_error(struct t_at at, const char *call, int64_t result, const char *error_text, int error);
bool t_check_true(struct t_at at, const char *text, bool value);
bool t_check_false(struct t_at at, const char *text, bool value);
bool t_check_ints(struct t_at at, const char *a_text, struct t_int a, enum t_op op, const char *b_text,
		  struct t_int b);
bool t_check_strings(struct t_at at, const char *a_text, const char *a, const char *b_text, const char *b);
bool t_check_contains(struct t_at at, const char *text_text, const char *text, const char *needle_text,
		      const char *needle);
bool t_check_memory(struct t_at at, const char *a_text, const void *a, const char *b_text, const void *b,
		    size_t len);
__attribute__((format(printf, 2, 3))) void t_fail(struct t_at at, const char *format, ...);
__attribute__((noreturn)) void t_skip(struct t_at at, const char *capability, const char *reason);
__attribute__((noreturn)) void t_leave(void);

#endif
