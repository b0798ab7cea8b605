/* SPDX-License-Identifier: MIT */
/*
 * An I/O address space (IOAS): which memory devices may reach, and at which I/O virtual addresses (IOVAs).
 *
 *     struct weir_map *map;
 *     weir_ioas_map(ioas, buffer, length, NULL, &map);
 *     tell_the_device(weir_map_iova(map));
 *     ...
 *     weir_map_close(map);
 *
 * Devices attached to the same space share its mappings. Mappings may be made before the first device is
 * attached and stay when the last one leaves: the library keeps the table and puts it in force again with
 * the next device. While no device is attached nothing is pinned.
 *
 * IOVAs are chosen by the library unless the caller fixes them. A chosen one is congruent with the memory's
 * address modulo 2 MiB and 1 GiB where the length is that large, so that large IOMMU pages can form. Zero is
 * a legal IOVA.
 *
 * Threads: any number of threads may map, unmap and ask in one space. A handle (struct weir_map) is closed
 * by one thread, once. No lock of the library is held while the kernel pins memory.
 */
#ifndef WEIR_IOAS_H
#define WEIR_IOAS_H

#include <weir/host.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_ioas;
struct weir_map;

/* A range of IOVAs, its last address included: the whole 64-bit space is 0..UINT64_MAX. */
struct weir_iova_range {
	uint64_t start;
	uint64_t last;
};

#define WEIR_IOAS_LOOKUP                                                                                     \
	(1u << 0) /* mappings can be found by address: weir_ioas_iova(), weir_ioas_memory() */
#define WEIR_IOAS_PROBE                                                                                      \
	(1u                                                                                                  \
	 << 1) /* weir_ioas_map() asks what the memory is before a kernel maps it that would map anything */

#define WEIR_IOAS_DIRTY                                                                                      \
	(1u                                                                                                  \
	 << 2) /* what devices write can be tracked (weir/dirty.h), where that can be had; page by page, so that the IOMMU's large pages are not used */

struct weir_ioas_opts {
	size_t size; /* sizeof(struct weir_ioas_opts); set by WEIR_OPTS() */
	uint32_t
		address_bits; /* keep every chosen IOVA below 2^this from the start; 0: what attached devices allow */
	uint32_t flags; /* WEIR_IOAS_... */
};

/*
 * Make an address space on @host.
 *
 * Returns 0 and the space in @ret_ioas, which the caller closes with weir_ioas_close(); or
 *   -EINVAL  address_bits is above 64 or below 12, or an unknown flag
 *   -E2BIG   options newer than this library
 *   -ENOMEM
 *
 * Kernel: IOMMU_IOAS_ALLOC; on the container, nothing yet. Since 0.1.
 */
WEIR_API int weir_ioas_open(struct weir_host *host, const struct weir_ioas_opts *opts,
			    struct weir_ioas **ret_ioas);

/*
 * Close an address space with all its mappings, whose handles end with it. NULL is allowed.
 *
 * Returns 0; or -EBUSY, with nothing changed, while a device is attached (weir_error() names one) or a weir_memory is mapped
 * in it, or a domain is open over it (weir/domain.h); or another error, with the space closed all the same, when the kernel failed to free its part of it. Since 0.1.
 */
WEIR_API int weir_ioas_close(struct weir_ioas *ioas);

#define WEIR_MAP_READ  (1u << 0) /* devices may read the memory */
#define WEIR_MAP_WRITE (1u << 1) /* devices may write the memory */
#define WEIR_MAP_FIXED (1u << 2) /* at opts.iova and nowhere else */
#define WEIR_MAP_MAY_SHRINK                                                                                  \
	(1u << 3) /* weir_ioas_map_file(): a file that cannot be sealed against shrinking will do */
#define WEIR_MAP_DEVICE_MEMORY                                                                               \
	(1u << 4) /* weir_ioas_map(): memory of a device will do, though its mapping can go stale */

#define WEIR_MAP_SINK                                                                                        \
	(1u                                                                                                  \
	 << 5) /* a device's memory (weir/peer.h): while it is away, DMA goes to scratch memory instead of being blocked */

/* What a mapping allows and where it goes. Leave out what you do not care about. */
struct weir_map_opts {
	size_t size;           /* sizeof(struct weir_map_opts); set by WEIR_OPTS() */
	uint32_t flags;        /* WEIR_MAP_...; neither READ nor WRITE means both */
	uint32_t address_bits; /* the range ends at or below 2^this; 0: what the attached devices allow */
	uint64_t iova;         /* with WEIR_MAP_FIXED: where; 0 is a legal address */
};

/*
 * Let the devices of @ioas reach @len bytes of this process's memory at @addr.
 *
 * @addr and @len are multiples of the page size. With a device attached the pages are pinned, and count
 * against RLIMIT_MEMLOCK until the mapping is closed or the last device leaves. Without one the pages are
 * brought in, to see that they are there; a problem that shows only later is reported by the
 * weir_device_open() or weir_device_attach() that puts the mapping in force.
 *
 * The memory stays the caller's, who closes the mapping before freeing it: a mapping keeps the pages that
 * it had when it was made. So it does when the process forks: the kernel (Linux 5.12) gives the child copies of private pages that
 * are pinned, and this process and its devices keep theirs. The child has the mappings no more than it has
 * the devices: it calls nothing of the library with what its parent opened, and its exit or exec takes nothing away.
 *
 * Device memory (another device's registers, mapped into this process) is refused. The VFIO container would map it as if it were
 * memory, and never take it back: when that device is reset, put to sleep or closed, the mapping is stale, and a device that uses it
 * raises bus errors. WEIR_MAP_DEVICE_MEMORY accepts that; part of the range, or all, may be such memory then. Without that flag, a space
 * that has no device and one that gets its first device refuse it. While a device is attached, a map is one system call,
 * and the container takes device memory without a word; WEIR_IOAS_PROBE has it asked for beforehand, with
 * MADV_POPULATE_READ or _WRITE: one system call more, by address, on the container alone. iommufd refuses by itself.
 *
 * An IOMMU may be unable to forbid reading of what may be written; WEIR_MAP_WRITE alone forbids reads where
 * it can.
 *
 * Returns 0 and a handle in @ret_map, which the caller closes with weir_map_close(); or, with nothing
 * changed,
 *   -EINVAL    not page aligned, zero length, unknown flag, WEIR_MAP_MAY_SHRINK, iova without WEIR_MAP_FIXED, address_bits
 *              out of 12..64; or WEIR_MAP_READ alone, and VT-d has a nesting parent over the space (weir/domain.h)
 *   -EOVERFLOW @addr + @len or iova + @len is beyond the end of the 64-bit space
 *   -EEXIST    WEIR_MAP_FIXED, and part of the range is taken
 *   -ERANGE    WEIR_MAP_FIXED, and part of the range is beyond what the attached devices can address, or
 *              reserved (such as the interrupt window); weir_error() says which ranges there are
 *   -ENOSPC    no free range of that size, or the kernel's limit on mappings is reached (VFIO container:
 *              65535). 65536 free ranges are looked at, so it can be untrue where there are more that are long enough (2 MiB at
 *              least), none of which suits because of its alignment or its place
 *   -EFAULT    part of the range is not memory, or not readable or writable as asked, or device memory, or beyond the
 *              end of its file; weir_error() says which part, and what it is
 *   -ENOMEM    over RLIMIT_MEMLOCK; weir_error() says how much is needed
 *   -E2BIG     options newer than this library
 *   -EOPNOTSUPP WEIR_MAP_DEVICE_MEMORY, and this kernel interface maps no device memory by its address, whatever the range is made of:
 *              iommufd, and the container's ioctls on /dev/iommu (WEIR_CAP_DEVICE_MEMORY)
 *
 * Kernel: IOMMU_IOAS_MAP or VFIO_IOMMU_MAP_DMA, one call; without a device MADV_POPULATE_READ or _WRITE. Only when it refuses,
 * /proc/self is read to say why. Since 0.1.
 */
WEIR_API int weir_ioas_map(struct weir_ioas *ioas, void *addr, size_t len, const struct weir_map_opts *opts,
			   struct weir_map **ret_map);

/*
 * Let the devices of @ioas reach @len bytes of a file from @offset on: a memfd, or a file on tmpfs or hugetlbfs.
 *
 * What such a mapping lets devices reach is the file's, not this process's: it can be shared with other processes, and
 * outlives them. The library keeps a descriptor of its own and maps the part into this process (weir_map_addr()), shared, writable if
 * devices may write it; both end with the mapping.
 *
 * The file's mode and seals are kept: one that is open for reading, or sealed against writing, is never writable for a device. A
 * file that shrinks would leave devices with pages that are no longer in it; so it is sealed against that
 * (F_SEAL_SHRINK), or, where it cannot be, refused but for WEIR_MAP_MAY_SHRINK. Punching a hole into the file, or shrinking it
 * with that flag, takes nothing back: devices keep the pages that the mapping had, the file gets new ones, and
 * nobody else's memory is reached.
 *
 * @offset and @len are multiples of the page size, whatever the file's own pages. The chosen IOVA is congruent with @offset.
 *
 * Returns as weir_ioas_map(), and
 *   -EBADF   no descriptor
 *   -EINVAL  no file; of a kind that cannot be had for DMA; shorter than @offset + @len; WEIR_MAP_DEVICE_MEMORY
 *   -EACCES  devices are to write, and it is not open for writing; or it is open for writing only
 *   -EPERM   devices are to write, and it is sealed against that; or it can shrink, and cannot be sealed
 *   -EMFILE
 *
 * Kernel: IOMMU_IOAS_MAP_FILE (Linux 6.13); elsewhere by its address. Since 0.1.
 */
WEIR_API int weir_ioas_map_file(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
				const struct weir_map_opts *opts, struct weir_map **ret_map);

/* Memory of this process. */
struct weir_map_range {
	void *addr;
	uint64_t len;
};

/*
 * Let the devices of @ioas reach @num ranges of this process's memory, laid one after the other into one block of IOVAs, in the order
 * given: to devices, they are one buffer.
 *
 * Ranges that follow each other in memory, too, are one piece, and a piece is one mapping to the kernel. All pieces are mapped, or none. A
 * piece is all that weir_ioas_iova() finds in one go. The block is congruent with the first range.
 *
 * The handle stands for the block: it begins at weir_map_iova(), and weir_map_len() is the sum of the lengths; weir_map_addr() is where
 * the first range is. weir_map_close() takes all back in one system call, and weir_ioas_unmap() all or nothing.
 *
 * Each range is as for weir_ioas_map(), and so are @opts. @ret_iovas: NULL, or room for @num IOVAs, of each range's first byte.
 *
 * Returns as weir_ioas_map() does for any of the ranges, 0 and the handle in @ret_map; or, with nothing changed, its errors, and
 *   -EINVAL    @num is 0
 *   -EOVERFLOW the lengths add up to more than there are addresses
 *   -ENOSPC    also when the kernel's limit leaves room for fewer mappings than there are pieces; found out before anything is mapped
 *   -ENOMEM    also for want of memory for the bookkeeping, of a mapping for each piece
 * Should one piece be refused, and the kernel then fail to unmap those before it, weir_error() says so: devices may still reach these, and
 * their addresses are not used again.
 *
 * Kernel: IOMMU_IOAS_MAP or VFIO_IOMMU_MAP_DMA, one call for each piece; without a device MADV_POPULATE_READ or _WRITE. Since 0.1.
 */
WEIR_API int weir_ioas_map_batch(struct weir_ioas *ioas, const struct weir_map_range *ranges, size_t num,
				 const struct weir_map_opts *opts, uint64_t *ret_iovas,
				 struct weir_map **ret_map);

/*
 * Let the devices of @ioas, a further space, reach what @map lets those of its own space reach, be it memory, a file, or a batch: at the same
 * IOVA if that is free there, and not diverted (weir/reach.h), and @opts asks for none; else at another.
 *
 * The two mappings are independent of each other from then on: each ends by itself, and is put in force again as devices come
 * and go. @map must not be closed before this returns. What is allowed is what @map allows, or less; that is what neither
 * READ nor WRITE in @opts means here.
 *
 * On iommufd the pages are pinned and charged once for all such mappings: if both spaces have a device, and none is just coming or going in
 * that of @map. Otherwise, which includes spaces of another host, this is a second mapping like the first, which pins and charges
 * again. What is put in force again when a device comes is charged again, too. Of a file, a mapping in a space of
 * another host has a descriptor and a place in this process (weir_map_addr()) of its own, and is noted in that host's journal.
 *
 * Returns 0 and a handle in @ret_map, which the caller closes with weir_map_close(); or, with nothing changed, the errors of
 * weir_ioas_map(), and
 *   -EACCES  @opts allows more than @map does
 *   -EXDEV   @map is of a file, and @ioas of a host with other system calls (weir_host_opts.sys)
 *   -EINVAL, -EPERM, -EMFILE  of a file, in a space of another host: as weir_ioas_map_file()
 *
 * Kernel: IOMMU_IOAS_COPY, one call; elsewhere as for @map. Since 0.1.
 */
WEIR_API int weir_map_share(struct weir_map *map, struct weir_ioas *ioas, const struct weir_map_opts *opts,
			    struct weir_map **ret_map);

/*
 * Take back every mapping that lies in @len bytes at @iova, in one system call. Their handles end.
 *
 * When it returns, no device can reach the memory any more.
 *
 * Returns 0; or
 *   -EINVAL     zero length, or the range would cut a mapping, or a batch, in two; nothing changed,
 *               weir_error() names it
 *   -EOVERFLOW  @iova + @len is beyond the end of the 64-bit space; nothing changed
 *   -ENOENT     there is no mapping in the range
 *   -EBUSY      another thread is mapping or unmapping in the range; or part of it is of a weir_memory, a weir_cache, a weir_demand
 *               (weir/demand.h) or a shadow (weir_domain_open_shadow()), which end their mappings themselves; nothing changed
 *   other       the kernel failed to unmap: the handles have ended all the same, but devices may still
 *               reach the memory, and the addresses are not used again. So it is also with mappings that were closed before, in a
 *               space that defers (weir/nested.h), which this ends first as weir_ioas_sync() does: that failure is the one
 *               returned, also where the range itself has no mapping or cannot be taken back
 *
 * Kernel: IOMMU_IOAS_UNMAP or VFIO_IOMMU_UNMAP_DMA. Since 0.1.
 */
WEIR_API int weir_ioas_unmap(struct weir_ioas *ioas, uint64_t iova, uint64_t len);

/*
 * Take back one mapping. The handle has ended when this returns, whatever it returns. NULL is allowed.
 *
 * When it returns 0, no device can reach the memory any more. Any other value is the kernel's failure to
 * unmap: devices may still reach the memory (do not free it), and its addresses are not used again; or, of a file, the
 * failure to take it out of this process, which weir_error() tells apart. Since 0.1.
 */
WEIR_API int weir_map_close(struct weir_map *map);

/*
 * Take back many mappings, also of several spaces: those that follow each other in their space in one system call. All handles have ended when
 * this returns, whatever it returns. It reorders @maps; NULLs in it are allowed.
 *
 * Returns as weir_map_close(), the first error of several. Should the kernel fail to unmap some that follow each other, the addresses
 * of all these are not used again, and no others.
 *
 * Kernel: IOMMU_IOAS_UNMAP or VFIO_IOMMU_UNMAP_DMA. Since 0.1.
 */
WEIR_API int weir_map_close_batch(struct weir_map **maps, size_t num);

/*
 * Wait until devices cannot reach any more what was closed in @ioas before. Only spaces that defer that have something to do (weir/nested.h):
 * in others weir_map_close() has seen to it.
 *
 * Returns 0; or, as weir_map_close(), the failure to end some: devices may still reach their memory, and their addresses are not used again. Since
 * 0.1.
 */
WEIR_API int weir_ioas_sync(struct weir_ioas *ioas);

/* Where devices see the first byte. Since 0.1. */
WEIR_API uint64_t weir_map_iova(const struct weir_map *map);

/* Where this process sees the first byte. Since 0.1. */
WEIR_API void *weir_map_addr(const struct weir_map *map);

/* How many bytes. Since 0.1. */
WEIR_API uint64_t weir_map_len(const struct weir_map *map);

/*
 * Where devices see @len bytes of memory at @addr. For a space opened with WEIR_IOAS_LOOKUP.
 *
 * Prefer arithmetic on weir_map_iova() where it can be had: this is for addresses that come from elsewhere. It takes no lock and may
 * be called from any thread, while others map and unmap: a mapping is found from the return of the call that made it to the
 * begin of the call that ends it, and never after that has returned. Of memory that is mapped several times, a mapping that has @len bytes
 * from there on is found if there is one.
 *
 * Returns 0, the IOVA in @ret_iova and in @ret_left (may be NULL) how many bytes from there on the mapping has, at least
 * @len; or
 *   -ENOENT      @addr is not mapped
 *   -ERANGE      it is, but no mapping has @len bytes from there on; weir_error() says how many the longest has
 *   -EOPNOTSUPP  the space was opened without WEIR_IOAS_LOOKUP
 *
 * Its cost does not grow with the number of mappings, but for cache misses. It is compiled into the caller (weir/lookup.h); what is no
 * C or C++ calls weir_ioas_search_iova() instead, which does the same. Since 0.1.
 */
static inline int weir_ioas_iova(const struct weir_ioas *ioas, const void *addr, uint64_t len,
				 uint64_t *ret_iova, uint64_t *ret_left);

/*
 * The other way: which memory devices see @len bytes of at @iova. Otherwise as weir_ioas_iova(); its name in the library is
 * weir_ioas_search_memory(). Since 0.1.
 */
static inline int weir_ioas_memory(const struct weir_ioas *ioas, uint64_t iova, uint64_t len, void **ret_addr,
				   uint64_t *ret_left);

/*
 * Which IOVAs the attached devices can use, in ascending order: what the IOMMU translates, less the
 * reserved windows and less what is beyond an address width. Mappings do not shorten the list. Without a
 * device it is the range that choosing keeps to.
 *
 * On entry *@num is the room in @ranges (NULL and 0 to ask how many there are); *@num is set to the number
 * of ranges.
 *
 * Returns 0; or -ENOSPC when there are more ranges than room, with as many as fit filled in and *@num set.
 * Since 0.1.
 */
WEIR_API int weir_ioas_ranges(struct weir_ioas *ioas, struct weir_iova_range *ranges, size_t *num);

struct weir_ioas_info {
	uint64_t
		alignment; /* every IOVA and length is a multiple of this; with a device, the IOMMU's smallest page */
	uint64_t num_mappings; /* mappings in the table; a batch is as many as it has pieces */
	uint64_t mapped_bytes; /* the sum of their lengths */
	uint64_t lost_bytes;   /* IOVAs never to be used again, because the kernel failed to unmap them */
	uint64_t
		max_mappings; /* the kernel's limit; UINT64_MAX where there is none or no device is attached */
	uint32_t num_devices; /* devices attached */
	uint32_t
		address_bits; /* the narrowest of the space's and its devices' address widths; 64: none is narrow */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_ioas_info(struct weir_ioas *ioas, struct weir_ioas_info *ret_info, size_t size);

#ifdef __cplusplus
}
#endif

#include <weir/lookup.h>

#endif
