// SPDX-License-Identifier: MIT
/* A kernel that says of page requests what it likes. */
#include "faultq_rig.h"

#include <errno.h>
#include <string.h>

#include "../../lib/kernel/iommufd_abi.h"

#define IOVA 0x40000000u

typedef struct abi_iommu_hwpt_pgfault record;

enum { PASID = ABI_IOMMU_PGFAULT_FLAGS_PASID_VALID, LAST = ABI_IOMMU_PGFAULT_FLAGS_LAST_PAGE, ROOM = 16 };

/* What the next read gives instead of what there is, and what was answered since. */
static struct lie {
	bool set;
	ssize_t result;
	unsigned char bytes[ROOM * sizeof(record)];
	size_t len, max_len;
	struct abi_iommu_hwpt_page_response answers[ROOM];
	unsigned int num_answers;
	int write_error;
} lie;

static ssize_t (*read_below)(void *ctx, int fd, void *buf, size_t len);

static ssize_t lying_read(void *ctx, int fd, void *buf, size_t len)
{
	if (!lie.set)
		return read_below(ctx, fd, buf, len);
	if (lie.len > len)
		return -EINVAL;
	lie.set = false;
	memcpy(buf, lie.bytes, lie.len);
	return lie.result;
}

static ssize_t kept_write(void *ctx, int fd, const void *buf, size_t len)
{
	(void)ctx;
	(void)fd;
	if (lie.write_error)
		return lie.write_error;
	if (len == sizeof(lie.answers[0]) && lie.num_answers < ROOM)
		memcpy(&lie.answers[lie.num_answers++], buf, len);
	return (ssize_t)len;
}

static void say(const record *records, size_t num)
{
	lie.set = true;
	lie.len = num * sizeof(record);
	lie.result = (ssize_t)lie.len;
	lie.num_answers = 0;
	memcpy(lie.bytes, records, lie.len);
}

/* The device's id is that of the first that is bound; the table is the host's from here on. */
static struct faultq_rig *lied_to(struct t *t, record *ret_record)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, NULL);
	struct weir_fault *fault;

	rig_attach(t, rig, 0);
	rig_request(rig, 0, 0, RIG_FIRST_ID, IOVA);
	fault = rig_read(t, rig->queue);
	*ret_record = (record){ .flags = LAST,
				.dev_id = fault->token.device,
				.grpid = 7,
				.perm = 1,
				.addr = IOVA,
				.cookie = 900 };
	EXPECT_OK(weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	memset(&lie, 0, sizeof(lie));
	read_below = rig->table.read;
	rig->table.read = lying_read;
	rig->table.write = kept_write;
	return rig;
}

static uint64_t malformed(struct faultq_rig *rig)
{
	struct weir_faultq_info info = rig_info(rig->queue);

	EXPECT_EQ(info.num_groups, info.num_outstanding + info.num_answered + info.num_expired +
					   info.num_orphaned + info.num_malformed);
	return info.num_malformed;
}

/* Nothing of it is given out; it is answered with failure, by its number. */
static void is_refused(struct t *t, struct faultq_rig *rig, const record *records, size_t num,
		       uint64_t groups)
{
	uint64_t before = malformed(rig);
	struct weir_fault *fault;

	(void)t;
	say(records, num);
	EXPECT_EQ(weir_faultq_read(rig->queue, &fault, 1), 0);
	EXPECT_EQ(malformed(rig), before + groups);
	EXPECT_EQ(lie.num_answers, groups);
	for (unsigned int i = 0; i < lie.num_answers; i++)
		EXPECT_EQ(lie.answers[i].code, ABI_IOMMUFD_PAGE_RESP_INVALID);
}

UNIT(faultq_hostile, what_makes_no_sense_is_refused_and_counted)
{
	record good, bad, two[2];
	struct faultq_rig *rig = lied_to(t, &good);

	bad = good;
	bad.flags |= 4;
	is_refused(t, rig, &bad, 1, 1);
	EXPECT_EQ(lie.answers[0].cookie, 900);
	bad = good;
	bad.perm = 16;
	is_refused(t, rig, &bad, 1, 1);
	bad = good;
	bad.__reserved = 1;
	is_refused(t, rig, &bad, 1, 1);
	/* Of a device that is not there. */
	bad = good;
	bad.dev_id += 1000;
	is_refused(t, rig, &bad, 1, 1);
	/* Without an end; with an end that is another's; of two devices, two PASIDs. */
	bad = good;
	bad.flags = 0;
	is_refused(t, rig, &bad, 1, 1);
	two[0] = bad;
	two[1] = good;
	two[1].cookie++;
	two[1].flags = 0;
	is_refused(t, rig, two, 2, 2);
	two[1] = good;
	two[1].dev_id++;
	is_refused(t, rig, two, 2, 1);
	two[1] = good;
	two[1].flags |= PASID;
	two[1].pasid = 3;
	is_refused(t, rig, two, 2, 1);
	two[1] = good;
	two[1].grpid++;
	is_refused(t, rig, two, 2, 1);
}

UNIT(faultq_hostile, a_record_that_is_cut_off_is_counted)
{
	record good, two[2];
	struct faultq_rig *rig = lied_to(t, &good);
	struct weir_fault *fault;

	two[0] = two[1] = good;
	say(two, 1);
	memcpy(lie.bytes + sizeof(record), two, 17);
	lie.len += 17;
	lie.result += 17;
	EXPECT_EQ(weir_faultq_read(rig->queue, &fault, 1), 1);
	weir_fault_free(fault);
	EXPECT_EQ(malformed(rig), 1);
	/* More than was asked for. */
	say(two, 1);
	lie.result = 1 << 30;
	EXPECT_ERR(-EIO, weir_faultq_read(rig->queue, &fault, 1));
	EXPECT_EQ(malformed(rig), 2);
	/* Less than one. */
	say(two, 1);
	lie.result = 39;
	EXPECT_EQ(weir_faultq_read(rig->queue, &fault, 1), 0);
	EXPECT_EQ(malformed(rig), 3);
}

UNIT(faultq_hostile, a_number_that_is_given_twice_ends_what_had_it)
{
	record good, two[2];
	struct faultq_rig *rig = lied_to(t, &good);
	struct weir_fault *first, *second, *both[2];

	say(&good, 1);
	first = rig_read(t, rig->queue);
	say(&good, 1);
	second = rig_read(t, rig->queue);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &first->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(lie.num_answers, 0);
	EXPECT_OK(weir_faultq_respond(rig->queue, &second->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(lie.num_answers, 1);
	/* Even in one go: of the two, the second is given. */
	two[0] = two[1] = good;
	say(two, 2);
	ASSERT_EQ(weir_faultq_read(rig->queue, both, 2), 1);
	EXPECT_OK(weir_faultq_respond(rig->queue, &both[0]->token, WEIR_FAULT_INVALID));
	weir_fault_free(both[0]);
	EXPECT_EQ(malformed(rig), 0);
}

UNIT(faultq_hostile, a_long_group_is_read_whole)
{
	record good, long_one[ROOM];
	struct faultq_rig *rig = lied_to(t, &good);
	struct weir_fault *fault;

	for (size_t i = 0; i < ROOM; i++) {
		long_one[i] = good;
		long_one[i].addr += i << 12;
		long_one[i].flags = i + 1 == ROOM ? LAST : 0;
	}
	say(long_one, ROOM);
	fault = rig_read(t, rig->queue);
	EXPECT_EQ(fault->num_pages, ROOM);
	EXPECT_EQ(fault->pages[ROOM - 1].iova, IOVA + ((ROOM - 1) << 12));
}

/* A kernel that says EINVAL whatever the room is not asked for ever. */
static ssize_t never_fits(void *ctx, int fd, void *buf, size_t len)
{
	(void)ctx;
	(void)fd;
	(void)buf;
	lie.max_len = len;
	return -EINVAL;
}

UNIT(faultq_hostile, a_group_that_never_fits_is_given_up)
{
	record good;
	struct faultq_rig *rig = lied_to(t, &good);
	struct weir_fault *fault;

	rig->table.read = never_fits;
	EXPECT_ERR(-ENOBUFS, weir_faultq_read(rig->queue, &fault, 1));
	EXPECT_EQ(lie.max_len, sizeof(record) << 20);
	rig->table.read = read_below;
}

UNIT(faultq_hostile, an_answer_that_the_kernel_does_not_take_is_to_be_given_again)
{
	record good;
	struct faultq_rig *rig = lied_to(t, &good);
	struct weir_fault *fault;

	say(&good, 1);
	fault = rig_read(t, rig->queue);
	lie.write_error = -EFAULT;
	EXPECT_ERR(-EFAULT, weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig_info(rig->queue).num_outstanding, 1);
	/* It does not know it: somebody has answered. */
	lie.write_error = -EINVAL;
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig_info(rig->queue).num_outstanding, 0);
	lie.write_error = 0;
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(lie.num_answers, 0);
}
