// SPDX-License-Identifier: MIT
/*
 * A forked child. It has a copy of the machine as it was, and the two have nothing to do with each other from then on: what the child
 * does to a device happens to its copy. Descriptors it has from its parent work on the copy; they are open in both.
 *
 * So that the parent is not disturbed: devices that it has open do nothing in the child before the child uses them, and the memory of
 * BARs, which a child would share, is copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "sim/sysfs/bind.h"

enum { FORKED, OURS, ADOPTING, TORN };

/* Only what is not zero is there. */
static bool copy_content(int to, int from)
{
	off_t hole = 0, data;

	while ((data = lseek(from, hole, SEEK_DATA)) >= 0) {
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0 || lseek(to, data, SEEK_SET) < 0)
			return false;
		while (data < hole) {
			ssize_t done = copy_file_range(from, &data, to, NULL, (size_t)(hole - data), 0);

			if (done <= 0)
				return false;
		}
	}
	return errno == ENXIO;
}

/* Where that fails, parent and child share it still: worse for the parent than for the child. */
static void own_ram(struct sim_bar *bar)
{
	off_t len = lseek(bar->ram_fd, 0, SEEK_END);
	int fd = memfd_create("weir-sim-bar", MFD_CLOEXEC);

	if (fd < 0)
		return;
	if (len > 0 && ftruncate(fd, len) == 0 && copy_content(fd, bar->ram_fd) &&
	    dup3(fd, bar->ram_fd, O_CLOEXEC) >= 0)
		(void)mmap(bar->ram, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, bar->ram_fd,
			   0);
	close(fd);
}

static void adopt_device(struct weir_sim_device *device)
{
	device->sleeps = sim_device_in_use(device);
	for (unsigned int i = 0; i < 6; i++)
		if (device->bars[i].ram)
			own_ram(&device->bars[i]);
}

/* The machine's thread is not in the child. The lock may have been held, by it or another: then what it guards was being changed. */
static bool adopt(struct weir_sim *sim)
{
	if (pthread_mutex_trylock(&sim->lock))
		return false;
	pthread_cond_init(&sim->work, NULL);
	atomic_store(&sim->waiting, 0);
	for (struct sim_file *file = sim->files; file; file = file->next)
		file->inherited = true;
	for (struct weir_sim_device *device = sim->devices; device; device = device->next)
		adopt_device(device);
	if (sim->thread_runs && sim_thread_start(sim))
		sim->thread_runs = false;
	pthread_mutex_unlock(&sim->lock);
	return true;
}

int sim_fork_check(struct weir_sim *sim)
{
	int state = sim->mark ? atomic_load(sim->mark) : OURS;

	if (state == FORKED && atomic_compare_exchange_strong(sim->mark, &state, ADOPTING)) {
		state = adopt(sim) ? OURS : TORN;
		atomic_store(sim->mark, state);
	}
	while (state == ADOPTING) {
		sched_yield();
		state = atomic_load(sim->mark);
	}
	if (state == OURS)
		return 0;
	return weir_fail(-EOWNERDEAD,
			 "another thread was at work in the simulated machine when this process was forked: "
			 "fork while nothing runs, or call weir_sim_stop() before");
}
