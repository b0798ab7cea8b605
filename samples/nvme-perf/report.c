/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/json.h"
#include "common/report.h"
#include "common/units.h"

#define WIDTH 40 /* of the longest bar */

/* Which parts of all requests the result names. */
static const struct {
	const char *text, *key;
	double part;
} parts[] = { { "50 %", "latency_p50_ns", 0.5 },          { "90 %", "latency_p90_ns", 0.9 },
	      { "99 %", "latency_p99_ns", 0.99 },         { "99.9 %", "latency_p99_9_ns", 0.999 },
	      { "99.99 %", "latency_p99_99_ns", 0.9999 }, { NULL, NULL, 0 } };

/* A time as short as those of requests are. */
static const char *short_time(double ns, char text[24])
{
	if (ns < 9999.5)
		snprintf(text, 24, "%.2f us", ns / 1e3);
	else if (ns < 999.5e3)
		snprintf(text, 24, "%.0f us", ns / 1e3);
	else if (ns < 999.5e6)
		snprintf(text, 24, "%.2f ms", ns / 1e6);
	else
		snprintf(text, 24, "%.2f s", ns / 1e9);
	return text;
}

static const char *wait_name(const struct report *report)
{
	if (!report->drive->info.interrupts)
		return "polling";
	return report->options->wait == NVME_WAIT_HYBRID ? "hybrid" : "interrupts";
}

void report_subject(const struct report *report)
{
	const struct options *options = report->options;

	if (options->json)
		return;
	report_title(&options->open, report->drive);
	report_line("Namespace", "%u: %s, of which %s are %s", report->drive->ns.nsid,
		    unit_size((double)(report->drive->ns.num_blocks << report->drive->ns.block_shift)).text,
		    unit_size((double)(report->num_blocks << report->drive->ns.block_shift)).text,
		    options->writes ? "OVERWRITTEN" : "read");
	report_line("Requests", "%s %s of %s", options->random ? "random" : "sequential",
		    options->writes ? "writes" : "reads", unit_size(options->request_size).text);
	report_line("In flight", "%u by each of %u thread%s, %s", options->queue_depth, options->threads,
		    options->threads == 1 ? "" : "s",
		    report->drive->info.interrupts ? "awaited by interrupt" : "polled");
	report_line("Doorbells", "%s",
		    options->flags & NVME_SHADOW_DOORBELLS ? "in memory"
		    : report->drive->info.doorbells_mapped ? "stores to the mapped BAR"
							   : "system calls");
	report_privileges(&report->privileges);
	putchar('\n');
	fflush(stdout);
}

/* Each bucket that is not empty: the highest time in it, and how many requests took at most that and more than the bucket before. */
static void json_histogram(const struct histogram *latency)
{
	size_t i;

	json_rows_begin("latency_histogram_ns");
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (latency->counts[i] > 0)
			json_row(histogram_highest(i), latency->counts[i]);
	json_rows_end();
}

static void report_json(const struct report *report)
{
	const struct options *options = report->options;
	const struct histogram *latency = &report->latency;
	double bytes = (double)latency->num * options->request_size;
	size_t i;

	json_begin();
	json_text("address", options->open.address);
	json_text("backend", report->drive->backend);
	json_bool("simulated", options->open.simulate != NULL);
	json_text("model", report->drive->info.model);
	json_text("operation", options->writes ? "write" : "read");
	json_text("pattern", options->random ? "random" : "sequential");
	json_number("request_size", options->request_size);
	json_number("queue_depth", options->queue_depth);
	json_number("threads", options->threads);
	json_text("completion", wait_name(report));
	json_bool("sgl", options->flags & NVME_SGL);
	json_bool("shadow_doorbells", options->flags & NVME_SHADOW_DOORBELLS);
	json_bool("doorbells_mapped", report->drive->info.doorbells_mapped);
	json_number("cap_eff", report->privileges.effective);
	json_number("offset", options->offset);
	json_number("num_blocks", report->num_blocks);
	json_number("block_size", report->drive->ns.block_size);
	json_number("requests", latency->num);
	json_number("bytes", latency->num * options->request_size);
	json_real("seconds", report->seconds);
	json_real("requests_per_second", report->seconds > 0 ? (double)latency->num / report->seconds : 0);
	json_real("bytes_per_second", report->seconds > 0 ? bytes / report->seconds : 0);
	json_number("latency_min_ns", latency->least);
	json_real("latency_mean_ns", histogram_mean(latency));
	for (i = 0; parts[i].key; i++)
		json_number(parts[i].key, histogram_at(latency, parts[i].part));
	json_number("latency_max_ns", latency->most);
	json_histogram(latency);
	json_end();
}

/* A bar for each doubling of the time. */
static void report_histogram(const struct histogram *latency)
{
	uint64_t counts[64] = { 0 }, most = 0;
	unsigned int first = 64, last = 0, i, k;
	char text[24];
	size_t bucket;

	for (bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		if (latency->counts[bucket] == 0)
			continue;
		i = 63 - (unsigned int)__builtin_clzll(histogram_highest(bucket) | 1);
		counts[i] += latency->counts[bucket];
		most = counts[i] > most ? counts[i] : most;
		first = i < first ? i : first;
		last = i;
	}
	for (i = first; i <= last; i++) {
		unsigned int cells = (unsigned int)((double)counts[i] * WIDTH / (double)most + 0.5);

		printf("    < %-9s %10" PRIu64 "  ", short_time((double)(2ull << i), text), counts[i]);
		for (k = 0; k < cells; k++)
			putchar('#');
		puts(counts[i] > 0 && cells == 0 ? "." : "");
	}
}

void report_result(const struct report *report)
{
	const struct histogram *latency = &report->latency;
	double bytes = (double)latency->num * report->options->request_size;
	char text[24];
	size_t i;

	if (report->options->json) {
		report_json(report);
		return;
	}
	report_line("Done", "%" PRIu64 " requests, %s in %s", latency->num, unit_size(bytes).text,
		    unit_time(report->seconds).text);
	report_line("Rate", "%.0f requests/s, %s",
		    report->seconds > 0 ? (double)latency->num / report->seconds : 0,
		    unit_rate(bytes, report->seconds).text);
	report_line("Latency", "%s on average", short_time(histogram_mean(latency), text));
	for (i = 0; parts[i].text; i++)
		report_line("", "%-8s below %s", parts[i].text,
			    short_time((double)histogram_at(latency, parts[i].part), text));
	report_line("", "the longest %s", short_time((double)latency->most, text));
	if (latency->num > 0)
		report_histogram(latency);
}

int report_save(const struct report *report)
{
	FILE *file;

	if (!report->options->save)
		return 0;
	file = fopen(report->options->save, "we");
	if (!file)
		return -errno;
	json_to(file);
	report_json(report);
	json_to(stdout);
	return fclose(file) == 0 ? 0 : -errno;
}
