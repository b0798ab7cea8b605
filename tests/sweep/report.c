// SPDX-License-Identifier: MIT
/* What was found: lines for people, and JUnit XML. */
#include "sweep/sweep.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_HOSTS = 16 };

static struct total {
	const char *host;
	unsigned int cases, skipped, exempt, bad;
	unsigned int counts[KINDS], chosen[KINDS], injections[KINDS];
} totals[MAX_HOSTS];

static const struct options *options;
static char *xml;
static size_t xml_size;
static FILE *xml_out;

void report_begin(const struct options *opts)
{
	options = opts;
	xml_out = open_memstream(&xml, &xml_size);
	if (!xml_out)
		abort();
}

static struct total *total_of(const struct t_host *host)
{
	struct total *total = totals;

	while (total->host && total->host != host->name && total < totals + MAX_HOSTS - 1)
		total++;
	total->host = host->name;
	return total;
}

static void write_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", xml_out);
		else if (*text == '&')
			fputs("&amp;", xml_out);
		else if (*text == '"')
			fputs("&quot;", xml_out);
		else
			fputc((unsigned char)*text < ' ' && !strchr("\n\t", *text) ? '?' : *text, xml_out);
	}
}

static void begin_testcase(const struct t_case *test, const struct t_host *host, double seconds)
{
	fprintf(xml_out, "  <testcase classname=\"%s/%s\" name=\"%s\" time=\"%.3f\">\n", host->name,
		test->suite, test->name, seconds);
}

static void report_complaints(const struct t_case *test, const struct t_host *host,
			      const struct findings *findings)
{
	unsigned int num =
		findings->num_complaints < MAX_COMPLAINTS ? findings->num_complaints : MAX_COMPLAINTS;

	printf("FAILED %s %s.%s: %u complaints; again: weir-sweep --host=%s --case=%s.%s --call=N (or "
	       "--allocation=N)\n",
	       host->name, test->suite, test->name, findings->num_complaints, host->name, test->suite,
	       test->name);
	for (unsigned int i = 0; i < num; i++) {
		printf("  %s\n", findings->complaints[i]);
		fputs("    <failure message=\"", xml_out);
		write_escaped(findings->complaints[i]);
		fputs("\"/>\n", xml_out);
	}
}

void report_case(const struct t_case *test, const struct t_host *host, const struct findings *findings,
		 double seconds)
{
	struct total *total = total_of(host);

	begin_testcase(test, host, seconds);
	if (findings->num_complaints) {
		total->bad++;
		report_complaints(test, host, findings);
	}
	if (findings->skipped && !findings->num_complaints) {
		total->skipped++;
		fputs("    <skipped message=\"skipped when nothing is injected\"/>\n", xml_out);
	} else {
		total->cases++;
	}
	for (int kind = 0; kind < KINDS && !findings->skipped; kind++) {
		total->counts[kind] += findings->counts[kind];
		total->chosen[kind] += findings->chosen[kind];
		total->injections[kind] += findings->injections[kind];
	}
	fputs("  </testcase>\n", xml_out);
	if (options->verbose || seconds > 20)
		printf("%s %s.%s: %u calls, %u allocations, %.1f s\n", host->name, test->suite, test->name,
		       findings->counts[CALL], findings->counts[ALLOCATION], seconds);
}

void report_exempt(const struct t_case *test, const struct t_host *host, const char *reason)
{
	total_of(host)->exempt++;
	begin_testcase(test, host, 0);
	fputs("    <skipped message=\"", xml_out);
	write_escaped(reason);
	fputs("\"/>\n  </testcase>\n", xml_out);
}

/* That each call and each allocation of the clean runs failed once, or each of the sample: the number of those that did not. */
static unsigned int check_numbers(const struct total *total)
{
	static const char *const names[KINDS] = { "each_call_failed_once", "each_allocation_failed_once" };
	unsigned int bad = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		unsigned int wanted =
			options->every > 1 || options->only.nth ? total->chosen[kind] : total->counts[kind];

		fprintf(xml_out, "  <testcase classname=\"%s\" name=\"%s\">\n", total->host, names[kind]);
		if (total->injections[kind] != wanted) {
			bad++;
			printf("FAILED %s %s: %u injections, not %u\n", total->host, names[kind],
			       total->injections[kind], wanted);
			fprintf(xml_out, "    <failure message=\"%u injections, not %u\"/>\n",
				total->injections[kind], wanted);
		}
		fputs("  </testcase>\n", xml_out);
	}
	return bad;
}

static void write_junit(const struct total *sum)
{
	FILE *out = fopen(options->junit, "we");

	if (!out) {
		perror(options->junit);
		exit(2);
	}
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"sweep\" tests=\"%u\" "
		"failures=\"%u\" errors=\"0\" skipped=\"%u\">\n",
		sum->cases + sum->skipped + sum->exempt, sum->bad, sum->skipped + sum->exempt);
	fwrite(xml, 1, xml_size, out);
	fputs("</testsuite>\n", out);
	fclose(out);
}

unsigned int report_end(void)
{
	struct total sum = { 0 };
	unsigned int bad = 0;

	for (const struct total *total = totals; total->host; total++) {
		printf("%s: %u cases, %u calls, %u injections; %u allocations, %u injections; %u skipped, %u "
		       "left out, %u failed\n",
		       total->host, total->cases, total->counts[CALL], total->injections[CALL],
		       total->counts[ALLOCATION], total->injections[ALLOCATION], total->skipped,
		       total->exempt, total->bad);
		if (options->every > 1)
			printf("  a sample of one injection in %u\n", options->every);
		sum.cases += total->cases + KINDS;
		sum.skipped += total->skipped;
		sum.exempt += total->exempt;
		sum.bad += total->bad;
		bad += check_numbers(total);
	}
	sum.bad += bad;
	fclose(xml_out);
	if (options->junit)
		write_junit(&sum);
	free(xml);
	return bad;
}
