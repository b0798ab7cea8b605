// SPDX-License-Identifier: MIT
/* What a successor gets of a controller that was reset, or that uses more than the least; what it does not get is named. */
#include <errno.h>
#include <string.h>

#include <nvme/manage.h>

#include "nvme_machine.h"

#define SOME_IOVA 0x10000
#define ADDRESS   0x123456789000ull
#define MIB       (1ull << 20)

enum { DEPTH = 7 };

static struct nvme_controller *controller;
static struct nvme_queue *queue;
static struct nvme_namespace ns;

static void close_it(void *arg)
{
	(void)arg;
	stub_reopen_blocks();
	machine.io_mute = machine.never_ready = false;
	/* Memory of a process that nobody followed is gone with it; here it is not. */
	if (!controller && nvme_controller_open(stub_device(), NULL, &controller) == 0) {
		EXPECT_OK(nvme_controller_close(controller));
		stub_switch_off();
		return;
	}
	EXPECT_OK(nvme_controller_close(controller));
	EXPECT_TRUE(machine_is_clean());
}

static void open_it(struct t *t, uint32_t flags)
{
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING, .admin_timeout_ms = 50,
			  .ready_timeout_ms = 50, .flags = flags);

	controller = NULL;
	t_defer(t, close_it, NULL);
	ASSERT_OK(nvme_controller_open(stub_device(), &opts, &controller));
	ASSERT_OK(nvme_namespace_info(controller, 1, &ns, sizeof ns));
	ASSERT_OK(nvme_queue_open(controller, DEPTH, &queue));
}

static int submit(uint64_t tag)
{
	struct nvme_request request = {
		.op = NVME_OP_WRITE, .block = tag, .iova = SOME_IOVA, .len = 512, .tag = tag
	};

	return nvme_queue_submit(queue, &ns, &request, 1);
}

/* The process is no more. */
static void die(void)
{
	nvme_controller_forget(controller);
	controller = NULL;
	stub_reopen_blocks();
}

static void follow(void)
{
	die();
	ASSERT_OK(nvme_controller_restore(stub_device(), NULL, &controller));
	ASSERT_OK(nvme_controller_queue(controller, 1, &queue));
}

/* Completions of tags from @first to @end come next, in order; those before @doubtful without an error. */
static void comes(uint64_t first, uint64_t doubtful, uint64_t end)
{
	struct nvme_completion done[DEPTH + 1];
	int num = (int)(end - first);

	ASSERT_EQ(nvme_queue_reap(queue, done, (size_t)num), num);
	for (int i = 0; i < num; i++) {
		EXPECT_EQ(done[i].tag, first + (uint64_t)i);
		EXPECT_EQ(done[i].error, done[i].tag < doubtful ? 0 : -ECONNRESET);
	}
}

/* 0 and 1 had completed, 2 to 4 were on their way. */
static void reset_with_five(struct t *t)
{
	machine_reset();
	open_it(t, 0);
	for (uint64_t tag = 0; tag < 5; tag++) {
		machine.io_mute = tag >= 2;
		EXPECT_EQ(submit(tag), 1);
	}
	machine.io_mute = false;
	ASSERT_OK(nvme_controller_reset(controller));
}

UNIT(nvme_carried, what_a_reset_left_until_its_caller_submits_again)
{
	struct nvme_completion done[DEPTH];
	uint64_t tags[DEPTH];

	reset_with_five(t);
	comes(0, 2, 3);
	for (int i = 0; i < 3; i++) {
		follow();
		EXPECT_EQ(nvme_queue_pending(queue, tags, DEPTH), 5);
		EXPECT_EQ(nvme_queue_in_flight(queue), 5);
		EXPECT_ERR(-EAGAIN, submit(9));
		comes(0, 2, 4);
		comes(4, 2, 5);
		EXPECT_EQ(nvme_queue_reap(queue, done, DEPTH), 0);
		EXPECT_EQ(nvme_queue_pending(queue, tags, DEPTH), 0);
	}
	EXPECT_EQ(submit(9), 1);
	follow();
	ASSERT_EQ(nvme_queue_pending(queue, tags, DEPTH), 1);
	EXPECT_EQ(tags[0], 9);
	comes(9, 10, 10);
	EXPECT_OK(nvme_queue_read(queue, &ns, 0, SOME_IOVA, 1000 * 512, 1000));
}

UNIT(nvme_carried, what_a_reset_left_less_what_was_reaped_before_a_pause)
{
	struct nvme_completion done[DEPTH];

	reset_with_five(t);
	comes(0, 2, 2);
	ASSERT_OK(nvme_controller_pause(controller));
	EXPECT_ERR(-EBUSY, nvme_queue_reap(queue, done, DEPTH));
	nvme_controller_resume(controller);
	comes(2, 2, 3);
	ASSERT_OK(nvme_controller_pause(controller));
	follow();
	comes(3, 2, 4);
	ASSERT_OK(nvme_controller_pause(controller));
	follow();
	comes(4, 2, 5);
	EXPECT_EQ(submit(5), 1);
	comes(5, 6, 6);
}

UNIT(nvme_carried, a_successor_resets_what_it_took_over)
{
	struct nvme_completion done[DEPTH];

	machine_reset();
	open_it(t, 0);
	EXPECT_EQ(submit(0), 1);
	comes(0, 1, 1);
	machine.io_mute = true;
	EXPECT_EQ(submit(1), 1);
	EXPECT_EQ(submit(2), 1);
	machine.io_mute = false;
	follow();
	ASSERT_OK(nvme_controller_reset(controller));
	follow();
	comes(1, 1, 3);
	EXPECT_EQ(nvme_queue_reap(queue, done, DEPTH), 0);
	EXPECT_OK(nvme_queue_read(queue, &ns, 0, SOME_IOVA, 1000 * 512, 1000));
}

UNIT(nvme_carried, nothing_while_a_reset_has_not_succeeded)
{
	reset_with_five(t);
	machine.never_ready = true;
	EXPECT_ERR(-ETIMEDOUT, nvme_controller_reset(controller));
	machine.never_ready = false;
	die();
	EXPECT_ERR(-ENODATA, nvme_controller_restore(stub_device(), NULL, &controller));
}

UNIT(nvme_carried, who_is_paused_neither_resets_nor_aborts_nor_opens_nor_closes)
{
	struct nvme_queue *another;

	machine_reset();
	open_it(t, 0);
	ASSERT_OK(nvme_controller_pause(controller));
	EXPECT_ERR(-EBUSY, nvme_controller_reset(controller));
	EXPECT_ERR(-EBUSY, nvme_queue_abort(queue, 0));
	EXPECT_ERR(-EBUSY, nvme_queue_open(controller, DEPTH, &another));
	EXPECT_ERR(-EBUSY, nvme_queue_close(queue));
	nvme_controller_resume(controller);
	EXPECT_OK(nvme_queue_read(queue, &ns, 0, SOME_IOVA, 1000 * 512, 1000));
	EXPECT_OK(nvme_queue_close(queue));
}

/* What the controller can do, and how it is told where data is. */
UNIT(nvme_carried, scatter_gather_lists_and_all_operations)
{
	struct nvme_segment segments[] = { { .iova = SOME_IOVA, .len = 100 },
					   { .iova = 0x20000, .len = 412 } };
	struct nvme_request request = { .op = NVME_OP_COMPARE, .len = 512, .iova = SOME_IOVA, .tag = 7 };
	struct nvme_controller_info before, after;

	machine_reset();
	machine.id_ctrl.sgls = htole32(1);
	machine.id_ctrl.oncs = htole16(1 | 4 | 8);
	open_it(t, NVME_SGL);
	ASSERT_OK(nvme_controller_info(controller, &before, sizeof before));
	machine.io_mute = true;
	EXPECT_EQ(submit(1), 1);
	follow();
	ASSERT_OK(nvme_controller_info(controller, &after, sizeof after));
	EXPECT_TRUE(after.sgl && after.compare && after.write_zeroes && after.discard);
	EXPECT_EQ(memcmp(&before, &after, sizeof before), 0);
	EXPECT_EQ(nvme_queue_submit(queue, &ns, &request, 1), 1);
	EXPECT_OK(nvme_queue_submit_segments(
		queue, &ns, &(struct nvme_request){ .op = NVME_OP_READ, .len = 512 }, segments, 2));
	for (int i = 0; i < 3; i++)
		EXPECT_TRUE(le64toh(machine.rings[1].sq[i].qword[0]) & NVME_SQE_SGL);
}

static void is_not_carried(const char *what)
{
	EXPECT_ERR(-EOPNOTSUPP, nvme_controller_pause(controller));
	EXPECT_CONTAINS(nvme_error(), what);
	EXPECT_OK(nvme_queue_read(queue, &ns, 0, SOME_IOVA, 512, 1000));
	die();
	EXPECT_ERR(-EOPNOTSUPP, nvme_controller_restore(stub_device(), NULL, &controller));
	EXPECT_CONTAINS(nvme_error(), what);
}

UNIT(nvme_carried, shadow_doorbells_are_not)
{
	machine_reset();
	machine.id_ctrl.oacs = htole16(1 << 8);
	open_it(t, NVME_SHADOW_DOORBELLS);
	is_not_carried("shadow doorbells");
}

UNIT(nvme_carried, requests_for_events_are_not)
{
	machine_reset();
	open_it(t, NVME_EVENTS);
	is_not_carried("requests for events");
}

UNIT(nvme_carried, the_controllers_memory_is_not)
{
	machine_reset();
	stub.bar2_size = 4 * MIB;
	machine.cap |= 1ull << 57;
	machine.cmbloc = 1 << 12 | 2;
	machine.cmbsz = 1 << 12 | 2 << 8 | 0x1f;
	open_it(t, 0);
	ASSERT_OK(nvme_controller_enable_cmb(controller, ADDRESS));
	is_not_carried("memory buffer");
}
