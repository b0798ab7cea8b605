// SPDX-License-Identifier: MIT
/* weir-packet-dump's way on the simulated host: a port receives into a window of a disk's controller, and the disk writes from there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <packet-dump/dump.h>
#include <packet-dump/sender.h>

#include "sim_host.h"

enum { NUM = 400, AHEAD = 32, PATIENCE_S = 20, LONGEST = 2048 };

struct bench {
	struct sim_host *host;
	struct pair pair;
	struct dump dump;
	struct sender sender;
	uint64_t read; /* packets that were read back */
	uint32_t part; /* bytes of the next */
};

static void close_bench(void *arg)
{
	struct bench *b = arg;

	EXPECT_EQ(sender_close(&b->sender), 0);
	EXPECT_EQ(pair_close(&b->pair), 0);
	dump_close(&b->dump);
	free(b);
}

static struct bench *a_bench(struct t *t, enum weir_backend backend,
			     const struct weir_sim_nvme_opts *disk_opts)
{
	struct sim_host *host = sim_host_open(t, backend);
	struct weir_sim_device *nic, *other, *disk;
	struct bench *b = calloc(1, sizeof(*b));

	ASSERT_TRUE(b);
	b->host = host;
	ASSERT_OK(weir_sim_add_igb(host->sim, NULL, NULL, &nic));
	ASSERT_OK(weir_sim_add_igb(host->sim, NULL, NULL, &other));
	ASSERT_OK(weir_sim_igb_connect(nic, other));
	ASSERT_OK(weir_sim_add_nvme(host->sim, disk_opts, NULL, &disk));
	t_defer(t, close_bench, b);
	ASSERT_EQ(pair_open(&b->pair, host->host,
			    &(struct pair_opts){ .nic = weir_sim_device_address(nic),
						 .disk = weir_sim_device_address(disk) }),
		  0);
	ASSERT_EQ(dump_open(&b->dump, &b->pair, NUM), 0);
	ASSERT_EQ(sender_open(&b->sender, host->host, weir_sim_device_address(other)), 0);
	return b;
}

/* Until as many have been taken as fit. */
static void run(struct bench *b)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!dump_done(&b->dump)) {
		int r = 0;

		if (b->sender.sent < NUM && b->sender.sent - b->dump.written < AHEAD)
			r = sender_send(&b->sender);
		ASSERT_GE(r, 0);
		r = dump_turn(&b->dump);
		if (r == 0)
			r = dump_wait(&b->dump, 1);
		ASSERT_GE(r, 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
		ASSERT_LT(now.tv_sec - start.tv_sec, PATIENCE_S);
	}
	ASSERT_EQ(dump_finish(&b->dump), 0);
	EXPECT_EQ(b->dump.written, b->dump.taken);
	EXPECT_EQ(b->dump.bad, 0);
}

/* A packet may come in two parts, where one read ends and the next begins. */
static int compare(void *ctx, const void *data, size_t len)
{
	struct bench *b = ctx;
	uint8_t frame[LONGEST];
	uint32_t whole = sender_frame(b->read, frame);

	ASSERT_LE(b->part + len, whole);
	ASSERT_MEMEQ(frame + b->part, data, len);
	b->part += (uint32_t)len;
	if (b->part == whole) {
		b->part = 0;
		b->read++;
	}
	return 0;
}

static void expect_all_on_disk(struct bench *b)
{
	ASSERT_EQ(dump_read_back(&b->dump, compare, b), 0);
	EXPECT_EQ(b->read, b->dump.taken);
	EXPECT_EQ(b->part, 0);
	EXPECT_EQ(weir_sim_num_faults(b->host->sim), 0);
}

UNIT(sim_packet_dump, what_is_on_the_disk_is_what_was_sent)
{
	static const uint32_t block_sizes[] = { 512, 4096 };

	for (int i = 0; i < 4; i++) {
		struct bench *b = a_bench(
			t, sim_backends[i / 2],
			&WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 4, .block_size = block_sizes[i % 2]));

		t_note(t, "%s, blocks of %u", weir_backend_name(sim_backends[i / 2]), block_sizes[i % 2]);
		run(b);
		EXPECT_EQ(b->dump.taken, NUM);
		expect_all_on_disk(b);
	}
}

/* The pool is in the window, and nowhere in this process. */
UNIT(sim_packet_dump, packets_are_in_the_window_only)
{
	struct bench *b = a_bench(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 4));
	uint64_t iova, start = weir_map_iova(b->pair.of_nic);
	struct weir_peer_info info;

	ASSERT_EQ(igb_pool_take(b->pair.pool, &iova, 1), 1);
	EXPECT_GE(iova, start);
	EXPECT_LE(iova + b->pair.len, start + b->pair.cmb.len);
	EXPECT_TRUE(igb_pool_addr(b->pair.pool, iova) == (void *)(uintptr_t)iova); /* no address at all */
	ASSERT_EQ(igb_pool_give(b->pair.pool, &iova, 1), 0);
	ASSERT_OK(weir_peer_info(b->pair.window, &info, sizeof(info)));
	EXPECT_EQ(info.num_mappings, 2);
}

UNIT(sim_packet_dump, ends_when_the_disk_is_full)
{
	struct bench *b = a_bench(t, WEIR_BACKEND_TYPE1,
				  &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 4, .capacity = 100 << 10));

	run(b);
	EXPECT_TRUE(b->dump.full);
	EXPECT_GT(b->dump.taken, 50);
	EXPECT_LT(b->dump.taken, 200);
	expect_all_on_disk(b);
}

UNIT(sim_packet_dump, refuses_a_disk_without_memory_and_leaves_nothing)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct weir_sim_device *nic, *disk;
	struct pair pair = { 0 };

	ASSERT_OK(weir_sim_add_igb(host->sim, NULL, NULL, &nic));
	ASSERT_OK(weir_sim_add_nvme(host->sim, NULL, NULL, &disk));
	EXPECT_EQ(pair_open(&pair, host->host,
			    &(struct pair_opts){ .nic = weir_sim_device_address(nic),
						 .disk = weir_sim_device_address(disk) }),
		  -EOPNOTSUPP);
	EXPECT_EQ(pair_close(&pair), 0);
}
