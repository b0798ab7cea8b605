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
	const uint32_t *nsids;  /* that its lists name, ended by 0 */
	struct nvme_secondary_ctrl_list secondaries;
	uint32_t keeps[2];  /* queues and interrupts that are for others, and that it keeps */
	uint32_t spare;     /* queues, and as many interrupts, that no secondary controller has yet */
	uint32_t stint;     /* it gives that many fewer than it was asked for */
	uint16_t io_status; /* of I/O commands */
	int fail_call;      /* this call of a weir function from now on fails, counted from 1; 0: none */

	/* What has become of it. */
	uint32_t cc, aqa, csts_rdy;
	uint64_t asq, acq, cmbmsc;
	uint64_t cmb_address; /* as it was when the buffer was enabled; UINT64_MAX: it is not */
	struct ring rings[MACHINE_QUEUES + 1];
	bool shut_down_seen, dma_without_bus_master;
	unsigned int num_enabled; /* how often CC.EN was set */
	uint32_t aers[8], num_aers;
	struct nvme_sqe last_admin;
	unsigned char
		data[64];      /* of the last attachment of a namespace, and of features that are asked for */
	uint32_t last_abort;   /* dword 10 of the last abort */
	bool abort_in_vain;    /* what is to be aborted is not found */
	uint32_t num_carried;  /* I/O commands that were carried out */
	uint64_t tags_seen[4]; /* first blocks of the last of them */
	uint32_t num_rings;    /* of I/O submission doorbells */
	const uint32_t *
		shadow; /* of I/O submission queue 1, once it was told of shadows; it is looked at when it is told to */
	uint32_t *event;
	unsigned char cmb_ram[16384] __attribute__((aligned(4096)));
};

extern struct machine machine;

/* A controller without faults: 8 queue entries, MSI-X, a namespace 1 of 1000 blocks of 512 bytes. */
void machine_reset(void);

/* Have it look at the shadow of queue 1, as a controller that polls would. */
void machine_poll(void);

/* Report an event, if one has been asked for. */
bool machine_event(uint32_t dword0);

/* Whether the driver left nothing behind: no memory, no interrupt, no bus mastering, controller disabled. */
bool machine_is_clean(void);

#endif
