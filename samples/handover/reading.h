/* SPDX-License-Identifier: MIT */
/*
 * A read of a whole namespace that one process begins and others go on with. Where it is stands in a block of the host's journal, and what was
 * read, in a file: so it can be followed up at any moment, also when nobody said that it would end.
 */
#ifndef HANDOVER_READING_H
#define HANDOVER_READING_H

#include <nvme/nvme.h>
#include <weir/weir.h>

#define READING_MAX_DEPTH 64

/* A buffer and the request that uses it. */
struct reading_slot {
	uint64_t block;
	uint32_t len;
	uint32_t busy; /* last: what stands above counts */
};

/* What is in the block. It says what is to be done, not what was: whoever follows looks at the queue for that. */
struct reading_state {
	uint64_t magic;
	struct nvme_namespace ns;
	uint64_t next; /* the first block that no request was made for yet */
	uint32_t depth, request_size;
	uint32_t chunk,
		clock; /* clock: the controller's was set when it began. chunk: where the buffers are */
	uint64_t offset, len;
	struct {
		uint32_t done;    /* upgrades */
		uint32_t killed;  /* times that somebody followed without a word of the predecessor's */
		uint64_t left_ns; /* CLOCK_MONOTONIC, when the predecessor answered for the last time */
		uint64_t gap_ns;  /* longest time in which no process could have answered */
		uint64_t started_ns, again;
		uint32_t failed; /* upgrades that came to nothing */
		uint32_t
			resubmitted; /* requests that were under way for us, and that the queue did not know */
		uint32_t in_flight;  /* commands that a predecessor had submitted, and its successor reaped */
		uint32_t outlasted;  /* of these, those that had not completed when the successor looked */
	} history;
	struct reading_slot slots[READING_MAX_DEPTH];
};

struct reading {
	struct weir_host *host;
	struct weir_device *device;
	struct weir_memory *memory;
	struct weir_buffer buffers;
	struct nvme_controller *controller;
	struct nvme_queue *queue;
	struct reading_state *state;
	int output;
	uint32_t to_submit[READING_MAX_DEPTH], num_to_submit; /* slots whose requests are not under way */
};

uint64_t nanoseconds_now(void);

/* Begin with the first @length blocks (0: all): everything is open; buffers and the block are made. Returns 0 or a negative errno, having said why. */
int reading_begin(struct reading *reading, uint32_t depth, uint32_t request_size, uint32_t namespace_id,
		  uint64_t length);

/* Go on after a predecessor: @host was received. Nothing reaches the device yet. */
int reading_restore(struct reading *reading, const char *address);

/* The host is this process's: take what has completed meanwhile, and find out what was never submitted. */
int reading_take_up(struct reading *reading);

/* Make requests of all idle slots, and submit what there is room for. Returns 0 or a negative errno, having said why. */
int reading_fill(struct reading *reading);

/* Submit what there is room for, wait for some of it, and write it to the output. Returns 0 or a negative errno, having said why. */
int reading_step(struct reading *reading);

uint64_t reading_blocks_done(const struct reading *reading);
/* The controller's clock still runs as it was set: nobody has reset it. */
bool reading_clock_runs(const struct reading *reading);
bool reading_is_over(const struct reading *reading);

#endif
