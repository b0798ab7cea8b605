// SPDX-License-Identifier: MIT
/*
 * What it takes to move data from device to device, beside the same through host memory; and to withdraw windows and restore them.
 *
 *     weir-bench-peer BACKEND [SOURCE TARGET]      two NVMe controllers, the second with a memory buffer; none: simulated ones
 *
 * The target's disk is WRITTEN OVER. A table goes to stderr, JSON to stdout.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nvme/nvme.h>
#include <weir/sim.h>
#include <weir/weir.h>

#include "bench/series.h"

enum {
	PAGE = 4096,
	DEPTH = 8,
	REQUEST = 128 << 10,
	BUFFERS = DEPTH * REQUEST,
	ROUNDS = 9,
	TIMES = 21,
	MOST = 1024, /* windows */
	TIMEOUT_MS = 30000,
};

struct disk {
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
};

static struct {
	struct weir_sim *sim;
	struct weir_host *host;
	struct disk source, target;
	struct weir_region *bar;
	struct nvme_cmb cmb;
	struct weir_peer *window;
	struct weir_map *of_source, *of_target;
	uint64_t bounce_of_source, bounce_of_target; /* IOVAs of the same host memory */
} b;

static void check(int error)
{
	if (error < 0)
		errx(1, "%s", weir_error());
}

static void check_nvme(int error)
{
	if (error < 0)
		errx(1, "%s", nvme_error());
}

/* Setting up ------------------------------------------------------------------------------------------------------- */

static uint32_t backend_named(const char *name)
{
	for (uint32_t kind = WEIR_BACKEND_IOMMUFD; kind <= WEIR_BACKEND_COMPAT; kind++)
		if (!strcmp(name, weir_backend_name(kind)))
			return kind;
	errx(2, "there is no backend '%s'", name);
}

static void simulate(void)
{
	check(weir_sim_open(NULL, &b.sim));
	check(weir_sim_add_nvme(b.sim, NULL, &WEIR_OPTS(weir_sim_slot, .address = "0000:00:01.0"), NULL));
	check(weir_sim_add_nvme(b.sim, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 64),
				&WEIR_OPTS(weir_sim_slot, .address = "0000:00:02.0"), NULL));
	check(weir_sim_start(b.sim));
}

static void open_disk(struct disk *disk, const char *address)
{
	check(weir_ioas_open(b.host, NULL, &disk->ioas));
	check(weir_device_open(disk->ioas, address, NULL, &disk->device));
	check_nvme(nvme_controller_open(disk->device, NULL, &disk->controller));
	check_nvme(nvme_namespace_info(disk->controller, 1, &disk->ns, sizeof(disk->ns)));
	check_nvme(nvme_queue_open(disk->controller, DEPTH, &disk->queue));
}

static void open_buffers(void)
{
	void *bounce = aligned_alloc(2 << 20, 2 << 20);
	struct weir_map *map;

	check_nvme(nvme_controller_cmb(b.target.controller, &b.cmb, sizeof(b.cmb)));
	if (b.cmb.len < MOST * PAGE)
		errx(1, "the memory buffer is too small");
	check(weir_device_region(b.target.device, b.cmb.bar, &b.bar));
	check(weir_peer_open(b.bar, b.cmb.offset, b.cmb.len, &b.window));
	check(weir_peer_map(b.window, b.target.ioas, 0, b.cmb.len, NULL, &b.of_target));
	check(weir_peer_map(b.window, b.source.ioas, 0, BUFFERS, NULL, &b.of_source));
	check_nvme(nvme_controller_enable_cmb(b.target.controller, weir_map_iova(b.of_target)));
	if (!bounce)
		errx(1, "no memory");
	memset(bounce, 0, 2 << 20);
	check(weir_ioas_map(b.source.ioas, bounce, BUFFERS, NULL, &map));
	b.bounce_of_source = weir_map_iova(map);
	check(weir_ioas_map(b.target.ioas, bounce, BUFFERS, NULL, &map));
	b.bounce_of_target = weir_map_iova(map);
}

/* Transfers -------------------------------------------------------------------------------------------------------- */

/* Nanoseconds for all that both disks have in whole buffers, a buffer at a time. */
static uint64_t move(uint64_t of_source, uint64_t of_target)
{
	uint64_t bytes = b.source.ns.num_blocks << b.source.ns.block_shift, start = now_ns();
	uint64_t most = b.target.ns.num_blocks << b.target.ns.block_shift;

	if (bytes > most)
		bytes = most;
	for (uint64_t at = 0; at + BUFFERS <= bytes; at += BUFFERS) {
		check_nvme(nvme_queue_read(b.source.queue, &b.source.ns, at >> b.source.ns.block_shift,
					   of_source, BUFFERS, TIMEOUT_MS));
		check_nvme(nvme_queue_write(b.target.queue, &b.target.ns, at >> b.target.ns.block_shift,
					    of_target, BUFFERS, TIMEOUT_MS));
	}
	return now_ns() - start;
}

/* By turns, so that what else the machine does slows down both. */
static void measure_transfers(void)
{
	struct series peer, bounce;
	double ratio;

	series_init(&peer, ROUNDS);
	series_init(&bounce, ROUNDS);
	for (int i = 0; i < ROUNDS; i++) {
		series_add(&peer, move(weir_map_iova(b.of_source), weir_map_iova(b.of_target)));
		series_add(&bounce, move(b.bounce_of_source, b.bounce_of_target));
	}
	ratio = series_quantile(&peer, 0.5) / series_quantile(&bounce, 0.5);
	fprintf(stderr,
		"transfer, median of %d: %.1f ms from device to device, %.1f ms through host memory: %.2f\n",
		ROUNDS, series_quantile(&peer, 0.5) / 1e6, series_quantile(&bounce, 0.5) / 1e6, ratio);
	printf(" \"transfer\": {\"peer_ns\": %.0f, \"bounce_ns\": %.0f, \"ratio\": %.3f},\n",
	       series_quantile(&peer, 0.5), series_quantile(&bounce, 0.5), ratio);
	series_free(&peer);
	series_free(&bounce);
}

/* Windows ---------------------------------------------------------------------------------------------------------- */

/* The median of switching the device's memory off and on, with what is mapped now. */
static void switch_off_and_on(double *ret_off, double *ret_on)
{
	struct series off, on;

	series_init(&off, TIMES);
	series_init(&on, TIMES);
	for (int i = 0; i < TIMES; i++) {
		uint64_t start = now_ns(), middle;

		check(weir_device_set_memory(b.target.device, false));
		middle = now_ns();
		check(weir_device_set_memory(b.target.device, true));
		series_add(&off, middle - start);
		series_add(&on, now_ns() - middle);
	}
	*ret_off = series_quantile(&off, 0.5);
	*ret_on = series_quantile(&on, 0.5);
	series_free(&off);
	series_free(&on);
}

static void measure_windows(unsigned int num, uint32_t flags, double base_off, double base_on,
			    const char *comma)
{
	static struct weir_peer *windows[MOST];
	static struct weir_map *maps[MOST];
	const char *policy = flags ? "sink" : "fault";
	double off, on;

	for (unsigned int i = 0; i < num; i++) {
		check(weir_peer_open(b.bar, b.cmb.offset + (uint64_t)i * PAGE, PAGE, &windows[i]));
		check(weir_peer_map(windows[i], b.source.ioas, 0, PAGE,
				    &WEIR_OPTS(weir_map_opts, .flags = flags), &maps[i]));
	}
	switch_off_and_on(&off, &on);
	for (unsigned int i = num; i-- > 0;) {
		check(weir_map_close(maps[i]));
		check(weir_peer_close(windows[i]));
	}
	off = (off - base_off) / num;
	on = (on - base_on) / num;
	fprintf(stderr, "%-8s %7u %13.2f %12.2f %12.2f\n", policy, num, off / 1000, on / 1000,
		(off + on) / 1000);
	printf("  {\"policy\": \"%s\", \"windows\": %u, \"withdraw_ns\": %.0f, \"restore_ns\": %.0f}%s\n",
	       policy, num, off, on, comma);
}

static void measure_all_windows(void)
{
	static const unsigned int nums[] = { 1, 64, MOST };
	double base_off, base_on;

	check(weir_map_close(b.of_source));
	check(weir_map_close(b.of_target));
	switch_off_and_on(&base_off, &base_on);
	fprintf(stderr,
		"\nswitching memory off takes %.1f us, on %.1f us, without windows; more, for each window:\n",
		base_off / 1000, base_on / 1000);
	fprintf(stderr, "%-8s %7s %13s %12s %12s\n", "policy", "windows", "withdraw, us", "restore, us",
		"both, us");
	printf(" \"off_ns\": %.0f, \"on_ns\": %.0f, \"windows\": [\n", base_off, base_on);
	for (int i = 0; i < 6; i++)
		measure_windows(nums[i % 3], i < 3 ? 0 : WEIR_MAP_SINK, base_off, base_on, i < 5 ? "," : "");
	printf(" ]}\n");
}

static void close_all(void)
{
	struct disk *disks[] = { &b.source, &b.target };

	check(weir_peer_close(b.window));
	for (int i = 0; i < 2; i++) {
		check(weir_device_close(disks[i]->device));
		check(weir_ioas_close(disks[i]->ioas));
	}
	check(weir_host_close(b.host));
	check(weir_sim_close(b.sim));
}

int main(int argc, char **argv)
{
	if (argc != 2 && argc != 4)
		errx(2, "usage: weir-bench-peer iommufd|type1 [SOURCE TARGET]");
	if (argc == 2)
		simulate();
	check(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend_named(argv[1]),
					.sys = b.sim ? weir_sim_sys(b.sim) : NULL),
			     &b.host));
	open_disk(&b.source, argc == 4 ? argv[2] : "0000:00:01.0");
	open_disk(&b.target, argc == 4 ? argv[3] : "0000:00:02.0");
	open_buffers();
	printf("{\"benchmark\": \"peer\", \"backend\": \"%s\", \"simulated\": %s,\n", argv[1],
	       b.sim ? "true" : "false");
	measure_transfers();
	check_nvme(nvme_controller_close(b.source.controller));
	check_nvme(nvme_controller_close(b.target.controller));
	measure_all_windows();
	close_all();
	return 0;
}
