/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

static bool first;

static void key(const char *name)
{
	printf("%s\n  \"%s\": ", first ? "" : ",", name);
	first = false;
}

void json_begin(void)
{
	first = true;
	fputs("{", stdout);
}

void json_text(const char *name, const char *value)
{
	key(name);
	putchar('"');
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

void json_number(const char *name, uint64_t value)
{
	key(name);
	printf("%" PRIu64, value);
}

void json_real(const char *name, double value)
{
	key(name);
	printf("%.6f", value);
}

void json_bool(const char *name, bool value)
{
	key(name);
	fputs(value ? "true" : "false", stdout);
}

void json_end(void)
{
	puts("\n}");
}
