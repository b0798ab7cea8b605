// SPDX-License-Identifier: MIT
/* What is outstanding in a queue, and who may ask. */
#include "backend/faultq.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"

enum { NS = 1000000000 };

uint64_t weir_faultq_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

/* Groups ----------------------------------------------------------------------------------------------------------- */

struct weir_faultq_group *weir_faultq_group_from(struct weir_faultq *queue, uint64_t from)
{
	/* The node comes first. */
	return (struct weir_faultq_group *)weir_tree_at_or_above(&queue->by_serial, from);
}

void weir_faultq_forget(struct weir_faultq *queue, struct weir_faultq_group *group, uint64_t *count)
{
	weir_tree_remove(&queue->by_serial, &group->by_serial);
	weir_tree_remove(&queue->by_cookie, &group->by_cookie);
	group->member->num_outstanding--;
	queue->counts.num_outstanding--;
	++*count;
	if (!queue->gone)
		weir_faultq_note_over(queue, group);
	free(group->fault);
	free(group);
	pthread_cond_broadcast(&queue->settled);
}

/* That the kernel does not know it says that it has been answered: its device has left in a way that nobody told us of. */
int weir_faultq_answer(struct weir_faultq *queue, struct weir_faultq_group *group, uint32_t code,
		       uint64_t *count)
{
	const struct abi_iommu_hwpt_page_response response = { .cookie = group->cookie, .code = code };
	ssize_t written;

	weir_faultq_note_answer(queue, group, code);
	written = queue->sys->write(queue->sys->ctx, queue->fd, &response, sizeof(response));
	if (written == -EINVAL) {
		weir_faultq_forget(queue, group, &queue->counts.num_orphaned);
		return -ESTALE;
	}
	if (written != sizeof(response)) {
		weir_faultq_note_unanswered(queue, group);
		return weir_fail(written < 0 ? (int)written : -EIO,
				 "answering a page request: %s; it is outstanding still",
				 written < 0 ? strerror((int)-written) : "the kernel took a part");
	}
	weir_faultq_forget(queue, group, count);
	return 0;
}

/* All have the same time, so they are due in the order that they came. */
int weir_faultq_expire_locked(struct weir_faultq *queue, uint64_t now)
{
	struct weir_faultq_group *group;
	int num = 0;

	while ((group = weir_faultq_group_from(queue, 0)) && group->due <= now) {
		int error = weir_faultq_answer(queue, group, ABI_IOMMUFD_PAGE_RESP_INVALID,
					       &queue->counts.num_expired);

		if (error && error != -ESTALE)
			return error;
		num += !error;
	}
	return num;
}

/* Members ---------------------------------------------------------------------------------------------------------- */

struct weir_faultq_member *weir_faultq_member(const struct weir_faultq *queue, uint32_t dev_id,
					      uint32_t pasid)
{
	struct weir_faultq_member *member = queue->members;

	while (member && (member->dev_id != dev_id || member->pasid != pasid))
		member = member->next;
	return member;
}

/* Of a function, which is there. */
static struct weir_faultq_member *of(struct weir_faultq *queue, const struct weir_function *function,
				     uint32_t pasid)
{
	return weir_faultq_member(queue, function->dev_id, pasid);
}

static struct weir_faultq_member *add_member(struct weir_faultq *queue, const struct weir_function *function,
					     uint32_t pasid)
{
	struct weir_faultq_member *member = calloc(1, sizeof(*member));

	if (!member)
		return NULL;
	*member = (struct weir_faultq_member){ .next = queue->members,
					       .function = function,
					       .group = function->group,
					       .dev_id = function->dev_id,
					       .pasid = pasid };
	queue->members = member;
	return member;
}

int weir_faultq_enter(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid)
{
	struct weir_faultq_member *member;

	if (!queue)
		return 0;
	pthread_mutex_lock(&queue->lock);
	member = of(queue, function, pasid);
	if (!member)
		member = add_member(queue, function, pasid);
	if (member)
		member->num_attached++;
	pthread_mutex_unlock(&queue->lock);
	return member ? 0 : weir_fail(-ENOMEM, "no memory to attach %s", function->address);
}

static void forget_all(struct weir_faultq *queue, const struct weir_faultq_member *member)
{
	struct weir_faultq_group *group = weir_faultq_group_from(queue, 0);

	while (group && member->num_outstanding) {
		uint64_t next = group->by_serial.key + 1;

		if (group->member == member)
			weir_faultq_forget(queue, group, &queue->counts.num_orphaned);
		group = weir_faultq_group_from(queue, next);
	}
}

static void remove_member(struct weir_faultq *queue, struct weir_faultq_member *member)
{
	struct weir_faultq_member **link = &queue->members;

	/* A group that came from a table that never was its own: the kernel has made it up. */
	forget_all(queue, member);
	while (*link != member)
		link = &(*link)->next;
	*link = member->next;
	free(member);
}

static void end(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid,
		bool answered)
{
	struct weir_faultq_member *member;

	if (!queue)
		return;
	pthread_mutex_lock(&queue->lock);
	member = of(queue, function, pasid);
	if (answered)
		forget_all(queue, member);
	if (!--member->num_attached)
		remove_member(queue, member);
	pthread_mutex_unlock(&queue->lock);
}

void weir_faultq_undo(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid)
{
	end(queue, function, pasid, false);
}

void weir_faultq_leave(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid)
{
	end(queue, function, pasid, true);
}

void weir_faultq_orphan(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid)
{
	if (!queue)
		return;
	pthread_mutex_lock(&queue->lock);
	forget_all(queue, of(queue, function, pasid));
	pthread_mutex_unlock(&queue->lock);
}

/* Holding ---------------------------------------------------------------------------------------------------------- */

static uint32_t num_outstanding(const struct weir_faultq *queue, const struct weir_function *function,
				uint32_t pasid)
{
	uint32_t num = 0;

	for (const struct weir_faultq_member *member = queue->members; member; member = member->next)
		if (member->pasid == pasid && (pasid == WEIR_NO_PASID ? member->group == function->group
								      : member->function == function))
			num += member->num_outstanding;
	return num;
}

void weir_faultq_hold_anyway(struct weir_faultq *queue)
{
	if (queue)
		pthread_mutex_lock(&queue->lock);
}

int weir_faultq_hold(struct weir_faultq *queue, const struct weir_function *function, uint32_t pasid)
{
	uint32_t num;

	if (!queue)
		return 0;
	pthread_mutex_lock(&queue->lock);
	num = queue->opts.leave == WEIR_FAULTQ_REFUSE ? num_outstanding(queue, function, pasid) : 0;
	if (!num)
		return 0;
	pthread_mutex_unlock(&queue->lock);
	return weir_fail(-EBUSY, "%u page requests of %s are not answered: answer them first", num,
			 function->address);
}

void weir_faultq_release(struct weir_faultq *queue)
{
	if (queue)
		pthread_mutex_unlock(&queue->lock);
}
