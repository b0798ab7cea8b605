// SPDX-License-Identifier: MIT
/* The cases that are left out. */
#include "sweep/sweep.h"

#include <fnmatch.h>

static const struct {
	const char *name; /* a shell pattern */
	const char *reason;
} list[] = {
	{ "threads.*", "which thread makes the n-th call is a matter of chance" },
	{ "region.first_asked_for_by_many_threads_*", "which thread makes the n-th call is a matter of chance" },
	{ "limits.there_is_none_to_the_number_of_mappings", "70000 times the calls of ioas_map.*" },
	{ "limits.the_kernels_number_of_mappings_*", "65536 times the calls of ioas_map.*" },
};

const char *exempt(const struct t_case *test)
{
	char name[256];

	snprintf(name, sizeof(name), "%s.%s", test->suite, test->name);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!fnmatch(list[i].name, name, 0))
			return list[i].reason;
	return NULL;
}
