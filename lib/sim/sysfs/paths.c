// SPDX-License-Identifier: MIT
/* Names, resolved against the table of patterns in sysfs.c. */
#include "sim/sysfs/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINKS = 40, ENTRY_SIZE = 64 };

/* Wildcards -------------------------------------------------------------------------------------------------------- */

/* Each gives the candidates in turn, 0 first: into @name what it is, into @text how it is called. @in: what is bound already. */

static bool next_device(const struct sim_name *in, unsigned int turn, struct sim_name *name, char *text)
{
	name->device = turn ? name->device->next : in->sim->devices;
	if (!name->device)
		return false;
	snprintf(text, ENTRY_SIZE, "%s", name->device->address);
	if ((*in->bus && strncmp(text, in->bus + 3, strlen(in->bus) - 3) != 0) ||
	    (*in->driver && strcmp(name->device->driver, in->driver) != 0) ||
	    (in->group && name->device->group != in->group))
		*text = '\0';
	return true;
}

static bool next_bus(const struct sim_name *in, unsigned int turn, struct sim_name *name, char *text)
{
	const char *address;

	name->device = turn ? name->device->next : in->sim->devices;
	if (!name->device)
		return false;
	address = name->device->address;
	snprintf(name->bus, sizeof(name->bus), "pci%.*s", (int)(strrchr(address, ':') - address), address);
	snprintf(text, ENTRY_SIZE, "%s", name->bus);
	return true;
}

static bool next_driver(const struct sim_name *in, unsigned int turn, struct sim_name *name, char *text)
{
	bool more = sim_driver_next(in->sim, turn ? name->driver : "", name->driver);

	snprintf(text, ENTRY_SIZE, "%s", name->driver);
	return more;
}

static bool next_group(const struct sim_name *in, unsigned int turn, struct sim_name *name, char *text)
{
	name->group = turn ? name->group->next : in->sim->groups;
	if (!name->group)
		return false;
	*text = '\0';
	if (sim_group_next(name->group, NULL))
		snprintf(text, ENTRY_SIZE, "%u", name->group->number);
	return true;
}

static bool next_vfio(const struct sim_name *in, unsigned int turn, struct sim_name *name, char *text)
{
	name->device = turn ? name->device->next : in->sim->devices;
	if (!name->device)
		return false;
	*text = '\0';
	if (!strcmp(name->device->driver, "vfio-pci") && (!in->device || in->device == name->device))
		snprintf(text, ENTRY_SIZE, "vfio%u", name->device->vfio_number);
	return true;
}

static bool next_pid(const struct sim_name *in, unsigned int turn, struct sim_name *name, char *text)
{
	(void)in;
	(void)name;
	snprintf(text, ENTRY_SIZE, "%d", (int)getpid());
	return turn == 0;
}

typedef bool (*next_fn)(const struct sim_name *in, unsigned int turn, struct sim_name *name, char *text);

static const struct {
	const char *word;
	next_fn next;
} wildcards[] = {
	{ "<bus>", next_bus },     { "<device>", next_device }, { "<driver>", next_driver },
	{ "<group>", next_group }, { "<pid>", next_pid },       { "<vfio>", next_vfio },
};

/* The wildcard that a pattern goes on with, or NULL. */
static next_fn wildcard_at(const char *pattern, size_t len)
{
	if (*pattern != '<')
		return NULL;
	for (size_t i = 0; i < sizeof(wildcards) / sizeof(wildcards[0]); i++)
		if (strlen(wildcards[i].word) == len && !strncmp(wildcards[i].word, pattern, len))
			return wildcards[i].next;
	return NULL;
}

/* What a wildcard leaves in a name besides what it stands for is taken back: a bus is no device. */
static void take(struct sim_name *name, const struct sim_name *candidate, next_fn next)
{
	const struct sim_name before = *name;

	*name = *candidate;
	if (next == next_bus)
		name->device = before.device;
}

static bool bind_text(struct sim_name *name, next_fn next, const char *text, size_t len)
{
	struct sim_name candidate = *name;
	char entry[ENTRY_SIZE];

	for (unsigned int turn = 0; next(name, turn, &candidate, entry); turn++)
		if (*entry && strlen(entry) == len && !strncmp(entry, text, len)) {
			take(name, &candidate, next);
			return true;
		}
	return false;
}

/* Matching --------------------------------------------------------------------------------------------------------- */

/* Whether the words are the same, and wildcards where others are. What those stand for takes longer to find out. */
static bool has_words_of(const char *path, const char *pattern)
{
	while (*pattern == '/' && *path == '/') {
		size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");

		if (!wildcard_at(pattern, want) && (want != have || strncmp(pattern, path, have) != 0))
			return false;
		pattern += want;
		path += have;
	}
	return !*pattern && !*path;
}

/* @path has the words of @pattern. */
static bool bind_all(struct sim_name *name, const char *pattern, const char *path)
{
	while (*pattern) {
		size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");
		next_fn next = wildcard_at(pattern, want);

		if (next && !bind_text(name, next, path, have))
			return false;
		pattern += want;
		path += have;
	}
	return true;
}

static bool match_row(struct weir_sim *sim, const struct sim_row *row, const char *path,
		      struct sim_name *ret_name)
{
	if (!has_words_of(path, row->pattern))
		return false;
	*ret_name = (struct sim_name){ .sim = sim, .row = row };
	if (!bind_all(ret_name, row->pattern, path))
		return false;
	snprintf(ret_name->path, sizeof(ret_name->path), "%s", path);
	return !row->exists || row->exists(ret_name);
}

/*
 * Devices lie below the bridges that they are behind, as deep as these are nested. The table has them directly below their bus: bring
 * @path, below /sys/devices, into that form. False: nothing is there.
 */
static bool flatten(struct weir_sim *sim, const char *path, char flat[SIM_PATH_SIZE])
{
	const struct weir_sim_device *deepest = NULL;
	char where[SIM_PATH_SIZE];
	size_t len = 0;

	for (const struct weir_sim_device *device = sim->devices; device; device = device->next) {
		size_t this;

		sim_device_path(device, where, sizeof(where));
		this = strlen(where);
		if (this > len && !strncmp(path, where, this) && (!path[this] || path[this] == '/')) {
			deepest = device;
			len = this;
		}
	}
	if (!deepest) {
		snprintf(flat, SIM_PATH_SIZE, "%s", path);
		return !strchr(path + strlen("/sys/devices/"), '/');
	}
	snprintf(flat, SIM_PATH_SIZE, "/sys/devices/pci%.*s/%s%s",
		 (int)(strrchr(deepest->address, ':') - deepest->address), deepest->address, deepest->address,
		 path + len);
	return true;
}

static bool look_up(struct weir_sim *sim, const char *path, struct sim_name *ret_name)
{
	char flat[SIM_PATH_SIZE];
	const char *name = path;

	if (!strncmp(path, "/sys/devices/pci", strlen("/sys/devices/pci"))) {
		if (!flatten(sim, path, flat))
			return false;
		name = flat;
	}
	for (size_t i = 0; i < sim_num_rows; i++)
		if (match_row(sim, &sim_rows[i], name, ret_name)) {
			snprintf(ret_name->path, sizeof(ret_name->path), "%s", path);
			return true;
		}
	return false;
}

/* Below these, what is not in the table is not there: the real system's devices are not the machine's. */
static bool owns(const char *path)
{
	static const char *const roots[] = { "/sys/bus/pci",        "/sys/kernel/iommu_groups",
					     "/sys/class/vfio-dev", "/sys/kernel/debug/iommu",
					     "/dev/iommu",          "/dev/vfio" };

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		size_t len = strlen(roots[i]);

		if (!strncmp(path, roots[i], len) && (path[len] == '/' || !path[len]))
			return true;
	}
	return !strncmp(path, "/sys/devices/pci", strlen("/sys/devices/pci"));
}

/* Walking ---------------------------------------------------------------------------------------------------------- */

int sim_path_text(const struct sim_name *name, char **ret_text, size_t *ret_len)
{
	FILE *out = open_memstream(ret_text, ret_len);
	int error;

	if (!out)
		return -ENOMEM;
	error = name->row->show(name, out);
	if (fclose(out) && !error)
		error = -ENOMEM;
	if (error)
		free(*ret_text);
	return error;
}

/* Replace the link at the end of @done by what it points to. */
static int follow_link(const struct sim_name *name, char *done)
{
	char *target;
	size_t len;
	int error = sim_path_text(name, &target, &len);

	if (error)
		return error;
	if (len < SIM_PATH_SIZE)
		memcpy(done, target, len + 1);
	else
		error = -ENAMETOOLONG;
	free(target);
	return error;
}

/* Go from @done into its entry of @len bytes. */
static int enter(char *done, const char *entry, size_t len)
{
	size_t used = strlen(done);

	if (!len || (len == 1 && entry[0] == '.'))
		return 0;
	if (len == 2 && !strncmp(entry, "..", 2)) {
		char *slash = strrchr(done, '/');

		if (slash)
			*slash = '\0';
		return 0;
	}
	if (used + len + 2 > SIM_PATH_SIZE)
		return -ENAMETOOLONG;
	done[used] = '/';
	memcpy(done + used + 1, entry, len);
	done[used + 1 + len] = '\0';
	return 0;
}

/* @path without links, dots and double slashes. */
static int walk(struct weir_sim *sim, const char *path, bool follow, char done[SIM_PATH_SIZE])
{
	struct sim_name name;
	unsigned int links = 0;

	*done = '\0';
	while (*path) {
		size_t len;
		int error;
		bool more;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		error = enter(done, path, len);
		path += len;
		more = *path;
		if (!error && (more || follow) && look_up(sim, done, &name)) {
			if (name.row->kind == SIM_PATH_LINK)
				error = ++links > MAX_LINKS ? -ELOOP : follow_link(&name, done);
			else if (more && name.row->kind != SIM_PATH_DIR)
				error = -ENOTDIR;
		}
		if (error)
			return error;
	}
	return 0;
}

int sim_path_find(struct weir_sim *sim, const char *path, bool follow, struct sim_name *ret_name)
{
	char done[SIM_PATH_SIZE];
	int error;

	if (*path != '/')
		return SIM_PASS_ON;
	error = walk(sim, path, follow, done);
	if (error)
		return owns(path) ? error : SIM_PASS_ON;
	if (look_up(sim, done, ret_name))
		return 0;
	return owns(done) ? -ENOENT : SIM_PASS_ON;
}

/* Listing ---------------------------------------------------------------------------------------------------------- */

/* What comes in @pattern after the directory @dir, if that is one more component. */
static const char *component_below(const char *dir, const char *pattern)
{
	size_t len = strlen(dir);

	if (strncmp(pattern, dir, len) != 0 || pattern[len] != '/' || strchr(pattern + len + 1, '/'))
		return NULL;
	return pattern + len + 1;
}

/* The candidate of @turn in this row: false when there is none; an empty entry when it does not exist. */
static bool entry_of(const struct sim_name *dir, const char *last, struct sim_turn *turn, char *entry)
{
	next_fn next = wildcard_at(last, strlen(last));

	if (!turn->candidate)
		turn->name = *dir;
	turn->name.row = &sim_rows[turn->row];
	if (!next) {
		snprintf(entry, ENTRY_SIZE, "%s", last);
		return !turn->candidate++;
	}
	return next(dir, turn->candidate++, &turn->name, entry);
}

bool sim_path_next(const struct sim_name *dir, struct sim_turn *turn, char ret_entry[ENTRY_SIZE])
{
	for (; turn->row < sim_num_rows; turn->row++, turn->candidate = 0) {
		const struct sim_row *row = &sim_rows[turn->row];
		const char *last = component_below(dir->row->pattern, row->pattern);

		while (last && entry_of(dir, last, turn, ret_entry))
			if (*ret_entry && (!row->exists || row->exists(&turn->name)))
				return true;
	}
	return false;
}
