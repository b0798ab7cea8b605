/* SPDX-License-Identifier: MIT */
/* Migration of a simulated device whose model can be saved (kernel-interface B.8): its states, and the stream. */
#ifndef WEIR_SIM_MIGRATION_H
#define WEIR_SIM_MIGRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_sim_device;
struct sim_file;

struct sim_migration {
	bool can;
	uint32_t state;        /* ABI_VFIO_DEVICE_STATE_... */
	struct sim_file *file; /* the stream that is open and good; NULL: there is none */
	unsigned char *data;
	size_t len, at, room;
};

/* It does nothing in this state. */
bool sim_migration_stopped(const struct weir_sim_device *device);

/* Go to a state. 0, or -EINVAL; *@ret_fd: the new stream, or -1. */
int sim_migration_set(struct weir_sim_device *device, uint32_t state, int *ret_fd);

/* How many bytes STOP_COPY would give. */
size_t sim_migration_size(struct weir_sim_device *device);

/* Running, as a new device and after a reset. */
void sim_migration_reset(struct weir_sim_device *device);

#endif
