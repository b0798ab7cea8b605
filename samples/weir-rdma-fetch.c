/* SPDX-License-Identifier: MIT */
/*
 * weir-rdma-fetch: fetch the disk that weir-rdma-serve offers, by RDMA READ, and say the SHA-256 of it.
 *
 * This side needs no weir: it is what any RDMA program does. Nothing that the server says is used before it is checked.
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

#include "common/options.h"
#include "common/progress.h"
#include "common/sha256.h"
#include "common/status.h"
#include "common/units.h"
#include "rdma/link.h"

struct session {
	const char *host, *port, *device, *output;
	int gid_index;
	bool progress;

	struct end end;
	struct link link;
	struct ibv_mr *mr;
	void *buffer;
	int fd, out;
	struct wire_hello server;
	EVP_MD_CTX *sha256;
	uint64_t bytes; /* fetched */
	struct progress bar;
	double seconds;
	uint8_t digest[EVP_MAX_MD_SIZE];
};

/* Command line -------------------------------------------------------------------------------------------- */

enum { KEY_GID = 256, KEY_PROGRESS };

static const struct argp_option table[] = {
	{ "port", 'p', "PORT", 0, "The server's TCP port (default 7471)", 0 },
	{ "device", 'd', "NAME", 0, "RDMA device (default: the first)", 0 },
	{ "gid-index", KEY_GID, "N", 0, "Of this side's address (default: one of RoCE v2, if there is any)",
	  0 },
	{ "output", 'o', "FILE", 0, "Write what was fetched to FILE", 0 },
	{ "progress", KEY_PROGRESS, NULL, 0, "Progress even if standard error is no terminal", 0 },
	{ 0 },
};

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct session *s = state->input;
	const struct option_target targets[] = {
		{ 'p', .text = &s->port },
		{ 'd', .text = &s->device },
		{ 'o', .text = &s->output },
		{ KEY_PROGRESS, .flag = &s->progress },
		{ ARGP_KEY_ARG, "HOST", .text = &s->host },
	};

	switch (key) {
	case KEY_GID:
		s->gid_index = (int)option_within(arg, "gid-index", 0, 255, state);
		return 0;
	case ARGP_KEY_END:
		if (!s->host)
			argp_error(state, "the HOST that weir-rdma-serve runs on is missing");
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

static void parse(struct session *s, int argc, char **argv)
{
	static const struct argp argp = {
		.options = table,
		.parser = take,
		.args_doc = "HOST",
		.doc = "Fetch the disk that weir-rdma-serve offers on HOST by RDMA READ, and print its "
		       "SHA-256.\v"
		       "Exit status: 0 when all was fetched and is what the server read; 1 when it could not "
		       "be set up; "
		       "2 for a command line that makes no sense; 3 when it failed on the way.",
	};

	option_parse(&argp, argc, argv, s);
}

/* Setting up ---------------------------------------------------------------------------------------------- */

static int say_hello(struct session *s)
{
	struct wire_hello mine = link_hello(&s->end, &s->link);
	int r = wire_connect(s->host, s->port);

	if (r < 0)
		return r;
	s->fd = r;
	r = wire_send_hello(s->fd, &mine);
	if (r == 0)
		r = wire_receive_hello(s->fd, true, &s->server);
	return r == 0 ? link_connect(&s->end, &s->link, &s->server) : r;
}

/* One piece is fetched at a time, to here. */
static int get_buffer(struct session *s)
{
	if (posix_memalign(&s->buffer, 4096, s->server.max_piece) != 0) {
		warnx("no memory");
		return -ENOMEM;
	}
	s->mr = ibv_reg_mr(s->end.pd, s->buffer, s->server.max_piece, IBV_ACCESS_LOCAL_WRITE);
	if (s->mr)
		return 0;
	warn("ibv_reg_mr() of %" PRIu32 " bytes", s->server.max_piece);
	return -errno;
}

static int set_up(struct session *s)
{
	int r = end_open(s->device, s->gid_index, &s->end);

	if (r == 0)
		r = link_open(&s->end, &s->link);
	if (r == 0)
		r = say_hello(s);
	if (r == 0)
		r = get_buffer(s);
	if (r < 0)
		return r;
	if (s->output)
		s->out = open(s->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (s->output && s->out < 0) {
		warn("%s", s->output);
		return -errno;
	}
	s->sha256 = sha256_new();
	return s->sha256 ? 0 : -EOPNOTSUPP;
}

/* Fetching ------------------------------------------------------------------------------------------------ */

static int write_out(struct session *s, uint32_t len)
{
	const char *at = s->buffer;

	while (s->out >= 0 && len > 0) {
		ssize_t written = write(s->out, at, len);

		if (written < 0) {
			warn("%s", s->output);
			return -errno;
		}
		at += written;
		len -= (uint32_t)written;
	}
	return 0;
}

static int fetch_piece(struct session *s, const struct wire_message *piece)
{
	struct wire_message taken = { .kind = WIRE_TAKEN, .len = piece->len };
	const char *wrong = wire_check_piece(piece, s->server.bytes - s->bytes, s->server.max_piece);
	int r;

	if (wrong) {
		warnx("the server offers %s", wrong);
		return -EPROTO;
	}
	r = link_read(&s->link, s->mr, piece->addr, piece->rkey, piece->len);
	if (r < 0)
		return r;
	sha256_add(s->sha256, s->buffer, piece->len);
	r = write_out(s, piece->len);
	s->bytes += piece->len;
	progress_at(&s->bar, s->bytes);
	return r == 0 ? wire_send_message(s->fd, &taken) : r;
}

static int check_end(struct session *s, const struct wire_message *end)
{
	EVP_DigestFinal_ex(s->sha256, s->digest, NULL);
	if (end->kind != WIRE_END || s->bytes != s->server.bytes) {
		warnx("the server ended after %" PRIu64 " of %" PRIu64 " bytes", s->bytes, s->server.bytes);
		return -EPROTO;
	}
	if (memcmp(end->sha256, s->digest, WIRE_SHA256) != 0) {
		warnx("what was fetched is not what the server read: the SHA-256 differ");
		return -EBADMSG;
	}
	return 0;
}

static int fetch(struct session *s)
{
	struct wire_message message;
	double start = seconds_now();
	int r;

	progress_start(&s->bar, s->progress, s->server.bytes);
	while ((r = wire_receive_message(s->fd, &message)) == 0 && message.kind == WIRE_PIECE) {
		r = fetch_piece(s, &message);
		if (r < 0)
			break;
	}
	progress_end(&s->bar);
	s->seconds = seconds_now() - start;
	return r == 0 ? check_end(s, &message) : r;
}

static void report(const struct session *s)
{
	int i;

	printf("  Fetched      %s in %s, %s\n", unit_size((double)s->bytes).text, unit_time(s->seconds).text,
	       unit_rate((double)s->bytes, s->seconds).text);
	printf("  SHA-256      ");
	for (i = 0; i < WIRE_SHA256; i++)
		printf("%02x", s->digest[i]);
	printf(", as on the server\n");
}

static int tear_down(struct session *s)
{
	int r = 0;

	if (s->fd >= 0)
		close(s->fd);
	link_close(&s->link);
	if (s->mr)
		ibv_dereg_mr(s->mr);
	free(s->buffer);
	end_close(&s->end);
	EVP_MD_CTX_free(s->sha256);
	if (s->out >= 0 && close(s->out) < 0) {
		r = -errno;
		warn("%s", s->output);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct session s = { .port = "7471", .gid_index = -1, .fd = -1, .out = -1 };
	int status = EXIT_DONE;

	setlocale(LC_ALL, "");
	s.progress = isatty(STDERR_FILENO);
	parse(&s, argc, argv);
	if (set_up(&s) < 0)
		status = EXIT_REFUSED;
	else if (fetch(&s) < 0)
		status = EXIT_FAILED;
	else
		report(&s);
	if (tear_down(&s) < 0 && status == EXIT_DONE)
		status = EXIT_FAILED;
	return status;
}
