/* SPDX-License-Identifier: MIT */
/*
 * The NVMe controller model: NVM Express Base Specification 1.4 (its 2.0 is quoted where that is
 * clearer), one namespace.
 *
 *     nvme.c           the device: options, registers, enabling and shutting down, steps
 *     nvme_queue.c     the rings: doorbells, fetching, completing, interrupts
 *     nvme_data.c      where a command's data is: PRPs, SGLs, the controller's own memory (CMB)
 *     nvme_shadow.c    doorbells in memory
 *     nvme_admin.c     admin commands: dispatch, queues made and deleted, abort, asynchronous events
 *     nvme_identify.c  identify data
 *     nvme_feature.c   get and set features
 *     nvme_log.c       log pages
 *     nvme_attach.c    the namespace taken away and given back
 *     nvme_io.c        I/O commands
 *     nvme_disk.c      what is on the disk: an image file, or memory
 *     nvme_trouble.c   commands that get lost on request, and who is told of all of them
 *
 * One that requests pages waits for those of a queue's entries, of lists and of data; a completion that finds no page is fatal.
 *
 * Whatever a driver writes, the model stays within its own memory, and each step ends: rings and lists
 * lie in the driver's memory and change under us, so every entry is copied once and then checked.
 */
#ifndef WEIR_SIM_NVME_H
#define WEIR_SIM_NVME_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <nvme/types.h>

#include <weir/sim.h>

enum {
	/* BAR 0: properties, doorbells, the MSI-X table of at most 256 vectors. */
	SIM_NVME_DOORBELLS = 0x1000,
	SIM_NVME_MSIX_TABLE = 0x2000,
	SIM_NVME_BAR_SIZE = 0x4000,
	SIM_NVME_MAX_QUEUES = 255, /* of I/O, so that each has a vector */
	SIM_NVME_CMB_BAR = 2,

	SIM_NVME_MAX_ENTRIES = 2048, /* of an I/O queue */
	SIM_NVME_SQE_SIZE = 64,
	SIM_NVME_CQE_SIZE = 16,
	SIM_NVME_PAGE = 4096,     /* the smallest memory page, CAP.MPSMIN */
	SIM_NVME_MAX_MPS = 4,     /* CAP.MPSMAX: pages of 64 KiB */
	SIM_NVME_MAX_MDTS = 12,   /* 16 MiB */
	SIM_NVME_NUM_NSIDS = 256, /* namespaces there could be; there is one */
	SIM_NVME_NSID = 1,

	SIM_NVME_LIST = 512,             /* entries of a PRP list that are read at a time */
	SIM_NVME_MAX_DESCRIPTORS = 1024, /* of a command's SGL, all its segments together */
	SIM_NVME_STEP = 8,               /* commands that are carried out in one step, at most */
	SIM_NVME_MAX_AERS = 4,
	SIM_NVME_MAX_HELD = 64,
	SIM_NVME_NUM_EVENTS = 3,    /* types of them */
	SIM_NVME_NUM_ERRORS = 4,    /* entries of the error log */
	SIM_NVME_TEMPERATURE = 310, /* kelvin; it never changes */
};

/*
 * Statuses: those that a repeat of the command would only meet again have Do Not Retry (Base 2.0,
 * 3.3.3.2.1).
 */
#define SIM_NVME_GENERIC(code)  (NVME_SCT_GENERIC << NVME_SCT_SHIFT | NVME_SC_DNR | (code))
#define SIM_NVME_SPECIFIC(code) (NVME_SCT_CMD_SPECIFIC << NVME_SCT_SHIFT | NVME_SC_DNR | (code))
#define SIM_NVME_MEDIA(code)    (NVME_SCT_MEDIA << NVME_SCT_SHIFT | (code))

/* No status: the command stays outstanding. */
#define SIM_NVME_LATER 0xffffu

/* A submission queue entry, in the host's byte order (Base 2.0, 3.3.3.1). */
struct sim_nvme_command {
	uint8_t opcode, flags;
	uint16_t cid, sqid;
	uint32_t nsid;
	uint64_t prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct sim_nvme_sq {
	uint64_t iova;
	uint32_t entries; /* 0: there is no such queue */
	uint32_t head, tail;
	uint16_t cqid;
};

struct sim_nvme_cq {
	uint64_t iova;
	uint32_t entries; /* 0: there is no such queue */
	uint32_t head, tail;
	uint32_t num_sqs; /* that use it */
	uint16_t vector;
	uint8_t phase;
	bool interrupts;
	bool posted; /* something, since the last interrupt */
};

/*
 * An asynchronous event of one type: reported once, then not again until the host has read the log (Base
 * 2.0, 5.2).
 */
struct sim_nvme_event {
	bool pending, masked;
	uint8_t info, log;
};

/* A command that was taken and is neither carried out nor completed, until it is aborted. */
struct sim_nvme_held {
	uint16_t sqid, cid;
};

struct sim_nvme_segment {
	uint64_t iova;
	uint64_t len;
};

struct sim_nvme_features {
	uint32_t arbitration, power, error_recovery, write_cache, coalescing, write_atomicity, events;
	uint16_t over_temperature, under_temperature;
	uint8_t no_coalescing[(SIM_NVME_MAX_QUEUES + 1 + 7) / 8]; /* by vector */
};

struct sim_nvme_disk {
	int fd;
	uint64_t num_blocks;
	uint32_t block_size;
	bool read_only;
};

struct sim_nvme {
	struct weir_sim_device *device;
	struct sim_nvme_disk disk;
	char serial[20]; /* padded with blanks */
	uint32_t max_queues, mdts;
	uint64_t cmb_size;
	uint64_t unique; /* what makes its identifiers its own */

	/* Properties. */
	uint64_t cap, asq, acq, cmbmsc;
	uint32_t cc, csts, aqa, interrupt_mask;
	bool starts;            /* CC.EN was set, and this has not been acted on */
	bool pin;               /* INTx is asserted */
	bool detached, changed; /* the namespace is not attached; that changed since its list was read */

	uint64_t shadows,
		asked; /* two pages of the host's: doorbells, and from which value on to ring them; 0: none */

	struct sim_nvme_sq sqs[SIM_NVME_MAX_QUEUES + 1];
	struct sim_nvme_cq cqs[SIM_NVME_MAX_QUEUES + 1];
	uint32_t next_sq; /* whose turn it is */

	/* Trouble on request: so many I/O commands are still to be lost, each in its way. */
	uint32_t to_swallow, to_hold, to_leave_unreported;
	struct sim_nvme_held held[SIM_NVME_MAX_HELD];
	uint32_t num_held;
	weir_sim_nvme_watcher *watcher;
	void *watcher_ctx;

	struct sim_nvme_features features;
	struct sim_nvme_event events[SIM_NVME_NUM_EVENTS]; /* by NVME_AER_ERROR, _SMART, _NOTICE */
	uint16_t aers[SIM_NVME_MAX_AERS]; /* identifiers of the outstanding requests for events */
	uint16_t aborted
		[SIM_NVME_MAX_AERS]; /* and of those that were aborted and have not been completed yet */
	uint32_t num_aers, num_aborted;

	struct nvme_error_log_page
		errors[SIM_NVME_NUM_ERRORS]; /* a ring; the next goes to [num_errors % ...] */
	uint64_t num_errors;
	uint64_t reads, writes, blocks_read, blocks_written;

	/* Of the command at work. */
	bool waits; /* for a page: it is carried out again, from the beginning, when the device is answered */
	unsigned char *buffer; /* of the largest transfer */
	struct sim_nvme_segment *segments;
	uint32_t num_segments, max_segments;
	uint64_t list[SIM_NVME_LIST];
};

/* nvme.c ------------------------------------------------------------------------------------------------ */

/* It cannot go on: CSTS.CFS, until it is reset. */
void sim_nvme_fatal(struct sim_nvme *n);

/* The controller that @device is, whose machine is locked. -EINVAL: it is something else; -ENODEV: it is gone. */
int sim_nvme_of(struct weir_sim_device *device, struct sim_nvme **ret_nvme);

static inline uint32_t sim_nvme_page_size(const struct sim_nvme *n)
{
	return (uint32_t)SIM_NVME_PAGE << NVME_CC_MPS(n->cc);
}

/* nvme_queue.c ------------------------------------------------------------------------------------------ */

void sim_nvme_doorbell(struct sim_nvme *n, uint32_t offset, uint32_t value);

/* Queue @qid's doorbell was rung, or its shadow has changed. */
void sim_nvme_rung(struct sim_nvme *n, uint32_t qid, bool completion, uint32_t value);

/*
 * Carry out the next command, of whichever queue has its turn. False: there is none, or no room for its
 * completion.
 */
bool sim_nvme_serve(struct sim_nvme *n);

bool sim_nvme_cq_full(const struct sim_nvme_cq *cq);
void sim_nvme_complete(struct sim_nvme *n, uint16_t sqid, uint16_t cid, uint32_t result, uint16_t status);

/* Send the messages for what was posted, and drive the pin. */
void sim_nvme_interrupt(struct sim_nvme *n);
void sim_nvme_drive_pin(struct sim_nvme *n);

/* nvme_trouble.c ---------------------------------------------------------------------------------------- */

/* I/O command @c is lost, or held, before anything was done for it. */
bool sim_nvme_is_lost(struct sim_nvme *n, const struct sim_nvme_command *c);

/* @c was carried out, with @status: tell the watcher. False: nobody else is to learn of it. */
bool sim_nvme_is_reported(struct sim_nvme *n, const struct sim_nvme_command *c, uint16_t status);

/* Command @cid was held, and is aborted now. False: there is none, or no room for its completion. */
bool sim_nvme_abort_held(struct sim_nvme *n, uint16_t sqid, uint16_t cid);

/* The queue is gone, and what was held with it. */
void sim_nvme_forget_held(struct sim_nvme *n, uint16_t sqid);

/* nvme_shadow.c ----------------------------------------------------------------------------------------- */

/* Doorbell Buffer Config (Base 2.0, 5.8). */
uint16_t sim_nvme_set_shadows(struct sim_nvme *n, const struct sim_nvme_command *command);

/* Look at the shadows of I/O queues. True: one has changed. Nothing happens where there are none. */
bool sim_nvme_look_at_shadows(struct sim_nvme *n);

/* There is nothing to do: ask to be rung for whatever is new. */
void sim_nvme_ask_to_be_rung(struct sim_nvme *n);

/* nvme_data.c ------------------------------------------------------------------------------------------- */

/* Memory as the controller sees it: the host's, by DMA, and its own. 0 or a negative errno. */
int sim_nvme_copy_in(struct sim_nvme *n, uint64_t iova, void *buf, uint64_t len);
int sim_nvme_copy_out(struct sim_nvme *n, uint64_t iova, const void *buf, uint64_t len);

/* Find out where the @len bytes of the command's data are. Returns a status. */
uint16_t sim_nvme_map(struct sim_nvme *n, const struct sim_nvme_command *command, uint64_t len);

/* Move the data that was mapped last. Both return a status. */
uint16_t sim_nvme_receive(struct sim_nvme *n, void *buf);
uint16_t sim_nvme_send(struct sim_nvme *n, const void *buf);

/* Map and send: for answers. */
uint16_t sim_nvme_answer(struct sim_nvme *n, const struct sim_nvme_command *command, const void *buf,
			 uint64_t len);

/* Commands: all return a status, and may set *@result (dword 0). ---------------------------------------- */

uint16_t sim_nvme_admin(struct sim_nvme *n, const struct sim_nvme_command *command, uint32_t *result);
uint16_t sim_nvme_identify(struct sim_nvme *n, const struct sim_nvme_command *command);
uint16_t sim_nvme_get_feature(struct sim_nvme *n, const struct sim_nvme_command *command, uint32_t *result);
uint16_t sim_nvme_set_feature(struct sim_nvme *n, const struct sim_nvme_command *command, uint32_t *result);
uint16_t sim_nvme_get_log(struct sim_nvme *n, const struct sim_nvme_command *command);
uint16_t sim_nvme_io(struct sim_nvme *n, const struct sim_nvme_command *command);

void sim_nvme_default_features(struct sim_nvme *n);

/* nvme_log.c: a command has failed. */
void sim_nvme_note_error(struct sim_nvme *n, const struct sim_nvme_command *command, uint16_t status);

/* nvme_admin.c: something to tell the host (@type: NVME_AER_...), and telling it, as far as it has asked. */
void sim_nvme_event(struct sim_nvme *n, unsigned int type, uint8_t info, uint8_t log);
bool sim_nvme_report_events(struct sim_nvme *n);

/* nvme_attach.c ----------------------------------------------------------------------------------------- */

/* Whether there is namespace @nsid, and it is attached. */
static inline bool sim_nvme_active(const struct sim_nvme *n, uint32_t nsid)
{
	return nsid == SIM_NVME_NSID && !n->detached;
}

/* Namespace Attachment (Base 2.0, 5.20). Returns a status. */
uint16_t sim_nvme_attach(struct sim_nvme *n, const struct sim_nvme_command *command);

/* nvme_disk.c ------------------------------------------------------------------------------------------- */

/* Open the image, or make memory of @capacity bytes. As weir_sim_add_nvme(). */
int sim_nvme_disk_open(struct sim_nvme_disk *disk, const struct weir_sim_nvme_opts *opts);
void sim_nvme_disk_close(struct sim_nvme_disk *disk);

/* 0 or a negative errno. @num blocks from @block on; the caller has checked that they exist. */
int sim_nvme_disk_read(const struct sim_nvme_disk *disk, uint64_t block, uint64_t num, void *buf);
int sim_nvme_disk_write(const struct sim_nvme_disk *disk, uint64_t block, uint64_t num, const void *buf);
int sim_nvme_disk_zero(const struct sim_nvme_disk *disk, uint64_t block, uint64_t num);
int sim_nvme_disk_flush(const struct sim_nvme_disk *disk);

#endif
