// SPDX-License-Identifier: MIT
/*
 * The nvme driver and a controller that lies. The input's first byte says how much of it is what the program does; the rest is the
 * controller's.
 *
 * The driver hands on only what it was given: a tag comes back once, and only if it was on its way. It gives the controller no
 * address that is no buffer's, comes back in bounded time, and when it is closed nothing is left.
 */
#include <nvme/manage.h>
#include <nvme/secondary.h>

#include "fuzz/hostile_nvme.h"

enum { QUEUES = 2, TAGS = 256, MEMORY = 64 * 4096, SHORT_MS = 100 };

struct program {
	struct input in;
	struct nvme_controller *controller;
	struct nvme_queue *queues[QUEUES];
	struct nvme_namespace ns;
	bool has_ns;
	uint32_t max_transfer;
	struct weir_memory *memory;
	struct weir_buffer data;
	uint8_t next_tag[QUEUES];
	bool on_its_way[QUEUES][TAGS];
};

static void open_controller(struct program *p)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .admin_timeout_ms = 500);
	struct nvme_controller *opened = NULL;
	struct nvme_controller_info info;

	opts.wait = in_below(&p->in, 4);
	opts.num_queues = in_below(&p->in, 4);
	opts.ready_timeout_ms = 500;
	opts.memory = opts.num_queues == 3 ? p->memory : NULL;
	opts.flags = in_below(&p->in, 8);
	if (p->controller || nvme_controller_open(stub_device(), &opts, &opened) != 0)
		return;
	p->controller = opened;
	liar.sgl = opts.flags & NVME_SGL;
	CHECK(nvme_controller_info(opened, &info, sizeof(info)) == 0);
	p->max_transfer = info.max_transfer;
	CHECK(info.max_depth >= 1 && info.max_transfer >= 4096 && strlen(info.model) <= 40);
}

static void close_controller(struct program *p)
{
	nvme_controller_close(p->controller);
	p->controller = NULL;
	p->has_ns = false;
	memset(p->queues, 0, sizeof(p->queues));
	memset(p->on_its_way, 0, sizeof(p->on_its_way));
	CHECK(stub.num_memories == 1 && stub.num_buffers == 1);
}

static void find_namespace(struct program *p)
{
	struct nvme_namespace ns;

	if (!p->controller || nvme_namespace_info(p->controller, in_below(&p->in, 4), &ns, sizeof(ns)) != 0)
		return;
	CHECK(ns.num_blocks && ns.block_size == 1u << ns.block_shift && ns.block_size >= 512 &&
	      ns.block_size <= p->max_transfer);
	p->ns = ns;
	p->has_ns = true;
}

static void open_queue(struct program *p)
{
	unsigned int i = in_below(&p->in, QUEUES);
	uint32_t depth = in_below(&p->in, 40);
	struct nvme_queue *opened = NULL;

	if (p->controller && !p->queues[i] && nvme_queue_open(p->controller, depth, &opened) == 0)
		p->queues[i] = opened;
}

static void close_queue(struct program *p)
{
	unsigned int i = in_below(&p->in, QUEUES);

	if (!p->queues[i])
		return;
	nvme_queue_close(p->queues[i]);
	p->queues[i] = NULL;
	memset(p->on_its_way[i], 0, sizeof(p->on_its_way[i]));
}

/* In the buffer for data. */
static void place(struct program *p, uint64_t *iova, uint32_t *len)
{
	uint32_t offset = in_u16(&p->in) % (MEMORY / 4) * 4;

	*len = (1u + in_u8(&p->in) % 64) << p->ns.block_shift;
	if (*len > MEMORY)
		*len = p->ns.block_size <= MEMORY ? p->ns.block_size : MEMORY;
	if (offset > MEMORY - *len)
		offset = MEMORY - *len;
	*iova = p->data.iova + offset;
}

static void submit(struct program *p)
{
	unsigned int i = in_below(&p->in, QUEUES), num = in_below(&p->in, 8), done = 0;
	struct nvme_request requests[8];
	int taken;

	if (!p->queues[i] || !p->has_ns)
		return;
	for (; done < num && !p->on_its_way[i][(uint8_t)(p->next_tag[i] + done)]; done++) {
		struct nvme_request *request = &requests[done];

		*request = (struct nvme_request){ .op = in_below(&p->in, 8),
						  .tag = (uint8_t)(p->next_tag[i] + done) };
		if (request->op == NVME_OP_FLUSH)
			continue;
		place(p, &request->iova, &request->len);
		request->block = in_u8(&p->in);
	}
	taken = nvme_queue_submit(p->queues[i], &p->ns, requests, done);
	CHECK(taken <= (int)done);
	for (int j = 0; j < taken; j++)
		p->on_its_way[i][p->next_tag[i]++] = true;
}

static void reap(struct program *p)
{
	unsigned int i = in_below(&p->in, QUEUES), max = in_below(&p->in, 9);
	bool wait = in_u8(&p->in) & 1;
	struct nvme_completion completions[8];
	int num;

	if (!p->queues[i])
		return;
	num = wait ? nvme_queue_wait(p->queues[i], completions, max, SHORT_MS)
		   : nvme_queue_reap(p->queues[i], completions, max);
	CHECK(num <= (int)max);
	for (int j = 0; j < num; j++) {
		const struct nvme_completion *c = &completions[j];

		CHECK(c->tag < TAGS && p->on_its_way[i][c->tag]);
		CHECK(c->error == nvme_status_error(c->status));
		CHECK(nvme_status_text(c->status));
		p->on_its_way[i][c->tag] = false;
	}
	CHECK(nvme_queue_in_flight(p->queues[i]) <= nvme_queue_depth(p->queues[i]));
}

static void transfer(struct program *p)
{
	unsigned int i = in_below(&p->in, QUEUES), how = in_below(&p->in, 3);
	uint64_t block = in_u8(&p->in), iova;
	uint32_t len;

	if (!p->queues[i] || !p->has_ns)
		return;
	place(p, &iova, &len);
	if (how == 0)
		nvme_queue_read(p->queues[i], &p->ns, block, iova, len, SHORT_MS);
	else if (how == 1)
		nvme_queue_write(p->queues[i], &p->ns, block, iova, len, SHORT_MS);
	else
		nvme_queue_flush(p->queues[i], &p->ns, SHORT_MS);
}

/* Pages of the buffer for data, or pieces of them: by PRPs most of these are refused. */
static void submit_pieces(struct program *p, unsigned int i)
{
	struct nvme_segment pieces[4];
	struct nvme_request request = { .op = in_below(&p->in, 3), .tag = p->next_tag[i] };
	unsigned int num = in_below(&p->in, 5);

	for (unsigned int j = 0; j < num; j++) {
		pieces[j].iova = p->data.iova + in_below(&p->in, 32) * 8192ull;
		pieces[j].len = in_u8(&p->in) & 1 ? 4096 : 512;
		request.len += (uint32_t)pieces[j].len;
	}
	if (!p->has_ns || p->on_its_way[i][p->next_tag[i]])
		return;
	if (nvme_queue_submit_segments(p->queues[i], &p->ns, &request, pieces, num) == 0)
		p->on_its_way[i][p->next_tag[i]++] = true;
}

/* Any admin command: those that would harm are not let through, which the controller would notice. */
static void give_command(struct program *p)
{
	struct nvme_admin_request request = { .opcode = in_u8(&p->in),
					      .nsid = in_u8(&p->in),
					      .cdw10 = in_u8(&p->in) };
	bool has_data = request.opcode & 3;
	unsigned char data[64] = { 0 };
	uint32_t result;

	nvme_controller_admin(p->controller, &request, has_data ? data : NULL, has_data ? sizeof(data) : 0,
			      &result);
}

/* To virtual functions: it is asked to believe that there are some. */
static void give_to_functions(struct program *p)
{
	struct nvme_secondary all[4];
	int num = nvme_secondary_list(p->controller, in_u8(&p->in), all, 4);

	CHECK(num <= 4);
	for (int i = 1; i < num; i++)
		CHECK(all[i].controller_id > all[i - 1].controller_id);
	nvme_secondary_start(p->controller, in_u8(&p->in), in_u8(&p->in), in_u8(&p->in));
}

/* Whatever comes of it, what was on its way is still to be reported, once. */
static void manage(struct program *p, unsigned int i)
{
	unsigned int what = in_below(&p->in, 9);
	struct nvme_event events[4];
	uint32_t nsids[16];
	char page[512];
	int num;

	if (!p->controller)
		return;
	if (what == 0)
		nvme_controller_reset(p->controller);
	if (what == 1 && p->queues[i])
		nvme_queue_abort(p->queues[i], in_u8(&p->in));
	if (what == 2)
		CHECK(nvme_controller_events(p->controller, events, 4) <= 4);
	if (what == 3) {
		num = nvme_namespace_list(p->controller, in_u8(&p->in), nsids, 16);
		CHECK(num <= 16);
		for (int j = 1; j < num; j++)
			CHECK(nsids[j] > nsids[j - 1]);
	}
	if (what == 4 && p->queues[i])
		submit_pieces(p, i);
	if (what == 5)
		nvme_controller_log(p->controller, in_u8(&p->in), UINT32_MAX, page, sizeof(page));
	if (what == 6)
		nvme_namespace_changes(p->controller, nsids, 16);
	if (what == 7)
		give_command(p);
	if (what == 8)
		give_to_functions(p);
}

static void ask(struct program *p)
{
	unsigned int i = in_below(&p->in, QUEUES);

	manage(p, i);

	if (p->controller)
		nvme_controller_check(p->controller);
	if (p->queues[i])
		nvme_queue_fd(p->queues[i]);
	CHECK(nvme_error());
}

static void vanish(struct program *p)
{
	liar.gone = in_u8(&p->in) >= 200;
}

static void run(struct program *p)
{
	static void (*const steps[])(struct program *) = { open_controller,
							   find_namespace,
							   open_queue,
							   submit,
							   reap,
							   transfer,
							   ask,
							   close_queue,
							   vanish,
							   submit,
							   reap,
							   close_controller };

	while (!in_empty(&p->in)) {
		unsigned int step = in_below(&p->in, 12);

		say("step %u", step);
		steps[step](p);
	}
	close_controller(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program p = { .in = { data, data + size } };
	size_t len = in_u8(&p.in);

	liar_begin(in_split(&p.in, len));
	if (weir_memory_open(NULL, NULL, &p.memory) != 0)
		return 0;
	if (weir_memory_alloc(p.memory, MEMORY, NULL, &p.data) == 0)
		run(&p);
	weir_memory_close(p.memory);
	liar_end();
	return 0;
}
