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
