/* SPDX-License-Identifier: MIT */
/*
 * A device's interrupts, as event descriptors.
 *
 *     struct weir_irq *irq;
 *     weir_irq_enable(device, WEIR_IRQ_MSIX, 2, &irq);
 *     weir_irq_wait(irq, 0, 1000, NULL);
 *
 * Each vector has an eventfd that the kernel signals; put weir_irq_fd() into your own event loop, or wait
 * here. Of INTx, MSI and MSI-X one can be enabled at a time; ERR and REQ beside it.
 *
 * Threads: any number may wait; enabling and disabling are serialised by the library.
 */
#ifndef WEIR_IRQ_H
#define WEIR_IRQ_H

#include <weir/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_irq;

/* Kinds, as VFIO numbers them. */
enum weir_irq_kind {
	WEIR_IRQ_INTX, /* the legacy pin; the kernel masks it at each interrupt: weir_irq_unmask() when it is served */
	WEIR_IRQ_MSI,
	WEIR_IRQ_MSIX,
	WEIR_IRQ_ERR, /* the device reported an uncorrectable error (PCIe) */
	WEIR_IRQ_REQ, /* the kernel wants the device back: close it soon */
};

/* "INTx", "MSI", "MSI-X", "ERR" or "REQ". Static text. Since 0.1. */
WEIR_API const char *weir_irq_kind_name(enum weir_irq_kind kind);

/*
 * How many vectors of @kind the device has; 0 if it has none of that kind.
 *
 * Returns 0 and the number in @ret_count; or -EINVAL for an unknown kind; or -EIO for a number that no device
 * can have. Kernel: VFIO_DEVICE_GET_IRQ_INFO. Since 0.1.
 */
WEIR_API int weir_irq_count(struct weir_device *device, enum weir_irq_kind kind, uint32_t *ret_count);

/*
 * Enable the first @count vectors of @kind, each with an eventfd of its own.
 *
 * Returns 0 and the interrupts in @ret_irq, which end with weir_irq_disable() or with the device; or, with
 * nothing enabled,
 *   -EINVAL  unknown kind, or count is 0 or more than the device has (weir_error() says how many it has)
 *   -EBUSY   this kind, or another of INTx, MSI and MSI-X, is enabled already
 *   -ENOSPC  the platform has fewer vectors to give; weir_error() says how many
 *   -EMFILE, -ENOMEM
 *
 * Kernel: VFIO_DEVICE_SET_IRQS. Since 0.1.
 */
WEIR_API int weir_irq_enable(struct weir_device *device, enum weir_irq_kind kind, uint32_t count,
			     struct weir_irq **ret_irq);

/*
 * Disable them all and close their descriptors. NULL is allowed. Returns 0 or the kernel's error. Since 0.1.
 */
WEIR_API int weir_irq_disable(struct weir_irq *irq);

/*
 * The eventfd of @vector, or -EINVAL when there are not that many. It is non-blocking and stays the
 * library's: poll and read it, do not close it. Since 0.1.
 */
WEIR_API int weir_irq_fd(const struct weir_irq *irq, uint32_t vector);

/*
 * Wait until @vector has been signalled, and take the signal.
 *
 * Returns 0 and in @ret_count (may be NULL) how often it was signalled since the last wait; or
 *   -ETIMEDOUT  not within @timeout_ms milliseconds (-1: no limit; 0: only look)
 *   -EINTR      a signal handler ran
 *   -EINVAL     there are not that many vectors
 * Since 0.1.
 */
WEIR_API int weir_irq_wait(struct weir_irq *irq, uint32_t vector, int timeout_ms, uint64_t *ret_count);

/*
 * Signal @vector as if the device had, through the kernel (VFIO_DEVICE_SET_IRQS). Returns 0; -EINVAL, there are not that many vectors; or what the kernel
 * says to that call. Since 0.1.
 */
WEIR_API int weir_irq_trigger(struct weir_irq *irq, uint32_t vector);

/* Mask or unmask INTx. Returns 0; -EOPNOTSUPP for every other kind. Since 0.1. */
WEIR_API int weir_irq_mask(struct weir_irq *irq);
WEIR_API int weir_irq_unmask(struct weir_irq *irq);

#ifdef __cplusplus
}
#endif

#endif
