// SPDX-License-Identifier: MIT
/*
 * Windows of devices: one memory region, that follows the window as it goes and comes.
 *
 * Withdrawn: what uses the keys is told, then the region is deregistered, then (when the callback has returned) the device is touched. So
 * a key that the other side still uses is refused by the RDMA device, whatever its driver makes of memory that goes away. Only where
 * the driver is known to find the window again by itself, the region stays.
 *
 * Locks: a window's own is taken before the peer window's, and not held while the program is told.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "rdma/rdma.h"

struct weir_rdma_window {
	struct weir_rdma *rdma;
	struct weir_peer *peer;
	struct weir_watch *watch;
	struct weir_rdma_window_opts opts; /* len and addr as they are */
	enum weir_rdma_way way;
	pthread_mutex_t lock; /* guards what follows */
	struct ibv_mr *mr;    /* NULL: none */
	uint32_t old_lkey, old_rkey;
	enum weir_peer_state state;
	uint64_t generation, registrations;
	char reason[160];
};

static int explain_refusal(const struct weir_rdma *rdma, int error)
{
	const char *driver = *rdma->driver ? rdma->driver : "an unknown driver";

	switch (error) {
	case -EOPNOTSUPP:
		return weir_fail(error, "%s (%s) does not take a device's memory: %s", rdma->device, driver,
				 weir_provider_refusal(rdma->driver));
	case -ENODEV:
		return weir_fail(-EAGAIN,
				 "%s (%s) found the window gone: it was taken away behind the library's "
				 "back, and weir_device_resync() gets it back",
				 rdma->device, driver);
	case -EINVAL:
		return weir_fail(
			-EHOSTUNREACH,
			"the kernel sees no way from %s (%s) to the window, or does not want it used: "
			"weir_reach_ask() tells what lies between",
			rdma->device, driver);
	default:
		return weir_fail(error, "ibv_reg_dmabuf_mr() on %s (%s): %s", rdma->device, driver,
				 strerror(-error));
	}
}

/* The lock is held. The dma-buf lives on in the region. */
static int register_window(struct weir_rdma_window *w)
{
	const struct weir_rdma_window_opts *o = &w->opts;
	struct weir_peer_info info;
	int fd, error = weir_peer_dmabuf(w->peer, &fd);

	if (error)
		return error;
	errno = 0;
	w->mr = w->rdma->verbs->reg_dmabuf_mr(w->rdma->pd, o->offset, o->len, o->addr, fd, o->access);
	error = w->mr ? 0 : errno > 0 ? -errno : -EIO;
	close(fd);
	if (error)
		return explain_refusal(w->rdma, error);
	weir_peer_info(w->peer, &info, sizeof(info));
	w->generation = info.generation;
	w->registrations++;
	w->state = WEIR_PEER_HERE;
	*w->reason = '\0';
	return 0;
}

/* The lock is held. What could not be deregistered is kept, to be tried again. */
static int deregister_window(struct weir_rdma_window *w)
{
	int error = w->mr ? weir_rdma_deregister(w->rdma, w->mr) : 0;

	if (!error)
		w->mr = NULL;
	return error;
}

static void set_reason(struct weir_rdma_window *w, const char *reason)
{
	snprintf(w->reason, sizeof(w->reason), "%s", reason);
}

/* Call the program. No lock is held. */
static void tell(struct weir_rdma_window *w, struct weir_rdma_event *event)
{
	if (w->opts.callback)
		w->opts.callback(w->opts.callback_ctx, event);
}

/* ---- As the window goes and comes ---- */

static void go_away(struct weir_rdma_window *w, const struct weir_peer_event *seen)
{
	struct weir_rdma_event event = { .kind = WEIR_RDMA_WITHDRAWN, .generation = seen->generation };
	bool was_here;

	memcpy(event.reason, seen->reason, sizeof(event.reason));
	pthread_mutex_lock(&w->lock);
	was_here = w->state == WEIR_PEER_HERE && w->mr;
	if (was_here) {
		w->state = WEIR_PEER_AWAY;
		w->old_lkey = w->mr->lkey;
		w->old_rkey = w->mr->rkey;
		set_reason(w, seen->reason);
	}
	pthread_mutex_unlock(&w->lock);
	if (!was_here)
		return;
	tell(w, &event);
	pthread_mutex_lock(&w->lock);
	if (w->way == WEIR_RDMA_ANEW)
		deregister_window(w);
	pthread_mutex_unlock(&w->lock);
}

/* Register it anew, where that is the way. The lock is held. What is away again behind the library's back stays away. */
static void come_back(struct weir_rdma_window *w, uint64_t generation)
{
	int error = 0;

	if (w->way == WEIR_RDMA_RECOVERS && w->mr) {
		w->state = WEIR_PEER_HERE;
		w->generation = generation;
		*w->reason = '\0';
		return;
	}
	error = deregister_window(w);
	if (!error)
		error = register_window(w);
	if (!error)
		return;
	set_reason(w, weir_error());
	if (error != -EAGAIN)
		w->state = WEIR_PEER_LOST;
}

static void be_back(struct weir_rdma_window *w, const struct weir_peer_event *seen)
{
	struct weir_rdma_event event = { .generation = seen->generation };
	bool told;

	pthread_mutex_lock(&w->lock);
	told = w->state == WEIR_PEER_AWAY;
	if (told)
		come_back(w, seen->generation);
	told = told && w->state != WEIR_PEER_AWAY;
	event.kind = w->state == WEIR_PEER_HERE ? WEIR_RDMA_RESTORED : WEIR_RDMA_LOST;
	if (event.kind == WEIR_RDMA_RESTORED && w->mr) {
		event.lkey = w->mr->lkey;
		event.rkey = w->mr->rkey;
		event.new_keys = w->mr->lkey != w->old_lkey || w->mr->rkey != w->old_rkey;
	}
	memcpy(event.reason, w->reason, sizeof(event.reason));
	pthread_mutex_unlock(&w->lock);
	if (told)
		tell(w, &event);
}

static void be_lost(struct weir_rdma_window *w, const struct weir_peer_event *seen)
{
	struct weir_rdma_event event = { .kind = WEIR_RDMA_LOST, .generation = seen->generation };
	bool was_lost;

	memcpy(event.reason, seen->reason, sizeof(event.reason));
	pthread_mutex_lock(&w->lock);
	was_lost = w->state == WEIR_PEER_LOST;
	w->state = WEIR_PEER_LOST;
	if (!was_lost)
		set_reason(w, seen->reason);
	pthread_mutex_unlock(&w->lock);
	if (!was_lost)
		tell(w, &event);
	pthread_mutex_lock(&w->lock);
	deregister_window(w);
	pthread_mutex_unlock(&w->lock);
}

static void on_event(void *ctx, const struct weir_peer_event *event)
{
	struct weir_rdma_window *w = ctx;

	switch (event->kind) {
	case WEIR_PEER_WITHDRAWN:
		go_away(w, event);
		break;
	case WEIR_PEER_RESTORED:
		be_back(w, event);
		break;
	case WEIR_PEER_IS_LOST:
		be_lost(w, event);
		break;
	default:
		break;
	}
}

/* ---- What the program calls ---- */

/* Complete and check the options against the peer window. */
static int read_options(struct weir_peer *peer, const struct weir_rdma_window_opts *opts,
			struct weir_rdma_window_opts *o)
{
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;
	struct weir_peer_info info;
	int error = weir_opts_read(opts, o, sizeof(*o));

	if (error)
		return error;
	weir_peer_info(peer, &info, sizeof(info));
	if (o->offset >= info.len || o->len > info.len - o->offset)
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes from %#" PRIx64
				 " on go beyond the window, which has %#" PRIx64,
				 o->len, o->offset, info.len);
	if (!o->len)
		o->len = info.len - o->offset;
	if (!o->addr)
		o->addr = o->offset & mask;
	if ((o->addr ^ o->offset) & mask)
		return weir_fail(-EINVAL,
				 "address %#" PRIx64 " for what lies at %#" PRIx64
				 " in the window: RDMA devices need both to be equal modulo %#" PRIx64,
				 o->addr, o->offset, mask + 1);
	if (o->len - 1 > UINT64_MAX - o->addr)
		return weir_fail(-EINVAL, "%#" PRIx64 " bytes from address %#" PRIx64 " on: there is an end",
				 o->len, o->addr);
	return weir_rdma_check_access(o->access);
}

int weir_rdma_window_open(struct weir_rdma *rdma, struct weir_peer *peer,
			  const struct weir_rdma_window_opts *opts, struct weir_rdma_window **ret_window)
{
	struct weir_rdma_window *w = calloc(1, sizeof(*w));
	struct weir_first first = { 0 };
	int error =
		w ? read_options(peer, opts, &w->opts) : weir_fail(-ENOMEM, "no memory for a registration");

	if (error) {
		free(w);
		return error;
	}
	w->rdma = rdma;
	w->peer = peer;
	w->way = weir_provider_way(rdma->driver);
	/* Until it is registered, what happens to the window is nothing that anybody is told of. */
	w->state = WEIR_PEER_LOST;
	pthread_mutex_init(&w->lock, NULL);
	atomic_fetch_add(&rdma->users, 1);
	weir_first_note(&first,
			weir_peer_watch(peer,
					&WEIR_OPTS(weir_watch_opts, .callback = on_event, .callback_ctx = w),
					&w->watch));
	if (!first.error) {
		pthread_mutex_lock(&w->lock);
		weir_first_note(&first, register_window(w));
		pthread_mutex_unlock(&w->lock);
	}
	if (first.error) {
		weir_rdma_window_close(w);
		return weir_first_error(&first);
	}
	*ret_window = w;
	return 0;
}

int weir_rdma_window_close(struct weir_rdma_window *w)
{
	int error;

	if (!w)
		return 0;
	weir_watch_close(w->watch);
	error = deregister_window(w);
	atomic_fetch_sub(&w->rdma->users, 1);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return error;
}

int weir_rdma_window_range(struct weir_rdma_window *w, uint64_t offset, uint64_t len,
			   struct weir_rdma_range *ret_range)
{
	int error = 0;

	if (offset > w->opts.len || len > w->opts.len - offset)
		return weir_fail(-ERANGE,
				 "%#" PRIx64 " bytes from %#" PRIx64 " on of %#" PRIx64
				 " that are registered",
				 len, offset, w->opts.len);
	pthread_mutex_lock(&w->lock);
	if (w->state == WEIR_PEER_AWAY)
		error = weir_fail(-EAGAIN, "on %s, the window is away: %s", w->rdma->device, w->reason);
	else if (w->state == WEIR_PEER_LOST || !w->mr)
		error = weir_fail(-ENODEV, "on %s, the window is lost: %s", w->rdma->device, w->reason);
	else
		*ret_range = (struct weir_rdma_range){
			.addr = w->opts.addr + offset, .len = len, .lkey = w->mr->lkey, .rkey = w->mr->rkey
		};
	pthread_mutex_unlock(&w->lock);
	return error;
}

int weir_rdma_window_info(struct weir_rdma_window *w, struct weir_rdma_window_info *ret_info, size_t size)
{
	struct weir_rdma_window_info info = { .addr = w->opts.addr, .len = w->opts.len, .way = w->way };

	pthread_mutex_lock(&w->lock);
	info.generation = w->generation;
	info.registrations = w->registrations;
	info.state = w->state;
	if (w->state == WEIR_PEER_HERE && w->mr) {
		info.lkey = w->mr->lkey;
		info.rkey = w->mr->rkey;
	}
	memcpy(info.reason, w->reason, sizeof(info.reason));
	pthread_mutex_unlock(&w->lock);
	memcpy(info.device, w->rdma->device, sizeof(info.device));
	memcpy(info.driver, w->rdma->driver, sizeof(info.driver));
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
