// SPDX-License-Identifier: MIT
/*
 * Queues of page requests that were handed over, and what their predecessor had read and not answered. The kernel gives a number again only when it is read from, so numbers
 * stand for what they stood for when it was last read; and who has an answer already says so (EINVAL).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "faultq/queue.h"
#include "handover/adopt.h"
#include "host/host.h"
#include "kernel/iommufd.h"

/* Queues ----------------------------------------------------------------------------------------------------------- */

static int adopt_queue(struct adoption *adoption, const struct weir_slot_faultq *slot, uint32_t number)
{
	struct weir_host *host = adoption->host;
	int fd, error;

	if (host->kernel.ops->kind != WEIR_BACKEND_IOMMUFD)
		return weir_fail(-EPROTO, "a container has no page requests");
	error = weir_adoption_take_fd(adoption, WEIR_FD_FAULTQ, number, 0, "a queue of page requests", &fd);
	if (error)
		return error;
	/* To read from anything else may never end. */
	error = weir_adoption_is_anon(adoption, fd, "[iommufd-pgfault]")
			? weir_faultq_adopt(host, slot, number, fd, &adoption->faultqs[number])
			: weir_fail(-EPROTO, "what came for a queue of page requests is none");
	if (error)
		host->kernel.sys->close(host->kernel.sys->ctx, fd);
	return error;
}

int weir_adoption_faultqs(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_FAULTQS] && !error; number++) {
		const struct weir_slot_faultq *slot =
			weir_described_in_force(description, WEIR_JOURNAL_FAULTQS, number);

		if (slot)
			error = adopt_queue(adoption, slot, number);
	}
	return error;
}

struct weir_faultq *weir_adoption_faultq(const struct adoption *adoption, uint32_t number)
{
	return number && number <= adoption->description->used[WEIR_JOURNAL_FAULTQS]
		       ? adoption->faultqs[number]
		       : NULL;
}

/* Requests --------------------------------------------------------------------------------------------------------- */

/* What is made of the slots: the pages of one group at a time; and which slots are some group's. */
struct requests {
	struct weir_slot_request **firsts;
	struct abi_iommu_hwpt_pgfault *records;
	uint32_t *noted;
	bool *seen;
	uint32_t num_firsts;
};

static struct weir_slot_request *request_at(const struct adoption *adoption, uint32_t number)
{
	return weir_described_in_force(adoption->description, WEIR_JOURNAL_REQUESTS, number);
}

static uint32_t number_of(const struct adoption *adoption, const struct weir_slot_request *slot)
{
	const struct weir_slot_request *first = adoption->description->tables[WEIR_JOURNAL_REQUESTS];

	return (uint32_t)(slot - first) + 1;
}

static int begin(const struct adoption *adoption, struct requests *requests)
{
	const size_t num = adoption->description->used[WEIR_JOURNAL_REQUESTS] + 1;

	requests->firsts = (struct weir_slot_request **)calloc(num, sizeof(void *));
	requests->records = calloc(num, sizeof(*requests->records));
	requests->noted = calloc(num, sizeof(*requests->noted));
	requests->seen = calloc(num, sizeof(*requests->seen));
	if (requests->firsts && requests->records && requests->noted && requests->seen)
		return 0;
	return weir_fail(-ENOMEM, "no memory for page requests that are handed over");
}

static void end(struct requests *requests)
{
	free((void *)requests->firsts);
	free(requests->records);
	free(requests->noted);
	free(requests->seen);
}

/* In the order in which they came. */
static int compare(const void *a, const void *b)
{
	uint64_t first = (*(struct weir_slot_request *const *)a)->slot.serial;
	uint64_t second = (*(struct weir_slot_request *const *)b)->slot.serial;

	return first < second ? -1 : first > second;
}

static void find_firsts(const struct adoption *adoption, struct requests *requests)
{
	for (uint32_t number = 1; number <= adoption->description->used[WEIR_JOURNAL_REQUESTS]; number++) {
		struct weir_slot_request *slot = request_at(adoption, number);

		if (slot && slot->queue)
			requests->firsts[requests->num_firsts++] = slot;
	}
	qsort((void *)requests->firsts, requests->num_firsts, sizeof(void *), compare);
}

/* The pages of a group; each is one group's alone. 0: they are not. */
static uint32_t gather(const struct adoption *adoption, struct requests *requests,
		       const struct weir_slot_request *slot)
{
	uint32_t num = 0, number = number_of(adoption, slot);

	while (slot && !requests->seen[number]) {
		requests->seen[number] = true;
		requests->noted[num] = number;
		requests->records[num++] = slot->record;
		number = slot->next;
		if (!number)
			return num;
		slot = request_at(adoption, number);
		if (slot && slot->queue)
			break;
	}
	return 0;
}

/* Not there for who comes after us. */
static void drop_group(const struct adoption *adoption, const struct requests *requests, uint32_t num)
{
	for (uint32_t i = 0; i < num; i++)
		weir_slot_set(&request_at(adoption, requests->noted[i])->slot, WEIR_SLOT_LEAVING);
}

static int adopt_group(struct adoption *adoption, struct requests *requests,
		       const struct weir_slot_request *slot)
{
	struct weir_faultq *queue = weir_adoption_faultq(adoption, slot->queue);
	uint32_t num = gather(adoption, requests, slot);
	int error;

	if (!queue)
		return weir_fail(-EPROTO, "page requests are outstanding in no queue");
	if (!num)
		return weir_fail(-EPROTO, "a group of page requests has no end, or another's pages");
	error = weir_faultq_is_left(queue, slot->record.cookie)
			? -ENODEV
			: weir_faultq_adopt_group(queue, requests->records, requests->noted, num);
	if (error != -ENODEV)
		return error;
	drop_group(adoption, requests, num);
	return 0;
}

/* Pages of a group that was about to be noted, or had just been answered. */
static void drop_strays(const struct adoption *adoption, const struct requests *requests)
{
	for (uint32_t number = 1; number <= adoption->description->used[WEIR_JOURNAL_REQUESTS]; number++) {
		struct weir_slot_request *slot = request_at(adoption, number);

		if (slot && !requests->seen[number])
			weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
	}
}

int weir_adoption_requests(struct adoption *adoption)
{
	struct requests requests = { .num_firsts = 0 };
	int error = begin(adoption, &requests);

	if (!error) {
		find_firsts(adoption, &requests);
		for (uint32_t i = 0; i < requests.num_firsts && !error; i++)
			error = adopt_group(adoption, &requests, requests.firsts[i]);
		drop_strays(adoption, &requests);
	}
	end(&requests);
	return error;
}

/* What was only begun ---------------------------------------------------------------------------------------------- */

static void clear_queues(const struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	const struct weir_kernel *kernel = &adoption->host->kernel;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_FAULTQS]; number++) {
		const struct weir_slot_faultq *slot =
			weir_described(description, WEIR_JOURNAL_FAULTQS, number);

		if (weir_described_half(&slot->slot) && slot->id && kernel->ops->kind == WEIR_BACKEND_IOMMUFD)
			weir_iommufd_destroy(kernel->sys, kernel->fd, slot->id);
	}
}

void weir_adoption_clear_faults(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	const struct weir_sys *sys = adoption->host->kernel.sys;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_REQUESTS]; number++) {
		const struct weir_slot_request *slot =
			weir_described(description, WEIR_JOURNAL_REQUESTS, number);
		const struct weir_faultq *queue = weir_adoption_faultq(adoption, slot->queue);
		const struct abi_iommu_hwpt_page_response response = { .cookie = slot->record.cookie,
								       .code = slot->code };

		if (queue && weir_described_half(&slot->slot) &&
		    !weir_faultq_is_left(queue, slot->record.cookie))
			sys->write(sys->ctx, queue->fd, &response, sizeof(response));
	}
	clear_queues(adoption);
}
