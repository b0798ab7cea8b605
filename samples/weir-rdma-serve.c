/* SPDX-License-Identifier: MIT */
/*
 * weir-rdma-serve: offer an NVMe disk, read by a driver in this process, to weir-rdma-fetch on another machine.
 *
 * The controller writes into a weir_memory, and that same memory is what the other side reads by RDMA: this program copies nothing. It
 * computes the SHA-256 of what it offers, so that the other side can tell whether it got just that.
 *
 * One client at a time. A client that is killed, is silent or talks nonsense costs its own connection and nothing else.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/rdma.h>

#include "common/drive.h"
#include "common/privileges.h"
#include "common/reader.h"
#include "common/say.h"
#include "common/sha256.h"
#include "common/status.h"
#include "common/stop.h"
#include "common/units.h"
#include "rdma/link.h"
#include "rdma/serve.h"

enum { REQUEST_TIMEOUT_MS = 30000 };

/* Everything that is open. Zero is closed. */
struct server {
	struct serve_options options;
	struct drive drive;
	struct nvme_queue *queue;
	struct weir_buffer buffers;
	struct end end;
	struct weir_rdma *rdma;
	struct weir_rdma_memory *shown;
	struct weir_rdma_range range; /* the buffers, as others see them */
	uint32_t request_size;
	int listening;
	uint32_t served, failed; /* clients */
};

/* One client. */
struct client {
	struct server *server;
	struct link link;
	int fd;
	EVP_MD_CTX *sha256;
	uint64_t bytes;
};

/* Setting up ---------------------------------------------------------------------------------------------- */

static int open_disk(struct server *s)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_AUTO);
	uint64_t size = s->options.request_size;
	int r = drive_open(&s->drive, &s->options.open, &opts, s->options.namespace_id);

	if (r < 0)
		return r;
	r = nvme_queue_open(s->drive.controller, s->options.queue_depth, &s->queue);
	if (r < 0)
		return say_error(r, s->options.open.address, nvme_error);
	if (size > s->drive.info.max_transfer)
		size = s->drive.info.max_transfer;
	if (size % s->drive.ns.block_size != 0 || size > WIRE_MAX_PIECE) {
		warnx("requests of %" PRIu64 " bytes: blocks are of %u, and a piece is of %u at most", size,
		      s->drive.ns.block_size, WIRE_MAX_PIECE);
		return -EINVAL;
	}
	s->request_size = (uint32_t)size;
	return 0;
}

/* The controller may write it, the other side may read it, and neither may do what the other does. */
static int get_buffers(struct server *s)
{
	struct weir_memory_opts opts = WEIR_OPTS(weir_memory_opts, .map_flags = WEIR_MAP_WRITE);
	uint64_t len = (uint64_t)s->options.queue_depth * s->request_size;
	int r = weir_memory_open(s->drive.opened.ioas, &opts, &s->drive.memory);

	if (r == 0)
		r = weir_memory_alloc(s->drive.memory, len, NULL, &s->buffers);
	if (r == 0)
		r = weir_rdma_open(s->end.pd, NULL, &s->rdma);
	if (r == 0)
		r = weir_rdma_memory_open(s->rdma, s->drive.memory, IBV_ACCESS_REMOTE_READ, &s->shown);
	if (r == 0)
		r = weir_rdma_memory_range(s->shown, &s->buffers, 0, len, &s->range);
	return say_error(r, NULL, weir_error);
}

static int set_up(struct server *s)
{
	int r = end_open(s->options.device, s->options.gid_index, &s->end);

	if (r == 0)
		r = open_disk(s);
	if (r == 0)
		r = get_buffers(s);
	if (r < 0)
		return r;
	s->listening = wire_listen(s->options.listen, s->options.port);
	if (s->listening < 0)
		return s->listening;
	/* What comes from the network meets a process that may do nothing else. */
	return privileges_give_up(NULL);
}

/* Serving ------------------------------------------------------------------------------------------------- */

/* A piece of the disk is in the buffers, which stay as they are until the client has taken it. */
static int offer(void *ctx, const void *data, size_t len)
{
	struct client *c = ctx;
	const struct server *s = c->server;
	struct wire_message message = {
		.kind = WIRE_PIECE,
		.len = (uint32_t)len,
		.addr = s->range.addr + (uint64_t)((const char *)data - (const char *)s->buffers.addr),
		.rkey = s->range.rkey,
	};
	int r = wire_send_message(c->fd, &message);

	sha256_add(c->sha256, data, len);
	if (r == 0)
		r = wire_receive_message(c->fd, &message);
	if (r == 0 && (message.kind != WIRE_TAKEN || message.len != len)) {
		warnx("the client has not taken what it was offered");
		r = -EPROTO;
	}
	c->bytes += len;
	return r;
}

/* What a client that is gone has left under way. The buffers are the controller's until then. */
static int drain(struct server *s)
{
	struct nvme_completion done[16];
	int r = 0;

	while (r >= 0 && nvme_queue_in_flight(s->queue) > 0)
		r = nvme_queue_wait(s->queue, done, sizeof done / sizeof done[0], REQUEST_TIMEOUT_MS);
	if (r < 0)
		warnx("%s: %s", s->options.open.address, nvme_error());
	return r < 0 ? r : 0;
}

static int say_hello(struct client *c)
{
	struct server *s = c->server;
	struct wire_hello mine = link_hello(&s->end, &c->link), other;
	int r = wire_receive_hello(c->fd, false, &other);

	mine.max_piece = s->request_size;
	mine.bytes = s->drive.ns.num_blocks << s->drive.ns.block_shift;
	if (r == 0)
		r = link_connect(&s->end, &c->link, &other);
	return r == 0 ? wire_send_hello(c->fd, &mine) : r;
}

static int send_disk(struct client *c)
{
	struct server *s = c->server;
	struct reader reader = {
		.queue = s->queue,
		.ns = &s->drive.ns,
		.buffers = s->buffers,
		.depth = s->options.queue_depth,
		.request_size = s->request_size,
		.timeout_ms = REQUEST_TIMEOUT_MS,
		.sink = offer,
		.ctx = c,
		.stop = &stop,
	};
	struct reader_failure failure;
	int r = reader_run(&reader, 0, s->drive.ns.num_blocks, &failure);

	if (failure.status != 0)
		warnx("block %" PRIu64 " and following: %s", failure.block, nvme_status_text(failure.status));
	return r;
}

static int send_end(struct client *c)
{
	struct wire_message end = { .kind = WIRE_END };
	uint8_t digest[EVP_MAX_MD_SIZE];
	int i;

	EVP_DigestFinal_ex(c->sha256, digest, NULL);
	memcpy(end.sha256, digest, WIRE_SHA256);
	printf("Served %s, SHA-256 ", unit_size((double)c->bytes).text);
	for (i = 0; i < WIRE_SHA256; i++)
		printf("%02x", digest[i]);
	printf("\n");
	fflush(stdout);
	return wire_send_message(c->fd, &end);
}

static int serve(struct server *s, int fd)
{
	struct client c = { .server = s, .fd = fd, .sha256 = sha256_new() };
	int r = c.sha256 ? 0 : -EOPNOTSUPP;

	if (r == 0)
		r = link_open(&s->end, &c.link);
	if (r == 0)
		r = say_hello(&c);
	if (r == 0)
		r = send_disk(&c);
	if (r == 0)
		r = send_end(&c);
	if (r < 0)
		warnx("a client is dropped after %s", unit_size((double)c.bytes).text);
	link_close(&c.link);
	EVP_MD_CTX_free(c.sha256);
	close(fd);
	return r;
}

/* Until it is stopped, has served as many as it was to, or the disk fails. */
static int serve_all(struct server *s)
{
	int r = 0;

	printf("%s of %s at port %s, by %s\n",
	       unit_size((double)(s->drive.ns.num_blocks << s->drive.ns.block_shift)).text,
	       s->options.open.address, s->options.port, ibv_get_device_name(s->end.context->device));
	fflush(stdout);
	while (r == 0 && !stop && (s->options.clients == 0 || s->served < s->options.clients)) {
		int fd = wire_accept(s->listening);

		if (fd < 0) {
			/* What ails one connection, or comes of too many, is no reason to end. */
			usleep(100000);
			continue;
		}
		if (serve(s, fd) == 0)
			s->served++;
		else
			s->failed++;
		r = drain(s);
	}
	printf("%" PRIu32 " served, %" PRIu32 " dropped\n", s->served, s->failed);
	return r;
}

/* In the order in which others lose reach of things: the other side, the controller, this process. */
static int tear_down(struct server *s)
{
	int first = 0;

	if (s->listening >= 0)
		close(s->listening);
	keep_first(&first, say_error(weir_rdma_memory_close(s->shown), "closing", weir_error));
	keep_first(&first, say_error(weir_rdma_close(s->rdma), "closing", weir_error));
	end_close(&s->end);
	keep_first(&first, drive_close(&s->drive));
	return first;
}

int main(int argc, char **argv)
{
	struct server s = { .listening = -1 };
	int status = EXIT_DONE;

	setlocale(LC_ALL, "");
	s.options = serve_options_parse(argc, argv);
	stop_on_signals();
	if (set_up(&s) < 0)
		status = EXIT_REFUSED;
	else if (serve_all(&s) < 0)
		status = EXIT_FAILED;
	if (tear_down(&s) < 0 && status == EXIT_DONE)
		status = EXIT_FAILED;
	return status;
}
