// SPDX-License-Identifier: MIT
/* Queues of page requests: opened, read, answered, closed. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend/table.h"
#include "error.h"
#include "faultq/queue.h"
#include "host/host.h"

#define DEFAULT_ANSWER_NS 10000000000u
#define DEFAULT_LEAVE_NS  1000000000u
enum { NS_PER_MS = 1000000, AT_ONCE = 16 };

/* Of all queues that were made; a token's number is one of these, or made up. */
static _Atomic uint32_t last_number;

/* Opening and closing ---------------------------------------------------------------------------------------------- */

static int read_options(const struct weir_faultq_opts *opts, struct weir_faultq_opts *ret_opts)
{
	int error = weir_opts_read(opts, ret_opts, sizeof(*ret_opts));

	if (error)
		return error;
	if (ret_opts->leave > WEIR_FAULTQ_WAIT || ret_opts->reserved)
		return weir_fail(-EINVAL, "leave is %u, which is no rule; reserved is 0", ret_opts->leave);
	if (ret_opts->leave_ns && ret_opts->leave != WEIR_FAULTQ_WAIT)
		return weir_fail(-EINVAL, "leave_ns is for WEIR_FAULTQ_WAIT");
	if (!ret_opts->answer_ns)
		ret_opts->answer_ns = DEFAULT_ANSWER_NS;
	if (!ret_opts->leave_ns)
		ret_opts->leave_ns = DEFAULT_LEAVE_NS;
	return 0;
}

uint32_t weir_faultq_next_number(uint32_t above)
{
	uint32_t last = atomic_load(&last_number), next;

	do
		next = (last > above ? last : above) + 1;
	while (!atomic_compare_exchange_weak(&last_number, &last, next));
	return next;
}

void weir_faultq_init(struct weir_faultq *queue)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;

	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_settype(&mutex, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&queue->lock, &mutex);
	pthread_mutexattr_destroy(&mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->settled, &cond);
	pthread_condattr_destroy(&cond);
}

/* The host's lock is held. */
static int open_in_kernel(struct weir_faultq *queue)
{
	const struct weir_domain_ops *ops = queue->host->kernel.ops->domains;
	int error;

	if (!ops)
		return weir_fail(-EOPNOTSUPP, "the VFIO container has no page requests");
	error = ops->open_faults(&queue->host->kernel, &queue->id, &queue->fd);
	if (error == -ENOTTY)
		return weir_fail(-EOPNOTSUPP, "this kernel has no queues of page requests (Linux 6.11 has)");
	return error ? weir_fail(error, "IOMMU_FAULT_QUEUE_ALLOC: %s", strerror(-error)) : 0;
}

void weir_faultq_enlist(struct weir_faultq *queue)
{
	queue->next = queue->host->faultqs;
	queue->host->faultqs = queue;
	queue->host->num_faultqs++;
}

void weir_faultq_delist(struct weir_faultq *queue)
{
	struct weir_faultq **link = &queue->host->faultqs;

	while (*link != queue)
		link = &(*link)->next;
	*link = queue->next;
	queue->host->num_faultqs--;
}

void weir_faultq_free(struct weir_faultq *queue)
{
	pthread_cond_destroy(&queue->settled);
	pthread_mutex_destroy(&queue->lock);
	free(queue->records);
	free(queue);
}

/* Noted before, and with a keeper before anybody depends on it. The host's lock is held. */
static int make(struct weir_faultq *queue)
{
	struct weir_host *host = queue->host;
	struct weir_first first = { 0 };
	int error = weir_faultq_note(queue);

	if (error)
		return error;
	error = open_in_kernel(queue);
	if (!error) {
		error = weir_faultq_note_made(queue);
		weir_first_note(&first, error);
		if (error)
			host->kernel.ops->domains->close_faults(&host->kernel, queue->id, queue->fd);
	}
	weir_first_note(&first, error);
	if (error)
		weir_faultq_note_end(queue);
	else
		weir_faultq_enlist(queue);
	return weir_first_error(&first);
}

int weir_faultq_open(struct weir_host *host, const struct weir_faultq_opts *opts,
		     struct weir_faultq **ret_queue)
{
	struct weir_faultq_opts o;
	struct weir_faultq *queue;
	int error = read_options(opts, &o);

	if (error)
		return error;
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return weir_fail(-ENOMEM, "no memory for a queue of page requests");
	queue->host = host;
	queue->kernel = &host->kernel;
	queue->sys = host->kernel.sys;
	queue->opts = o;
	queue->number = weir_faultq_next_number(0);
	weir_faultq_init(queue);
	pthread_mutex_lock(&host->lock);
	error = make(queue);
	pthread_mutex_unlock(&host->lock);
	if (error) {
		weir_faultq_free(queue);
		return error;
	}
	*ret_queue = queue;
	return 0;
}

/* The host's lock is held. */
static int check_unused(const struct weir_faultq *queue)
{
	if (queue->num_domains)
		return weir_fail(
			-EBUSY,
			"%u domains have this queue, and %u groups of page requests are outstanding: close "
			"the domains first",
			queue->num_domains, queue->counts.num_outstanding);
	if (atomic_load(&queue->num_spaces))
		return weir_fail(-EBUSY, "%u nested spaces have this queue: close them first",
				 atomic_load(&queue->num_spaces));
	if (queue->users)
		return weir_fail(-EBUSY, "a thread waits for requests of this queue to be answered");
	return 0;
}

int weir_faultq_close(struct weir_faultq *queue)
{
	struct weir_host *host = queue ? queue->host : NULL;
	int error;

	if (!queue)
		return 0;
	pthread_mutex_lock(&host->lock);
	pthread_mutex_lock(&queue->lock);
	error = check_unused(queue);
	pthread_mutex_unlock(&queue->lock);
	if (error) {
		pthread_mutex_unlock(&host->lock);
		return error;
	}
	weir_faultq_note_leaving(queue);
	error = host->kernel.ops->domains->close_faults(&host->kernel, queue->id, queue->fd);
	weir_faultq_note_end(queue);
	weir_faultq_delist(queue);
	pthread_mutex_unlock(&host->lock);
	weir_faultq_free(queue);
	/* That there was something left to close is not to be taken for its being open. */
	return error ? weir_fail(error == -EBUSY ? -EIO : error, "closing a queue of page requests: %s",
				 strerror(-error))
		     : 0;
}

int weir_faultq_fd(const struct weir_faultq *queue)
{
	return queue->fd;
}

/* Time ------------------------------------------------------------------------------------------------------------- */

int weir_faultq_timeout(struct weir_faultq *queue)
{
	const struct weir_faultq_group *group;
	uint64_t now = weir_faultq_now(), ms = UINT64_MAX;

	pthread_mutex_lock(&queue->lock);
	group = weir_faultq_group_from(queue, 0);
	if (queue->num_left || weir_faultq_group_from(queue, queue->last_out + 1))
		ms = 0; /* what a predecessor had read, or a reset: poll() does not say so */
	else if (group && group->due != UINT64_MAX)
		ms = group->due <= now ? 0 : (group->due - now + NS_PER_MS - 1) / NS_PER_MS;
	pthread_mutex_unlock(&queue->lock);
	if (ms == UINT64_MAX)
		return -1;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

int weir_faultq_expire(struct weir_faultq *queue)
{
	int num;

	pthread_mutex_lock(&queue->lock);
	num = weir_faultq_check(queue);
	if (!num)
		num = weir_faultq_expire_locked(queue, weir_faultq_now());
	pthread_mutex_unlock(&queue->lock);
	return num;
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

/* The next that nobody has, or NULL. */
static struct weir_fault *give_out(struct weir_faultq *queue)
{
	struct weir_faultq_group *group = weir_faultq_group_from(queue, queue->last_out + 1);
	struct weir_fault *fault = group ? group->fault : NULL;

	if (!group)
		return NULL;
	queue->last_out = group->by_serial.key;
	group->fault = NULL;
	return fault;
}

int weir_faultq_read(struct weir_faultq *queue, struct weir_fault **ret_faults, size_t room)
{
	size_t taken = 0;
	int error;

	if (room > INT32_MAX)
		room = INT32_MAX;
	pthread_mutex_lock(&queue->lock);
	error = weir_faultq_check(queue);
	if (!error)
		error = weir_faultq_expire_locked(queue, weir_faultq_now());
	error = error < 0 ? error : 0;
	while (taken < room && !error) {
		struct weir_fault *fault = give_out(queue);
		int num;

		if (fault) {
			ret_faults[taken++] = fault;
			continue;
		}
		/* What was malformed is not there to be given, and there may be more behind it. */
		num = weir_faultq_fetch(queue, room - taken);
		error = num < 0 ? num : 0;
		if (num <= 0)
			break;
	}
	pthread_mutex_unlock(&queue->lock);
	return error && !taken ? error : (int)taken;
}

void weir_fault_free(struct weir_fault *fault)
{
	free(fault);
}

/* Answering -------------------------------------------------------------------------------------------------------- */

static int fail_stale(struct weir_faultq *queue, const struct weir_fault_token *token)
{
	queue->counts.num_stale++;
	return weir_fail(-ESTALE,
			 "the group of page requests (device %u, PASID %u, index %u) was answered before, or "
			 "with failure: late, "
			 "or because its device left, or its queue was closed",
			 token->device, token->pasid, token->group);
}

static bool is_of(const struct weir_faultq_group *group, const struct weir_fault_token *token)
{
	return group->member->dev_id == token->device && group->pasid == token->pasid &&
	       group->grpid == token->group;
}

/* The lock is held. */
static int find(struct weir_faultq *queue, const struct weir_fault_token *token,
		struct weir_faultq_group **ret_group)
{
	struct weir_faultq_group *group;

	if (!token->queue || token->queue > atomic_load(&last_number) || !token->serial ||
	    (token->queue == queue->number && token->serial > queue->last_serial))
		return weir_fail(-EINVAL, "no queue ever gave this token");
	group = token->queue == queue->number ? weir_faultq_group_from(queue, token->serial) : NULL;
	if (!group || group->by_serial.key != token->serial)
		return fail_stale(queue, token);
	/* One that is not out yet can only have been guessed. */
	if (!is_of(group, token) || group->fault)
		return weir_fail(-EINVAL, "this token was changed");
	*ret_group = group;
	return 0;
}

int weir_faultq_respond(struct weir_faultq *queue, const struct weir_fault_token *token, uint32_t code)
{
	struct weir_faultq_group *group;
	int error;

	if (code != WEIR_FAULT_SUCCESS && code != WEIR_FAULT_INVALID)
		return weir_fail(-EINVAL, "%u is no answer to a page request", code);
	pthread_mutex_lock(&queue->lock);
	error = weir_faultq_check(queue);
	if (error == -ESTALE)
		queue->counts.num_stale++;
	if (!error)
		error = weir_faultq_expire_locked(queue, weir_faultq_now());
	error = error < 0 ? error : find(queue, token, &group);
	if (!error) {
		error = weir_faultq_answer(queue, group, code, &queue->counts.num_answered);
		if (error == -ESTALE)
			fail_stale(queue, token);
	}
	pthread_mutex_unlock(&queue->lock);
	return error;
}

int weir_faultq_run(struct weir_faultq *queue, weir_fault_handler *handler, void *ctx)
{
	struct weir_fault *faults[AT_ONCE];
	struct weir_first first = { 0 };
	int num = weir_faultq_read(queue, faults, AT_ONCE);

	for (int i = 0; i < num; i++) {
		struct weir_fault_token token = faults[i]->token;
		int code = handler(ctx, faults[i]), error;

		weir_fault_free(faults[i]);
		if (code == WEIR_FAULT_LATER)
			continue;
		/* What a handler says that is no answer is none. */
		error = weir_faultq_respond(
			queue, &token, code == WEIR_FAULT_SUCCESS ? WEIR_FAULT_SUCCESS : WEIR_FAULT_INVALID);
		if (error != -ESTALE)
			weir_first_note(&first, error);
	}
	return first.error ? weir_first_error(&first) : num;
}

int weir_fault_refuse(void *ctx, const struct weir_fault *fault)
{
	(void)ctx;
	(void)fault;
	return WEIR_FAULT_INVALID;
}

int weir_faultq_info(struct weir_faultq *queue, struct weir_faultq_info *ret_info, size_t size)
{
	struct weir_faultq_info info;

	pthread_mutex_lock(&queue->host->lock);
	pthread_mutex_lock(&queue->lock);
	info = queue->counts;
	info.num_domains = queue->num_domains;
	pthread_mutex_unlock(&queue->lock);
	pthread_mutex_unlock(&queue->host->lock);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
