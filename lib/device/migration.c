// SPDX-License-Identifier: MIT
/* Migration: the states of a device, and the stream of its own state. */
#include <weir/migration.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "error.h"
#include "kernel/vfio_device.h"

struct weir_migration {
	const struct weir_sys *sys;
	int fd;
	bool writes; /* RESUMING's */
};

const char *weir_migration_name(uint32_t state)
{
	static const char *const names[] = {
		[WEIR_MIGRATION_ERROR] = "error",       [WEIR_MIGRATION_STOP] = "stop",
		[WEIR_MIGRATION_RUNNING] = "running",   [WEIR_MIGRATION_STOP_COPY] = "stop-copy",
		[WEIR_MIGRATION_RESUMING] = "resuming", [WEIR_MIGRATION_RUNNING_P2P] = "running-p2p",
		[WEIR_MIGRATION_PRE_COPY] = "pre-copy", [WEIR_MIGRATION_PRE_COPY_P2P] = "pre-copy-p2p",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/* Asking ----------------------------------------------------------------------------------------------------------- */

static int get(const struct weir_device *device, uint32_t feature, void *data, size_t len)
{
	return weir_vfio_device_get_feature(weir_device_sys(device), device->function->fd, feature, data,
					    len);
}

static int explain(const struct weir_device *device, const char *what, int error)
{
	if (error == -ENOTTY)
		return weir_fail(-EOPNOTSUPP,
				 "%s, or its driver (it takes another one than vfio-pci), does not migrate",
				 device->function->address);
	return weir_fail(error == -ENODEV || error == -ENOMEM ? error : -EIO, "%s of %s: %s", what,
			 device->function->address, strerror(-error));
}

static int get_flags(const struct weir_device *device, uint32_t *ret_flags)
{
	struct abi_vfio_device_feature_migration migration = { 0 };
	int error = get(device, ABI_VFIO_DEVICE_FEATURE_MIGRATION, &migration, sizeof(migration));

	if (error)
		return explain(device, "VFIO_DEVICE_FEATURE_MIGRATION", error);
	*ret_flags = (uint32_t)migration.flags &
		     (WEIR_MIGRATION_CAN_STOP_COPY | WEIR_MIGRATION_CAN_P2P | WEIR_MIGRATION_CAN_PRE_COPY);
	return 0;
}

static int get_state(const struct weir_device *device, uint32_t *ret_state)
{
	struct abi_vfio_device_feature_mig_state state = { .data_fd = -1 };
	int error = get(device, ABI_VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &state, sizeof(state));

	if (!error && state.device_state >= ABI_VFIO_DEVICE_STATE_NR)
		return weir_fail(-EIO, "%s is in state %u, which there is not", device->function->address,
				 state.device_state);
	if (error)
		return explain(device, "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE", error);
	*ret_state = state.device_state;
	return 0;
}

bool weir_device_migrates(struct weir_device *device)
{
	uint32_t state;

	if (get_state(device, &state))
		return false;
	return state == WEIR_MIGRATION_STOP_COPY || state == WEIR_MIGRATION_RESUMING ||
	       state == WEIR_MIGRATION_PRE_COPY || state == WEIR_MIGRATION_PRE_COPY_P2P;
}

int weir_migration_info(struct weir_device *device, struct weir_migration_info *ret_info, size_t size)
{
	struct abi_vfio_device_feature_mig_data_size bytes = { 0 };
	struct weir_migration_info info = { 0 };
	int error = get_flags(device, &info.flags);

	if (!error)
		error = get_state(device, &info.state);
	if (error)
		return error;
	/* It came later than the rest, and no driver owes it. */
	if (!get(device, ABI_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &bytes, sizeof(bytes)))
		info.stop_bytes = bytes.stop_copy_length;
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}

/* Moving ----------------------------------------------------------------------------------------------------------- */

/* What the device must be able to do to be in a state. */
static uint32_t wants(uint32_t state)
{
	switch (state) {
	case WEIR_MIGRATION_RUNNING_P2P:
		return WEIR_MIGRATION_CAN_P2P;
	case WEIR_MIGRATION_PRE_COPY:
		return WEIR_MIGRATION_CAN_PRE_COPY;
	case WEIR_MIGRATION_PRE_COPY_P2P:
		return WEIR_MIGRATION_CAN_PRE_COPY | WEIR_MIGRATION_CAN_P2P;
	default:
		return 0;
	}
}

static bool is_pre_copy(uint32_t state)
{
	return state == WEIR_MIGRATION_PRE_COPY || state == WEIR_MIGRATION_PRE_COPY_P2P;
}

static int check_way(const struct weir_device *device, uint32_t from, uint32_t to)
{
	const char *address = device->function->address;
	uint32_t flags;
	int error;

	if (to == WEIR_MIGRATION_ERROR || to > WEIR_MIGRATION_PRE_COPY_P2P)
		return weir_fail(-EINVAL, "there is no state %u to go to", to);
	if (from == WEIR_MIGRATION_ERROR)
		return weir_fail(-EINVAL, "%s is in the state of error, out of which only a reset helps",
				 address);
	if (from == WEIR_MIGRATION_STOP_COPY && is_pre_copy(to))
		return weir_fail(-EINVAL, "%s cannot go from %s to %s: to stop or running first", address,
				 weir_migration_name(from), weir_migration_name(to));
	error = get_flags(device, &flags);
	if (!error && wants(to) & ~flags)
		return weir_fail(-EOPNOTSUPP, "%s has no state %s", address, weir_migration_name(to));
	return error;
}

static int move(struct weir_device *device, uint32_t to, int *ret_fd)
{
	struct {
		struct abi_vfio_device_feature head;
		struct abi_vfio_device_feature_mig_state state;
	} cmd = { .head = { .argsz = sizeof(cmd),
			    .flags = ABI_VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | ABI_VFIO_DEVICE_FEATURE_SET },
		  .state = { .device_state = to, .data_fd = -1 } };
	const struct weir_sys *sys = weir_device_sys(device);
	int error = sys->ioctl(sys->ctx, device->function->fd, ABI_VFIO_DEVICE_FEATURE, &cmd);
	uint32_t now;

	*ret_fd = error ? -1 : cmd.state.data_fd;
	if (!error)
		return 0;
	if (get_state(device, &now))
		return weir_fail_within(-EIO, "%s could not go to %s (%s), and does not say where it is",
					device->function->address, weir_migration_name(to), strerror(-error));
	return weir_fail(error == -ENODEV || error == -ENOMEM ? error : -EIO,
			 "%s could not go to %s (%s); it is in the state %s now%s", device->function->address,
			 weir_migration_name(to), strerror(-error), weir_migration_name(now),
			 now == WEIR_MIGRATION_ERROR ? ": reset it" : "");
}

/* The host's lock is held: two that move a device at a time would not know from where. */
static int set_state(struct weir_device *device, uint32_t state, struct weir_migration *stream)
{
	uint32_t from;
	int error = get_state(device, &from);

	if (!error)
		error = check_way(device, from, state);
	if (!error && from != state)
		error = move(device, state, &stream->fd);
	stream->writes = state == WEIR_MIGRATION_RESUMING;
	return error;
}

int weir_migration_set(struct weir_device *device, uint32_t state, struct weir_migration **ret_stream)
{
	struct weir_migration *stream = calloc(1, sizeof(*stream));
	int error;

	if (!stream)
		return weir_fail(-ENOMEM, "no memory for a stream");
	stream->sys = weir_device_sys(device);
	stream->fd = -1;
	pthread_mutex_lock(&device->host->lock);
	error = set_state(device, state, stream);
	pthread_mutex_unlock(&device->host->lock);
	if (error || stream->fd < 0) {
		free(stream);
		stream = NULL;
	}
	if (!error)
		*ret_stream = stream;
	return error;
}

/* The stream ------------------------------------------------------------------------------------------------------- */

int weir_migration_read(struct weir_migration *stream, void *buf, size_t len)
{
	ssize_t got;

	if (stream->writes)
		return weir_fail(-EINVAL, "the state of a device that is resuming is written");
	do
		got = stream->sys->read(stream->sys->ctx, stream->fd, buf, len < INT32_MAX ? len : INT32_MAX);
	while (got == -EINTR);
	/* What the driver says in PRE_COPY when there is nothing for now. */
	if (got == -ENOMSG)
		got = 0;
	return got < 0 ? weir_fail((int)got, "reading a device's state: %s", strerror((int)-got)) : (int)got;
}

int weir_migration_write(struct weir_migration *stream, const void *buf, size_t len)
{
	const char *at = buf;

	if (!stream->writes)
		return weir_fail(-EINVAL, "the state of a device that is not resuming is read");
	while (len) {
		ssize_t done = stream->sys->write(stream->sys->ctx, stream->fd, at, len);

		if (done == -EINTR)
			continue;
		if (done <= 0)
			return weir_fail(done ? (int)done : -EIO, "writing a device's state: %s",
					 done ? strerror((int)-done) : "nothing was taken");
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

int weir_migration_left(struct weir_migration *stream, struct weir_migration_left *ret_left, size_t size)
{
	struct abi_vfio_precopy_info info = { .argsz = sizeof(info) };
	int error = stream->sys->ioctl(stream->sys->ctx, stream->fd, ABI_VFIO_MIG_GET_PRECOPY_INFO, &info);
	struct weir_migration_left left = { info.initial_bytes, info.dirty_bytes };

	if (error == -ENOTTY)
		return weir_fail(-EOPNOTSUPP, "this driver does not say how much is left");
	if (error)
		return weir_fail(error, "VFIO_MIG_GET_PRECOPY_INFO: %s", strerror(-error));
	weir_result_write(ret_left, size, &left, sizeof(left));
	return 0;
}

int weir_migration_fd(const struct weir_migration *stream)
{
	return stream->fd;
}

int weir_migration_close(struct weir_migration *stream)
{
	if (!stream)
		return 0;
	stream->sys->close(stream->sys->ctx, stream->fd);
	free(stream);
	return 0;
}
