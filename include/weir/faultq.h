/* SPDX-License-Identifier: MIT */
/*
 * Queues of I/O page requests: devices that touch what is not mapped, and wait.
 *
 *     weir_faultq_open(host, NULL, &queue);
 *     weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .faultq = queue), &domain);
 *     weir_domain_attach(domain, device, WEIR_NO_PASID);
 *     ...
 *     poll(weir_faultq_fd(queue), timeout weir_faultq_timeout(queue));
 *     while (weir_faultq_run(queue, handler, ctx) > 0)
 *             ;
 *
 * A device with the Page Request Interface (PRI) asks for pages that the IOMMU does not have for it, and waits until it is answered: that it may try again, or that it
 * is refused. It asks for several at a time, a *group*, which has one answer. Requests of devices that are attached to a domain which was opened with
 * a queue (weir_domain_opts.faultq, weir_nested_opts.faultq, weir_nested_space_opts.faultq) come to that queue; of others, the kernel refuses them.
 *
 * An answer goes by a *token*, a value that the library makes for each group and never makes again. The kernel knows groups by numbers that it uses again as soon
 * as one is answered, and a late answer would be taken for that of somebody else's request. Here it is refused: -ESTALE, and the kernel does
 * not hear of it, if the group was answered before, by whomever; if it was answered with failure because it was late, or because
 * its device was detached, moved, or closed; and if the queue was closed, whatever was opened since. So each group gets one answer.
 *
 * What is outstanding (read, and not answered) when a device leaves the queue, by being detached, attached to another domain, moved or closed, is settled by a rule, opts.leave:
 *
 *   WEIR_FAULTQ_FAIL    it is answered with failure, and the call returns at once: the default
 *   WEIR_FAULTQ_REFUSE  the call is refused with -EBUSY, with nothing changed
 *   WEIR_FAULTQ_WAIT    the call waits until what was outstanding when it began is answered, by other threads, opts.leave_ns at most; then as FAIL. Requests that
 *                       come meanwhile are not waited for, so a device that never stops asking cannot hold it up.
 *
 * Requests that nobody has read count for none of these: they are answered with failure by the kernel. A reset (weir_device_reset(), _hot_reset()) answers all that the device asked with
 * failure first, whatever the rule: it will not know of it afterwards.
 *
 * Threads: any of these from any thread, on one queue as well; weir_faultq_close() by one, once. No lock is held while a handler runs.
 *
 * Kernel: IOMMU_FAULT_QUEUE_ALLOC, since Linux 6.11; on VFIO containers there are none (-EOPNOTSUPP).
 */
#ifndef WEIR_FAULTQ_H
#define WEIR_FAULTQ_H

#include <weir/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_faultq;

enum weir_faultq_leave {
	WEIR_FAULTQ_FAIL,
	WEIR_FAULTQ_REFUSE,
	WEIR_FAULTQ_WAIT,
};

#define WEIR_FAULTQ_NEVER UINT64_MAX /* for answer_ns: nobody but the program answers */

struct weir_faultq_opts {
	size_t size;        /* sizeof(struct weir_faultq_opts); set by WEIR_OPTS() */
	uint32_t leave;     /* enum weir_faultq_leave */
	uint32_t reserved;  /* 0 */
	uint64_t answer_ns; /* from reading a group on: then it is answered with failure; 0: 10 s */
	uint64_t leave_ns;  /* with WEIR_FAULTQ_WAIT; 0: 1 s */
};

/*
 * Make a queue.
 *
 * Returns 0 and the queue in @ret_queue, which the caller closes with weir_faultq_close(), and which keeps @host open; or
 *   -EINVAL     unknown rule; leave_ns without WEIR_FAULTQ_WAIT
 *   -EOPNOTSUPP this kernel interface, or a kernel before 6.11, has none
 *   -ENOSPC     the host's journal (WEIR_HOST_JOURNAL) has room for no more; -EPIPE, its keeper has gone
 *   -EMFILE, -ENOMEM, -E2BIG
 * Kernel: IOMMU_FAULT_QUEUE_ALLOC. Since 0.1.
 */
WEIR_API int weir_faultq_open(struct weir_host *host, const struct weir_faultq_opts *opts,
			      struct weir_faultq **ret_queue);

/*
 * Close a queue; nobody uses it any more. NULL is allowed. Tokens that it gave are stale from then on.
 *
 * Returns 0; or -EBUSY, with nothing changed, while a domain or a nested space has it (weir_error() says how many, and how many requests are outstanding); or another
 * error, with the queue closed all the same. Since 0.1.
 */
WEIR_API int weir_faultq_close(struct weir_faultq *queue);

/*
 * A descriptor that polls readable (POLLIN; it is always writable) when there is something to read. The queue's own: not to be read, written or closed. After it has, read until
 * there is nothing left (weir_faultq_read() or _run() says 0), and then poll again. Since 0.1.
 */
WEIR_API int weir_faultq_fd(const struct weir_faultq *queue);

/*
 * How long poll() may sleep, in milliseconds, so that what nobody answers in time is answered with failure in time: 0, something is due, or can be read
 * though poll() does not say so (after a reset, or from the predecessor of a host that was handed over); -1, nothing is outstanding. The library has no thread: it looks at the time when the queue is read, or weir_faultq_expire() is called. Since 0.1.
 */
WEIR_API int weir_faultq_timeout(struct weir_faultq *queue);

/*
 * Answer with failure what is due. Returns how many groups that were; or the error of the kernel's, and the rest is due still. Since 0.1.
 */
WEIR_API int weir_faultq_expire(struct weir_faultq *queue);

#define WEIR_FAULT_READ  (1u << 0)
#define WEIR_FAULT_WRITE (1u << 1)
#define WEIR_FAULT_EXEC  (1u << 2)
#define WEIR_FAULT_PRIV  (1u << 3)

/* A page that a device asks for, and what it wants to do with it. */
struct weir_fault_page {
	uint64_t iova; /* as the device said it, by hardware's convention a multiple of 4096 */
	uint32_t perm; /* WEIR_FAULT_...; 0: it does not matter */
	uint32_t reserved;
};

/* Which group an answer is for: to be kept and passed on, by value. What is in it is the library's business. */
struct weir_fault_token {
	uint64_t serial;
	uint32_t queue, device, pasid, group;
};

/* A group of requests. */
struct weir_fault {
	struct weir_fault_token token;
	/* That asks, and the address space that it is in: both may be closed any time, as far as the library is concerned. */
	struct weir_device *device;
	struct weir_ioas *ioas;
	uint32_t pasid; /* WEIR_NO_PASID: without */
	uint32_t group; /* the device's number for it, which means nothing to others */
	uint32_t num_pages;
	uint32_t reserved;
	const struct weir_fault_page *pages; /* @num_pages */
};

/*
 * Take up to @room groups from the queue, those that came first, without waiting for any. First of all, what is due is answered (weir_faultq_expire()).
 *
 * What the kernel says that makes no sense (a group without an end, of no device that is attached, with flags that are unknown) is answered with failure, counted (num_malformed) and not
 * given out.
 *
 * Returns how many are in @ret_faults, each of which the caller frees with weir_fault_free(), answered or not; 0, there is none; or, with none taken,
 *   -ENOMEM, -ENOBUFS (a group of more than a million pages), or the kernel's
 *   -ESTALE, -EBUSY as weir_faultq_respond(), of a host that was handed over or is not finished
 * Since 0.1.
 */
WEIR_API int weir_faultq_read(struct weir_faultq *queue, struct weir_fault **ret_faults, size_t room);

/* Free what was read. The token stays what it is. NULL is allowed. Since 0.1. */
WEIR_API void weir_fault_free(struct weir_fault *fault);

enum weir_fault_code {
	WEIR_FAULT_SUCCESS, /* the device tries again */
	WEIR_FAULT_INVALID, /* it is refused */
	WEIR_FAULT_LATER,   /* of handlers alone: no answer yet */
};

/*
 * Answer a group: WEIR_FAULT_SUCCESS when all of its pages are there, or WEIR_FAULT_INVALID.
 *
 * Returns 0; or, with the kernel not asked,
 *   -ESTALE it was answered before, its device has left, it was due (answer_ns), or its queue was closed
 *   -EINVAL unknown code; or a token that this library never gave, or that was changed
 * or -ESTALE, too, when the kernel knows of no such group any more, or the host was handed over (weir/handover.h); -EBUSY, it was received, and that is not finished; or the
 * kernel's error, with the group outstanding still.
 *
 * Of many that answer the same group one has 0. Since 0.1.
 */
WEIR_API int weir_faultq_respond(struct weir_faultq *queue, const struct weir_fault_token *token,
				 uint32_t code);

/*
 * Do what a group asks for, and say how to answer it: enum weir_fault_code. @fault is freed when it returns: with WEIR_FAULT_LATER, keep the token. May
 * call anything; from several threads at a time, if they run the queue.
 */
typedef int weir_fault_handler(void *ctx, const struct weir_fault *fault);

/*
 * Read some groups (up to 16), let @handler decide on each, and answer. That an answer was stale by then is no error.
 *
 * Returns how many groups were read; 0, there was none; or an error of weir_faultq_read(), or the first of weir_faultq_respond(). Since 0.1.
 */
WEIR_API int weir_faultq_run(struct weir_faultq *queue, weir_fault_handler *handler, void *ctx);

/* A handler that refuses everything; @ctx is not used. Since 0.1. */
WEIR_API int weir_fault_refuse(void *ctx, const struct weir_fault *fault);

struct weir_faultq_info {
	uint32_t num_domains;     /* that have it */
	uint32_t num_outstanding; /* groups read from the kernel, and not answered */
	uint64_t
		num_groups; /* so many came; each of them is outstanding, or counted in one of the next four */
	uint64_t num_answered; /* by weir_faultq_respond() */
	uint64_t num_expired;  /* with failure, because nobody answered in time */
	uint64_t num_orphaned; /* with failure, because the device left, or was reset */
	uint64_t
		num_malformed; /* with failure, because they made no sense, or there was no memory for them */
	uint64_t num_stale;    /* answers that were refused with -ESTALE */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_faultq_info(struct weir_faultq *queue, struct weir_faultq_info *ret_info, size_t size);

#ifdef __cplusplus
}
#endif

#endif
