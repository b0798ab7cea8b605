/* SPDX-License-Identifier: MIT */
/*
 * What every weir header shares: symbol visibility, option structs, error texts.
 *
 * Errors. Every function that can fail returns 0 (or a count) on success and a negative errno on failure.
 * Outputs, named ret_..., are written on success only. The errno tells the class of failure; weir_error()
 * tells what was refused, why, and what to do about it.
 *
 * Options. An option struct begins with its own size, so that it can grow: a caller compiled against an
 * older weir passes a shorter struct, and what it does not know is zero; a caller compiled against a newer
 * one is refused with -E2BIG if it uses a field this weir does not know. NULL options mean all zero.
 */
#ifndef WEIR_COMMON_H
#define WEIR_COMMON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_API __attribute__((visibility("default")))

/*
 * Fills in an option struct's size: &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ). C only; in C++ write
 * `weir_map_opts opts{}; opts.size = sizeof opts;`.
 */
#define WEIR_OPTS(type, ...) ((struct type){ .size = sizeof(struct type), __VA_ARGS__ })

/*
 * What the last failing weir call on this thread has to say: one line of English, without a newline; "" if
 * none failed yet.
 *
 * The text stays as it is until the next weir call on this thread fails; the pointer stays valid as long as
 * the thread. Since 0.1.
 */
WEIR_API const char *weir_error(void);

/* The version of the library that is running, such as "0.1.0". Since 0.1. */
WEIR_API const char *weir_version(void);

#ifdef __cplusplus
}
#endif

#endif
