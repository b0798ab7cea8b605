// SPDX-License-Identifier: MIT
#include "ioas/window.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "ioas/map.h"
#include "ioas/sink.h"
#include "ioas/watch.h"
#include "kernel/vfio_device.h"

int weir_window_open(const struct weir_sys *sys, const struct weir_window_owner *owner, int device_fd,
		     uint32_t region, const char *name, void *addr, uint64_t len,
		     struct weir_window **ret_window)
{
	struct weir_window *window = calloc(1, sizeof(*window));
	pthread_mutexattr_t attr;

	if (!window)
		return weir_fail(-ENOMEM, "no memory for a window");
	*window = (struct weir_window){ .users = 1,
					.owner = *owner,
					.sys = sys,
					.addr = addr,
					.len = len,
					.device_fd = device_fd,
					.region = region,
					.dmabuf = -1,
					.state = WEIR_PEER_HERE,
					.generation = 1 };
	snprintf(window->name, sizeof(window->name), "%s", name);
	/* Who closes a mapping by its handle holds the lock when it comes to weir_window_closing(). */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&window->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	*ret_window = window;
	return 0;
}

void weir_window_get(struct weir_window *window)
{
	atomic_fetch_add_explicit(&window->users, 1, memory_order_relaxed);
}

struct weir_window *weir_window_of(const struct weir_map *map)
{
	struct weir_window *window;

	if (!weir_map_is_of_window(map))
		return NULL;
	weir_gate_lock(&map->ioas->gate);
	window = map->held->window;
	if (window)
		weir_window_get(window);
	weir_gate_unlock(&map->ioas->gate);
	return window;
}

int weir_window_put(struct weir_window *window)
{
	int error;

	if (atomic_fetch_sub_explicit(&window->users, 1, memory_order_acq_rel) != 1)
		return 0;
	if (window->dmabuf >= 0)
		window->sys->close(window->sys->ctx, window->dmabuf);
	error = weir_sink_close(window->sys, window->sink);
	pthread_mutex_destroy(&window->lock);
	free(window);
	return error;
}

int weir_window_check(const struct weir_window *window)
{
	switch (window->state) {
	case WEIR_PEER_AWAY:
		return weir_fail(-EAGAIN, "%s is away: %s", window->name, window->reason);
	case WEIR_PEER_LOST:
		return weir_fail(-ENODEV, "%s is lost: %s", window->name, window->reason);
	default:
		return 0;
	}
}

static int explain_export(const struct weir_window *window, int error)
{
	switch (error) {
	case -ENOTTY:
	case -EOPNOTSUPP:
		return weir_fail(-EOPNOTSUPP,
				 "this kernel, or the driver that holds the device, does not export %s: that "
				 "takes vfio-pci "
				 "of Linux 6.19 with CONFIG_VFIO_PCI_DMABUF",
				 window->name);
	case -ENODEV:
		return weir_fail(-EOPNOTSUPP, "%s has no memory that could be exported", window->name);
	default:
		return weir_fail(error, "VFIO_DEVICE_FEATURE_DMA_BUF of %s: %s", window->name,
				 strerror(-error));
	}
}

int weir_window_export(struct weir_window *window, uint64_t offset, uint64_t len, int *ret_fd)
{
	int fd;

	if (window->no_dmabuf)
		return explain_export(window, window->no_dmabuf);
	fd = weir_vfio_device_dmabuf(window->sys, window->device_fd, window->region, offset, len);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	/* Everything else may be different another time. */
	if (fd == -ENOTTY || fd == -EOPNOTSUPP || fd == -ENODEV)
		window->no_dmabuf = fd;
	return explain_export(window, fd);
}

/* Get hold of the device, if that can be done at once. */
static bool take_owner(struct weir_window *window)
{
	bool taken;

	pthread_mutex_lock(&window->lock);
	taken = window->state == WEIR_PEER_HERE && !pthread_mutex_trylock(window->owner.lock);
	pthread_mutex_unlock(&window->lock);
	return taken;
}

void weir_window_follow_trace(struct weir_window *window)
{
	enum weir_window_trace trace = atomic_load(&window->trace);

	if (trace == WEIR_WINDOW_NO_TRACE || !take_owner(window))
		return;
	atomic_store(&window->trace, WEIR_WINDOW_NO_TRACE);
	window->owner.look(window->owner.ctx, trace == WEIR_WINDOW_TAKEN);
	pthread_mutex_unlock(window->owner.lock);
}

/*
 * Where the kernel has no dma-buf for it, its address may do: that is the backend's business. What cannot be had for a moment
 * is an error.
 */
static int prepare(struct weir_window *window, uint32_t flags)
{
	int error = weir_window_check(window);

	if (!error && window->dmabuf < 0)
		error = weir_window_export(window, 0, window->len, &window->dmabuf);
	if (error == -EOPNOTSUPP)
		error = 0;
	if (!error && (flags & WEIR_MAP_SINK) && !window->sink)
		error = weir_sink_open(window->sys, &window->sink);
	return error;
}

static void link_mapping(struct weir_window *window, struct weir_held *held)
{
	held->next = window->mappings;
	held->before = NULL;
	if (held->next)
		held->next->before = held;
	window->mappings = held;
	window->num_mappings++;
}

static void unlink_mapping(struct weir_window *window, struct weir_held *held)
{
	if (held->before)
		held->before->next = held->next;
	else
		window->mappings = held->next;
	if (held->next)
		held->next->before = held->before;
	window->num_mappings--;
}

static int map_locked(struct weir_window *window, struct weir_ioas *ioas, uint64_t offset, uint64_t len,
		      const struct weir_map_opts *o, struct weir_held *held)
{
	struct weir_map_opts device_memory = *o;
	struct weir_backing backing;
	int error = prepare(window, o->flags);

	if (error)
		return error;
	*held = (struct weir_held){
		.users = 1, .fd = -1, .window = window, .sinks = o->flags & WEIR_MAP_SINK
	};
	backing = (struct weir_backing){ .addr = (char *)window->addr + offset,
					 .offset = offset,
					 .fd = window->dmabuf };
	device_memory.flags |= WEIR_MAP_DEVICE_MEMORY;
	error = weir_ioas_map_held(ioas, &backing, held, len, &device_memory, NULL, &held->map);
	if (!error) {
		link_mapping(window, held);
		weir_window_get(window);
	} else if (error == -EAGAIN || error == -EOPNOTSUPP) {
		atomic_store(&window->trace, error == -EAGAIN ? WEIR_WINDOW_TAKEN : WEIR_WINDOW_REFUSED);
	}
	return error;
}

/* The kernel did not map it. If that was because it is away, and now this is known: say so. */
static int follow_refusal(struct weir_window *window, int error)
{
	struct weir_first first = { 0 };
	int away;

	weir_first_note(&first, error);
	weir_window_follow_trace(window);
	pthread_mutex_lock(&window->lock);
	away = weir_window_check(window);
	pthread_mutex_unlock(&window->lock);
	return away ? away : weir_first_error(&first);
}

int weir_window_map(struct weir_window *window, struct weir_ioas *ioas, uint64_t offset, uint64_t len,
		    const struct weir_map_opts *o, struct weir_map **ret_map)
{
	struct weir_held *held = malloc(sizeof(*held));
	int error;

	if (!held)
		return weir_fail(-ENOMEM, "no memory for a mapping");
	weir_window_follow_trace(window);
	pthread_mutex_lock(&window->lock);
	error = map_locked(window, ioas, offset, len, o, held);
	if (!error)
		*ret_map = held->map;
	pthread_mutex_unlock(&window->lock);
	if (error) {
		free(held);
		return follow_refusal(window, error);
	}
	return 0;
}

void weir_window_closing(struct weir_held *held)
{
	struct weir_window *window = held->window;

	pthread_mutex_lock(&window->lock);
	unlink_mapping(window, held);
	window->closing++;
	pthread_mutex_unlock(&window->lock);
}

int weir_window_closed(struct weir_held *held)
{
	struct weir_window *window = held->window;

	/* Who comes to the mapping still finds none from now on; who has found it has hold of it. */
	if (atomic_load_explicit(&held->parked, memory_order_relaxed)) {
		weir_gate_lock(&held->map->ioas->gate);
		held->window = NULL;
		weir_gate_unlock(&held->map->ioas->gate);
	}
	pthread_mutex_lock(&window->lock);
	window->closing--;
	pthread_mutex_unlock(&window->lock);
	return weir_window_put(window);
}

bool weir_window_is_used(struct weir_window *window)
{
	return atomic_load(&window->users) > 1;
}

int weir_window_explain(const struct weir_map *map, int error)
{
	const struct weir_window *window = map->held->window;

	switch (error) {
	case -ENODEV:
		return weir_fail(-EAGAIN, "the kernel has taken %s away: weir_device_resync() finds out why",
				 window->name);
	case -EFAULT:
	case -EINVAL:
	case -EOPNOTSUPP:
		return weir_fail(-EOPNOTSUPP,
				 "the kernel does not map %s for other devices (%s): iommufd does it for "
				 "what vfio-pci "
				 "exports as a dma-buf, from Linux 6.19; the VFIO container does it while "
				 "the device answers",
				 window->name, strerror(-error));
	default:
		return weir_fail(error, "the kernel refused to map %s to IOVA %#" PRIx64 ": %s", window->name,
				 weir_map_start(map), strerror(-error));
	}
}
