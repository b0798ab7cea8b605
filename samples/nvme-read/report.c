/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/json.h"
#include "common/report.h"
#include "common/units.h"

static uint64_t namespace_bytes(const struct report *report)
{
	return report->drive->ns.num_blocks << report->drive->ns.block_shift;
}

static void version_text(uint32_t version, char *text, size_t len)
{
	snprintf(text, len, "%u.%u.%u", version >> 16, version >> 8 & 0xff, version & 0xff);
}

static void report_details(const struct report *report)
{
	const struct privileges *left = &report->privileges;

	report_line("Doorbells", "%s",
		    report->drive->info.doorbells_mapped ? "stores to the mapped BAR" : "system calls");
	report_line("Buffers", "at IOVA 0x%" PRIx64, report->buffers_iova);
	report_line("Mapped", "%s for the device, all in all", unit_size((double)report->mapped_bytes).text);
	report_line("Capabilities",
		    "effective %" PRIx64 ", permitted %" PRIx64 ", inheritable %" PRIx64 ", ambient %" PRIx64
		    ", bounding %" PRIx64,
		    left->effective, left->permitted, left->inheritable, left->ambient, left->bounding);
}

void report_subject(const struct report *report)
{
	const struct options *options = report->options;
	char version[16];

	if (options->json)
		return;
	version_text(report->drive->info.version, version, sizeof version);
	report_title(&options->open, report->drive);
	report_line("Serial", "%s", report->drive->info.serial);
	report_line("Firmware", "%s, NVMe %s", report->drive->info.firmware, version);
	report_line("Namespace", "%u: %s, %" PRIu64 " blocks of %s", report->drive->ns.nsid,
		    unit_size((double)namespace_bytes(report)).text, report->drive->ns.num_blocks,
		    unit_size(report->drive->ns.block_size).text);
	report_line("Requests", "%u of %s in flight, %s", options->queue_depth,
		    unit_size(report->request_size).text,
		    report->drive->info.interrupts ? "awaited by interrupt" : "polled");
	report_privileges(&report->privileges);
	if (options->verbose)
		report_details(report);
	putchar('\n');
	fflush(stdout);
}

static const char *space_kind(const struct report *report)
{
	if (!report->options->open.nested)
		return "plain";
	return report->nested.mode == WEIR_NESTED_HARDWARE ? "nested in hardware" : "a shadow";
}

static uint64_t num_requests(const struct report *report)
{
	return (report->bytes + report->request_size - 1) / report->request_size;
}

static void report_json(const struct report *report)
{
	char version[16];

	version_text(report->drive->info.version, version, sizeof version);
	json_begin();
	json_text("address", report->options->open.address);
	json_text("backend", report->drive->backend);
	json_bool("broker", report->options->open.broker != NULL);
	json_text("model", report->drive->info.model);
	json_text("serial", report->drive->info.serial);
	json_text("firmware", report->drive->info.firmware);
	json_text("version", version);
	json_number("namespace", report->drive->ns.nsid);
	json_number("block_size", report->drive->ns.block_size);
	json_number("num_blocks", report->drive->ns.num_blocks);
	json_number("offset", report->options->offset);
	json_number("queue_depth", report->options->queue_depth);
	json_number("request_size", report->request_size);
	json_text("completion", report->drive->info.interrupts ? "interrupts" : "polling");
	json_bool("doorbells_mapped", report->drive->info.doorbells_mapped);
	json_number("cap_eff", report->privileges.effective);
	json_bool("no_new_privs", report->privileges.no_new_privs);
	json_number("bytes", report->bytes);
	json_real("seconds", report->seconds);
	json_real("bytes_per_second", report->seconds > 0 ? (double)report->bytes / report->seconds : 0);
	if (report->options->map_each) {
		json_text("space", space_kind(report));
		json_real("map_seconds", report->map_seconds);
		json_number("requests", num_requests(report));
	}
	json_text("sha256", report->sha256);
	json_end();
}

static void report_mapping(const struct report *report)
{
	report_line("Mapping", "%.2f us a request, in a space that is %s",
		    report->map_seconds * 1e6 / (double)num_requests(report), space_kind(report));
}

void report_result(const struct report *report)
{
	if (report->options->json) {
		report_json(report);
		return;
	}
	report_line("Read", "%s in %s, %s", unit_size((double)report->bytes).text,
		    unit_time(report->seconds).text, unit_rate((double)report->bytes, report->seconds).text);
	if (report->options->map_each)
		report_mapping(report);
	report_line("SHA-256", "%s", report->sha256);
}
