// SPDX-License-Identifier: MIT
/* Descriptors, mappings and allocations of this process. */
#include "sweep/world.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shim/run.h"
#include "sweep/inject.h"
#include "sweep/lost.h"

enum { LINE = 512 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

struct mapped {
	uint64_t start, end;
	char name[128];
};

struct world {
	struct t_fds *fds;
	long allocations;
	struct mapped *maps;
	size_t num_maps, room;
};

/*
 * The heap and stacks grow and shrink as they like. So do a sanitizer's own mappings, which have no names either; the plain build
 * looks at those.
 */
static void read_line(struct world *world, const char *line)
{
	struct mapped map = { .start = 0 };
	unsigned long long start, end, inode;

	if (sscanf(line, "%llx-%llx %*s %*s %*s %llu %127[^\n]", &start, &end, &inode, map.name) < 3)
		return;
	if (!strcmp(map.name, "[heap]") || !strncmp(map.name, "[stack", 6) || !strncmp(map.name, "[v", 2) ||
	    (!inode && SANITIZED))
		return;
	map.start = start;
	map.end = end;
	world->maps = t_grow(world->maps, world->num_maps, &world->room, sizeof(map));
	world->maps[world->num_maps++] = map;
}

struct world *world_look(void)
{
	struct world *world = calloc(1, sizeof(*world));
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[LINE];

	if (!world || !maps) {
		perror("/proc/self/maps");
		abort();
	}
	while (fgets(line, sizeof(line), maps))
		read_line(world, line);
	fclose(maps);
	world->allocations = library_allocations();
	world->fds = t_fds_look();
	return world;
}

void world_free(struct world *world)
{
	t_fds_free(world->fds);
	free(world->maps);
	free(world);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The end of what @world has mapped from @at on, or @at; in *@ret_next, where the next begins. In order of addresses, as the kernel's list. */
static uint64_t mapped_until(const struct world *world, uint64_t at, uint64_t *ret_next)
{
	uint64_t end = at;

	*ret_next = UINT64_MAX;
	for (size_t i = 0; i < world->num_maps; i++) {
		const struct mapped *map = &world->maps[i];

		if (map->start <= end && end < map->end)
			end = map->end;
		else if (map->start > end)
			*ret_next = least(*ret_next, map->start);
	}
	return end;
}

/* Memory of a mapping that was lost may be kept. What is kept, is given back here: true, and where it ends. */
static bool given_back(uint64_t at, uint64_t end, uint64_t *ret_end)
{
	struct lost lost;

	for (unsigned int i = 0; lost_nth(i, &lost); i++) {
		if (at < lost.addr || at >= lost.addr + lost.len)
			continue;
		*ret_end = least(end, lost.addr + lost.len);
		munmap((void *)at, *ret_end - at);
		return true;
	}
	return false;
}

/* Neighbours may be joined, or split: only whether there is something is compared. */
static void list_new(const struct world *before, const struct mapped *map, FILE *out)
{
	for (uint64_t at = map->start; at < map->end;) {
		uint64_t next, end = mapped_until(before, at, &next);

		if (end > at) {
			at = end;
			continue;
		}
		next = least(next, map->end);
		if (!given_back(at, next, &end)) {
			fprintf(out, "mapped still: %#jx..%#jx %s\n", (uintmax_t)at, (uintmax_t)next - 1,
				map->name);
			end = next;
		}
		at = end;
	}
}

void world_compare(const struct world *before, const struct world *after, FILE *out)
{
	char text[2048];

	t_fds_compare(before->fds, after->fds, text, sizeof(text));
	fputs(text, out);
	if (before->allocations != after->allocations)
		fprintf(out, "%ld allocations of the library were not freed\n",
			after->allocations - before->allocations);
	for (size_t i = 0; i < after->num_maps; i++)
		list_new(before, &after->maps[i], out);
}
