// SPDX-License-Identifier: MIT
/* weir-l2fwd's bridge on the simulated host: four ports and two wires, with the bridge between the wires. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <l2fwd/bridge.h>
#include <l2fwd/ends.h>
#include <l2fwd/live.h>

#include "sim_host.h"

enum { BUFFERS = 4096, DEPTH = 512, PATIENCE_S = 20 };

struct pair {
	struct sim_host *host;
	struct weir_memory *memory;
	struct bridge bridge;
	struct ends ends;
	const char *addresses[2];
};

static void expect_ok(int r)
{
	if (r < 0)
		FAIL("%d: %s", r, igb_error());
}

static void close_pair(void *arg)
{
	struct pair *pair = arg;

	expect_ok(ends_close(&pair->ends));
	expect_ok(bridge_close(&pair->bridge));
	EXPECT_OK(weir_memory_close(pair->memory));
	free(pair);
}

static struct pair *a_pair(struct t *t, enum weir_backend backend, bool polls, uint32_t max_frame)
{
	struct sim_host *host = sim_host_open(t, backend);
	struct pair *pair = calloc(1, sizeof(*pair));
	struct weir_device *devices[2];
	const char *ends[2];

	ASSERT_TRUE(pair);
	pair->host = host;
	ASSERT_OK(ends_simulate(host->sim, pair->addresses, ends));
	for (int i = 0; i < 2; i++)
		devices[i] = sim_host_device(t, host, pair->addresses[i], 0);
	ASSERT_OK(weir_memory_open(host->ioas, NULL, &pair->memory));
	t_defer(t, close_pair, pair);
	expect_ok(bridge_open(&pair->bridge, devices, pair->memory,
			      &(struct bridge_opts){ .max_frame = max_frame, .polls = polls }));
	expect_ok(ends_open(&pair->ends, host->ioas, ends, pair->memory, max_frame));
	return pair;
}

/* Until both ends have @count frames; an end checks that they are the ones sent, in order. */
static void exchange(struct pair *pair, uint64_t count)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!ends_done(&pair->ends, count)) {
		int r = ends_step(&pair->ends, count);

		expect_ok(r);
		r = bridge_turn(&pair->bridge);
		if (r == 0)
			r = bridge_wait(&pair->bridge, 0);
		expect_ok(r);
		clock_gettime(CLOCK_MONOTONIC, &now);
		ASSERT_LT(now.tv_sec - start.tv_sec, PATIENCE_S);
	}
}

/* All buffers come home when nothing is on its way. */
static void expect_all_buffers(struct pair *pair)
{
	for (int i = 0; i < 1000 && igb_pool_free(pair->bridge.pool) < BUFFERS - 2 * DEPTH; i++) {
		expect_ok(bridge_wait(&pair->bridge, 0));
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	EXPECT_EQ(igb_pool_free(pair->bridge.pool), BUFFERS - 2 * DEPTH);
}

UNIT(sim_l2fwd, forwards_each_frame_as_it_was)
{
	for (int i = 0; i < 6; i++) {
		struct pair *pair = a_pair(t, sim_backends[i / 2], i % 2, 1522);

		t_note(t, "%s, polls: %d", weir_backend_name(sim_backends[i / 2]), i % 2);
		exchange(pair, 300);
		for (int k = 0; k < 2; k++) {
			EXPECT_EQ(pair->bridge.sides[k].packets, 300);
			EXPECT_EQ(pair->bridge.sides[k].full, 0);
			EXPECT_EQ(pair->bridge.sides[k].bad, 0);
			EXPECT_GE(pair->bridge.sides[k].bytes, 300 * 60);
		}
		expect_all_buffers(pair);
		EXPECT_EQ(weir_sim_num_faults(pair->host->sim), 0);
	}
}

UNIT(sim_l2fwd, forwards_jumbo_frames)
{
	exchange(a_pair(t, WEIR_BACKEND_IOMMUFD, false, 9018), 200);
}

/* What live counters write to stderr, half a second after they were drawn last. */
static char *drawn(struct live *live, const struct bridge *bridge)
{
	FILE *before = stderr;
	char *text = NULL;
	size_t len;

	stderr = open_memstream(&text, &len);
	live_at(live, bridge); /* not yet */
	live->last_drawn -= 0.5;
	live_at(live, bridge);
	fclose(stderr);
	stderr = before;
	return text;
}

UNIT(sim_l2fwd, draws_live_counters)
{
	struct pair *pair = a_pair(t, WEIR_BACKEND_IOMMUFD, true, 1522);
	struct live live;
	char *text;

	live_start(&live, true, pair->addresses);
	exchange(pair, 123);
	text = drawn(&live, &pair->bridge);
	EXPECT_EQ(text[0], '\r');
	EXPECT_TRUE(strchr(text + 1, '\r') == NULL); /* one line, redrawn in place */
	EXPECT_TRUE(strchr(text, '\n') == NULL);
	EXPECT_CONTAINS(text, "0000:00:01.0 to 0000:00:02.0: 123 frames, ");
	EXPECT_CONTAINS(text, "0000:00:02.0 to 0000:00:01.0: 123 frames, ");
	EXPECT_CONTAINS(text, "B/s");
	EXPECT_TRUE(strstr(text, "lost") == NULL);
	free(text);
	pair->bridge.sides[1].full = 5;
	text = drawn(&live, &pair->bridge);
	EXPECT_CONTAINS(text, " 0/s, "); /* none since */
	EXPECT_CONTAINS(text, "5 lost");
	free(text);
	live_start(&live, false, pair->addresses);
	text = drawn(&live, &pair->bridge);
	EXPECT_EQ(text[0], '\0');
	free(text);
}

UNIT(sim_l2fwd, sleeps_until_a_frame_comes)
{
	struct pair *pair = a_pair(t, WEIR_BACKEND_IOMMUFD, false, 1522);
	struct timespec start, now;

	/* Nothing comes: it takes as long as it was told. */
	clock_gettime(CLOCK_MONOTONIC, &start);
	expect_ok(bridge_wait(&pair->bridge, 50));
	clock_gettime(CLOCK_MONOTONIC, &now);
	EXPECT_GE((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000, 49);
	/* One comes: far less than that. */
	clock_gettime(CLOCK_MONOTONIC, &start);
	expect_ok(ends_step(&pair->ends, 1));
	expect_ok(bridge_wait(&pair->bridge, 60000));
	clock_gettime(CLOCK_MONOTONIC, &now);
	EXPECT_LT(now.tv_sec - start.tv_sec, PATIENCE_S);
	exchange(pair, 1);
}

UNIT(sim_l2fwd, refuses_a_device_that_is_none_and_leaves_nothing)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct weir_device *devices[2];
	struct weir_memory *memory;
	struct bridge bridge;

	ASSERT_OK(weir_sim_add_igb(host->sim, NULL, NULL, NULL));
	ASSERT_OK(weir_sim_add_nvme(host->sim, NULL, NULL, NULL));
	devices[0] = sim_host_device(t, host, "0000:00:01.0", 0);
	devices[1] = sim_host_device(t, host, "0000:00:02.0", 0);
	ASSERT_OK(weir_memory_open(host->ioas, NULL, &memory));
	EXPECT_EQ(bridge_open(&bridge, devices, memory, &(struct bridge_opts){ 0 }), -ENODEV);
	EXPECT_CONTAINS(igb_error(), "no 82576");
	expect_ok(bridge_close(&bridge));
	EXPECT_OK(weir_memory_close(memory));
}
