/* SPDX-License-Identifier: MIT */
/*
 * Mapping on demand: a handler of page requests (weir/faultq.h) that maps what a device asks for.
 *
 *     weir_demand_open(ioas, NULL, &demand);
 *     weir_demand_add_file(demand, iova, len, fd, 0, WEIR_MAP_READ);
 *     ...
 *     weir_faultq_run(queue, weir_demand_handle, demand);
 *
 * A *rule* says what is behind a range of IOVAs: a file in memory, or memory of this process, as of a weir_memory. Nothing is mapped, and pinned, before a device asks;
 * then a window around what it asked for is (read-ahead), into the address space that the device is in: an ordinary one, whose device is attached
 * to a paging domain, or a nested one. It stays until the demand is closed: weir_ioas_unmap() does not end it (-EBUSY).
 *
 * A request that lies outside every rule, wants more than its rule allows, or is of a device in another space or with another PASID, is refused.
 *
 * Threads: any, and several may handle requests at a time; weir_demand_close() by one, once, when no thread handles requests any more.
 */
#ifndef WEIR_DEMAND_H
#define WEIR_DEMAND_H

#include <weir/faultq.h>
#include <weir/ioas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_demand;

struct weir_demand_opts {
	size_t size;       /* sizeof(struct weir_demand_opts); set by WEIR_OPTS() */
	uint32_t pasid;    /* of the requests that it serves; WEIR_NO_PASID: those without */
	uint32_t reserved; /* 0 */
	uint64_t ahead; /* bytes that are mapped at a time, a power of two, from 4096 to 1 GiB; 0: 64 KiB */
};

/*
 * Make one for @ioas, which outlives it, without rules.
 *
 * Returns 0 and in @ret_demand what the caller closes with weir_demand_close(); or -EINVAL, ahead or reserved; -E2BIG, -ENOMEM. Since 0.1.
 */
WEIR_API int weir_demand_open(struct weir_ioas *ioas, const struct weir_demand_opts *opts,
			      struct weir_demand **ret_demand);

/*
 * Unmap what was mapped, and close it. Of a host that was handed over, nothing is unmapped. NULL is allowed. Returns 0 or the first error of weir_map_close(). Since 0.1.
 */
WEIR_API int weir_demand_close(struct weir_demand *demand);

/*
 * Add a rule: behind @len bytes from @iova on is a file (memfd, tmpfs, hugetlbfs), from @offset on; or memory at @addr, which stays there until the demand is
 * closed. All are multiples of 4096. @flags: WEIR_MAP_READ, WEIR_MAP_WRITE; 0: both. The descriptor stays the caller's, and is
 * kept open until the demand is closed.
 *
 * The IOVAs are taken when a device asks, not before: choose some that nobody else maps at (WEIR_MAP_FIXED).
 *
 * Returns 0; or, with nothing changed,
 *   -EINVAL  not aligned, zero length, beyond 2^64, or unknown flags
 *   -EEXIST  part of the range is another rule's
 *   -ENOMEM, -EMFILE, -EBADF
 * Whether the file can be mapped like that shows when it is. Since 0.1.
 */
WEIR_API int weir_demand_add_file(struct weir_demand *demand, uint64_t iova, uint64_t len, int fd,
				  uint64_t offset, uint32_t flags);
WEIR_API int weir_demand_add_memory(struct weir_demand *demand, uint64_t iova, uint64_t len, void *addr,
				    uint32_t flags);

/*
 * The handler (weir_fault_handler), @ctx the demand: map what the group asks for. WEIR_FAULT_SUCCESS, if all of its pages are there; else WEIR_FAULT_INVALID, and weir_error()
 * says why, on this thread. What was mapped already is not looked at again; nor is what a rule would map, and a predecessor of this process has
 * (weir/handover.h), whose mappings are the program's to close. Where anything else is mapped, -EEXIST is the reason. Since 0.1.
 */
WEIR_API int weir_demand_handle(void *ctx, const struct weir_fault *fault);

struct weir_demand_info {
	uint64_t num_rules;
	uint64_t num_maps;     /* windows that are mapped */
	uint64_t mapped_bytes; /* the sum of their lengths */
	uint64_t num_served;   /* groups: answered with success, */
	uint64_t num_refused;  /* and refused */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_demand_info(struct weir_demand *demand, struct weir_demand_info *ret_info, size_t size);

#ifdef __cplusplus
}
#endif

#endif
