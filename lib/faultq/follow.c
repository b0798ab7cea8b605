// SPDX-License-Identifier: MIT
/* Queues of page requests that pass from one process to another, with what is outstanding in them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "faultq/queue.h"
#include "host/host.h"

int weir_faultq_check(const struct weir_faultq *queue)
{
	if (queue->gone)
		return weir_fail(-ESTALE, "the host has been handed over to another process, which answers "
					  "what is outstanding");
	if (queue->host->taken)
		return weir_fail(-EBUSY, "the host was received, and may be its predecessor's still: finish "
					 "the hand-over first");
	return 0;
}

/* Taking ----------------------------------------------------------------------------------------------------------- */

/* What the kernel may have given out last. */
static int copy_left(struct weir_faultq *queue, const struct weir_slot_faultq *slot)
{
	size_t num = atomic_load(&slot->reading);

	while (num && !slot->records[num - 1].cookie)
		num--;
	if (!num)
		return 0;
	queue->records = malloc(num * sizeof(slot->records[0]));
	if (!queue->records)
		return weir_fail(-ENOMEM, "no memory for page requests");
	memcpy(queue->records, slot->records, num * sizeof(slot->records[0]));
	queue->room = queue->num_left = num;
	return 0;
}

int weir_faultq_adopt(struct weir_host *host, const struct weir_slot_faultq *slot, uint32_t noted, int fd,
		      struct weir_faultq **ret_queue)
{
	struct weir_faultq *queue;
	int error;

	if (!slot->id || slot->leave > WEIR_FAULTQ_WAIT || !slot->answer_ns || !slot->leave_ns ||
	    slot->number > INT32_MAX || atomic_load(&slot->reading) > WEIR_SLOT_RECORDS)
		return weir_fail(-EPROTO, "a queue of page requests makes no sense");
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return weir_fail(-ENOMEM, "no memory for a queue of page requests");
	queue->host = host;
	queue->kernel = &host->kernel;
	queue->sys = host->kernel.sys;
	queue->opts = (struct weir_faultq_opts){ .size = sizeof(queue->opts),
						 .leave = slot->leave,
						 .answer_ns = slot->answer_ns,
						 .leave_ns = slot->leave_ns };
	queue->id = slot->id;
	queue->noted = noted;
	weir_faultq_init(queue);
	error = copy_left(queue, slot);
	if (error) {
		weir_faultq_free(queue);
		return error;
	}
	/* A token of the predecessor's is none of this queue's. */
	queue->number = weir_faultq_next_number(slot->number);
	queue->fd = fd;
	weir_faultq_enlist(queue);
	*ret_queue = queue;
	return 0;
}

int weir_faultq_adopt_group(struct weir_faultq *queue, const struct abi_iommu_hwpt_pgfault *records,
			    const uint32_t *noted, size_t num)
{
	struct weir_faultq_group *group = calloc(1, sizeof(*group) + num * sizeof(group->noted[0]));
	int error;

	if (!group)
		return weir_fail(-ENOMEM, "no memory for a group of page requests");
	memcpy(group->noted, noted, num * sizeof(noted[0]));
	group->num_noted = (uint32_t)num;
	error = weir_faultq_put(queue, group, records, num);
	if (error)
		free(group);
	return error;
}

bool weir_faultq_is_left(const struct weir_faultq *queue, uint32_t cookie)
{
	for (size_t i = 0; i < queue->num_left; i++)
		if (queue->records[i].cookie == cookie)
			return true;
	return false;
}

/* Giving ----------------------------------------------------------------------------------------------------------- */

void weir_faultqs_hold(struct weir_host *host)
{
	for (struct weir_faultq *queue = host->faultqs; queue; queue = queue->next)
		pthread_mutex_lock(&queue->lock);
}

void weir_faultqs_release(struct weir_host *host, bool gone)
{
	for (struct weir_faultq *queue = host->faultqs; queue; queue = queue->next) {
		queue->gone = gone;
		pthread_mutex_unlock(&queue->lock);
	}
}

/* What it counted stays; the slots are another's, who finds there what is forgotten here. */
static void forget_groups(struct weir_faultq *queue)
{
	struct weir_faultq_group *group;
	uint64_t count = 0;

	pthread_mutex_lock(&queue->lock);
	queue->gone = true;
	queue->num_left = 0;
	while ((group = weir_faultq_group_from(queue, 0)))
		weir_faultq_forget(queue, group, &count);
	pthread_mutex_unlock(&queue->lock);
}

void weir_faultqs_forget(struct weir_host *host)
{
	for (struct weir_faultq *queue = host->faultqs; queue; queue = queue->next)
		forget_groups(queue);
}

static void end_descriptor(struct weir_faultq *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->sys->close(queue->sys->ctx, queue->fd);
	queue->fd = -1;
	pthread_mutex_unlock(&queue->lock);
}

/* One that was given away stays with its host: whoever answers late is told. */
void weir_faultqs_let_go(struct weir_host *host)
{
	struct weir_faultq *next;

	for (struct weir_faultq *queue = host->faultqs; queue; queue = next) {
		next = queue->next;
		end_descriptor(queue);
		if (host->kernel.journal->stale)
			continue;
		weir_faultq_delist(queue);
		weir_faultq_free(queue);
	}
}
