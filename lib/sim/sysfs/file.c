// SPDX-License-Identifier: MIT
/* The system calls by name: made-up files, whose content is written when they are opened; links; directories. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/sysfs/paths.h"
#include "sim/user.h"

enum { MOST_WRITTEN = 4096, ENTRY_SIZE = 64 };

struct text_file {
	struct sim_name name;
	char *text;
	size_t len;
	uint64_t at; /* how far it has been read or written */
	bool writes; /* opened for it */
};

static ssize_t text_pread(struct sim_file *file, void *buf, size_t len, uint64_t offset)
{
	const struct text_file *text = file->data;

	if (text->name.row->kind == SIM_PATH_DIR)
		return -EISDIR;
	if (!text->text)
		return -EBADF; /* opened for writing only */
	if (offset >= text->len)
		return 0;
	if (len > text->len - offset)
		len = text->len - (size_t)offset;
	if (sim_copy_out(file->sim, (uintptr_t)buf, text->text + offset, len))
		return -EFAULT;
	return (ssize_t)len;
}

static ssize_t text_read(struct sim_file *file, void *buf, size_t len)
{
	struct text_file *text = file->data;
	ssize_t got = text_pread(file, buf, len, text->at);

	if (got > 0)
		text->at += (uint64_t)got;
	return got;
}

/* What is written goes to the function at once; the content read through the same descriptor stays what it was. */
static ssize_t text_pwrite(struct sim_file *file, const void *buf, size_t len, uint64_t offset)
{
	const struct text_file *text = file->data;
	const struct sim_row *row = text->name.row;
	char written[MOST_WRITTEN];
	size_t used = len < sizeof(written) ? len : sizeof(written);
	int error;

	if (!text->writes)
		return -EBADF;
	if (!len)
		return 0;
	if (text->name.device && text->name.device->gone)
		return -ENODEV;
	if (sim_copy_in(written, (uintptr_t)buf, used))
		return -EFAULT;
	error = row->store(&text->name, written, used, offset);
	return error ? error : (ssize_t)used;
}

static ssize_t text_write(struct sim_file *file, const void *buf, size_t len)
{
	struct text_file *text = file->data;
	ssize_t put = text_pwrite(file, buf, len, text->at);

	if (put > 0)
		text->at += (uint64_t)put;
	return put;
}

static void text_release(struct sim_file *file)
{
	struct text_file *text = file->data;

	free(text->text);
	free(text);
}

static const struct sim_file_ops text_ops = {
	.name = "file",
	.read = text_read,
	.write = text_write,
	.pread = text_pread,
	.pwrite = text_pwrite,
	.release = text_release,
};

/* Opening ---------------------------------------------------------------------------------------------------------- */

bool sim_is_owner(const struct weir_sim *sim)
{
	return geteuid() == sim->owner || geteuid() == 0;
}

/* Of a sysfs file, even root may only do what its mode says. */
static int check_access(const struct sim_name *name, int flags)
{
	const struct sim_row *row = name->row;
	bool reads = (flags & O_ACCMODE) != O_WRONLY, writes = (flags & O_ACCMODE) != O_RDONLY;
	unsigned int needs = (reads ? 0444u : 0) | (writes ? 0222u : 0);

	if (row->kind == SIM_PATH_DIR && writes)
		return -EISDIR;
	if (row->kind != SIM_PATH_DIR && flags & O_DIRECTORY)
		return -ENOTDIR;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	needs &= sim_is_owner(name->sim) ? 0700u : 0007u;
	return (row->mode & needs) == needs ? 0 : -EACCES;
}

static int open_text(const struct sim_name *name, int flags)
{
	struct text_file *text = calloc(1, sizeof(*text));
	int fd = text ? 0 : -ENOMEM;

	if (text && name->row->show && (flags & O_ACCMODE) != O_WRONLY)
		fd = sim_path_text(name, &text->text, &text->len);
	if (!fd) {
		text->name = *name;
		text->writes = (flags & O_ACCMODE) != O_RDONLY;
		fd = sim_file_open(name->sim, &text_ops, text, NULL);
		if (fd >= 0)
			return fd;
		free(text->text);
	}
	free(text);
	return fd;
}

int sim_path_open(struct weir_sim *sim, const char *path, int flags)
{
	struct sim_name name;
	int error = sim_path_find(sim, path, !(flags & O_NOFOLLOW), &name);

	if (!error && name.row->kind == SIM_PATH_LINK)
		error = -ELOOP; /* O_NOFOLLOW */
	if (!error)
		error = check_access(&name, flags);
	if (error)
		return error;
	return name.row->open ? name.row->open(&name) : open_text(&name, flags);
}

/* Links and directories -------------------------------------------------------------------------------------------- */

/* Sysfs has relative links: up to /sys, and down from there. */
static int relative_target(const struct sim_name *name, char **ret_text, size_t *ret_len)
{
	char *target;
	size_t len;
	FILE *out;
	int error = sim_path_text(name, &target, &len);

	if (error)
		return error;
	out = open_memstream(ret_text, ret_len);
	if (out) {
		for (const char *slash = strchr(name->path + strlen("/sys/"), '/'); slash;
		     slash = strchr(slash + 1, '/'))
			fputs("../", out);
		fputs(target + strlen("/sys/"), out);
		fclose(out);
	}
	free(target);
	return out ? 0 : -ENOMEM;
}

ssize_t sim_path_readlink(struct weir_sim *sim, const char *path, char *buf, size_t len)
{
	struct sim_name name;
	char *target;
	size_t used;
	int error = sim_path_find(sim, path, false, &name);

	if (!error && name.row->kind != SIM_PATH_LINK)
		error = -EINVAL;
	if (!error)
		error = relative_target(&name, &target, &used);
	if (error)
		return error;
	if (used > len)
		used = len;
	error = sim_copy_out(sim, (uintptr_t)buf, target, used);
	free(target);
	return error ? error : (ssize_t)used;
}

ssize_t sim_path_list(struct weir_sim *sim, const char *path, char *buf, size_t len)
{
	char entry[ENTRY_SIZE];
	struct sim_turn turn = { .row = 0 };
	struct sim_name name;
	size_t used = 0;
	int error = sim_path_find(sim, path, true, &name);

	if (!error && name.row->kind != SIM_PATH_DIR)
		error = -ENOTDIR;
	while (!error && sim_path_next(&name, &turn, entry)) {
		size_t need = strlen(entry) + 1;

		if (used + need > len)
			return -ENOSPC;
		error = sim_copy_out(sim, (uintptr_t)buf + used, entry, need);
		used += need;
	}
	return error ? error : (ssize_t)used;
}
