/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine, as the files of this folder see it.
 *
 *     sys.c        the table of system calls: finds whose descriptor or path it is, takes the lock, calls, or passes on
 *     file.c       descriptors: real ones (one end of a socket pair), each with a file of ours behind it
 *     user.c       copying from and to the caller's pointers, which may be bad
 *     process.c    several processes, each charged for itself
 *     trouble.c    calls that fail, are cut short or late on request
 *     machine.c    opening, closing, locking, time (steps, and the thread); public functions without a better place
 *     plug.c       devices coming and going: checks of a model, its BARs' memory, the slot
 *     fork.c       the machine in a forked child, which has a copy of it
 *     paths.c      names: links followed, a table of patterns searched, directories listed
 *     sysfs.c      that table: /sys, /dev and /proc/self as far as drivers look at them
 *     bind.c       which driver has a device
 *     pages.c      memory that can be mapped for DMA: pinned, charged, read and written
 *     kept.c       of that, what files have lost meanwhile
 *     domain.c     an IOMMU page table, its translation cache, and the faults it reports
 *     stage1*.c    nested in one: tables that a program writes, walked through it; with a cache of their own (walk_cache.c)
 *     iommufd*.c   /dev/iommu: objects, IOAS, page tables, what nests in them, virtual IOMMUs
 *     container*.c /dev/vfio/vfio and groups: type1 v1 and v2; the same ioctls on /dev/iommu
 *     device*.c    PCI functions and the VFIO devices made of them: config space, regions, interrupts, resets
 *     edu.c nvme*.c   device models, on the public interface alone
 *
 * One lock a machine, taken by sys.c for every call and held throughout, and by the stepping of devices. Everything below assumes it is held.
 * Functions return 0 (or what they say) or a negative errno, as the kernel would.
 */
#ifndef WEIR_SIM_MACHINE_H
#define WEIR_SIM_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weir/sim.h>

#include "sim/trouble.h"

struct sim_file;
struct sim_group;

enum { SIM_PROCESSES = 4 };

struct weir_sim {
	pthread_mutex_t lock;
	struct weir_sys table; /* what the machine answers; ctx is the machine */
	enum weir_sim_age age;
	uint32_t flags;
	enum weir_sim_iommu iommu;
	uint32_t address_bits;
	uint32_t max_mappings;
	uint64_t seed;
	bool traps; /* registers can be mapped, without access: whoever sets this serves the faults (preload/) */
	unsigned int owner; /* the effective uid that made the machine: nodes are its own */

	struct sim_file *files;          /* open file descriptions */
	struct weir_sim_device *devices; /* in order of their addresses */
	struct weir_sim_device *removed; /* unplugged: gone, but somebody's mapping may still name them */
	struct sim_group *groups;        /* in order of their numbers */
	struct sim_mapping *mappings;    /* of BARs, by the program */

	struct sim_trouble trouble;
	struct sim_fault_log {
		struct weir_sim_fault ring[64];
		uint64_t count;
	} faults;

	struct sim_pages *pinned; /* of any kind */

	/* Who uses it; the first is whoever has no other number. What is pinned and charged by each is added to its /proc/self/status. */
	struct sim_process {
		struct weir_sys table; /* not of the first */
		uint64_t pinned_bytes, locked_bytes;
		uint64_t
			user_locked_bytes; /* charged to the user, of which no file tells (kernel-interface A.5) */
		uint64_t memlock;          /* its own limit; 0: as the real process has it */
	} processes[SIM_PROCESSES];

	pthread_t thread;
	bool thread_runs, thread_stops;
	pthread_cond_t work; /* there may be something to do for the thread */
	atomic_uint waiting; /* for the lock: the thread lets them in first */

	atomic_int *mark; /* on a page that the kernel clears in a forked child; NULL: it cannot */
};

/* Take the machine's lock. -EOWNERDEAD: this is a forked child, and its copy of the machine was made halfway through something. */
int sim_lock(struct weir_sim *sim);
void sim_unlock(struct weir_sim *sim);

/* In a forked child, the first time: make the copy a machine of its own. 0 or -EOWNERDEAD. For sim_lock(). */
int sim_fork_check(struct weir_sim *sim);

/* Start the thread; the lock is held. */
int sim_thread_start(struct weir_sim *sim);

/* At the end. */
void sim_free_devices(struct weir_sim *sim);

/* Devices that are to be unbound or unplugged and have been closed meanwhile. Called after every call. */
void sim_devices_settle(struct weir_sim *sim);

/* Fill in the table of system calls. */
void sim_sys_init(struct weir_sim *sim);

/* Something happened that devices may have to act on. */
void sim_wake(struct weir_sim *sim);

/* What this machine's kernel has. */
bool sim_has_iommufd(const struct weir_sim *sim);   /* /dev/iommu and character devices */
bool sim_has_container(const struct weir_sim *sim); /* /dev/vfio/vfio and groups */
bool sim_has_map_file(const struct weir_sim *sim);  /* IOMMU_IOAS_MAP_FILE, CHANGE_PROCESS: 6.13 */
bool sim_has_dma_buf(const struct weir_sim *sim);   /* VFIO_DEVICE_FEATURE_DMA_BUF: 6.19 */

#endif
