/* SPDX-License-Identifier: MIT */
/*
 * weir-p2p: copy one NVMe namespace to another, from device to device.
 *
 * The source's DMA writes into the target controller's memory buffer; the target writes its namespace from there. The data
 * visits host memory only afterwards, when both namespaces are read back for their sums.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/reader.h"
#include "common/say.h"
#include "common/sha256.h"
#include "common/stop.h"
#include "common/units.h"
#include "p2p/transfer.h"

#define DEFAULT_REQUEST_SIZE (128u << 10)
#define TIMEOUT_MS           30000

struct session {
	struct options options;
	struct disks disks;
	struct transfer transfer;
	struct progress progress;
	double seconds;
	char source_sum[SHA256_TEXT], target_sum[SHA256_TEXT];
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t bytes_of(const struct nvme_namespace *ns)
{
	return ns->num_blocks << ns->block_shift;
}

/* Whole blocks of both, and as many requests as fit into the memory buffer. */
static int choose_sizes(struct session *s)
{
	const struct disk *source = &s->disks.source, *target = &s->disks.target;
	uint32_t block =
		source->ns.block_size > target->ns.block_size ? source->ns.block_size : target->ns.block_size;
	uint64_t most = least(least(source->info.max_transfer, target->info.max_transfer), s->disks.cmb.len);
	uint64_t size = s->options.request_size ? s->options.request_size : least(most, DEFAULT_REQUEST_SIZE);

	if (size % block != 0 || size % 4 != 0 || size > most) {
		warnx("requests of %" PRIu64 " bytes: blocks are of %u, and a request carries %" PRIu64
		      " at most",
		      size, block, most);
		return -EINVAL;
	}
	s->transfer = (struct transfer){
		.disks = &s->disks,
		.bytes = least(bytes_of(&source->ns), bytes_of(&target->ns)) / block * block,
		.request_size = (uint32_t)size,
		.depth = (uint32_t)least(s->options.queue_depth, s->disks.cmb.len / size),
		.resets = s->options.resets,
		.progress = &s->progress,
		.stop = &stop,
	};
	return 0;
}

static void say_subject(const struct session *s)
{
	const struct disks *d = &s->disks;

	if (s->options.json)
		return;
	printf("%s%s to %s through %s\n\n", s->options.simulate ? "Simulated controllers: " : "",
	       d->source.address, d->target.address, weir_backend_name(weir_host_backend(d->machine.host)));
	printf("  Source       %s, %s: %s\n", d->source.info.model, d->source.info.serial,
	       unit_size((double)bytes_of(&d->source.ns)).text);
	printf("  Target       %s, %s: %s\n", d->target.info.model, d->target.info.serial,
	       unit_size((double)bytes_of(&d->target.ns)).text);
	printf("  Window       %s of memory in BAR %u of the target\n", unit_size((double)d->cmb.len).text,
	       d->cmb.bar);
	printf("               at IOVA 0x%" PRIx64 " of the source; 0x%" PRIx64
	       " is what the target calls it\n",
	       weir_map_iova(d->of_source), weir_map_iova(d->of_target));
	printf("  Requests     %u of %s in flight\n\n", s->transfer.depth,
	       unit_size(s->transfer.request_size).text);
	fflush(stdout);
}

static int move(struct session *s)
{
	double start = seconds_now();
	int r;

	progress_start(&s->progress, s->options.progress, s->transfer.bytes);
	r = transfer_run(&s->transfer);
	progress_end(&s->progress);
	s->seconds = seconds_now() - start;
	return r;
}

/* Reading back ------------------------------------------------------------------------------------------- */

static int read_through(const struct session *s, const struct reader *reader)
{
	struct reader_failure failure;
	int r = reader_run(reader, 0, s->transfer.bytes >> reader->ns->block_shift, &failure);

	if (r < 0)
		warnx("reading back: %s", failure.status ? nvme_status_text(failure.status) : nvme_error());
	return r;
}

/* The sum of what was moved, as it is on the disk now. */
static int sum_up(struct session *s, struct disk *disk, char text[SHA256_TEXT])
{
	struct weir_memory_opts opts = WEIR_OPTS(weir_memory_opts, .map_flags = WEIR_MAP_WRITE);
	struct reader reader = {
		.queue = disk->queue,
		.ns = &disk->ns,
		.depth = s->transfer.depth,
		.request_size = s->transfer.request_size,
		.timeout_ms = TIMEOUT_MS,
		.sink = sha256_add,
		.ctx = sha256_new(),
		.stop = &stop,
	};
	struct weir_memory *memory = NULL;
	int r = reader.ctx ? 0 : -EOPNOTSUPP;

	if (r < 0)
		return r;
	r = weir_memory_open(disk->ioas, &opts, &memory);
	if (r == 0)
		r = weir_memory_alloc(memory, (uint64_t)reader.depth * reader.request_size, NULL,
				      &reader.buffers);
	say_error(r, "memory to read back into", weir_error);
	if (r == 0)
		r = read_through(s, &reader);
	if (r == 0)
		sha256_text(reader.ctx, text);
	nvme_queue_close(disk->queue); /* a read that failed may have left others in flight */
	disk->queue = NULL;
	weir_memory_close(memory);
	EVP_MD_CTX_free(reader.ctx);
	return r;
}

static int check(struct session *s)
{
	int r = sum_up(s, &s->disks.source, s->source_sum);

	if (r == 0)
		r = sum_up(s, &s->disks.target, s->target_sum);
	if (r == 0 && strcmp(s->source_sum, s->target_sum) != 0) {
		warnx("the sums differ: %s on the source, %s on the target", s->source_sum, s->target_sum);
		r = -EIO;
	}
	return r;
}

/* The result --------------------------------------------------------------------------------------------- */

static void say_json(const struct session *s)
{
	const struct transfer *t = &s->transfer;

	json_begin();
	json_text("source", s->options.source);
	json_text("target", s->options.target);
	json_number("queue_depth", t->depth);
	json_number("request_size", t->request_size);
	json_number("bytes", t->bytes);
	json_real("seconds", s->seconds);
	json_real("bytes_per_second", s->seconds > 0 ? (double)t->bytes / s->seconds : 0);
	json_number("resets", t->resets_survived);
	json_number("requests_repeated", t->repeated);
	json_number("times_sunk", t->sunk);
	json_text("sha256_source", s->source_sum);
	json_text("sha256_target", s->target_sum);
	json_end();
}

static void say_result(const struct session *s)
{
	const struct transfer *t = &s->transfer;

	if (s->options.json) {
		say_json(s);
		return;
	}
	printf("  Moved        %s in %s, %s, not through host memory\n", unit_size((double)t->bytes).text,
	       unit_time(s->seconds).text, unit_rate((double)t->bytes, s->seconds).text);
	if (t->resets)
		printf("  Resets       %u survived; requests done again: %" PRIu64 "\n", t->resets_survived,
		       t->repeated);
	if (t->resets && s->options.sink)
		printf("  Sink         written to in %u of them\n", t->sunk);
	printf("  SHA-256      %s on the source\n", s->source_sum);
	printf("               %s on the target: the same\n", s->target_sum);
}

static int run(struct session *s)
{
	int r = disks_open(&s->disks, &s->options);

	if (r == 0)
		r = choose_sizes(s);
	if (r < 0)
		return EXIT_REFUSED;
	say_subject(s);
	r = move(s);
	if (r == 0)
		r = check(s);
	return exit_status(r);
}

int main(int argc, char **argv)
{
	static struct session s;
	int status;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C"); /* JSON has decimal points */
	s.options = options_parse(argc, argv);
	stop_on_signals();
	status = run(&s);
	if (disks_close(&s.disks) < 0 && status == EXIT_DONE)
		status = EXIT_FAILED;
	if (status == EXIT_DONE)
		say_result(&s);
	return status;
}
