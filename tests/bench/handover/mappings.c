// SPDX-License-Identifier: MIT
/*
 * A host with a device and so many mappings of a file, handed over between two processes of a simulated machine: from the giver's call to the successor's last
 * word. Beside it what mapping them took. JSON, and a table for people.
 *
 *     weir-bench-handover [MAPPINGS...]
 *
 * It says what the library adds, and how that grows; what a real kernel takes is measured in the virtual machine (tests/bench/handover/run).
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "bench/series.h"

enum { PAGE = 4096, ROUNDS = 5, LONG_MS = 60000 };

static const enum weir_backend backends[] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1 };
static const char address[] = "0000:00:01.0";

static void check(int error, const char *what)
{
	if (error)
		errx(1, "%s: %s", what, weir_error());
}

struct taker {
	const struct weir_sys *sys;
	int socket;
	struct weir_host *host;
	uint64_t done_ns;
};

static void *take(void *arg)
{
	struct taker *taker = arg;
	struct weir_handover_opts opts =
		WEIR_OPTS(weir_handover_opts, .sys = taker->sys, .timeout_ms = LONG_MS);

	check(weir_handover_receive(taker->socket, &opts, &taker->host), "weir_handover_receive");
	check(weir_handover_finish(taker->host), "weir_handover_finish");
	taker->done_ns = now_ns();
	return NULL;
}

/* Returns how long it took, and the host that it is now. */
static uint64_t hand_over(struct weir_sim *sim, unsigned int to, struct weir_host **host)
{
	struct weir_handover_opts opts = WEIR_OPTS(weir_handover_opts, .timeout_ms = LONG_MS);
	struct taker taker = { .sys = weir_sim_sys_of(sim, to) };
	pthread_t thread;
	uint64_t start;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		err(1, "socketpair");
	taker.socket = ends[1];
	if (pthread_create(&thread, NULL, take, &taker))
		errx(1, "no thread");
	start = now_ns();
	check(weir_handover_give(*host, ends[0], &opts), "weir_handover_give");
	pthread_join(thread, NULL);
	close(ends[0]);
	*host = taker.host;
	return taker.done_ns - start;
}

static void end(struct weir_host *host, struct weir_sim *sim)
{
	struct weir_device *device;
	struct weir_ioas *ioas;

	check(weir_handover_device(host, address, &device), "weir_handover_device");
	check(weir_handover_ioas(host, 0, &ioas), "weir_handover_ioas");
	check(weir_device_close(device), "weir_device_close");
	check(weir_ioas_close(ioas), "weir_ioas_close");
	check(weir_host_close(host), "weir_host_close");
	check(weir_sim_close(sim), "weir_sim_close");
}

/* Every second page, so that no two mappings are one. */
static void map_all(struct weir_ioas *ioas, int file, unsigned int num)
{
	struct weir_map *map;

	if (ftruncate(file, (off_t)num * 2 * PAGE))
		err(1, "ftruncate");
	for (unsigned int i = 0; i < num; i++)
		check(weir_ioas_map_file(ioas, file, (uint64_t)i * 2 * PAGE, PAGE, NULL, &map),
		      "weir_ioas_map_file");
}

static void measure(enum weir_backend backend, unsigned int num, double *ret_map_ms, double *ret_ms)
{
	int file = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct weir_device *device;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_sim *sim;
	struct series series;
	uint64_t start;

	series_init(&series, ROUNDS);
	check(weir_sim_open(NULL, &sim), "weir_sim_open");
	check(weir_sim_add_edu(sim, NULL, &WEIR_OPTS(weir_sim_slot, .address = address), NULL),
	      "weir_sim_add_edu");
	check(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend, .sys = weir_sim_sys(sim),
					.flags = WEIR_HOST_JOURNAL),
			     &host),
	      "weir_host_open");
	check(weir_ioas_open(host, NULL, &ioas), "weir_ioas_open");
	check(weir_device_open(ioas, address, NULL, &device), "weir_device_open");
	start = now_ns();
	map_all(ioas, file, num);
	*ret_map_ms = (double)(now_ns() - start) / 1e6;
	for (unsigned int i = 0; i < ROUNDS; i++)
		series_add(&series, hand_over(sim, 1 + i % 2, &host));
	*ret_ms = series_quantile(&series, 0.5) / 1e6;
	end(host, sim);
	series_free(&series);
	close(file);
}

/* Each mapping of a file has a descriptor, in either process and in the simulated kernel: all are one here, so more than some 6000 are seldom allowed. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		err(1, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "setrlimit");
}

int main(int argc, char **argv)
{
	static const char *const usual[] = { "1", "10", "100", "1000", "4000" };
	const char *const *nums = argc > 1 ? (const char *const *)argv + 1 : usual;
	int count = argc > 1 ? argc - 1 : (int)(sizeof(usual) / sizeof(usual[0]));
	const char *comma = "";

	allow_descriptors();
	printf("{\n  \"handover\": [");
	fprintf(stderr, "%-8s %9s %12s %12s\n", "backend", "mappings", "hand-over", "to map them");
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++)
		for (int i = 0; i < count; i++) {
			unsigned int num = (unsigned int)strtoul(nums[i], NULL, 10);
			double map_ms, ms;

			measure(backends[b], num, &map_ms, &ms);
			fprintf(stderr, "%-8s %9u %9.2f ms %9.2f ms\n", weir_backend_name(backends[b]), num,
				ms, map_ms);
			printf("%s\n    { \"backend\": \"%s\", \"mappings\": %u, \"handover_ms\": %.3f, "
			       "\"map_ms\": %.3f }",
			       comma, weir_backend_name(backends[b]), num, ms, map_ms);
			comma = ",";
		}
	printf("\n  ]\n}\n");
	return 0;
}
