// SPDX-License-Identifier: MIT
/*
 * weir-l2fwd: what comes in at one 82576 Ethernet port goes out at another, both driven from this program. No frame is copied.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/options.h"
#include "common/privileges.h"
#include "common/progress.h"
#include "common/say.h"
#include "common/stop.h"
#include "l2fwd/bridge.h"
#include "l2fwd/ends.h"
#include "l2fwd/live.h"

#define LOOK_MS       100
#define SIMULATED     10000u /* frames each way */
#define STALLED       5.0    /* seconds without a frame, on a simulated host */
#define DEFAULT_FRAME 1522u

struct session {
	struct open_request request;
	const char *addresses[2];
	struct bridge_opts opts;
	uint32_t count; /* frames each way, on a simulated host */
	bool simulates, progress;

	struct opened opened;
	struct weir_device *second;
	struct weir_memory *memory;
	struct bridge bridge;
	struct live live;
	struct ends ends; /* on a simulated host */
};

/* Forwarding ---------------------------------------------------------------------------------------------- */

/* Until a signal, which ends a wait as well. */
static int forward(struct session *s)
{
	int r = 0;

	while (r >= 0 && !stop) {
		r = bridge_turn(&s->bridge);
		if (r == 0)
			r = bridge_wait(&s->bridge, LOOK_MS);
		live_at(&s->live, &s->bridge);
	}
	return say_error(r, NULL, igb_error);
}

/* On a simulated host, frames are sent from both ends in the same thread, and what arrives there is looked at. */
static int exchange(struct session *s)
{
	double start = seconds_now(), last = start;
	uint64_t before = 0, now;
	int r = 0;

	while (r >= 0 && !stop && !ends_done(&s->ends, s->count)) {
		r = ends_step(&s->ends, s->count);
		if (r == 0)
			r = bridge_turn(&s->bridge);
		if (r == 0)
			r = bridge_wait(&s->bridge, 0);
		live_at(&s->live, &s->bridge);
		now = s->ends.ends[0].received + s->ends.ends[1].received;
		if (now != before)
			last = seconds_now();
		else if (seconds_now() - last > STALLED) {
			warnx("frames got lost on their way");
			return -ETIMEDOUT;
		}
		before = now;
	}
	if (r < 0) {
		warnx("%s", r == -EBADMSG ? "a frame arrived that was not the one sent" : igb_error());
		return r;
	}
	if (!stop)
		printf("%u frames each way, each as it was sent: %.1f us for each\n", s->count,
		       (seconds_now() - start) * 1e6 / (2.0 * s->count));
	return 0;
}

/* Setting up ---------------------------------------------------------------------------------------------- */

/* A machine with four ports and two wires. */
static int simulate(struct session *s, const char *ends[2])
{
	int r = weir_sim_open(NULL, &s->opened.sim);

	if (r == 0)
		r = ends_simulate(s->opened.sim, s->addresses, ends);
	return r == 0 ? weir_sim_start(s->opened.sim) : r;
}

/* Both ports in one address space, so that what one has written is where the other one reads. */
static int open_machine(struct session *s, const char *ends[2])
{
	int r = s->simulates ? simulate(s, ends) : 0;

	s->request.address = s->addresses[0];
	if (r == 0)
		r = open_device(&s->request, &s->opened);
	if (r == 0)
		r = weir_device_open(s->opened.ioas, s->addresses[1], NULL, &s->second);
	if (r == 0)
		r = weir_memory_open(s->opened.ioas, NULL, &s->memory);
	return say_error(r, NULL, weir_error);
}

static int set_up(struct session *s)
{
	const char *ends[2] = { NULL };
	struct weir_device *devices[2];
	int r = open_machine(s, ends);

	if (r < 0)
		return r;
	devices[0] = s->opened.device;
	devices[1] = s->second;
	r = bridge_open(&s->bridge, devices, s->memory, &s->opts);
	if (r == 0 && s->simulates)
		r = ends_open(&s->ends, s->opened.ioas, ends, s->memory, s->opts.max_frame);
	if (r < 0)
		return say_error(r, NULL, igb_error);
	return privileges_give_up(NULL);
}

static int tear_down(struct session *s)
{
	int first = 0;

	keep_first(&first, say_error(ends_close(&s->ends), NULL, igb_error));
	keep_first(&first, say_error(bridge_close(&s->bridge), NULL, igb_error));
	keep_first(&first, say_error(weir_memory_close(s->memory), NULL, weir_error));
	keep_first(&first, say_error(weir_device_close(s->second), NULL, weir_error));
	keep_first(&first, say_error(close_device(&s->opened), NULL, weir_error));
	return first;
}

/* Command line -------------------------------------------------------------------------------------------- */

static const char doc[] =
	"Forward Ethernet frames between two 82576 ports (or QEMU's igb).\n"
	"\n"
	"ONE and OTHER are their PCI addresses, such as 0000:00:08.0; they have to be bound to vfio-pci.\v"
	"Ends on SIGINT or SIGTERM. Exit status: 0 when all went well; 1 when not; 2 for a command line that "
	"makes no sense.";

enum { KEY_PROGRESS = 256 };

static const struct argp_option table[] = {
	{ "backend", 'b', "NAME", 0, "auto, iommufd, type1 or compat (default auto)", 0 },
	{ "count", 'c', "N", 0, "With --simulate: end when N frames have gone each way (default 10000)", 0 },
	{ "max-frame", 'f', "BYTES", 0, "The longest frame, with its check sequence (default 1522)", 0 },
	{ "poll", 'p', NULL, 0, "Look for frames all the time, without interrupts", 0 },
	{ "progress", KEY_PROGRESS, NULL, 0, "Live counters even if standard error is no terminal", 0 },
	{ "simulate", 's', NULL, 0,
	  "On a simulated host with two more ports, which send each other frames through these two", 0 },
	{ 0 },
};

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct session *s = state->input;
	const struct option_target targets[] = {
		{ 'b', .backend = &s->request.backend },
		{ 'c', "count", .number = &s->count },
		{ 'f', "max-frame", .number = &s->opts.max_frame },
		{ 'p', .flag = &s->opts.polls },
		{ 's', .flag = &s->simulates },
		{ KEY_PROGRESS, .flag = &s->progress },
		{ ARGP_KEY_ARG, "ONE", .text = &s->addresses[0] },
		{ ARGP_KEY_ARG, "OTHER", .text = &s->addresses[1] },
	};

	if (key == ARGP_KEY_END) {
		if (!s->addresses[1] && !s->simulates)
			argp_error(state, "the addresses of two ports are needed");
		if (s->opts.max_frame < 64 || s->opts.max_frame > IGB_MAX_FRAME)
			argp_error(state, "max-frame: 64 to %u", IGB_MAX_FRAME);
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

int main(int argc, char **argv)
{
	const struct argp argp = { .options = table, .parser = take, .args_doc = "ONE OTHER", .doc = doc };
	static struct session s;
	int r;

	setlocale(LC_ALL, "");
	s.opts.max_frame = DEFAULT_FRAME;
	s.count = SIMULATED;
	s.progress = isatty(STDERR_FILENO);
	option_parse(&argp, argc, argv, &s);
	stop_on_signals();
	r = set_up(&s);
	if (r == 0) {
		printf("%s and %s are one wire, opened through %s\n", s.addresses[0], s.addresses[1],
		       weir_backend_name(weir_host_backend(s.opened.host)));
		fflush(stdout);
		live_start(&s.live, s.progress, s.addresses);
		r = s.simulates ? exchange(&s) : forward(&s);
		live_end(&s.live);
		live_print(&s.live, &s.bridge);
	}
	return tear_down(&s) < 0 || r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
