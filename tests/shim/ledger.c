/* SPDX-License-Identifier: MIT */
/* Which cases ran on which host, and which were skipped for which capability: to be printed, and to be compared. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

static struct t_entry *entries;
static size_t count;
static size_t room;

void t_ledger_clear(void)
{
	free(entries);
	entries = NULL;
	count = 0;
	room = 0;
}

void t_ledger_add(const struct t_case *test, const struct t_host *host, const struct t_result *result)
{
	entries = t_grow(entries, count, &room, sizeof(*entries));
	entries[count++] = (struct t_entry){ test, host ? host->name : "-", *result };
}

const struct t_entry *t_ledger_at(size_t index)
{
	return index < count ? &entries[index] : NULL;
}

static bool same_host(size_t a, size_t b)
{
	return strcmp(entries[a].host, entries[b].host) == 0;
}

bool t_ledger_is_first_of_host(size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (same_host(i, index))
			return false;
	return true;
}

/* The skips on the host of entry @index, among the first @end entries; for @capability, or for any if that is NULL. */
static unsigned int count_skips(size_t index, size_t end, const char *capability)
{
	unsigned int skips = 0;

	for (size_t i = 0; i < end; i++)
		if (same_host(i, index) && entries[i].result.skipped &&
		    (!capability || t_has_word(entries[i].result.missing, capability)))
			skips++;
	return skips;
}

/* Each capability once: where it is first met. */
static void print_reasons(FILE *out, size_t first)
{
	const char *separator = ": ";

	for (size_t i = first; i < count; i++) {
		const char *missing = entries[i].result.missing;
		char capability[64];

		while (same_host(i, first) && t_next_word(&missing, capability, sizeof(capability))) {
			if (count_skips(first, i, capability) > 0)
				continue;
			fprintf(out, "%s%u for %s", separator, count_skips(first, count, capability),
				capability);
			separator = ", ";
		}
	}
}

void t_ledger_print(FILE *out)
{
	for (size_t i = 0; i < count; i++) {
		const char *host = entries[i].host;
		unsigned int cases = 0;
		unsigned int skips = count_skips(i, count, NULL);

		if (!t_ledger_is_first_of_host(i))
			continue;
		for (size_t k = i; k < count; k++)
			cases += same_host(k, i);
		fprintf(out, "%s: %u ran, %u skipped", strcmp(host, "-") == 0 ? "without a host" : host,
			cases - skips, skips);
		print_reasons(out, i);
		fputc('\n', out);
	}
	fflush(out);
}
