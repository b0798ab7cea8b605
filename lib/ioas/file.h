/* SPDX-License-Identifier: MIT */
/* Files that devices may reach: what they allow, and where this process sees them. */
#ifndef WEIR_IOAS_FILE_H
#define WEIR_IOAS_FILE_H

#include "backend/backend.h"
#include "ioas/held.h"
#include "journal/journal.h"

/*
 * Map @len bytes of the file @fd from @offset on, after checking that devices may have them: @prot is WEIR_MAP_READ and _WRITE,
 * @may_shrink WEIR_MAP_MAY_SHRINK. Returns 0, the file in @ret_held, and its place in @ret_backing; or the errors of
 * weir_ioas_map_file(), with texts.
 */
int weir_file_open(const struct weir_sys *sys, int fd, uint64_t offset, uint64_t len, uint32_t prot,
		   bool may_shrink, struct weir_held **ret_held, struct weir_backing *ret_backing);

/*
 * A file that was handed over: what the journal says of it, under @number, and its descriptor, which is the held's on success. There are no users yet.
 */
int weir_file_adopt(struct weir_journal *journal, uint32_t number, const struct weir_slot_file *slot, int fd,
		    struct weir_held **ret_held);

/* note.c: it is not in the journal any more; if it has but one user. */
void weir_file_forget(struct weir_held *held);
void weir_file_forget_unused(struct weir_held *held);

#endif
