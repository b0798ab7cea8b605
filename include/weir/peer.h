/* SPDX-License-Identifier: MIT */
/*
 * Peer windows: a device's memory (a piece of a BAR) that other devices reach by DMA, and that survives a reset.
 *
 *     struct weir_peer *peer;
 *     struct weir_map *map;
 *     weir_peer_open(bar, 0, 1 << 20, &peer);
 *     weir_peer_map(peer, other_devices_space, 0, 1 << 20, NULL, &map);
 *     tell_the_other_device(weir_map_iova(map));
 *
 * A device's memory goes away when the device is reset, falls asleep, loses memory decode, or is closed. Kernels then either take the
 * mappings away for good and tell nobody (iommufd), or leave them, and the other device goes on hitting what does not answer (VFIO
 * container). So weir withdraws a window before it does any of that:
 *
 *   1. those who watch the window are told (weir_peer_watch());
 *   2. its mappings are taken out of every address space. Their IOVAs stay taken, and lead to nothing (the IOMMU blocks the
 *      DMA), or with WEIR_MAP_SINK to scratch memory;
 *   3. the device is reset, or whatever is to happen to it;
 *   4. the window comes back, at the same IOVAs, under the next generation number, and those who watch are told; or it is
 *      lost, with the reason.
 *
 * What others do behind the library's back (another process, a raw ioctl) is noticed at the next call that meets a trace of it, and then the
 * same is done: the device's registers, its events, or the kernel's refusal to map the window (weir/away.h). A raw reset that is over
 * leaves none; on iommufd, mappings of the window lead to nothing after it. weir_device_resync() is the cure: it withdraws the
 * device's windows and restores them, so that their mappings work again, under the next generation.
 *
 * An ordinary weir_ioas_map() of addresses that weir_region_map() gave is the same as weir_peer_map().
 *
 * Threads: any. Callbacks run in the thread whose call takes the window away, or gives it back. That call is on its way through the
 * device's host, so a callback must not open, close, move or reset devices of that host, nor ask for what they are in (weir_device_ioas(),
 * weir_domain_info(), weir_nested_space_info(), weir_caps_check()); it may map, unmap, and look up. Where unmapping fails there, and a nested space would have
 * devices blocked for it, the next weir_ioas_sync() does that.
 */
#ifndef WEIR_PEER_H
#define WEIR_PEER_H

#include <weir/region.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_peer;

/*
 * Make a window of @len bytes from @offset on of a device's BAR.
 *
 * Returns 0 and the window in @ret_peer, which the caller closes with weir_peer_close() before the device; or
 *   -EINVAL      not whole pages, or beyond the region; the region is no BAR
 *   -EOPNOTSUPP  the BAR, or that piece of it, cannot be mapped (it is an I/O BAR or smaller than a page, or holds the interrupt table)
 *   -EAGAIN      the device's memory is away: it is disabled, asleep, or in reset
 *   -ENOMEM
 *
 * Kernel: mmap() of the device. Since 0.1.
 */
WEIR_API int weir_peer_open(struct weir_region *region, uint64_t offset, uint64_t len,
			    struct weir_peer **ret_peer);

/*
 * Close a window. NULL is allowed. Returns 0; or -EBUSY, with nothing changed, while it is mapped or watched.
 *
 * A device that is closed takes its windows with it: they are lost, and stay to be closed. Since 0.1.
 */
WEIR_API int weir_peer_close(struct weir_peer *peer);

/*
 * Let the devices of @ioas reach @len bytes of the window from @offset on. @ioas may belong to any host of this process.
 *
 * Devices reach the window by the way that the fabric has, which weir_reach_ask() (weir/reach.h) tells about.
 *
 * Returns 0 and a mapping like any other in @ret_map, which the caller closes with weir_map_close(); or
 *   -EINVAL      beyond the window, or not whole pages
 *   -EAGAIN      the window is away, which may have come out in this very call
 *   -ENODEV      it is lost
 *   -EOPNOTSUPP  this kernel does not map one device's memory for another; weir_error() says what it lacks
 * and as weir_ioas_map().
 *
 * Kernel: VFIO_DEVICE_FEATURE_DMA_BUF (Linux 6.19) and IOMMU_IOAS_MAP_FILE; on the VFIO container VFIO_IOMMU_MAP_DMA of its
 * address. Nothing is pinned, and nothing charged but a sink. Since 0.1.
 */
WEIR_API int weir_peer_map(struct weir_peer *peer, struct weir_ioas *ioas, uint64_t offset, uint64_t len,
			   const struct weir_map_opts *opts, struct weir_map **ret_map);

/*
 * Let the devices of @ioas reach @len bytes from @offset on of a dma-buf that somebody else exported.
 *
 * Who exports it can take it away, and the kernel tells nobody: such a mapping can go stale. The library keeps a descriptor of its own until the
 * mapping ends. weir_map_addr() gives addresses by which this process cannot reach what is in the buffer.
 *
 * Without a device in @ioas, what the kernel makes of the buffer shows only when one comes.
 *
 * Returns as weir_peer_map(), and
 *   -EBADF       no descriptor
 *   -EINVAL      no dma-buf, or shorter than @offset + @len
 *   -ENODEV      its exporter has taken it away
 *   -EOPNOTSUPP  the kernel does not take dma-bufs of this exporter; weir_error() says which it takes
 *
 * Kernel: IOMMU_IOAS_MAP_FILE, which the VFIO container does not have. Since 0.1.
 */
WEIR_API int weir_ioas_map_dmabuf(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
				  const struct weir_map_opts *opts, struct weir_map **ret_map);

enum weir_peer_state {
	WEIR_PEER_HERE,
	WEIR_PEER_AWAY,
	WEIR_PEER_LOST, /* for good: it can only be closed */
};

struct weir_peer_info {
	uint64_t len;
	uint64_t generation;   /* 1 at first; one more each time it has come back */
	uint64_t sunk;         /* how often it went away while something wrote to a sink */
	uint32_t state;        /* enum weir_peer_state */
	uint32_t num_mappings; /* of it, in all spaces; ordinary ones of its addresses included */
	char reason[160];      /* why it is away or lost; "" while it is here */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_peer_info(struct weir_peer *peer, struct weir_peer_info *ret_info, size_t size);

/*
 * A dma-buf of the window, for importers that are no address space of weir's (an RDMA device).
 *
 * The descriptor is the caller's to close (O_CLOEXEC). What it stands for does not answer while the window is away, and is dead for good
 * once the device is closed. Returns 0; -EAGAIN, the window is away; -ENODEV, lost; -EOPNOTSUPP, the kernel does not
 * export it (weir_error() says what it lacks); -EMFILE. Kernel: VFIO_DEVICE_FEATURE_DMA_BUF. Since 0.1.
 */
WEIR_API int weir_peer_dmabuf(struct weir_peer *peer, int *ret_fd);

enum weir_peer_event_kind {
	WEIR_PEER_WITHDRAWN, /* it is going away: stop the DMA that you can stop, now */
	WEIR_PEER_RESTORED,  /* it is back, with its content as the device left it */
	WEIR_PEER_IS_LOST,   /* it does not come back */
};

struct weir_peer_event {
	uint32_t kind;    /* enum weir_peer_event_kind */
	uint32_t written; /* RESTORED, IS_LOST: a device wrote to a sink of this window while it was away */
	uint64_t generation; /* WITHDRAWN: the one that ends; RESTORED: the one that begins */
	char reason[160];
};

struct weir_watch;

typedef void weir_peer_callback(void *ctx, const struct weir_peer_event *event);

struct weir_watch_opts {
	size_t size;                  /* sizeof(struct weir_watch_opts); set by WEIR_OPTS() */
	weir_peer_callback *callback; /* may be NULL */
	void *callback_ctx;
	uint64_t
		patience_ns; /* how long what takes the window away waits for weir_watch_ack() after WITHDRAWN; 0: not at all */
};

/*
 * Be told when a window goes away and comes back: by a callback, and by a descriptor that becomes readable.
 *
 * Returns 0 and the watch in @ret_watch, which the caller closes with weir_watch_close() before the window; or -ENODEV, the window is
 * lost; -EMFILE, -ENOMEM. Since 0.1.
 */
WEIR_API int weir_peer_watch(struct weir_peer *peer, const struct weir_watch_opts *opts,
			     struct weir_watch **ret_watch);

/* Stop watching. NULL is allowed. No callback runs when this has returned. Returns 0. Since 0.1. */
WEIR_API int weir_watch_close(struct weir_watch *watch);

/* A descriptor to poll: readable while there are events. It stays the watch's. Since 0.1. */
WEIR_API int weir_watch_fd(const struct weir_watch *watch);

/*
 * The oldest event not taken yet. Events that nobody takes are kept as long as there are few; a watch that lets sixteen pile up is
 * told of the latest ones. Returns 0, or -EAGAIN when there is none. Since 0.1.
 */
WEIR_API int weir_watch_next(struct weir_watch *watch, struct weir_peer_event *ret_event, size_t size);

/*
 * "My DMA to the window has stopped": whoever takes it away need not wait any longer. For a watch with patience_ns; a callback has
 * acknowledged when it returns. Returns 0. Since 0.1.
 */
WEIR_API int weir_watch_ack(struct weir_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
