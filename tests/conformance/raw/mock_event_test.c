// SPDX-License-Identifier: MIT
/* Page faults and events of virtual IOMMUs, which only the kernel's mock devices raise (A.13, A.14). */
#include "conformance/raw/mock.h"

#include <errno.h>

static ssize_t read_from(struct t *t, int fd, void *to, size_t len)
{
	return sys_of(t)->read(sys_of(t)->ctx, fd, to, len);
}

static int polled(struct t *t, int fd)
{
	struct pollfd poll = { .fd = fd, .events = POLLIN | POLLOUT };

	sys_of(t)->poll(sys_of(t)->ctx, &poll, 1, 0);
	return poll.revents;
}

/* Page faults ------------------------------------------------------------------------------------------------------- */

/* A device on a plain page table with a queue of faults. */
struct faulty {
	int iommufd, queue;
	uint32_t ioas;
	struct mock mock;
};

static struct faulty new_faulty(struct t *t)
{
	struct abi_iommu_fault_alloc *queue = COMMAND(abi_iommu_fault_alloc);
	struct abi_iommu_hwpt_alloc *hwpt =
		COMMAND(abi_iommu_hwpt_alloc, .flags = ABI_IOMMU_HWPT_FAULT_ID_VALID);
	struct faulty faulty = { .iommufd = new_iommufd(t) };

	faulty.ioas = raw_ioas(t, faulty.iommufd);
	faulty.mock = new_mock(t, faulty.iommufd, faulty.ioas);
	ASSERT_OK(raw_ioctl(t, faulty.iommufd, ABI_IOMMU_FAULT_QUEUE_ALLOC, queue));
	faulty.queue = raw_keep(t, (int)queue->out_fault_fd);
	hwpt->dev_id = faulty.mock.id;
	hwpt->pt_id = faulty.ioas;
	hwpt->fault_id = queue->out_fault_id;
	ASSERT_OK(raw_ioctl(t, faulty.iommufd, ABI_IOMMU_HWPT_ALLOC, hwpt));
	ASSERT_OK(mock_replace(t, faulty.iommufd, faulty.mock, hwpt->out_hwpt_id));
	return faulty;
}

static void raise_fault(struct t *t, const struct faulty *faulty, uint64_t addr)
{
	ASSERT_OK(mock_op(t, faulty->iommufd,
			  &(struct abi_iommu_test_cmd){ .op = ABI_IOMMU_TEST_OP_TRIGGER_IOPF,
							.trigger_iopf = { .dev_id = faulty->mock.id,
									  .perm = ABI_IOMMU_PGFAULT_PERM_READ,
									  .grpid = 3,
									  .addr = addr } }));
}

static ssize_t answer(struct t *t, int queue, const struct abi_iommu_hwpt_page_response *answers, size_t num)
{
	return sys_of(t)->write(sys_of(t)->ctx, queue, answers, num * sizeof(*answers));
}

CONFORMANCE(raw_mock, faults_are_read_and_answered, NEEDS(IOMMUFD, MOCK))
{
	const struct abi_iommu_hwpt_page_response answers[] = { { 1, ABI_IOMMUFD_PAGE_RESP_SUCCESS },
								{ 99, 0 } };
	struct faulty faulty = new_faulty(t);
	struct abi_iommu_hwpt_pgfault record;

	EXPECT_EQ(polled(t, faulty.queue), POLLOUT);
	raise_fault(t, &faulty, 0x1000);
	EXPECT_EQ(polled(t, faulty.queue), POLLIN | POLLOUT);
	EXPECT_EQ(read_from(t, faulty.queue, &record, 0), -EINVAL);
	ASSERT_EQ(read_from(t, faulty.queue, &record, sizeof(record)), sizeof(record));
	EXPECT_EQ(record.cookie, 1);
	EXPECT_EQ(record.dev_id, faulty.mock.id);
	EXPECT_EQ(record.flags, ABI_IOMMU_PGFAULT_FLAGS_LAST_PAGE);
	EXPECT_EQ(record.addr, 0x1000);
	EXPECT_EQ(record.grpid, 3);
	EXPECT_EQ(record.length, 0);
	EXPECT_EQ(polled(t, faulty.queue), POLLOUT);
	raise_fault(t, &faulty, 0x2000);
	ASSERT_EQ(read_from(t, faulty.queue, &record, sizeof(record)), sizeof(record));
	EXPECT_EQ(record.cookie, 2);
	/* The good one of two answers is taken, and of the bad one nobody says anything. */
	EXPECT_EQ(answer(t, faulty.queue, answers, 2), 8);
	EXPECT_EQ(answer(t, faulty.queue, answers, 1), -EINVAL);
}

CONFORMANCE(raw_mock, a_device_that_leaves_takes_its_faults_along, NEEDS(IOMMUFD, MOCK))
{
	const struct abi_iommu_hwpt_page_response first = { .cookie = 1 };
	struct faulty faulty = new_faulty(t);
	struct abi_iommu_hwpt_pgfault record;

	raise_fault(t, &faulty, 0x1000);
	ASSERT_EQ(read_from(t, faulty.queue, &record, sizeof(record)), sizeof(record));
	raise_fault(t, &faulty, 0x2000);
	EXPECT_OK(mock_replace(t, faulty.iommufd, faulty.mock, faulty.ioas));
	EXPECT_EQ(answer(t, faulty.queue, &first, 1), -EINVAL);
	EXPECT_EQ(read_from(t, faulty.queue, &record, sizeof(record)), 0);
	EXPECT_EQ(polled(t, faulty.queue), POLLOUT);
}

/* Events ------------------------------------------------------------------------------------------------------------ */

struct event {
	struct abi_iommufd_vevent_header header;
	uint32_t number;
};

CONFORMANCE(raw_mock, events_that_find_no_room_are_counted, NEEDS(IOMMUFD, MOCK))
{
	int iommufd = new_iommufd(t), queue;
	uint32_t ioas = raw_ioas(t, iommufd), vdevice, nested;
	struct mock mock = new_mock(t, iommufd, ioas);
	struct abi_iommu_veventq_alloc *alloc =
		COMMAND(abi_iommu_veventq_alloc, .type = ABI_IOMMU_VEVENTQ_TYPE_SELFTEST, .veventq_depth = 2,
			.viommu_id = new_viommu(t, iommufd, mock, new_parent(t, iommufd, mock, ioas)));
	struct event events[3];

	ASSERT_OK(mock_number(t, iommufd, mock, alloc->viommu_id, 7, &vdevice));
	ASSERT_OK(mock_nest(t, iommufd, mock, alloc->viommu_id, 0, &nested));
	ASSERT_OK(mock_replace(t, iommufd, mock, nested));
	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_VEVENTQ_ALLOC, alloc));
	queue = raw_keep(t, (int)alloc->out_veventq_fd);
	EXPECT_EQ(read_from(t, queue, events, 4), -EINVAL);
	EXPECT_EQ(read_from(t, queue, events, sizeof(events)), 0);
	EXPECT_EQ(polled(t, queue), 0);
	for (int i = 0; i < 4; i++)
		ASSERT_OK(mock_op(t, iommufd,
				  &(struct abi_iommu_test_cmd){ .op = ABI_IOMMU_TEST_OP_TRIGGER_VEVENT,
								.trigger_vevent = { mock.id } }));
	EXPECT_EQ(polled(t, queue), POLLIN);
	/* Two with what they say, and the head alone that stands for the others. */
	ASSERT_EQ(read_from(t, queue, events, sizeof(events)), 2 * sizeof(events[0]) + 8);
	EXPECT_EQ(events[0].header.flags, 0);
	EXPECT_EQ(events[0].header.sequence, 0);
	EXPECT_EQ(events[0].number, 7);
	EXPECT_EQ(events[1].header.sequence, 1);
	EXPECT_EQ(events[2].header.flags, ABI_IOMMU_VEVENTQ_FLAG_LOST_EVENTS);
	EXPECT_EQ(events[2].header.sequence, 3);
}
