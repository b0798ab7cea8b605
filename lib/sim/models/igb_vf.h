/* SPDX-License-Identifier: MIT */
/* A virtual function of an igb: what it has beside its physical function's registers. */
#ifndef WEIR_SIM_IGB_VF_H
#define WEIR_SIM_IGB_VF_H

#include <errno.h>

#include "sim/models/igb.h"

enum {
	SIM_IGB_VF_GPRC,
	SIM_IGB_VF_GPTC,
	SIM_IGB_VF_GORC,
	SIM_IGB_VF_GOTC,
	SIM_IGB_VF_MPRC,
	SIM_IGB_VF_COUNTERS
};

struct sim_igb_vf {
	struct weir_sim_device *device;
	struct sim_igb *pf; /* NULL: gone */
	uint32_t number;
	uint32_t mailbox; /* as this side reads it */
	uint32_t eims, eiac, eiam, eicr, ivar, ivar_misc;
	uint32_t counters[SIM_IGB_VF_COUNTERS];
};

/* The state of a device, if it is an igb that is there. */
struct sim_igb *sim_igb_of(struct weir_sim_device *device);

/* Something has been written back in a queue of its. */
void sim_igb_vf_raise_queue(struct sim_igb_vf *vf, bool transmit, uint32_t queue);

/* The physical function's end of the mailbox. */
void sim_igb_write_pf_mailbox(struct sim_igb *igb, uint32_t number, uint32_t value);
uint32_t sim_igb_read_pf_mailbox(const struct sim_igb *igb, uint32_t number);
void sim_igb_raise_mailbox(struct sim_igb *igb);

/* The physical function has been reset; its driver says that it is back. */
void sim_igb_vfs_lose_pf(struct sim_igb *igb);
void sim_igb_vfs_have_pf(struct sim_igb *igb);

#endif
