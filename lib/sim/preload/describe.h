/* SPDX-License-Identifier: MIT */
/*
 * A machine as text: how the launcher tells the preload library what to simulate, in the environment variable
 * WEIR_SIM_MACHINE. A line for each of the launcher's options that describe the machine, without the dashes:
 *
 *     kernel=6.12
 *     no-container
 *     device=nvme=/home/me/disk.img,block_size=4096
 *     device=edu,addr=0000:02:00.0
 *
 * A comma in a value is written twice.
 */
#ifndef WEIR_SIM_PRELOAD_DESCRIBE_H
#define WEIR_SIM_PRELOAD_DESCRIBE_H

#include <weir/sim.h>

#define SIM_MACHINE_VARIABLE "WEIR_SIM_MACHINE"

/*
 * Build the machine. 0, -EINVAL or what weir_sim_open() and the devices returned, with a text in
 * weir_error().
 */
int sim_describe_build(const char *text, struct weir_sim **ret_sim);

/*
 * One line for the text, malloc'ed, of an option such as "device=nvme=disk.img": names of files are made
 * independent of the working directory. NULL: no memory.
 */
char *sim_describe_line(const char *option);

/* What the options are, for a usage message. */
extern const char sim_describe_usage[];

#endif
