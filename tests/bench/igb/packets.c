// SPDX-License-Identifier: MIT
/*
 * Packets of 64 bytes through the igb driver's queues, on plain memory in place of a controller: what the driver takes for receiving, sending and forwarding
 * a packet. For callgrind to count (see `instructions`), and by the clock.
 *
 *     weir-bench-igb receive|send|forward BURST ROUNDS
 *
 * Says how many cycles of the time stamp counter (on arm64, ticks of the virtual counter) a packet took in the fastest of ROUNDS rounds.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <igb/igb.h>
#include <igb/queue.h>

enum { DEPTH = 512, PACKETS = 480, BUFFERS = 2048, BUFFER = 2048, MAX_BURST = 32, WARM_UP = 8 };

struct bench {
	struct igb_pool *pool;
	struct igb_rx *rx;
	struct igb_tx *tx;
	uint64_t (*rx_ring)[2], (*tx_ring)[2];
	uint32_t rx_tail, tx_head; /* registers */
	uint32_t rx_doorbell[8], tx_doorbell[8];
	uint32_t burst;
};

/* Their names are what callgrind is told to look for. */
void bench_receive(struct bench *b);
void bench_send(struct bench *b);
void bench_forward(struct bench *b);

static uint64_t clock_now(void)
{
#if defined(__x86_64__)
	unsigned int core;
	uint64_t now = __rdtscp(&core);

	_mm_lfence();
	return now;
#elif defined(__aarch64__)
	uint64_t now;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(now));
	return now;
#endif
}

/* The controller ---------------------------------------------------------------------------------------------- */

static void controller_receives(struct bench *b)
{
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint64_t *descriptor = b->rx_ring[b->rx_tail++ % DEPTH];

		descriptor[0] = (uint64_t)(i * 0x9e3779b9u) << 32 | 0x11;
		descriptor[1] = UINT64_C(64) << 32 | IGB_RX_DONE | IGB_RX_END | IGB_RX_IP_SEEN;
	}
}

static void controller_sends(struct bench *b)
{
	uint32_t tail = b->tx_doorbell[IGB_Q_TAIL / 4];

	for (; b->tx_head % DEPTH != tail; b->tx_head++) {
		uint64_t *descriptor = b->tx_ring[b->tx_head % DEPTH];

		if (descriptor[1] & IGB_TXD_REPORT)
			descriptor[1] = IGB_TXD_DONE;
	}
	b->tx_doorbell[IGB_Q_HEAD / 4] = b->tx_head % DEPTH;
}

/* The program ------------------------------------------------------------------------------------------------- */

static struct igb_packet packets[PACKETS];
static struct igb_piece pieces[PACKETS];

__attribute__((noinline)) void bench_receive(struct bench *b)
{
	uint64_t all;

	for (uint32_t i = 0; i < PACKETS; i += b->burst)
		if (igb_rx_burst(b->rx, packets + i, b->burst, &all) != (int)b->burst || all & IGB_RX_ERRORS)
			errx(1, "receiving: %s", igb_error());
}

__attribute__((noinline)) void bench_send(struct bench *b)
{
	for (uint32_t i = 0; i < PACKETS; i += b->burst)
		if (igb_tx_burst(b->tx, pieces + i, b->burst) != (int)b->burst)
			errx(1, "sending: %s", igb_error());
}

/* As a program does it that looks at no packet: what came is sent, and errors are looked for once for a burst. */
__attribute__((noinline)) void bench_forward(struct bench *b)
{
	const int burst = (int)b->burst;

	for (int i = 0; i < PACKETS; i += burst) {
		struct igb_packet in[MAX_BURST];
		struct igb_piece out[MAX_BURST];
		uint64_t all;
		int n = igb_rx_burst(b->rx, in, (uint32_t)burst, &all), k = 0;

		if (n != burst || all & IGB_RX_ERRORS)
			errx(1, "receiving: %s", igb_error());
		do
			out[k] = igb_forward(&in[k]);
		while (++k < n);
		if (igb_tx_burst(b->tx, out, (uint32_t)n) != n)
			errx(1, "sending: %s", igb_error());
	}
}

static void must(int result, const char *what)
{
	if (result < 0)
		errx(1, "%s: %s", what, igb_error());
}

static void prepare(struct bench *b, bool receives, bool sends)
{
	static uint64_t iovas[PACKETS];

	if (receives)
		controller_receives(b);
	else if (sends) {
		if (igb_pool_take(b->pool, iovas, PACKETS) != PACKETS)
			errx(1, "no buffers");
		for (int i = 0; i < PACKETS; i++)
			pieces[i] = (struct igb_piece){ iovas[i], IGB_TX_END | IGB_TX_LEN(64) };
	}
}

static void clear_up(struct bench *b, bool receives, bool sends)
{
	if (sends)
		controller_sends(b);
	else if (receives)
		for (int i = 0; i < PACKETS; i++)
			must(igb_pool_give(b->pool, &packets[i].iova, 1), "giving back");
}

static void set_up(struct bench *b)
{
	void *memory = NULL;

	b->rx_ring = aligned_alloc(4096, DEPTH * sizeof *b->rx_ring);
	b->tx_ring = aligned_alloc(4096, DEPTH * sizeof *b->tx_ring);
	if (!b->rx_ring || !b->tx_ring || posix_memalign(&memory, 4096, BUFFERS * (size_t)(BUFFER + 64)))
		errx(1, "no memory");
	memset(b->tx_ring, 0, DEPTH * sizeof *b->tx_ring);
	must(igb_pool_open_at((uintptr_t)memory, memory, BUFFERS * (uint64_t)(BUFFER + 64), BUFFERS, BUFFER,
			      &b->pool),
	     "pool");
	must(igb_rx_create(b->rx_ring, DEPTH, b->pool,
			   (struct igb_doorbell){ .addr = &b->rx_doorbell[IGB_Q_TAIL / 4] }, &b->rx),
	     "receive queue");
	must(igb_tx_create(b->tx_ring, DEPTH, b->pool,
			   (struct igb_doorbell){ .addr = &b->tx_doorbell[IGB_Q_TAIL / 4] }, 1518, &b->tx),
	     "transmit queue");
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };
	uint64_t fastest = UINT64_MAX, nothing = UINT64_MAX, start, taken;
	bool receives, sends;
	void (*work)(struct bench *);
	unsigned long rounds;

	if (argc != 4)
		errx(2, "usage: weir-bench-igb receive|send|forward BURST ROUNDS");
	receives = strcmp(argv[1], "send") != 0;
	sends = strcmp(argv[1], "receive") != 0;
	work = receives && sends ? bench_forward : receives ? bench_receive : bench_send;
	b.burst = (uint32_t)strtoul(argv[2], NULL, 0);
	rounds = strtoul(argv[3], NULL, 0);
	if (b.burst == 0 || b.burst > MAX_BURST || PACKETS % b.burst != 0)
		errx(2, "a burst is 1 to %d packets, and divides %d", MAX_BURST, PACKETS);
	set_up(&b);
	for (unsigned long i = 0; i < rounds; i++) {
		start = clock_now();
		taken = clock_now() - start;
		nothing = taken < nothing ? taken : nothing;
		prepare(&b, receives, sends);
		start = clock_now();
		work(&b);
		taken = clock_now() - start;
		clear_up(&b, receives, sends);
		fastest = taken < fastest ? taken : fastest;
	}
	printf("%.2f\n", (double)(fastest - nothing) / PACKETS);
	igb_rx_destroy(b.rx);
	igb_tx_destroy(b.tx);
	must(igb_pool_close(b.pool), "closing the pool");
	return 0;
}
