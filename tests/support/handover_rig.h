/* SPDX-License-Identifier: MIT */
/*
 * For tests of hand-over: a simulated machine with an edu and an NVMe controller, a process that has both open in a host with a journal, and with
 * reads and a DMA in flight if it is told to; and another that takes it over. Without a test framework: what fails is told as a text, NULL is success.
 */
#ifndef TESTS_SUPPORT_HANDOVER_RIG_H
#define TESTS_SUPPORT_HANDOVER_RIG_H

#include <edu/edu.h>
#include <nvme/nvme.h>
#include <weir/sim.h>
#include <weir/weir.h>

#include "journal/layout.h"
#include "journal/wire.h"

enum { RIG_PAGE = 4096, RIG_READS = 4, RIG_MOST_FDS = 64 };

#define RIG_EDU  "0000:00:01.0"
#define RIG_NVME "0000:00:02.0"

struct handover_rig {
	struct weir_sim *sim;
	struct weir_host *host; /* NULL: it has ended, or is another's */
	struct weir_ioas *ioas;
	struct weir_device *edu_device, *nvme_device;
	struct weir_memory *memory;
	struct weir_buffer buffer; /* a page for each read, and one for the edu */
	struct weir_map *map;      /* two pages of a file; a successor has it, too */
	uint64_t map_iova;
	int file;
	struct edu *edu;
	struct nvme_controller *controller;
	struct nvme_queue *queue;
	struct nvme_namespace ns;
	bool busy;
	const struct weir_sys *successors; /* system calls; NULL: those of process 1 of the machine */
};

/* The machine alone; and its end, with the rig's file. */
const char *rig_machine(struct handover_rig *rig);
void rig_end_machine(struct handover_rig *rig);

/* A process on it, which makes its system calls by @sys (NULL: the machine's). */
const char *rig_begin(struct handover_rig *rig, enum weir_backend backend, const struct weir_sys *sys);

/* Reads and a DMA are in flight, in devices that do nothing for now; and they end, as they should. */
const char *rig_busy(struct handover_rig *rig);
const char *rig_settle(struct handover_rig *rig);

/* The drivers' words before and after. */
const char *rig_pause(struct handover_rig *rig);
void rig_resume(struct handover_rig *rig);
void rig_forget_drivers(struct handover_rig *rig);

/* What was in flight ends well; and devices read and write, and a file is mapped and unmapped. */
const char *rig_works(struct handover_rig *rig);

/* All is closed, in order, to the end; the first that failed. */
const char *rig_close(struct handover_rig *rig);

/* Its process is killed: the kernel closes its descriptors, and that is all. */
void rig_die(struct handover_rig *rig);

/* @next is to be what @was, in @host, which was received: the drivers are restored. */
const char *rig_follow(struct handover_rig *next, const struct handover_rig *was, struct weir_host *host);

/* All that a successor is sent, and the parts of the journal that anybody reads, one behind the other. */
struct rig_description {
	int journal, sent; /* sent: what is sent in its place */
	uint32_t num;
	int fds[RIG_MOST_FDS];
	uint32_t numbers[RIG_MOST_FDS];
	struct weir_journal_header header;
	size_t len, blocks; /* of bytes; where in them the blocks begin */
	unsigned char *bytes;
};

/* Take it from a rig that is paused. */
const char *rig_describe(struct handover_rig *rig, struct rig_description *description);
void rig_drop(struct rig_description *description);

/* What is sent. */
struct rig_sending {
	const unsigned char *bytes; /* as many as the description has */
	uint64_t sum;
	uint32_t announced, num; /* descriptors */
	const int *fds;
	const uint32_t *numbers;
};

struct rig_sending rig_as_it_is(const struct rig_description *description);

/* As who has nothing else than @sending->bytes would announce them. */
void rig_announce(const struct rig_description *description, struct rig_sending *sending);

/* It is received by another process of the machine, which finds nobody to talk to afterwards. As weir_handover_receive(). */
int rig_receive(struct handover_rig *rig, const struct rig_description *description,
		const struct rig_sending *sending, struct weir_host **ret_host);

#endif
