// SPDX-License-Identifier: MIT
/* Queues of page faults, as far as they go where nothing faults (A.3, A.13). */
#include "conformance/raw/raw.h"

#include <errno.h>

struct queue {
	uint32_t id;
	int fd;
};

static struct queue new_queue(struct t *t, int iommufd)
{
	struct abi_iommu_fault_alloc *alloc = COMMAND(abi_iommu_fault_alloc);

	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_FAULT_QUEUE_ALLOC, alloc));
	return (struct queue){ alloc->out_fault_id, raw_keep(t, (int)alloc->out_fault_fd) };
}

CONFORMANCE(raw_fault, a_queue_is_busy_while_it_is_open_or_wanted, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	struct queue queue = new_queue(t, iommufd);
	struct abi_iommu_hwpt_alloc *alloc =
		COMMAND(abi_iommu_hwpt_alloc, .dev_id = edu.id, .pt_id = raw_ioas(t, iommufd),
			.flags = ABI_IOMMU_HWPT_FAULT_ID_VALID, .fault_id = queue.id);

	/* A plain page table takes one, though nothing will come of it. */
	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_ALLOC, alloc));
	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, queue.id));
	EXPECT_OK(raw_destroy(t, iommufd, alloc->out_hwpt_id));
	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, queue.id));
	raw_close(t, queue.fd);
	EXPECT_OK(raw_destroy(t, iommufd, queue.id));
	EXPECT_ERR(-EOPNOTSUPP, raw_ioctl(t, iommufd, ABI_IOMMU_FAULT_QUEUE_ALLOC,
					  COMMAND(abi_iommu_fault_alloc, .flags = 1)));
}

/* A device that cannot ask for pages is not attached to a table that says it may. */
CONFORMANCE(raw_fault, a_device_without_page_requests_is_not_attached, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	struct abi_iommu_hwpt_alloc *alloc =
		COMMAND(abi_iommu_hwpt_alloc, .dev_id = edu.id, .pt_id = raw_ioas(t, iommufd),
			.flags = ABI_IOMMU_HWPT_FAULT_ID_VALID, .fault_id = new_queue(t, iommufd).id);
	uint32_t pt_id;

	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_ALLOC, alloc));
	pt_id = alloc->out_hwpt_id;
	EXPECT_ERR(-ENODEV, raw_attach(t, edu.fd, &pt_id));
}

CONFORMANCE(raw_fault, an_empty_queue_gives_nothing_and_takes_no_answer, NEEDS(IOMMUFD))
{
	const struct weir_sys *sys = sys_of(t);
	struct queue queue = new_queue(t, new_iommufd(t));
	struct abi_iommu_hwpt_page_response response = { .cookie = 1, .code = ABI_IOMMUFD_PAGE_RESP_INVALID };
	char records[80];

	EXPECT_EQ(sys->read(sys->ctx, queue.fd, records, 80), 0);
	EXPECT_EQ(sys->read(sys->ctx, queue.fd, records, 40), 0);
	EXPECT_EQ(sys->read(sys->ctx, queue.fd, records, 0), 0);
	EXPECT_EQ(sys->read(sys->ctx, queue.fd, records, 41), -ESPIPE);
	EXPECT_EQ(sys->write(sys->ctx, queue.fd, &response, 7), -ESPIPE);
	EXPECT_EQ(sys->write(sys->ctx, queue.fd, &response, 8), -EINVAL);
	response.code = 2;
	EXPECT_EQ(sys->write(sys->ctx, queue.fd, &response, 8), -EINVAL);
}

CONFORMANCE(raw_fault, an_empty_queue_can_be_written_and_not_read, NEEDS(IOMMUFD))
{
	struct pollfd fd = { .fd = new_queue(t, new_iommufd(t)).fd, .events = POLLIN | POLLOUT };

	EXPECT_EQ(sys_of(t)->poll(sys_of(t)->ctx, &fd, 1, 0), 1);
	EXPECT_EQ(fd.revents, POLLOUT);
}
