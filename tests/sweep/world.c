// SPDX-License-Identifier: MIT
/* Descriptors, mappings and allocations of this process. */
#include "sweep/world.h"

#include <stdlib.h>
#include <string.h>

#include "shim/run.h"
#include "sweep/inject.h"

enum { LINE = 512 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

struct world {
	struct t_fds *fds;
	long allocations;
	char *maps; /* the lines of /proc/self/maps that count */
	size_t maps_len;
};

/*
 * The heap and stacks grow and shrink as they like. So do a sanitizer's own mappings, which have no names either; the plain build
 * looks at those.
 */
static bool counts(const char *line)
{
	char name[LINE] = "";
	unsigned long long start, end, inode;

	if (sscanf(line, "%llx-%llx %*s %*s %*s %llu %511s", &start, &end, &inode, name) < 3)
		return false;
	if (!strcmp(name, "[heap]") || !strncmp(name, "[stack", 6) || !strncmp(name, "[v", 2))
		return false;
	return inode || !SANITIZED;
}

static void read_maps(struct world *world)
{
	FILE *in = fopen("/proc/self/maps", "re");
	FILE *out = open_memstream(&world->maps, &world->maps_len);
	char line[LINE];

	if (!in || !out) {
		perror("/proc/self/maps");
		abort();
	}
	while (fgets(line, sizeof(line), in))
		if (counts(line))
			fputs(line, out);
	fclose(in);
	fclose(out);
}

struct world *world_look(void)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		abort();
	world->allocations = library_allocations();
	world->fds = t_fds_look();
	read_maps(world);
	return world;
}

void world_free(struct world *world)
{
	t_fds_free(world->fds);
	free(world->maps);
	free(world);
}

/* Lines of @after that @before has not. Where neighbours were joined or split, that is seen as well, and means something left. */
static void list_new(const char *before, const char *after, FILE *out)
{
	for (const char *line = after, *end; (end = strchr(line, '\n')); line = end + 1) {
		char text[LINE];

		snprintf(text, sizeof(text), "%.*s\n", (int)(end - line), line);
		if (!strstr(before, text))
			fprintf(out, "mapped still: %s", text);
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
	list_new(before->maps, after->maps, out);
}
