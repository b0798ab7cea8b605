/* SPDX-License-Identifier: MIT */
/*
 * The one place through which everything goes that takes a device's memory away (weir/away.h).
 *
 *     weir_away_begin(&device, 1, WEIR_AWAY_RESET);
 *     error = ...;                                    // the device is touched
 *     weir_away_end(&device, 1, WEIR_AWAY_RESET, 0);
 *
 * Between the two, accessors do not touch the device, and what others have mapped of it is withdrawn. Both are called with the locks held of
 * the hosts that the devices belong to, and no lock of a device.
 */
#ifndef WEIR_LIB_AWAY_H
#define WEIR_LIB_AWAY_H

#include <weir/away.h>

struct weir_device;

/* What the registers tell; the rest the library has to know. */
#define WEIR_AWAY_FROM_REGISTERS (WEIR_AWAY_MEMORY | WEIR_AWAY_POWER | WEIR_AWAY_GONE)

/* Are its registers out of reach for this program? A device that was asked for can still be brought to rest, and one that is looked at
 * answers. */
static inline bool weir_away_is_shut(uint32_t away)
{
	return away & ~(WEIR_AWAY_REQUESTED | WEIR_AWAY_RESYNC);
}

struct weir_window;

/* A window that is new may begin with being away. The device's lock is held. */
void weir_away_tell_window(const struct weir_device *device, struct weir_window *window);

/*
 * @why: WEIR_AWAY_..., beside what is the reason already. 0; or, with all as it was, an error, with a text: the kernel failed to take what others
 * have mapped from them. With WEIR_AWAY_CLOSING it has begun all the same.
 */
int weir_away_begin(struct weir_device *const *devices, size_t num, uint32_t why);

/*
 * @why no longer holds, and of what the registers tell, that holds which they tell now. @left: what of @why to believe in when they
 * cannot be read. Returns 0 or the first error of reading them, without a text; the end has come nevertheless.
 */
int weir_away_end(struct weir_device *const *devices, size_t num, uint32_t why, uint32_t left);

/*
 * There may be a trace of something that happened without the library: look at the registers, unless the host's lock is held. Leaves
 * the error's text alone.
 */
void weir_away_notice(struct weir_device *device);

/*
 * The kernel has not mapped a window of the device (@ctx). @taken: because it has taken it away; then all of them are withdrawn, and
 * restored if that was long ago. For struct weir_window_owner.
 */
void weir_away_look(void *ctx, bool taken);

/* -ENODEV or -EIO, with a text: @what ("reading 4 bytes ...") cannot be done while the device is away. */
int weir_away_refuse(const struct weir_device *device, const char *what);

#endif
