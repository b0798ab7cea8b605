// SPDX-License-Identifier: MIT
/*
 * What this process's memory is made of.
 *
 * Of each mapping, smaps has a line as in /proc/self/maps, and lines of "Name: value", the flags among them. It is read as it comes, line by
 * line, and no further than needed: there can be very many mappings. Names are whatever somebody called a file.
 */
#include "kernel/smaps.h"

#include <errno.h>
#include <string.h>

enum { BUFFER_SIZE = 4096, LINE_SIZE = 512 /* of longer ones the rest is left out */ };

struct area {
	uint64_t start, last;
	bool readable, writable, device;
	char name[sizeof(((struct weir_memory_part *)0)->what)];
};

struct reader {
	const struct weir_sys *sys;
	int fd;
	size_t at, len; /* of what is in the buffer */
	bool begun;     /* the next area's first line has been read */
	struct area next;
	char buffer[BUFFER_SIZE], line[LINE_SIZE];
};

static int open_reader(const struct weir_sys *sys, struct reader *reader)
{
	reader->sys = sys;
	reader->at = reader->len = 0;
	reader->begun = false;
	reader->fd = sys->open(sys->ctx, "/proc/self/smaps", 0);
	/* A kernel built without it: all but the flags is in the other. */
	if (reader->fd == -ENOENT)
		reader->fd = sys->open(sys->ctx, "/proc/self/maps", 0);
	return reader->fd < 0 ? reader->fd : 0;
}

static void close_reader(const struct reader *reader)
{
	reader->sys->close(reader->sys->ctx, reader->fd);
}

/* 1 and a byte; 0: there is no more; or an error. */
static int next_byte(struct reader *reader, char *ret_byte)
{
	if (reader->at == reader->len) {
		ssize_t got = reader->sys->read(reader->sys->ctx, reader->fd, reader->buffer, BUFFER_SIZE);

		if (got <= 0)
			return (int)got;
		reader->len = (size_t)got;
		reader->at = 0;
	}
	*ret_byte = reader->buffer[reader->at++];
	return 1;
}

/* The next line, without its end. 1, 0 or an error. What ends without a newline has been cut, and is no line. */
static int next_line(struct reader *reader)
{
	size_t used = 0;
	char byte = '\0';
	int more;

	while ((more = next_byte(reader, &byte)) > 0 && byte != '\n')
		if (used < LINE_SIZE - 1)
			reader->line[used++] = byte;
	reader->line[used] = '\0';
	return more;
}

static const char *read_hex(const char *text, uint64_t *ret_value)
{
	static const char digits[] = "0123456789abcdef";
	const char *digit;

	*ret_value = 0;
	for (; *text && (digit = strchr(digits, *text)); text++)
		*ret_value = *ret_value << 4 | (uint64_t)(digit - digits);
	return text;
}

static void copy_name(char *name, size_t size, const char *from)
{
	size_t len = 0;

	for (; *from && len < size - 1; from++)
		name[len++] = (unsigned char)*from < ' ' || *from == 0x7f ? '?' : *from;
	name[len] = '\0';
}

/* "START-END rwxs OFFSET DEVICE INODE   NAME" */
static bool read_area(const char *line, struct area *ret_area)
{
	struct area area = { 0 };
	const char *at = read_hex(line, &area.start), *end;

	if (at == line || *at != '-')
		return false;
	end = read_hex(at + 1, &area.last);
	if (end == at + 1 || *end != ' ' || area.last-- <= area.start)
		return false;
	area.readable = end[1] == 'r';
	area.writable = area.readable && end[2] == 'w';
	for (int field = 0; field < 4; field++) {
		end += strspn(end, " ");
		if (!*end)
			return false;
		end += strcspn(end, " ");
	}
	copy_name(area.name, sizeof(area.name), end + strspn(end, " "));
	*ret_area = area;
	return true;
}

/* "VmFlags: rd wr io pf": io and pf are VM_IO and VM_PFNMAP. */
static bool has_device_flag(const char *line)
{
	static const char head[] = "VmFlags:";

	if (strncmp(line, head, sizeof(head) - 1) != 0)
		return false;
	for (line += sizeof(head) - 1; *line; line += strcspn(line, " ")) {
		line += strspn(line, " ");
		if (strcspn(line, " ") == 2 && (!strncmp(line, "io", 2) || !strncmp(line, "pf", 2)))
			return true;
	}
	return false;
}

/* The next area, with its flags. 1, 0 or an error. */
static int next_area(struct reader *reader, struct area *ret_area)
{
	struct area area;
	int more;

	while ((more = next_line(reader)) > 0) {
		if (read_area(reader->line, &area)) {
			bool complete = reader->begun;

			*ret_area = reader->next;
			reader->next = area;
			reader->begun = true;
			if (complete)
				return 1;
		} else if (reader->begun && has_device_flag(reader->line)) {
			reader->next.device = true;
		}
	}
	if (more < 0 || !reader->begun)
		return more;
	*ret_area = reader->next;
	reader->begun = false;
	return 1;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct weir_memory_part part_of(const struct area *area, uint64_t start, uint64_t last)
{
	struct weir_memory_part part = { .start = start, .last = lower(area->last, last) };

	_Static_assert(sizeof(part.what) == sizeof(area->name), "the same text");
	memcpy(part.what, area->name, sizeof(part.what));
	return part;
}

/* Will it do? If not, what is wrong with it. */
static bool is_flawed(const struct area *area, const struct weir_memory_needs *needs,
		      enum weir_flaw *ret_flaw)
{
	bool device = area->device && !needs->device;

	if (device)
		*ret_flaw = WEIR_FLAW_DEVICE;
	else
		*ret_flaw = area->readable ? WEIR_FLAW_READ_ONLY : WEIR_FLAW_UNREADABLE;
	return device || !area->readable || (needs->write && !area->writable);
}

/* Goes through the areas as far as they follow each other from @start on. As weir_smaps_flaw(). */
static int find_flaw(struct reader *reader, uint64_t start, uint64_t last,
		     const struct weir_memory_needs *needs, struct weir_memory_part *ret_part)
{
	struct area area;
	enum weir_flaw flaw;
	int more;

	while ((more = next_area(reader, &area)) > 0) {
		if (area.last < start)
			continue;
		if (area.start > start)
			break;
		if (is_flawed(&area, needs, &flaw)) {
			*ret_part = part_of(&area, start, last);
			ret_part->flaw = flaw;
			return 0;
		}
		if (area.last >= last)
			return -ENOENT;
		start = area.last + 1;
	}
	if (more < 0)
		return more;
	*ret_part = (struct weir_memory_part){ .start = start,
					       .last = more ? lower(area.start - 1, last) : last,
					       .flaw = WEIR_FLAW_HOLE };
	return 0;
}

int weir_smaps_flaw(const struct weir_sys *sys, uint64_t start, uint64_t last,
		    const struct weir_memory_needs *needs, struct weir_memory_part *ret_part)
{
	struct reader reader;
	int error = open_reader(sys, &reader);

	if (error)
		return error;
	error = find_flaw(&reader, start, last, needs, ret_part);
	close_reader(&reader);
	return error;
}

int weir_smaps_at(const struct weir_sys *sys, uint64_t start, uint64_t last,
		  struct weir_memory_part *ret_part)
{
	struct reader reader;
	struct area area;
	int error = open_reader(sys, &reader), more;

	if (error)
		return error;
	do
		more = next_area(&reader, &area);
	while (more > 0 && area.last < start);
	close_reader(&reader);
	if (more <= 0 || area.start > start)
		return more < 0 ? more : -ENOENT;
	*ret_part = part_of(&area, start, last);
	return 0;
}
