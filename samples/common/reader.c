/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include "progress.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Requests are numbered from 0 in the order of their data. Request n uses buffer n % depth, so what is
 * between the oldest that has not been handed on and the next to be submitted is never more than depth.
 */
struct run {
	const struct reader *reader;
	uint64_t first_block, num_blocks;
	uint64_t blocks_each;   /* of a request */
	uint64_t total;         /* requests */
	uint64_t submitted;     /* requests submitted: the next one's number */
	uint64_t handed_on;     /* requests whose data has been handed on */
	bool *arrived;          /* by buffer */
	struct weir_map **maps; /* by buffer: with map_in, while a request has it */
	struct nvme_request *requests;
	struct nvme_completion *completions;
	struct reader_failure *failure;
};

static uint32_t length_of(const struct run *run, uint64_t number)
{
	uint64_t left = run->num_blocks - number * run->blocks_each;

	return (uint32_t)((left < run->blocks_each ? left : run->blocks_each)
			  << run->reader->ns->block_shift);
}

static void *buffer_of(const struct reader *reader, uint64_t number)
{
	return (char *)reader->buffers.addr + number % reader->depth * reader->request_size;
}

/* Where the device sees the buffer of request @number from now on. */
static int begin_mapping(const struct run *run, uint64_t number, uint64_t *ret_iova)
{
	const struct reader *reader = run->reader;
	struct weir_map **map = &run->maps[number % reader->depth];
	double start;
	int r;

	*ret_iova = reader->buffers.iova + number % reader->depth * reader->request_size;
	if (!reader->map_in)
		return 0;
	start = seconds_now();
	r = weir_ioas_map(reader->map_in, buffer_of(reader, number), reader->request_size,
			  &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_WRITE), map);
	*reader->map_seconds += seconds_now() - start;
	if (r == 0)
		*ret_iova = weir_map_iova(*map);
	return r;
}

static int end_mapping(const struct run *run, uint64_t number)
{
	const struct reader *reader = run->reader;
	double start = reader->map_in ? seconds_now() : 0;
	int r = weir_map_close(run->maps[number % reader->depth]);

	run->maps[number % reader->depth] = NULL;
	if (reader->map_in)
		*reader->map_seconds += seconds_now() - start;
	return r;
}

/* Every buffer that is free gets the next read. */
static int submit(struct run *run)
{
	const struct reader *reader = run->reader;
	uint64_t end = run->handed_on + reader->depth, number;
	size_t num = 0;
	int r;

	if (end > run->total)
		end = run->total;
	for (number = run->submitted; number < end; number++) {
		uint64_t iova;

		r = begin_mapping(run, number, &iova);
		if (r < 0)
			return r;
		run->arrived[number % reader->depth] = false;
		run->requests[num++] = (struct nvme_request){
			.block = run->first_block + number * run->blocks_each,
			.iova = iova,
			.len = length_of(run, number),
			.op = NVME_OP_READ,
			.tag = number,
		};
	}
	r = nvme_queue_submit(reader->queue, reader->ns, run->requests, num);
	if (r < 0)
		return r;
	run->submitted += (uint64_t)r;
	return 0;
}

/* Take what has come; wait only if the data that is due has not. */
static int reap(struct run *run)
{
	const struct reader *reader = run->reader;
	bool due = run->arrived[run->handed_on % reader->depth];
	int r, i;

	r = due ? nvme_queue_reap(reader->queue, run->completions, reader->depth)
		: nvme_queue_wait(reader->queue, run->completions, reader->depth, reader->timeout_ms);
	if (r == -EINTR)
		return *reader->stop ? r : 0;
	for (i = 0; i < r; i++) {
		const struct nvme_completion *completion = &run->completions[i];

		if (completion->error < 0) {
			run->failure->block = run->first_block + completion->tag * run->blocks_each;
			run->failure->status = completion->status;
			return completion->error;
		}
		run->arrived[completion->tag % reader->depth] = true;
	}
	return r < 0 ? r : 0;
}

/* Hand on the data that is due, one request's worth, while the others are under way. */
static int hand_on(struct run *run)
{
	const struct reader *reader = run->reader;
	size_t buffer = run->handed_on % reader->depth;
	int r;

	if (!run->arrived[buffer])
		return 0;
	r = end_mapping(run, run->handed_on);
	if (r == 0)
		r = reader->sink(reader->ctx, buffer_of(reader, run->handed_on),
				 length_of(run, run->handed_on));
	run->arrived[buffer] = false;
	run->handed_on++;
	return r;
}

int reader_run(const struct reader *reader, uint64_t first_block, uint64_t num_blocks,
	       struct reader_failure *ret_failure)
{
	uint64_t blocks_each = reader->request_size >> reader->ns->block_shift;
	struct run run = {
		.reader = reader,
		.first_block = first_block,
		.num_blocks = num_blocks,
		.blocks_each = blocks_each,
		.total = num_blocks / blocks_each + (num_blocks % blocks_each != 0),
		.arrived = calloc(reader->depth, sizeof *run.arrived),
		.maps = calloc(reader->depth, sizeof(struct weir_map *)),
		.requests = calloc(reader->depth, sizeof *run.requests),
		.completions = calloc(reader->depth, sizeof *run.completions),
		.failure = ret_failure,
	};
	int r = run.arrived && run.maps && run.requests && run.completions ? 0 : -ENOMEM;

	*ret_failure = (struct reader_failure){ 0 };
	while (r == 0 && run.handed_on < run.total) {
		r = *reader->stop ? -EINTR : submit(&run);
		if (r == 0)
			r = reap(&run);
		if (r == 0)
			r = hand_on(&run);
	}
	free(run.arrived);
	free(run.maps); /* of what failed on the way, the mappings end with their space */
	free(run.requests);
	free(run.completions);
	return r;
}
