// SPDX-License-Identifier: MIT
/*
 * Migration. A stream is a preamble, which is the first part (PRE_COPY), and then what the model saved. The states lie in a graph, of which the kernel
 * takes the shortest way; it begins and ends no stream in passing.
 */
#include "sim/device/migration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/device/device.h"
#include "sim/user.h"

enum {
	ERROR_STATE = ABI_VFIO_DEVICE_STATE_ERROR,
	STOP = ABI_VFIO_DEVICE_STATE_STOP,
	RUNNING = ABI_VFIO_DEVICE_STATE_RUNNING,
	STOP_COPY = ABI_VFIO_DEVICE_STATE_STOP_COPY,
	RESUMING = ABI_VFIO_DEVICE_STATE_RESUMING,
	RUNNING_P2P = ABI_VFIO_DEVICE_STATE_RUNNING_P2P,
	PRE_COPY = ABI_VFIO_DEVICE_STATE_PRE_COPY,
	PRE_COPY_P2P = ABI_VFIO_DEVICE_STATE_PRE_COPY_P2P,
	MOST_SAVED = 1 << 16,
	PREAMBLE = 32,
};

/* Which states lie next to which. */
static const uint32_t next_to[ABI_VFIO_DEVICE_STATE_NR] = {
	[STOP] = 1 << RUNNING_P2P | 1 << STOP_COPY | 1 << RESUMING,
	[RUNNING] = 1 << RUNNING_P2P | 1 << PRE_COPY,
	[STOP_COPY] = 1 << STOP,
	[RESUMING] = 1 << STOP,
	[RUNNING_P2P] = 1 << STOP | 1 << RUNNING | 1 << PRE_COPY_P2P,
	[PRE_COPY] = 1 << RUNNING | 1 << PRE_COPY_P2P,
	[PRE_COPY_P2P] = 1 << RUNNING_P2P | 1 << PRE_COPY | 1 << STOP_COPY,
};

static bool is_pre_copy(uint32_t state)
{
	return state == PRE_COPY || state == PRE_COPY_P2P;
}

bool sim_migration_stopped(const struct weir_sim_device *device)
{
	uint32_t state = device->migration.state;

	return state == STOP || state == STOP_COPY || state == RESUMING || state == ERROR_STATE;
}

/* The stream ------------------------------------------------------------------------------------------------------- */

static void end_stream(struct sim_migration *migration)
{
	if (migration->file)
		migration->file->data = NULL;
	migration->file = NULL;
	free(migration->data);
	migration->data = NULL;
	migration->len = migration->at = migration->room = 0;
}

static int append(struct sim_migration *migration, const void *bytes, size_t len)
{
	if (migration->room - migration->len < len) {
		size_t room = migration->len + len + MOST_SAVED;
		unsigned char *data = realloc(migration->data, room);

		if (!data)
			return -ENOMEM;
		migration->data = data;
		migration->room = room;
	}
	memcpy(migration->data + migration->len, bytes, len);
	migration->len += len;
	return 0;
}

static ssize_t stream_read(struct sim_file *file, void *buf, size_t len)
{
	struct weir_sim_device *device = file->data;
	struct sim_migration *migration = device ? &device->migration : NULL;
	size_t left;

	if (!migration)
		return -ENODEV;
	if (migration->state == RESUMING)
		return -EBADF;
	left = migration->len - migration->at;
	if (!left)
		return is_pre_copy(migration->state) ? -ENOMSG : 0;
	if (left > len)
		left = len;
	if (sim_copy_out(device->sim, (uintptr_t)buf, migration->data + migration->at, left))
		return -EFAULT;
	migration->at += left;
	return (ssize_t)left;
}

static ssize_t stream_write(struct sim_file *file, const void *buf, size_t len)
{
	struct weir_sim_device *device = file->data;
	unsigned char part[4096];
	int error;

	if (!device)
		return -ENODEV;
	if (device->migration.state != RESUMING)
		return -EBADF;
	/* Not all at once, which it need not. */
	if (len > sizeof(part))
		len = sizeof(part);
	if (device->migration.len + len > MOST_SAVED + PREAMBLE)
		return -ENOMEM;
	if (sim_copy_in(part, (uintptr_t)buf, len))
		return -EFAULT;
	error = append(&device->migration, part, len);
	return error ? error : (ssize_t)len;
}

static int stream_ioctl(struct sim_file *file, unsigned long request, void *arg)
{
	struct weir_sim_device *device = file->data;
	struct abi_vfio_precopy_info info;
	int error;

	if (request != ABI_VFIO_MIG_GET_PRECOPY_INFO)
		return -ENOTTY;
	error = sim_argsz_in(arg, &info, sizeof(info), sizeof(info));
	if (error)
		return error;
	if (!device || !is_pre_copy(device->migration.state))
		return -EINVAL;
	info.flags = 0;
	info.initial_bytes = device->migration.len - device->migration.at;
	info.dirty_bytes = 0;
	return sim_copy_out(device->sim, (uintptr_t)arg, &info, sizeof(info));
}

static void stream_release(struct sim_file *file)
{
	struct weir_sim_device *device = file->data;

	if (device)
		device->migration.file = NULL;
}

static const struct sim_file_ops ops = { .name = "migration",
					 .ioctl = stream_ioctl,
					 .read = stream_read,
					 .write = stream_write,
					 .release = stream_release };

static int open_stream(struct weir_sim_device *device, int *ret_fd)
{
	struct sim_migration *migration = &device->migration;
	int fd;

	end_stream(migration);
	fd = sim_file_open(device->sim, &ops, device, &migration->file);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* What is saved ---------------------------------------------------------------------------------------------------- */

static void preamble_of(const struct weir_sim_device *device, char preamble[PREAMBLE])
{
	memset(preamble, 0, PREAMBLE);
	strncpy(preamble, device->model->name, PREAMBLE - 1);
}

size_t sim_migration_size(struct weir_sim_device *device)
{
	static unsigned char buffer[MOST_SAVED]; /* under the machine's lock, and thrown away */

	return PREAMBLE + device->model->save(device->state, buffer, sizeof(buffer));
}

static int begin_copy(struct weir_sim_device *device)
{
	char preamble[PREAMBLE];

	preamble_of(device, preamble);
	return append(&device->migration, preamble, sizeof(preamble));
}

static int save(struct weir_sim_device *device)
{
	unsigned char *buffer = malloc(MOST_SAVED);
	int error = -ENOMEM;

	if (buffer)
		error = append(&device->migration, buffer,
			       device->model->save(device->state, buffer, MOST_SAVED));
	free(buffer);
	return error;
}

static int load(struct weir_sim_device *device)
{
	const struct sim_migration *migration = &device->migration;
	char preamble[PREAMBLE];

	/* Nothing was written: the device is as it was. */
	if (!migration->len)
		return 0;
	preamble_of(device, preamble);
	if (migration->len < PREAMBLE || memcmp(migration->data, preamble, PREAMBLE) != 0)
		return -EINVAL;
	return device->model->load(device->state, migration->data + PREAMBLE, migration->len - PREAMBLE);
}

/* Moving ----------------------------------------------------------------------------------------------------------- */

static int step(struct weir_sim_device *device, uint32_t to, int *ret_fd)
{
	const uint32_t from = device->migration.state;
	bool goes_on = from == PRE_COPY_P2P && to == STOP_COPY;
	int error = 0;

	if (from == RESUMING)
		error = load(device);
	if (!error && (to == RESUMING || to == STOP_COPY || is_pre_copy(to)) && !goes_on &&
	    !(is_pre_copy(from) && is_pre_copy(to))) {
		error = open_stream(device, ret_fd);
		if (!error && to != RESUMING)
			error = begin_copy(device);
	}
	if (!error && to == STOP_COPY)
		error = save(device);
	if (!error && !(to == RESUMING || to == STOP_COPY || is_pre_copy(to)))
		end_stream(&device->migration);
	device->migration.state = error ? ERROR_STATE : to;
	return error;
}

/* In passing, a device is only where no stream begins or ends; but on from PRE_COPY it has to go by PRE_COPY_P2P. */
static bool may_pass(uint32_t from, uint32_t to, uint32_t by)
{
	return by == RUNNING || by == RUNNING_P2P || by == STOP ||
	       (by == PRE_COPY_P2P && from == PRE_COPY && to == STOP_COPY);
}

/* How many steps it is, at most @most; 0: it is there. More than @most: it is further away. */
static uint32_t distance(uint32_t from, uint32_t to, uint32_t start, uint32_t most)
{
	uint32_t best = most + 1;

	if (from == to)
		return 0;
	for (uint32_t by = 0; by < ABI_VFIO_DEVICE_STATE_NR && most; by++) {
		uint32_t rest;

		if (!(next_to[from] & 1u << by) || (by != to && !may_pass(start, to, by)))
			continue;
		rest = distance(by, to, start, most - 1);
		if (rest < most && rest + 1 < best)
			best = rest + 1;
	}
	return best;
}

int sim_migration_set(struct weir_sim_device *device, uint32_t state, int *ret_fd)
{
	enum { FURTHEST = 5 };
	const uint32_t start = device->migration.state;
	int error = 0;

	*ret_fd = -1;
	if (state >= ABI_VFIO_DEVICE_STATE_NR || (start == STOP_COPY && is_pre_copy(state)) ||
	    (start != state && distance(start, state, start, FURTHEST) > FURTHEST))
		return -EINVAL;
	while (!error && device->migration.state != state) {
		uint32_t here = device->migration.state, left = distance(here, state, start, FURTHEST);

		for (uint32_t by = 0; by < ABI_VFIO_DEVICE_STATE_NR; by++)
			if (next_to[here] & 1u << by && (by == state || may_pass(start, state, by)) &&
			    distance(by, state, start, left - 1) == left - 1) {
				error = step(device, by, ret_fd);
				break;
			}
	}
	sim_wake(device->sim);
	return error;
}

void sim_migration_reset(struct weir_sim_device *device)
{
	end_stream(&device->migration);
	device->migration.state = RUNNING;
}
