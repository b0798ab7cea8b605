// SPDX-License-Identifier: MIT
/* Giving a host: all that maps is held up, the other side takes it, and then it is let go of here. */
#include <errno.h>
#include <sched.h>

#include "error.h"
#include "faultq/queue.h"
#include "handover/handover.h"
#include "ioas/window.h"
#include "nested/nested.h"

/* Nested spaces first: what they have deferred changes their parts. Runs to its end. */
static int hold_up(struct weir_host *host)
{
	struct weir_first first = { 0 };

	for (struct weir_ioas *ioas = host->spaces; ioas; ioas = ioas->next) {
		if (!ioas->space.layer)
			continue;
		weir_ioas_begin_transition(ioas);
		weir_first_note(&first, weir_nested_space_flush(ioas));
	}
	for (struct weir_ioas *ioas = host->spaces; ioas; ioas = ioas->next)
		if (!ioas->space.layer)
			weir_ioas_begin_transition(ioas);
	weir_faultqs_hold(host);
	return weir_first_error(&first);
}

/* @gone: for the successor alone. */
static void go_on(struct weir_host *host, bool gone)
{
	weir_faultqs_release(host, gone);
	for (struct weir_ioas *ioas = host->spaces; ioas; ioas = ioas->next)
		weir_ioas_end_transition(ioas);
}

static int take_back(void *ctx)
{
	return weir_handover_take(ctx);
}

struct weir_giver weir_handover_giver(struct weir_host *host, int socket, int timeout_ms)
{
	struct weir_journal *journal = host->kernel.journal;

	return (struct weir_giver){ .sys = host->kernel.sys,
				    .socket = socket,
				    .timeout_ms = timeout_ms,
				    .journal = journal->fd,
				    .fds = journal->fds,
				    .header = journal->header,
				    .tables = journal->layout.tables,
				    .used = weir_journal_used(journal, WEIR_JOURNAL_FDS),
				    .take_back = take_back,
				    .ctx = host };
}

/*
 * The handle of every mapping ends: who waits to close it finds that somebody else has. Whoever withdraws a window, which may be another host's, waits for none of them: its
 * lock is not taken for that, since who has it may wait for the end of this transition.
 */
static void end_maps(struct weir_ioas *ioas)
{
	for (struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));) {
		atomic_store(&map->state, WEIR_MAP_LEAVING);
		if (map->held && map->held->window)
			map->held->away = true;
	}
}

/* Those who waited at the gate are told -ESTALE, and leave, before the space goes. */
static void wait_for_waiters(struct weir_ioas *ioas)
{
	while (atomic_load(&ioas->gate.num_waiting) ||
	       atomic_load(&ioas->gate.word) & ~(uint32_t)WEIR_GATE_WAITING)
		sched_yield();
	/* Whoever was woken last gives up the mutex. */
	pthread_mutex_lock(&ioas->gate.mutex);
	pthread_mutex_unlock(&ioas->gate.mutex);
}

/* The host is the successor's. */
static void end_giving(struct weir_host *host)
{
	host->kernel.journal->stale = true;
	for (struct weir_ioas *ioas = host->spaces; ioas; ioas = ioas->next)
		end_maps(ioas);
	go_on(host, true);
	for (struct weir_ioas *ioas = host->spaces; ioas; ioas = ioas->next)
		wait_for_waiters(ioas);
	pthread_mutex_unlock(&host->lock);
	weir_handover_let_go(host);
}

int weir_handover_begin(struct weir_host *host, uint32_t flags)
{
	struct weir_first first = { 0 };
	int error;

	/* Before the lock, for whoever has it may end the host. */
	if (atomic_exchange(&host->is_given, true))
		return weir_fail(-EBUSY, "a hand-over of this host is under way");
	pthread_mutex_lock(&host->lock);
	error = host->taken ? weir_fail(-EBUSY, "this host was received, and is not finished")
			    : weir_handover_check_before(host, flags);
	if (error) {
		atomic_store(&host->is_given, false);
		pthread_mutex_unlock(&host->lock);
		return error;
	}
	error = hold_up(host);
	if (!error)
		error = weir_handover_drop(host, flags);
	if (!error)
		return 0;
	weir_first_note(&first, error);
	weir_handover_cancel(host);
	return weir_first_error(&first);
}

int weir_handover_cancel(struct weir_host *host)
{
	int error = weir_handover_put_back(host);

	go_on(host, false);
	atomic_store(&host->is_given, false);
	pthread_mutex_unlock(&host->lock);
	return error;
}

int weir_handover_give(struct weir_host *host, int socket, const struct weir_handover_opts *opts)
{
	struct weir_handover_opts o;
	struct weir_first first = { 0 };
	struct weir_giver giver;
	int error = weir_handover_read_options(opts, &o);

	if (!error)
		error = weir_handover_check_socket(socket);
	if (!error)
		error = weir_handover_begin(host, o.flags);
	if (error)
		return error;
	giver = weir_handover_giver(host, socket, weir_handover_timeout(&o));
	error = weir_handover_pass(&giver);
	if (!error) {
		end_giving(host);
		return 0;
	}
	weir_first_note(&first, error);
	error = weir_handover_cancel(host);
	return error ? error : weir_first_error(&first);
}

int weir_handover_read_options(const struct weir_handover_opts *opts, struct weir_handover_opts *o)
{
	int error = weir_opts_read(opts, o, sizeof(*o));

	if (!error && o->flags & ~(WEIR_HANDOVER_DROP_MAPS | WEIR_HANDOVER_DROP_PEERS))
		error = weir_fail(-EINVAL, "unknown flags %#x", o->flags);
	return error;
}
