/* SPDX-License-Identifier: MIT */
/* The checks behind ASSERT_* and EXPECT_*: each says whether it held, and reports what it saw if not. */
#include "run.h"
#include "test.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 0))) static void report(struct t_at at, const char *format, va_list args)
{
	char text[3072];

	vsnprintf(text, sizeof(text), format, args);
	t_report(&at, text);
}

void t_fail(struct t_at at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(at, format, args);
	va_end(args);
}

/* Error codes ----------------------------------------------------------------------------------------------------- */

/* "0", "-EINVAL", or the number when it is none of either. */
static const char *error_name(int64_t result, char *buffer, size_t size)
{
	const char *name = result < 0 && result >= -4095 ? strerrorname_np((int)-result) : NULL;

	if (name)
		snprintf(buffer, size, "-%s", name);
	else
		snprintf(buffer, size, "%" PRId64, result);
	return buffer;
}

static bool wrong_result(struct t_at at, const char *call, int64_t result, const char *expected)
{
	const char *detail = result < 0 ? t_error_detail() : "";
	char name[32];

	t_fail(at, "%s\nreturned %s, not %s%s%s", call, error_name(result, name, sizeof(name)), expected,
	       detail[0] != '\0' ? ": " : "", detail);
	return false;
}

bool t_check_ok(struct t_at at, const char *call, int64_t result)
{
	char name[32];

	t_record("%s = %s", call, error_name(result, name, sizeof(name)));
	return result == 0 || wrong_result(at, call, result, "0");
}

bool t_check_error(struct t_at at, const char *call, int64_t result, const char *error_text, int error)
{
	char name[32];
	char expected[128];

	t_record("%s = %s", call, error_name(result, name, sizeof(name)));
	if (result == error)
		return true;
	error_name(error, name, sizeof(name));
	if (strcmp(name, error_text) == 0)
		snprintf(expected, sizeof(expected), "%s", name);
	else
		snprintf(expected, sizeof(expected), "%s (%s)", error_text, name);
	return wrong_result(at, call, result, expected);
}

/* Values ---------------------------------------------------------------------------------------------------------- */

bool t_check_true(struct t_at at, const char *text, bool value)
{
	t_record("%s is %s", text, value ? "true" : "false");
	if (!value)
		t_fail(at, "%s\nis false", text);
	return value;
}

bool t_check_false(struct t_at at, const char *text, bool value)
{
	t_record("%s is %s", text, value ? "true" : "false");
	if (value)
		t_fail(at, "%s\nis true", text);
	return !value;
}

static bool negative(struct t_int i)
{
	return i.is_signed && (int64_t)i.bits < 0;
}

/* Below zero, at it, or above, as @a is to @b. */
static int compare(struct t_int a, struct t_int b)
{
	if (negative(a) != negative(b))
		return negative(a) ? -1 : 1;
	/* Of one sign, two's complement orders like unsigned. */
	return a.bits < b.bits ? -1 : a.bits > b.bits;
}

static const char *decimal(struct t_int i, char *buffer, size_t size)
{
	if (negative(i))
		snprintf(buffer, size, "%" PRId64, (int64_t)i.bits);
	else
		snprintf(buffer, size, "%" PRIu64, i.bits);
	return buffer;
}

bool t_check_ints(struct t_at at, const char *a_text, struct t_int a, enum t_op op, const char *b_text,
		  struct t_int b)
{
	static const char *const ops[] = { "==", "!=", "<", "<=", ">", ">=" };
	int order = compare(a, b);
	const bool holds[] = { order == 0, order != 0, (order < 0), order <= 0, (order > 0), order >= 0 };
	char a_decimal[32];
	char b_decimal[32];

	t_record("%s %s %s is %s", a_text, ops[op], b_text, holds[op] ? "true" : "false");
	if (!holds[op])
		t_fail(at, "%s %s %s\nleft:  %s (%#" PRIx64 ")\nright: %s (%#" PRIx64 ")", a_text, ops[op],
		       b_text, decimal(a, a_decimal, sizeof(a_decimal)), a.bits,
		       decimal(b, b_decimal, sizeof(b_decimal)), b.bits);
	return holds[op];
}

/* Text and memory ------------------------------------------------------------------------------------------------- */

static const char *shown(const char *text)
{
	return text ? text : "(NULL)";
}

bool t_check_strings(struct t_at at, const char *a_text, const char *a, const char *b_text, const char *b)
{
	bool same = a && b ? strcmp(a, b) == 0 : a == b;

	t_record("%s == %s is %s", a_text, b_text, same ? "true" : "false");
	if (!same)
		t_fail(at, "%s is the same text as %s\nleft:  %s\nright: %s", a_text, b_text, shown(a),
		       shown(b));
	return same;
}

bool t_check_contains(struct t_at at, const char *text_text, const char *text, const char *needle_text,
		      const char *needle)
{
	bool found = text && needle && strstr(text, needle);

	t_record("%s contains %s is %s", text_text, needle_text, found ? "true" : "false");
	if (!found)
		t_fail(at, "%s has in it: %s\ntext:  %s", text_text, shown(needle), shown(text));
	return found;
}

static void dump(const uint8_t *from, size_t len, char *text, size_t size)
{
	for (size_t i = 0, used = 0; i < len && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, " %02x", from[i]);
}

bool t_check_memory(struct t_at at, const char *a_text, const void *a, const char *b_text, const void *b,
		    size_t len)
{
	const uint8_t *left = a;
	const uint8_t *right = b;
	char left_text[64] = "";
	char right_text[64] = "";
	size_t offset = 0;
	size_t some;

	while (offset < len && left[offset] == right[offset])
		offset++;
	t_record("%s == %s is %s", a_text, b_text, offset == len ? "true" : "false");
	if (offset == len)
		return true;
	some = len - offset < 16 ? len - offset : 16;
	dump(left + offset, some, left_text, sizeof(left_text));
	dump(right + offset, some, right_text, sizeof(right_text));
	t_fail(at,
	       "%s holds the same %zu bytes as %s\nfirst difference at offset %zu (%#zx)\nleft: %s\nright:%s",
	       a_text, len, b_text, offset, offset, left_text, right_text);
	return false;
}
