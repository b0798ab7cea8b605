// SPDX-License-Identifier: MIT
#include "handover/reading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAGIC      0x3164616572726977ull
#define NAME       "reading"
#define TIMEOUT_MS 30000
#define CLOCK_MS   1000000000000ull /* some time in 2001 */

uint64_t nanoseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int say(int error, const char *what, const char *why)
{
	fprintf(stderr, "weir-handover-demo: %s: %s\n", what, why);
	return error;
}

/* Last, so that what stands in the slot is true when it says that it counts. */
static void set_busy(struct reading_slot *slot, uint32_t busy)
{
	__atomic_store_n(&slot->busy, busy, __ATOMIC_RELEASE);
}

int reading_begin(struct reading *r, uint32_t depth, uint32_t request_size, uint32_t namespace_id,
		  uint64_t length)
{
	struct weir_memory_opts opts = WEIR_OPTS(weir_memory_opts, .map_flags = WEIR_MAP_WRITE);
	struct nvme_controller_info info = { 0 };
	struct nvme_namespace ns = { 0 };
	void *block;
	int error = nvme_namespace_info(r->controller, namespace_id, &ns, sizeof ns);

	if (error == 0)
		error = nvme_controller_info(r->controller, &info, sizeof info);
	if (error == 0)
		error = nvme_queue_open(r->controller, depth, &r->queue);
	if (error < 0)
		return say(error, "the controller", nvme_error());
	if (length > 0 && length < ns.num_blocks)
		ns.num_blocks = length;
	if (request_size > info.max_transfer || request_size % ns.block_size)
		return say(-EINVAL, "request-size", "more than a request can carry, or no whole blocks");
	error = weir_memory_open(weir_device_ioas(r->device), &opts, &r->memory);
	if (error == 0)
		error = weir_memory_alloc(r->memory, (uint64_t)depth * request_size, NULL, &r->buffers);
	if (error == 0)
		error = weir_block_open(r->host, NAME, sizeof *r->state, &block);
	if (error)
		return say(error, "buffers", weir_error());
	r->state = block;
	*r->state = (struct reading_state){ .ns = ns,
					    .depth = depth,
					    .request_size = request_size,
					    .chunk = r->buffers.chunk,
					    .offset = r->buffers.offset,
					    .len = r->buffers.len };
	r->state->history.started_ns = nanoseconds_now();
	r->state->clock = nvme_controller_set_clock(r->controller, CLOCK_MS) == 0;
	__atomic_store_n(&r->state->magic, MAGIC, __ATOMIC_RELEASE);
	return 0;
}

/* Going on ------------------------------------------------------------------------------------------------- */

static int check_state(const struct reading_state *state)
{
	const struct nvme_namespace *ns = &state->ns;

	if (state->magic != MAGIC)
		return say(-ENODATA, "what was kept", "the reading had not begun");
	if (state->depth == 0 || state->depth > READING_MAX_DEPTH || state->request_size % 4096 ||
	    state->len != (uint64_t)state->depth * state->request_size || ns->block_shift < 9 ||
	    ns->block_shift > 16 || ns->block_size != 1u << ns->block_shift || state->next > ns->num_blocks)
		return say(-EPROTO, "what was kept", "it makes no sense");
	for (uint32_t i = 0; i < state->depth; i++)
		if (state->slots[i].busy &&
		    (state->slots[i].len > state->request_size || state->slots[i].block >= ns->num_blocks))
			return say(-EPROTO, "what was kept", "a request makes no sense");
	return 0;
}

/* The memory with the buffers is the one where they can be claimed. */
static int find_buffers(struct reading *r)
{
	const struct reading_state *state = r->state;
	int error = -ENOENT;

	for (uint32_t i = 0; weir_handover_memory(r->host, i, &r->memory) == 0; i++) {
		error = weir_memory_claim(r->memory, state->chunk, state->offset, state->len, &r->buffers);
		if (error == 0)
			return 0;
	}
	return say(error, "the buffers", weir_error());
}

int reading_restore(struct reading *r, const char *address)
{
	void *block;
	int error = weir_handover_device(r->host, address, &r->device);

	if (error == 0)
		error = weir_block_open(r->host, NAME, sizeof *r->state, &block);
	if (error)
		return say(error, address, weir_error());
	r->state = block;
	error = check_state(r->state);
	if (error < 0)
		return error;
	error = nvme_controller_restore(r->device, NULL, &r->controller);
	if (error == 0)
		error = nvme_controller_queue(r->controller, 1, &r->queue);
	if (error < 0)
		return say(error, address, nvme_error());
	return find_buffers(r);
}

static int write_all(int fd, const char *data, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t done = pwrite(fd, data, len, (off_t)at);

		if (done < 0 && errno != EINTR)
			return say(-errno, "the output", strerror(errno));
		if (done > 0) {
			data += done;
			len -= (size_t)done;
			at += (uint64_t)done;
		}
	}
	return 0;
}

/* A request that has completed: written twice is written once, should we be killed in between. */
static int finish(struct reading *r, const struct nvme_completion *completion)
{
	struct reading_slot *slot;
	int error;

	if (completion->tag >= r->state->depth || !r->state->slots[completion->tag].busy) {
		r->state->history.again++; /* our predecessor had taken note of it */
		return 0;
	}
	slot = &r->state->slots[completion->tag];
	if (completion->error < 0)
		return say(completion->error, "reading", nvme_status_text(completion->status));
	error = write_all(r->output, (char *)r->buffers.addr + completion->tag * r->state->request_size,
			  slot->len, slot->block << r->state->ns.block_shift);
	if (error == 0)
		set_busy(slot, 0);
	return error;
}

static int finish_all(struct reading *r, const struct nvme_completion *completions, int num)
{
	int error = 0;

	for (int i = 0; i < num && error == 0; i++)
		error = finish(r, &completions[i]);
	return error;
}

static uint32_t num_busy(const struct reading_state *state)
{
	uint32_t num = 0;

	for (uint32_t i = 0; i < state->depth; i++)
		num += state->slots[i].busy != 0;
	return num;
}

/* Of the slots that are busy, those that the queue does not know are to be submitted again. */
static void find_lost(struct reading *r)
{
	uint64_t tags[READING_MAX_DEPTH];
	bool pending[READING_MAX_DEPTH] = { false };
	size_t num_tags = nvme_queue_pending(r->queue, tags, READING_MAX_DEPTH);

	for (size_t i = 0; i < num_tags && i < READING_MAX_DEPTH; i++)
		if (tags[i] < READING_MAX_DEPTH)
			pending[tags[i]] = true;
	for (uint32_t i = 0; i < r->state->depth; i++)
		if (r->state->slots[i].busy && !pending[i])
			r->to_submit[r->num_to_submit++] = i;
}

int reading_take_up(struct reading *r)
{
	struct nvme_completion completions[READING_MAX_DEPTH];
	const uint32_t busy = num_busy(r->state);
	int num, error = 0;

	while ((num = nvme_queue_reap(r->queue, completions, READING_MAX_DEPTH)) > 0 && error == 0)
		error = finish_all(r, completions, num);
	if (num < 0)
		return say(num, "the queue", nvme_error());
	find_lost(r);
	r->state->history.resubmitted += r->num_to_submit;
	r->state->history.in_flight += busy - r->num_to_submit;
	r->state->history.outlasted += num_busy(r->state) - r->num_to_submit;
	return error;
}

/* Reading -------------------------------------------------------------------------------------------------- */

uint64_t reading_blocks_done(const struct reading *r)
{
	uint64_t done = r->state->next;

	for (uint32_t i = 0; i < r->state->depth; i++)
		if (r->state->slots[i].busy)
			done -= r->state->slots[i].len >> r->state->ns.block_shift;
	return done <= r->state->next ? done : 0;
}

bool reading_clock_runs(const struct reading *r)
{
	bool is_set = false;
	uint64_t ms = 0;

	return nvme_controller_clock(r->controller, &ms, &is_set) == 0 && is_set && ms >= CLOCK_MS &&
	       ms < CLOCK_MS + 86400000;
}

bool reading_is_over(const struct reading *r)
{
	for (uint32_t i = 0; i < r->state->depth; i++)
		if (r->state->slots[i].busy)
			return false;
	return r->state->next == r->state->ns.num_blocks;
}

/* Give every idle slot the next blocks. */
static void plan(struct reading *r)
{
	struct reading_state *state = r->state;
	const uint64_t blocks = state->request_size >> state->ns.block_shift;

	for (uint32_t i = 0; i < state->depth && state->next < state->ns.num_blocks; i++) {
		uint64_t left = state->ns.num_blocks - state->next, num = left < blocks ? left : blocks;

		if (state->slots[i].busy)
			continue;
		state->slots[i].block = state->next;
		state->slots[i].len = (uint32_t)(num << state->ns.block_shift);
		set_busy(&state->slots[i], 1);
		__atomic_store_n(&state->next, state->next + num, __ATOMIC_RELEASE);
		r->to_submit[r->num_to_submit++] = i;
	}
}

static int submit(struct reading *r)
{
	struct nvme_request requests[READING_MAX_DEPTH];
	int num;

	for (uint32_t i = 0; i < r->num_to_submit; i++) {
		const struct reading_slot *slot = &r->state->slots[r->to_submit[i]];

		requests[i] = (struct nvme_request){ .op = NVME_OP_READ,
						     .block = slot->block,
						     .len = slot->len,
						     .iova = r->buffers.iova + (uint64_t)r->to_submit[i] *
										       r->state->request_size,
						     .tag = r->to_submit[i] };
	}
	num = nvme_queue_submit(r->queue, &r->state->ns, requests, r->num_to_submit);
	if (num == -EAGAIN)
		return 0;
	if (num < 0)
		return say(num, "submitting", nvme_error());
	r->num_to_submit -= (uint32_t)num;
	memmove(r->to_submit, r->to_submit + num, r->num_to_submit * sizeof r->to_submit[0]);
	return 0;
}

int reading_fill(struct reading *r)
{
	plan(r);
	return r->num_to_submit ? submit(r) : 0;
}

int reading_step(struct reading *r)
{
	struct nvme_completion completions[READING_MAX_DEPTH];
	int num, error = reading_fill(r);

	if (error < 0)
		return error;
	num = nvme_queue_wait(r->queue, completions, READING_MAX_DEPTH, TIMEOUT_MS);
	return num < 0 ? say(num, "waiting", nvme_error()) : finish_all(r, completions, num);
}
