// SPDX-License-Identifier: MIT
/* What a call of the library has to hold to when something fails in it. */
#include "sweep/attempt.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shim/run.h"
#include "sweep/calls.h"
#include "sweep/inject.h"
#include "sweep/lost.h"

/* Names that the linker gives. */
int __real_weir_ioas_info(struct weir_ioas *ioas, struct weir_ioas_info *ret_info, size_t size);
int __real_weir_ioas_map(struct weir_ioas *ioas, void *addr, size_t len, const struct weir_map_opts *opts,
			 struct weir_map **ret_map);
int __real_weir_map_close(struct weir_map *map);

static FILE *out;
static bool must_pass, seen;

/* Which space the mappings are in, oldest first; a handle that comes again is another mapping. */
static struct home {
	const struct weir_map *map;
	struct weir_ioas *ioas;
} * homes;
static size_t num_homes, room;
static pthread_mutex_t homes_lock = PTHREAD_MUTEX_INITIALIZER;

static _Thread_local unsigned int depth; /* functions of the library call each other, too */

void calls_start(FILE *complaints)
{
	out = complaints;
	must_pass = false;
	seen = false;
	num_homes = 0;
}

bool calls_stop(void)
{
	if (injected() && !seen)
		fprintf(out, "it came to pass in no function that is looked at (sweep/calls.c)\n");
	out = NULL;
	return must_pass;
}

static void look(const struct attempt *attempt, struct view *ret_view)
{
	memset(ret_view, 0, sizeof(*ret_view));
	inject_pause(true);
	if (attempt->ioas) {
		__real_weir_ioas_info(attempt->ioas, &ret_view->info, sizeof(ret_view->info));
		ret_view->num_ranges = MAX_RANGES;
		weir_ioas_ranges(attempt->ioas, ret_view->ranges, &ret_view->num_ranges);
	}
	if (attempt->device)
		ret_view->where = weir_device_ioas(attempt->device);
	if (attempt->ret_handle)
		ret_view->handle = *attempt->ret_handle;
	inject_pause(false);
}

void attempt_begin(struct attempt *attempt)
{
	attempt->outermost = !depth++;
	attempt->room = attempt->num ? *attempt->num : 0;
	if (attempt->outermost && out && !injected() && !attempt->releases)
		look(attempt, &attempt->before);
}

static void complain(const struct attempt *attempt, int result, const char *what)
{
	fprintf(out, "%s() returned %s (%s), and %s\n", attempt->name,
		result ? strerrorname_np(-result) : "0", result ? weir_error() : "", what);
}

static void check_unchanged(const struct attempt *attempt, int result)
{
	struct view after, before = attempt->before;

	look(attempt, &after);
	if (attempt->takes_back)
		before.info.lost_bytes = after.info.lost_bytes;
	if (memcmp(&before.info, &after.info, sizeof(after.info)) != 0)
		complain(attempt, result, "the address space is another");
	if (before.num_ranges != after.num_ranges ||
	    memcmp(before.ranges, after.ranges, sizeof(after.ranges)) != 0)
		complain(attempt, result, "what can be addressed is another");
	if (before.where != after.where)
		complain(attempt, result, "the device is in another space");
	if (before.handle != after.handle)
		complain(attempt, result, "gave a handle nevertheless");
}

static void note_home(const struct attempt *attempt)
{
	pthread_mutex_lock(&homes_lock);
	homes = t_grow(homes, num_homes, &room, sizeof(*homes));
	homes[num_homes++] = (struct home){ *attempt->ret_handle, attempt->ioas };
	pthread_mutex_unlock(&homes_lock);
}

static struct weir_ioas *home_of(const struct weir_map *map)
{
	struct weir_ioas *ioas = NULL;

	pthread_mutex_lock(&homes_lock);
	for (size_t i = num_homes; i > 0 && !ioas; i--)
		if (homes[i - 1].map == map)
			ioas = homes[i - 1].ioas;
	pthread_mutex_unlock(&homes_lock);
	return ioas;
}

/* What the kernel may still have mapped must not be given out, not even on request. */
static void check_not_reused(const struct attempt *attempt, int result)
{
	static _Alignas(4096) unsigned char page[4096];
	struct weir_ioas *ioas = attempt->map ? home_of(attempt->map) : attempt->ioas;
	struct weir_map *map;
	struct lost lost;

	inject_pause(true);
	for (unsigned int i = 0; ioas && lost_nth(i, &lost); i++) {
		struct weir_map_opts opts =
			WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = lost.iova);

		if (__real_weir_ioas_map(ioas, page, sizeof(page), &opts, &map))
			continue;
		complain(attempt, result, "what could not be unmapped is given out again");
		__real_weir_map_close(map);
	}
	inject_pause(false);
}

/*
 * Whether the result of a releasing call, and its text, tell what was injected. What goes wrong with a register is -EIO, whatever the kernel called
 * it; a failed close has closed; what the kernel keeps of a closed space without devices goes with the host; and memory that stays
 * watched (UFFDIO_UNREGISTER) harms nobody. A watch's events are there though its descriptor was not signalled.
 */
static bool is_told(const struct attempt *attempt, int result)
{
	const char *what = injected_what();

	/* To the caller of these, -EBUSY means that it is open still. */
	if (result == -EIO && injected_error() == -EBUSY &&
	    (!strcmp(attempt->name, "weir_ioas_close") || !strcmp(attempt->name, "weir_domain_close") ||
	     !strcmp(attempt->name, "weir_faultq_close")))
		return true;
	if (result == injected_error())
		return strstr(weir_error(), strerror(-result)) || !strcmp(what, "allocation");
	if (!strcmp(what, "pread") || !strcmp(what, "pwrite"))
		return result == -EIO;
	/* What quiet devices wrote, if the kernel does not tell, is all of it. */
	if (!strcmp(what, "ioctl 0x3b8c") || (!strcmp(what, "ioctl 0x3b75") && attempt->ioas))
		return !result;
	/* A sink that cannot be mapped: stray DMA is blocked instead. */
	if (!strcmp(attempt->name, "weir_device_close") &&
	    (!strcmp(what, "ioctl 0x3b8f") || !strcmp(what, "ioctl 0x3b71")))
		return !result;
	return !result && (!strcmp(what, "close") || !strcmp(what, "write") ||
			   !strcmp(what, "ioctl 0x8010aa01") || !strcmp(attempt->name, "weir_ioas_close"));
}

/* What the failed call must hold to. Whether it is to be called again, by the same arguments. */
bool attempt_failed(const struct attempt *attempt, int result, bool came_before)
{
	if (!attempt->outermost || !out || came_before || !injected_here())
		return false;
	seen = true;
	if (attempt->releases) {
		if (!is_told(attempt, result))
			complain(attempt, result, "that is not what went wrong");
		if (result < 0)
			check_not_reused(attempt, result);
		return false;
	}
	must_pass = true;
	if (result >= 0)
		return false;
	check_unchanged(attempt, result);
	if (attempt->num)
		*attempt->num = attempt->room;
	return true;
}

void attempt_end(const struct attempt *attempt, int result)
{
	depth--;
	if (!attempt->outermost || !out)
		return;
	inject_munmap_again();
	if (!result && attempt->maps)
		note_home(attempt);
}

/* The same of a driver's function, where an allocation of its own failed. What failed in the library was seen below. */
bool attempt_driver_failed(const struct attempt *attempt, int result, bool came_before, const void *handle)
{
	if (!out || came_before || !injected_here() || seen)
		return false;
	seen = true;
	must_pass = true;
	if (result != -ENOMEM)
		complain(attempt, result, "that is not what went wrong");
	if (attempt->ret_handle && *attempt->ret_handle != handle)
		complain(attempt, result, "gave a handle nevertheless");
	return result < 0;
}
