// SPDX-License-Identifier: MIT
#include "packet-dump/dump.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/reader.h"

#define TIMEOUT_MS 30000

int dump_open(struct dump *dump, struct pair *pair, uint64_t most)
{
	*dump = (struct dump){ .pair = pair, .most = most };
	dump->packets = calloc(most, sizeof *dump->packets);
	if (dump->packets)
		return 0;
	warnx("no memory to remember %" PRIu64 " packets", most);
	return -ENOMEM;
}

void dump_close(struct dump *dump)
{
	free(dump->packets);
	dump->packets = NULL;
}

bool dump_done(const struct dump *dump)
{
	return dump->full || dump->taken == dump->most;
}

/* To the disk ----------------------------------------------------------------------------------------------- */

static int give_back(struct dump *dump, uint64_t iova)
{
	int r = igb_pool_give(dump->pair->pool, &iova, 1);

	if (r < 0)
		warnx("%s", igb_error());
	return r;
}

/* A packet, where the port put it, is what the disk is to write. False: it goes nowhere. */
static bool enter(struct dump *dump, const struct igb_packet *packet, struct nvme_request *ret_request)
{
	const struct nvme_namespace *ns = &dump->pair->ns;
	uint64_t shift = weir_map_iova(dump->pair->of_disk) - weir_map_iova(dump->pair->of_nic);
	uint32_t len = igb_packet_len(packet), blocks = (len + ns->block_size - 1) >> ns->block_shift;

	if (!(packet->word & IGB_RX_END) || packet->word & IGB_RX_BAD) {
		dump->bad++;
		return false;
	}
	dump->full |= blocks > ns->num_blocks - dump->next;
	if (dump->full)
		return false;
	*ret_request = (struct nvme_request){
		.block = dump->next,
		.iova = packet->iova + shift,
		.len = blocks << ns->block_shift,
		.op = NVME_OP_WRITE,
		.tag = packet->iova,
	};
	dump->packets[dump->taken++] = (struct dump_packet){ .block = dump->next, .len = len };
	dump->bytes += len;
	dump->next += blocks;
	return true;
}

static int submit(struct dump *dump, const struct nvme_request *requests, uint32_t num)
{
	uint32_t done = 0;
	int r = 0;

	for (; done < num; done += (uint32_t)r) {
		r = nvme_queue_submit(dump->pair->queue, &dump->pair->ns, requests + done, num - done);
		if (r <= 0) {
			warnx("the disk: %s", nvme_error());
			return r < 0 ? r : -EIO;
		}
	}
	return 0;
}

/* No more than the disk's queue has room for. */
static uint32_t wanted(const struct dump *dump)
{
	uint64_t most = dump->most - dump->taken;
	uint32_t room = nvme_queue_depth(dump->pair->queue) - nvme_queue_in_flight(dump->pair->queue);

	most = most < PAIR_BURST ? most : PAIR_BURST;
	return dump->full ? 0 : most < room ? (uint32_t)most : room;
}

static int take(struct dump *dump)
{
	struct igb_packet packets[PAIR_BURST];
	struct nvme_request requests[PAIR_BURST];
	uint32_t max = wanted(dump), num = 0;
	uint64_t all;
	int came, r = 0;

	if (max == 0)
		return 0;
	came = igb_rx_burst(dump->pair->rx, packets, max, &all);
	if (came == -ENOBUFS)
		return 0; /* all buffers are on their way to the disk; what comes now waits */
	if (came < 0)
		warnx("the port: %s", igb_error());
	for (int i = 0; i < came && r == 0; i++) {
		if (enter(dump, &packets[i], &requests[num]))
			num++;
		else
			r = give_back(dump, packets[i].iova);
	}
	if (r == 0 && num != 0)
		r = submit(dump, requests, num);
	return r < 0 ? r : came;
}

static int complete(struct dump *dump, const struct nvme_completion *completions, int num)
{
	int r = 0;

	if (num < 0)
		warnx("the disk: %s", nvme_error());
	for (int i = 0; i < num && r == 0; i++) {
		if (completions[i].error < 0) {
			warnx("the disk: %s (status 0x%04x)", nvme_status_text(completions[i].status),
			      completions[i].status);
			return completions[i].error;
		}
		dump->written++;
		r = give_back(dump, completions[i].tag);
	}
	return r < 0 ? r : num;
}

int dump_turn(struct dump *dump)
{
	struct nvme_completion completions[PAIR_BURST];
	int taken = take(dump), written;

	if (taken < 0)
		return taken;
	written = complete(dump, completions, nvme_queue_reap(dump->pair->queue, completions, PAIR_BURST));
	return written < 0 ? written : taken + written;
}

static int wait_for_disk(struct dump *dump, int timeout_ms)
{
	struct nvme_completion completions[PAIR_BURST];
	int r = nvme_queue_wait(dump->pair->queue, completions, PAIR_BURST, timeout_ms);

	return r == -ETIMEDOUT || r == -EINTR ? r : complete(dump, completions, r);
}

/* What comes while the disk is waited for stays in the port's queue. */
int dump_wait(struct dump *dump, int timeout_ms)
{
	int r;

	if (nvme_queue_in_flight(dump->pair->queue)) {
		r = wait_for_disk(dump, timeout_ms);
		return r == -ETIMEDOUT || r == -EINTR ? 0 : r;
	}
	r = igb_rx_wait(dump->pair->rx, timeout_ms);
	if (r == -ETIMEDOUT || r == -EINTR)
		return 0;
	if (r < 0)
		warnx("the port: %s", igb_error());
	return r;
}

int dump_finish(struct dump *dump)
{
	int r;

	while (nvme_queue_in_flight(dump->pair->queue)) {
		r = wait_for_disk(dump, TIMEOUT_MS);
		if (r == -ETIMEDOUT)
			warnx("the disk: nothing has completed for %d s", TIMEOUT_MS / 1000);
		if (r < 0 && r != -EINTR)
			return r;
	}
	r = nvme_queue_flush(dump->pair->queue, &dump->pair->ns, TIMEOUT_MS);
	if (r < 0)
		warnx("the disk: %s", nvme_error());
	return r;
}

/* And back -------------------------------------------------------------------------------------------------- */

struct walk {
	const struct dump *dump;
	dump_sink sink;
	void *ctx;
	uint64_t at;    /* byte of the disk */
	uint64_t index; /* of the packet that it is in, or behind which it is */
};

/* Of what is read, what is packets goes on. */
static int pick(void *ctx, const void *data, size_t len)
{
	struct walk *walk = ctx;
	const struct dump *dump = walk->dump;
	uint64_t end = walk->at + len, from, to;
	int r = 0;

	while (r == 0 && walk->index < dump->written) {
		const struct dump_packet *packet = &dump->packets[walk->index];
		uint64_t start = packet->block << dump->pair->ns.block_shift, behind = start + packet->len;

		from = start > walk->at ? start : walk->at;
		to = behind < end ? behind : end;
		if (from < to)
			r = walk->sink(walk->ctx, (const char *)data + (from - walk->at), to - from);
		if (behind > end)
			break;
		walk->index++;
	}
	walk->at = end;
	return r;
}

int dump_read_back(struct dump *dump, dump_sink sink, void *ctx)
{
	static volatile sig_atomic_t never;
	struct walk walk = { .dump = dump, .sink = sink, .ctx = ctx };
	struct reader_failure failure = { 0 };
	struct reader reader = {
		.queue = dump->pair->queue,
		.ns = &dump->pair->ns,
		.buffers = dump->pair->back,
		.depth = PAIR_BACK,
		.request_size = dump->pair->request_size,
		.timeout_ms = TIMEOUT_MS,
		.sink = pick,
		.ctx = &walk,
		.stop = &never,
	};
	int r = dump->next == 0 ? 0 : reader_run(&reader, 0, dump->next, &failure);

	if (r < 0)
		warnx("reading back: %s", failure.status ? nvme_status_text(failure.status) : nvme_error());
	return r;
}
