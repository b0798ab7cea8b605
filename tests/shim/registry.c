/* SPDX-License-Identifier: MIT */
/* Which cases and hosts this program has. Filled by constructors, before main(). */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HOSTS = 16 };

static struct t_case *first;
static struct t_case **end = &first;
static const struct t_host *hosts[MAX_HOSTS];

/* Two cases of one name would be one line in the results. */
static void refuse_a_second(const struct t_case *test)
{
	for (const struct t_case *other = first; other; other = other->next) {
		if (strcmp(other->suite, test->suite) == 0 && strcmp(other->name, test->name) == 0) {
			fprintf(stderr, "%s:%d: %s.%s exists already, at %s:%d\n", test->file, test->line,
				test->suite, test->name, other->file, other->line);
			abort();
		}
	}
}

void t_register_case(struct t_case *test)
{
	refuse_a_second(test);
	*end = test;
	end = &test->next;
}

struct t_case *t_first_case(void)
{
	return first;
}

void t_register_host(const struct t_host *host)
{
	for (unsigned int i = 0; i < MAX_HOSTS; i++) {
		if (!hosts[i]) {
			hosts[i] = host;
			return;
		}
	}
	fprintf(stderr, "host %s: there are %d hosts already\n", host->name, MAX_HOSTS);
	abort();
}

const struct t_host *t_host_at(unsigned int index)
{
	return index < MAX_HOSTS ? hosts[index] : NULL;
}

const struct t_host *t_find_host(const char *name)
{
	for (unsigned int i = 0; i < MAX_HOSTS && hosts[i]; i++)
		if (strcmp(hosts[i]->name, name) == 0)
			return hosts[i];
	return NULL;
}
