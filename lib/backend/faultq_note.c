// SPDX-License-Identifier: MIT
/*
 * What the journal says of queues of page requests, and of what is outstanding in them. The kernel reads into the journal itself, so that there is no moment at which a group
 * was given out and nobody knows.
 */
#include <string.h>

#include "backend/faultq.h"
#include "journal/journal.h"

static struct weir_journal *journal_of(const struct weir_faultq *queue)
{
	return queue->kernel->journal;
}

static struct weir_slot_faultq *slot_of(const struct weir_faultq *queue)
{
	return weir_journal_at(journal_of(queue), WEIR_JOURNAL_FAULTQS, queue->noted);
}

static struct weir_slot_request *request_at(const struct weir_faultq *queue, uint32_t number)
{
	return weir_journal_at(journal_of(queue), WEIR_JOURNAL_REQUESTS, number);
}

/* Queues ----------------------------------------------------------------------------------------------------------- */

int weir_faultq_note(struct weir_faultq *queue)
{
	struct weir_journal *journal = journal_of(queue);
	struct weir_slot_faultq *slot;
	int error = journal ? weir_journal_take(journal, WEIR_JOURNAL_FAULTQS, &queue->noted) : 0;

	if (error || !journal)
		return error;
	slot = slot_of(queue);
	slot->answer_ns = queue->opts.answer_ns;
	slot->leave_ns = queue->opts.leave_ns;
	slot->leave = queue->opts.leave;
	slot->number = queue->number;
	slot->id = 0;
	atomic_store(&slot->reading, 0);
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

int weir_faultq_note_made(const struct weir_faultq *queue)
{
	int error;

	if (!queue->noted)
		return 0;
	slot_of(queue)->id = queue->id;
	error = weir_journal_add_fd(journal_of(queue), queue->fd, WEIR_FD_FAULTQ, queue->noted, 0);
	if (error)
		return error;
	weir_slot_set(&slot_of(queue)->slot, WEIR_SLOT_IN_FORCE);
	return 0;
}

/* The kernel destroys no queue that somebody has open: the keeper closes it first. */
void weir_faultq_note_leaving(const struct weir_faultq *queue)
{
	if (!queue->noted)
		return;
	weir_slot_set(&slot_of(queue)->slot, WEIR_SLOT_LEAVING);
	weir_journal_drop_fds(journal_of(queue), WEIR_FD_FAULTQ, queue->noted);
}

void weir_faultq_note_end(const struct weir_faultq *queue)
{
	if (queue->noted)
		weir_journal_give(journal_of(queue), WEIR_JOURNAL_FAULTQS, queue->noted);
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

/* A record of zeros is none: numbers are given from 1 on. A group that is longer than the slot is only noted after it was read. */
struct abi_iommu_hwpt_pgfault *weir_faultq_note_reading(const struct weir_faultq *queue, size_t num)
{
	struct weir_slot_faultq *slot;

	if (!queue->noted || num > WEIR_SLOT_RECORDS)
		return NULL;
	slot = slot_of(queue);
	memset(slot->records, 0, num * sizeof(slot->records[0]));
	atomic_store(&slot->reading, (uint32_t)num);
	return slot->records;
}

void weir_faultq_note_read(const struct weir_faultq *queue)
{
	if (queue->noted)
		atomic_store(&slot_of(queue)->reading, 0);
}

/* Groups ----------------------------------------------------------------------------------------------------------- */

static void give_slots(const struct weir_faultq *queue, const struct weir_faultq_group *group)
{
	for (uint32_t i = group->num_noted; i-- > 0;)
		weir_journal_give(journal_of(queue), WEIR_JOURNAL_REQUESTS, group->noted[i]);
}

static int take_slots(const struct weir_faultq *queue, struct weir_faultq_group *group, size_t num)
{
	int error = 0;

	while (group->num_noted < num && !error) {
		error = weir_journal_take(journal_of(queue), WEIR_JOURNAL_REQUESTS,
					  &group->noted[group->num_noted]);
		group->num_noted += !error;
	}
	if (!error)
		return 0;
	give_slots(queue, group);
	group->num_noted = 0;
	return error;
}

int weir_faultq_note_group(const struct weir_faultq *queue, struct weir_faultq_group *group,
			   const struct abi_iommu_hwpt_pgfault *first, size_t len)
{
	int error = queue->noted ? take_slots(queue, group, len) : 0;

	for (uint32_t i = group->num_noted; i-- > 0 && !error;) {
		struct weir_slot_request *slot = request_at(queue, group->noted[i]);

		slot->queue = i ? 0 : queue->noted;
		slot->next = i + 1 < group->num_noted ? group->noted[i + 1] : 0;
		slot->code = ABI_IOMMUFD_PAGE_RESP_INVALID;
		slot->record = first[i];
		weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
	}
	return error;
}

void weir_faultq_note_answer(const struct weir_faultq *queue, const struct weir_faultq_group *group,
			     uint32_t code)
{
	struct weir_slot_request *slot;

	if (!group->num_noted)
		return;
	slot = request_at(queue, group->noted[0]);
	slot->code = code;
	weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
}

void weir_faultq_note_unanswered(const struct weir_faultq *queue, const struct weir_faultq_group *group)
{
	if (group->num_noted)
		weir_slot_set(&request_at(queue, group->noted[0])->slot, WEIR_SLOT_IN_FORCE);
}

/* The first page is the last to go: until then the answer can be given again. */
void weir_faultq_note_over(const struct weir_faultq *queue, const struct weir_faultq_group *group)
{
	struct weir_slot *slot = group->num_noted ? &request_at(queue, group->noted[0])->slot : NULL;

	if (!slot)
		return;
	if (weir_slot_state(slot) != WEIR_SLOT_LEAVING)
		weir_faultq_note_answer(queue, group, ABI_IOMMUFD_PAGE_RESP_INVALID);
	give_slots(queue, group);
}
