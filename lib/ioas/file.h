/* SPDX-License-Identifier: MIT */
/* Files that devices may reach: what they allow, and where this process sees them. */
#ifndef WEIR_IOAS_FILE_H
#define WEIR_IOAS_FILE_H

#include "backend/backend.h"

/* A part of a file, mapped into this process for the sake of a mapping for DMA. */
struct weir_file {
	struct weir_file *next; /* of those that end together */
	void *base;             /* whole pages of the file's own size */
	uint64_t len;
	int fd; /* our own */
};

/*
 * Map @len bytes of the file @fd from @offset on, after checking that devices may have them: @prot is WEIR_MAP_READ and _WRITE,
 * @may_shrink WEIR_MAP_MAY_SHRINK. Returns 0, the file in @ret_file, and its place in @ret_backing; or the errors of
 * weir_ioas_map_file(), with texts.
 */
int weir_file_open(const struct weir_sys *sys, int fd, uint64_t offset, uint64_t len, uint32_t prot,
		   bool may_shrink, struct weir_file **ret_file, struct weir_backing *ret_backing);

/* A list of files, or NULL. Runs to its end; @error, with its text, is what went wrong before. Returns the first error. */
int weir_files_close(const struct weir_sys *sys, struct weir_file *files, int error);

#endif
