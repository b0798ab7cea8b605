/* SPDX-License-Identifier: MIT */
/*
 * weir-nvme-read: read a whole NVMe namespace from this process, and say the SHA-256 of it.
 *
 * The order of things is the point of this sample: open and map with what privileges there are, drop them
 * all, and only then let the device move data.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "common/progress.h"
#include "common/reader.h"
#include "common/stop.h"
#include "common/units.h"
#include "nvme-read/report.h"

#define DEFAULT_REQUEST_SIZE (128u << 10)
#define REQUEST_TIMEOUT_MS   30000
#define DMA_PAGE             4096u

/* Everything that is open. Zero is closed. */
struct session {
	struct options options;
	struct opened opened;
	struct nvme_controller *controller;
	struct nvme_queue *queue;
	struct weir_memory *memory;
	struct weir_buffer buffers;
	EVP_MD_CTX *sha256;
	int output;       /* -1: none */
	int output_error; /* what writing to it failed with */
	struct progress progress;
	struct report report;
};

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list args;

	fputs("weir-nvme-read: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* Setting up --------------------------------------------------------------------------------------------- */

static int open_controller(struct session *s)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = s->options.wait);
	int r;

	r = open_device(&s->options.open, &s->opened);
	if (r < 0) {
		complain("%s", weir_error());
		return r;
	}
	s->report.backend = weir_backend_name(weir_host_backend(s->opened.host));
	r = nvme_controller_open(s->opened.device, &opts, &s->controller);
	if (r == 0)
		r = nvme_controller_info(s->controller, &s->report.controller, sizeof s->report.controller);
	if (r == 0)
		r = nvme_namespace_info(s->controller, s->options.namespace_id, &s->report.ns,
					sizeof s->report.ns);
	if (r < 0)
		complain("%s: %s", s->options.open.address, nvme_error());
	return r;
}

/* What to read, and in which pieces. */
static int choose_sizes(struct session *s)
{
	const struct options *options = &s->options;
	const struct nvme_namespace *ns = &s->report.ns;
	uint32_t most = s->report.controller.max_transfer;
	uint64_t size = options->request_size;

	if (size == 0)
		size = most < DEFAULT_REQUEST_SIZE ? most : DEFAULT_REQUEST_SIZE;
	if (size % ns->block_size != 0 || size > most) {
		complain("requests of %" PRIu64 " bytes: blocks are of %u, and a request carries %u at most",
			 size, ns->block_size, most);
		return -EINVAL;
	}
	if (s->options.map_each && size % DMA_PAGE != 0) {
		complain("requests that are mapped one by one are whole pages of %u, not %" PRIu64, DMA_PAGE,
			 size);
		return -EINVAL;
	}
	s->report.request_size = (uint32_t)size;

	if (options->offset >= ns->num_blocks || options->length > ns->num_blocks - options->offset) {
		complain("namespace %u has %" PRIu64 " blocks: no %" PRIu64 " from block %" PRIu64 " on",
			 ns->nsid, ns->num_blocks, options->length ? options->length : 1, options->offset);
		return -ERANGE;
	}
	s->report.num_blocks = options->length ? options->length : ns->num_blocks - options->offset;
	return 0;
}

/* One piece of memory for all requests in flight. The device only ever writes it. */
static int get_buffers(struct session *s)
{
	struct weir_memory_opts opts = WEIR_OPTS(weir_memory_opts, .map_flags = WEIR_MAP_WRITE);
	uint64_t len = (uint64_t)s->options.queue_depth * s->report.request_size;
	struct weir_ioas_info info = { 0 };
	int r;

	r = weir_memory_open(s->opened.ioas, &opts, &s->memory);
	if (r == 0)
		r = weir_memory_alloc(s->memory, len, NULL, &s->buffers);
	if (r == 0)
		r = weir_ioas_info(s->opened.ioas, &info, sizeof info);
	if (r < 0) {
		complain("%s", weir_error());
		return r;
	}
	if (s->options.open.nested)
		r = weir_nested_space_info(s->opened.ioas, &s->report.nested, sizeof s->report.nested);
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
	complain("%s: %s", s->options.output, strerror(errno));
	return -errno;
}

static int open_hash(struct session *s)
{
	s->sha256 = EVP_MD_CTX_new();
	if (s->sha256 && EVP_DigestInit_ex(s->sha256, EVP_sha256(), NULL) == 1)
		return 0;
	complain("OpenSSL has no SHA-256");
	return -EOPNOTSUPP;
}

/* The last thing before data moves. From here on nothing is opened and nothing is mapped. */
static int drop_privileges(struct session *s)
{
	int r = privileges_drop();

	if (r == 0)
		r = privileges_read(&s->report.privileges);
	if (r < 0)
		complain("privileges could not be dropped: %s", strerror(-r));
	return r;
}

static int set_up(struct session *s)
{
	int r;

	r = open_controller(s);
	if (r == 0)
		r = choose_sizes(s);
	if (r < 0)
		return r;
	r = nvme_queue_open(s->controller, s->options.queue_depth, &s->queue);
	if (r < 0) {
		complain("%s: %s", s->options.open.address, nvme_error());
		return r;
	}
	r = get_buffers(s);
	if (r == 0)
		r = open_output(s);
	if (r == 0)
		r = open_hash(s);
	if (r == 0)
		r = drop_privileges(s);
	return r;
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

	EVP_DigestUpdate(s->sha256, data, len);
	if (s->output >= 0)
		s->output_error = write_all(s->output, data, len);
	s->report.bytes += len;
	progress_at(&s->progress, s->report.bytes);
	return s->output_error;
}

static void finish_hash(struct session *s)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0, i;

	EVP_DigestFinal_ex(s->sha256, digest, &len);
	for (i = 0; i < len && i < (SHA256_TEXT - 1) / 2; i++)
		sprintf(s->report.sha256 + 2 * (size_t)i, "%02x", digest[i]);
}

static void explain(const struct session *s, int error, const struct reader_failure *failure)
{
	if (error == -EINTR)
		complain("stopped after %s", unit_size((double)s->report.bytes).text);
	else if (s->output_error < 0)
		complain("%s: %s", s->options.output, strerror(-error));
	else if (failure->status != 0)
		complain("block %" PRIu64 " and following: %s (status 0x%04x)", failure->block,
			 nvme_status_text(failure->status), failure->status);
	else
		complain("after %s: %s", unit_size((double)s->report.bytes).text,
			 error == -ENOMEM ? strerror(ENOMEM) : nvme_error());
}

static int read_namespace(struct session *s)
{
	struct reader reader = {
		.queue = s->queue,
		.ns = &s->report.ns,
		.buffers = s->buffers,
		.depth = s->options.queue_depth,
		.request_size = s->report.request_size,
		.timeout_ms = REQUEST_TIMEOUT_MS,
		.map_in = s->options.map_each ? s->opened.ioas : NULL,
		.map_seconds = &s->report.map_seconds,
		.sink = take_data,
		.ctx = s,
		.stop = &stop,
	};
	struct reader_failure failure;
	double start = seconds_now();
	int r;

	progress_start(&s->progress, s->options.progress, s->report.num_blocks << s->report.ns.block_shift);
	r = reader_run(&reader, s->options.offset, s->report.num_blocks, &failure);
	progress_end(&s->progress);
	s->report.seconds = seconds_now() - start;
	if (r == 0)
		finish_hash(s);
	else
		explain(s, r, &failure);
	return r;
}

/* Closing ------------------------------------------------------------------------------------------------ */

/* In the order in which the device loses reach of things. Returns 0 or the first error. */
static int tear_down(struct session *s)
{
	int first = 0, r;

	r = nvme_controller_close(s->controller);
	if (r < 0) {
		complain("closing: %s", nvme_error());
		first = r;
	}
	r = weir_memory_close(s->memory);
	if (r < 0)
		complain("closing: %s", weir_error());
	first = first < 0 ? first : r;
	r = close_device(&s->opened);
	if (r < 0)
		complain("closing: %s", weir_error());
	first = first < 0 ? first : r;
	EVP_MD_CTX_free(s->sha256);
	if (s->output >= 0 && close(s->output) < 0) {
		complain("%s: %s", s->options.output, strerror(errno));
		first = first < 0 ? first : -errno;
	}
	return first;
}

int main(int argc, char **argv)
{
	struct session s = { .output = -1 };
	int status = EXIT_READ, r;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C"); /* JSON has decimal points */
	options_parse(argc, argv, &s.options);
	s.report.options = &s.options;
	stop_on_signals();

	r = set_up(&s);
	if (r < 0) {
		status = EXIT_REFUSED;
	} else {
		report_subject(&s.report);
		r = read_namespace(&s);
		if (r < 0)
			status = r == -EINTR ? EXIT_STOPPED : EXIT_READ_FAILED;
	}
	if (tear_down(&s) < 0 && status == EXIT_READ)
		status = EXIT_READ_FAILED;
	if (status == EXIT_READ)
		report_result(&s.report);
	return status;
}
