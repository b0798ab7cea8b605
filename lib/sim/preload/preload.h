/* SPDX-License-Identifier: MIT */
/*
 * The library that weir-sim-run preloads: the C library's functions, of which those calls that concern the
 * simulated machine are answered by it and all others go where they would have gone.
 *
 *     host.c      the process's machine; entering and leaving it
 *     names.c     names of files: which are the machine's; what was opened under which
 *     open.c      open and its like; files of sysfs become real files for the program
 *     stdio.c     fopen, fdopen
 *     io.c        read, write, ioctl, poll, close
 *     memory.c    mmap, munmap
 *     status.c    stat and its like
 *     path.c      access, readlink, realpath
 *     dir.c       opendir and its like
 *     signals.c   the handler of SIGSEGV, beside the program's own; signal masks
 *     trap.c      loads and stores of registers
 *
 * The machine's own calls (it is linked into this library) come here too: a thread that has entered the
 * machine is inside, and whatever it calls goes straight on. Descriptors of the machine are sockets, so
 * everything else costs one fstat() more.
 */
#ifndef WEIR_SIM_PRELOAD_PRELOAD_H
#define WEIR_SIM_PRELOAD_PRELOAD_H

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "sim/machine.h"

#define EXPORT __attribute__((visibility("default")))

/* The next definition of a function: the C library's, or another preloaded library's. */
#define NEXT(name)                                                                                           \
	({                                                                                                   \
		static void *next_;                                                                          \
		(typeof(&(name)))preload_next(&next_, #name);                                                \
	})

/* For NEXT(). Ends the process if there is none. */
void *preload_next(void **cache, const char *name);

/* The machine -------------------------------------------------------------------------------------------- */

/*
 * What entering changes in a thread: no signal handler and no cancellation happens in the middle of a call
 * on the machine.
 */
struct preload_call {
	sigset_t mask;
	int cancel;
};

/*
 * Is this call the machine's? By name: if the name could be its own (the machine is made now, if it was
 * not before). By descriptor: if it is one. NULL: it is not, nothing has happened. Else the thread is
 * inside until preload_leave().
 */
struct weir_sim *preload_enter(struct preload_call *call, const char *path);
struct weir_sim *preload_enter_fd(struct preload_call *call, int fd);

/* Whatever it is about: if there is a machine. */
struct weir_sim *preload_enter_any(struct preload_call *call);

void preload_leave(const struct preload_call *call);

/* errno and -1 of a negative result. */
ssize_t preload_result(ssize_t result);

/* One line on the standard error, from anywhere. */
__attribute__((format(printf, 1, 2))) void preload_say(const char *format, ...);

/* Names -------------------------------------------------------------------------------------------------- */

enum { PRELOAD_PATH_SIZE = 512 };

/*
 * The absolute name behind one relative to @dirfd, if it could be the machine's: in @path, or @name
 * itself. NULL: it could not. Not to be called inside.
 */
const char *preload_path(int dirfd, const char *name, char path[PRELOAD_PATH_SIZE]);

/* A descriptor was opened under a name; the name of one (false: it has none). Inside only. */
void preload_opened(struct weir_sim *sim, int fd, const char *path);
bool preload_name_of(struct weir_sim *sim, int fd, char path[PRELOAD_PATH_SIZE]);

/*
 * A file that a forked child has from its parent is used: the first time, say that it is a copy. The
 * machine's lock is held.
 */
void preload_tell_of_copy(const struct sim_file *file);

/* Between the files -------------------------------------------------------------------------------------- */

/*
 * What is there, as lstat or stat would say. 0, or a negative errno; SIM_PASS_ON: it is not the machine's.
 * Inside only.
 */
int preload_status(struct weir_sim *sim, const char *path, bool follow, struct stat *ret_status);

/* open() on the machine: a descriptor or a negative errno; SIM_PASS_ON. Inside only. */
int preload_open(struct weir_sim *sim, const char *path, int flags);

/* Serve registers from now on. */
void preload_trap_start(void);

/* A fault at @addr: true if it was an access to registers, and was done. */
bool preload_trap(uintptr_t addr, void *context);

#endif
