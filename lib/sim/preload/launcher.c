// SPDX-License-Identifier: MIT
/*
 * weir-sim-run: runs a program on a simulated host, that other people wrote for VFIO and that knows
 * nothing of it. The machine is described in the environment; each process that comes to ask for it builds
 * its own.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/preload/describe.h"
#include "sim/preload/target.h"

enum { STATUS_REFUSED = 2, STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127, PATH_SIZE = 4096 };

static const char library[] = "libweir-sim-preload.so";

static const char usage[] = "usage: weir-sim-run [OPTION...] -- PROGRAM [ARGUMENT...]\n"
			    "\n"
			    "Runs a VFIO program on a simulated host: it finds /dev/vfio, /dev/iommu and PCI "
			    "devices in /sys as described\n"
			    "here, and needs neither hardware nor privileges.\n"
			    "\n";

/* Without their dashes, and whether a value follows. */
static const struct {
	const char *name;
	bool takes_value;
} options[] = {
	{ "device", true },       { "kernel", true },    { "address-bits", true },
	{ "max-mappings", true }, { "seed", true },      { "no-container", false },
	{ "no-iommufd", false },  { "type1-v1", false }, { "unsafe-irqs", false },
	{ "no-iommu", false },    { "iommu", true },     { "no-5-level", false },
	{ "no-1-gib", false },
};

__attribute__((format(printf, 2, 3))) static _Noreturn void refuse(int status, const char *format, ...)
{
	va_list arguments;

	fputs("weir-sim-run: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(status);
}

/* Arguments ---------------------------------------------------------------------------------------------- */

/* Is it the option, alone or with "=value" behind it? */
static bool names(const char *argument, const char *option)
{
	size_t len = strlen(option);

	return !strncmp(argument, option, len) && (!argument[len] || argument[len] == '=');
}

static bool takes_value(const char *argument)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (names(argument, options[i].name))
			return options[i].takes_value;
	refuse(STATUS_REFUSED, "there is no option --%s; --help says what there is", argument);
}

static void add_line(FILE *text, const char *option)
{
	char *line = sim_describe_line(option);

	if (!line)
		refuse(STATUS_REFUSED, "no memory, or no working directory, for %s", option);
	if (strchr(line, '\n'))
		refuse(STATUS_REFUSED, "a line break in --%s", option);
	fprintf(text, "%s\n", line);
	free(line);
}

/* "--kernel 7.2" is "--kernel=7.2". */
static void add_option(FILE *text, const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 2;
	char *option = malloc(size);

	if (!option)
		refuse(STATUS_REFUSED, "%s", strerror(ENOMEM));
	snprintf(option, size, "%s=%s", name, value);
	add_line(text, option);
	free(option);
}

/* Returns the description, and the program's own arguments. */
static char *parse(char **argv, char ***ret_program)
{
	char *description;
	size_t size;
	FILE *text = open_memstream(&description, &size);
	char **at = argv + 1;

	if (!text)
		refuse(STATUS_REFUSED, "%s", strerror(ENOMEM));
	for (; *at && !strncmp(*at, "--", 2) && (*at)[2]; at++) {
		const char *option = *at + 2;

		if (!strcmp(option, "help")) {
			printf("%s%s", usage, sim_describe_usage);
			exit(0);
		}
		if (!takes_value(option) || strchr(option, '='))
			add_line(text, option);
		else if (at[1])
			add_option(text, option, *++at);
		else
			refuse(STATUS_REFUSED, "--%s needs a value", option);
	}
	if (*at && !strcmp(*at, "--"))
		at++;
	if (!*at)
		refuse(STATUS_REFUSED, "%s", "which program? --help says how");
	if (fclose(text))
		refuse(STATUS_REFUSED, "%s", strerror(ENOMEM));
	*ret_program = at;
	return description;
}

/* Preparing ---------------------------------------------------------------------------------------------- */

/* A machine that cannot be built is better refused here than by the program's first look at it. */
static void check_machine(const char *description)
{
	struct weir_sim *sim;

	if (sim_describe_build(description, &sim))
		refuse(STATUS_REFUSED, "%s", weir_error());
	weir_sim_close(sim);
}

/*
 * Beside this program, as in the build directory; or where it was installed, relative to it and as
 * configured.
 */
static void find_library(char path[PATH_SIZE])
{
	static const char *const directories[] = { "/", "/" WEIR_SIM_LIBDIR_FROM_HERE "/" };
	char here[PATH_SIZE / 2];
	ssize_t len = readlink("/proc/self/exe", here, sizeof(here) - 1);

	here[len < 0 ? 0 : len] = '\0';
	if (strrchr(here, '/'))
		*strrchr(here, '/') = '\0';
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		snprintf(path, PATH_SIZE, "%s%s%s", here, directories[i], library);
		if (access(path, R_OK) == 0)
			return;
	}
	snprintf(path, PATH_SIZE, "%s/%s", WEIR_SIM_LIBDIR, library);
	if (access(path, R_OK) < 0)
		refuse(STATUS_REFUSED, "%s is neither beside this program nor installed", library);
}

/* LD_PRELOAD is a list: what is there stays, behind ours. */
static void preload(const char *path)
{
	const char *others = getenv("LD_PRELOAD");
	char *list;

	if (strpbrk(path, ": "))
		refuse(STATUS_REFUSED, "a library cannot be preloaded from a path with a colon or space: %s",
		       path);
	if (asprintf(&list, "%s%s%s", path, others && *others ? ":" : "", others ? others : "") < 0 ||
	    setenv("LD_PRELOAD", list, 1))
		refuse(STATUS_REFUSED, "%s", strerror(ENOMEM));
	free(list);
}

int main(int argc, char **argv)
{
	char **program, *description = argc ? parse(argv, &program) : NULL, *path;
	char preloaded[PATH_SIZE];

	if (!description)
		return STATUS_REFUSED;
	path = sim_target_find(*program);
	if (!path)
		refuse(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN, "%s cannot be run", *program);
	if (sim_target_check(path))
		refuse(STATUS_REFUSED, "%s", weir_error());
	check_machine(description);
	find_library(preloaded);
	preload(preloaded);
	if (setenv(SIM_MACHINE_VARIABLE, description, 1))
		refuse(STATUS_REFUSED, "%s", strerror(ENOMEM));
	execv(path, program);
	refuse(STATUS_CANNOT_RUN, "%s cannot be run", path);
}
