// SPDX-License-Identifier: MIT
#include "l2fwd/live.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/progress.h"
#include "common/units.h"

#define INTERVAL 0.5 /* seconds between two drawings: what the rates are of */

void live_start(struct live *live, bool shown, const char *const addresses[2])
{
	*live = (struct live){ .shown = shown, .addresses = addresses };
	live->start = live->last_drawn = seconds_now();
}

static void draw_side(struct live *live, const struct bridge_side *side, int i, double passed)
{
	fprintf(stderr, "  %s to %s: %" PRIu64 " frames, %.0f/s, %s", live->addresses[i],
		live->addresses[1 - i], side->packets, (double)(side->packets - live->packets[i]) / passed,
		unit_rate((double)(side->bytes - live->bytes[i]), passed).text);
	if (side->full + side->bad)
		fprintf(stderr, ", %" PRIu64 " lost", side->full + side->bad);
	live->packets[i] = side->packets;
	live->bytes[i] = side->bytes;
}

void live_at(struct live *live, const struct bridge *bridge)
{
	double now, passed;

	if (!live->shown)
		return;
	now = seconds_now();
	passed = now - live->last_drawn;
	if (passed < INTERVAL)
		return;
	live->last_drawn = now;
	fputc('\r', stderr);
	for (int i = 0; i < 2; i++)
		draw_side(live, &bridge->sides[i], i, passed);
	fputs("\033[K", stderr);
	fflush(stderr);
}

void live_end(struct live *live)
{
	if (live->shown)
		fputs("\r\033[K", stderr);
}

void live_print(const struct live *live, const struct bridge *bridge)
{
	for (int i = 0; i < 2; i++) {
		const struct bridge_side *side = &bridge->sides[i];
		struct igb_stats stats = { 0 };

		printf("%s to %s: %" PRIu64 " frames, %s; %" PRIu64 " for which there was no room, %" PRIu64
		       " bad",
		       live->addresses[i], live->addresses[1 - i], side->packets,
		       unit_size((double)side->bytes).text, side->full, side->bad);
		if (igb_port_stats(side->port, &stats, sizeof stats) == 0)
			printf("; the controller missed %" PRIu64, stats.rx_missed);
		putchar('\n');
	}
}
