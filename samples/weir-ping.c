// SPDX-License-Identifier: MIT
/*
 * weir-ping: a host that can be pinged, on an 82576 Ethernet controller driven from this program.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <igb/igb.h>
#include <igb/vfs.h>

#include "common/options.h"
#include "common/privileges.h"
#include "common/progress.h"
#include "common/say.h"
#include "common/stop.h"
#include "ping/answer.h"

#define BURST     32
#define DEPTH     512
#define BUFFERS   2048
#define BUFFER    2048
#define LOOK_MS   100
#define SERVE_MS  5 /* while virtual functions may ask for something */
#define LINK_MS   10000
#define ANSWER_MS 10000
#define OWN_IP    "10.0.0.2"

/* A port with a queue of each kind. */
struct end {
	struct station station;
	struct igb_port *port;
	struct igb_pool *pool;
	struct igb_rx *rx;
	struct igb_tx *tx;
};

struct session {
	struct open_request request;
	struct opened opened;
	struct weir_memory *memory;
	struct end end;
	uint32_t count; /* pings to answer, then end; 0: no end */
	uint32_t num_vfs;
	bool polls, simulates;
	uint64_t arps, pings, others, lost;

	/* On a simulated host, who asks. */
	struct weir_device *asker_device;
	struct end asker;
};

/* Answering ---------------------------------------------------------------------------------------------- */

static int give_back(struct session *s, uint64_t iova)
{
	return igb_pool_give(s->end.pool, &iova, 1);
}

/* Answers in the buffers that the questions came in. Returns how many are to be sent, or an error. */
static int look_at(struct session *s, const struct igb_packet *packets, int num, struct igb_piece *answers)
{
	int to_send = 0, r;

	for (int i = 0; i < num; i++) {
		enum answer answer = ANSWER_NONE;

		if (packets[i].word & IGB_RX_END && !(packets[i].word & IGB_RX_BAD))
			answer = answer_frame(&s->end.station, igb_pool_addr(s->end.pool, packets[i].iova),
					      igb_packet_len(&packets[i]));
		s->arps += answer == ANSWER_ARP;
		s->pings += answer == ANSWER_PING;
		s->others += answer == ANSWER_NONE;
		if (answer != ANSWER_NONE) {
			answers[to_send++] = igb_forward(&packets[i]);
			continue;
		}
		r = give_back(s, packets[i].iova);
		if (r < 0)
			return r;
	}
	return to_send;
}

/* A burst of whatever has come. Returns 0 or an error. */
static int serve(struct session *s)
{
	struct igb_packet packets[BURST];
	struct igb_piece answers[BURST];
	uint64_t all;
	int num, sent, r;

	num = igb_rx_burst(s->end.rx, packets, BURST, &all);
	if (num <= 0)
		return num < 0 ? num : igb_tx_flush(s->end.tx) < 0 ? -EIO : 0;
	num = look_at(s, packets, num, answers);
	if (num <= 0)
		return num;
	sent = igb_tx_burst(s->end.tx, answers, (uint32_t)num);
	if (sent == -EAGAIN)
		sent = 0;
	for (r = sent < 0 ? sent : 0; r == 0 && sent < num; sent++) {
		s->lost++;
		r = give_back(s, answers[sent].iova);
	}
	return r;
}

/* A virtual function's physical one was reset, and answers nothing until it is up again. */
static int come_back(struct session *s)
{
	int r;

	do
		r = igb_port_reset(s->end.port);
	while (r == -ETIMEDOUT && !stop);
	return stop ? 0 : r;
}

static int answer(struct session *s)
{
	int r = 0;

	while (r == 0 && !stop && (s->count == 0 || s->pings < s->count)) {
		r = igb_rx_wait(s->end.rx, s->num_vfs ? SERVE_MS : LOOK_MS);
		if (r == 0 || r == -ETIMEDOUT)
			r = serve(s);
		else if (r == -ECONNRESET)
			r = come_back(s);
		else if (r == -EINTR)
			r = 0;
		if (r == 0 && s->num_vfs) {
			r = igb_vfs_serve(s->end.port);
			r = r < 0 ? r : 0;
		}
	}
	return say_error(r, NULL, igb_error);
}

/* Asking, on a simulated host ------------------------------------------------------------------------------ */

/* Send a frame of @len bytes that is in buffer @iova. */
static int ask(struct end *end, uint64_t iova, uint32_t len)
{
	struct igb_piece piece = { iova, IGB_TX_LEN(len) | IGB_TX_END };
	int r = igb_tx_burst(end->tx, &piece, 1);

	return r < 0 ? r : 0;
}

/* Wait for the frame that the asker gets; the host answers meanwhile. Returns 0 and it, in a buffer of the asker's; or an error. */
static int await_answer(struct session *s, struct igb_packet *ret_packet)
{
	double until = seconds_now() + ANSWER_MS / 1000.0;
	uint64_t all;
	int r;

	while (seconds_now() < until) {
		r = serve(s);
		if (r == 0)
			r = igb_rx_burst(s->asker.rx, ret_packet, 1, &all);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return -ETIMEDOUT;
}

static int ask_once(struct session *s, uint16_t sequence, bool who)
{
	struct end *asker = &s->asker;
	struct igb_packet packet = { 0 };
	uint64_t iova;
	uint8_t *frame;
	bool right;
	int r;

	if (igb_pool_take(asker->pool, &iova, 1) != 1)
		return -ENOBUFS;
	frame = igb_pool_addr(asker->pool, iova);
	if (who)
		ask_who(&asker->station, s->end.station.ip, frame);
	else
		ask_ping(&asker->station, &s->end.station, sequence, frame);
	r = ask(asker, iova, who ? 60 : PING_LEN);
	if (r == 0)
		r = await_answer(s, &packet);
	if (r < 0)
		return r;
	frame = igb_pool_addr(asker->pool, packet.iova);
	right = who ? is_who_answer(&asker->station, frame, igb_packet_len(&packet), s->end.station.mac)
		    : is_ping_answer(&asker->station, sequence, frame, igb_packet_len(&packet));
	r = igb_pool_give(asker->pool, &packet.iova, 1);
	return r < 0 ? r : right ? 0 : -EBADMSG;
}

static int ask_all(struct session *s)
{
	double start = seconds_now();
	int r = ask_once(s, 0, true);

	for (uint64_t i = 0; r == 0 && i < s->count && !stop; i++)
		r = ask_once(s, (uint16_t)i, false);
	if (r < 0) {
		warnx("%s", r == -ETIMEDOUT ? "no answer" : r == -EBADMSG ? "a wrong answer" : igb_error());
		return r;
	}
	printf("%u pings sent from the other port, each answered: %.1f us on average\n", s->count,
	       (seconds_now() - start) * 1e6 / (double)s->count);
	return 0;
}

/* Setting up ----------------------------------------------------------------------------------------------- */

static int open_end(struct session *s, struct weir_device *device, struct end *end)
{
	struct igb_port_opts opts =
		WEIR_OPTS(igb_port_opts, .flags = s->polls ? 0 : IGB_INTERRUPTS, .num_vfs = s->num_vfs);
	struct igb_port_info info;
	int r = igb_port_open(device, &opts, &end->port);

	if (r == 0)
		r = igb_pool_open(s->memory, BUFFERS, BUFFER, &end->pool);
	if (r == 0)
		r = igb_rx_open(end->port, 0, DEPTH, end->pool, &end->rx);
	if (r == 0)
		r = igb_tx_open(end->port, 0, DEPTH, end->pool, &end->tx);
	if (r == 0)
		r = igb_port_info(end->port, &info, sizeof info);
	if (r < 0)
		return say_error(r, NULL, igb_error);
	memcpy(end->station.mac, info.mac, 6);
	return 0;
}

/* A machine with two ports and a wire between them; the host is at the first. */
static int simulate(struct session *s, const char **ret_asker)
{
	struct weir_sim_igb_opts other = WEIR_OPTS(weir_sim_igb_opts, .mac = { 0x52, 0x54, 0, 0, 0, 1 });
	struct weir_sim_device *models[2] = { NULL };
	int r = weir_sim_open(NULL, &s->opened.sim);

	if (r == 0)
		r = weir_sim_add_igb(s->opened.sim, NULL, NULL, &models[0]);
	if (r == 0)
		r = weir_sim_add_igb(s->opened.sim, &other, NULL, &models[1]);
	if (r == 0)
		r = weir_sim_igb_connect(models[0], models[1]);
	if (r < 0)
		return r;
	s->request.address = weir_sim_device_address(models[0]);
	*ret_asker = weir_sim_device_address(models[1]);
	return weir_sim_start(s->opened.sim);
}

static int set_up(struct session *s)
{
	static const uint8_t asker_ip[4] = { 10, 0, 0, 1 };
	const char *asker = NULL;
	int r = s->simulates ? simulate(s, &asker) : 0;

	if (r == 0)
		r = open_device(&s->request, &s->opened);
	if (r == 0 && asker)
		r = weir_device_open(s->opened.ioas, asker, NULL, &s->asker_device);
	if (r == 0)
		r = weir_memory_open(s->opened.ioas, NULL, &s->memory);
	if (r < 0)
		return say_error(r, NULL, weir_error);
	r = open_end(s, s->opened.device, &s->end);
	if (r == 0 && s->simulates) {
		memcpy(s->asker.station.ip, asker_ip, 4);
		r = open_end(s, s->asker_device, &s->asker);
	}
	if (r < 0)
		return r;
	r = privileges_give_up(NULL);
	if (r < 0)
		return r;
	r = igb_port_wait_link(s->end.port, false, LINK_MS);
	return say_error(r, NULL, igb_error);
}

static int tear_down(struct session *s)
{
	int first = 0;

	keep_first(&first, say_error(igb_port_close(s->end.port), NULL, igb_error));
	keep_first(&first, say_error(igb_port_close(s->asker.port), NULL, igb_error));
	keep_first(&first, say_error(igb_pool_close(s->end.pool), NULL, igb_error));
	keep_first(&first, say_error(igb_pool_close(s->asker.pool), NULL, igb_error));
	keep_first(&first, say_error(weir_memory_close(s->memory), NULL, weir_error));
	keep_first(&first, say_error(weir_device_close(s->asker_device), NULL, weir_error));
	keep_first(&first, say_error(close_device(&s->opened), NULL, weir_error));
	return first;
}

/* Command line ------------------------------------------------------------------------------------------------ */

static const char doc[] =
	"Be a host that can be pinged, on an 82576 Ethernet controller (or QEMU's igb).\n"
	"\n"
	"ADDRESS is its PCI address, such as 0000:00:08.0; it has to be bound to vfio-pci.\v"
	"Ends on SIGINT or SIGTERM, or after --count. Exit status: 0 when all went well; 1 when not; 2 for a "
	"command line that "
	"makes no sense.";

static const struct argp_option table[] = {
	{ "backend", 'b', "NAME", 0, "auto, iommufd, type1 or compat (default auto)", 0 },
	{ "count", 'c', "N", 0, "End when N pings have been answered (with --simulate, default 1000)", 0 },
	{ "ip", 'i', "IP", 0, "The host's address (default " OWN_IP ")", 0 },
	{ "poll", 'p', NULL, 0, "Look for packets all the time, without interrupts", 0 },
	{ "simulate", 's', NULL, 0,
	  "On a simulated host with two ports and a wire between them: ping it from the other port", 0 },
	{ "vf-token", 't', "UUID", 0,
	  "The token between a physical function and its virtual ones, when vfio-pci has both", 0 },
	{ "vfs", 'v', "N", 0, "Answer what N virtual functions of the controller ask as well", 0 },
	{ 0 },
};

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct session *s = state->input;
	const struct option_target targets[] = {
		{ 'b', .backend = &s->request.backend },
		{ 'c', "count", .number = &s->count },
		{ 'p', .flag = &s->polls },
		{ 's', .flag = &s->simulates },
		{ 't', .text = &s->request.vf_token },
		{ 'v', "vfs", .number = &s->num_vfs },
		{ ARGP_KEY_ARG, "ADDRESS", .text = &s->request.address },
	};

	switch (key) {
	case 'i':
		if (inet_pton(AF_INET, arg, s->end.station.ip) != 1)
			argp_error(state, "ip: an IPv4 address, not \"%s\"", arg);
		return 0;
	case ARGP_KEY_END:
		if (!s->request.address && !s->simulates)
			argp_error(state, "the ADDRESS of a controller is missing");
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

int main(int argc, char **argv)
{
	const struct argp argp = { .options = table, .parser = take, .args_doc = "ADDRESS", .doc = doc };
	struct session s = { .end.station.ip = { 10, 0, 0, 2 } };
	const uint8_t *mac = s.end.station.mac, *ip = s.end.station.ip;
	int r;

	option_parse(&argp, argc, argv, &s);
	if (s.simulates && s.count == 0)
		s.count = 1000;
	stop_on_signals();
	r = set_up(&s);
	if (r == 0) {
		printf("%s is %u.%u.%u.%u at %02x:%02x:%02x:%02x:%02x:%02x, opened through %s\n",
		       s.request.address, ip[0], ip[1], ip[2], ip[3], mac[0], mac[1], mac[2], mac[3], mac[4],
		       mac[5], weir_backend_name(weir_host_backend(s.opened.host)));
		fflush(stdout);
		r = s.simulates ? ask_all(&s) : answer(&s);
		printf("%" PRIu64 " pings answered, %" PRIu64 " questions who this is; %" PRIu64
		       " other frames; %" PRIu64 " answers for which there was no room\n",
		       s.pings, s.arps, s.others, s.lost);
	}
	return tear_down(&s) < 0 || r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
