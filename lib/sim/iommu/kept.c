// SPDX-License-Identifier: MIT
/*
 * Pages that a file has lost, by a hole or a new end, while they were pinned: devices keep them, and whoever else looks at the file sees new
 * ones (kernel-interface A.6). The machine has no hold on pages, so it is told beforehand, and copies them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sim/iommu/pages.h"

/* What a file had from @start to @end. */
struct content {
	uint32_t refs;
	uint64_t start, end;
	unsigned char *bytes;
};

/* Of a pages object, what lies from @offset to @end is the content from @at on. The oldest comes first, and counts. */
struct sim_kept {
	struct sim_kept *next;
	uint64_t offset, end, at;
	struct content *content;
};

static void drop_content(struct content *content)
{
	if (--content->refs)
		return;
	free(content->bytes);
	free(content);
}

void sim_kept_drop(struct sim_pages *pages)
{
	while (pages->kept) {
		struct sim_kept *kept = pages->kept;

		pages->kept = kept->next;
		drop_content(kept->content);
		free(kept);
	}
}

unsigned char *sim_kept_find(const struct sim_pages *pages, uint64_t offset)
{
	for (const struct sim_kept *kept = pages->kept; kept; kept = kept->next)
		if (kept->offset <= offset && offset < kept->end)
			return kept->content->bytes + kept->at + (offset - kept->offset);
	return NULL;
}

/* @len bytes of @pages from @offset on are the file's from @start on. */
static int keep(struct sim_pages *pages, uint64_t offset, uint64_t start, uint64_t len,
		struct content *content)
{
	uint64_t first = start > content->start ? start : content->start;
	uint64_t end = start + len < content->end ? start + len : content->end;
	struct sim_kept **link = &pages->kept, *kept;

	if (first >= end)
		return 0;
	kept = malloc(sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	*kept = (struct sim_kept){ .offset = offset + (first - start),
				   .end = offset + (end - start),
				   .at = first - content->start,
				   .content = content };
	content->refs++;
	while (*link)
		link = &(*link)->next;
	*link = kept;
	return 0;
}

static bool is_file(int fd, const struct stat *file)
{
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_dev == file->st_dev && status.st_ino == file->st_ino;
}

/* A place in the process where the file is: a line of /proc/self/maps. Other processes' views are their own. */
static bool is_view(const char *line, const struct stat *file, uint64_t *ret_start, uint64_t *ret_end,
		    uint64_t *ret_offset)
{
	unsigned int major_number, minor_number;
	uint64_t inode;
	char mode[5];

	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, ret_start, ret_end,
		      mode, ret_offset, &major_number, &minor_number, &inode) == 7 &&
	       mode[3] == 's' && inode == file->st_ino && makedev(major_number, minor_number) == file->st_dev;
}

static int keep_view(struct weir_sim *sim, uint64_t start, uint64_t end, uint64_t offset,
		     struct content *content)
{
	int error = 0;

	for (struct sim_pages *pages = sim->pinned; pages && !error; pages = pages->next_pinned) {
		uint64_t addr = (uintptr_t)pages->addr;
		uint64_t first = addr > start ? addr : start;
		uint64_t last = addr + pages->len < end ? addr + pages->len : end;

		if (pages->kind == SIM_PAGES_MEMORY && first < last)
			error = keep(pages, first - addr, offset + (first - start), last - first, content);
	}
	return error;
}

static int keep_views(struct weir_sim *sim, const struct stat *file, struct content *content)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t start, end, offset;
	char line[256];
	int error = 0;

	if (!maps)
		return -errno;
	while (!error && fgets(line, sizeof(line), maps))
		if (is_view(line, file, &start, &end, &offset))
			error = keep_view(sim, start, end, offset, content);
	fclose(maps);
	return error;
}

static int keep_files(struct weir_sim *sim, const struct stat *file, struct content *content)
{
	int error = 0;

	for (struct sim_pages *pages = sim->pinned; pages && !error; pages = pages->next_pinned)
		if (pages->kind == SIM_PAGES_FILE && is_file(pages->fd, file))
			error = keep(pages, 0, pages->offset, pages->len, content);
	return error;
}

static struct content *read_content(int fd, uint64_t start, uint64_t end)
{
	struct content *content = calloc(1, sizeof(*content));
	ssize_t got = -1;

	if (!content)
		return NULL;
	*content = (struct content){ .refs = 1, .start = start, .end = end, .bytes = calloc(1, end - start) };
	if (content->bytes)
		got = pread(fd, content->bytes, end - start, (off_t)start);
	if (got < 0) {
		drop_content(content);
		return NULL;
	}
	return content;
}

int sim_pages_leave(struct weir_sim *sim, int fd, uint64_t start, uint64_t end)
{
	struct content *content;
	struct stat file;
	uint64_t grain;
	int error;

	if (fstat(fd, &file) < 0)
		return -errno;
	if (!sim->pinned || !S_ISREG(file.st_mode))
		return 0;
	/* Of a page that is lost in part, that part is filled with zeros, and it stays. */
	grain = (uint64_t)file.st_blksize;
	start = (start + grain - 1) / grain * grain;
	end = end < (uint64_t)file.st_size ? end / grain * grain
					   : ((uint64_t)file.st_size + grain - 1) / grain * grain;
	if (start >= end)
		return 0;
	content = read_content(fd, start, end);
	if (!content)
		return -ENOMEM;
	error = keep_files(sim, &file, content);
	if (!error)
		error = keep_views(sim, &file, content);
	drop_content(content);
	return error;
}
