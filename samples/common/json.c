/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

static FILE *out;
static bool first, first_row;

static void key(const char *name)
{
	fprintf(out, "%s\n  \"%s\": ", first ? "" : ",", name);
	first = false;
}

void json_to(FILE *file)
{
	out = file;
}

void json_begin(void)
{
	out = out ? out : stdout;
	first = true;
	fputs("{", out);
}

void json_text(const char *name, const char *value)
{
	key(name);
	fputc('"', out);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

void json_number(const char *name, uint64_t value)
{
	key(name);
	fprintf(out, "%" PRIu64, value);
}

void json_real(const char *name, double value)
{
	key(name);
	fprintf(out, "%.6f", value);
}

void json_bool(const char *name, bool value)
{
	key(name);
	fputs(value ? "true" : "false", out);
}

void json_rows_begin(const char *name)
{
	key(name);
	fputc('[', out);
	first_row = true;
}

void json_row(uint64_t one, uint64_t other)
{
	fprintf(out, "%s[%" PRIu64 ", %" PRIu64 "]", first_row ? "" : ", ", one, other);
	first_row = false;
}

void json_rows_end(void)
{
	fputc(']', out);
}

void json_end(void)
{
	fputs("\n}\n", out);
}
