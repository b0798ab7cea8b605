/* SPDX-License-Identifier: MIT */
/*
 * Nested spaces: address spaces whose mappings cost no system call.
 *
 *     struct weir_ioas *ioas;
 *     weir_nested_space_open(host, NULL, &ioas);
 *     weir_device_open(ioas, "0000:01:00.0", NULL, &device);
 *
 * To drivers it is an address space like any other: mapped, unmapped, looked up in and closed with the calls of weir/ioas.h and weir/memory.h. Inside,
 * memory is mapped into a second stage once, by the kernel, and the rest is entries of a first stage that the library writes itself
 * (weir/stage1.h, weir/domain.h). What is a system call: memory that is new to the space, and, when a mapping ends, an invalidation; these can be
 * gathered.
 *
 * Memory is new to the space when it lies in nothing that the space has already: in a weir_memory, or a file that was mapped with
 * weir_ioas_map_file(), or memory that was given to it with weir_nested_space_keep(). So a driver that maps buffers out of a
 * weir_memory, or the caller's out of what was kept, makes no system calls. Other memory is mapped into the second stage and taken out of it with each
 * mapping, because nobody promises that the same addresses are the same memory still.
 *
 * Where the IOMMU or the kernel cannot nest, the same works through a shadow (weir_domain_open_shadow()): with a system call for each mapping, as in an
 * ordinary space, and the limits of that (mappings on the container: 65535; what is allowed changes by unmapping for a moment).
 *
 * A device's memory (weir/peer.h) that is mapped with WEIR_MAP_SINK in a space of VT-d's hardware changes over to the sink and back without a gap: at no moment
 * does it lead nowhere. Elsewhere there are two such moments, as in ordinary spaces.
 *
 * Threads: as for address spaces.
 */
#ifndef WEIR_NESTED_H
#define WEIR_NESTED_H

#include <weir/inval.h>
#include <weir/stage1.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_nested_mode {
	WEIR_NESTED_AUTO,     /* hardware if the first device's IOMMU can, else a shadow */
	WEIR_NESTED_HARDWARE, /* or no device */
	WEIR_NESTED_SHADOW,
};

struct weir_nested_space_opts {
	size_t size;   /* sizeof(struct weir_nested_space_opts); set by WEIR_OPTS() */
	uint32_t mode; /* enum weir_nested_mode */
	uint32_t
		format; /* enum weir_stage1_format; 0: what the first device's IOMMU takes; for a shadow WEIR_STAGE1_X86_4 */
	uint32_t ioas_flags;   /* WEIR_IOAS_LOOKUP */
	uint32_t policy;       /* enum weir_inval_policy, when an invalidation fails */
	uint32_t address_bits; /* as for weir_ioas_open() */
	uint32_t
		largest_page; /* of the first stage, in bits: 12, 21 or 30; 0: what the first device's IOMMU has; see below */
	uint64_t defer;       /* end mappings when so many were closed; 0 and 1: each by itself */
	uint64_t defer_bytes; /* or so many bytes; 0: however many. With defer 0, this alone decides */
	struct weir_faultq
		*faultq; /* where its devices' page requests go; NULL: nowhere. With WEIR_NESTED_HARDWARE */
};

/*
 * Make a nested space on @host. The first device that is opened into it decides by opts.mode between hardware
 * and a shadow, and those that follow must be able to do the same.
 *
 * With opts.defer, closing a mapping returns at once, and devices may go on using it until so many were closed or weir_ioas_sync()
 * was called: the memory is the caller's again after that. Mappings of files and windows are ended at once, and with
 * these whatever was waiting.
 *
 * Large pages of the first stage save tables and time. Whether VT-d has those of 1 GiB differs: if the first device's has them, and that of a later one has not,
 * the later one is refused (-EOPNOTSUPP), unless opts.largest_page is 21.
 *
 * weir_device_open() says, beside its own errors, -EOPNOTSUPP with WEIR_NESTED_HARDWARE where it cannot be had, or for a device that cannot request pages where
 * there is a queue for them, and -EINVAL if memory
 * that devices may only read is mapped, and the hardware's second stage cannot hold such: VT-d's. Plain memory that is writable is put there writable, and kept from
 * being written by the first stage; a file that is not open for writing, or sealed, is refused there (-EACCES from weir_ioas_map_file()).
 *
 * Returns 0 and the space in @ret_ioas, which the caller closes with weir_ioas_close(); or
 *   -EINVAL unknown mode, format, flag, policy or size of pages; a queue without WEIR_NESTED_HARDWARE; defer above 2^20
 *   -EXDEV  a queue of another host
 *   -E2BIG, -ENOMEM, and those of weir_ioas_open()
 * Since 0.1.
 */
WEIR_API int weir_nested_space_open(struct weir_host *host, const struct weir_nested_space_opts *opts,
				    struct weir_ioas **ret_ioas);

/*
 * Put @len bytes of memory at @addr into the second stage, to be mapped without system calls from now on. The caller promises that the same addresses are the
 * same memory (no munmap, no new mmap there, no change of what they allow) until weir_nested_space_unkeep().
 *
 * Returns 0; or, with nothing changed, -EEXIST, it is kept already; -EINVAL, @ioas is no nested space; and those of weir_ioas_map(). Since 0.1.
 */
WEIR_API int weir_nested_space_keep(struct weir_ioas *ioas, void *addr, size_t len);

/*
 * Take back that promise: the memory leaves the second stage when the last mapping in it has ended, and devices have forgotten it; of one that was closed and is
 * deferred (opts.defer), weir_ioas_sync() sees to that. @addr: as it was given.
 *
 * Returns 0; or -ENOENT; -EINVAL, @ioas is no nested space. Since 0.1.
 */
WEIR_API int weir_nested_space_unkeep(struct weir_ioas *ioas, void *addr);

struct weir_nested_space_info {
	uint32_t mode;        /* enum weir_nested_mode; AUTO: no device has decided yet */
	uint32_t format;      /* enum weir_stage1_format; 0: likewise */
	uint64_t num_pieces;  /* pieces of memory in the second stage */
	uint64_t piece_bytes; /* the sum of their lengths */
	uint64_t table_pages; /* of 4096 bytes, that the first stage takes */
	uint64_t num_syncs;   /* how often invalidations were run */
	uint64_t
		num_lost; /* pieces that the kernel failed to take out of the second stage: no mapping leads there; and pages of mappings
			   * that led to none when they ended, the tables having been written by others (a predecessor) */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0; or -EINVAL, @ioas is no nested space. Since 0.1. */
WEIR_API int weir_nested_space_info(struct weir_ioas *ioas, struct weir_nested_space_info *ret_info,
				    size_t size);

#ifdef __cplusplus
}
#endif

#endif
