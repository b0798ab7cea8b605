/* SPDX-License-Identifier: MIT */
/*
 * libweir-rdma: weir's memory for RDMA devices. DMA memory (memory.h) and windows of devices (peer.h) as memory regions of a protection
 * domain, which other machines then read and write with RDMA.
 *
 *     struct weir_rdma *rdma;
 *     struct weir_rdma_memory *shown;
 *     struct weir_rdma_range range;
 *     weir_rdma_open(pd, NULL, &rdma);
 *     weir_rdma_memory_open(rdma, memory, IBV_ACCESS_REMOTE_READ, &shown);
 *     weir_rdma_memory_range(shown, &buffer, 0, buffer.len, &range);
 *     tell_the_other_side(range.addr, range.rkey);
 *
 * An add-on library (-lweir-rdma, weir-rdma.pc) on libibverbs. Protection domain, queue pairs and connections are the program's own.
 *
 * A window can go away, and RDMA devices differ in what they make of that:
 *
 *   WEIR_RDMA_RECOVERS  (mlx5) the device is told, answers what still arrives with an error, and finds the window again by itself. Keys stay
 *   WEIR_RDMA_ANEW      (irdma, and whatever else takes a window) a region whose memory has gone is dead: it is deregistered when the
 *                       window goes, and the window registered anew when it is back. The keys are new ones: tell the other side
 *   refused             (soft-RoCE, siw, efa, ...) the device takes no window. weir_rdma_window_open() finds out by trying, and says why
 *
 * Threads: any. Callbacks run where those of weir_peer_watch() do, and may do what those may: not close the window.
 */
#ifndef WEIR_RDMA_H
#define WEIR_RDMA_H

#include <infiniband/verbs.h>

#include <weir/memory.h>
#include <weir/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The verbs that the library calls, with the meaning, results and errno of libibverbs. A test can put an RDMA device of its own behind
 * it. It stays the caller's, and outlives what was opened with it.
 */
struct weir_verbs {
	struct ibv_mr *(*reg_mr)(struct ibv_pd *pd, void *addr, size_t length, int access);
	struct ibv_mr *(*reg_dmabuf_mr)(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
					int fd, int access);
	int (*dereg_mr)(struct ibv_mr *mr); /* 0 or a positive errno */
	/* "mlx5_0", and the kernel's driver behind it ("mlx5_core"), as far as there are any; "" if not. Ends with a 0 in any case. */
	void (*query)(struct ibv_pd *pd, char *ret_device, size_t device_size, char *ret_driver,
		      size_t driver_size);
};

/* libibverbs itself. Since 0.1. */
WEIR_API const struct weir_verbs *weir_verbs_real(void);

struct weir_rdma;

struct weir_rdma_opts {
	size_t size;                    /* sizeof(struct weir_rdma_opts); set by WEIR_OPTS() */
	const struct weir_verbs *verbs; /* NULL: weir_verbs_real() */
};

/*
 * Use protection domain @pd, which stays the caller's. Returns 0 and a handle in @ret_rdma, which the caller closes with
 * weir_rdma_close() before the protection domain; or -E2BIG, -ENOMEM. Since 0.1.
 */
WEIR_API int weir_rdma_open(struct ibv_pd *pd, const struct weir_rdma_opts *opts,
			    struct weir_rdma **ret_rdma);

/* NULL is allowed. Returns 0; or -EBUSY, with nothing changed, while something is registered through it. Since 0.1. */
WEIR_API int weir_rdma_close(struct weir_rdma *rdma);

/* What an RDMA device needs to know of a piece of memory, here (lkey) or on the other side (rkey). */
struct weir_rdma_range {
	uint64_t addr;
	uint64_t len;
	uint32_t lkey, rkey;
};

/* ---- Host memory ---- */

struct weir_rdma_memory;

/*
 * Register all of @memory for the RDMA device, and in @access (IBV_ACCESS_...) what it, and the other side, may do to it; 0: the device reads
 * it. Each chunk is one memory region, whose addresses are those of this process.
 *
 * All RDMA devices take it, soft-RoCE included: it is ordinary memory to them, and by address no worse than by dma-buf. The pages are
 * pinned and charged (RLIMIT_MEMLOCK) once more. What @memory grows by is registered when it is first asked for.
 *
 * Returns 0 and a handle in @ret_registered, which the caller closes before @memory and @rdma; or, with nothing left registered,
 *   -EINVAL  an access that cannot be given (IBV_ACCESS_LOCAL_WRITE, _REMOTE_READ, _REMOTE_WRITE, _REMOTE_ATOMIC and _RELAXED_ORDERING can;
 *            remote writing and atomics need _LOCAL_WRITE)
 *   -ENOMEM  no memory, or over RLIMIT_MEMLOCK
 *   and the errors of ibv_reg_mr(), named by weir_error()
 * Since 0.1.
 */
WEIR_API int weir_rdma_memory_open(struct weir_rdma *rdma, struct weir_memory *memory, int access,
				   struct weir_rdma_memory **ret_registered);

/*
 * Deregister it. NULL is allowed. Runs to its end. Returns 0, or the error of ibv_dereg_mr(): then the other side may reach the memory
 * until the RDMA device is closed. Since 0.1.
 */
WEIR_API int weir_rdma_memory_close(struct weir_rdma_memory *registered);

/*
 * @len bytes from @offset on of a buffer of the memory, for RDMA. Arithmetic, but for a buffer in a chunk that is new. The range is good until
 * the buffer is freed: after that the other side can still reach what was a buffer, and must no longer mean to.
 *
 * Returns 0; -ERANGE, the buffer has not that many; -ENOENT, it is in no chunk of this memory; or as weir_rdma_memory_open() for a new
 * chunk. Since 0.1.
 */
WEIR_API int weir_rdma_memory_range(struct weir_rdma_memory *registered, const struct weir_buffer *buffer,
				    uint64_t offset, uint64_t len, struct weir_rdma_range *ret_range);

/* ---- Windows of devices ---- */

struct weir_rdma_window;

enum weir_rdma_way {
	WEIR_RDMA_RECOVERS,
	WEIR_RDMA_ANEW,
};

enum weir_rdma_event_kind {
	WEIR_RDMA_WITHDRAWN, /* the window is going away, and the keys with it: stop what uses them, now */
	WEIR_RDMA_RESTORED,  /* it is back: these are the keys */
	WEIR_RDMA_LOST,      /* for this registration it does not come back */
};

struct weir_rdma_event {
	uint32_t kind;       /* enum weir_rdma_event_kind */
	uint32_t new_keys;   /* RESTORED: they are not those of before */
	uint32_t lkey, rkey; /* RESTORED */
	uint64_t generation; /* the window's: see weir/peer.h */
	char reason[160];    /* WITHDRAWN, LOST */
};

typedef void weir_rdma_callback(void *ctx, const struct weir_rdma_event *event);

struct weir_rdma_window_opts {
	size_t size;     /* sizeof(struct weir_rdma_window_opts); set by WEIR_OPTS() */
	uint64_t offset; /* in the peer window */
	uint64_t len;    /* 0: to its end */
	uint64_t
		addr; /* what RDMA calls the first byte; modulo the page size as @offset is. 0: @offset modulo the page size */
	int access; /* IBV_ACCESS_..., as for weir_rdma_memory_open() */
	uint32_t reserved;
	weir_rdma_callback
		*callback; /* may be NULL. It may be called before weir_rdma_window_open() returns */
	void *callback_ctx;
};

/*
 * Register a window, or a part of it, for the RDMA device; @opts may be NULL.
 *
 * Whether the device takes it is found out by trying. RDMA devices that can let go of memory do (mlx5 with on-demand paging, irdma). It
 * goes straight to the other device, over the fabric: weir_reach_ask() tells whether that leads there.
 *
 * Returns 0 and a handle in @ret_window, which the caller closes before @peer and @rdma; or, with nothing left registered,
 *   -EINVAL       beyond the window; addr and offset are not equal modulo the page size; an access that cannot be given
 *   -EOPNOTSUPP   the RDMA device takes no such memory, or the kernel does not export it; weir_error() says which and why
 *   -EHOSTUNREACH the kernel sees no way from the RDMA device to the window
 *   -EAGAIN       the window is away
 *   -ENODEV       it is lost
 *   -ENOMEM, -EMFILE, -E2BIG, and other errors of ibv_reg_dmabuf_mr()
 *
 * Kernel: VFIO_DEVICE_FEATURE_DMA_BUF, UVERBS_METHOD_REG_DMABUF_MR. Since 0.1.
 */
WEIR_API int weir_rdma_window_open(struct weir_rdma *rdma, struct weir_peer *peer,
				   const struct weir_rdma_window_opts *opts,
				   struct weir_rdma_window **ret_window);

/*
 * Deregister it. NULL is allowed. No callback runs when this has returned. Runs to its end; returns as weir_rdma_memory_close().
 * Since 0.1.
 */
WEIR_API int weir_rdma_window_close(struct weir_rdma_window *window);

/*
 * @len bytes from @offset on of what was registered, for RDMA: good until the window is withdrawn.
 *
 * Returns 0; -ERANGE, beyond it; -EAGAIN, it is away; -ENODEV, it is lost, for this registration at least: a new one may be tried.
 * Since 0.1.
 */
WEIR_API int weir_rdma_window_range(struct weir_rdma_window *window, uint64_t offset, uint64_t len,
				    struct weir_rdma_range *ret_range);

struct weir_rdma_window_info {
	uint64_t addr, len;
	uint64_t generation;    /* of the window, when it was last registered or restored */
	uint64_t registrations; /* how often it was registered, successfully */
	uint32_t state;         /* enum weir_peer_state */
	uint32_t way;           /* enum weir_rdma_way */
	uint32_t lkey, rkey;    /* while it is here; else 0 */
	char device[64];        /* "mlx5_0" */
	char driver[32];        /* "mlx5_core" */
	char reason[160];       /* why it is away or lost; "" while it is here */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_rdma_window_info(struct weir_rdma_window *window, struct weir_rdma_window_info *ret_info,
				   size_t size);

#ifdef __cplusplus
}
#endif

#endif
