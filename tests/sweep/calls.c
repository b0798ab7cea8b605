// SPDX-License-Identifier: MIT
/* The library's functions, wrapped, and those of the drivers that allocate memory. */
#include "sweep/calls.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <edu/edu.h>
#include <nvme/nvme.h>
#include <weir/weir.h>

#include "shim/run.h"
#include "sweep/inject.h"
#include "sweep/lost.h"

/* Names that the linker gives. */
int __real_weir_ioas_info(struct weir_ioas *ioas, struct weir_ioas_info *ret_info, size_t size);
int __real_weir_ioas_map(struct weir_ioas *ioas, void *addr, size_t len, const struct weir_map_opts *opts,
			 struct weir_map **ret_map);
int __real_weir_map_close(struct weir_map *map);

enum { MAX_RANGES = 16 };

/* All that can be seen of an address space, and what a call was to give. */
struct view {
	struct weir_ioas_info info;
	struct weir_iova_range ranges[MAX_RANGES];
	size_t num_ranges;
	struct weir_ioas *where; /* a device is */
	void *handle;
};

struct attempt {
	const char *name;
	struct weir_ioas *ioas;     /* NULL: the call is about none */
	struct weir_device *device; /* likewise */
	void **ret_handle;          /* likewise */
	size_t *num, room;          /* how many there is room for, and then how many there are; likewise */
	struct weir_map *map;       /* that is closed; likewise */
	bool maps, releases;
	bool takes_back; /* what it did, when it fails in the middle; if that fails too, it is lost */
	bool outermost;
	struct view before;
};

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

static void begin(struct attempt *attempt)
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

	/* To the caller of this one, -EBUSY means that the space is open still. */
	if (result == -EIO && injected_error() == -EBUSY &&
	    (!strcmp(attempt->name, "weir_ioas_close") || !strcmp(attempt->name, "weir_domain_close")))
		return true;
	if (result == injected_error())
		return strstr(weir_error(), strerror(-result)) || !strcmp(what, "allocation");
	if (!strcmp(what, "pread") || !strcmp(what, "pwrite"))
		return result == -EIO;
	/* A sink that cannot be mapped: stray DMA is blocked instead. */
	if (!strcmp(attempt->name, "weir_device_close") &&
	    (!strcmp(what, "ioctl 0x3b8f") || !strcmp(what, "ioctl 0x3b71")))
		return !result;
	return !result && (!strcmp(what, "close") || !strcmp(what, "write") ||
			   !strcmp(what, "ioctl 0x8010aa01") || !strcmp(attempt->name, "weir_ioas_close"));
}

/* What the failed call must hold to. Whether it is to be called again, by the same arguments. */
static bool failed(const struct attempt *attempt, int result, bool came_before)
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

static void end(const struct attempt *attempt, int result)
{
	depth--;
	if (!attempt->outermost || !out)
		return;
	inject_munmap_again();
	if (!result && attempt->maps)
		note_home(attempt);
}

/* The same of a driver's function, where an allocation of its own failed. What failed in the library was seen below. */
static bool driver_failed(const struct attempt *attempt, int result, bool came_before, const void *handle)
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

#define CALL(name_, parameters, arguments, ...)                                                              \
	int __real_##name_ parameters;                                                                       \
	int __wrap_##name_ parameters;                                                                       \
	int __wrap_##name_ parameters                                                                        \
	{                                                                                                    \
		struct attempt attempt = { .name = #name_, __VA_ARGS__ };                                    \
		bool came_before = injected_here();                                                          \
		int result;                                                                                  \
                                                                                                             \
		begin(&attempt);                                                                             \
		result = __real_##name_ arguments;                                                           \
		if (failed(&attempt, result, came_before))                                                   \
			result = __real_##name_ arguments;                                                   \
		end(&attempt, result);                                                                       \
		return result;                                                                               \
	}

#define OF_DEVICE(device_) .device = (device_), .ioas = (device_) ? weir_device_ioas(device_) : NULL
#define GIVES(ret)         .ret_handle = (void **)(ret)

CALL(weir_host_open, (const struct weir_host_opts *opts, struct weir_host **ret), (opts, ret), GIVES(ret))
CALL(weir_host_close, (struct weir_host * host), (host), .releases = true)
CALL(weir_ioas_open, (struct weir_host * host, const struct weir_ioas_opts *opts, struct weir_ioas **ret),
     (host, opts, ret), GIVES(ret))
CALL(weir_ioas_close, (struct weir_ioas * ioas), (ioas), .releases = true)
CALL(weir_ioas_info, (struct weir_ioas * ioas, struct weir_ioas_info *ret, size_t size), (ioas, ret, size),
     .ioas = NULL)
CALL(weir_ioas_map,
     (struct weir_ioas * ioas, void *addr, size_t len, const struct weir_map_opts *opts,
      struct weir_map **ret),
     (ioas, addr, len, opts, ret), GIVES(ret), .ioas = ioas, .maps = true)
CALL(weir_ioas_map_file,
     (struct weir_ioas * ioas, int fd, uint64_t offset, uint64_t len, const struct weir_map_opts *opts,
      struct weir_map **ret),
     (ioas, fd, offset, len, opts, ret), GIVES(ret), .ioas = ioas, .maps = true)
CALL(weir_ioas_map_batch,
     (struct weir_ioas * ioas, const struct weir_map_range *ranges, size_t num,
      const struct weir_map_opts *opts, uint64_t *ret_iovas, struct weir_map **ret),
     (ioas, ranges, num, opts, ret_iovas, ret), GIVES(ret), .ioas = ioas, .maps = true, .takes_back = true)
CALL(weir_map_share,
     (struct weir_map * map, struct weir_ioas *ioas, const struct weir_map_opts *opts, struct weir_map **ret),
     (map, ioas, opts, ret), GIVES(ret), .ioas = ioas, .maps = true, .takes_back = true)
CALL(weir_ioas_unmap, (struct weir_ioas * ioas, uint64_t iova, uint64_t len), (ioas, iova, len), .ioas = ioas,
     .releases = true)
CALL(weir_map_close, (struct weir_map * map), (map), .map = map, .releases = true)
CALL(weir_map_close_batch, (struct weir_map * *maps, size_t num), (maps, num), .releases = true)

CALL(weir_memory_open,
     (struct weir_ioas * ioas, const struct weir_memory_opts *opts, struct weir_memory **ret),
     (ioas, opts, ret), GIVES(ret), .ioas = ioas)
CALL(weir_memory_close, (struct weir_memory * memory), (memory), .releases = true)
CALL(weir_memory_alloc,
     (struct weir_memory * memory, uint64_t len, const struct weir_buffer_opts *opts,
      struct weir_buffer *ret),
     (memory, len, opts, ret), .ioas = NULL)
CALL(weir_memory_free, (struct weir_memory * memory, const struct weir_buffer *buffer), (memory, buffer),
     .ioas = NULL)
CALL(weir_memory_share, (struct weir_memory * memory, struct weir_ioas *ioas), (memory, ioas), .ioas = ioas)
CALL(weir_memory_unshare, (struct weir_memory * memory, struct weir_ioas *ioas), (memory, ioas),
     .releases = true)

CALL(weir_inval_open, (const struct weir_inval_opts *opts, struct weir_inval **ret), (opts, ret), GIVES(ret))
CALL(weir_stage1_open,
     (struct weir_memory * memory, const struct weir_stage1_opts *opts, struct weir_stage1 **ret),
     (memory, opts, ret), GIVES(ret))
CALL(weir_stage1_map,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot,
      struct weir_inval *changes),
     (tables, iova, ipa, len, prot, changes), .ioas = NULL)
CALL(weir_stage1_unmap,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t len, struct weir_inval *changes),
     (tables, iova, len, changes), .ioas = NULL)
CALL(weir_stage1_protect,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t len, uint32_t prot, struct weir_inval *changes),
     (tables, iova, len, prot, changes), .ioas = NULL)

CALL(weir_cache_open, (struct weir_ioas * ioas, const struct weir_cache_opts *opts, struct weir_cache **ret),
     (ioas, opts, ret), GIVES(ret), .ioas = ioas)
CALL(weir_cache_close, (struct weir_cache * cache), (cache), .releases = true)
CALL(weir_cache_get,
     (struct weir_cache * cache, const void *addr, uint64_t len, uint32_t flags, struct weir_cached *ret),
     (cache, addr, len, flags, ret), .ioas = NULL)
CALL(weir_cache_get_file,
     (struct weir_cache * cache, int fd, uint64_t offset, uint64_t len, uint32_t flags,
      struct weir_cached *ret),
     (cache, fd, offset, len, flags, ret), .ioas = NULL)
CALL(weir_cache_put, (struct weir_cache * cache, const struct weir_cached *cached), (cache, cached),
     .releases = true)
CALL(weir_cache_invalidate, (struct weir_cache * cache, const void *addr, uint64_t len, uint64_t *ret),
     (cache, addr, len, ret), .releases = true)
CALL(weir_cache_invalidate_file,
     (struct weir_cache * cache, int fd, uint64_t offset, uint64_t len, uint64_t *ret),
     (cache, fd, offset, len, ret), .ioas = NULL)
CALL(weir_cache_trim, (struct weir_cache * cache, uint64_t bytes), (cache, bytes), .releases = true)
CALL(weir_cache_watch, (struct weir_cache * cache, int timeout_ms), (cache, timeout_ms), .ioas = NULL)

CALL(weir_device_open,
     (struct weir_ioas * ioas, const char *address, const struct weir_device_opts *opts,
      struct weir_device **ret),
     (ioas, address, opts, ret), GIVES(ret), .ioas = ioas)
CALL(weir_device_close, (struct weir_device * device), (device), .releases = true)
CALL(weir_device_attach, (struct weir_device * device, struct weir_ioas *ioas), (device, ioas),
     .device = device, .ioas = ioas)
CALL(weir_device_info, (struct weir_device * device, struct weir_device_info *ret, size_t size),
     (device, ret, size), OF_DEVICE(device))
CALL(weir_device_set_bus_master, (struct weir_device * device, bool enable), (device, enable),
     OF_DEVICE(device))
CALL(weir_device_set_memory, (struct weir_device * device, bool enable), (device, enable), OF_DEVICE(device))
CALL(weir_device_reset, (struct weir_device * device), (device), OF_DEVICE(device))
CALL(weir_device_hot_reset, (struct weir_device * device), (device), OF_DEVICE(device))
CALL(weir_device_hot_reset_targets,
     (struct weir_device * device, struct weir_hot_reset_target *targets, size_t *num),
     (device, targets, num), OF_DEVICE(device), .num = num)
CALL(weir_device_resync, (struct weir_device * device), (device), OF_DEVICE(device))
CALL(weir_device_sleep, (struct weir_device * device, int wakeup_fd), (device, wakeup_fd), OF_DEVICE(device))
CALL(weir_device_wake, (struct weir_device * device), (device), OF_DEVICE(device))
CALL(weir_caps_check, (struct weir_device * device, enum weir_cap cap), (device, cap), OF_DEVICE(device))

CALL(weir_reach_ask,
     (struct weir_host * host, const char *from, const char *to, struct weir_reach *ret, size_t size),
     (host, from, to, ret, size), .ioas = NULL)
CALL(weir_reach_shadows,
     (struct weir_host * host, const char *address, struct weir_iova_range *ranges, size_t *num),
     (host, address, ranges, num), .num = num)

CALL(weir_irq_count, (struct weir_device * device, enum weir_irq_kind kind, uint32_t *ret),
     (device, kind, ret), OF_DEVICE(device))
CALL(weir_irq_enable,
     (struct weir_device * device, enum weir_irq_kind kind, uint32_t count, struct weir_irq **ret),
     (device, kind, count, ret), OF_DEVICE(device), GIVES(ret))
CALL(weir_irq_disable, (struct weir_irq * irq), (irq), .releases = true)
CALL(weir_irq_wait, (struct weir_irq * irq, uint32_t vector, int timeout_ms, uint64_t *ret),
     (irq, vector, timeout_ms, ret), .ioas = NULL)
CALL(weir_irq_trigger, (struct weir_irq * irq, uint32_t vector), (irq, vector), .ioas = NULL)
CALL(weir_irq_mask, (struct weir_irq * irq), (irq), .ioas = NULL)
CALL(weir_irq_unmask, (struct weir_irq * irq), (irq), .ioas = NULL)

CALL(weir_device_region, (struct weir_device * device, uint32_t index, struct weir_region **ret),
     (device, index, ret), OF_DEVICE(device), GIVES(ret))
CALL(weir_region_map, (struct weir_region * region, void **ret, uint64_t *ret_len), (region, ret, ret_len),
     GIVES(ret))
CALL(weir_region_unmap, (struct weir_region * region), (region), .ioas = NULL)
CALL(weir_peer_open, (struct weir_region * region, uint64_t offset, uint64_t len, struct weir_peer **ret),
     (region, offset, len, ret), GIVES(ret))
CALL(weir_peer_close, (struct weir_peer * peer), (peer), .releases = true)
CALL(weir_peer_map,
     (struct weir_peer * peer, struct weir_ioas *ioas, uint64_t offset, uint64_t len,
      const struct weir_map_opts *opts, struct weir_map **ret),
     (peer, ioas, offset, len, opts, ret), GIVES(ret), .ioas = ioas, .maps = true)
CALL(weir_ioas_map_dmabuf,
     (struct weir_ioas * ioas, int fd, uint64_t offset, uint64_t len, const struct weir_map_opts *opts,
      struct weir_map **ret),
     (ioas, fd, offset, len, opts, ret), GIVES(ret), .ioas = ioas, .maps = true)
CALL(weir_peer_dmabuf, (struct weir_peer * peer, int *ret), (peer, ret), .ioas = NULL)
CALL(weir_peer_watch, (struct weir_peer * peer, const struct weir_watch_opts *opts, struct weir_watch **ret),
     (peer, opts, ret), GIVES(ret))
CALL(weir_watch_close, (struct weir_watch * watch), (watch), .releases = true)
CALL(weir_watch_next, (struct weir_watch * watch, struct weir_peer_event *ret, size_t size),
     (watch, ret, size), .ioas = NULL)

CALL(weir_region_read8, (struct weir_region * region, uint64_t offset, uint8_t *ret), (region, offset, ret),
     .ioas = NULL)
CALL(weir_region_read16, (struct weir_region * region, uint64_t offset, uint16_t *ret), (region, offset, ret),
     .ioas = NULL)
CALL(weir_region_read32, (struct weir_region * region, uint64_t offset, uint32_t *ret), (region, offset, ret),
     .ioas = NULL)
CALL(weir_region_read64, (struct weir_region * region, uint64_t offset, uint64_t *ret), (region, offset, ret),
     .ioas = NULL)
CALL(weir_region_write8, (struct weir_region * region, uint64_t offset, uint8_t value),
     (region, offset, value), .ioas = NULL)
CALL(weir_region_write16, (struct weir_region * region, uint64_t offset, uint16_t value),
     (region, offset, value), .ioas = NULL)
CALL(weir_region_write32, (struct weir_region * region, uint64_t offset, uint32_t value),
     (region, offset, value), .ioas = NULL)
CALL(weir_region_write64, (struct weir_region * region, uint64_t offset, uint64_t value),
     (region, offset, value), .ioas = NULL)

CALL(weir_device_iommu_info, (struct weir_device * device, struct weir_iommu_info *ret, size_t size),
     (device, ret, size), OF_DEVICE(device))
CALL(weir_domain_open,
     (struct weir_device * device, const struct weir_domain_opts *opts, struct weir_domain **ret),
     (device, opts, ret), OF_DEVICE(device), GIVES(ret))
CALL(weir_domain_open_nested,
     (struct weir_domain * parent, struct weir_device *device, const struct weir_nested_opts *opts,
      struct weir_domain **ret),
     (parent, device, opts, ret), OF_DEVICE(device), GIVES(ret))
CALL(weir_domain_close, (struct weir_domain * domain), (domain), .releases = true)
CALL(weir_domain_attach, (struct weir_domain * domain, struct weir_device *device, uint32_t pasid),
     (domain, device, pasid), OF_DEVICE(device))
CALL(weir_domain_detach, (struct weir_device * device, uint32_t pasid), (device, pasid), OF_DEVICE(device))
CALL(weir_inval_open, (const struct weir_inval_opts *opts, struct weir_inval **ret), (opts, ret), GIVES(ret))
CALL(weir_inval_range,
     (struct weir_inval * inval, uint64_t iova, uint64_t len, uint32_t asid, uint32_t flags),
     (inval, iova, len, asid, flags), .ioas = NULL)
CALL(weir_inval_raw, (struct weir_inval * inval, uint32_t type, const void *command, uint32_t len),
     (inval, type, command, len), .ioas = NULL)
CALL(weir_inval_run,
     (struct weir_inval * inval, struct weir_domain *const *domains, size_t num,
      const struct weir_inval_run_opts *opts),
     (inval, domains, num, opts), .ioas = NULL)

CALL(weir_stage1_open,
     (struct weir_memory * memory, const struct weir_stage1_opts *opts, struct weir_stage1 **ret),
     (memory, opts, ret), GIVES(ret))
CALL(weir_stage1_map,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot,
      struct weir_inval *changes),
     (tables, iova, ipa, len, prot, changes), .ioas = NULL)
CALL(weir_stage1_unmap,
     (struct weir_stage1 * tables, uint64_t iova, uint64_t len, struct weir_inval *changes),
     (tables, iova, len, changes), .ioas = NULL)

#define DRIVER(name_, parameters, arguments, ...)                                                            \
	int __real_##name_ parameters;                                                                       \
	int __wrap_##name_ parameters;                                                                       \
	int __wrap_##name_ parameters                                                                        \
	{                                                                                                    \
		struct attempt attempt = { .name = #name_, __VA_ARGS__ };                                    \
		const void *handle = attempt.ret_handle ? *attempt.ret_handle : NULL;                        \
		bool came_before = injected_here();                                                          \
		int result = __real_##name_ arguments;                                                       \
                                                                                                             \
		if (driver_failed(&attempt, result, came_before, handle))                                    \
			result = __real_##name_ arguments;                                                   \
		return result;                                                                               \
	}

DRIVER(edu_open, (struct weir_device * device, uint32_t flags, struct edu **ret), (device, flags, ret),
       GIVES(ret))
DRIVER(nvme_controller_open,
       (struct weir_device * device, const struct nvme_controller_opts *opts, struct nvme_controller **ret),
       (device, opts, ret), GIVES(ret))
DRIVER(nvme_namespace_info,
       (struct nvme_controller * controller, uint32_t nsid, struct nvme_namespace *ret, size_t size),
       (controller, nsid, ret, size), .ioas = NULL)
DRIVER(nvme_queue_open, (struct nvme_controller * controller, uint32_t entries, struct nvme_queue **ret),
       (controller, entries, ret), GIVES(ret))
