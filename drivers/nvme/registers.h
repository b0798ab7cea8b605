/* SPDX-License-Identifier: MIT */
/*
 * Controller properties: the registers in BAR 0 (Base 2.0, 3.1.3), enabling and disabling by way of them.
 * Internal.
 *
 * A controller that was removed or lost its power answers every read with ones, which no register that is
 * read here can be otherwise: that is -ENODEV.
 */
#ifndef NVME_REGISTERS_H
#define NVME_REGISTERS_H

#include <weir/region.h>

#include "nvme/queue.h"

struct nvme_registers {
	struct weir_region *bar;
	uint64_t cap;                /* CAP, which does not change */
	uint32_t version;            /* VS */
	uint32_t doorbell_stride;    /* bytes from one doorbell to the next */
	uint32_t max_queues;         /* I/O queue pairs whose doorbells lie in the BAR */
	uint32_t max_entries;        /* of a queue (CAP.MQES) */
	uint32_t ready_timeout_ms;   /* how long enabling and disabling may take */
	volatile uint8_t *doorbells; /* mapped, all of max_queues; NULL: by accessor */
};

/*
 * Find BAR 0 of @device and understand CAP and VS; @ready_timeout_ms caps what the controller claims to need,
 * 0 does not.
 *
 * Returns 0; -ENODEV when the device is gone; -EOPNOTSUPP when this driver cannot work with it; -EPROTO;
 * -EIO.
 */
int nvme_registers_open(struct weir_device *device, uint32_t ready_timeout_ms,
			struct nvme_registers *ret_registers);

/* A register. Returns 0, -EIO, or, when it reads as ones, -ENODEV. */
int nvme_read32(const struct nvme_registers *regs, uint32_t offset, uint32_t *ret_value);
int nvme_write32(const struct nvme_registers *regs, uint32_t offset, uint32_t value);

/* The doorbell of submission queue @qid, or of its completion queue (PCIe Transport 1.0, 3.1.2). */
struct nvme_doorbell nvme_doorbell(const struct nvme_registers *registers, uint16_t qid, bool completion);

/* CSTS, or -ENODEV or -EIO. */
int nvme_status(const struct nvme_registers *registers, uint32_t *ret_csts);

/* Clear CC.EN, and wait for CSTS.RDY to go. Returns 0, -ETIMEDOUT, -ENODEV or -EIO. */
int nvme_disable(const struct nvme_registers *registers);

/*
 * Set the admin queues up and enable the controller, and wait for CSTS.RDY: 4 KiB pages, NVM command set,
 * round robin. Returns 0, -ETIMEDOUT, -ENODEV, -EIO (also for a fatal status).
 */
int nvme_enable(const struct nvme_registers *registers, uint64_t asq, uint64_t acq, uint32_t admin_entries);

/* The controller works on these admin queues: nobody has reset it since it was enabled. Returns 0; -EIO, it has been; -ENODEV. */
int nvme_check_rings(const struct nvme_registers *registers, uint64_t asq, uint64_t acq,
		     uint32_t admin_entries);

/* Orderly shutdown by CC.SHN (Base 2.0, 3.6.1). Returns as nvme_enable(). */
int nvme_shut_down(const struct nvme_registers *registers, uint32_t timeout_ms);

#endif
