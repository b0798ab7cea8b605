// SPDX-License-Identifier: MIT
/* Events of a virtual SMMUv3, and the queue that they are read from (kernel-interface A.14). */
#include "sim_nested.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { EVENT = 40, HEADER = 8, DEPTH = 2, SHIFT_4K = 12, TLBI_ALL = 0x10 };
enum { BAD_CD = 0x0a, TRANSLATION = 0x10, ADDRESS_SIZE = 0x11, ACCESS = 0x12, PERMISSION = 0x13 };

struct record {
	struct abi_iommufd_vevent_header header;
	uint64_t words[4];
};

struct rig {
	struct nest nest;
	uint32_t viommu;
	uint64_t cd;
	uint32_t queue;
	int fd;
};

static struct rig new_rig(struct t *t)
{
	struct rig rig = { .nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4) };
	union cmd cmd;

	rig.viommu = new_viommu(t, &rig.nest);
	rig.cd = new_cd(&rig.nest, 1);
	attached_smmu(t, &rig.nest, rig.viommu, rig.cd);
	cmd = (union cmd){ .veventq = { .viommu_id = rig.viommu, .type = 1, .veventq_depth = DEPTH } };
	ASSERT_OK(command(rig.nest.b.sim, rig.nest.b.iommufd, 0x93, &cmd));
	rig.queue = cmd.veventq.out_veventq_id;
	rig.fd = (int)cmd.veventq.out_veventq_fd;
	return rig;
}

static int64_t read_queue(const struct rig *rig, void *buf, size_t len)
{
	const struct weir_sys *sys = weir_sim_sys(rig->nest.b.sim);

	return sys->read(sys->ctx, rig->fd, buf, len);
}

static int revents(const struct rig *rig)
{
	const struct weir_sys *sys = weir_sim_sys(rig->nest.b.sim);
	struct pollfd poll = { .fd = rig->fd, .events = POLLIN };

	return sys->poll(sys->ctx, &poll, 1, 0) < 0 ? -1 : poll.revents;
}

static int raise_event(const struct rig *rig, uint64_t id)
{
	return weir_sim_smmuv3_event(rig->nest.b.device, (const uint64_t[4]){ id, 2, 3, 4 });
}

UNIT(sim_veventq, gives_whole_events_and_never_waits)
{
	struct rig rig = new_rig(t);
	struct record records[2];

	EXPECT_EQ(read_queue(&rig, records, EVENT), 0);
	EXPECT_EQ(revents(&rig), 0);
	EXPECT_OK(raise_event(&rig, 0x10));
	EXPECT_OK(raise_event(&rig, 0x11));
	EXPECT_EQ(revents(&rig), POLLIN);
	EXPECT_ERR(-EINVAL, read_queue(&rig, records, HEADER - 1));
	EXPECT_ERR(-EINVAL, read_queue(&rig, records, HEADER));
	EXPECT_ERR(-EINVAL, read_queue(&rig, records, EVENT - 1));
	EXPECT_ERR(-EFAULT, read_queue(&rig, (void *)8, EVENT));
	EXPECT_EQ(read_queue(&rig, records, EVENT + 5), EVENT);
	EXPECT_EQ(records[0].header.flags, 0);
	EXPECT_EQ(records[0].header.sequence, 0);
	EXPECT_EQ(records[0].words[0], 0x10 | (uint64_t)STREAM << 32);
	EXPECT_EQ(records[0].words[3], 4);
	EXPECT_EQ(read_queue(&rig, records, sizeof(records)), EVENT);
	EXPECT_EQ(records[0].header.sequence, 1);
	EXPECT_EQ(revents(&rig), 0);
	close_node(rig.nest.b.sim, rig.fd);
}

/* One header stands for all that were lost, and goes when there is room again. */
UNIT(sim_veventq, says_that_events_were_lost)
{
	struct rig rig = new_rig(t);
	struct record records[4];
	struct abi_iommufd_vevent_header lost;

	for (uint64_t i = 0; i < 4; i++)
		EXPECT_OK(raise_event(&rig, i));
	EXPECT_EQ(read_queue(&rig, records, sizeof(records)), 2 * EVENT + HEADER);
	EXPECT_EQ(records[1].header.sequence, 1);
	memcpy(&lost, &records[2], sizeof(lost));
	EXPECT_EQ(lost.flags, ABI_IOMMU_VEVENTQ_FLAG_LOST_EVENTS);
	EXPECT_EQ(lost.sequence, 3);
	EXPECT_EQ(revents(&rig), 0);
	for (uint64_t i = 0; i < 3; i++)
		EXPECT_OK(raise_event(&rig, i));
	EXPECT_EQ(read_queue(&rig, records, EVENT), EVENT);
	EXPECT_OK(raise_event(&rig, 7));
	EXPECT_EQ(read_queue(&rig, records, sizeof(records)), 2 * EVENT);
	EXPECT_EQ(records[0].header.sequence, 5);
	EXPECT_EQ(records[1].header.sequence, 7);
	EXPECT_EQ(records[1].header.flags, 0);
	close_node(rig.nest.b.sim, rig.fd);
}

UNIT(sim_veventq, is_held_by_its_file_and_holds_the_virtual_iommu)
{
	struct rig rig = new_rig(t);
	struct board *b = &rig.nest.b;
	union cmd cmd = { .veventq = { .viommu_id = rig.viommu, .type = 1, .veventq_depth = 1 } };

	EXPECT_ERR(-EEXIST, command(b->sim, b->iommufd, 0x93, &cmd));
	EXPECT_ERR(-EBUSY, destroy(b->sim, b->iommufd, rig.queue));
	EXPECT_OK(raise_event(&rig, 1));
	close_node(b->sim, rig.fd);
	EXPECT_OK(destroy(b->sim, b->iommufd, rig.queue));
	EXPECT_ERR(-EOPNOTSUPP, raise_event(&rig, 1));
	EXPECT_CONTAINS(weir_error(), "no queue of events");
	EXPECT_OK(destroy(b->sim, b->iommufd, rig.viommu + 1));
	EXPECT_ERR(-ENOENT, raise_event(&rig, 1));
}

UNIT(sim_veventq, keeps_the_iommufd)
{
	struct rig rig = new_rig(t);
	struct record record;

	EXPECT_OK(raise_event(&rig, 1));
	close_node(rig.nest.b.sim, rig.nest.b.iommufd);
	close_node(rig.nest.b.sim, rig.nest.b.cdev);
	EXPECT_EQ(read_queue(&rig, &record, sizeof(record)), EVENT);
	close_node(rig.nest.b.sim, rig.fd);
}

/* The parent is 3, the virtual IOMMU 4. */
UNIT(sim_veventq, requests_are_checked_in_the_kernels_order)
{
	static const struct row rows[] = {
		{ "flags", 0x93, -EOPNOTSUPP, { .veventq = { .flags = 1, .type = 1, .viommu_id = 4 } } },
		{ "reserved",
		  0x93,
		  -EOPNOTSUPP,
		  { .veventq = { .__reserved = 1, .type = 1, .viommu_id = 4 } } },
		{ "no type", 0x93, -EOPNOTSUPP, { .veventq = { .viommu_id = 9 } } },
		{ "no depth", 0x93, -EINVAL, { .veventq = { .type = 9, .viommu_id = 9 } } },
		{ "too deep",
		  0x93,
		  -EINVAL,
		  { .veventq = { .type = 1, .viommu_id = 4, .veventq_depth = (1 << 19) + 1 } } },
		{ "nothing of it",
		  0x93,
		  -ENOENT,
		  { .veventq = { .type = 9, .viommu_id = 3, .veventq_depth = 1 } } },
		{ "another's",
		  0x93,
		  -EOPNOTSUPP,
		  { .veventq = { .type = 2, .viommu_id = 4, .veventq_depth = 1 } } },
		{ "commands",
		  0x94,
		  -EOPNOTSUPP,
		  { .hw_queue = { .type = 1, .viommu_id = 4, .length = 32 } } },
	};
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4);

	EXPECT_EQ(new_viommu(t, &nest), 4);
	RUN_ROWS(t, nest.b.sim, nest.b.iommufd, rows);
}

/* Faults -------------------------------------------------------------------------------------------------- */

static void expect_event(struct t *t, const struct rig *rig, uint32_t id, uint64_t iova, bool write)
{
	struct record record = { .words = { 0 } };

	(void)t;
	EXPECT_EQ(read_queue(rig, &record, sizeof(record)), EVENT);
	EXPECT_EQ(record.words[0], id | (uint64_t)STREAM << 32);
	if (id < TRANSLATION)
		return;
	EXPECT_EQ(record.words[1], (uint64_t)2 << 40 | (uint64_t)!write << 35);
	EXPECT_EQ(record.words[2], iova);
}

UNIT(sim_veventq, tells_of_faults_of_the_first_stage)
{
	struct rig rig = new_rig(t);
	struct nest *nest = &rig.nest;
	uint64_t *entry = arm_entry(nest, 5 * PAGE, SHIFT_4K), *cd = entry_at(nest, rig.cd);
	struct record record;

	EXPECT_EQ(page_at(nest, 5 * PAGE), -EFAULT);
	expect_event(t, &rig, TRANSLATION, 5 * PAGE, false);
	*entry = ARM_ENTRY(data_at(1)) | 1 << 7;
	EXPECT_ERR(-EFAULT, write_at(nest, 5 * PAGE));
	expect_event(t, &rig, PERMISSION, 5 * PAGE, true);
	*entry = ARM_ENTRY(data_at(1)) & ~(uint64_t)(1 << 10);
	EXPECT_OK(smmu_command(nest, rig.viommu, TLBI_ALL, 0));
	EXPECT_EQ(page_at(nest, 5 * PAGE), -EFAULT);
	expect_event(t, &rig, ACCESS, 5 * PAGE, false);
	*entry = ARM_ENTRY(data_at(1)) | (uint64_t)1 << 48;
	EXPECT_EQ(page_at(nest, 5 * PAGE), -EFAULT);
	expect_event(t, &rig, ADDRESS_SIZE, 5 * PAGE, false);
	/* Of stage 2 the kernel hears, and nobody else. */
	*entry = ARM_ENTRY(GIB);
	EXPECT_EQ(page_at(nest, 5 * PAGE), -EFAULT);
	EXPECT_EQ(read_queue(&rig, &record, sizeof(record)), 0);
	cd[0] &= ~(uint64_t)(1u << 31);
	EXPECT_OK(smmu_command(nest, rig.viommu, 0x06 | (uint64_t)STREAM << 32, 0));
	EXPECT_EQ(page_at(nest, 0), -EFAULT);
	expect_event(t, &rig, BAD_CD, 0, false);
	/* A context may keep faults to itself (CD.R). */
	cd[0] = (cd[0] | 1u << 31) & ~((uint64_t)1 << 45);
	EXPECT_EQ(page_at(nest, 0), -EFAULT);
	EXPECT_EQ(read_queue(&rig, &record, sizeof(record)), 0);
	close_node(rig.nest.b.sim, rig.fd);
}
