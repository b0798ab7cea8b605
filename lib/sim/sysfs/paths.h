/* SPDX-License-Identifier: MIT */
/*
 * Names of files: sysfs, device nodes, what /proc says about the process.
 *
 *     paths.c   resolving a name: links are followed, and what is found is a row of the table
 *     sysfs.c   the table, and what the files say and do
 *     file.c    opening, reading and listing what was found
 *     smaps.c   what the process's memory is made of
 */
#ifndef WEIR_SIM_PATHS_H
#define WEIR_SIM_PATHS_H

#include <stdio.h>

#include "sim/sysfs/bind.h"

enum {
	SIM_PASS_ON = -100000, /* not a name of the machine's: the real system has it, or has not */
	SIM_PATH_SIZE = 512,
};

enum sim_path_kind { SIM_PATH_DIR, SIM_PATH_LINK, SIM_PATH_FILE, SIM_PATH_NODE };

struct sim_row;

/* A name that was found, and what the wildcards in its row stand for. */
struct sim_name {
	struct weir_sim *sim;
	const struct sim_row *row;
	char path[SIM_PATH_SIZE]; /* without links */
	char bus[16];             /* "pci0000:00" */
	char driver[SIM_DRIVER_SIZE];
	struct weir_sim_device *device;
	struct sim_group *group;
};

/* What is in a place. In a pattern, <bus> <device> <driver> <group> <vfio> and <pid> stand for whatever of that kind there is. */
struct sim_row {
	const char *pattern;
	enum sim_path_kind kind;
	unsigned int mode;                           /* permissions, as in sysfs */
	bool (*exists)(const struct sim_name *name); /* NULL: always */
	/* A file's content; a link's target, from the root. */
	int (*show)(const struct sim_name *name, FILE *out);
	/* Something is written into a file, at @offset. 0 or a negative errno. */
	int (*store)(const struct sim_name *name, const char *text, size_t len, uint64_t offset);
	int (*open)(const struct sim_name *name); /* a node */
};

extern const struct sim_row sim_rows[];
extern const size_t sim_num_rows;

/* What is at @path. @follow: also when that is a link. 0, SIM_PASS_ON, -ENOENT, -ENOTDIR, -ENAMETOOLONG, -ENOMEM. */
int sim_path_find(struct weir_sim *sim, const char *path, bool follow, struct sim_name *ret_name);

/* The entry after the *@turn-th (0 to begin with) of a directory, and its name; false: there is no more. */
struct sim_turn {
	size_t row;
	unsigned int candidate;
	struct sim_name name;
};
bool sim_path_next(const struct sim_name *dir, struct sim_turn *turn, char ret_entry[64]);

/* What show() writes, with a zero byte after it; malloc'ed. */
int sim_path_text(const struct sim_name *name, char **ret_text, size_t *ret_len);

/* Is the caller the user that the machine belongs to, or root? */
bool sim_is_owner(const struct weir_sim *sim);

/* What a file of /proc says; in a file of its own because it is long. */
int sim_show_smaps(const struct sim_name *name, FILE *out);

/* The system calls by name. Strings are the machine's own copies, buffers the caller's. */
int sim_path_open(struct weir_sim *sim, const char *path, int flags);
ssize_t sim_path_readlink(struct weir_sim *sim, const char *path, char *buf, size_t len);
ssize_t sim_path_list(struct weir_sim *sim, const char *path, char *buf, size_t len);

#endif
