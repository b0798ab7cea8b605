/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "units.h"

#define WIDTH    32  /* cells of the bar */
#define INTERVAL 0.1 /* seconds between two drawings */

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void draw_bar(const struct progress *progress, double part)
{
	/* A cell is filled in eighths where the character set allows. */
	static const char *const eighths[] = { " ", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	int filled = (int)(part * WIDTH), rest = (int)(part * WIDTH * 8) % 8, i;

	for (i = 0; i < WIDTH; i++) {
		if (i < filled)
			fputs(progress->utf8 ? "█" : "#", stderr);
		else if (i == filled)
			fputs(progress->utf8 ? eighths[rest] : "-", stderr);
		else
			fputs(progress->utf8 ? " " : "-", stderr);
	}
}

static void draw(const struct progress *progress, uint64_t done, double now)
{
	double part = progress->total > 0 ? (double)done / (double)progress->total : 1;
	double elapsed = now - progress->start;

	fputs(progress->utf8 ? "\r  ▕" : "\r  [", stderr);
	draw_bar(progress, part);
	fprintf(stderr, "%s %3.0f %%   %s   %s", progress->utf8 ? "▏" : "]", part * 100,
		unit_size((double)done).text, unit_rate((double)done, elapsed).text);
	if (part > 0.02 && elapsed > 0.5)
		fprintf(stderr, "   %s left", unit_time(elapsed * (1 - part) / part).text);
	fputs("\033[K", stderr); /* what the last drawing had beyond this one */
	fflush(stderr);
}

void progress_start(struct progress *progress, bool shown, uint64_t total)
{
	*progress = (struct progress){
		.shown = shown,
		.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
		.total = total,
		.start = seconds_now(),
	};
}

void progress_at(struct progress *progress, uint64_t done)
{
	double now;

	if (!progress->shown)
		return;
	now = seconds_now();
	if (now - progress->last_drawn < INTERVAL)
		return;
	progress->last_drawn = now;
	draw(progress, done, now);
}

void progress_end(struct progress *progress)
{
	if (progress->shown && progress->last_drawn > 0)
		fputs("\r\033[K", stderr);
}
