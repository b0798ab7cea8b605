// SPDX-License-Identifier: MIT
/*
 * weir-packet-dump: packets to a disk, not through host memory. The port receives into the memory buffer of the disk's controller, and that writes its disk
 * from there. This program moves addresses and lengths.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/options.h"
#include "common/privileges.h"
#include "common/progress.h"
#include "common/say.h"
#include "common/sha256.h"
#include "common/stop.h"
#include "common/units.h"
#include "packet-dump/dump.h"
#include "packet-dump/sender.h"

#define LOOK_MS       100
#define LINK_MS       10000
#define DEFAULT_COUNT 1000u
#define AHEAD         32u /* packets that a simulated sender is ahead of the disk */
#define STALLED       5.0 /* seconds without a packet, on a simulated host */
#define CMB_MIB       4u

struct session {
	struct open_request request;
	struct pair_opts opts;
	uint32_t count;
	const char *index; /* file */
	bool simulates;

	struct opened opened;
	struct pair pair;
	struct dump dump;
	double seconds;
	const char *sender_address;
	struct sender sender; /* on a simulated host */
};

/* The machine ----------------------------------------------------------------------------------------------- */

static int simulate(struct session *s)
{
	struct weir_sim_nvme_opts disk = WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = CMB_MIB);
	struct weir_sim_device *nic = NULL, *other = NULL, *nvme = NULL;
	int r = weir_sim_open(NULL, &s->opened.sim);

	if (r == 0)
		r = weir_sim_add_igb(s->opened.sim, NULL, NULL, &nic);
	if (r == 0)
		r = weir_sim_add_igb(s->opened.sim, NULL, NULL, &other);
	if (r == 0)
		r = weir_sim_igb_connect(nic, other);
	if (r == 0)
		r = weir_sim_add_nvme(s->opened.sim, &disk, NULL, &nvme);
	if (r < 0)
		return r;
	s->opts.nic = weir_sim_device_address(nic);
	s->opts.disk = weir_sim_device_address(nvme);
	s->sender_address = weir_sim_device_address(other);
	return weir_sim_start(s->opened.sim);
}

static int set_up(struct session *s)
{
	int r = s->simulates ? simulate(s) : 0;

	if (r == 0)
		r = open_host(&s->request, &s->opened);
	if (r < 0)
		return say_error(r, NULL, weir_error);
	r = pair_open(&s->pair, s->opened.host, &s->opts);
	if (r == 0)
		r = dump_open(&s->dump, &s->pair, s->count);
	if (r == 0 && s->simulates) {
		r = sender_open(&s->sender, s->opened.host, s->sender_address);
		if (r < 0)
			warnx("the sender: %s", igb_error());
	}
	return r < 0 ? r : privileges_give_up(NULL);
}

static int tear_down(struct session *s)
{
	int sender = sender_close(&s->sender), pair = pair_close(&s->pair);
	int machine = close_device(&s->opened);

	dump_close(&s->dump);
	return sender < 0 ? sender : pair < 0 ? pair : machine;
}

/* Receiving ------------------------------------------------------------------------------------------------- */

static int receive(struct session *s)
{
	int r = igb_port_wait_link(s->pair.port, false, LINK_MS);

	if (r < 0 && r != -EINTR) {
		warnx("%s", igb_error());
		return r;
	}
	printf("%s receives into the memory of %s, opened through %s\n", s->opts.nic, s->opts.disk,
	       weir_backend_name(weir_host_backend(s->opened.host)));
	fflush(stdout);
	for (r = 0; r >= 0 && !stop && !dump_done(&s->dump);) {
		r = dump_turn(&s->dump);
		if (r == 0)
			r = dump_wait(&s->dump, LOOK_MS);
	}
	return r < 0 ? r : 0;
}

/* In the same thread as who sends. */
static int receive_simulated(struct session *s)
{
	double last = seconds_now();
	int r = 0;

	while (r >= 0 && !stop && !dump_done(&s->dump)) {
		if (s->sender.sent < s->count && s->sender.sent - s->dump.written < AHEAD)
			r = sender_send(&s->sender);
		if (r < 0) {
			warnx("the sender: %s", igb_error());
			return r;
		}
		r = dump_turn(&s->dump);
		if (r > 0)
			last = seconds_now();
		else if (r == 0 && seconds_now() - last > STALLED)
			r = -ETIMEDOUT;
	}
	if (r == -ETIMEDOUT)
		warnx("packets got lost on their way");
	return r < 0 ? r : 0;
}

/* What is there now ----------------------------------------------------------------------------------------- */

/* Of what the sender sent, worked out anew. */
static void sum_sent(const struct session *s, EVP_MD_CTX *sha256)
{
	uint8_t frame[2048];

	for (uint64_t i = 0; i < s->dump.taken; i++)
		sha256_add(sha256, frame, sender_frame(i, frame));
}

static int check(struct session *s)
{
	EVP_MD_CTX *sha256 = sha256_new();
	char on_disk[SHA256_TEXT] = "", sent[SHA256_TEXT] = "";
	int r = sha256 ? 0 : -EOPNOTSUPP;

	if (r == 0)
		r = dump_read_back(&s->dump, sha256_add, sha256);
	if (r == 0) {
		sha256_text(sha256, on_disk);
		printf("SHA-256 %s on the disk\n", on_disk);
	}
	if (r == 0 && s->simulates) {
		sum_sent(s, sha256);
		sha256_text(sha256, sent);
		printf("        %s as they were sent\n", sent);
		r = strcmp(sent, on_disk) == 0 ? 0 : -EBADMSG;
	}
	EVP_MD_CTX_free(sha256);
	return r;
}

/* A line for each packet: its first block, and its length. */
static int write_index(const struct session *s)
{
	FILE *file = fopen(s->index, "we");
	int r = file ? 0 : -errno;

	for (uint64_t i = 0; file && i < s->dump.taken; i++)
		fprintf(file, "%" PRIu64 " %" PRIu32 "\n", s->dump.packets[i].block, s->dump.packets[i].len);
	if (file && (ferror(file) | fclose(file)))
		r = -EIO;
	if (r < 0)
		warnx("%s: %s", s->index, strerror(-r));
	return r;
}

static int finish(struct session *s)
{
	struct igb_stats stats = { 0 };
	int r = dump_finish(&s->dump);

	if (r < 0)
		return r;
	igb_port_stats(s->pair.port, &stats, sizeof stats);
	printf("%" PRIu64 " packets, %s, in blocks 0 to %" PRIu64 "; %" PRIu64
	       " bad; the port missed %" PRIu64 "%s\n",
	       s->dump.taken, unit_size((double)s->dump.bytes).text, s->dump.next, s->dump.bad,
	       stats.rx_missed + stats.rx_no_buffers, s->dump.full ? "; the disk is full" : "");
	if (s->index)
		r = write_index(s);
	return r < 0 ? r : check(s);
}

/* Command line ---------------------------------------------------------------------------------------------- */

static const char doc[] =
	"Write what comes in at an 82576 Ethernet port (or QEMU's igb) to an NVMe disk, by way of the memory "
	"buffer of the disk's controller and not of host memory, and print the SHA-256 of what is on the "
	"disk.\n"
	"\n"
	"PORT and DISK are PCI addresses of devices that are bound to vfio-pci. What is on the disk is "
	"WRITTEN "
	"OVER from the first block on: each packet begins at a block.\v"
	"Ends after --count, when the disk is full, or on SIGINT or SIGTERM. Exit status: 0 when all went "
	"well; 1 "
	"when not; 2 for a command line that makes no sense.";

static const struct argp_option table[] = {
	{ "backend", 'b', "NAME", 0, "auto, iommufd or type1 (default auto)", 0 },
	{ "count", 'c', "N", 0, "End when N packets have come (default 1000)", 0 },
	{ "index", 'i', "FILE", 0, "Write there where each packet lies: its first block, and its length", 0 },
	{ "poll", 'p', NULL, 0, "Look for packets all the time, without interrupts", 0 },
	{ "simulate", 's', NULL, 0, "On a simulated host, with another port that sends", 0 },
	{ 0 },
};

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct session *s = state->input;
	const struct option_target targets[] = {
		{ 'b', .backend = &s->request.backend },
		{ 'c', "count", .number = &s->count },
		{ 'i', .text = &s->index },
		{ 'p', .flag = &s->opts.polls },
		{ 's', .flag = &s->simulates },
		{ ARGP_KEY_ARG, "PORT", .text = &s->opts.nic },
		{ ARGP_KEY_ARG, "DISK", .text = &s->opts.disk },
	};

	if (key == ARGP_KEY_END) {
		if (!s->opts.disk && !s->simulates)
			argp_error(state, "the addresses of a port and of a disk are needed");
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

int main(int argc, char **argv)
{
	const struct argp argp = { .options = table, .parser = take, .args_doc = "PORT DISK", .doc = doc };
	static struct session s = { .count = DEFAULT_COUNT };
	int r;

	option_parse(&argp, argc, argv, &s);
	stop_on_signals();
	r = set_up(&s);
	if (r == 0)
		r = s.simulates ? receive_simulated(&s) : receive(&s);
	if (r == 0)
		r = finish(&s);
	return tear_down(&s) < 0 || r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
