/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/say.h"

#define TIMEOUT_MS 30000

/* A place in the memory buffer, and which piece of the data is on its way through it. */
enum state { FREE, WANTED, READING, READING_IN_VAIN, READ, WRITING };

struct slot {
	enum state state;
	uint64_t number;
};

struct run {
	struct transfer *transfer;
	struct disks *disks;
	struct slot *slots;
	struct nvme_completion *completions;
	uint64_t total, next, done; /* pieces */
};

static uint64_t position(const struct run *run, const struct slot *slot)
{
	return slot->number * run->transfer->request_size;
}

/* The @slot's request, at @window: where the controller finds the memory buffer. */
static struct nvme_request request_for(const struct run *run, const struct slot *slot, enum nvme_op op,
				       const struct nvme_namespace *ns, uint64_t window)
{
	uint64_t left = run->transfer->bytes - position(run, slot), index = (uint64_t)(slot - run->slots);
	uint32_t len = run->transfer->request_size;

	return (struct nvme_request){
		.block = position(run, slot) >> ns->block_shift,
		.iova = window + index * run->transfer->request_size,
		.len = left < len ? (uint32_t)left : len,
		.op = op,
		.tag = index,
	};
}

static int submit(struct run *run, struct slot *slot, bool write)
{
	struct disk *disk = write ? &run->disks->target : &run->disks->source;
	struct weir_map *window = write ? run->disks->of_target : run->disks->of_source;
	struct nvme_request request = request_for(run, slot, write ? NVME_OP_WRITE : NVME_OP_READ, &disk->ns,
						  weir_map_iova(window));
	int r = nvme_queue_submit(disk->queue, &disk->ns, &request, 1);

	if (r < 0)
		return say_error(r, disk->address, nvme_error);
	slot->state = write ? WRITING : READING;
	return 0;
}

/* Each place does what comes next for it. */
static int submit_all(struct run *run)
{
	int r = 0;

	for (uint32_t i = 0; i < run->transfer->depth && r == 0; i++) {
		struct slot *slot = &run->slots[i];

		if (slot->state == FREE && run->next < run->total)
			*slot = (struct slot){ .state = WANTED, .number = run->next++ };
		if (slot->state == WANTED || slot->state == READ)
			r = submit(run, slot, slot->state == READ);
	}
	return r;
}

/* Whether a read that was under way when the window went has failed or not says nothing about where its data went. */
static int take(struct run *run, const struct disk *disk, const struct nvme_completion *completion)
{
	struct slot *slot = &run->slots[completion->tag];

	if (slot->state == READING_IN_VAIN) {
		slot->state = WANTED;
		return 0;
	}
	if (completion->error < 0) {
		warnx("%s, byte %" PRIu64 " and following: %s (status 0x%04x)", disk->address,
		      position(run, slot), nvme_status_text(completion->status), completion->status);
		return completion->error;
	}
	run->done += slot->state == WRITING;
	slot->state = slot->state == READING ? READ : FREE;
	return 0;
}

/* Returns how many, or an error. */
static int reap(struct run *run, const struct disk *disk)
{
	int num = nvme_queue_reap(disk->queue, run->completions, run->transfer->depth), r = 0;

	if (num < 0)
		warnx("%s: %s", disk->address, nvme_error());
	for (int i = 0; i < num && r == 0; i++)
		r = take(run, disk, &run->completions[i]);
	return r < 0 ? r : num;
}

/* Resets ------------------------------------------------------------------------------------------------- */

/* What was in the buffer, or on its way into it or out of it, is wanted again. */
static void withdraw(struct run *run)
{
	for (uint32_t i = 0; i < run->transfer->depth; i++) {
		struct slot *slot = &run->slots[i];

		if (slot->state == READING || slot->state == READ || slot->state == WRITING)
			run->transfer->repeated++;
		if (slot->state == READING)
			slot->state = READING_IN_VAIN;
		else if (slot->state == READ || slot->state == WRITING)
			slot->state = WANTED;
	}
}

/* What has happened to the window; by whose doing makes no difference here. */
static int follow_window(struct run *run)
{
	struct weir_peer_event event;
	int r = 0;

	while (r == 0 && weir_watch_next(run->disks->watch, &event, sizeof event) == 0) {
		run->transfer->sunk += event.written;
		if (event.kind == WEIR_PEER_WITHDRAWN) {
			withdraw(run);
		} else if (event.kind == WEIR_PEER_RESTORED) {
			r = disks_restart_target(run->disks);
			run->transfer->resets_survived += r == 0;
		} else {
			warnx("the window is lost: %s", event.reason);
			r = -ENODEV;
		}
	}
	return r;
}

/* One after each equal part of the data but the last: as soon as it is on its way. */
static int reset_if_due(struct run *run, uint32_t *num)
{
	uint32_t wanted = run->transfer->resets;
	int r;

	if (*num == wanted || run->next < run->total * (*num + 1) / (wanted + 1))
		return 0;
	++*num;
	r = weir_device_reset(run->disks->target.device);
	if (r < 0)
		warnx("reset of %s: %s", run->disks->target.address, weir_error());
	return r;
}

/* The whole ---------------------------------------------------------------------------------------------- */

/* Until a queue or the window has something to say. By polling, if a controller has no interrupts. */
static int wait_for_something(struct run *run)
{
	struct pollfd fds[] = {
		{ .fd = nvme_queue_fd(run->disks->source.queue), .events = POLLIN },
		{ .fd = nvme_queue_fd(run->disks->target.queue), .events = POLLIN },
		{ .fd = weir_watch_fd(run->disks->watch), .events = POLLIN },
	};
	bool interrupts = fds[0].fd >= 0 && fds[1].fd >= 0;
	int r = poll(fds, 3, interrupts ? TIMEOUT_MS : 0);
	uint64_t count;

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (r == 0 && interrupts) {
		warnx("nothing has completed for %d s", TIMEOUT_MS / 1000);
		return -ETIMEDOUT;
	}
	for (int i = 0; i < 2; i++)
		if ((fds[i].revents & POLLIN) && read(fds[i].fd, &count, sizeof count) < 0 && errno != EAGAIN)
			return -errno;
	return 0;
}

static int go_on(struct run *run, uint32_t *resets)
{
	int from_source, from_target, r = submit_all(run);

	if (r == 0)
		r = reset_if_due(run, resets);
	if (r == 0)
		r = follow_window(run);
	if (r < 0)
		return r;
	from_source = reap(run, &run->disks->source);
	from_target = from_source < 0 ? 0 : reap(run, &run->disks->target);
	if (from_source < 0 || from_target < 0)
		return from_source < 0 ? from_source : from_target;
	progress_at(run->transfer->progress, run->done * run->transfer->request_size);
	return from_source + from_target || run->done == run->total ? 0 : wait_for_something(run);
}

static int flush(struct disk *disk)
{
	int r = nvme_queue_flush(disk->queue, &disk->ns, TIMEOUT_MS);

	return say_error(r, disk->address, nvme_error);
}

int transfer_run(struct transfer *transfer)
{
	struct run run = {
		.transfer = transfer,
		.disks = transfer->disks,
		.slots = calloc(transfer->depth, sizeof *run.slots),
		.completions = calloc(transfer->depth, sizeof *run.completions),
		.total = (transfer->bytes + transfer->request_size - 1) / transfer->request_size,
	};
	int r = run.slots && run.completions ? 0 : -ENOMEM;
	uint32_t resets = 0;

	if (r < 0)
		warnx("%s", strerror(-r));
	while (r == 0 && run.done < run.total)
		r = *transfer->stop ? -EINTR : go_on(&run, &resets);
	if (r == 0)
		r = flush(&run.disks->target);
	free(run.slots);
	free(run.completions);
	return r;
}
