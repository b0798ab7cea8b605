/* SPDX-License-Identifier: MIT */
/*
 * What drivers share: the text behind an error, and deadlines. Internal to drivers/.
 */
#ifndef DRIVERS_COMMON_DETAIL_H
#define DRIVERS_COMMON_DETAIL_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define DETAIL_SIZE 320

__attribute__((format(printf, 2, 3))) static inline void detail_set(char text[DETAIL_SIZE],
								    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, DETAIL_SIZE, format, args);
	va_end(args);
}

/*
 * Write the text, and be @error: a failing path is one statement. A macro, so that the compiler sees which
 * error it is.
 */
#define detail_fail(text, error, ...)                                                                        \
	({                                                                                                   \
		int detail_error_ = (error);                                                                 \
		detail_set(text, __VA_ARGS__);                                                               \
		detail_error_;                                                                               \
	})

/* A point in time, in milliseconds of the monotonic clock; INT64_MAX: never. */
typedef int64_t deadline_t;

static inline int64_t deadline_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* @timeout_ms from now; negative: never. */
static inline deadline_t deadline_in(int64_t timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : deadline_now() + timeout_ms;
}

/* Milliseconds left, 0 when it has passed, at most @most. */
static inline int deadline_left(deadline_t deadline, int most)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return most;
	left = deadline - deadline_now();
	if (left < 0)
		return 0;
	return left < most ? (int)left : most;
}

static inline bool deadline_passed(deadline_t deadline)
{
	return deadline != INT64_MAX && deadline_now() >= deadline;
}

static inline void pause_ns(long nanoseconds)
{
	nanosleep(&(struct timespec){ .tv_nsec = nanoseconds }, NULL);
}

#endif
