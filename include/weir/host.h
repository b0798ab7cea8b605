/* SPDX-License-Identifier: MIT */
/*
 * A host: one way into the kernel for everything that follows.
 *
 *     struct weir_host *host;
 *     if (weir_host_open(NULL, &host) < 0)
 *             errx(1, "%s", weir_error());
 *
 * A host stands for one kernel interface: iommufd with VFIO character devices, or the legacy VFIO
 * container. Programs do not care which: the rest of the API means the same on both, and what one of them
 * cannot do says -EOPNOTSUPP (weir/caps.h asks beforehand).
 *
 * Threads: any number of hosts in a process; a host may be used from any thread.
 */
#ifndef WEIR_HOST_H
#define WEIR_HOST_H

#include <weir/common.h>
#include <weir/sys.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_host;

enum weir_backend {
	/*
	 * iommufd if the machine has /dev/iommu and VFIO character devices, else the VFIO container. The
	 * environment variable WEIR_BACKEND (iommufd, type1, compat) decides first.
	 */
	WEIR_BACKEND_AUTO,
	/* /dev/iommu and /dev/vfio/devices/vfioN (Linux 6.6). */
	WEIR_BACKEND_IOMMUFD,
	/* /dev/vfio/vfio and /dev/vfio/GROUP; type1 v2, or v1 where the kernel has no v2. */
	WEIR_BACKEND_TYPE1,
	/*
	 * The container's ioctls answered by /dev/iommu, with /dev/vfio/GROUP (Linux 6.2). Mostly of use to tests.
	 */
	WEIR_BACKEND_COMPAT,
};

/* A device node that somebody with more rights has opened for this program. */
struct weir_node {
	const char *path; /* "/dev/iommu", "/dev/vfio/vfio", "/dev/vfio/12", "/dev/vfio/devices/vfio3" */
	int fd;
};

#define WEIR_HOST_JOURNAL (1u << 0) /* keep a journal, so that another process can follow (weir/handover.h) */

struct weir_host_opts {
	size_t size;        /* sizeof(struct weir_host_opts); set by WEIR_OPTS() */
	uint32_t backend;   /* enum weir_backend */
	uint32_t num_nodes; /* length of nodes */
	const struct weir_node
		*nodes; /* with num_nodes > 0: only these nodes are used, none is opened by path */
	const struct weir_sys *sys; /* whose system calls; NULL: the real ones */
	uint32_t flags;             /* WEIR_HOST_... */
	uint32_t
		journal_maps; /* with WEIR_HOST_JOURNAL: how many mappings at a time, and files of them; 0: 65536 */
	uint64_t journal_blocks; /* and how many bytes of blocks (weir_block_open()); 0: 1 MiB */
};

/*
 * Open a host.
 *
 * With nodes, the host takes over their descriptors: on success they belong to it (each is used once, by
 * the first attempt to open what needs that path, so a container path is given as often as there will be address
 * spaces with devices) and are closed with it; on failure they stay the caller's. /dev/iommu among the
 * nodes makes AUTO mean iommufd if there is a character device too, compat if there are only groups.
 *
 * Returns 0 and the host in @ret_host, which the caller closes with weir_host_close(); or
 *   -EINVAL      unknown backend, here or in WEIR_BACKEND; unknown flags; a journal for more than 2^26 mappings or 4 GiB of blocks
 *   -E2BIG       options newer than this library
 *   -ENOENT      the machine has no such interface: neither /dev/iommu nor /dev/vfio/vfio, or not the one
 *                asked for
 *   -EACCES      the interface's node may not be opened by this user; weir_error() names it
 *   -EOPNOTSUPP  the kernel's VFIO speaks another API version, or has no type1 IOMMU
 *   -ENOMEM, -EMFILE
 *
 * Kernel: opens /dev/iommu (iommufd) or /dev/vfio/vfio (VFIO_GET_API_VERSION, VFIO_CHECK_EXTENSION). Since
 * 0.1.
 */
WEIR_API int weir_host_open(const struct weir_host_opts *opts, struct weir_host **ret_host);

/*
 * Close a host. NULL is allowed.
 *
 * Returns 0; or -EBUSY, with nothing changed, while address spaces of it are open. Any other error: closed, but the kernel did not unmap its journal. Since 0.1.
 */
WEIR_API int weir_host_close(struct weir_host *host);

/*
 * Which interface it is: WEIR_BACKEND_IOMMUFD, _TYPE1 or _COMPAT. For messages; code asks weir/caps.h. Since 0.1.
 */
WEIR_API enum weir_backend weir_host_backend(const struct weir_host *host);

/* "iommufd", "type1" or "compat". Static text. Since 0.1. */
WEIR_API const char *weir_backend_name(enum weir_backend backend);

#ifdef __cplusplus
}
#endif

#endif
