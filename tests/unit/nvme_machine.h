/* SPDX-License-Identifier: MIT */
/*
 * An NVMe controller that does as it is told, behind as much of weir as the nvme driver calls (stub_weir.h): the
 * program that links these instead of the library has no kernel under it. IOVAs are addresses of this process.
 */
#ifndef UNIT_NVME_MACHINE_H
#define UNIT_NVME_MACHINE_H

#include <nvme/nvme.h>
#include <nvme/spec.h>

#include "support/stub_weir.h"
#include "test.h"

#define MACHINE_QUEUES    4 /* I/O queue pairs it has */
#define MACHINE_NO_OPCODE 0x100

struct ring {
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	uint32_t entries, sq_head, cq_tail, phase;
};

/* The one machine of a case: set its ways before the driver comes, or change them on the way. */
struct machine {
	/* Its ways. */
	uint64_t cap;
	struct nvme_id_ctrl id_ctrl;
	struct nvme_id_ns id_ns;
	uint32_t num_queues;  /* that it grants */
	unsigned int mute;    /* admin opcode that it does not answer */
	unsigned int refused; /* admin opcode that it answers with refusal */
	uint16_t refusal;     /* the status */
	bool never_ready, never_stops, never_shuts_down, fatal, gone, io_mute;
	bool refuses_address;   /* of its memory buffer */
	uint32_t cmbloc, cmbsz; /* shown when CMBMSC.CRE is set */
	int fail_call;          /* this call of a weir function from now on fails, counted from 1; 0: none */

	/* What has become of it. */
	uint32_t cc, aqa, csts_rdy;
	uint64_t asq, acq, cmbmsc;
	uint64_t cmb_address; /* as it was when the buffer was enabled; UINT64_MAX: it is not */
	struct ring rings[MACHINE_QUEUES + 1];
	bool shut_down_seen, dma_without_bus_master;
};

extern struct machine machine;

/* A controller without faults: 8 queue entries, MSI-X, a namespace 1 of 1000 blocks of 512 bytes. */
void machine_reset(void);

/* Whether the driver left nothing behind: no memory, no interrupt, no bus mastering, controller disabled. */
bool machine_is_clean(void);

#endif
