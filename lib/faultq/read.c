// SPDX-License-Identifier: MIT
/*
 * What the kernel says of page requests, looked at like anybody's word: records in groups, of which the last record is marked, and all have the same number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "faultq/queue.h"

#define KNOWN_FLAGS (ABI_IOMMU_PGFAULT_FLAGS_PASID_VALID | ABI_IOMMU_PGFAULT_FLAGS_LAST_PAGE)
#define KNOWN_PERM                                                                                           \
	(ABI_IOMMU_PGFAULT_PERM_READ | ABI_IOMMU_PGFAULT_PERM_WRITE | ABI_IOMMU_PGFAULT_PERM_EXEC |          \
	 ABI_IOMMU_PGFAULT_PERM_PRIV)

enum { MOST_RECORDS = 1 << 20, AT_ONCE = 1024 };

typedef struct abi_iommu_hwpt_pgfault record;

static uint32_t pasid_of(const record *r)
{
	return r->flags & ABI_IOMMU_PGFAULT_FLAGS_PASID_VALID ? r->pasid : WEIR_NO_PASID;
}

static bool same_group(const record *a, const record *b)
{
	return a->cookie == b->cookie && a->dev_id == b->dev_id && a->grpid == b->grpid &&
	       pasid_of(a) == pasid_of(b);
}

/* The number of records that belong together; *@ret_good: they end as they should, and say nothing that is unknown. */
static size_t group_length(const record *first, size_t num, bool *ret_good)
{
	size_t len = 0;

	*ret_good = true;
	while (len < num && first[len].cookie == first->cookie) {
		const record *r = &first[len++];

		if (r->flags & ~KNOWN_FLAGS || r->perm & ~KNOWN_PERM || r->__reserved ||
		    !same_group(first, r))
			*ret_good = false;
		if (r->flags & ABI_IOMMU_PGFAULT_FLAGS_LAST_PAGE)
			return len;
	}
	*ret_good = false;
	return len;
}

/* With failure; whatever the kernel says to that, there is nothing more to be done. */
static void refuse(struct weir_faultq *queue, uint32_t cookie)
{
	const struct abi_iommu_hwpt_page_response response = { cookie, ABI_IOMMUFD_PAGE_RESP_INVALID };

	queue->sys->write(queue->sys->ctx, queue->fd, &response, sizeof(response));
	queue->counts.num_malformed++;
}

/* With its pages behind it. */
static struct weir_fault *new_fault(const record *first, size_t len)
{
	struct weir_fault *fault = calloc(1, sizeof(*fault) + len * sizeof(struct weir_fault_page));
	struct weir_fault_page *pages = (struct weir_fault_page *)(fault + 1);

	if (!fault)
		return NULL;
	for (size_t i = 0; i < len; i++)
		pages[i] = (struct weir_fault_page){ .iova = first[i].addr, .perm = first[i].perm };
	fault->pages = pages;
	fault->num_pages = (uint32_t)len;
	fault->group = first->grpid;
	fault->pasid = pasid_of(first);
	return fault;
}

/* Requests with a PASID that is attached to no table of its own go through that of the device, when its PASIDs are the program's tables' affair. */
static struct weir_faultq_member *member_of(const struct weir_faultq *queue, const record *r)
{
	struct weir_faultq_member *member = weir_faultq_member(queue, r->dev_id, pasid_of(r));

	return member ? member : weir_faultq_member(queue, r->dev_id, WEIR_NO_PASID);
}

/* The device stays in its space while it is a member. */
static void enter(struct weir_faultq *queue, struct weir_faultq_group *group, const record *first)
{
	struct weir_fault *fault = group->fault;

	group->pasid = fault->pasid;
	group->grpid = first->grpid;
	group->cookie = first->cookie;
	group->by_cookie.key = first->cookie;
	group->by_serial.key = ++queue->last_serial;
	fault->device = group->member->function->device;
	fault->ioas = group->member->function->ioas;
	fault->token = (struct weir_fault_token){ .serial = queue->last_serial,
						  .queue = queue->number,
						  .device = first->dev_id,
						  .pasid = fault->pasid,
						  .group = first->grpid };
	weir_tree_insert(&queue->by_serial, &group->by_serial);
	weir_tree_insert(&queue->by_cookie, &group->by_cookie);
	group->member->num_outstanding++;
	queue->counts.num_outstanding++;
}

static struct weir_faultq_group *group_of_cookie(const struct weir_faultq *queue, uint32_t cookie)
{
	struct weir_tree_node *node = weir_tree_at_or_above(&queue->by_cookie, cookie);

	if (!node || node->key != cookie)
		return NULL;
	return (struct weir_faultq_group *)((char *)node - offsetof(struct weir_faultq_group, by_cookie));
}

static uint64_t due_at(const struct weir_faultq *queue)
{
	uint64_t now = weir_faultq_now(), due = now + queue->opts.answer_ns;

	return due < now ? UINT64_MAX : due;
}

static void take(struct weir_faultq *queue, const record *first, size_t len, uint64_t due)
{
	struct weir_faultq_group *group, *old = group_of_cookie(queue, first->cookie);
	struct weir_faultq_member *member = member_of(queue, first);

	/* The kernel uses a number again, so it has answered what had it. */
	if (old)
		weir_faultq_forget(queue, old, &queue->counts.num_orphaned);
	group = member && member->function->device
			? calloc(1, sizeof(*group) + (queue->noted ? len : 0) * sizeof(uint32_t))
			: NULL;
	if (group)
		group->fault = new_fault(first, len);
	if (!group || !group->fault || weir_faultq_note_group(queue, group, first, len)) {
		free(group ? group->fault : NULL);
		free(group);
		refuse(queue, first->cookie);
		return;
	}
	group->member = member;
	group->due = due;
	enter(queue, group, first);
}

int weir_faultq_put(struct weir_faultq *queue, struct weir_faultq_group *group, const record *first,
		    size_t len)
{
	bool good;

	if (group_length(first, len, &good) != len || !good || group_of_cookie(queue, first->cookie))
		return weir_fail(-EPROTO, "a group of page requests makes no sense, or is there twice");
	group->member = member_of(queue, first);
	if (!group->member || !group->member->function->device)
		return -ENODEV;
	group->fault = new_fault(first, len);
	if (!group->fault)
		return weir_fail(-ENOMEM, "no memory for a group of page requests");
	group->due = due_at(queue);
	queue->counts.num_groups++;
	enter(queue, group, first);
	return 0;
}

static int parse(struct weir_faultq *queue, size_t num)
{
	uint64_t due = due_at(queue);
	int groups = 0;

	for (size_t i = 0; i < num; groups++) {
		bool good;
		size_t len = group_length(queue->records + i, num - i, &good);

		queue->counts.num_groups++;
		if (good)
			take(queue, queue->records + i, len, due);
		else
			refuse(queue, queue->records[i].cookie);
		i += len;
	}
	return groups;
}

static int grow(struct weir_faultq *queue, size_t room)
{
	record *records;

	if (room > MOST_RECORDS)
		return weir_fail(-ENOBUFS, "the first group of page requests is longer than %d",
				 MOST_RECORDS);
	if (room <= queue->room)
		return 0;
	records = realloc(queue->records, room * sizeof(*records));
	if (!records)
		return weir_fail(-ENOMEM, "no memory for reading %zu page requests", room);
	queue->records = records;
	queue->room = room;
	return 0;
}

/* With a journal, by way of it; what came is ours before it is looked at. */
static ssize_t read_records(struct weir_faultq *queue, size_t num)
{
	const struct weir_sys *sys = queue->sys;
	record *noted = weir_faultq_note_reading(queue, num);
	size_t room = num * sizeof(record);
	ssize_t len = sys->read(sys->ctx, queue->fd, noted ? noted : queue->records, room);

	if (noted && len > 0)
		memcpy(queue->records, noted, (size_t)len < room ? (size_t)len : room);
	return len;
}

/* The kernel says EINVAL when the first group does not fit, and keeps it. */
static int ask(struct weir_faultq *queue, size_t num)
{
	ssize_t len = -EINVAL;
	int error = 0;

	for (; !error && len == -EINVAL; num *= 2) {
		error = grow(queue, num);
		if (!error)
			len = read_records(queue, num);
	}
	num /= 2;
	if (error)
		return error;
	if (len < 0)
		return weir_fail((int)len, "reading page requests: %s", strerror((int)-len));
	if ((size_t)len > num * sizeof(record) || (size_t)len % sizeof(record)) {
		/* What is cut off cannot be answered: its number is not known. */
		queue->counts.num_groups++;
		queue->counts.num_malformed++;
	}
	if ((size_t)len > num * sizeof(record))
		return weir_fail(-EIO,
				 "the kernel says that it gave more page requests than there is room for");
	return parse(queue, (size_t)len / sizeof(record));
}

/* What a predecessor was killed over comes first. */
int weir_faultq_fetch(struct weir_faultq *queue, size_t num)
{
	const size_t most = queue->noted ? WEIR_SLOT_RECORDS : AT_ONCE;
	const size_t left = queue->num_left;
	int result;

	queue->num_left = 0;
	result = left ? parse(queue, left) : ask(queue, num < most ? num : most);
	weir_faultq_note_read(queue);
	return result;
}
