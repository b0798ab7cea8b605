/* SPDX-License-Identifier: MIT */
/* A simulated machine for tests of libweir-sim itself, and the least of devices to plug into it. */
#ifndef TESTS_UNIT_SIM_TOY_H
#define TESTS_UNIT_SIM_TOY_H

#include "sim/machine.h"

#include "test.h"

/* One register BAR of 4 KiB, one RAM BAR of 64 KiB. Register 0 counts down by one a step. */
extern const struct weir_sim_model toy_model;

/* A machine that is closed when the case ends, and must then have nothing open. @opts may be NULL. */
struct weir_sim *new_machine(struct t *t, const struct weir_sim_opts *opts);

/* A toy at @address (NULL: anywhere), bound to vfio-pci. */
struct weir_sim_device *new_toy(struct t *t, struct weir_sim *sim, const char *address);

/* Its register. */
uint64_t toy_count(struct weir_sim_device *device);
void toy_set_count(struct weir_sim_device *device, uint64_t count);

/* What a name of the machine's holds, and its error if it cannot be opened or read. */
int64_t read_name(struct weir_sim *sim, const char *path, char *ret_text, size_t size);
int64_t write_name(struct weir_sim *sim, const char *path, const char *text);

/* Where a link points to; "-" and the errno's number when it does not. */
const char *link_of(struct weir_sim *sim, const char *path, char ret_target[256]);

/* A directory's entries, each with a space after it. */
const char *list_of(struct weir_sim *sim, const char *path, char ret_entries[1024]);

#endif
