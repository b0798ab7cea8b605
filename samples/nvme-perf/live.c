/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>

#include "common/units.h"

#define WIDTH    20   /* cells of the bar */
#define INTERVAL 0.25 /* seconds between two drawings */

void live_begin(struct live *live, bool shown, uint32_t size, double now)
{
	*live = (struct live){ .shown = shown,
			       .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
			       .size = size,
			       .last_drawn = now };
}

static void remember(struct live *live, double rate)
{
	if (live->num_past == LIVE_PAST)
		memmove(live->past, live->past + 1, (LIVE_PAST - 1) * sizeof live->past[0]);
	else
		live->num_past++;
	live->past[live->num_past - 1] = rate;
}

static void draw_bar(const struct live *live, double part)
{
	int filled = (int)(part * WIDTH), i;

	for (i = 0; i < WIDTH; i++)
		if (live->utf8)
			fputs(i < filled ? "█" : "░", stderr);
		else
			fputc(i < filled ? '#' : '.', stderr);
}

/* The highest rate so far is as high as a cell is. */
static void draw_past(const struct live *live)
{
	static const char *const fine[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	double most = 0;
	unsigned int i, height;

	for (i = 0; i < live->num_past; i++)
		most = live->past[i] > most ? live->past[i] : most;
	for (i = 0; i < live->num_past; i++) {
		height = most > 0 ? (unsigned int)(live->past[i] / most * 7.99) : 0;
		if (live->utf8)
			fputs(fine[height], stderr);
		else
			fputc("_.,-=+*#"[height], stderr);
	}
}

void live_at(struct live *live, double now, double elapsed, double part, uint64_t done)
{
	double rate;

	if (!live->shown || now - live->last_drawn < INTERVAL)
		return;
	rate = (double)(done - live->last_done) / (now - live->last_drawn);
	live->last_drawn = now;
	live->last_done = done;
	remember(live, rate);
	fputs("\r  ", stderr);
	draw_bar(live, part < 1 ? part : 1);
	fprintf(stderr, " %s   %.0f requests/s   %s   ", unit_time(elapsed).text, rate,
		unit_rate(rate * live->size, 1).text);
	draw_past(live);
	fputs("\033[K", stderr);
	fflush(stderr);
}

void live_end(struct live *live)
{
	if (live->shown && live->num_past > 0)
		fputs("\r\033[K", stderr);
}
