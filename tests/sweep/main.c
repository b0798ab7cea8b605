// SPDX-License-Identifier: MIT
/*
 * weir-sweep: every system call and every allocation that the library makes in a conformance case made to fail in turn.
 *
 *   weir-sweep [--host=NAME,...] [--case=PATTERN] [--call=N | --allocation=N] [--error=ENOMEM] [--every=K] [--jobs=N]
 *              [--timeout=SECONDS] [--junit=FILE] [--verbose]
 *
 * --every=K takes one injection of K, always the same ones. WEIR_SIM_MACHINE chooses the machine (conformance/sim_machine.h).
 */
#include "sweep/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void __attribute__((noreturn)) refuse(const char *what, const char *argument)
{
	fprintf(stderr, "weir-sweep: %s: %s\n", what, argument);
	exit(2);
}

static unsigned int number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || !value || value > 1u << 30)
		refuse("not a positive number", text);
	return (unsigned int)value;
}

static int error_named(const char *name)
{
	for (int error = 1; error < 200; error++)
		if (strerrorname_np(error) && !strcmp(strerrorname_np(error), name))
			return -error;
	refuse("no such error", name);
}

static const char *value_of(const char *argument, const char *option)
{
	size_t len = strlen(option);

	return strncmp(argument, option, len) ? NULL : argument + len;
}

static void read_argument(const char *argument, struct options *options)
{
	const char *value;

	if ((value = value_of(argument, "--host=")))
		options->hosts = value;
	else if ((value = value_of(argument, "--case=")))
		options->cases = value;
	else if ((value = value_of(argument, "--junit=")))
		options->junit = value;
	else if ((value = value_of(argument, "--call=")))
		options->only = (struct injection){ CALL, number(value), options->only.error };
	else if ((value = value_of(argument, "--allocation=")))
		options->only = (struct injection){ ALLOCATION, number(value), 0 };
	else if ((value = value_of(argument, "--error=")))
		options->only.error = error_named(value);
	else if ((value = value_of(argument, "--every=")))
		options->every = number(value);
	else if ((value = value_of(argument, "--jobs=")))
		options->jobs = number(value);
	else if ((value = value_of(argument, "--timeout=")))
		options->timeout = number(value);
	else if (!strcmp(argument, "--verbose"))
		options->verbose = true;
	else
		refuse("unknown option", argument);
}

static void check_hosts(const char *hosts)
{
	char name[64];

	while (t_next_word(&hosts, name, sizeof(name)))
		if (!t_find_host(name))
			refuse("no such host", name);
}

int main(int argc, char **argv)
{
	struct options options = {
		.hosts = "sim-iommufd,sim-type1,sim-compat",
		.every = 1,
		.jobs = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN),
		.timeout = 30,
	};
	unsigned int bad;

	for (int i = 1; i < argc; i++)
		read_argument(argv[i], &options);
	if (options.jobs > 16)
		options.jobs = 16;
	check_hosts(options.hosts);
	t_set_default_timeout(options.timeout);
	report_begin(&options);
	bad = sweep_all(&options);
	bad += report_end();
	return bad != 0;
}
