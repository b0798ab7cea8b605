// SPDX-License-Identifier: MIT
/* What failed calls have to say, one text per thread; and structs that grow. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char detail[WEIR_ERROR_SIZE];

const char *weir_error(void)
{
	return detail;
}

const char *weir_version(void)
{
	return WEIR_VERSION;
}

void weir_error_set(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
}

void weir_error_prefix(const char *format, ...)
{
	char inner[sizeof(detail)];
	va_list args;
	int used;

	memcpy(inner, detail, sizeof(inner));
	va_start(args, format);
	used = vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof(detail))
		snprintf(detail + used, sizeof(detail) - (size_t)used, ": %.*s",
			 (int)(sizeof(detail) - (size_t)used), inner);
}

void weir_first_note(struct weir_first *first, int error)
{
	if (!error || first->error)
		return;
	first->error = error;
	memcpy(first->text, detail, sizeof(first->text));
}

int weir_first_error(const struct weir_first *first)
{
	if (first->error)
		memcpy(detail, first->text, sizeof(detail));
	return first->error;
}

int weir_opts_read(const void *opts, void *ret_opts, size_t size)
{
	const unsigned char *bytes = opts;
	size_t given, i;

	memset(ret_opts, 0, size);
	if (!opts)
		return 0;
	memcpy(&given, opts, sizeof(given));
	if (given < sizeof(given))
		return weir_fail(-EINVAL, "the options' size is %zu: set it, or use WEIR_OPTS()", given);
	/* No struct will be that long: nobody has set the size. */
	if (given > 4096)
		return weir_fail(-E2BIG, "the options' size is %zu: set it, or use WEIR_OPTS()", given);
	for (i = size; i < given; i++)
		if (bytes[i])
			return weir_fail(-E2BIG,
					 "the options use a field at byte %zu, which weir %s does not know",
					 i, WEIR_VERSION);
	memcpy(ret_opts, opts, given < size ? given : size);
	return 0;
}

void weir_result_write(void *ret_result, size_t caller_size, const void *result, size_t size)
{
	memcpy(ret_result, result, caller_size < size ? caller_size : size);
	if (caller_size > size)
		memset((char *)ret_result + size, 0, caller_size - size);
}
