/* SPDX-License-Identifier: MIT */
/*
 * Driver for NVMe controllers on PCI Express (NVM Express Base Specification 2.0, NVM Command Set 1.0).
 *
 *     struct nvme_controller *controller;
 *     struct nvme_namespace ns;
 *     struct nvme_queue *queue;
 *     struct weir_buffer data;
 *     nvme_controller_open(device, NULL, &controller);
 *     nvme_namespace_info(controller, 1, &ns, sizeof ns);
 *     nvme_queue_open(controller, 32, &queue);
 *     weir_memory_alloc(memory, 65536, NULL, &data);
 *     nvme_queue_read(queue, &ns, 0, data.iova, 65536, 5000);
 *     nvme_queue_close(queue);
 *     nvme_controller_close(controller);
 *
 * Three things: a controller, a namespace (plain values about it) and an I/O queue pair. Requests are
 * submitted in batches and reaped in batches; the doorbell is rung once per batch.
 *
 * Data. The caller gives IOVAs in the address space of the device: of buffers from a weir_memory in that
 * space, or of whatever else is mapped there. Each is contiguous there. A buffer belongs to the device from
 * its submission until its completion has been reaped, and after a time-out until the queue or the controller
 * has been closed.
 *
 * Trust. What the controller says is checked before it is used: identify data, completion identifiers, sizes.
 * A controller that breaks the rules gets -EPROTO; one that does not answer, -ETIMEDOUT; one that is gone
 * (all registers read as ones), -ENODEV. No answer of a controller makes this driver touch memory that is not
 * its own, or wait for ever.
 *
 * Registers. All accesses return errors where they can be had: the library's accessors, and guarded stores to the doorbells. A program
 * that calls weir_guard_install() (weir/guard.h) gets -EIO from a queue whose controller others have switched off; without it, ringing a
 * doorbell then raises SIGBUS.
 *
 * Errors: 0 (or a count) or a negative errno; nvme_error() tells more. Outputs (ret_...) are written on
 * success only.
 *
 * Threads: a queue is used by one thread at a time, without locks; different queues by different threads at
 * once. Calls on the controller, including nvme_queue_open() and nvme_queue_close(), by one thread at a time.
 */
#ifndef NVME_NVME_H
#define NVME_NVME_H

#include <stdbool.h>

#include <weir/device.h>
#include <weir/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NVME_CLASS_CODE 0x010802u /* PCI class of an NVMe I/O controller */

struct nvme_controller;
struct nvme_queue;

/*
 * What the last failing nvme call on this thread has to say: one line of English, without a newline; "" if
 * none failed yet. The pointer stays valid as long as the thread.
 */
const char *nvme_error(void);

/* Controller --------------------------------------------------------------------------------------------- */

/* How the completions of I/O queues are noticed. Admin commands are polled in any case. */
enum nvme_wait {
	NVME_WAIT_AUTO,       /* by interrupt if the device has MSI-X or MSI, else by polling */
	NVME_WAIT_INTERRUPTS, /* by interrupt: a vector for each I/O queue */
	NVME_WAIT_POLLING,    /* by looking at the completion queue */
	NVME_WAIT_HYBRID,     /* by looking for spin_us, then by interrupt */
};

/* In the flags of a controller's options. What the controller does not have is refused. */
enum {
	NVME_SGL = 1 << 0, /* describe data by scatter-gather lists, not by PRPs */
	NVME_SHADOW_DOORBELLS =
		1 << 1,       /* tell it of I/O queues through memory, and ring only when it asks for that */
	NVME_EVENTS = 1 << 2, /* have it report events: nvme_controller_events() in nvme/manage.h */
};

struct nvme_controller_opts {
	size_t size;               /* sizeof(struct nvme_controller_opts); set by WEIR_OPTS() */
	uint32_t wait;             /* enum nvme_wait */
	uint32_t num_queues;       /* I/O queues that will be open at a time, at most; 0: 1 */
	uint32_t admin_timeout_ms; /* how long an admin command may take; 0: 10 seconds */
	uint32_t ready_timeout_ms; /* to become ready, at most; 0: as long as it claims to need */
	struct weir_memory
		*memory;       /* in the device's space, for rings and lists; NULL: the driver makes some */
	uint32_t flags;        /* NVME_SGL, ... */
	uint32_t spin_us;      /* with NVME_WAIT_HYBRID, microseconds; 0: 20 */
	uint32_t max_transfer; /* bytes in one read or write: a multiple of 4 KiB, up to 32 MiB; 0: 2 MiB */
};

/*
 * Take charge of @device, which the caller has opened and closes after nvme_controller_close(): reset and
 * enable the controller, identify it, agree on the number of queues. Bus mastering is switched on. What the
 * driver shares with the controller, 12 KiB here (20 with shadow doorbells) and with each queue what nvme_queue_open() says, it takes
 * from opts.memory, which outlives the controller; or from a weir_memory of its own, which grows by 64 KiB at
 * least and is closed with the controller.
 *
 * Takes as long as the controller needs, at most what its CAP.TO and CRTO say (never more than 5 minutes;
 * ready_timeout_ms shortens it).
 *
 * Returns 0 and the controller in @ret_controller, which the caller closes with nvme_controller_close(); or,
 * with the controller disabled and bus mastering off,
 *   -EINVAL      unknown wait or flags; more than 65534 queues; max_transfer not as above
 *   -E2BIG       options newer than this driver
 *   -ENODEV      no NVMe controller by its class code; or it is gone
 *   -EOPNOTSUPP  no NVM command set, or no 4 KiB pages, or its doorbells are not in BAR 0; or
 *                NVME_WAIT_INTERRUPTS or _HYBRID and it has neither MSI-X nor MSI; or it lacks what flags ask for
 *   -ETIMEDOUT   it did not become ready, or did not stop, or did not answer an admin command in time
 *   -EIO         it reports a fatal status (CSTS.CFS), or failed an admin command, or its registers cannot be
 *                reached
 *   -EPROTO      what it answered makes no sense
 *   -ENOENT      opts.memory is not in the device's address space
 *   -ENOMEM, -EMFILE, -ENOSPC  also those of weir_memory_open(), weir_memory_alloc() and weir_irq_enable()
 *
 * Base 2.0, 3.5.1 (initialisation), 3.1.3 (properties).
 */
int nvme_controller_open(struct weir_device *device, const struct nvme_controller_opts *opts,
			 struct nvme_controller **ret_controller);

/*
 * Shut the controller down in order (CC.SHN), disable it, and switch bus mastering and interrupts off. The
 * queues that are open are closed with it; what was in flight is lost. NULL is allowed.
 *
 * Runs to its end whatever happens, within the shutdown latency that the controller asks for (RTD3E; 5 s if
 * it asks for none, 30 s at most) plus what disabling may take. Returns 0 or the first error: -ETIMEDOUT,
 * -ENODEV, -EIO.
 *
 * Base 2.0, 3.6.1 (shutdown).
 */
int nvme_controller_close(struct nvme_controller *controller);

struct nvme_controller_info {
	char model[41]; /* texts without trailing blanks; what is not printable ASCII is a '?' */
	char serial[21];
	char firmware[9];
	uint16_t controller_id;    /* CNTLID */
	uint16_t vendor_id;        /* PCI vendor */
	uint32_t version;          /* of the specification: major << 16 | minor << 8 | tertiary */
	uint32_t num_namespaces;   /* the highest namespace identifier there can be (NN) */
	uint32_t max_transfer;     /* bytes in one read or write: MDTS, or the options' limit */
	uint32_t max_depth;        /* requests in flight on one queue, at most */
	uint32_t num_queues;       /* I/O queues that may be open at a time */
	uint32_t ready_timeout_ms; /* how long it may take to become ready */
	bool interrupts;           /* completions are noticed by interrupt */
	bool write_cache;          /* it has a volatile write cache: nvme_queue_flush() matters */
	bool doorbells_mapped;     /* doorbells are stores to the mapped BAR, not system calls */
	/* What it can do, whether it is asked to or not. */
	bool sgl, shadow_doorbells;
	bool compare, write_zeroes, discard; /* the operations of these names */
	bool secondaries;                    /* it manages what its virtual functions get: nvme/secondary.h */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. */
int nvme_controller_info(const struct nvme_controller *controller, struct nvme_controller_info *ret_info,
			 size_t size);

/*
 * Whether the controller is still in working order: read CSTS. Returns 0; -ENODEV when it is gone; -EIO when
 * it reports a fatal status, is not ready, or a time-out of an admin command has ended its use.
 */
int nvme_controller_check(struct nvme_controller *controller);

/* Namespace ---------------------------------------------------------------------------------------------- */

/* What one needs to know to read and write a namespace: plain values, to be copied as one likes. */
struct nvme_namespace {
	uint64_t num_blocks;  /* size: block numbers are below this */
	uint32_t nsid;        /* namespace identifier */
	uint32_t block_size;  /* bytes; a power of two from 512 to 65536 */
	uint32_t block_shift; /* block_size == 1 << block_shift */
	uint32_t reserved;
};

/*
 * The controller's clock, in milliseconds since 1970. It loses it when it is reset: @ret_set tells whether it runs since somebody set it. Not
 * every controller has one: -EOPNOTSUPP or -EINVAL. Else as nvme_namespace_info(). Base 2.0, 5.27.1.14 (Timestamp).
 */
int nvme_controller_set_clock(struct nvme_controller *controller, uint64_t ms);
int nvme_controller_clock(struct nvme_controller *controller, uint64_t *ret_ms, bool *ret_set);

/*
 * Identify namespace @nsid.
 *
 * Returns 0 and fills in @ret_ns (@size: sizeof *@ret_ns); or
 *   -ENOENT      there is no such namespace, or it is not attached to this controller
 *   -EOPNOTSUPP  its blocks carry metadata, or are larger than the largest transfer
 *   -EPROTO      what the controller says about it makes no sense
 *   -ETIMEDOUT, -ENODEV, -EIO  as for nvme_controller_open(); after a time-out every admin command is -EIO
 *
 * Base 2.0, 5.17 (Identify); NVM Command Set 1.0, 4.1.5.1.
 */
int nvme_namespace_info(struct nvme_controller *controller, uint32_t nsid, struct nvme_namespace *ret_ns,
			size_t size);

/* Controller memory buffer ------------------------------------------------------------------------------- */

/*
 * Memory of the controller in one of its BARs. Other devices reach it through a window (weir/peer.h); the
 * controller itself, without going through the IOMMU, at addresses that the host gives it.
 *
 *     nvme_controller_cmb(controller, &cmb, sizeof cmb);
 *     weir_device_region(device, cmb.bar, &bar);
 *     weir_peer_open(bar, cmb.offset, cmb.len, &peer);
 *     weir_peer_map(peer, weir_device_ioas(device), 0, cmb.len, NULL, &own);
 *     nvme_controller_enable_cmb(controller, weir_map_iova(own));
 *     nvme_queue_write(queue, &ns, block, weir_map_iova(own) + offset, len, timeout_ms);
 *
 * The window is mapped in the controller's own space so that nothing else gets these addresses.
 */
struct nvme_cmb {
	uint64_t offset; /* in the BAR */
	uint64_t len;
	uint32_t bar;                                     /* as weir_device_region() takes it */
	bool submission_queues, completion_queues, lists; /* what may lie in it */
	bool reads, writes; /* the data of commands that read, of commands that write */
	bool mixed;         /* a command's data may lie partly in it, partly elsewhere */
};

/*
 * Ask the controller where its memory buffer is. @size: sizeof *@ret_cmb.
 *
 * Returns 0 and fills in @ret_cmb; or
 *   -EOPNOTSUPP  it has none, or none whose address the host may choose (CAP.CMBS)
 *   -EPROTO      what it says does not fit its BAR, or covers its registers
 *   -ENODEV, -EIO
 *
 * Base 2.0, 3.1.3.12 to 3.1.3.14 and 8.5.
 */
int nvme_controller_cmb(struct nvme_controller *controller, struct nvme_cmb *ret_cmb, size_t size);

/*
 * Have the controller find its memory buffer from @address on, a multiple of 4 KiB: what its commands name
 * there is the buffer, and no IOVA any more. It stays until the controller is closed, or the device reset.
 *
 * Returns 0; or, with the buffer not enabled,
 *   -EINVAL  @address is no multiple of 4 KiB or wraps; the controller does not take it (CMBSTS.CBAI)
 * and as nvme_controller_cmb().
 */
int nvme_controller_enable_cmb(struct nvme_controller *controller, uint64_t address);

/* I/O queue pair ----------------------------------------------------------------------------------------- */

/*
 * Create a submission and a completion queue for up to @depth requests in flight. Takes, in one piece and each rounded up to pages,
 * (@depth + 1) * 64 and (@depth + 1) * 16 bytes for the queues, and a list for each request: 8 bytes for each 4 KiB of max_transfer,
 * 192 at least, rounded up to an odd number of cache lines; from 2 MiB on, in whole pages: one for each 511 * 4 KiB.
 *
 * Returns 0 and the queue in @ret_queue, which the caller closes with nvme_queue_close(); or
 *   -EINVAL  depth is 0
 *   -ERANGE  depth is more than the controller's max_depth
 *   -ENOSPC  as many queues are open as nvme_controller_open() agreed on
 *   -ENOMEM, and those of weir_memory_alloc() and nvme_namespace_info()
 *
 * Base 2.0, 5.4 and 5.5 (Create I/O Completion Queue, Create I/O Submission Queue).
 */
int nvme_queue_open(struct nvme_controller *controller, uint32_t depth, struct nvme_queue **ret_queue);

struct nvme_queue_opts {
	size_t size;         /* sizeof(struct nvme_queue_opts); set by WEIR_OPTS() */
	uint32_t depth;      /* as above */
	bool sq_in_cmb;      /* the submission queue is in the controller's memory, which has been enabled */
	uint64_t cmb_offset; /* of the queue in it: a multiple of 4 KiB; (depth + 1) * 64 bytes are used */
};

/*
 * The same with options. A submission queue in the controller's memory is written there by the processor, at each ring, and the
 * controller does not read the host's memory for a command.
 *
 * Errors as above, and
 *   -E2BIG       options newer than this driver
 *   -EOPNOTSUPP  the controller's memory is not enabled, or takes no submission queues
 *   -EINVAL      cmb_offset is no multiple of 4 KiB
 *   -ERANGE      the queue would reach beyond the end of it
 */
int nvme_queue_open_with(struct nvme_controller *controller, const struct nvme_queue_opts *opts,
			 struct nvme_queue **ret_queue);

/*
 * Delete the queue pair. What was in flight is lost: it may or may not have been carried out, but when this
 * returns 0 its buffers are the caller's again. NULL is allowed. Runs to its end whatever happens; on an
 * error the buffers stay the device's until nvme_controller_close(). Base 2.0, 5.6 and 5.7.
 */
int nvme_queue_close(struct nvme_queue *queue);

/* What it does; what it takes in len, and of the other fields. */
enum nvme_op {
	NVME_OP_READ,
	NVME_OP_WRITE,
	NVME_OP_FLUSH,   /* what was written before, and has completed, is on the medium; no block, no data */
	NVME_OP_COMPARE, /* data with what is there: -EBADMSG if it is not the same */
	NVME_OP_WRITE_ZEROES, /* no data; at most 65536 blocks */
	NVME_OP_DISCARD,      /* the blocks' contents are not needed any more (deallocate); no data */
};

/* One request. The buffer is contiguous in IOVA, and begins at a multiple of 4. */
struct nvme_request {
	uint64_t block; /* first block */
	uint64_t iova;  /* of the data */
	uint32_t len; /* bytes of the medium: a multiple of the block size; with data, at most max_transfer */
	uint32_t op;  /* enum nvme_op */
	uint64_t tag; /* the caller's own: comes back with the completion */
};

/* The end of one request. */
struct nvme_completion {
	uint64_t tag;    /* of the request */
	int32_t error;   /* 0, or a negative errno for the status */
	uint16_t status; /* status field without the phase: SC in bits 7:0, SCT 10:8, M 13, DNR 14 */
	uint16_t reserved;
};

/*
 * Submit @num requests, in order, and ring the doorbell once. Never waits.
 *
 * Returns how many were submitted; fewer than @num when the queue is full, or when the next one is in error:
 * submit the rest again to learn its error. Requests whose doorbell could not be rung have been submitted: the next call says that the queue has failed, and
 * nvme_controller_reset() that they are in doubt. Or, when not even the first could be submitted,
 *   -EAGAIN    the queue is full: reap completions
 *   -EINVAL    len is 0 or no multiple of the block size; iova is no multiple of 4 or wraps; unknown op
 *   -ERANGE    it reaches beyond the end of the namespace
 *   -EMSGSIZE  len is more than max_transfer, or than can be zeroed at once: split it
 *   -EOPNOTSUPP  the controller does not know the operation
 *   -EBUSY     (driver built without NDEBUG) another thread is using the queue at this moment
 *   -EIO, -ENODEV, -EPROTO  the queue has failed, nothing can be submitted any more; nvme_error() says why
 *   -ESHUTDOWN  it has been closed, and that failed
 *
 * @num 0 returns 0. NVM Command Set 1.0, 3.2; Base 2.0, 4.1.1 (PRP), 4.5 (queues), 7.1 (Flush).
 */
int nvme_queue_submit(struct nvme_queue *queue, const struct nvme_namespace *ns,
		      const struct nvme_request *requests, size_t num);

/* A piece of data. */
struct nvme_segment {
	uint64_t iova; /* a multiple of 4 */
	uint64_t len;  /* bytes */
};

/*
 * Submit one read, write or compare whose data lies in @num pieces, request->len bytes together; request->iova is not used.
 *
 * By PRPs (no NVME_SGL) all pieces but the first begin at a multiple of 4 KiB, and all but the last end at one; by SGL anything goes, as
 * long as the pieces are few enough for the queue's lists: 12 at least, and one for each 8 KiB of max_transfer.
 *
 * Returns 0 or an error as nvme_queue_submit(), and
 *   -EINVAL  no pieces, one of them empty, not that many bytes together, or not as above; an operation without data
 *   -E2BIG   more pieces than a list can have
 *
 * Base 2.0, 4.1.2 (SGL).
 */
int nvme_queue_submit_segments(struct nvme_queue *queue, const struct nvme_namespace *ns,
			       const struct nvme_request *request, const struct nvme_segment *segments,
			       size_t num);

/*
 * Take up to @max completions that have arrived. Never waits.
 *
 * Returns their number, 0 if there are none; or -EPROTO when the controller completed what was not in flight:
 * the queue has failed, and what is in flight is in doubt until the queue is closed. Completions found before
 * it are returned first.
 */
int nvme_queue_reap(struct nvme_queue *queue, struct nvme_completion *ret_completions, size_t max);

/*
 * Like nvme_queue_reap(), but wait for at least one.
 *
 * Returns their number, at least 1 (0 when nothing is in flight); or
 *   -ETIMEDOUT  none within @timeout_ms milliseconds (negative: no limit; 0: only look). What was in flight
 *               still is, keeps its place and its tag, and may complete yet.
 *   -ENODEV     none, and the controller is gone
 *   -EIO        none, and the controller reports a fatal status
 *   -EPROTO     as for nvme_queue_reap()
 *   -EINTR      by interrupt: a signal handler ran
 */
int nvme_queue_wait(struct nvme_queue *queue, struct nvme_completion *ret_completions, size_t max,
		    int timeout_ms);

/*
 * For an event loop: a descriptor that becomes readable when completions may have arrived. Read its 8 bytes,
 * then reap until nothing is left. It stays the driver's. Returns -EOPNOTSUPP when the controller was opened
 * for polling.
 */
int nvme_queue_fd(const struct nvme_queue *queue);

/* Requests submitted and not yet reaped. */
uint32_t nvme_queue_in_flight(const struct nvme_queue *queue);

/* Requests that can be in flight, as given at nvme_queue_open(). */
uint32_t nvme_queue_depth(const struct nvme_queue *queue);

/*
 * Read or write @len bytes from @block on, of any length: split into requests of max_transfer, as many in
 * flight as fit, and wait for all of them. What the controller could not do just now (-EAGAIN, without DNR) is
 * tried up to three times.
 *
 * Returns 0; or the first error, of submission or of a completion. With -ETIMEDOUT (@timeout_ms for the
 * whole; negative: no limit) requests may be left in flight: the driver drops their completions when they
 * come, but the buffer stays the device's until the queue is closed. -EBUSY when other requests are in flight
 * on this queue.
 */
int nvme_queue_read(struct nvme_queue *queue, const struct nvme_namespace *ns, uint64_t block, uint64_t iova,
		    uint64_t len, int timeout_ms);
int nvme_queue_write(struct nvme_queue *queue, const struct nvme_namespace *ns, uint64_t block, uint64_t iova,
		     uint64_t len, int timeout_ms);

/* Flush the write cache of the namespace, and wait. As nvme_queue_read(). */
int nvme_queue_flush(struct nvme_queue *queue, const struct nvme_namespace *ns, int timeout_ms);

/* Hand-over ---------------------------------------------------------------------------------------------- */

/*
 * What a successor needs to know is kept in the journal of the device's host (weir/handover.h), in blocks "nvme ADDRESS" and "nvme ADDRESS
 * queue ID" (of a controller for up to 256 queues). It is right at any moment, so that a process that was killed is followed as one that
 * hands over:
 *
 *     nvme_controller_pause(controller);               weir_handover_receive(socket, NULL, &host);
 *     if (weir_handover_give(host, socket, NULL) < 0)  weir_handover_device(host, address, &device);
 *             nvme_controller_resume(controller);      nvme_controller_restore(device, NULL, &controller);
 *     else                                             weir_handover_finish(host);
 *             nvme_controller_forget(controller);      nvme_controller_queue(controller, 1, &queue);
 *                                                      nvme_queue_reap(queue, completions, num);
 *
 * Requests in flight stay in flight, with their tags, and their completions are the successor's to reap. None is lost, and none carried out
 * twice. What a killed process had not submitted to its end (nvme_queue_submit() had not returned) was submitted either up to some request or
 * not at all: nvme_queue_pending() tells, by tag. What nvme_queue_reap() returned counts as taken note of when the caller next submits
 * to that queue (or resets the controller); until then a successor gets it again. So who keeps a list of its own strikes out what it reaped
 * before it submits again, and finds after any end of its process: a tag that is in the list and not pending was never submitted.
 * (A tag that is pending and not in the list is one that a call of nvme_queue_read() or the like waited for.)
 */

/*
 * Submit nothing and reap nothing, for now: such calls on this controller and its queues are refused with -EBUSY. What was submitted
 * goes on; what was reaped counts as taken note of. Neither resets, aborts, opens nor closes anything meanwhile (-EBUSY).
 *
 * Returns 0; -EOPNOTSUPP, and nothing is paused: a successor cannot go on with what this controller uses, which is named by nvme_error(): shadow
 * doorbells, requests for events, an enabled memory buffer, or places for more than 256 queues.
 */
int nvme_controller_pause(struct nvme_controller *controller);

/* Go on. */
void nvme_controller_resume(struct nvme_controller *controller);

/*
 * Let go of a controller, with its queues, whose host has been handed over (or was closed): frees them, and touches neither the device nor
 * anything of the host. NULL is allowed.
 */
void nvme_controller_forget(struct nvme_controller *controller);

/*
 * Take charge of @device, whose host was received (weir_handover_receive()), where the predecessor left off. Registers are read; none is
 * written, and no memory that the controller sees, before the first call that submits or reaps. What the predecessor kept is checked like
 * a stranger's word. @memory: as opts.memory of the predecessor, as weir_handover_memory() found it; NULL if the driver had made its own.
 *
 * Returns 0 and the controller in @ret_controller, as nvme_controller_open() would; or, with the controller untouched and what was kept as it
 * was, so that the giver can go on (nvme_controller_open() begins anew, with a reset, after weir_handover_finish()),
 *   -ENODATA  no driver of this kind had got to its end of opening it, or it was closing, or being reset, or its reset had failed
 *   -EOPNOTSUPP  it used what is not carried: see nvme_controller_pause()
 *   -EPROTO   what was kept makes no sense, or the memory is not where it was
 *   -EIO      the controller was reset meanwhile, or reports a fatal status, or its registers cannot be reached
 *   -ENODEV   no NVMe controller, or gone
 *   -ENOENT   its interrupts were not handed over
 *   -EINVAL   it used a memory of the caller's, and @memory is NULL
 *   -ENOMEM, and those of weir_block_open() and weir_memory_claim()
 */
int nvme_controller_restore(struct weir_device *device, struct weir_memory *memory,
			    struct nvme_controller **ret_controller);

/*
 * Queue @id of a controller that was restored, from 1 on, in the order in which they were opened. Returns 0 and the queue, which the caller
 * closes; -ENOENT: there is none, or it was just being opened or closed, and works no more.
 *
 * Reap before waiting for its descriptor: what that had announced, the predecessor may have heard.
 */
int nvme_controller_queue(struct nvme_controller *controller, uint32_t id, struct nvme_queue **ret_queue);

/*
 * The tags of all requests that were submitted and whose completions have not been reaped, in no order. Returns how many there are, and
 * fills in @max of them at most.
 */
size_t nvme_queue_pending(const struct nvme_queue *queue, uint64_t *ret_tags, size_t max);

/* Status ------------------------------------------------------------------------------------------------- */

/* The negative errno that stands for a completion's status; 0 for success. */
int nvme_status_error(uint16_t status);

/* Whether the same request may succeed when it is submitted again: it failed, and the controller did not say not to retry (DNR). */
bool nvme_status_may_retry(uint16_t status);

/* A completion's status in words, such as "LBA out of range". Static text. Base 2.0, 3.3.3.2.1. */
const char *nvme_status_text(uint16_t status);

#ifdef __cplusplus
}
#endif

#endif
