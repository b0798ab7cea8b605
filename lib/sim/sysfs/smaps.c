// SPDX-License-Identifier: MIT
/* /proc/self/smaps: as the real kernel says it, but that BARs of the machine are device memory, as they are in it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/device/device.h"
#include "sim/sysfs/paths.h"

/* An area of the real kernel's: its range, what comes after that in its first line, and its further lines. */
struct area {
	uint64_t start, end;
	char *rest, *details;
};

static void show_bar(const struct sim_mapping *mapping, uint64_t start, uint64_t end, FILE *out)
{
	fprintf(out, "%08" PRIx64 "-%08" PRIx64 " %c%c-s %08" PRIx64 " 00:00 0 ", start, end,
		mapping->prot & PROT_READ ? 'r' : '-', mapping->prot & PROT_WRITE ? 'w' : '-',
		((uint64_t)mapping->bar << 40) + mapping->offset + (start - (uintptr_t)mapping->addr));
	if (!strcmp(mapping->file->ops->name, "cdev"))
		fprintf(out, "                         /dev/vfio/devices/vfio%u\n",
			mapping->device->vfio_number);
	else
		fputs("                         anon_inode:[vfio-device]\n", out);
	fprintf(out, "Size:           %8" PRIu64 " kB\n", (end - start) / 1024);
	fputs("VmFlags: rd wr sh mr mw me ms pf io de dd \n", out);
}

/* In pieces, as far as BARs lie in it. */
static void show_area(struct weir_sim *sim, const struct area *area, FILE *out)
{
	for (uint64_t at = area->start; at < area->end;) {
		const struct sim_mapping *bar = sim_mapping_find(sim, at, area->end - at);
		uint64_t begin = bar ? (uintptr_t)bar->addr : area->end, end;

		if (begin > at) {
			end = begin;
			fprintf(out, "%08" PRIx64 "-%08" PRIx64 "%s%s", at, end, area->rest, area->details);
		} else {
			end = begin + bar->len < area->end ? begin + bar->len : area->end;
			show_bar(bar, at, end, out);
		}
		at = end;
	}
}

/* A first line begins with a range; its rest is malloc'ed. */
static bool read_range(const char *line, struct area *ret_area)
{
	int used = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 "%n", &ret_area->start, &ret_area->end, &used) != 2 ||
	    line[used] != ' ')
		return false;
	ret_area->rest = strdup(line + used);
	return true;
}

/* The next area of @in, whose first line is in *@line, and which leaves that of the one after it there; false: there is none. */
static bool next_area(FILE *in, char **line, size_t *room, struct area *ret_area)
{
	size_t len;
	FILE *details;
	struct area next;
	bool more = true;

	*ret_area = (struct area){ 0 };
	if (!read_range(*line, ret_area))
		return false;
	details = open_memstream(&ret_area->details, &len);
	while (details && (more = getline(line, room, in) > 0)) {
		next.rest = NULL;
		if (read_range(*line, &next)) {
			free(next.rest);
			break;
		}
		fputs(*line, details);
	}
	if (details)
		fclose(details);
	if (!more)
		**line = '\0';
	return true;
}

int sim_show_smaps(const struct sim_name *name, FILE *out)
{
	FILE *real = fopen("/proc/self/smaps", "re");
	char *line = NULL;
	size_t room = 0;
	struct area area;
	int error = 0;

	if (!real)
		return -errno;
	if (getline(&line, &room, real) > 0)
		while (!error && next_area(real, &line, &room, &area)) {
			if (area.rest && area.details)
				show_area(name->sim, &area, out);
			else
				error = -ENOMEM;
			free(area.rest);
			free(area.details);
		}
	free(line);
	fclose(real);
	return error;
}
