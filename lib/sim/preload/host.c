// SPDX-License-Identifier: MIT
/* The process's machine: made when a name of its is first used, on a thread of its own from then on. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/device/device.h"
#include "sim/file.h"
#include "sim/preload/describe.h"
#include "sim/preload/preload.h"

enum { STATUS_REFUSED = 2, LINE_SIZE = 1024 };

static struct {
	pthread_once_t once;
	_Atomic(struct weir_sim *) sim;
	/*
	 * The process whose machine it is: on a page that the kernel clears in a forked child, and not in
	 * one of vfork().
	 */
	_Atomic pid_t *owner;
	pid_t maker;
	bool locked; /* for a fork */
	bool told;   /* that it is a copy, or cannot be used */
} host = { .once = PTHREAD_ONCE_INIT };

/*
 * Above zero: what this thread calls is not for the machine. In static memory: touching it must not call
 * anything.
 */
static __thread unsigned int inside __attribute__((tls_model("initial-exec")));

void *preload_next(void **cache, const char *name)
{
	void *next = __atomic_load_n(cache, __ATOMIC_RELAXED);

	if (next)
		return next;
	next = dlsym(RTLD_NEXT, name);
	if (!next) {
		preload_say("the C library has no %s", name);
		_exit(STATUS_REFUSED);
	}
	__atomic_store_n(cache, next, __ATOMIC_RELAXED);
	return next;
}

void preload_say(const char *format, ...)
{
	char line[LINE_SIZE];
	int used = snprintf(line, sizeof(line), "weir-sim: ");
	va_list arguments;

	va_start(arguments, format);
	used += vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, arguments);
	va_end(arguments);
	if (used > (int)sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used++] = '\n';
	(void)!NEXT(write)(STDERR_FILENO, line, (size_t)used);
}

/* Inside ------------------------------------------------------------------------------------------------- */

/* Faults of the machine's own are not held back: they end the program, as they should. */
static void hold_back(struct preload_call *call)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT };
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&all, own[i]);
	NEXT(pthread_sigmask)(SIG_BLOCK, &all, &call->mask);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &call->cancel);
	inside++;
}

void preload_leave(const struct preload_call *call)
{
	int error = errno;

	inside--;
	pthread_setcancelstate(call->cancel, NULL);
	NEXT(pthread_sigmask)(SIG_SETMASK, &call->mask, NULL);
	errno = error;
}

ssize_t preload_result(ssize_t result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

/* The machine's thread is inside all its life. */
struct thread {
	void *(*run)(void *);
	void *arg;
};

static void *run_inside(void *arg)
{
	struct thread thread = *(struct thread *)arg;

	free(arg);
	inside++;
	return thread.run(thread.arg);
}

EXPORT int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	struct thread *thread;
	int error;

	if (!inside)
		return NEXT(pthread_create)(ret_thread, attr, run, arg);
	thread = malloc(sizeof(*thread));
	if (!thread)
		return EAGAIN;
	*thread = (struct thread){ run, arg };
	error = NEXT(pthread_create)(ret_thread, attr, run_inside, thread);
	if (error)
		free(thread);
	return error;
}

/* Forks -------------------------------------------------------------------------------------------------- */

/* A child gets a machine that nobody is in the middle of changing. */
static void before_fork(void)
{
	inside++;
	host.locked = !sim_lock(host.sim);
}

static void after_fork(void)
{
	if (host.locked)
		sim_unlock(host.sim);
	inside--;
}

/*
 * May this process use the machine? A child of vfork() has its parent's memory, but closes descriptors of
 * its own: it does not. A forked child has a copy (sim/fork.c).
 */
static bool may_use(void)
{
	pid_t owner = *host.owner, self = getpid();

	if (owner == self)
		return true;
	if (owner)
		return false;
	*host.owner = self;
	return true;
}

/*
 * What a child does to a device that its parent has open, the parent does not see: who runs it should
 * know.
 */
void preload_tell_of_copy(const struct sim_file *file)
{
	if (!file->inherited || host.told)
		return;
	host.told = true;
	preload_say(
		"process %d was forked with simulated devices open (in %d): from now on it has a copy of the "
		"simulated host, and what either does the other does not see",
		(int)getpid(), (int)host.maker);
}

/* Making ------------------------------------------------------------------------------------------------- */

static void make(void)
{
	const char *text = getenv(SIM_MACHINE_VARIABLE);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct weir_sim *sim;

	host.owner = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (host.owner == MAP_FAILED || madvise(host.owner, page, MADV_WIPEONFORK) < 0) {
		preload_say("no memory that a forked child finds cleared (Linux 4.14): %s", strerror(errno));
		_exit(STATUS_REFUSED);
	}
	if (sim_describe_build(text ? text : "", &sim)) {
		preload_say("%s", weir_error());
		_exit(STATUS_REFUSED);
	}
	*host.owner = host.maker = getpid();
	sim->traps = true;
	if (weir_sim_start(sim)) {
		preload_say("%s", weir_error());
		_exit(STATUS_REFUSED);
	}
	host.sim = sim;
	pthread_atfork(before_fork, after_fork, after_fork);
	preload_trap_start();
}

/* Entering ----------------------------------------------------------------------------------------------- */

/* Below these. What of it is not the machine's after all, it passes on. */
static bool may_be_ours(const char *path)
{
	static const char *const roots[] = { "/sys/bus/pci",
					     "/sys/devices/pci",
					     "/sys/kernel/iommu_groups",
					     "/sys/class/vfio-dev",
					     "/sys/kernel/debug/iommu",
					     "/dev/iommu",
					     "/dev/vfio" };

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if (!strncmp(path, roots[i], strlen(roots[i])))
			return true;
	/* What the process has locked includes what the machine has pinned, if there is one; and BARs are device memory. */
	return host.sim && !strncmp(path, "/proc/", 6) && (strstr(path, "/status") || strstr(path, "/smaps"));
}

struct weir_sim *preload_enter_any(struct preload_call *call)
{
	struct weir_sim *sim = host.sim;

	if (inside || !sim || !may_use())
		return NULL;
	hold_back(call);
	return sim;
}

struct weir_sim *preload_enter(struct preload_call *call, const char *path)
{
	if (inside || !path || !may_be_ours(path))
		return NULL;
	if (!host.sim) {
		hold_back(call);
		pthread_once(&host.once, make);
		preload_leave(call);
	}
	return preload_enter_any(call);
}

/* A refusal that every later call would meet as well is told once. */
static void tell_of_refusal(void)
{
	if (!host.told)
		preload_say("%s", weir_error());
	host.told = true;
}

struct weir_sim *preload_enter_fd(struct preload_call *call, int fd)
{
	struct weir_sim *sim = host.sim;
	const struct sim_file *file = NULL;
	struct stat status;
	int error = errno;

	if (inside || !sim || NEXT(fstat)(fd, &status) < 0 || !S_ISSOCK(status.st_mode)) {
		errno = error;
		return NULL;
	}
	sim = preload_enter_any(call);
	if (!sim)
		return NULL;
	if (sim_lock(sim)) {
		tell_of_refusal();
	} else {
		file = sim_file_find(sim, fd);
		if (file)
			preload_tell_of_copy(file);
		sim_unlock(sim);
	}
	if (file)
		return sim;
	preload_leave(call);
	return NULL;
}
