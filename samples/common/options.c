/* SPDX-License-Identifier: MIT */
#include "common/options.h"

#include "common/open.h"
#include "common/units.h"

uint32_t option_number(const char *text, const char *what, struct argp_state *state)
{
	uint64_t value;

	if (!unit_parse(text, &value) || value > UINT32_MAX)
		argp_error(state, "%s: a number from 1 on, not \"%s\"", what, text);
	return (uint32_t)value;
}

uint32_t option_backend(const char *text, struct argp_state *state)
{
	uint32_t backend = 0;

	if (!open_backend(text, &backend))
		argp_error(state, "backend: auto, iommufd, type1 or compat, not \"%s\"", text);
	return backend;
}
