/* SPDX-License-Identifier: MIT */
/*
 * Hand-over: a running host with its devices passes from one process to another, while their DMA goes on.
 *
 *     the one that gives:                              the one that takes:
 *
 *     nvme_controller_pause(nvme);                     weir_handover_receive(socket, NULL, &host);
 *     if (weir_handover_give(host, socket, NULL) < 0)  weir_handover_device(host, address, &device);
 *             nvme_controller_resume(nvme);            nvme_controller_restore(device, NULL, &nvme);
 *     else                                             weir_handover_finish(host);
 *             nvme_controller_forget(nvme);
 *
 * Who may be followed keeps a journal (WEIR_HOST_JOURNAL): a memfd that says what there is, written before the system call or doorbell
 * that it describes. It holds values, no pointers. Handing over is handing over the journal and the descriptors that it numbers; so a
 * successor of a process that was killed, which somebody kept them for (weir_handover_keep()), finds what one that is handed over to finds.
 *
 * At any moment at least one of the two has everything, and at the end exactly one:
 *
 *     giver      description and descriptors  ->
 *                                             <-  taken (or refused, and why)        what is charged is the taker's now
 *     giver      waits; its maps are held up
 *                                             <-  done                               weir_handover_finish(): the commit point
 *     giver      lets go of everything
 *
 * When the taker refuses, is silent for too long, or its end of the socket closes before it is done, the giver takes back what is charged and
 * has everything as before. When the giver's end closes before, the taker has everything, and finish says so.
 *
 * What is carried: the kernel interface, address spaces, nested ones of hardware, too, mappings of files and of weir_memory, memories, domains, queues of page
 * requests with what is outstanding in them, devices, interrupts, blocks. What is not, is named by weir_handover_check(); docs/handover.md has all of it.
 *
 * A group of page requests that the predecessor read and did not answer is read again by the successor, from weir_faultq_read(), with a token of its own, and its
 * time (answer_ns) begins anew; the predecessor's tokens are stale then, there and here. So it is answered once. Before weir_handover_finish() a queue that was received
 * is neither read nor answered: -EBUSY.
 *
 * Threads: one hand-over of a host at a time; calls that map or unmap, and that read or answer page requests, in another thread wait until it is over, and fail with
 * -ESTALE if it succeeded; among them are those that take buffers of a weir_memory or give them back (a buffer that is given back late is no error). Nothing else of the host may
 * be called meanwhile.
 */
#ifndef WEIR_HANDOVER_H
#define WEIR_HANDOVER_H

#include <weir/device.h>
#include <weir/domain.h>
#include <weir/faultq.h>
#include <weir/irq.h>
#include <weir/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_HANDOVER_DROP_MAPS                                                                              \
	(1u << 0) /* unmap mappings of anonymous memory, whose handles end, if it succeeds */
#define WEIR_HANDOVER_DROP_PEERS                                                                             \
	(1u << 1) /* take peer windows out of all spaces; the successor imports them again */

struct weir_handover_opts {
	size_t size;                /* sizeof(struct weir_handover_opts); set by WEIR_OPTS() */
	uint32_t flags;             /* giving: WEIR_HANDOVER_... */
	uint32_t timeout_ms;        /* how long to wait for the next word, or all descriptors; 0: 10 s */
	const struct weir_sys *sys; /* receiving: whose system calls; NULL: the real ones */
};

/* One thing that cannot be carried: what it is, and what to do. */
typedef void weir_handover_report(void *ctx, const char *what);

/*
 * Whether @host can be handed over as it is. @report, which may be NULL, is called for each thing that cannot be carried.
 *
 * Returns 0; -ENOTSUP, something cannot; -EINVAL, the host keeps no journal; -EOPNOTSUPP, the kernel cannot: no IOMMU_IOAS_CHANGE_PROCESS (Linux
 * 6.13), no VFIO_UPDATE_VADDR (5.12), the compat container. weir_error() says which. Since 0.1.
 */
WEIR_API int weir_handover_check(struct weir_host *host, weir_handover_report *report, void *ctx);

/*
 * Hand @host over to the process at the other end of @socket, a connected Unix socket (SOCK_SEQPACKET), which stays the caller's. The caller's
 * threads use nothing of the host meanwhile; devices and their interrupts go on.
 *
 * Returns 0: all of it is the successor's, and every handle of the host has ended here, as if closed, @host, too; drivers' are
 * let go of by their weir_X_forget(); a weir_peer is lost, and stays to be closed (weir_peer_close()). Threads that map or unmap and do not know yet
 * are told -ESTALE: for these, what is left of the host (some hundred KiB for each space or memory)
 * stays as long as the process. Or, with everything as before,
 *   -EINVAL       the host keeps no journal; @socket is no such socket; unknown flags
 *   -ENOTSUP      something cannot be carried, which no flag drops
 *   -EOPNOTSUPP   as weir_handover_check()
 *   -ECONNREFUSED the successor refused; weir_error() says why, in its words
 *   -EPIPE        the successor's end closed
 *   -ETIMEDOUT    no answer in time. @socket has been shut down, so that a late successor finds that nothing is its
 *   -EBUSY        a hand-over is under way
 *   -ENOTRECOVERABLE  the successor failed, and what is charged could not be taken back; DMA goes on, and weir_error() says what is amiss
 *
 * Kernel: sendmsg(SCM_RIGHTS); container: VFIO_IOMMU_UNMAP_DMA and MAP_DMA with FLAG_VADDR when taking back. Since 0.1.
 */
WEIR_API int weir_handover_give(struct weir_host *host, int socket, const struct weir_handover_opts *opts);

/*
 * Take a host over from the other end of @socket (SOCK_SEQPACKET), which is the library's from here on: closed by weir_handover_finish(), or when this fails.
 *
 * What comes is checked as input of somebody hostile: it can make this call fail, and no more. The caller restores its drivers from what
 * it finds, without touching a device, and says weir_handover_finish(); or weir_handover_refuse().
 *
 * Returns 0 and the host in @ret_host; or, with nothing taken, and the giver told why,
 *   -EPROTO     what came is no description, damaged, of a newer version, or with too few, too many or the wrong descriptors
 *   -ENOMEM     also: over RLIMIT_MEMLOCK
 *   -EPERM, -EACCES  this process lacks a right; weir_error() says which
 *   -EINVAL     @socket is no such socket; flags
 *   -EPIPE, -ETIMEDOUT, -EMFILE, -E2BIG
 *
 * Kernel: recvmsg; IOMMU_IOAS_CHANGE_PROCESS; container: for each mapping VFIO_IOMMU_UNMAP_DMA and MAP_DMA with FLAG_VADDR. Since 0.1.
 */
WEIR_API int weir_handover_receive(int socket, const struct weir_handover_opts *opts,
				   struct weir_host **ret_host);

/*
 * All is in order: the host is this process's. Returns 0; or -ECANCELED, with @host and all of it closed without a trace, when the giver has taken it
 * back in the meantime. Since 0.1.
 */
WEIR_API int weir_handover_finish(struct weir_host *host);

/* It is not: the giver is told @why, and goes on. @host and all of it is closed without a trace. Since 0.1. */
WEIR_API void weir_handover_refuse(struct weir_host *host, const char *why);

/*
 * Objects of a host that was received. They are the caller's, who closes them as if it had opened them. -ENOENT: there is none. @index
 * counts those of the kind in the order in which they were opened, from 0. Since 0.1.
 */
WEIR_API int weir_handover_ioas(struct weir_host *host, uint32_t index, struct weir_ioas **ret_ioas);
WEIR_API int weir_handover_memory(struct weir_host *host, uint32_t index, struct weir_memory **ret_memory);
WEIR_API int weir_handover_domain(struct weir_host *host, uint32_t index, struct weir_domain **ret_domain);
WEIR_API int weir_handover_faultq(struct weir_host *host, uint32_t index, struct weir_faultq **ret_queue);
WEIR_API int weir_handover_device(struct weir_host *host, const char *address,
				  struct weir_device **ret_device);
WEIR_API int weir_handover_irq(struct weir_device *device, enum weir_irq_kind kind,
			       struct weir_irq **ret_irq);
WEIR_API int weir_handover_map(struct weir_ioas *ioas, uint64_t iova, struct weir_map **ret_map);

/*
 * A block of @len bytes for what a successor needs to know, by a name of up to 63 characters. In a host with a journal it lies in the journal: who takes the
 * host over finds it by the same name, as it was left, however its predecessor ended. Elsewhere it is plain memory. Zero when new. It lives
 * until weir_block_close() or until the host is closed; one that is closed before weir_handover_finish() stays as it is, for the giver or another successor.
 * What is found in a block is to be checked as any file's content.
 *
 * Returns 0 and its address in @ret_block, aligned to 64; -EINVAL: name too long, or length 0; -EEXIST: there is one of another length;
 * -EBUSY: it is open; -ENOSPC: the journal is full; -ENOMEM. Since 0.1.
 */
WEIR_API int weir_block_open(struct weir_host *host, const char *name, size_t len, void **ret_block);
WEIR_API void weir_block_close(struct weir_host *host, void *block);

/*
 * Replace this process by the program @path, which takes @host over: with weir_handover_receive() of the descriptor in the environment
 * variable WEIR_HANDOVER. A helper process, a fork of this one, has everything from now on until the program is done; it ends then.
 *
 * Returns only when it fails: as weir_handover_give() and execve(), with everything as before. Since 0.1.
 */
WEIR_API int weir_handover_exec(struct weir_host *host, const char *path, char *const argv[],
				char *const envp[], const struct weir_handover_opts *opts);

/*
 * Have somebody at the other end of @socket (SOCK_SEQPACKET; the library's from here on, also when this fails) keep the journal and all descriptors, now and as they come, so that a successor
 * can be given them after this process has died. weir-keeper does.
 *
 * Returns 0; or -EINVAL, -EOPNOTSUPP as weir_handover_give(), -EBUSY (the host was received: after weir_handover_finish()), -EPIPE, -ETIMEDOUT, with nothing changed. When the keeper has gone away, calls that make a descriptor fail with -EPIPE,
 * until weir_handover_keep() is called again, or with -1 for nobody. Since 0.1.
 */
WEIR_API int weir_handover_keep(struct weir_host *host, int socket);

/* What a keeper keeps of one host. One thread at a time. */
struct weir_kept;

/* Returns 0 or -ENOMEM. Since 0.1. */
WEIR_API int weir_kept_open(const struct weir_sys *sys, struct weir_kept **ret_kept);

/*
 * Take in one thing that has come from the process that is kept for; @socket is readable, and stays the caller's. What comes is checked as input of
 * somebody hostile. Returns 0; -EPIPE, that process has gone; -EPROTO; -EMFILE, -ENOMEM. Since 0.1.
 */
WEIR_API int weir_kept_take_in(struct weir_kept *kept, int socket);

/*
 * Give all to the successor at the other end of @socket, and wait until it is done; on the container, mappings whose owner has died are
 * the keeper's meanwhile. Returns 0, and nothing is kept any more; -ENOENT, nothing is kept: the host was closed, or handed over; or as
 * weir_handover_give(), with everything kept as before. Since 0.1.
 */
WEIR_API int weir_kept_give(struct weir_kept *kept, int socket, const struct weir_handover_opts *opts);

/* Let go of it: unless somebody else has it, devices are closed, and reset by the kernel. NULL is allowed. Since 0.1. */
WEIR_API void weir_kept_close(struct weir_kept *kept);

#ifdef __cplusplus
}
#endif

#endif
