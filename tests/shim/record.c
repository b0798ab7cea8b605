/* SPDX-License-Identifier: MIT */
/*
 * What a run saw, for comparing one host with another: a line for each case, for each check it made, and for whatever it adds itself
 * (t_record()). Only what must be alike everywhere is written down: results of calls, and whether conditions held; no values.
 */
#include "run.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *out;
static char *lines; /* of the case under way */
static size_t lines_size;
static FILE *lines_out;
static char last[1024]; /* line of the case, not yet written */
static unsigned int repeats;
static pthread_t recorder;
static pid_t process;

bool t_record_open(const char *path)
{
	out = fopen(path, "we");
	return out != NULL;
}

void t_record_close(void)
{
	if (out)
		fclose(out);
	out = NULL;
}

void t_record_begin(void)
{
	if (!out)
		return;
	recorder = pthread_self();
	process = getpid();
	lines_out = open_memstream(&lines, &lines_size);
	repeats = 0;
}

/* What comes many times in a row is one line. */
static void write_last(void)
{
	if (repeats == 1)
		fprintf(lines_out, "%s\n", last);
	else if (repeats)
		fprintf(lines_out, "%s (%u times)\n", last, repeats);
	repeats = 0;
}

void t_record(const char *format, ...)
{
	char line[sizeof(last)];
	va_list args;

	/* What other threads and children see comes in no fixed order. */
	if (!lines_out || getpid() != process || !pthread_equal(pthread_self(), recorder))
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (strcmp(line, last) != 0)
		write_last();
	strcpy(last, line);
	repeats++;
}

void t_record_forget(void)
{
	if (lines_out)
		rewind(lines_out);
	repeats = 0;
}

void t_record_end(const struct t_case *test, const struct t_host *host, const struct t_result *result)
{
	if (!lines_out)
		return;
	write_last();
	fclose(lines_out);
	lines_out = NULL;
	fprintf(out, "== %s %s.%s %s%s\n", host ? host->name : "-", test->suite, test->name,
		result->failed    ? "failed"
		: result->skipped ? "skipped "
				  : "passed",
		result->skipped ? result->missing : "");
	if (!result->skipped)
		fwrite(lines, 1, lines_size, out);
	free(lines);
	lines = NULL;
}
