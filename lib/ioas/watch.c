// SPDX-License-Identifier: MIT
#include "ioas/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "error.h"

enum { PAUSE_NS = 100 * 1000 };

static _Thread_local uint32_t telling;

bool weir_watches_tell_here(void)
{
	return telling != 0;
}

static void pause_unlocked(struct weir_window *window)
{
	pthread_mutex_unlock(&window->lock);
	window->sys->sleep(window->sys->ctx, PAUSE_NS);
	pthread_mutex_lock(&window->lock);
}

/* The oldest of too many makes room. */
static void put_event(struct weir_watch *watch, const struct weir_peer_event *event)
{
	const struct weir_sys *sys = watch->window->sys;
	const uint64_t one = 1;

	if (watch->num == WEIR_WATCH_ROOM) {
		watch->first = (watch->first + 1) % WEIR_WATCH_ROOM;
		watch->num--;
	}
	watch->events[(watch->first + watch->num++) % WEIR_WATCH_ROOM] = *event;
	watch->withdrawn = event->kind == WEIR_PEER_WITHDRAWN;
	/* It is readable as long as there are events, and its counter cannot be full. */
	sys->write(sys->ctx, watch->fd, &one, sizeof(one));
}

/* The list can change while a callback runs, so each time this begins anew. */
static struct weir_watch *next_to_call(const struct weir_window *window)
{
	struct weir_watch *watch = window->watches;

	while (watch && (!watch->opts.callback || watch->told == window->tellings))
		watch = watch->next;
	return watch;
}

static void call_all(struct weir_window *window, const struct weir_peer_event *event)
{
	struct weir_watch *watch;

	while ((watch = next_to_call(window))) {
		watch->told = window->tellings;
		watch->running = true;
		pthread_mutex_unlock(&window->lock);
		telling++;
		watch->opts.callback(watch->opts.callback_ctx, event);
		telling--;
		pthread_mutex_lock(&window->lock);
		watch->running = false;
		watch->withdrawn = false;
	}
}

static uint64_t longest_patience(const struct weir_window *window)
{
	uint64_t longest = 0;

	for (const struct weir_watch *watch = window->watches; watch; watch = watch->next)
		if (watch->withdrawn && watch->opts.patience_ns > longest)
			longest = watch->opts.patience_ns;
	return longest;
}

static void wait_for_acknowledgements(struct weir_window *window)
{
	for (uint64_t waited = 0; waited < longest_patience(window); waited += PAUSE_NS)
		pause_unlocked(window);
}

void weir_watches_tell(struct weir_window *window, uint32_t kind, bool written)
{
	struct weir_peer_event event = { .kind = kind, .written = written };

	pthread_mutex_lock(&window->lock);
	event.generation = window->generation;
	memcpy(event.reason, window->reason, sizeof(event.reason));
	window->tellings++;
	for (struct weir_watch *watch = window->watches; watch; watch = watch->next)
		put_event(watch, &event);
	call_all(window, &event);
	if (kind == WEIR_PEER_WITHDRAWN)
		wait_for_acknowledgements(window);
	pthread_mutex_unlock(&window->lock);
}

int weir_watch_open(struct weir_window *window, uint32_t *count, const struct weir_watch_opts *o,
		    struct weir_watch **ret_watch)
{
	const struct weir_sys *sys = window->sys;
	struct weir_watch *watch = calloc(1, sizeof(*watch));
	int error = watch ? 0 : -ENOMEM;

	if (!error) {
		watch->window = window;
		watch->count = count;
		watch->opts = *o;
		watch->fd = sys->eventfd(sys->ctx, 0, EFD_CLOEXEC | EFD_NONBLOCK);
		error = watch->fd < 0 ? watch->fd : 0;
	}
	if (error) {
		free(watch);
		return weir_fail(error, "watching %s: %s", window->name, strerror(-error));
	}
	pthread_mutex_lock(&window->lock);
	if (window->state == WEIR_PEER_LOST) {
		error = weir_window_check(window);
	} else {
		watch->told = window->tellings;
		watch->next = window->watches;
		window->watches = watch;
		weir_window_get(window);
		++*count;
	}
	pthread_mutex_unlock(&window->lock);
	if (error) {
		sys->close(sys->ctx, watch->fd);
		free(watch);
		return error;
	}
	*ret_watch = watch;
	return 0;
}

int weir_watch_close(struct weir_watch *watch)
{
	struct weir_window *window;
	struct weir_watch **link;

	if (!watch)
		return 0;
	window = watch->window;
	pthread_mutex_lock(&window->lock);
	for (link = &window->watches; *link != watch;)
		link = &(*link)->next;
	*link = watch->next;
	--*watch->count;
	while (watch->running)
		pause_unlocked(window);
	pthread_mutex_unlock(&window->lock);
	window->sys->close(window->sys->ctx, watch->fd);
	free(watch);
	return weir_window_put(window);
}

int weir_watch_fd(const struct weir_watch *watch)
{
	return watch->fd;
}

int weir_watch_next(struct weir_watch *watch, struct weir_peer_event *ret_event, size_t size)
{
	struct weir_window *window = watch->window;
	const struct weir_sys *sys = window->sys;
	struct weir_peer_event event;
	uint64_t counter;
	bool any;

	pthread_mutex_lock(&window->lock);
	any = watch->num > 0;
	if (any) {
		event = watch->events[watch->first];
		watch->first = (watch->first + 1) % WEIR_WATCH_ROOM;
		if (!--watch->num)
			sys->read(sys->ctx, watch->fd, &counter, sizeof(counter));
	}
	pthread_mutex_unlock(&window->lock);
	if (!any)
		return weir_fail(-EAGAIN, "nothing has happened to %s", window->name);
	weir_result_write(ret_event, size, &event, sizeof(event));
	return 0;
}

int weir_watch_ack(struct weir_watch *watch)
{
	pthread_mutex_lock(&watch->window->lock);
	watch->withdrawn = false;
	pthread_mutex_unlock(&watch->window->lock);
	return 0;
}
