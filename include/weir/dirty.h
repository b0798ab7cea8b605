/* SPDX-License-Identifier: MIT */
/*
 * Dirty tracking: which memory devices have written.
 *
 *     weir_ioas_open(host, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_DIRTY), &ioas);
 *     ...
 *     weir_dirty_open(ioas, NULL, &dirty);
 *     weir_dirty_scan(dirty, 0, note, context);      what was written since the last time, range by range
 *     weir_dirty_close(dirty);
 *
 * Who knows what was written is, from exact to coarse, the IOMMU (iommufd, where its page tables have dirty bits), the devices themselves (those that log
 * their DMA), or nobody: then everything that devices may write counts as written (the VFIO container). WEIR_CAP_DIRTY and WEIR_CAP_DIRTY_PAGES say which
 * before, weir_dirty_info() after.
 *
 * A scan leaves out nothing that was written. What cannot be known is told as written, with the reason: a mapping that devices could write and that was
 * unmapped since the last scan, whole; a range of which the kernel would not tell; all of the space when a page table went with its last device. The kernel's own calls say
 * "success" for ranges with holes and for memory that they cannot write, and have forgotten the state then; the library asks only for what its table says is
 * mapped, into memory of its own that it has touched before.
 *
 * What this process writes is not told.
 *
 * Threads: as for address spaces. One scan at a time; mapping and unmapping wait for a part of it at most.
 */
#ifndef WEIR_DIRTY_H
#define WEIR_DIRTY_H

#include <weir/ioas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_dirty;

/* Who knows. */
enum weir_dirty_source {
	WEIR_DIRTY_AUTO,    /* the first of these that can */
	WEIR_DIRTY_IOMMU,   /* dirty bits of page tables (iommufd) */
	WEIR_DIRTY_DEVICES, /* every device of the space logs what it writes */
	WEIR_DIRTY_PINNED, /* nobody: what is mapped for writing counts as written (the VFIO container, v2) */
};

struct weir_dirty_opts {
	size_t size;       /* sizeof(struct weir_dirty_opts); set by WEIR_OPTS() */
	uint32_t source;   /* enum weir_dirty_source */
	uint32_t reserved; /* 0 */
};

/*
 * Begin to track what devices write in @ioas, which was opened with WEIR_IOAS_DIRTY and has a device. What was written before is not told.
 *
 * While it is open: devices may come and go, but with WEIR_DIRTY_DEVICES none may come, and with WEIR_DIRTY_IOMMU none whose page table cannot track
 * (weir_device_open() says -EBUSY, -EOPNOTSUPP); no domain is opened over the space (weir/domain.h), because what goes through another page table
 * would be missed; and the space is not closed.
 *
 * Returns 0 and the tracking in @ret_dirty, which the caller closes with weir_dirty_close(); or, with nothing changed,
 *   -EINVAL     unknown source; or the space was opened without WEIR_IOAS_DIRTY
 *   -EOPNOTSUPP nobody can tell here, or not who was asked for; weir_error() says why; a nested space
 *   -ENODEV     no device is in the space: nobody writes
 *   -EBUSY      it is tracked already; or a domain is open over it
 *   -ENOMEM, -E2BIG, or the kernel's error
 *
 * Kernel: IOMMU_HWPT_SET_DIRTY_TRACKING; VFIO_DEVICE_FEATURE_DMA_LOGGING_START; VFIO_IOMMU_DIRTY_PAGES. Since 0.1.
 */
WEIR_API int weir_dirty_open(struct weir_ioas *ioas, const struct weir_dirty_opts *opts,
			     struct weir_dirty **ret_dirty);

/* Stop tracking. NULL is allowed. Runs to its end; returns 0 or the kernel's error. Since 0.1. */
WEIR_API int weir_dirty_close(struct weir_dirty *dirty);

/* Why a range is told. */
enum weir_dirty_why {
	WEIR_DIRTY_WRITTEN, /* devices wrote there, page by page */
	WEIR_DIRTY_GONE, /* it was unmapped since the last scan, and may have been written before; what lies between such ranges may be told with them */
	WEIR_DIRTY_UNKNOWN, /* it is mapped for writing, and it cannot be known more exactly */
};

struct weir_dirty_range {
	uint64_t iova;
	uint64_t len;
	uint32_t why;      /* enum weir_dirty_why */
	uint32_t reserved; /* 0 */
};

#define WEIR_DIRTY_KEEP                                                                                      \
	(1u                                                                                                  \
	 << 0) /* what is told now is told by the next scan again, of devices that log as WEIR_DIRTY_UNKNOWN */

/*
 * Tell @tell of every range that devices wrote since the last scan (or since tracking began). First what is gone; then what is mapped, with ascending IOVAs. No
 * range is empty; those that touch may be told as one. @tell may map, unmap and do whatever else but scan or close @dirty; it returns 0 to go on.
 * What it was not told because it stopped is told by the next scan.
 *
 * Returns 0; or what @tell returned, if that was not 0; or
 *   -EINVAL unknown flag
 *   -EBUSY  a scan is under way
 *   -EIO    the kernel would not tell of some ranges: these were told as WEIR_DIRTY_UNKNOWN, and everything else as it should be
 *   -ENOMEM the container was to tell of a mapping for which there is no memory for a bitmap; nothing is lost, but for what was told already
 *
 * Kernel: IOMMU_HWPT_GET_DIRTY_BITMAP, VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_IOMMU_DIRTY_PAGES: a call for each stretch of mappings that touch
 * each other, or for each GiB. Since 0.1.
 */
WEIR_API int weir_dirty_scan(struct weir_dirty *dirty, uint32_t flags,
			     int (*tell)(void *context, const struct weir_dirty_range *range), void *context);

/*
 * The caller's word that devices do not write any more (@quiet 1), or may again (0; so it begins). While they are quiet, what is unmapped is looked at first, and only the
 * pages that were written are told of it. Returns 0. Since 0.1.
 */
WEIR_API int weir_dirty_set_quiet(struct weir_dirty *dirty, uint32_t quiet);

struct weir_dirty_info {
	uint32_t source;    /* enum weir_dirty_source, never AUTO */
	uint32_t quiet;     /* as weir_dirty_set_quiet() left it */
	uint64_t page_size; /* what is told apart; 0: nothing (WEIR_DIRTY_PINNED) */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_dirty_info(const struct weir_dirty *dirty, struct weir_dirty_info *ret_info, size_t size);

#ifdef __cplusplus
}
#endif

#endif
