// SPDX-License-Identifier: MIT
/* The cases that are left out, and those that cannot pass when a call is made again. */
#include "sweep/sweep.h"

#include <fnmatch.h>

static bool one_name_of(const struct t_case *test, const char *const *patterns)
{
	char name[256];

	snprintf(name, sizeof(name), "%s.%s", test->suite, test->name);
	while (*patterns && fnmatch(*patterns, name, 0) != 0)
		patterns++;
	return *patterns;
}

static const struct {
	const char *name; /* a shell pattern */
	const char *reason;
} list[] = {
	{ "threads.*", "which thread makes the n-th call is a matter of chance" },
	{ "region.first_asked_for_by_many_threads_*",
	  "which thread makes the n-th call is a matter of chance" },
	{ "raw_*", "they ask the kernel, and nothing of the library" },
	{ "limits.there_is_none_to_the_number_of_mappings", "70000 times the calls of ioas_map.*" },
	{ "limits.the_kernels_number_of_mappings_*", "65536 times the calls of ioas_map.*" },
};

bool may_fail(const struct t_case *test)
{
	static const char *const patterns[] = {
		/* They count the library's calls, or look at each, and see those that are made again. */
		"calls.*",
		/* What was handed over is used up by the attempt. */
		"host.handed_over_descriptors_are_all_it_opens",
		"host.used_up_descriptors_are_no_entry",
		"access.handed_over_descriptors_need_no_privileges",
		/* With no way to look into /proc/self/maps, a space without a device lets a request pass. */
		"ioas_memory.what_is_not_memory_is_refused_by_name",
		/* Of a function whose group cannot be read, the answer is that the kernel does not say which it is. */
		"reset.bus_reset_takes_the_group_along",
		"reset.bus_reset_is_busy_while_somebody_else_may_use_a_function_in_reach",
		NULL,
	};

	return one_name_of(test, patterns);
}

const char *exempt(const struct t_case *test)
{
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (one_name_of(test, (const char *const[]){ list[i].name, NULL }))
			return list[i].reason;
	return NULL;
}
