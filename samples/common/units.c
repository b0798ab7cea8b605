/* SPDX-License-Identifier: MIT */
#include "units.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct unit_text scaled(double value, const char *after)
{
	static const char *const prefixes[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	struct unit_text out;
	size_t i = 0;

	while (value >= 1024 && i + 1 < sizeof prefixes / sizeof prefixes[0]) {
		value /= 1024;
		i++;
	}
	if (value >= 100 || value == (double)(int)value)
		snprintf(out.text, sizeof out.text, "%.0f %s%s", value, prefixes[i], after);
	else
		snprintf(out.text, sizeof out.text, "%.1f %s%s", value, prefixes[i], after);
	return out;
}

struct unit_text unit_size(double bytes)
{
	return scaled(bytes, "B");
}

struct unit_text unit_rate(double bytes, double seconds)
{
	return scaled(seconds > 0 ? bytes / seconds : 0, "B/s");
}

struct unit_text unit_time(double seconds)
{
	struct unit_text out;

	if (seconds < 1)
		snprintf(out.text, sizeof out.text, "%.0f ms", seconds * 1000);
	else if (seconds < 100)
		snprintf(out.text, sizeof out.text, "%.1f s", seconds);
	else
		snprintf(out.text, sizeof out.text, "%d min %02d s", (int)seconds / 60, (int)seconds % 60);
	return out;
}

bool unit_parse(const char *text, uint64_t *ret_value)
{
	static const char letters[] = "KMG";
	unsigned long long value;
	const char *letter;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || value == 0)
		return false;
	if (*end != '\0') {
		letter = strchr(letters, *end);
		if (!letter || (strcmp(end + 1, "") != 0 && strcmp(end + 1, "iB") != 0))
			return false;
		for (; letter >= letters; letter--) {
			if (value > UINT64_MAX / 1024)
				return false;
			value *= 1024;
		}
	}
	*ret_value = value;
	return true;
}
