// SPDX-License-Identifier: MIT
/* The machine: opened, closed, locked; and its time. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "sim/device/device.h"
#include "sim/file.h"

enum {
	ADDRESS_BITS = 48,
	MAX_MAPPINGS = 65535,
	ALL_FLAGS = WEIR_SIM_NO_CONTAINER | WEIR_SIM_NO_IOMMUFD | WEIR_SIM_TYPE1_V1 | WEIR_SIM_UNSAFE_IRQS |
		    WEIR_SIM_NO_IOMMU | WEIR_SIM_NO_5_LEVEL | WEIR_SIM_DIRTY_BITS | WEIR_SIM_NO_1_GIB,
	CLOSE_LOOKS = 20,
	CLOSE_PAUSE_NS = 1000000,
};

/* What its kernel has -------------------------------------------------------------------------------------------- */

bool sim_has_iommufd(const struct weir_sim *sim)
{
	return sim->age != WEIR_SIM_6_1 && !(sim->flags & WEIR_SIM_NO_IOMMUFD);
}

bool sim_has_container(const struct weir_sim *sim)
{
	return !(sim->flags & WEIR_SIM_NO_CONTAINER);
}

bool sim_has_map_file(const struct weir_sim *sim)
{
	return sim->age == WEIR_SIM_7_2 || sim->age == WEIR_SIM_6_19;
}

bool sim_has_dma_buf(const struct weir_sim *sim)
{
	return sim->age == WEIR_SIM_7_2 || sim->age == WEIR_SIM_6_19;
}

/* Lock ----------------------------------------------------------------------------------------------------------- */

int sim_lock(struct weir_sim *sim)
{
	int error = sim_fork_check(sim);

	if (error)
		return error;
	atomic_fetch_add(&sim->waiting, 1);
	pthread_mutex_lock(&sim->lock);
	atomic_fetch_sub(&sim->waiting, 1);
	return 0;
}

void sim_unlock(struct weir_sim *sim)
{
	pthread_mutex_unlock(&sim->lock);
}

/* Opening and closing -------------------------------------------------------------------------------------------- */

static int check_opts(const struct weir_sim_opts *opts)
{
	if (opts->age > WEIR_SIM_6_1)
		return weir_fail(-EINVAL, "there is no age %u: see enum weir_sim_age", opts->age);
	if (opts->flags & ~(uint32_t)ALL_FLAGS)
		return weir_fail(-EINVAL, "flags 0x%x are unknown", opts->flags & ~(uint32_t)ALL_FLAGS);
	if (opts->iommu > WEIR_SIM_IOMMU_AMD)
		return weir_fail(-EINVAL, "there is no IOMMU %u: see enum weir_sim_iommu", opts->iommu);
	if (opts->address_bits && (opts->address_bits < 32 || opts->address_bits > 57))
		return weir_fail(-EINVAL, "an IOMMU of %u address bits: 32 to 57 can be simulated",
				 opts->address_bits);
	return 0;
}

/* The kernel clears the page in a forked child, and not in one that shares its memory (vfork): no system call is needed to tell. */
static atomic_int *new_mark(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	atomic_int *mark = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mark == MAP_FAILED)
		return NULL;
	if (madvise(mark, size, MADV_WIPEONFORK) < 0) {
		munmap(mark, size);
		return NULL;
	}
	atomic_store(mark, 1);
	return mark;
}

static void init_sync(struct weir_sim *sim)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&sim->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sim->work, &attr);
	pthread_condattr_destroy(&attr);
}

int weir_sim_open(const struct weir_sim_opts *opts, struct weir_sim **ret_sim)
{
	struct weir_sim_opts o;
	struct weir_sim *sim;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (!error)
		error = check_opts(&o);
	if (error)
		return error;
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		return weir_fail(-ENOMEM, "no memory for a simulated machine");
	sim->age = o.age;
	sim->flags = o.flags;
	sim->iommu = o.iommu;
	sim->address_bits = o.address_bits ? o.address_bits : ADDRESS_BITS;
	sim->max_mappings = o.max_mappings ? o.max_mappings : MAX_MAPPINGS;
	sim->seed = o.seed;
	sim->owner = geteuid();
	sim->mark = new_mark();
	init_sync(sim);
	sim_sys_init(sim);
	*ret_sim = sim;
	return 0;
}

/* Those that a forked child has from its parent are not its own: the parent may well keep them open. */
static const struct sim_file *open_file(struct weir_sim *sim)
{
	const struct sim_file *file = sim->files;

	while (file && file->inherited)
		file = file->next;
	return file;
}

/* Of a descriptor that is open: what it is of, or NULL when there is none. */
static const char *name_of_open(struct weir_sim *sim)
{
	const struct sim_file *file;

	sim_files_reap(sim);
	sim_devices_settle(sim);
	file = open_file(sim);
	return file ? file->ops->name : NULL;
}

/*
 * Whoever looks at a descriptor in /proc/PID/fd, or closes its copy on another processor, holds it for that moment: what has been
 * closed may be over a little later only.
 */
static int check_closed(struct weir_sim *sim)
{
	const char *name = NULL;

	for (int i = 0; i < CLOSE_LOOKS; i++) {
		int error = sim_lock(sim);

		if (error)
			return error;
		name = name_of_open(sim);
		sim_unlock(sim);
		if (!name)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = CLOSE_PAUSE_NS }, NULL);
	}
	return weir_fail(-EBUSY, "a descriptor of this machine is open: %s", name);
}

static void forget_files(struct weir_sim *sim)
{
	for (struct sim_file *file = sim->files; file; file = file->next)
		file->closed = true;
	sim_files_reap(sim);
}

int weir_sim_close(struct weir_sim *sim)
{
	int error;

	if (!sim)
		return 0;
	error = check_closed(sim);
	if (error)
		return error;
	weir_sim_stop(sim);
	forget_files(sim);
	sim_free_devices(sim);
	if (sim->mark)
		munmap(sim->mark, (size_t)sysconf(_SC_PAGESIZE));
	pthread_cond_destroy(&sim->work);
	pthread_mutex_destroy(&sim->lock);
	free(sim);
	return 0;
}

void weir_sim_set_owner(struct weir_sim *sim, unsigned int uid)
{
	if (sim_lock(sim))
		return;
	sim->owner = uid;
	sim_unlock(sim);
}

const struct weir_sys *weir_sim_sys(struct weir_sim *sim)
{
	return &sim->table;
}

/* Time ----------------------------------------------------------------------------------------------------------- */

static bool step_device(struct weir_sim_device *device)
{
	bool worked = false;

	if (device->gone || device->sleeps)
		return false;
	worked = sim_device_watch(device);
	if (!device->hangs && !sim_migration_stopped(device) && device->model->step)
		worked |= device->model->step(device->state);
	return worked;
}

static int step_all(struct weir_sim *sim)
{
	int worked = 0;

	sim_files_reap(sim);
	sim_devices_settle(sim);
	for (struct weir_sim_device *device = sim->devices; device; device = device->next)
		worked += step_device(device);
	return worked;
}

int weir_sim_step(struct weir_sim *sim)
{
	int worked = sim_lock(sim);

	if (worked)
		return worked;
	if (sim->thread_runs)
		worked = weir_fail(-EBUSY, "the machine's devices work on a thread (weir_sim_start())");
	else
		worked = step_all(sim);
	sim_unlock(sim);
	return worked;
}

static bool is_open(const struct weir_sim *sim)
{
	const struct weir_sim_device *device = sim->devices;

	while (device && !device->opens)
		device = device->next;
	return device;
}

/* What a program stores in a RAM BAR, or signals to an eventfd that is watched, wakes nobody: while it might, devices look often. */
static void wait_for_work(struct weir_sim *sim)
{
	enum { A_MILLISECOND = 1000000, A_SECOND = 1000000000 };
	struct timespec until;

	if (!is_open(sim)) {
		pthread_cond_wait(&sim->work, &sim->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += A_MILLISECOND;
	if (until.tv_nsec >= A_SECOND) {
		until.tv_nsec -= A_SECOND;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&sim->work, &sim->lock, &until);
}

static void *run(void *arg)
{
	struct weir_sim *sim = arg;

	pthread_mutex_lock(&sim->lock);
	while (!sim->thread_stops) {
		if (!step_all(sim))
			wait_for_work(sim);
		pthread_mutex_unlock(&sim->lock);
		while (atomic_load(&sim->waiting))
			sched_yield();
		pthread_mutex_lock(&sim->lock);
	}
	pthread_mutex_unlock(&sim->lock);
	return NULL;
}

/* Signals are the program's affair: none is delivered here but those that the thread raises itself. */
int sim_thread_start(struct weir_sim *sim)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT };
	sigset_t all, before;
	int error;

	sim->thread_stops = false;
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&sim->thread, NULL, run, sim);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	sim->thread_runs = !error;
	return error ? weir_fail(-EAGAIN, "no thread for the machine's devices") : 0;
}

int weir_sim_start(struct weir_sim *sim)
{
	int error = sim_lock(sim);

	if (error)
		return error;
	if (sim->thread_runs)
		error = weir_fail(-EBUSY, "the machine's devices work on a thread already");
	else
		error = sim_thread_start(sim);
	sim_unlock(sim);
	return error;
}

int weir_sim_stop(struct weir_sim *sim)
{
	int error = sim_lock(sim);
	bool runs;

	if (error)
		return error;
	runs = sim->thread_runs && !sim->thread_stops;
	sim->thread_stops = true;
	sim_wake(sim);
	sim_unlock(sim);
	if (!runs)
		return 0;
	pthread_join(sim->thread, NULL);
	sim_lock(sim);
	sim->thread_runs = false;
	sim_unlock(sim);
	return 0;
}

void sim_wake(struct weir_sim *sim)
{
	pthread_cond_signal(&sim->work);
}
