// SPDX-License-Identifier: MIT
/*
 * Several processes to one machine: they share all that is in it, and what each has mapped is charged to itself. A process is a table of system calls;
 * those that have to do with accounting note whose they are, for the thread, as long as they last.
 */
#include "sim/process.h"

#include <errno.h>

static _Thread_local unsigned int current;

unsigned int sim_process_now(void)
{
	return current;
}

static int ioctl_of(struct weir_sim *sim, unsigned int process, int fd, unsigned long request, void *arg)
{
	unsigned int before = current;
	int result;

	current = process;
	result = sim->table.ioctl(sim, fd, request, arg);
	current = before;
	return result;
}

static int open_of(struct weir_sim *sim, unsigned int process, const char *path, int flags)
{
	unsigned int before = current;
	int result;

	current = process;
	result = sim->table.open(sim, path, flags);
	current = before;
	return result;
}

static int first_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	return ioctl_of(ctx, 1, fd, request, arg);
}

static int second_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	return ioctl_of(ctx, 2, fd, request, arg);
}

static int third_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	return ioctl_of(ctx, 3, fd, request, arg);
}

static int first_open(void *ctx, const char *path, int flags)
{
	return open_of(ctx, 1, path, flags);
}

static int second_open(void *ctx, const char *path, int flags)
{
	return open_of(ctx, 2, path, flags);
}

static int third_open(void *ctx, const char *path, int flags)
{
	return open_of(ctx, 3, path, flags);
}

void sim_processes_init(struct weir_sim *sim)
{
	static int (*const ioctls[])(void *ctx, int fd, unsigned long request,
				     void *arg) = { NULL, first_ioctl, second_ioctl, third_ioctl };
	static int (*const opens[])(void *ctx, const char *path, int flags) = { NULL, first_open, second_open,
										third_open };

	for (unsigned int number = 1; number < SIM_PROCESSES; number++) {
		sim->processes[number].table = sim->table;
		sim->processes[number].table.ioctl = ioctls[number];
		sim->processes[number].table.open = opens[number];
	}
}

const struct weir_sys *weir_sim_sys_of(struct weir_sim *sim, unsigned int process)
{
	if (!process)
		return &sim->table;
	return process < SIM_PROCESSES ? &sim->processes[process].table : NULL;
}

int weir_sim_set_memlock(struct weir_sim *sim, unsigned int process, uint64_t bytes)
{
	int error = process < SIM_PROCESSES ? sim_lock(sim) : -EINVAL;

	if (error)
		return error;
	sim->processes[process].memlock = bytes;
	sim_unlock(sim);
	return 0;
}

int weir_sim_charged(struct weir_sim *sim, unsigned int process, uint64_t *ret_pinned, uint64_t *ret_locked)
{
	int error = process < SIM_PROCESSES ? sim_lock(sim) : -EINVAL;

	if (error)
		return error;
	*ret_pinned = sim->processes[process].pinned_bytes;
	*ret_locked = sim->processes[process].locked_bytes;
	sim_unlock(sim);
	return 0;
}
