// SPDX-License-Identifier: MIT
/*
 * Frames sent or received by weir, or by the kernel's own driver and a packet socket, on the same card.
 *
 *     weir-bench-igb-beside send WAY LEN SENDER
 *     weir-bench-igb-beside receive WAY LEN RECEIVER SENDER
 *
 * WAY is polled, interrupts (both: weir's), or kernel; cards are PCI addresses for weir, names for the kernel. What is to be received is sent by weir,
 * from the PCI address SENDER, AT_ONCE frames at a time when the last ones are there. Prints a JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/igb/ends.h"

#define AT_ONCE 128u
#define ROUNDS  60u
#define WARM    5u /* rounds before the clock runs */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct ends {
	struct weir_end *weir, *sender;
	struct kernel_end *kernel;
};

static uint32_t round_of(struct ends *ends, bool sends, uint32_t len)
{
	if (sends && ends->kernel)
		kernel_end_send(ends->kernel, AT_ONCE, len);
	else if (sends)
		weir_end_send(ends->weir, AT_ONCE, len);
	if (sends)
		return AT_ONCE;
	weir_end_send(ends->sender, AT_ONCE, len);
	return ends->kernel ? kernel_end_receive(ends->kernel, AT_ONCE, len)
			    : weir_end_receive(ends->weir, AT_ONCE, len);
}

static void measure(struct ends *ends, bool sends, const char *way, uint32_t len)
{
	uint64_t frames = 0;
	double start = 0;

	for (uint32_t i = 0; i < WARM + ROUNDS; i++) {
		uint32_t num;

		if (i == WARM)
			start = now();
		num = round_of(ends, sends, len);
		frames += i < WARM ? 0 : num;
	}
	start = now() - start;
	printf("{\"what\":\"%s\",\"way\":\"%s\",\"len\":%u,\"frames\":%llu,\"lost\":%llu,\"seconds\":%.6f}\n",
	       sends ? "send" : "receive", way, len, (unsigned long long)frames,
	       (unsigned long long)(ROUNDS * AT_ONCE - frames), start);
}

int main(int argc, char **argv)
{
	struct ends ends = { NULL, NULL, NULL };
	bool sends;
	uint32_t len;

	if (argc < 5 || strcmp(argv[1], "send") != 0) {
		if (argc < 6 || strcmp(argv[1], "receive") != 0) {
			fprintf(stderr, "usage: %s send|receive polled|interrupts|kernel LEN CARD [SENDER]\n",
				argv[0]);
			return 2;
		}
	}
	sends = argc < 6;
	len = (uint32_t)strtoul(argv[3], NULL, 10);
	if (strcmp(argv[2], "kernel") == 0)
		ends.kernel = kernel_end_open(argv[4]);
	else
		ends.weir = weir_end_open(argv[4], strcmp(argv[2], "interrupts") == 0);
	if (!sends)
		ends.sender = weir_end_open(argv[5], false);
	if (ends.weir)
		weir_end_wait_link(ends.weir);
	if (ends.sender)
		weir_end_wait_link(ends.sender);
	measure(&ends, sends, argv[2], len);
	if (ends.weir)
		weir_end_close(ends.weir);
	if (ends.sender)
		weir_end_close(ends.sender);
	if (ends.kernel)
		kernel_end_close(ends.kernel);
	return 0;
}
