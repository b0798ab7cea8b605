// SPDX-License-Identifier: MIT
/* The cases that are left out, and those that cannot pass when a call is made again. */
#include "sweep/sweep.h"

#include <fnmatch.h>
#include <string.h>

static bool is_named(const struct t_case *test, const char *pattern)
{
	char name[256];

	snprintf(name, sizeof(name), "%s.%s", test->suite, test->name);
	return !fnmatch(pattern, name, 0);
}

static const struct {
	const char *name; /* a shell pattern */
	const char *reason;
} left_out[] = {
	{ "threads.*", "which thread makes the n-th call is a matter of chance" },
	{ "memory.threads_*", "which thread makes the n-th call is chance" },
	{ "guard.threads_*", "which thread makes the n-th call is chance" },
	{ "peer.threads_*", "which thread makes the n-th call is chance" },
	{ "peer_past.threads_*", "which thread makes the n-th call is chance" },
	{ "cache_watch.threads_*", "which thread makes the n-th call is chance" },
	{ "cache_watch.memory_that_is_not_*", "how often its watching thread looks is chance" },
	{ "cache_watch.so_it_is_*", "likewise" },
	{ "cache_watch.memory_of_files_*", "likewise" },
	{ "cache_watch.what_is_held_*", "likewise" },
	{ "cache_watch.what_is_about_*", "likewise" },
	{ "cache_watch.the_watching_thread_*", "likewise" },
	{ "region.first_asked_for_by_many_threads_*",
	  "which thread makes the n-th call is a matter of chance" },
	{ "handover*", "two threads make calls, each waiting for the other" },
	{ "raw_*", "they ask the kernel, and nothing of the library" },
	{ "nvme_modes.*", "the calls of nvme.* and nvme_manage.*, and a whole disk each time" },
	{ "peer_stream.fifty_*", "fifty times the calls of peer.*, while another device does DMA" },
	{ "peer_stream.with_a_sink_*", "likewise" },
	{ "peer_stream.resync_*", "ten times the calls of peer_past.*, likewise" },
	{ "reach.what_is_chosen_*", "a hundred times the calls of ioas_file.*" },
	{ "inval.*bad_command*",
	  "a thousand times the calls of inval.what_is_refused_is_made_up_for_by_everything" },
	{ "inval.what_fails_once*", "likewise; and what fails here is to fail in the kernel alone" },
	{ "nested_space.so_many_*",
	  "which close ends the others, and tells what went wrong with them, is the space's affair" },
	{ "nested_space.what_was_deferred_*", "likewise" },
	{ "nested_space.an_address_that_is_leaving_*", "a map that fails may have ended what was leaving" },
	{ "faultq.*_in_a_nested_space",
	  "what becomes of mappings that it fails to end is the space's affair" },
	{ "nested_peer.*", "how often the device copies is chance" },
	{ "shadow.what_leaves_stage_2_*",
	  "what is lost is in another space than the mapping that is closed" },
	{ "dirty.of_a_million_*", "the calls of dirty.pages_that_were_written_*, hundreds of times" },
	{ "dirty.the_table_may_change_*", "what is called from a callback is part of what calls that" },
	{ "away.hot_reset_tells_of_functions_on_another_host",
	  "an open that fails uses up what was handed over" },
	{ "limits.there_is_none_to_the_number_of_mappings", "70000 times the calls of ioas_map.*" },
	{ "limits.the_kernels_number_of_mappings_*", "65536 times the calls of ioas_map.*" },
};

const char *exempt(const struct t_case *test)
{
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (is_named(test, left_out[i].name))
			return left_out[i].reason;
	return NULL;
}

static const struct {
	const char *name; /* a shell pattern */
	const char *call; /* when this fails; NULL: whatever fails */
} may[] = {
	/* What goes wrong once more than it does anyhow ends elsewhere: a detach that fails leaves STALE, and a run that is made again ESCALATED. */
	{ "inval.in_quarantine_*", "ioctl 0x3b78" },
	{ "inval.in_quarantine_*", "ioctl 0x3b8d" },
	/* What could not be unmapped has its addresses for ever, so nothing else is mapped there. */
	{ "shadow.*", "ioctl 0x3b72" },
	{ "shadow.*", "ioctl 0x3b86" },
	/* It counts how often watchers are told, who are told again. */
	{ "away.watchers_are_told_before_and_after", NULL },
	/* What the kernel would not tell is told as unknown, and the next scan tells what was written. */
	{ "dirty.*", "ioctl 0x3b8c" },
	{ "dirty.*", "ioctl 0x3b75" },
	/* An estimate that is not to be had is none; and a device that does not say where it is after a failure is in error all the same. */
	{ "migration.a_device_goes_on_*", "ioctl 0x3b75" },
	{ "migration.what_is_not_*", "ioctl 0x3b75" },
	/* What was written halfway is written twice. */
	{ "migration.a_device_goes_on_*", "write" },
	/* A device that was there for a moment, and could not be opened, may have written. */
	{ "dirty.what_went_with_*", NULL },
	/* A request for which there is no memory is answered with failure. */
	{ "faultq.*", "allocation" },
	/* What cannot be mapped when a device asks for it is refused, and the device does not wait. */
	{ "faultq.a_file_that_was_never_mapped_is_read", NULL },
	/* Where looking fails, what others did is found one call later. */
	{ "away.what_others_did_to_command_is_found_when_it_is_read", "pread" },
	/* They count the library's calls, and see those that are made again. */
	{ "calls.a_map_is_one_and_an_unmap_is_one", NULL },
	{ "calls.a_batch_is_one_for_each_piece_and_its_end_is_one", NULL },
	{ "calls.sharing_is_one_where_the_kernel_can", NULL },
	{ "calls.what_is_mapped_without_a_refusal_*", NULL },
	{ "ioas_device_memory.asking_is_one_call_more", NULL },
	{ "calls.opening_a_device_makes_those_listed_once_each", NULL },
	/* A window that cannot be mapped again is lost, which its watchers are told; a reset that fails withdraws and restores, too. */
	{ "peer.*", "ioctl 0x3b8f" },
	{ "peer.*", "ioctl 0x3b71" },
	{ "peer.*", "ioctl 0x3b72" },
	{ "peer.*", "ioctl 0x3b86" },
	/* The events of a watch whose descriptor was not signalled are there all the same. */
	{ "peer.*", "write" },
	{ "away.*", "write" },
	{ "peer_past.*", "ioctl 0x3b8f" },
	{ "peer_past.*", "ioctl 0x3b71" },
	{ "peer_past.*", "ioctl 0x3b72" },
	{ "peer_past.*", "ioctl 0x3b86" },
	{ "peer_past.*", "write" },
	/* Likewise what fails to read or write the configuration space while the window is withdrawn, or fails to sleep. */
	{ "peer_past.*", "pread" },
	{ "peer_past.*", "pwrite" },
	{ "peer_past.*", "ioctl 0x3b75" },
	{ "peer_past.a_hot_reset_*", NULL },
	{ "peer.*", "ioctl 0x3b6f" },
	{ "peer.*", "pwrite" },
	/* A device that says once that it exports nothing is not asked again. */
	{ "peer.*", "ioctl 0x3b75" },
	/* What a batch had mapped before it was refused stays, and counts as lost, when the kernel fails to unmap it. */
	{ "ioas_batch.all_ranges_are_mapped_or_none", "ioctl 0x3b86" },
	{ "ioas_batch.all_ranges_are_mapped_or_none", "ioctl 0x3b72" },
	/* What was handed over is used up by the first attempt, as weir_host_open() says. */
	{ "host.handed_over_descriptors_are_all_it_opens", NULL },
	{ "host.used_up_descriptors_are_no_entry", NULL },
	/* They are about shortages: one more makes the memory fall back, and succeed with smaller pages. */
	{ "memory.large_pages_that_are_missing_*", NULL },
	{ "memory.it_grows_by_smaller_pages_*", NULL },
	{ "memory.a_limit_that_is_no_multiple_*", NULL },
	/* What the kernel cannot watch, or does not answer for, is mapped for once; and what it failed to tell makes all out of date. */
	{ "cache_watch.*", "ioctl 0xc020aa00" }, /* UFFDIO_REGISTER */
	{ "cache_watch.*", "ioctl 0xc018aa06" }, /* UFFDIO_WRITEPROTECT */
	{ "cache_watch.*", "read" },
	/* What the kernel has no memory for makes room in the cache, and what went for it is not found again. */
	{ "cache.files_are_known_by_themselves", NULL },
	{ "cache.entries_are_limited_and_used_again", NULL },
	{ "cache.room_is_made_where_nobody_has_been_for_long", NULL },
	{ "cache.ranges_that_overlap_become_one", NULL },
	{ "cache.what_was_invalidated_is_not_found_again", NULL },
	{ "cache.what_was_put_is_found_again_*", NULL },
	/* Of a function whose group cannot be read, the answer is that the kernel does not say which it is. */
	{ "reset.bus_reset_reaches_the_lone_device_below_its_port", "readlink" },
	{ "reset.bus_reset_takes_the_group_along", "readlink" },
	{ "reset.bus_reset_is_busy_while_somebody_else_may_use_a_function_in_reach", "readlink" },
	/* A device whose link to a group is not there (ENOENT) has none, and that is part of the answer. */
	{ "reach.*", "readlink" },
};

bool may_fail(const struct t_case *test, const char *call)
{
	for (size_t i = 0; i < sizeof(may) / sizeof(may[0]); i++)
		if (is_named(test, may[i].name) && (!may[i].call || !strcmp(may[i].call, call)))
			return true;
	return false;
}
