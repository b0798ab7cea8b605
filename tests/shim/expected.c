/* SPDX-License-Identifier: MIT */
/*
 * Compare the skips of a run with those that are written down, so that a skip cannot hide a failure.
 *
 * The file has lines of `HOST SUITE.CASE CAPABILITY`, with shell patterns in the first two; "-" is the host of unit cases.
 * A line speaks, on each host that ran, of the cases that match it and declare that they need the capability: all of them
 * must have been skipped for it. So a skip that is not written down is found, and one written down that no longer happens.
 */
#include "run.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct line {
	int number;
	char host[64];
	char test[160];
	char capability[64];
};

struct expected {
	const char *file;
	struct line *lines;
	size_t count;
	size_t room;
	t_complain_fn *complain;
};

static void add_line(struct expected *expected, const struct line *line)
{
	expected->lines = t_grow(expected->lines, expected->count, &expected->room, sizeof(*line));
	expected->lines[expected->count++] = *line;
}

static void read_lines(struct expected *expected, FILE *in)
{
	char text[512];

	for (int number = 1; fgets(text, sizeof(text), in); number++) {
		struct line line = { .number = number };
		char rest[2] = "";
		int words;

		text[strcspn(text, "#")] = '\0';
		words = sscanf(text, "%63s %159s %63s %1s", line.host, line.test, line.capability, rest);
		if (words == 3) {
			add_line(expected, &line);
		} else if (words > 0) {
			snprintf(text, sizeof(text), "%s:%d: not of the form HOST SUITE.CASE CAPABILITY",
				 expected->file, number);
			expected->complain(text);
		}
	}
}

/* Unit cases have no host, so a pattern for hosts does not mean them. */
static bool host_matches(const struct line *line, const char *host)
{
	return strcmp(host, "-") == 0 ? strcmp(line->host, "-") == 0 : fnmatch(line->host, host, 0) == 0;
}

static bool line_matches(const struct line *line, const struct t_entry *entry)
{
	char test[160];

	if (!host_matches(line, entry->host))
		return false;
	snprintf(test, sizeof(test), "%s.%s", entry->test->suite, entry->test->name);
	return fnmatch(line->test, test, 0) == 0;
}

static bool skipped_for(const struct t_entry *entry, const char *capability)
{
	return entry->result.skipped && t_has_word(entry->result.missing, capability);
}

static void complain_about(const struct expected *expected, const char *what, const struct t_entry *entry,
			   const char *capability)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s: %s %s.%s %s (%s:%d)%s%s", what, entry->host, entry->test->suite,
		 entry->test->name, capability, entry->test->file, entry->test->line,
		 entry->result.reason[0] != '\0' ? ": " : "", entry->result.reason);
	expected->complain(text);
}

/* Each capability that the case was skipped for is in some line. */
static void check_skip(const struct expected *expected, const struct t_entry *entry)
{
	const char *missing = entry->result.missing;
	char capability[64];

	while (t_next_word(&missing, capability, sizeof(capability))) {
		bool found = false;

		for (size_t i = 0; i < expected->count && !found; i++)
			found = strcmp(expected->lines[i].capability, capability) == 0 &&
				line_matches(&expected->lines[i], entry);
		if (!found)
			complain_about(expected, "unexpected skip", entry, capability);
	}
}

/* What the line says did happen on this host: one skip at least, and no exception. */
static void check_line(const struct expected *expected, const struct line *line, const char *host)
{
	const struct t_entry *entry;
	bool said = false; /* that it happened, or that it did not */
	char text[512];

	for (size_t i = 0; (entry = t_ledger_at(i)); i++) {
		if (strcmp(entry->host, host) != 0 || !line_matches(line, entry))
			continue;
		if (skipped_for(entry, line->capability)) {
			said = true;
		} else if (t_has_word(entry->test->needs, line->capability) && !entry->result.failed) {
			complain_about(expected, "expected skip did not happen", entry, line->capability);
			said = true;
		}
	}
	if (said)
		return;
	snprintf(text, sizeof(text), "expected skip did not happen: %s %s %s (%s:%d)", host, line->test,
		 line->capability, expected->file, line->number);
	expected->complain(text);
}

void t_ledger_compare(const char *file, t_complain_fn *complain)
{
	struct expected expected = { .file = file, .complain = complain };
	const struct t_entry *entry;
	FILE *in = fopen(file, "re");

	if (!in) {
		char text[512];

		snprintf(text, sizeof(text), "the file of expected skips cannot be read: %s: %m", file);
		complain(text);
		return;
	}
	read_lines(&expected, in);
	fclose(in);
	for (size_t i = 0; (entry = t_ledger_at(i)); i++) {
		if (entry->result.skipped)
			check_skip(&expected, entry);
		for (size_t k = 0; k < expected.count && t_ledger_is_first_of_host(i); k++)
			if (host_matches(&expected.lines[k], entry->host))
				check_line(&expected, &expected.lines[k], entry->host);
	}
	free(expected.lines);
}
