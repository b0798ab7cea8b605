/* SPDX-License-Identifier: MIT */
/* The detail text behind weir_error(). */
#ifndef WEIR_LIB_ERROR_H
#define WEIR_LIB_ERROR_H

#include <weir/common.h>

/* Internal, but used by the add-on libraries of this repository: exported under the version WEIR_PRIVATE, and promised to nobody. */
#define WEIR_PRIVATE_API __attribute__((visibility("default")))

/*
 * Note why the call fails, and be @error (a negative errno): `return weir_fail(-EINVAL, "...", ...)`. A
 * macro, so that compilers and analyzers see that the result is @error.
 */
#define weir_fail(error, ...) (weir_error_set(__VA_ARGS__), (error))

/* The same, putting words in front of the text of the failure that is being passed on. */
#define weir_fail_within(error, ...) (weir_error_prefix(__VA_ARGS__), (error))

WEIR_PRIVATE_API __attribute__((format(printf, 1, 2))) void weir_error_set(const char *format, ...);
WEIR_PRIVATE_API __attribute__((format(printf, 1, 2))) void weir_error_prefix(const char *format, ...);

/*
 * For what runs to its end whatever happens: the first error of several, and its text. Begin with { 0 }, note each result (0 or an
 * error whose text is set) and return weir_first_error(), which sets the text again.
 */
enum { WEIR_ERROR_SIZE = 768 };
struct weir_first {
	int error;
	char text[WEIR_ERROR_SIZE];
};

WEIR_PRIVATE_API void weir_first_note(struct weir_first *first, int error);
WEIR_PRIVATE_API int weir_first_error(const struct weir_first *first);

/*
 * Bring a caller's option struct of any age into one of ours (@size bytes at @ret_opts, zeroed first).
 * @opts may be NULL. Returns 0 or -E2BIG, when it is longer than ours and uses what we do not know; -EINVAL
 * when it has no room for its size.
 */
WEIR_PRIVATE_API int weir_opts_read(const void *opts, void *ret_opts, size_t size);

/*
 * The same the other way: fill in as much of a caller's result struct as it has room for; the rest of it becomes zero.
 */
WEIR_PRIVATE_API void weir_result_write(void *ret_result, size_t caller_size, const void *result,
					size_t size);

#endif
