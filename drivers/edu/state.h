/* SPDX-License-Identifier: MIT */
/* What the parts of the driver share: registers, and what it knows of a device. Internal. */
#ifndef EDU_STATE_H
#define EDU_STATE_H

#include <stdbool.h>

#include "common/detail.h"
#include "edu/edu.h"

enum {
	REG_ID = 0x00,
	REG_LIVENESS = 0x04,
	REG_FACTORIAL = 0x08,
	REG_STATUS = 0x20,
	REG_IRQ_STATUS = 0x24,
	REG_IRQ_RAISE = 0x60,
	REG_IRQ_ACK = 0x64,
	REG_DMA_SOURCE = 0x80,
	REG_DMA_DESTINATION = 0x88,
	REG_DMA_COUNT = 0x90,
	REG_DMA_COMMAND = 0x98,
};

#define ID_SUFFIX        0x00edu /* low byte of the identification, the version above it */
#define STATUS_COMPUTING 0x01u
#define STATUS_IRQ       0x80u
#define COMMAND_RUN      0x1u
#define COMMAND_TO_RAM   0x2u
#define COMMAND_IRQ      0x4u
#define BUFFER_ADDRESS   0x40000u /* where the DMA registers see the device's buffer */

#define CLOSE_TIMEOUT_MS 500
#define POLL_INTERVAL_NS 1000000

/* Where the DMA is that was started last. */
enum edu_dma {
	EDU_DMA_NONE,  /* over and waited for, or none ever */
	EDU_DMA_READY, /* the device is just being told: whether it was is not known */
	EDU_DMA_TOLD,
};

#define EDU_KEPT_VERSION 1u

/*
 * What a successor needs (common/block.h). Each 64-bit word comes with a check of its own, so that it is right at any moment and damage is seen. What a DMA does
 * is there before dma says that there is one.
 */
struct edu_kept {
	uint32_t version; /* EDU_KEPT_VERSION; 0: edu_open() did not get that far */
	uint32_t flags;   /* of edu_open() */
	uint32_t id;      /* the identification register */
	uint32_t check;   /* of these */
	uint64_t told,
		asked; /* the liveness register was told one of these last, which a reset forgets; above it its inverse */
	uint64_t dma; /* enum edu_dma; above it a check of it and of the transfer */
	struct edu_transfer transfer;
};

struct edu {
	struct weir_device *device;
	struct weir_region *registers;
	struct weir_irq *irq; /* NULL without EDU_INTERRUPTS */
	uint32_t id;
	uint32_t address_bits;         /* of the device, as it was opened */
	uint32_t irq_seen;             /* acknowledged while waiting for something else */
	enum edu_completion dma_waits; /* how the DMA under way reports its end */
	bool paused;
	bool look_first; /* a signal may have been taken by who was here before: look at the status at once */
	struct edu_kept *kept; /* in the host's journal */
};

/* restore.c: write down that there is an edu, for a successor; and how far its DMA is. */
void edu_kept_begin(struct edu *edu, uint32_t flags);
void edu_kept_dma(struct edu *edu, enum edu_dma dma);

/* The liveness register is about to be told @value. */
void edu_kept_asks(struct edu *edu, uint32_t value);

extern _Thread_local char edu_detail[DETAIL_SIZE];

#define fail(error, ...) detail_fail(edu_detail, error, __VA_ARGS__)

/* It is an edu, by its PCI identity and its identification register; finds its registers, and changes nothing. */
int edu_check_identity(struct edu *edu);

/* A DMA of which memory, from where in the device's buffer: 0, -EINVAL or -ERANGE. */
int edu_check_dma(struct edu *edu, uint64_t iova, uint32_t offset, uint32_t len);

#endif
