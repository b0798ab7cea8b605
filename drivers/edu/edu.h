/* SPDX-License-Identifier: MIT */
/*
 * Driver for edu, the PCI device that QEMU has for teaching (vendor 1234, device 11e8): it inverts numbers,
 * computes factorials, raises interrupts and copies between memory and a buffer of its own by DMA.
 *
 *     struct edu *edu;
 *     struct weir_buffer data;
 *     edu_open(device, EDU_INTERRUPTS, &edu);
 *     weir_memory_alloc(memory, 4096, NULL, &data);
 *     edu_dma(edu, EDU_FROM_MEMORY, data.iova, 0, 4096, EDU_BY_INTERRUPT, 1000);
 *     edu_close(edu);
 *
 * DMA. The device copies up to 4 KiB at a time, about 100 ms after it was told to. It drives few address bits
 * (28 as QEMU makes it by default) and silently drops those above: open the weir_device with address_bits =
 * 28, then no IOVA it could mistake is ever handed out, and this driver refuses one.
 *
 * What edu does not see: a DMA that the IOMMU blocks ends like any other, with the "running" bit cleared and
 * the interrupt raised. A blocked write leaves memory as it was; a blocked read leaves the device's buffer
 * undefined (as QEMU does it, it is filled with ones or stays as it was). Whether data arrived is told by
 * looking at the data.
 *
 * Errors: 0 or a negative errno; edu_error() tells more. Outputs (ret_...) are written on success only.
 *
 * Threads: one struct edu is used by one thread at a time. Registers: QEMU, docs/specs/edu.
 */
#ifndef EDU_EDU_H
#define EDU_EDU_H

#include <weir/device.h>
#include <weir/irq.h>
#include <weir/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDU_VENDOR_ID   0x1234
#define EDU_DEVICE_ID   0x11e8
#define EDU_BUFFER_SIZE 4096u /* bytes in the device's DMA buffer */

/* Bits of the interrupt status (register 0x24). The device's own; edu_raise() can raise any other. */
#define EDU_IRQ_FACTORIAL 0x001u
#define EDU_IRQ_DMA       0x100u

struct edu;

/* For edu_open(). */
#define EDU_INTERRUPTS (1u << 0) /* enable MSI, one vector */

/* Which way a DMA goes. */
enum edu_direction {
	EDU_FROM_MEMORY, /* the device reads memory into its buffer */
	EDU_TO_MEMORY,   /* the device writes memory from its buffer */
};

/* How the end of an operation is noticed. */
enum edu_completion {
	EDU_BY_POLLING,   /* its status is read every millisecond */
	EDU_BY_INTERRUPT, /* by its MSI; wants EDU_INTERRUPTS at open */
};

/*
 * What the last failing edu call on this thread has to say: one line of English, without a newline; "" if
 * none failed yet. The pointer stays valid as long as the thread.
 */
const char *edu_error(void);

/*
 * Take charge of @device, which the caller has opened and closes after edu_close(). Bus mastering is switched
 * on: from now on the device may do DMA where its address space lets it. @flags: EDU_INTERRUPTS or 0.
 *
 * Returns 0 and the driver in @ret_edu, which the caller closes with edu_close(); or
 *   -EINVAL  unknown flags
 *   -ENODEV  this is no edu, by its PCI identity or by its identification register; or it is gone
 *   -EBUSY   a DMA that somebody else started is running; or its interrupts are enabled already
 *   -EIO     its registers cannot be reached
 *   -ENOMEM, -EMFILE, -ENOSPC  also those of weir_irq_enable()
 */
int edu_open(struct weir_device *device, uint32_t flags, struct edu **ret_edu);

/*
 * Give the device back. Waits up to half a second for a DMA under way to end, then bus mastering and
 * interrupts go off. NULL is allowed. Runs to its end whatever happens; returns 0 or the first error (-EBUSY:
 * the DMA was still running; it can do no more harm with bus mastering off).
 */
int edu_close(struct edu *edu);

/* Version of the device: major << 8 | minor, as its identification register has it. */
uint32_t edu_version(const struct edu *edu);

/*
 * Ask whether the device is alive: it answers @value with its inverse. Returns 0; -EIO if the answer is
 * another, or the register cannot be reached; -ENODEV if it is gone.
 */
int edu_liveness(struct edu *edu, uint32_t value);

/*
 * Have the device compute @n! modulo 2^32.
 *
 * Returns 0 and the product in @ret_product; or
 *   -ETIMEDOUT  not done within @timeout_ms milliseconds (negative: no limit); it goes on computing
 *   -EBUSY      it is still computing something else
 *   -EINVAL     by interrupt, but opened without EDU_INTERRUPTS
 *   -EINTR      by interrupt: a signal handler ran
 *   -EIO, -ENODEV  as for edu_liveness()
 */
int edu_factorial(struct edu *edu, uint32_t n, enum edu_completion how, int timeout_ms,
		  uint32_t *ret_product);

/*
 * Copy @len bytes between memory at @iova and the device's buffer at @offset, and wait for the end:
 * edu_dma_start() and edu_dma_wait() in one, with their errors. After -ETIMEDOUT or -EINTR it goes on: wait
 * again, or close.
 */
int edu_dma(struct edu *edu, enum edu_direction direction, uint64_t iova, uint32_t offset, uint32_t len,
	    enum edu_completion how, int timeout_ms);

/*
 * Start a DMA and return at once. The memory belongs to the device until edu_dma_wait() has returned 0.
 *
 * Returns 0; or, with nothing started,
 *   -EINVAL  @len is 0, or @offset + @len is beyond EDU_BUFFER_SIZE; or by interrupt without EDU_INTERRUPTS
 *            at open
 *   -ERANGE  @iova + @len is beyond the address width that the weir_device was opened with
 *   -EBUSY   another DMA is running
 *   -EIO     registers cannot be reached; or the host trapped a 64-bit address in two halves, which edu does
 *            not take
 *   -ENODEV  the device is gone
 */
int edu_dma_start(struct edu *edu, enum edu_direction direction, uint64_t iova, uint32_t offset, uint32_t len,
		  enum edu_completion how);

/*
 * Wait for the DMA that edu_dma_start() began, the way that was chosen there.
 *
 * Returns 0 when it has ended, whether its data arrived or was blocked (see above), also when none was
 * started; or
 *   -ETIMEDOUT  not within @timeout_ms milliseconds (negative: no limit; 0: only look)
 *   -EINTR      by interrupt: a signal handler ran
 *   -EIO, -ENODEV  as for edu_liveness()
 */
int edu_dma_wait(struct edu *edu, int timeout_ms);

/* Whether a DMA is running: 1 or 0, or -EIO or -ENODEV. */
int edu_dma_running(struct edu *edu);

/*
 * The device's interrupts: one MSI vector; NULL when it was opened without EDU_INTERRUPTS. For an event loop
 * of one's own: when weir_irq_fd(irq, 0) becomes readable, take the signal with edu_irq_wait(edu, 0, ...).
 */
struct weir_irq *edu_irq(struct edu *edu);

/*
 * Have the device set @bits of its interrupt status and raise its interrupt. The EDU_IRQ_... bits would be
 * taken for the end of an operation. Returns 0; -EINVAL when @bits is 0; -EIO.
 */
int edu_raise(struct edu *edu, uint32_t bits);

/*
 * Wait for an interrupt and acknowledge it.
 *
 * Returns 0 and in @ret_bits the interrupt status as it was, now cleared; or
 *   -ETIMEDOUT  not within @timeout_ms milliseconds (negative: no limit; 0: only look)
 *   -EINVAL     opened without EDU_INTERRUPTS
 *   -EINTR      a signal handler ran
 *   -EIO, -ENODEV  as for edu_liveness()
 */
int edu_irq_wait(struct edu *edu, int timeout_ms, uint32_t *ret_bits);

/* Hand-over ---------------------------------------------------------------------------------------------- */

/*
 * What a successor needs to know is kept in the journal of the device's host (weir/handover.h), in a block "edu ADDRESS", and is right at
 * any moment. So a process that was killed is followed as one that hands over:
 *
 *     edu_pause(edu);                              weir_handover_receive(socket, NULL, &host);
 *     if (weir_handover_give(host, s, NULL) < 0)   weir_handover_device(host, address, &device);
 *             edu_resume(edu);                     edu_restore(device, &edu);
 *     else                                         weir_handover_finish(host);
 *             edu_forget(edu);                     edu_dma_wait(edu, 1000);
 */

/*
 * Use the device no more, for now: calls that would tell it something, or take something from it, are refused with -EBUSY. What it
 * does, it goes on doing. Returns 0.
 */
int edu_pause(struct edu *edu);

/* Use it again. */
void edu_resume(struct edu *edu);

/*
 * Let go of a driver whose host has been handed over (or was closed): frees it, and touches neither the device nor anything of the host.
 * NULL is allowed.
 */
void edu_forget(struct edu *edu);

/*
 * Take charge of @device, whose host was received (weir_handover_receive()), where the predecessor left off. Registers are read, none is
 * written: a DMA under way goes on. What the predecessor kept is checked like a stranger's word.
 *
 * Returns 0 and the driver in @ret_edu, as edu_open() would; edu_dma_pending() tells what was begun. Or, with the device untouched and
 * what was kept as it was, so that the giver can go on (edu_open() begins anew, after weir_handover_finish()),
 *   -ENODATA  no driver of this kind had got to its end of opening it, or it was closing
 *   -EPROTO   what it kept is damaged, or makes no sense
 *   -ENODEV   no edu, another version than it was, or gone
 *   -ENOENT   its interrupts were not handed over
 *   -EIO      the device has been reset, or somebody else has opened it meanwhile (the liveness register does not answer what it was
 *             told last; where a reset does not clear that, as in QEMU, it clears nothing else either); or registers cannot be reached
 *   -ENOMEM, and those of weir_block_open()
 */
int edu_restore(struct weir_device *device, struct edu **ret_edu);

/* A DMA, as edu_dma_start() was told. */
struct edu_transfer {
	uint64_t iova;
	uint32_t offset, len;
	uint32_t direction; /* enum edu_direction */
	uint32_t how;       /* enum edu_completion */
};

/* How far a DMA has got, as edu_dma_pending() knows. */
enum edu_pending {
	EDU_NOTHING,  /* none was begun that was not waited for */
	EDU_PENDING,  /* begun: edu_dma_wait() waits for it, or finds that it has ended */
	EDU_IN_DOUBT, /* restored: the predecessor was killed as it told the device, and it is not running now: it has ended, or never began */
};

/*
 * The DMA that was begun last, if edu_dma_wait() has not returned 0 for it yet. One in doubt is settled by edu_dma_wait(), which returns
 * at once, and done again: a copy done twice is the same copy, if nobody has changed what it reads.
 *
 * Returns an enum edu_pending, and fills in @ret_transfer unless that is EDU_NOTHING.
 */
enum edu_pending edu_dma_pending(const struct edu *edu, struct edu_transfer *ret_transfer);

#ifdef __cplusplus
}
#endif

#endif
