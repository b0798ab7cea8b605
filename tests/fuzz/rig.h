/* SPDX-License-Identifier: MIT */
/*
 * A simulated machine with devices that do DMA when they are told to, and memory to map: for the fuzzers of its kernel.
 *
 * The memory is, from arena_start() on, pages that can be written, pages that can only be read, and more than a MiB of nothing.
 * Whatever the input says, no pointer goes anywhere else where there is memory: the machine would write there.
 */
#ifndef TESTS_FUZZ_RIG_H
#define TESTS_FUZZ_RIG_H

#include <weir/sim.h>

#include "fuzz/input.h"

enum {
	PAGE = 4096,
	WRITABLE_PAGES = 16,
	READABLE_PAGES = 4,
	NOTHING_PAGES = 300,
	FILE_SIZE = 8 * PAGE + 100,
	RIG_DEVICES = 2,
};

struct rig {
	struct weir_sim *sim;
	const struct weir_sys *sys;
	struct weir_sim_device *devices[RIG_DEVICES];
	int lowest_fd;
};

/* With devices 0, 1 ... in these slots; at most RIG_DEVICES. */
void rig_open(struct rig *rig, const struct weir_sim_opts *opts, const struct weir_sim_slot *slots,
	      unsigned int num_devices);
void rig_close(struct rig *rig); /* fails if a descriptor is left, of the program's or the machine's */

int rig_node(const struct rig *rig, const char *path);
int rig_cdev(const struct rig *rig, unsigned int device);

/* A device of a group that is in a container, opened through the group. */
int rig_group_device(const struct rig *rig, int group_fd, unsigned int device);
int rig_ioctl(const struct rig *rig, int fd, unsigned long request, void *arg);
void rig_fd_close(const struct rig *rig, int fd);

/* A device's COMMAND.memory and bus mastering, through its descriptor. */
void rig_enable(const struct rig *rig, int device_fd);

/* Once for all inputs. */
unsigned char *arena_start(void);
int arena_file(void); /* a memfd of FILE_SIZE bytes */

/* In the arena or where there is nothing, never elsewhere in memory. */
uint64_t arena_address(struct input *in);

/* Can this be pinned? */
bool arena_can_pin(uint64_t addr, uint64_t len, bool write);

/* @len bytes of memory whose last one is followed by nothing, for structs; the same place for the same length. */
void *arena_struct(size_t len);

#endif
