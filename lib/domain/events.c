// SPDX-License-Identifier: MIT
/*
 * Events of a virtual IOMMU.
 *
 * The kernel writes whole events, each behind a header with a number that counts those it dropped, too. One header without an event may stand at the end, for
 * what was dropped and nothing came after; so whatever is missing is found by the numbers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "domain/domain.h"
#include "error.h"
#include "journal/journal.h"
#include "kernel/iommufd_abi.h"

enum {
	DEFAULT_DEPTH = 256,
	MOST_EVENTS = 1 << 19,
	ROOM = 4096,
	HEADER = sizeof(struct abi_iommufd_vevent_header),
};
#define NUMBERS ((uint32_t)INT32_MAX) /* they have 31 bits */

struct weir_events {
	struct weir_kernel_domain *domain;
	struct weir_event_queue *queue;
	const struct weir_vendor *vendor;
	const struct weir_sys *sys;

	pthread_mutex_t lock; /* of all that follows */
	uint32_t next;        /* number of the next event */
	bool astray;          /* the next number is not known, and that has been told; */
	bool untold;          /* or is to be told first */
	uint32_t at, have;    /* what was read and not yet given */
	_Alignas(8) unsigned char bytes[ROOM];
};

/* Opening and closing ---------------------------------------------------------------------------------------------- */

static int check_domain(struct weir_domain *domain)
{
	const struct weir_kernel_domain *own = weir_kernel_domain(domain);

	if (!own || own->kind != WEIR_DOMAIN_KIND_NESTED)
		return weir_fail(-EOPNOTSUPP,
				 "%s has no events: they are of domains nested in a virtual IOMMU",
				 domain->type->name);
	if (!weir_table_viommu(own->table) || !own->vendor->event_type)
		return weir_fail(
			-EOPNOTSUPP,
			"there is no virtual IOMMU between this domain and its parent, and so no events: the "
			"kernel writes to its log what goes wrong");
	return 0;
}

static int explain(int error)
{
	switch (error) {
	case -EEXIST:
		return weir_fail(
			error, "the virtual IOMMU has a queue of events already; it may be another domain's "
			       "of the same parent");
	case -ENOTTY:
	case -EOPNOTSUPP:
		return weir_fail(-EOPNOTSUPP, "this kernel has no queues of such events (Linux 6.15 has)");
	default:
		return weir_fail(error, "IOMMU_VEVENTQ_ALLOC: %s", strerror(-error));
	}
}

/* The host's lock is held. */
static int open_queue(struct weir_domain *domain, uint32_t depth, struct weir_events *events)
{
	int error = check_domain(domain);

	if (error)
		return error;
	events->domain = weir_kernel_domain(domain);
	events->vendor = events->domain->vendor;
	events->sys = domain->host->kernel.sys;
	error = domain->host->kernel.ops->domains->open_events(
		events->domain->table, events->vendor->event_type, depth, &events->queue);
	if (error)
		return explain(error);
	events->domain->has_events = true;
	weir_journal_count_odd(domain->host->kernel.journal, 1);
	return 0;
}

int weir_events_open(struct weir_domain *domain, const struct weir_events_opts *opts,
		     struct weir_events **ret_events)
{
	struct weir_events_opts o;
	struct weir_events *events;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if (o.depth > MOST_EVENTS || o.reserved)
		return weir_fail(-EINVAL, "a queue of %u events; it can be 1 to %d", o.depth, MOST_EVENTS);
	events = calloc(1, sizeof(*events));
	if (!events)
		return weir_fail(-ENOMEM, "no memory for a queue of events");
	pthread_mutex_lock(&domain->host->lock);
	error = open_queue(domain, o.depth ? o.depth : DEFAULT_DEPTH, events);
	pthread_mutex_unlock(&domain->host->lock);
	if (error) {
		free(events);
		return error;
	}
	pthread_mutex_init(&events->lock, NULL);
	*ret_events = events;
	return 0;
}

int weir_events_close(struct weir_events *events)
{
	struct weir_host *host;
	int error;

	if (!events)
		return 0;
	host = events->domain->domain.host;
	pthread_mutex_lock(&host->lock);
	events->domain->has_events = false;
	weir_journal_count_odd(host->kernel.journal, -1);
	error = host->kernel.ops->domains->close_events(events->queue);
	pthread_mutex_unlock(&host->lock);
	pthread_mutex_destroy(&events->lock);
	free(events);
	return error;
}

int weir_events_fd(const struct weir_events *events)
{
	return events->queue->fd;
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

/* Returns 0, also when there is nothing. */
static int refill(struct weir_events *events)
{
	ssize_t got = events->sys->read(events->sys->ctx, events->queue->fd, events->bytes, ROOM);

	if (got == -EAGAIN)
		got = 0;
	if (got < 0)
		return weir_fail((int)got, "reading a queue of events: %s", strerror((int)-got));
	if (got > ROOM)
		return weir_fail(-EIO, "the kernel says that it wrote %zd bytes of events into %d", got,
				 ROOM);
	events->at = 0;
	events->have = (uint32_t)got;
	return 0;
}

/* How many numbers there are between what was expected and @number; 0: it is behind that, and nothing is known. */
static uint32_t distance(const struct weir_events *events, uint32_t number)
{
	uint32_t ahead = (number - events->next) & NUMBERS;

	return ahead > NUMBERS / 2 ? 0 : ahead;
}

/* Is what stands at the place a header, with all that belongs to it? */
static int check(const struct weir_events *events, struct abi_iommufd_vevent_header *ret_header)
{
	uint32_t left = events->have - events->at;

	if (left < HEADER)
		return weir_fail(-EIO, "the kernel wrote %u bytes where the header of an event has %d", left,
				 HEADER);
	memcpy(ret_header, events->bytes + events->at, HEADER);
	if (ret_header->flags & ~ABI_IOMMU_VEVENTQ_FLAG_LOST_EVENTS)
		return weir_fail(-EIO, "an event has flags %#x, which this library does not know",
				 ret_header->flags);
	if (ret_header->sequence > NUMBERS)
		return weir_fail(-EIO, "an event has the number %#x, which has more than 31 bits",
				 ret_header->sequence);
	if (!ret_header->flags && left - HEADER < events->vendor->event_len)
		return weir_fail(-EIO, "the kernel wrote %u bytes of an event that has %u", left - HEADER,
				 events->vendor->event_len);
	return 0;
}

static void decode(struct weir_events *events, struct weir_event *ret_event)
{
	const unsigned char *data = events->bytes + events->at + HEADER;

	ret_event->data_len = events->vendor->event_len;
	memcpy(ret_event->data, data, events->vendor->event_len);
	events->vendor->event(data, ret_event);
}

static void tell_lost(struct weir_events *events, uint32_t next, uint32_t num, struct weir_event *ret_event)
{
	*ret_event = (struct weir_event){ .kind = WEIR_EVENT_LOST, .num_lost = num };
	events->next = next & NUMBERS;
	events->astray = false;
}

/* What is at the place; in front of an event whose number is not the next, what is missing. */
static void take(struct weir_events *events, const struct abi_iommufd_vevent_header *header,
		 struct weir_event *ret_event)
{
	bool lost = header->flags & ABI_IOMMU_VEVENTQ_FLAG_LOST_EVENTS;

	if (events->astray) {
		events->astray = false;
		events->next = header->sequence;
	}
	if (lost) {
		tell_lost(events, header->sequence + 1, distance(events, header->sequence + 1), ret_event);
		events->at += HEADER;
		return;
	}
	if (header->sequence != events->next) {
		tell_lost(events, header->sequence, distance(events, header->sequence), ret_event);
		return;
	}
	memset(ret_event, 0, sizeof(*ret_event));
	decode(events, ret_event);
	events->next = (header->sequence + 1) & NUMBERS;
	events->at += HEADER + events->vendor->event_len;
}

/* One event; returns 1, or 0 when there is none. What is not in order stays as it is if events were given before it in the same call. */
static int next_event(struct weir_events *events, bool first, struct weir_event *ret_event)
{
	struct abi_iommufd_vevent_header header;
	int error = 0;

	if (events->untold) {
		events->untold = false;
		*ret_event = (struct weir_event){ .kind = WEIR_EVENT_LOST };
		return 1;
	}
	if (events->at == events->have)
		error = refill(events);
	if (error || events->at == events->have)
		return first ? error : 0;
	error = check(events, &header);
	if (!error) {
		take(events, &header, ret_event);
		return 1;
	}
	if (!first)
		return 0;
	events->astray = events->untold = true;
	events->at = events->have = 0;
	return error;
}

int weir_events_read(struct weir_events *events, struct weir_event *ret_events, size_t *num)
{
	size_t room = *num, done = 0;
	int more = 1;

	*num = 0;
	if (!room)
		return weir_fail(-EINVAL, "room for no event");
	pthread_mutex_lock(&events->lock);
	while (done < room && more > 0) {
		more = next_event(events, !done, &ret_events[done]);
		done += more > 0;
	}
	pthread_mutex_unlock(&events->lock);
	*num = done;
	return more < 0 ? more : 0;
}
