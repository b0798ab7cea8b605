/* SPDX-License-Identifier: MIT */
/*
 * Migration: a device's own state, taken out of it and put into another one, where its VFIO driver can (kernel interface version 2).
 *
 *     weir_migration_set(device, WEIR_MIGRATION_STOP_COPY, &stream);
 *     while ((got = weir_migration_read(stream, buffer, sizeof(buffer))) > 0)
 *             ...
 *     weir_migration_close(stream);
 *
 * and where it goes, RESUMING, weir_migration_write(), weir_migration_close(), RUNNING. What the bytes mean is the driver's affair; both sides must have the same one.
 *
 * Memory is not part of it: what the device writes meanwhile is told by weir/dirty.h. Several devices that do DMA to each other go to RUNNING_P2P or PRE_COPY_P2P, all of
 * them, before the first one is stopped.
 *
 * Threads: any may call; one at a time has a stream.
 */
#ifndef WEIR_MIGRATION_H
#define WEIR_MIGRATION_H

#include <weir/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* States, by the kernel's numbers. */
enum weir_migration_state {
	WEIR_MIGRATION_ERROR,        /* only weir_device_reset() helps */
	WEIR_MIGRATION_STOP,         /* it does nothing, and its state does not change */
	WEIR_MIGRATION_RUNNING,      /* as it is opened, and after a reset */
	WEIR_MIGRATION_STOP_COPY,    /* stopped, and its state is read */
	WEIR_MIGRATION_RESUMING,     /* stopped, and its state is written */
	WEIR_MIGRATION_RUNNING_P2P,  /* it runs, but begins no DMA to other devices */
	WEIR_MIGRATION_PRE_COPY,     /* it runs, and what is read is a first part */
	WEIR_MIGRATION_PRE_COPY_P2P, /* both */
};

/* "running", ... Static text. Since 0.1. */
WEIR_API const char *weir_migration_name(uint32_t state);

#define WEIR_MIGRATION_CAN_STOP_COPY (1u << 0) /* STOP_COPY and RESUMING; it has them if it migrates at all */
#define WEIR_MIGRATION_CAN_P2P       (1u << 1) /* RUNNING_P2P */
#define WEIR_MIGRATION_CAN_PRE_COPY  (1u << 2) /* PRE_COPY; with P2P, PRE_COPY_P2P as well */

struct weir_migration_info {
	uint32_t flags;      /* WEIR_MIGRATION_CAN_... */
	uint32_t state;      /* enum weir_migration_state */
	uint64_t stop_bytes; /* that STOP_COPY would read, by the driver's estimate; 0: it has none */
};

/*
 * Fill in @ret_info (@size: sizeof *@ret_info). Returns 0; -EOPNOTSUPP, the device or its driver does not migrate; -ENODEV, it has gone; -EIO.
 * Kernel: VFIO_DEVICE_FEATURE_MIGRATION, _MIG_DEVICE_STATE, _MIG_DATA_SIZE. Since 0.1.
 */
WEIR_API int weir_migration_info(struct weir_device *device, struct weir_migration_info *ret_info,
				 size_t size);

struct weir_migration;

/*
 * Put @device into @state, by way of the states in between. What is not possible is refused before the kernel is asked: from STOP_COPY to one of the PRE_COPY states,
 * into ERROR, out of ERROR, and states that the device has not.
 *
 * *@ret_stream: the stream of what is read or written, if the way ended in STOP_COPY, RESUMING or PRE_COPY and began one; else NULL. From PRE_COPY to STOP_COPY the stream goes on
 * that there is. The caller closes it with weir_migration_close(), which does not change the state; leaving the state ends it: reads then say that it is over or -EIO.
 *
 * Returns 0; or
 *   -EINVAL     there is no such state, or no way to it from the one it is in; nothing has changed
 *   -EOPNOTSUPP the device does not migrate, or has not this state; nothing has changed
 *   -ENOMEM, -ENODEV
 *   -EIO        the driver failed on the way. weir_error() says which state it is in now; if that is ERROR, only weir_device_reset() helps
 *
 * Kernel: VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE. Since 0.1.
 */
WEIR_API int weir_migration_set(struct weir_device *device, uint32_t state,
				struct weir_migration **ret_stream);

/*
 * Read up to @len bytes (up to INT32_MAX) of the device's state. Returns how many, 0 at the end (in PRE_COPY: of what there is now); -EINVAL, it is a stream to be written; or the
 * driver's error. Since 0.1.
 */
WEIR_API int weir_migration_read(struct weir_migration *stream, void *buf, size_t len);

/* Write all of @len bytes. Returns 0; -EINVAL, it is a stream to be read; or the driver's error: RESUMING has failed then. Since 0.1. */
WEIR_API int weir_migration_write(struct weir_migration *stream, const void *buf, size_t len);

struct weir_migration_left {
	uint64_t
		initial_bytes; /* of the first part, which should be on the other side before the device is stopped */
	uint64_t dirty_bytes; /* of what has changed since it was read */
};

/*
 * How much is left to read in PRE_COPY, by the driver's estimate, in @ret_left (@size: sizeof *@ret_left). Returns 0; -EINVAL, the device is not in PRE_COPY; -EOPNOTSUPP.
 * Kernel: VFIO_MIG_GET_PRECOPY_INFO. Since 0.1.
 */
WEIR_API int weir_migration_left(struct weir_migration *stream, struct weir_migration_left *ret_left,
				 size_t size);

/* The stream's descriptor, to be polled; it stays the stream's. Since 0.1. */
WEIR_API int weir_migration_fd(const struct weir_migration *stream);

/* NULL is allowed. Returns 0. Since 0.1. */
WEIR_API int weir_migration_close(struct weir_migration *stream);

#ifdef __cplusplus
}
#endif

#endif
