// SPDX-License-Identifier: MIT
/* What /proc/self says about this process. */
#include "kernel/procself.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole of a file of unknown length, with a zero byte at the end; malloc'ed. */
static int read_all(const struct weir_sys *sys, const char *path, char **ret_text)
{
	size_t room = 8192, used = 0;
	char *text = malloc(room);
	int fd = sys->open(sys->ctx, path, 0);
	ssize_t got = fd < 0 ? fd : 0;

	while (text && fd >= 0) {
		char *larger;

		got = sys->read(sys->ctx, fd, text + used, room - used - 1);
		if (got <= 0)
			break;
		used += (size_t)got;
		if (used + 1 < room)
			continue;
		room *= 2;
		larger = realloc(text, room);
		if (!larger)
			free(text);
		text = larger;
	}
	if (fd >= 0)
		sys->close(sys->ctx, fd);
	if (!text)
		return -ENOMEM;
	if (got < 0) {
		free(text);
		return (int)got;
	}
	text[used] = '\0';
	*ret_text = text;
	return 0;
}

static int read_limit(const struct weir_sys *sys, uint64_t *ret_limit)
{
	char *text;
	const char *line;
	int error = read_all(sys, "/proc/self/limits", &text);

	if (error)
		return error;
	line = strstr(text, "Max locked memory");
	if (!line)
		error = -EIO;
	else if (sscanf(line, "Max locked memory %" SCNu64, ret_limit) != 1)
		*ret_limit = UINT64_MAX; /* "unlimited" */
	free(text);
	return error;
}

int weir_procself_memlock(const struct weir_sys *sys, struct weir_memlock *ret_memlock)
{
	enum { IPC_LOCK = 14 };
	struct weir_memlock memlock = { .limit = UINT64_MAX };
	uint64_t kilobytes, caps;
	const char *line;
	char *text;
	int error = read_limit(sys, &memlock.limit);

	if (error)
		return error;
	error = read_all(sys, "/proc/self/status", &text);
	if (error)
		return error;
	line = strstr(text, "\nVmLck:");
	if (line && sscanf(line, "\nVmLck: %" SCNu64, &kilobytes) == 1)
		memlock.locked = kilobytes * 1024;
	line = strstr(text, "\nCapEff:");
	if (line && sscanf(line, "\nCapEff: %" SCNx64, &caps) == 1)
		memlock.exempt = caps >> IPC_LOCK & 1;
	free(text);
	*ret_memlock = memlock;
	return 0;
}

/*
 * One line of /proc/self/maps: the range (its last address included), what may be done to it, and its name.
 */
struct area {
	uint64_t start, last;
	bool readable, writable;
	const char *name;
	int name_len;
};

static const char *next_area(const char *line, struct area *ret_area)
{
	char mode[5];
	uint64_t end;
	int name_at = 0;
	const char *newline = strchr(line, '\n');

	if (!newline || sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s%n", &ret_area->start, &end,
			       mode, &name_at) != 3)
		return NULL;
	ret_area->last = end - 1;
	ret_area->readable = mode[0] == 'r';
	ret_area->writable = mode[1] == 'w';
	/* What %*s skips may be on the next line, when fields are missing in this one. */
	ret_area->name = name_at && line + name_at < newline ? line + name_at : newline;
	while (ret_area->name < newline && *ret_area->name == ' ')
		ret_area->name++;
	ret_area->name_len = (int)(newline - ret_area->name);
	return newline + 1;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int weir_procself_flaw(const struct weir_sys *sys, uint64_t start, uint64_t last, bool write,
		       struct weir_range_flaw *ret_flaw)
{
	struct area area;
	const char *line;
	uint64_t at = start;
	char *text;
	int error = read_all(sys, "/proc/self/maps", &text);

	if (error)
		return error;
	for (line = next_area(text, &area); line; line = next_area(line, &area)) {
		if (area.last < at)
			continue;
		if (area.start > at)
			break;
		if (!area.readable || (write && !area.writable)) {
			*ret_flaw = (struct weir_range_flaw){ .start = at,
							      .last = lower(area.last, last),
							      .readable = area.readable,
							      .writable = area.writable };
			snprintf(ret_flaw->what, sizeof(ret_flaw->what), "%.*s", area.name_len, area.name);
			free(text);
			return 0;
		}
		if (area.last >= last) {
			free(text);
			return -ENOENT;
		}
		at = area.last + 1;
	}
	*ret_flaw = (struct weir_range_flaw){ .start = at,
					      .last = line ? lower(area.start - 1, last) : last,
					      .hole = true };
	free(text);
	return 0;
}
