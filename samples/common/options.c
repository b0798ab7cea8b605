/* SPDX-License-Identifier: MIT */
#include "common/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/status.h"
#include "common/units.h"

uint32_t option_number(const char *text, const char *what, struct argp_state *state)
{
	uint64_t value;

	if (!unit_parse(text, &value) || value > UINT32_MAX)
		argp_error(state, "%s: a number from 1 on, not \"%s\"", what, text);
	return (uint32_t)value;
}

/* unit_parse() takes 0 for none, as a size or a count it would be. */
static bool parse_or_zero(const char *text, uint64_t *ret_value)
{
	*ret_value = 0;
	return strcmp(text, "0") == 0 || unit_parse(text, ret_value);
}

uint64_t option_number64(const char *text, const char *what, struct argp_state *state)
{
	uint64_t value;

	if (!parse_or_zero(text, &value))
		argp_error(state, "%s: a number, not \"%s\"", what, text);
	return value;
}

uint32_t option_within(const char *text, const char *what, uint32_t least, uint32_t most,
		       struct argp_state *state)
{
	uint64_t value;

	if (!parse_or_zero(text, &value) || value < least || value > most)
		argp_error(state, "%s: a number from %u to %u, not \"%s\"", what, least, most, text);
	return (uint32_t)value;
}

static uint32_t take_backend(const char *text, struct argp_state *state)
{
	uint32_t backend = 0;

	if (!open_backend(text, &backend))
		argp_error(state, "backend: auto, iommufd, type1 or compat, not \"%s\"", text);
	return backend;
}

static void take_value(const struct option_target *target, char *arg, struct argp_state *state)
{
	if (target->flag)
		*target->flag = true;
	else if (target->text)
		*target->text = arg;
	else if (target->number)
		*target->number = option_number(arg, target->name, state);
	else if (target->number64)
		*target->number64 = option_number64(arg, target->name, state);
	else
		*target->backend = take_backend(arg, state);
}

/* One argument more than there are targets for: one or two. */
static void refuse_argument(const struct option_target *targets, size_t num, const char *arg,
			    struct argp_state *state)
{
	const char *names[2] = { NULL };
	size_t i, found = 0;

	for (i = 0; i < num && found < 2; i++)
		if (targets[i].key == ARGP_KEY_ARG)
			names[found++] = targets[i].name;
	if (found == 2)
		argp_error(state, "%s and %s, not also \"%s\"", names[0], names[1], arg);
	else
		argp_error(state, "one %s, not also \"%s\"", names[0], arg);
}

error_t option_take(const struct option_target *targets, size_t num, int key, char *arg,
		    struct argp_state *state)
{
	size_t i;

	for (i = 0; i < num; i++) {
		if (targets[i].key != key || (key == ARGP_KEY_ARG && *targets[i].text))
			continue;
		take_value(&targets[i], arg, state);
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		refuse_argument(targets, num, arg, state);
	return ARGP_ERR_UNKNOWN;
}

void option_controller(struct open_request *request, struct argp_state *state)
{
	if (!request->address && request->simulate)
		request->address = "0000:00:01.0";
	if (!request->address)
		argp_error(state, "the ADDRESS of a controller is missing");
}

void option_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	argp_err_exit_status = EXIT_USAGE;
	if (argp_parse(argp, argc, argv, 0, NULL, input) != 0)
		exit(EXIT_USAGE);
}
