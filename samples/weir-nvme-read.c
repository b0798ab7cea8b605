/* SPDX-License-Identifier: MIT */
/*
 * weir-nvme-read: read a whole NVMe namespace from this process, and say the SHA-256 of it.
 *
 * The order of things is the point of this sample: open and map with what privileges there are, drop them
 * all, and only then let the device move data.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/progress.h"
#include "common/reader.h"
#include "common/say.h"
#include "common/sha256.h"
#include "common/stop.h"
#include "common/units.h"
#include "nvme-read/report.h"

#define DEFAULT_REQUEST_SIZE (128u << 10)
#define REQUEST_TIMEOUT_MS   30000
#define DMA_PAGE             4096u

/* Everything that is open. Zero is closed. */
struct session {
	struct options options;
	struct drive drive;
	struct nvme_queue *queue;
	struct weir_buffer buffers;
	EVP_MD_CTX *sha256;
	int output;       /* -1: none */
	int output_error; /* what writing to it failed with */
	struct progress progress;
	struct report report;
};

/* Setting up --------------------------------------------------------------------------------------------- */

/* What to read, and in which pieces. */
static int choose_sizes(struct session *s)
{
	const struct options *options = &s->options;
	const struct nvme_namespace *ns = &s->drive.ns;
	uint32_t most = s->drive.info.max_transfer;
	uint64_t size = options->request_size;

	if (size == 0)
		size = most < DEFAULT_REQUEST_SIZE ? most : DEFAULT_REQUEST_SIZE;
	if (size % ns->block_size != 0 || size > most) {
		warnx("requests of %" PRIu64 " bytes: blocks are of %u, and a request carries %u at most",
		      size, ns->block_size, most);
		return -EINVAL;
	}
	if (s->options.map_each && size % DMA_PAGE != 0) {
		warnx("requests that are mapped one by one are whole pages of %u, not %" PRIu64, DMA_PAGE,
		      size);
		return -EINVAL;
	}
	s->report.request_size = (uint32_t)size;

	return drive_range(&s->drive, options->offset, options->length, &s->report.num_blocks);
}

/* One piece of memory for all requests in flight. The device only ever writes it. */
static int get_buffers(struct session *s)
{
	struct weir_memory_opts opts = WEIR_OPTS(weir_memory_opts, .map_flags = WEIR_MAP_WRITE);
	uint64_t len = (uint64_t)s->options.queue_depth * s->report.request_size;
	struct weir_ioas_info info = { 0 };
	int r;

	r = weir_memory_open(s->drive.opened.ioas, &opts, &s->drive.memory);
	if (r == 0)
		r = weir_memory_alloc(s->drive.memory, len, NULL, &s->buffers);
	if (r == 0)
		r = weir_ioas_info(s->drive.opened.ioas, &info, sizeof info);
	if (r < 0)
		return say_error(r, NULL, weir_error);
	if (s->options.open.nested)
		r = weir_nested_space_info(s->drive.opened.ioas, &s->report.nested, sizeof s->report.nested);
	s->report.buffers_iova = s->buffers.iova;
	s->report.mapped_bytes = info.mapped_bytes;
	return r;
}

static int open_output(struct session *s)
{
	if (!s->options.output)
		return 0;
	s->output = open(s->options.output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (s->output >= 0)
		return 0;
	warn("%s", s->options.output);
	return -errno;
}

static int set_up(struct session *s)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = s->options.wait);
	int r = drive_open(&s->drive, &s->options.open, &opts, s->options.namespace_id);

	if (r == 0)
		r = choose_sizes(s);
	if (r < 0)
		return r;
	r = nvme_queue_open(s->drive.controller, s->options.queue_depth, &s->queue);
	if (r < 0)
		return say_error(r, s->options.open.address, nvme_error);
	r = get_buffers(s);
	if (r == 0)
		r = open_output(s);
	if (r == 0) {
		s->sha256 = sha256_new();
		r = s->sha256 ? 0 : -EOPNOTSUPP;
	}
	/* The last thing before data moves. From here on nothing is opened and nothing is mapped. */
	return r < 0 ? r : privileges_give_up(&s->report.privileges);
}

/* Reading ------------------------------------------------------------------------------------------------ */

static int write_all(int fd, const unsigned char *data, size_t len)
{
	while (len > 0) {
		ssize_t written = write(fd, data, len);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			data += written;
			len -= (size_t)written;
		}
	}
	return 0;
}

static int take_data(void *ctx, const void *data, size_t len)
{
	struct session *s = ctx;

	sha256_add(s->sha256, data, len);
	if (s->output >= 0)
		s->output_error = write_all(s->output, data, len);
	s->report.bytes += len;
	progress_at(&s->progress, s->report.bytes);
	return s->output_error;
}

static void explain(const struct session *s, int error, const struct reader_failure *failure)
{
	if (error == -EINTR)
		warnx("stopped after %s", unit_size((double)s->report.bytes).text);
	else if (s->output_error < 0)
		warnx("%s: %s", s->options.output, strerror(-error));
	else if (failure->status != 0)
		warnx("block %" PRIu64 " and following: %s (status 0x%04x)", failure->block,
		      nvme_status_text(failure->status), failure->status);
	else
		warnx("after %s: %s", unit_size((double)s->report.bytes).text,
		      error == -ENOMEM ? strerror(ENOMEM) : nvme_error());
}

static int read_namespace(struct session *s)
{
	struct reader reader = {
		.queue = s->queue,
		.ns = &s->drive.ns,
		.buffers = s->buffers,
		.depth = s->options.queue_depth,
		.request_size = s->report.request_size,
		.timeout_ms = REQUEST_TIMEOUT_MS,
		.map_in = s->options.map_each ? s->drive.opened.ioas : NULL,
		.map_seconds = &s->report.map_seconds,
		.sink = take_data,
		.ctx = s,
		.stop = &stop,
	};
	struct reader_failure failure;
	double start = seconds_now();
	int r;

	progress_start(&s->progress, s->options.progress, s->report.num_blocks << s->drive.ns.block_shift);
	r = reader_run(&reader, s->options.offset, s->report.num_blocks, &failure);
	progress_end(&s->progress);
	s->report.seconds = seconds_now() - start;
	if (r == 0)
		sha256_text(s->sha256, s->report.sha256);
	else
		explain(s, r, &failure);
	return r;
}

/* Closing ------------------------------------------------------------------------------------------------ */

static int tear_down(struct session *s)
{
	int first = drive_close(&s->drive);

	EVP_MD_CTX_free(s->sha256);
	if (s->output >= 0 && close(s->output) < 0) {
		keep_first(&first, -errno);
		warn("%s", s->options.output);
	}
	return first;
}

int main(int argc, char **argv)
{
	struct session s = { .output = -1 };
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
		status = exit_status(read_namespace(&s));
	}
	if (tear_down(&s) < 0 && status == EXIT_DONE)
		status = EXIT_FAILED;
	if (status == EXIT_DONE)
		report_result(&s.report);
	return status;
}
