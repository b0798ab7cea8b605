/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd, of which only the events are used: to be told of memory that is unmapped, moved or emptied.
 *
 * Ranges are registered for write protection, and nothing is ever protected. So no page fault is held up, none has to be
 * served, and memory that is not populated stays as usable as it was.
 */
#ifndef WEIR_KERNEL_USERFAULTFD_H
#define WEIR_KERNEL_USERFAULTFD_H

#include <stdbool.h>

#include <weir/sys.h>

/* Memory that is not any more what it was: [first, last]. */
struct weir_memory_change {
	uint64_t first, last;
};

enum { WEIR_MEMORY_CHANGES = 16 };

/* A descriptor, close-on-exec and non-blocking, that tells of unmapping, moving and emptying. Errors as of weir_cache_open(), with texts. */
int weir_userfaultfd_open(const struct weir_sys *sys);

/* Be told of a range of whole pages. The kernel's error, without a text: -EINVAL for memory that cannot be watched. */
int weir_userfaultfd_register(const struct weir_sys *sys, int fd, uint64_t addr, uint64_t len);
int weir_userfaultfd_unregister(const struct weir_sys *sys, int fd, uint64_t addr, uint64_t len);

/*
 * Whether no change of a registered range is under way. It is from before anybody can see that the memory has changed, until the event
 * was read.
 */
bool weir_userfaultfd_is_settled(const struct weir_sys *sys, int fd);

/*
 * Read what is to be told, at most @max changes, of which an event may be two. By this, those that wait go on. Returns how many; 0: none; or a
 * negative error without a text.
 */
int weir_userfaultfd_read(const struct weir_sys *sys, int fd, struct weir_memory_change *changes, int max);

#endif
