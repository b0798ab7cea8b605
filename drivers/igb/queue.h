/* SPDX-License-Identifier: MIT */
/*
 * Pools and queues at work: memory, rings, and a doorbell each. Internal.
 *
 * They are driven on nothing but memory, so that tests and benchmarks run them against plain memory. The controller learns of them in
 * port.c, not from here.
 */
#ifndef IGB_QUEUE_H
#define IGB_QUEUE_H

#include <endian.h>
#include <stdint.h>

#include <weir/guard.h>
#include <weir/irq.h>
#include <weir/region.h>

#include "common/io.h"
#include "igb/error.h"
#include "igb/igb.h"
#include "igb/spec.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A doorbell register: a store where the BAR is mapped, else a call. */
struct igb_doorbell {
	volatile uint32_t *addr; /* NULL: not mapped */
	struct weir_region *region;
	uint64_t offset;
};

/* A stack of buffers. The one given back last is in the cache, and is taken first. */
struct igb_pool {
	struct igb_pool_place place; /* first: the public header looks at it */
	uint64_t inverse;            /* of the lines from one buffer to the next, modulo 2^64 */
	uint64_t *free; /* room for num; the free ones are the last num_free, the next to be taken first */
	uint32_t num_free;
	uint32_t num;
	uint32_t users;             /* queues */
	struct igb_tx *first;       /* transmit queues that give to it */
	struct weir_memory *memory; /* NULL: somebody else's */
	struct weir_buffer buffer;
};

#define IGB_POOL_LINE 64u

/*
 * What both kinds of queue have. Positions count on for ever; their low bits are the index.
 *
 * A transmit queue's [clean, tail) are the controller's. In a receive queue every slot has a buffer always: the controller has all of them but
 * the one before tail, so that a full ring does not look like an empty one.
 */
struct igb_queue {
	uint64_t (*ring)[2]; /* descriptors */
	uint64_t *slots;     /* the buffer of each */
	uint32_t mask;       /* depth - 1 */
	uint32_t tail;       /* next to be filled, or to be looked at */
	uint32_t clean;      /* next to come back (transmit) */
	uint32_t rung;       /* as the doorbell was rung last */
	uint32_t stop;       /* a run ends here: see rx.c and tx.c; tail when the queue has failed */
	int failed;          /* 0, or the error that ended its use */
	unsigned int busy;   /* a thread is in it (IGB_CHECKS) */
	struct igb_pool *pool;
	struct igb_doorbell doorbell;

	/* Set-up. */
	struct igb_port *port; /* NULL in tests on plain memory */
	uint32_t index;
	struct weir_buffer memory; /* of the ring */
};

/*
 * Reports are every 32 descriptors, and at the end of a burst if none is awaited: then the controller has gone idle, or is about to. So
 * there is room for all that can be awaited.
 */
#define IGB_REPORTS (2 * IGB_MAX_DEPTH / 32)

struct igb_rx {
	struct igb_queue q;
	uint64_t bad_word; /* with -EPROTO: what broke the rules */
};

struct igb_tx {
	struct igb_queue q;
	const uint64_t *watched; /* second half of the descriptor whose report is awaited first; or of none */
	uint64_t
		twice; /* a length times this is that of the piece and of the packet, where descriptors have them */
	uint32_t max_len;                   /* of a packet */
	uint32_t max_simple;                /* of one in one buffer */
	uint32_t reported;                  /* position after the last descriptor that will be reported */
	uint32_t holes;                     /* slots on their way that have no buffer */
	uint32_t first_report, next_report; /* those awaited, in reports */
	uint32_t reports[IGB_REPORTS];      /* positions after descriptors that will be reported */
	struct igb_tx *next;                /* of the pool */
};

#define IGB_REPORT  32u        /* descriptors from one report to the next, at most */
#define IGB_NO_SLOT UINT64_MAX /* in slots: no buffer */

/* Make a queue on @ring, zeroed memory for @depth descriptors. Returns 0, -EINVAL, -ENOBUFS or -ENOMEM. */
int igb_rx_create(uint64_t (*ring)[2], uint32_t depth, struct igb_pool *pool, struct igb_doorbell doorbell,
		  struct igb_rx **ret_rx);
int igb_tx_create(uint64_t (*ring)[2], uint32_t depth, struct igb_pool *pool, struct igb_doorbell doorbell,
		  uint32_t max_len, struct igb_tx **ret_tx);

/* The controller has forgotten it: begin anew, with the same buffers; what was being sent goes to the pool. */
void igb_rx_restart(struct igb_rx *rx);
void igb_tx_restart(struct igb_tx *tx);

/* Forget it, with its buffers in the pool, without telling anybody. NULL is allowed. */
void igb_rx_destroy(struct igb_rx *rx);
void igb_tx_destroy(struct igb_tx *tx);

/* Is the next packet there? */
bool igb_rx_pending(const struct igb_rx *rx);

/* Give back what is reported to have been sent. */
void igb_tx_reclaim(struct igb_tx *tx);

/* Say why the queue can be used no more, and return the error. */
int igb_queue_explain(const struct igb_queue *q, const char *kind);

/* From now on it can only be closed, or its port be reset: no run goes on. Returns @error. */
static inline int igb_queue_fail(struct igb_queue *q, int error)
{
	q->failed = error;
	q->stop = q->tail;
	return error;
}

/* The doorbell is not mapped, or the store did not get there. Returns 0, or the error with which the queue has failed. */
int igb_queue_ring_otherwise(struct igb_queue *q, uint32_t value);

#ifdef __SANITIZE_THREAD__
void __tsan_release(void *addr);
#endif

/* Ring: the controller owns everything before @position. Returns 0, or the error with which the queue has failed. */
static inline int igb_queue_ring(struct igb_queue *q, uint32_t position)
{
	uint32_t value = position & q->mask;

	dma_wmb();
#ifdef __SANITIZE_THREAD__
	__tsan_release((void *)(uintptr_t)q->doorbell.addr); /* a guarded store is no atomic one */
#endif
	q->rung = position;
	/* A guarded store says that it could not be done (weir/guard.h). */
	if (likely(q->doorbell.addr) && likely(!weir_mmio_write32(q->doorbell.addr, value)))
		return 0;
	return igb_queue_ring_otherwise(q, value);
}

/* Checks of what the caller does that cost something: not in what users get, unless they ask for it. */
#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IGB_CHECKS
#endif

/* A thread comes into a queue: false if there is one already. */
static inline bool igb_queue_enter(struct igb_queue *q)
{
#ifdef IGB_CHECKS
	return __atomic_exchange_n(&q->busy, 1, __ATOMIC_ACQUIRE) == 0;
#else
	(void)q;
	return true;
#endif
}

static inline void igb_queue_leave(struct igb_queue *q)
{
#ifdef IGB_CHECKS
	__atomic_store_n(&q->busy, 0, __ATOMIC_RELEASE);
#else
	(void)q;
#endif
}

#endif
