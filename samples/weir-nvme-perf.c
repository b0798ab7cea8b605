/* SPDX-License-Identifier: MIT */
/*
 * weir-nvme-perf: how fast an NVMe namespace is read or written from this process, and how long each request takes.
 *
 * Each thread has a queue pair and buffers of its own; nothing is shared while it runs, and nothing is mapped or allocated.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/progress.h"
#include "common/say.h"
#include "common/stop.h"
#include "common/units.h"
#include "nvme-perf/live.h"
#include "nvme-perf/report.h"
#include "nvme-perf/worker.h"

#define LOOK_NS 20000000 /* between two looks at the workers */

/* Everything that is open. Zero is closed. */
struct session {
	struct options options;
	struct drive drive;
	pthread_barrier_t start;
	struct work work;
	struct worker *workers;
	struct live live;
	struct report report;
};

/* Setting up --------------------------------------------------------------------------------------------- */

/* Whether what was asked for fits the controller and its namespace. */
static int check(struct session *s)
{
	const struct options *options = &s->options;
	const struct nvme_namespace *ns = &s->drive.ns;
	const struct nvme_controller_info *info = &s->drive.info;
	uint64_t blocks = options->request_size >> ns->block_shift;
	int r;

	if (options->request_size % ns->block_size != 0 || options->request_size > info->max_transfer) {
		warnx("requests of %u bytes: blocks are of %u, and a request carries %u at most",
		      options->request_size, ns->block_size, info->max_transfer);
		return -EINVAL;
	}
	if (options->threads > info->num_queues || options->queue_depth > info->max_depth) {
		warnx("%u threads with %u requests each: the controller has %u queues, for %u each",
		      options->threads, options->queue_depth, info->num_queues, info->max_depth);
		return -ERANGE;
	}
	r = drive_range(&s->drive, options->offset, options->length, &s->report.num_blocks);
	if (r < 0)
		return r;
	if (s->report.num_blocks / blocks < options->threads) {
		warnx("%" PRIu64 " blocks have no room for a request of %" PRIu64 " for each of %u threads",
		      s->report.num_blocks, blocks, options->threads);
		return -ERANGE;
	}
	return 0;
}

/* What is written is no zeros, which a disk might not bother to keep. */
static void fill(struct weir_buffer *buffer, uint64_t seed)
{
	uint64_t *words = buffer->addr, x = seed * 0x9e3779b97f4a7c15 | 1;
	size_t i;

	for (i = 0; i < buffer->len / sizeof *words; i++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		words[i] = x;
	}
}

/* A random thread goes anywhere, any other has a part of its own. */
static void give_part(struct session *s, struct worker *w, uint32_t index)
{
	const struct options *options = &s->options;
	uint64_t blocks = options->request_size >> s->drive.ns.block_shift;
	uint64_t places = s->report.num_blocks / blocks, share = places / options->threads, all;

	w->first_block = options->offset;
	w->num_places = places;
	if (!options->random) {
		w->first_block += index * share * blocks;
		w->num_places = share;
	}
	w->random_state = (options->seed * 64 + index + 1) * 0x9e3779b97f4a7c15;
	all = options->num_requests;
	w->to_do = UINT64_MAX;
	if (all > 0)
		w->to_do = all / options->threads + (index < all % options->threads);
}

static int make_worker(struct session *s, uint32_t index)
{
	struct worker *w = &s->workers[index];
	struct weir_buffer buffer;
	int r;

	w->work = &s->work;
	give_part(s, w, index);
	r = nvme_queue_open(s->drive.controller, s->work.depth, &w->queue);
	if (r < 0)
		return say_error(r, NULL, nvme_error);
	r = weir_memory_alloc(s->drive.memory, (uint64_t)s->work.depth * s->work.size, NULL, &buffer);
	if (r < 0)
		return say_error(r, NULL, weir_error);
	if (s->options.writes)
		fill(&buffer, s->options.seed + index);
	w->data = buffer.addr;
	w->iova = buffer.iova;
	r = worker_prepare(w);
	if (r < 0)
		warnx("%s", strerror(-r));
	return r;
}

static int make_workers(struct session *s)
{
	const struct options *options = &s->options;
	struct weir_memory_opts opts =
		WEIR_OPTS(weir_memory_opts, .map_flags = options->writes ? WEIR_MAP_READ : WEIR_MAP_WRITE);
	uint32_t i;
	int r;

	s->work = (struct work){ .ns = &s->drive.ns,
				 .op = options->writes ? NVME_OP_WRITE : NVME_OP_READ,
				 .size = options->request_size,
				 .depth = options->queue_depth,
				 .random = options->random,
				 .verifies = options->verifies,
				 .polling = !s->drive.info.interrupts,
				 .start = &s->start };
	s->workers = calloc(options->threads, sizeof *s->workers);
	r = s->workers ? weir_memory_open(s->drive.opened.ioas, &opts, &s->drive.memory) : -ENOMEM;
	if (r < 0) {
		warnx("%s", s->workers ? weir_error() : strerror(-r));
		return r;
	}
	for (i = 0; i < options->threads && r == 0; i++)
		r = make_worker(s, i);
	return r;
}

static int set_up(struct session *s)
{
	const struct options *options = &s->options;
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = options->wait,
						     .flags = options->flags, .num_queues = options->threads,
						     .max_transfer = (options->request_size + 4095) & ~4095u);
	int r = drive_open(&s->drive, &options->open, &opts, options->namespace_id);

	if (r == 0)
		r = check(s);
	if (r == 0)
		r = make_workers(s);
	return r < 0 ? r : privileges_give_up(&s->report.privileges);
}

/* Running ------------------------------------------------------------------------------------------------ */

static uint64_t done_so_far(const struct session *s)
{
	uint64_t done = 0;
	uint32_t i;

	for (i = 0; i < s->options.threads; i++)
		done += __atomic_load_n(&s->workers[i].done, __ATOMIC_RELAXED);
	return done;
}

/* How much of it all has been done, by time or by number, whichever is further. */
static double part_of(const struct options *options, double elapsed, uint64_t done)
{
	double by_time = options->seconds > 0 ? elapsed / options->seconds : 0;
	double by_number = options->num_requests > 0 ? (double)done / (double)options->num_requests : 0;

	return by_time > by_number ? by_time : by_number;
}

/* Until time is over, all is done, or something is wrong: then the workers end by themselves. */
static void watch(struct session *s, double begun)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	double now, part = 0;
	uint64_t done;

	while (part < 1 && !stop && !__atomic_load_n(&s->work.over, __ATOMIC_RELAXED)) {
		nanosleep(&pause, NULL);
		now = seconds_now();
		done = done_so_far(s);
		part = part_of(&s->options, now - begun, done);
		live_at(&s->live, now, now - begun, part, done);
	}
	if (stop || part_of(&s->options, seconds_now() - begun, 0) >= 1)
		__atomic_store_n(&s->work.over, true, __ATOMIC_RELAXED);
}

/* How long it took, and the first error of any of them. */
static int collect(struct session *s)
{
	uint64_t begun = UINT64_MAX, ended = 0;
	int first = 0;
	uint32_t i;

	for (i = 0; i < s->options.threads; i++) {
		struct worker *w = &s->workers[i];

		histogram_merge(&s->report.latency, &w->latency);
		begun = w->begun < begun ? w->begun : begun;
		ended = w->ended > ended ? w->ended : ended;
		if (w->error == 0)
			continue;
		warnx("thread %u: %s", i, w->why);
		first = first < 0 ? first : w->error;
	}
	s->report.seconds = (double)(ended - begun) / 1e9;
	if (first == 0 && stop)
		first = -EINTR;
	return first;
}

static int run(struct session *s)
{
	uint32_t threads = s->options.threads, i;
	double begun;
	int r;

	pthread_barrier_init(&s->start, NULL, threads + 1);
	for (i = 0; i < threads; i++) {
		r = pthread_create(&s->workers[i].thread, NULL, worker_run, &s->workers[i]);
		if (r != 0) { /* those that wait for the others are not ended, but the program is */
			warnx("thread %u: %s", i, strerror(r));
			exit(EXIT_REFUSED);
		}
	}
	pthread_barrier_wait(&s->start);
	begun = seconds_now();
	live_begin(&s->live, s->options.progress, s->options.request_size, begun);
	watch(s, begun);
	for (i = 0; i < threads; i++)
		pthread_join(s->workers[i].thread, NULL);
	live_end(&s->live);
	pthread_barrier_destroy(&s->start);
	return collect(s);
}

/* Closing ------------------------------------------------------------------------------------------------ */

static int tear_down(struct session *s)
{
	int r = drive_close(&s->drive);
	uint32_t i;

	for (i = 0; s->workers && i < s->options.threads; i++)
		worker_free(&s->workers[i]);
	free(s->workers);
	return r;
}

static int tell(const struct session *s, int status)
{
	int r;

	report_result(&s->report);
	r = report_save(&s->report);
	if (r == 0)
		return status;
	warnx("%s: %s", s->options.save, strerror(-r));
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	static struct session s;
	int status;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C"); /* JSON has decimal points */
	options_parse(argc, argv, &s.options);
	s.report.options = &s.options;
	s.report.drive = &s.drive;
	stop_on_signals();

	if (set_up(&s) < 0) {
		status = EXIT_REFUSED;
	} else {
		report_subject(&s.report);
		status = exit_status(run(&s));
	}
	if (tear_down(&s) < 0 && status == EXIT_DONE)
		status = EXIT_FAILED;
	if (status == EXIT_DONE || status == EXIT_STOPPED)
		status = tell(&s, status);
	return status;
}
