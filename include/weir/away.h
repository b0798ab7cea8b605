/* SPDX-License-Identifier: MIT */
/*
 * When a device's memory is away: switched off, asleep, in reset, unplugged.
 *
 * Then nothing answers at its memory BARs, for this program or for other devices. The library does not touch them, and its accessors
 * (weir/region.h) return -EIO or -ENODEV. Pointers from weir_region_map() stay valid, but touching one raises SIGBUS until the memory
 * is back, unless weir/guard.h is in use.
 *
 * The library takes the memory away itself in weir_device_set_memory(), _reset(), _hot_reset() (that of every function in reach which is
 * open in this process), weir_device_sleep() and weir_device_close(); and when the program writes to the configuration space what amounts
 * to that: COMMAND, the power state, a function level reset. Of all these it knows beforehand. What happens without it - another
 * process, a raw ioctl, an unplugged device - it finds at the next call that comes across a trace of it: COMMAND and the
 * power state when they are read; an access through the descriptor that fails; one that the guard has caught; an ERR or REQ event
 * that weir_irq_wait() takes; a window (weir/peer.h) that the kernel refuses to map, having taken it away. For what leaves no trace there is
 * weir_device_resync().
 *
 * Threads: any. An access that another thread has just begun while the memory is taken away is not held back: in a reset it waits in the
 * kernel until that is over; otherwise it may raise SIGBUS. Who cannot exclude that uses the guard.
 */
#ifndef WEIR_AWAY_H
#define WEIR_AWAY_H

#include <weir/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why a device's memory is away; several at once. */
#define WEIR_AWAY_MEMORY  (1u << 0) /* COMMAND: memory decoding is off */
#define WEIR_AWAY_POWER   (1u << 1) /* a power state other than D0 */
#define WEIR_AWAY_GONE    (1u << 2) /* the device no longer answers at all */
#define WEIR_AWAY_RESET   (1u << 3) /* a reset is under way */
#define WEIR_AWAY_ASLEEP  (1u << 4) /* weir_device_sleep(), until weir_device_wake() */
#define WEIR_AWAY_CLOSING (1u << 5) /* weir_device_close() */
#define WEIR_AWAY_REQUESTED                                                                                  \
	(1u << 6) /* the kernel wants it back: registers answer still, but nobody else is to use them */
#define WEIR_AWAY_RESYNC (1u << 7) /* weir_device_resync() is looking: the same */

/* As far as the library knows: 0, or WEIR_AWAY_... Asks nobody. Since 0.1. */
WEIR_API uint32_t weir_device_away(const struct weir_device *device);

/*
 * Find out what has happened to the device without the library, and act on it: what is away by COMMAND and power state is away from now on,
 * what is back is back. The device's windows for others (weir/peer.h) are withdrawn meanwhile, and restored under the next generation if
 * it answers, whatever it looks like: nothing tells that a raw reset has cut them. Also looks whether a REQ event is waiting in an
 * interrupt that is enabled (it is not taken), and forgets an earlier REQ if none is.
 *
 * To be called after a raw ioctl on the device's descriptor, a reset above all; after an event that the program has
 * read from its descriptor itself; and when registers read as all ones, which is how an unplugged device answers.
 *
 * A sleeping device is not asked: that would wake it.
 *
 * Returns 0, and what weir_device_away() says is right; -ENODEV when the device has gone; or -EIO when its configuration space
 * could not be read, or the errno of poll(): what weir_device_away() says has not changed; or as weir_device_reset() for its windows.
 * Kernel: reads of the configuration space. Since 0.1.
 */
WEIR_API int weir_device_resync(struct weir_device *device);

/*
 * Let the kernel put the device to sleep (runtime power management) until weir_device_wake().
 *
 * @wakeup_fd: -1; or an eventfd of the caller's, which stays the caller's, to be signalled when the device wakes up by itself, as by a
 * PME. The device is then awake for the kernel, but away for the library until weir_device_wake(), which the program calls when it sees
 * the signal: what was exported for other devices comes back only then.
 *
 * What to know of the kernel's way: the device may sleep once the call has returned, not must. With @wakeup_fd, every access to the device by
 * the kernel ends the sleep and signals, even a read of its configuration space. Without, each such access wakes it for as long as it
 * takes. So leave a sleeping device alone: weir_device_resync() does, BAR accessors are refused; accesses to the configuration
 * space, resets and interrupt calls go through. In deep sleep (D3cold) the device loses its state, and wakes up as after a reset;
 * the configuration space is restored by the kernel.
 *
 * Stop the device's work before: it must do no DMA.
 *
 * Returns 0; or, with nothing changed,
 *   -EALREADY    it is asleep
 *   -EOPNOTSUPP  this kernel, or this device's driver, cannot do it
 *   -EINVAL      @wakeup_fd is no eventfd; or the device was put to sleep without the library
 *   -ENODEV      the device has gone
 *   -EIO         it failed; weir_error() says how
 *
 * Kernel: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, _ENTRY_WITH_WAKEUP. Since 0.1.
 */
WEIR_API int weir_device_sleep(struct weir_device *device, int wakeup_fd);

/*
 * End weir_device_sleep(), also one that has ended by itself. Nothing to do is no error.
 *
 * Returns 0; or -ENODEV, -EOPNOTSUPP, -EIO as above: it is still asleep for the library. Kernel: VFIO_DEVICE_FEATURE_LOW_POWER_EXIT. Since 0.1.
 */
WEIR_API int weir_device_wake(struct weir_device *device);

#ifdef __cplusplus
}
#endif

#endif
