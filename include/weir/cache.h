/* SPDX-License-Identifier: MIT */
/*
 * A registration cache: mappings for DMA of memory that comes from elsewhere, kept for the next time.
 *
 *     struct weir_cache *cache;
 *     struct weir_cached cached;
 *     weir_cache_open(ioas, &WEIR_OPTS(weir_cache_opts, .limit = 1 << 30), &cache);
 *     weir_cache_get(cache, buffer, length, 0, &cached);
 *     tell_the_device(cached.iova);
 *     ... the device is done ...
 *     weir_cache_put(cache, &cached);
 *
 * What was mapped stays mapped (and pinned) after the put, until memory is short: then what was not used for long goes first. A driver that can choose its buffers
 * needs none of this: weir/memory.h.
 *
 * A mapping keeps the pages that it had when it was made. When the program unmaps the memory, gives its pages back or maps other memory in its
 * place, what is cached of it is wrong, and must not be found any more. There are two ways to see to that:
 *
 *   By hand: weir_cache_invalidate(), before memory that was ever in the cache is given back.
 *
 *   Watched (WEIR_CACHE_WATCH): the kernel tells, through userfaultfd(2), of munmap(), mremap(), mmap() and brk() over other memory, and madvise() with MADV_DONTNEED,
 *   MADV_FREE or MADV_REMOVE. Such a call waits until a thread of the caller's has been told, which sits in weir_cache_watch() for as long as the cache is
 *   open. A weir_cache_get() that begins after the call has returned does not find what was cached. No page fault is held up, and malloc() is
 *   left alone. Not told, and to be invalidated by hand: holes that are punched and files that are cut by descriptor (fallocate(), ftruncate()); pages that become
 *   read-only (mprotect()). Memory must not be asked for while it is being emptied by madvise(): the pages to go may be mapped once more.
 *
 *   Needs Linux 5.11 with CONFIG_USERFAULTFD on x86-64 or arm64 (6.10), with CONFIG_PTE_MARKER_UFFD_WP (5.19) for memory that is a file; and no privilege: the descriptor is one for user mode only, which vm.unprivileged_userfaultfd does not restrict, and
 *   the three events need no CAP_SYS_PTRACE (only that of fork() would). Where a seccomp filter (a container's) forbids the system call, /dev/userfaultfd
 *   (Linux 6.1) is tried, which file permissions guard. Watched ranges are borders of the kernel's: each may take two more of vm.max_map_count.
 *
 * A child of fork() has a copy of the memory, and none of the mappings: it must not use the cache. What it unmaps is not told
 * to the parent, and does not matter to it.
 *
 * Threads: any number may use a cache, and one of them watch it.
 */
#ifndef WEIR_CACHE_H
#define WEIR_CACHE_H

#include <stdbool.h>

#include <weir/ioas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_cache;

#define WEIR_CACHE_WATCH (1u << 0) /* be told by the kernel of memory that goes */
#define WEIR_CACHE_LAX                                                                                       \
	(1u << 1) /* with WATCH: find without asking the kernel whether it is about to tell something */

struct weir_cache_opts {
	size_t size;           /* sizeof(struct weir_cache_opts); set by WEIR_OPTS() */
	uint64_t limit;        /* bytes mapped at most, those in use included; 0: no limit */
	uint32_t most;         /* entries at most, likewise; 0: 65536 */
	uint32_t flags;        /* WEIR_CACHE_... */
	uint32_t address_bits; /* every IOVA below 2^this; 0: what the attached devices allow */
	uint32_t reserved;     /* 0 */
};

/*
 * Make a cache of mappings in @ioas. Its own memory, some 200 bytes for every entry, is taken as entries come into use.
 *
 * With WEIR_CACHE_WATCH every get asks the kernel with one cheap system call whether a change is on its way. That is for programs in which one thread can
 * be given addresses by mmap() that another is still unmapping: the second one's munmap() has not returned, so nothing is told yet, and the first
 * already has other memory there. A program in which that cannot happen says WEIR_CACHE_LAX, and saves the call.
 *
 * Returns 0 and the cache in @ret_cache, which the caller closes with weir_cache_close() before the space; or
 *   -EINVAL     unknown flag; LAX without WATCH; address_bits out of 12..64; most above 2^28
 *   -EOPNOTSUPP WATCH, and the kernel has no userfaultfd, or one that cannot do this
 *   -EPERM      WATCH, and userfaultfd is forbidden here; weir_error() says what would permit it
 *   -EMFILE, -ENOMEM, -E2BIG
 *
 * Kernel: userfaultfd(2), USERFAULTFD_IOC_NEW, UFFDIO_API. Since 0.1.
 */
WEIR_API int weir_cache_open(struct weir_ioas *ioas, const struct weir_cache_opts *opts,
			     struct weir_cache **ret_cache);

/*
 * Unmap everything, and close the cache. Nobody is in it any more, its watching thread included. NULL is allowed.
 *
 * Returns 0; or -EBUSY, with nothing changed, while something was got and not put; or the kernel's failure to unmap, with the
 * cache closed all the same. Since 0.1.
 */
WEIR_API int weir_cache_close(struct weir_cache *cache);

/* Memory that can be reached by devices until it is put. Plain values, to be copied as one likes; put once. */
struct weir_cached {
	uint64_t iova;       /* where devices see the first byte that was asked for */
	void *addr;          /* where this process sees it */
	uint64_t generation; /* of the cache when the mapping was made: see weir_cache_invalidate() */
	uint64_t key;        /* the library's */
};

/*
 * Let devices reach @len bytes at @addr, by a mapping that is there or by a new one. @flags: WEIR_MAP_READ, WEIR_MAP_WRITE; neither: both.
 *
 * A mapping is found if all of the range lies in it and it allows as much. A new one has the pages that the range touches; where it touches
 * others that are kept, it takes their place, with all of their pages if that can be. Room is made for it by ending mappings that nobody
 * holds, those that were not used for long first; also when the kernel has no room for another.
 *
 * Some memory is mapped for this one time, and unmapped by the put: that for which a change is on its way, and that which the kernel cannot
 * watch (mappings of files on disks, of devices, of System V shared memory, of any file before Linux 5.19, or more of them than vm.max_map_count allows). weir_cache_info() counts these.
 *
 * Returns 0 and the mapping in @ret_cached, which the caller gives back with weir_cache_put(); or
 *   -EINVAL    @len is 0, or an unknown flag
 *   -EOVERFLOW @addr + @len is beyond the end of memory; or the mapping is held a million times already
 *   -ENOSPC    over the limit of bytes or entries, and too much is held; weir_error() says by how much
 *   and those of weir_ioas_map()
 *
 * Does not wait but for another thread that is mapping or unmapping in the same range. Kernel: nothing if it is found in a cache that is not watched, or LAX; else as weir_ioas_map(), and
 * UFFDIO_REGISTER. Since 0.1.
 */
WEIR_API int weir_cache_get(struct weir_cache *cache, const void *addr, uint64_t len, uint32_t flags,
			    struct weir_cached *ret_cached);

/*
 * The same for @len bytes of a file from @offset on: a memfd, or a file on tmpfs or hugetlbfs. The file is known by itself (st_dev and
 * st_ino), not by its descriptor, of which the cache keeps its own. ret_cached->addr is in a mapping of the cache's own, which
 * nobody else unmaps: files need no watching, but for what weir_ioas_map_file() says of holes.
 *
 * Returns as weir_cache_get(), and those of weir_ioas_map_file(). -EACCES also when a mapping is there that allows as
 * much, and @fd does not. Kernel: fstat, fcntl; and as weir_ioas_map_file(). Since 0.1.
 */
WEIR_API int weir_cache_get_file(struct weir_cache *cache, int fd, uint64_t offset, uint64_t len,
				 uint32_t flags, struct weir_cached *ret_cached);

/*
 * Devices are done with it. The mapping is kept, unless it was invalidated meanwhile: then the last put unmaps it.
 *
 * Returns 0; -EINVAL, with nothing changed, for what is not held; or the kernel's failure to unmap, as weir_map_close(). Since 0.1.
 */
WEIR_API int weir_cache_put(struct weir_cache *cache, const struct weir_cached *cached);

/* Whether what is held would be found again: it is false once the memory was invalidated, or is known to be another. Since 0.1. */
WEIR_API bool weir_cache_current(struct weir_cache *cache, const struct weir_cached *cached);

/*
 * Forget all that touches @len bytes at @addr (0: all memory that is known by its address). It is never found again. What is held lives on until it is put; the rest is unmapped before this returns.
 *
 * Each call begins another generation, whose number it gives in @ret_generation (may be NULL). A mapping whose generation is that or a later one was made
 * afterwards; one that has an earlier number and touches the range is out of date. A mapping that is being made meanwhile is not kept.
 *
 * Returns 0; -EOVERFLOW, with nothing changed; or the kernel's failure to unmap, which ends nothing early. Since 0.1.
 */
WEIR_API int weir_cache_invalidate(struct weir_cache *cache, const void *addr, uint64_t len,
				   uint64_t *ret_generation);

/* The same for a part of a file (@len 0: from @offset on, all). Also -EBADF. Kernel: fstat. Since 0.1. */
WEIR_API int weir_cache_invalidate_file(struct weir_cache *cache, int fd, uint64_t offset, uint64_t len,
					uint64_t *ret_generation);

/*
 * Unmap what nobody holds until at most @bytes are mapped, as far as that goes; and what was found to be out of date, whatever @bytes is.
 *
 * Returns 0, or the kernel's failure to unmap. Since 0.1.
 */
WEIR_API int weir_cache_trim(struct weir_cache *cache, uint64_t bytes);

/*
 * The descriptor that can be read (POLLIN) when there is something for weir_cache_watch(). It stays the cache's. -EOPNOTSUPP
 * for a cache without WEIR_CACHE_WATCH. Since 0.1.
 */
WEIR_API int weir_cache_watch_fd(struct weir_cache *cache);

/*
 * Hear what the kernel has to tell: wait for it, at most @timeout_ms milliseconds (-1: for ever; 0: not at all).
 *
 * For one thread of the caller's, again and again from the open to the close. Calls of other threads that change watched memory wait for it, so that it must not do such a thing itself
 * between calls, nor wait for a thread that may; in here it neither allocates nor unmaps. What nobody
 * holds and is out of date is unmapped by the next get, put, trim or invalidate that has to do with mappings.
 *
 * Returns how many changes there were, 0 when none came in time; -EOPNOTSUPP for a cache without WEIR_CACHE_WATCH; -EINTR; or
 * another failure to wait or read, after which nothing that was cached of memory is found any more. Kernel: poll, read. Since 0.1.
 */
WEIR_API int weir_cache_watch(struct weir_cache *cache, int timeout_ms);

struct weir_cache_info {
	uint64_t bytes;         /* mapped */
	uint64_t entries;       /* mappings that it has */
	uint64_t hits;          /* gets that found one */
	uint64_t misses;        /* gets that made one */
	uint64_t evictions;     /* mappings that went to make room */
	uint64_t invalidations; /* mappings that were invalidated, by hand or by what the kernel told */
	uint64_t replacements;  /* mappings whose pages went into a larger one */
	uint64_t uncached;      /* of the misses, those whose mapping was not kept */
	uint64_t refused;       /* gets that were over a limit */
	uint64_t lost_bytes;    /* that the kernel failed to unmap */
	uint64_t generation;    /* the current one */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Looks at every entry. Returns 0. Since 0.1. */
WEIR_API int weir_cache_info(struct weir_cache *cache, struct weir_cache_info *ret_info, size_t size);

#ifdef __cplusplus
}
#endif

#endif
