// SPDX-License-Identifier: MIT
/* Before a device leaves its queues: what the rule says of what is outstanding. */
#include <errno.h>
#include <time.h>

#include "backend/table.h"
#include "error.h"
#include "faultq/queue.h"
#include "host/host.h"

enum { NS = 1000000000 };

/* Which members a departure is about: a function with all its PASIDs, its group without any, or one PASID. */
struct departure {
	const struct weir_function *function;
	const struct weir_group *group;
	uint32_t pasid;
};

static bool is_about(const struct departure *departure, const struct weir_faultq_member *member)
{
	if (departure->pasid == WEIR_FAULTQ_ANY || departure->pasid != WEIR_NO_PASID)
		return member->function == departure->function &&
		       (departure->pasid == WEIR_FAULTQ_ANY || member->pasid == departure->pasid);
	return member->group == departure->group && member->pasid == WEIR_NO_PASID;
}

static bool is_awaited(struct weir_faultq *queue, const struct departure *departure, uint64_t last_serial)
{
	struct weir_faultq_group *group = weir_faultq_group_from(queue, 0);

	while (group && group->by_serial.key <= last_serial && !is_about(departure, group->member))
		group = weir_faultq_group_from(queue, group->by_serial.key + 1);
	return group && group->by_serial.key <= last_serial;
}

/* Until one is answered, or due, or it is @until. The lock is held. */
static void sleep_in(struct weir_faultq *queue, uint64_t until)
{
	const struct weir_faultq_group *first = weir_faultq_group_from(queue, 0);
	struct timespec at;

	if (first && first->due < until)
		until = first->due;
	at = (struct timespec){ .tv_sec = (time_t)(until / NS), .tv_nsec = (long)(until % NS) };
	pthread_cond_timedwait(&queue->settled, &queue->lock, &at);
}

static void wait_in(struct weir_faultq *queue, const struct departure *departure)
{
	uint64_t now = weir_faultq_now(), until = now + queue->opts.leave_ns;
	uint64_t last_serial;

	if (until < now)
		until = UINT64_MAX;
	pthread_mutex_lock(&queue->lock);
	last_serial = queue->last_serial;
	while (now < until && is_awaited(queue, departure, last_serial)) {
		/* If the kernel cannot be told, waiting for what is due would be in vain. */
		if (weir_faultq_expire_locked(queue, now) < 0)
			break;
		if (is_awaited(queue, departure, last_serial))
			sleep_in(queue, until);
		now = weir_faultq_now();
	}
	pthread_mutex_unlock(&queue->lock);
}

static struct weir_faultq *next_queue(struct weir_function *function, uint32_t pasid, uint32_t skip)
{
	for (const struct weir_attachment *a = function->attachments; a; a = a->next) {
		struct weir_faultq *queue = a->table->faults;

		if (!queue || queue->opts.leave != WEIR_FAULTQ_WAIT ||
		    (pasid != WEIR_FAULTQ_ANY && a->pasid != pasid))
			continue;
		if (!skip--)
			return queue;
	}
	return NULL;
}

/* One after the other, with the host's lock taken again in between: who comes meanwhile is not waited for. */
void weir_faultq_wait(struct weir_host *host, struct weir_function *function, uint32_t pasid)
{
	const struct departure departure = { function, function->group, pasid };
	struct weir_faultq *queues[8];
	uint32_t num = 0;

	while (num < sizeof(queues) / sizeof(queues[0]) && (queues[num] = next_queue(function, pasid, num)))
		queues[num++]->users++;
	if (!num)
		return;
	pthread_mutex_unlock(&host->lock);
	for (uint32_t i = 0; i < num; i++)
		wait_in(queues[i], &departure);
	pthread_mutex_lock(&host->lock);
	for (uint32_t i = 0; i < num; i++)
		queues[i]->users--;
}

int weir_faultq_check_leave(const struct weir_function *function)
{
	int error = 0;

	for (const struct weir_attachment *a = function->attachments; a && !error; a = a->next) {
		error = weir_faultq_hold(a->table->faults, function, a->pasid);
		if (!error)
			weir_faultq_release(a->table->faults);
	}
	return error;
}

/* What nobody has read yet is as old; but a device that never stops asking does not hold up its reset. */
static void read_what_is_there(struct weir_faultq *queue)
{
	enum { AT_ONCE = 256, TIMES = 16 };
	int times = 0;

	while (weir_faultq_fetch(queue, AT_ONCE) > 0 && ++times < TIMES)
		;
}

static void fail_in(struct weir_faultq *queue, const struct weir_function *function)
{
	struct weir_faultq_group *group;
	uint64_t from = 0;

	pthread_mutex_lock(&queue->lock);
	read_what_is_there(queue);
	while ((group = weir_faultq_group_from(queue, from))) {
		from = group->by_serial.key + 1;
		if (group->member->function == function)
			weir_faultq_answer(queue, group, ABI_IOMMUFD_PAGE_RESP_INVALID,
					   &queue->counts.num_orphaned);
	}
	pthread_mutex_unlock(&queue->lock);
}

void weir_faultq_fail_all(const struct weir_function *function)
{
	for (const struct weir_attachment *a = function->attachments; a; a = a->next)
		if (a->table->faults)
			fail_in(a->table->faults, function);
}
