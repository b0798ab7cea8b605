/* SPDX-License-Identifier: MIT */
/* Cases on two hosts, none of which fails, and some of which are skipped. Not a test: selftest looks at what is reported. */
#include "test.h"

#include <stdio.h>
#include <string.h>

static void say(void *text)
{
	puts(text);
}

static void open_host(struct t *t)
{
	t->fixture = "a fixture";
	t_defer(t, say, "host: deferred by open");
	puts("host: open");
}

static void close_host(struct t *t)
{
	ASSERT_TRUE(t->fixture);
	puts("host: close");
}

static bool has_everything(struct t *t, const char *capability)
{
	(void)t;
	(void)capability;
	return true;
}

static bool has_no_wings(struct t *t, const char *capability)
{
	(void)t;
	return strcmp(capability, "WINGS") != 0 && strcmp(capability, "FEATHERS") != 0;
}

static const struct t_host eagle = { "eagle", open_host, close_host, has_everything };
static const struct t_host mole = { "mole", open_host, close_host, has_no_wings };

__attribute__((constructor)) static void set_up(void)
{
	t_register_host(&eagle);
	t_register_host(&mole);
}

UNIT(moon, is_seen)
{
	t_defer(t, say, "deferred before the skip");
	SKIP(MOON, "it is cloudy");
	puts("not reached");
}

CONFORMANCE(air, fly, NEEDS(WINGS, FEATHERS, AIR))
{
	t_defer(t, say, "deferred by the body");
	ASSERT_STREQ(t->fixture, "a fixture");
	printf("flying on %s\n", t->host->name);
}

CONFORMANCE(air, breathe)
{
	ASSERT_TRUE(t->host);
}
