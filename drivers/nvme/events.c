/* SPDX-License-Identifier: MIT */
/* What the controller has to tell: events, log pages, and namespaces that come and go. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/admin.h"
#include "nvme/controller.h"
#include "nvme/error.h"
#include "nvme/manage.h"

#define NSIDS_IN_PAGE (NVME_PAGE_SIZE / sizeof(uint32_t))
#define TOO_MANY      UINT32_MAX /* the first entry of the list of changes, when it is full */

/* Which events: critical warnings of the health log, and namespaces (Base 2.0, 5.27.1.8). */
#define EVENTS_WANTED (0x1fu | 1u << 8)

/* Events ------------------------------------------------------------------------------------------------- */

/* What the controller does not know of these it may refuse: then it reports what it does by itself. */
static int choose_events(struct nvme_controller *c)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_set_features,
		.cdw10 = NVME_FEAT_FID_ASYNC_EVENT,
		.cdw11 = EVENTS_WANTED,
		.name = "set event configuration",
	};
	int r = nvme_admin_execute(c, &command, NULL);

	return c->dead ? r : 0;
}

static int request_events(struct nvme_controller *c)
{
	int r = 0;

	while (r == 0 && c->num_event_requests + c->num_events < c->max_events)
		r = nvme_admin_request_event(c);
	return r;
}

int nvme_events_start(struct nvme_controller *c)
{
	int r = choose_events(c);

	return r < 0 ? r : request_events(c);
}

int nvme_controller_events(struct nvme_controller *c, struct nvme_event *ret_events, size_t max)
{
	uint32_t num, i;
	int r;

	if (!(c->flags & NVME_EVENTS))
		return fail(-EOPNOTSUPP, "the controller was opened without NVME_EVENTS");
	if (c->dead)
		return fail(c->dead, "the controller did not answer an earlier command");
	r = nvme_admin_poll(c);
	if (r < 0)
		return r;
	num = max < c->num_events ? (uint32_t)max : c->num_events;
	for (i = 0; i < num; i++) {
		uint8_t type = c->events[i] & 7, info = c->events[i] >> 8 & 0xff;

		ret_events[i] = (struct nvme_event){ .type = type,
						     .info = info,
						     .log = c->events[i] >> 16 & 0xff,
						     .namespaces = type == NVME_AER_NOTICE &&
								   info == NVME_AER_NOTICE_NS_CHANGED };
	}
	c->num_events -= num;
	memmove(c->events, c->events + num, c->num_events * sizeof c->events[0]);
	r = request_events(c);
	return num > 0 || r == 0 ? (int)num : r;
}

/* Log pages ---------------------------------------------------------------------------------------------- */

int nvme_controller_log(struct nvme_controller *c, uint8_t log, uint32_t nsid, void *ret_data, size_t len)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_get_log_page,
		.nsid = nsid,
		.cdw10 = log | (uint32_t)(len / 4 - 1) << 16, /* a 0's based number of dwords */
		.name = "get log page",
	};

	if (len == 0 || len % 4 != 0 || len > NVME_PAGE_SIZE)
		return fail(-EINVAL, "%zu bytes of a log page: a multiple of 4, up to 4096", len);
	return nvme_admin_transfer(c, &command, ret_data, len, NULL);
}

/* Namespaces --------------------------------------------------------------------------------------------- */

/* A list of identifiers, in ascending order, ended by a zero or its own end. */
static int read_list(const uint32_t *list, uint32_t after, uint32_t *ret_nsids, size_t max)
{
	size_t num = 0;

	for (; num < max && num < NSIDS_IN_PAGE && list[num] != 0; num++) {
		uint32_t nsid = le32toh(list[num]);

		if (nsid <= after)
			return fail(-EPROTO, "the list of namespaces is not in order: %u after %u", nsid,
				    after);
		after = nsid;
		ret_nsids[num] = nsid;
	}
	return (int)num;
}

int nvme_namespace_list(struct nvme_controller *c, uint32_t after, uint32_t *ret_nsids, size_t max)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_identify,
		.nsid = after,
		.cdw10 = NVME_IDENTIFY_CNS_NS_ACTIVE_LIST,
		.name = "list namespaces",
	};
	uint32_t *list;
	int r;

	if (after >= 0xfffffffe)
		return 0;
	list = malloc(NVME_PAGE_SIZE);
	if (!list)
		return fail(-ENOMEM, "no memory for a list of namespaces");
	r = nvme_admin_transfer(c, &command, list, NVME_PAGE_SIZE, NULL);
	if (r == 0)
		r = read_list(list, after, ret_nsids, max);
	free(list);
	return r;
}

int nvme_namespace_changes(struct nvme_controller *c, uint32_t *ret_nsids, size_t max)
{
	uint32_t *list = malloc(NVME_PAGE_SIZE);
	int r;

	if (!list)
		return fail(-ENOMEM, "no memory for a list of namespaces");
	r = nvme_controller_log(c, NVME_LOG_LID_CHANGED_NS, UINT32_MAX, list, NVME_PAGE_SIZE);
	if (r == 0)
		r = le32toh(list[0]) == TOO_MANY || (max < NSIDS_IN_PAGE && list[max] != 0)
			    ? INT_MAX
			    : read_list(list, 0, ret_nsids, max);
	free(list);
	return r;
}
