/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/json.h"
#include "common/units.h"

__attribute__((format(printf, 2, 3))) static void line(const char *label, const char *format, ...)
{
	va_list args;

	printf("  %-12s ", label);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static uint64_t namespace_bytes(const struct report *report)
{
	return report->ns.num_blocks << report->ns.block_shift;
}

static void version_text(uint32_t version, char *text, size_t len)
{
	snprintf(text, len, "%u.%u.%u", version >> 16, version >> 8 & 0xff, version & 0xff);
}

static void report_details(const struct report *report)
{
	const struct privileges *left = &report->privileges;

	line("Doorbells", "%s",
	     report->controller.doorbells_mapped ? "stores to the mapped BAR" : "system calls");
	line("Buffers", "at IOVA 0x%" PRIx64, report->buffers_iova);
	line("Mapped", "%s for the device, all in all", unit_size((double)report->mapped_bytes).text);
	line("Capabilities",
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
	version_text(report->controller.version, version, sizeof version);
	printf("%s%s through %s%s\n\n", options->open.simulate ? "Simulated controller " : "",
	       options->open.address, report->backend, options->open.broker ? ", opened by the broker" : "");
	line("Model", "%s", report->controller.model);
	line("Serial", "%s", report->controller.serial);
	line("Firmware", "%s, NVMe %s", report->controller.firmware, version);
	line("Namespace", "%u: %s, %" PRIu64 " blocks of %s", report->ns.nsid,
	     unit_size((double)namespace_bytes(report)).text, report->ns.num_blocks,
	     unit_size(report->ns.block_size).text);
	line("Requests", "%u of %s in flight, %s", options->queue_depth, unit_size(report->request_size).text,
	     report->controller.interrupts ? "awaited by interrupt" : "polled");
	line("Privileges", "CapEff %" PRIx64 "%s", report->privileges.effective,
	     report->privileges.no_new_privs ? ", and no way to get any" : "");
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

	version_text(report->controller.version, version, sizeof version);
	json_begin();
	json_text("address", report->options->open.address);
	json_text("backend", report->backend);
	json_bool("broker", report->options->open.broker != NULL);
	json_text("model", report->controller.model);
	json_text("serial", report->controller.serial);
	json_text("firmware", report->controller.firmware);
	json_text("version", version);
	json_number("namespace", report->ns.nsid);
	json_number("block_size", report->ns.block_size);
	json_number("num_blocks", report->ns.num_blocks);
	json_number("offset", report->options->offset);
	json_number("queue_depth", report->options->queue_depth);
	json_number("request_size", report->request_size);
	json_text("completion", report->controller.interrupts ? "interrupts" : "polling");
	json_bool("doorbells_mapped", report->controller.doorbells_mapped);
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
	line("Mapping", "%.2f us a request, in a space that is %s",
	     report->map_seconds * 1e6 / (double)num_requests(report), space_kind(report));
}

void report_result(const struct report *report)
{
	if (report->options->json) {
		report_json(report);
		return;
	}
	line("Read", "%s in %s, %s", unit_size((double)report->bytes).text, unit_time(report->seconds).text,
	     unit_rate((double)report->bytes, report->seconds).text);
	if (report->options->map_each)
		report_mapping(report);
	line("SHA-256", "%s", report->sha256);
}
