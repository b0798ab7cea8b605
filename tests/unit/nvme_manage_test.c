/* SPDX-License-Identifier: MIT */
/* Resets, aborts, events, namespaces that come and go; queues in the controller's memory, and shadow doorbells. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <nvme/manage.h>

#include "nvme_machine.h"

#define SOME_IOVA 0x10000
#define ADDRESS   0x123456789000ull
#define MIB       (1ull << 20)

struct rig {
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	unsigned int enabled; /* times, when it had been opened */
};

static void close_rig(void *arg)
{
	struct rig *rig = arg;

	nvme_controller_close(rig->controller);
	EXPECT_TRUE(machine_is_clean());
}

/* A controller with one queue of depth 7, polled. The machine has been set up. */
static struct rig *opened(struct t *t, uint32_t flags)
{
	static struct rig rig;
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING, .admin_timeout_ms = 50,
			  .ready_timeout_ms = 50, .flags = flags);

	memset(&rig, 0, sizeof rig);
	t_defer(t, close_rig, &rig);
	ASSERT_OK(nvme_controller_open(stub_device(), &opts, &rig.controller));
	ASSERT_OK(nvme_namespace_info(rig.controller, 1, &rig.ns, sizeof rig.ns));
	ASSERT_OK(nvme_queue_open(rig.controller, 7, &rig.queue));
	rig.enabled = machine.num_enabled;
	return &rig;
}

static void submit(struct rig *rig, uint32_t op, uint64_t block, unsigned int num)
{
	for (; num > 0; num--, block++) {
		struct nvme_request request = {
			.op = op, .block = block, .iova = SOME_IOVA, .len = 512, .tag = block
		};

		EXPECT_EQ(nvme_queue_submit(rig->queue, &rig->ns, &request, 1), 1);
	}
}

/* Resets ------------------------------------------------------------------------------------------------- */

UNIT(nvme_manage, after_a_reset_each_request_has_been_reported_once)
{
	struct nvme_completion done[8];
	struct rig *rig;
	int r, i;

	machine_reset();
	rig = opened(t, 0);
	submit(rig, NVME_OP_WRITE, 0, 2); /* completes, and is not reaped */
	machine.io_mute = true;
	submit(rig, NVME_OP_WRITE, 2, 3);
	machine.io_mute = false;
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_EQ(machine.num_enabled, rig->enabled + 1);
	EXPECT_OK(nvme_controller_check(rig->controller));
	r = nvme_queue_reap(rig->queue, done, 8);
	ASSERT_EQ(r, 5);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(done[i].tag, i);
		EXPECT_EQ(done[i].error, i < 2 ? 0 : -ECONNRESET);
	}
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 0);
	EXPECT_OK(nvme_queue_read(rig->queue, &rig->ns, 0, SOME_IOVA, 1000 * 512, 1000));
	EXPECT_OK(nvme_queue_close(rig->queue));
}

UNIT(nvme_manage, a_fatal_status_a_dead_admin_queue_and_a_bad_completion_are_got_out_of)
{
	struct nvme_completion done[2];
	struct nvme_namespace ns;
	struct rig *rig;

	machine_reset();
	rig = opened(t, 0);
	machine.mute = nvme_admin_identify;
	EXPECT_ERR(-ETIMEDOUT, nvme_namespace_info(rig->controller, 1, &ns, sizeof ns));
	machine.mute = MACHINE_NO_OPCODE;
	EXPECT_ERR(-EIO, nvme_namespace_info(rig->controller, 1, &ns, sizeof ns));
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_OK(nvme_namespace_info(rig->controller, 1, &ns, sizeof ns));

	machine.rings[1].cq[machine.rings[1].cq_tail].qword[1] = htole64(1ull << 48 | 99ull << 32 | 1 << 16);
	EXPECT_ERR(-EPROTO, nvme_queue_reap(rig->queue, done, 2));
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_OK(nvme_queue_flush(rig->queue, &rig->ns, 1000));

	machine.fatal = true;
	EXPECT_ERR(-EIO, nvme_controller_check(rig->controller));
	EXPECT_ERR(-EIO, nvme_controller_reset(rig->controller));
	EXPECT_ERR(-EIO, nvme_queue_submit(rig->queue, &rig->ns, &(struct nvme_request){ .len = 512 }, 1));
	machine.fatal = false;
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_OK(nvme_queue_flush(rig->queue, &rig->ns, 1000));
}

UNIT(nvme_manage, a_reset_that_fails_tells_what_was_in_doubt_and_can_be_tried_again)
{
	struct nvme_completion done[8];
	struct rig *rig;

	machine_reset();
	rig = opened(t, 0);
	machine.io_mute = true;
	submit(rig, NVME_OP_WRITE, 0, 3);
	machine.never_ready = true;
	EXPECT_ERR(-ETIMEDOUT, nvme_controller_reset(rig->controller));
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 3);
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_reap(rig->queue, done, 8));
	EXPECT_ERR(-EIO, nvme_controller_check(rig->controller));
	machine.never_ready = machine.io_mute = false;
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_OK(nvme_queue_flush(rig->queue, &rig->ns, 1000));

	/* One that cannot be stopped still has the buffers. */
	machine.io_mute = true;
	submit(rig, NVME_OP_WRITE, 0, 3);
	machine.never_stops = true;
	EXPECT_ERR(-ETIMEDOUT, nvme_controller_reset(rig->controller));
	EXPECT_EQ(nvme_queue_in_flight(rig->queue), 3);
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_reap(rig->queue, done, 8));
	machine.never_stops = machine.io_mute = false;
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 3);
}

UNIT(nvme_manage, what_timed_out_ends_with_the_reset_and_its_late_answer_with_it)
{
	struct nvme_completion done[8];
	struct nvme_queue *lost;
	struct rig *rig;

	machine_reset();
	rig = opened(t, 0);
	machine.io_mute = true;
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_read(rig->queue, &rig->ns, 0, SOME_IOVA, 512, 1));
	machine.io_mute = false;
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 0);
	EXPECT_EQ(nvme_queue_in_flight(rig->queue), 0);
	submit(rig, NVME_OP_READ, 0, 7); /* all places are there again */
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 7);

	/* A queue whose deletion failed is gone for good, and its place is there again. */
	machine.refused = nvme_admin_delete_sq;
	machine.refusal = NVME_SC_INTERNAL;
	EXPECT_ERR(-EIO, nvme_queue_close(rig->queue));
	EXPECT_ERR(-ESHUTDOWN,
		   nvme_queue_submit(rig->queue, &rig->ns, &(struct nvme_request){ .len = 512 }, 1));
	EXPECT_ERR(-ESHUTDOWN, nvme_queue_reap(rig->queue, done, 8));
	EXPECT_ERR(-ENOSPC, nvme_queue_open(rig->controller, 7, &lost));
	machine.refused = MACHINE_NO_OPCODE;
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_OK(nvme_queue_open(rig->controller, 7, &rig->queue));
	EXPECT_OK(nvme_queue_flush(rig->queue, &rig->ns, 1000));
}

UNIT(nvme_manage, a_controller_that_is_gone_cannot_be_reset)
{
	struct rig *rig;

	machine_reset();
	rig = opened(t, 0);
	machine.gone = true;
	EXPECT_ERR(-ENODEV, nvme_controller_reset(rig->controller));
	EXPECT_ERR(-ENODEV, nvme_queue_submit(rig->queue, &rig->ns, &(struct nvme_request){ .len = 512 }, 1));
}

/* Aborts and retries ------------------------------------------------------------------------------------- */

UNIT(nvme_manage, an_abort_names_the_command_in_its_queue)
{
	struct rig *rig;

	machine_reset();
	rig = opened(t, 0);
	machine.io_mute = true;
	EXPECT_ERR(-ENOENT, nvme_queue_abort(rig->queue, 5));
	submit(rig, NVME_OP_READ, 4, 3);
	ASSERT_OK(nvme_queue_abort(rig->queue, 5));
	EXPECT_EQ(machine.last_abort & 0xffff, 1);
	EXPECT_EQ(machine.last_abort >> 16, 1); /* the second command of a fresh queue */
	EXPECT_EQ(nvme_queue_in_flight(rig->queue), 3);
	machine.abort_in_vain = true;
	EXPECT_ERR(-EBUSY, nvme_queue_abort(rig->queue, 6));
}

UNIT(nvme_manage, what_may_be_tried_again_is_three_times_and_no_more)
{
	struct rig *rig;

	machine_reset();
	rig = opened(t, 0);
	machine.io_status = NVME_SC_NS_NOT_READY;
	EXPECT_ERR(-EAGAIN, nvme_queue_read(rig->queue, &rig->ns, 0, SOME_IOVA, 512, 1000));
	EXPECT_EQ(machine.num_carried, 3);
	machine.io_status |= NVME_SC_DNR;
	EXPECT_ERR(-EAGAIN, nvme_queue_read(rig->queue, &rig->ns, 0, SOME_IOVA, 512, 1000));
	EXPECT_EQ(machine.num_carried, 4);
	machine.io_status = NVME_SC_LBA_RANGE;
	EXPECT_ERR(-ERANGE, nvme_queue_read(rig->queue, &rig->ns, 0, SOME_IOVA, 512, 1000));
	EXPECT_EQ(machine.num_carried, 5);
	machine.io_status = 0;
	EXPECT_OK(nvme_queue_read(rig->queue, &rig->ns, 0, SOME_IOVA, 512, 1000));
	EXPECT_TRUE(nvme_status_may_retry(NVME_SC_NS_NOT_READY));
	EXPECT_FALSE(nvme_status_may_retry(NVME_SC_NS_NOT_READY | NVME_SC_DNR));
	EXPECT_FALSE(nvme_status_may_retry(0));
}

/* Events and namespaces ---------------------------------------------------------------------------------- */

UNIT(nvme_manage, events_are_told_in_order_and_asked_for_again)
{
	struct nvme_event events[4];
	struct rig *rig;
	unsigned int i;

	machine_reset();
	machine.id_ctrl.aerl = 2;
	rig = opened(t, NVME_EVENTS);
	EXPECT_EQ(machine.num_aers, 3);
	EXPECT_EQ(nvme_controller_events(rig->controller, events, 4), 0);
	EXPECT_TRUE(machine_event(0x00040002));
	EXPECT_TRUE(machine_event(0x00020101));
	EXPECT_OK(
		nvme_namespace_info(rig->controller, 1, &rig->ns, sizeof rig->ns)); /* they come in between */
	ASSERT_EQ(nvme_controller_events(rig->controller, events, 4), 2);
	EXPECT_TRUE(events[0].type == 2 && events[0].info == 0 && events[0].log == 4 && events[0].namespaces);
	EXPECT_TRUE(events[1].type == 1 && events[1].info == 1 && events[1].log == 2 &&
		    !events[1].namespaces);
	EXPECT_EQ(machine.num_aers, 3);
	for (i = 0; i < 20; i++) {
		EXPECT_TRUE(machine_event(i << 8));
		ASSERT_EQ(nvme_controller_events(rig->controller, events, 1), 1);
		EXPECT_EQ(events[0].info, i);
	}
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_EQ(machine.num_aers, 3);
	EXPECT_TRUE(machine_event(0));
	EXPECT_EQ(nvme_controller_events(rig->controller, events, 4), 1);
}

UNIT(nvme_manage, without_asking_there_are_no_events)
{
	struct nvme_event event;
	struct rig *rig;

	machine_reset();
	rig = opened(t, 0);
	EXPECT_EQ(machine.num_aers, 0);
	EXPECT_ERR(-EOPNOTSUPP, nvme_controller_events(rig->controller, &event, 1));
}

UNIT(nvme_manage, namespaces_are_listed_and_their_changes)
{
	static const uint32_t some[] = { 1, 3, 0x1000, 0 }, wrong[] = { 5, 5, 0 }, full[] = { UINT32_MAX, 0 };
	uint32_t nsids[8];
	struct rig *rig;

	machine_reset();
	rig = opened(t, 0);
	machine.nsids = some;
	ASSERT_EQ(nvme_namespace_list(rig->controller, 0, nsids, 8), 3);
	EXPECT_TRUE(nsids[0] == 1 && nsids[1] == 3 && nsids[2] == 0x1000);
	ASSERT_EQ(nvme_namespace_list(rig->controller, 1, nsids, 1), 1);
	EXPECT_EQ(nsids[0], 3);
	EXPECT_EQ(nvme_namespace_list(rig->controller, UINT32_MAX, nsids, 8), 0);
	EXPECT_EQ(nvme_namespace_changes(rig->controller, nsids, 8), 3);
	EXPECT_EQ(nvme_namespace_changes(rig->controller, nsids, 2), INT_MAX);
	machine.nsids = full;
	EXPECT_EQ(nvme_namespace_changes(rig->controller, nsids, 8), INT_MAX);
	machine.nsids = wrong;
	EXPECT_ERR(-EPROTO, nvme_namespace_list(rig->controller, 0, nsids, 8));
	EXPECT_CONTAINS(nvme_error(), "not in order");
	EXPECT_ERR(-EINVAL, nvme_controller_log(rig->controller, 4, 0, nsids, 3));
	EXPECT_ERR(-EINVAL, nvme_controller_log(rig->controller, 4, 0, nsids, 8192));
}

/* Other ways to tell of commands ------------------------------------------------------------------------- */

static struct rig *with_cmb(struct t *t)
{
	struct rig *rig;

	machine_reset();
	stub.bar2_size = 4 * MIB;
	machine.cap |= 1ull << 57;
	machine.cmbloc = 1 << 12 | 2;
	machine.cmbsz = 1 << 12 | 2 << 8 | 0x1f;
	rig = opened(t, 0);
	EXPECT_OK(nvme_queue_close(rig->queue));
	return rig;
}

UNIT(nvme_manage, a_submission_queue_works_in_the_controllers_memory)
{
	struct nvme_queue_opts opts =
		WEIR_OPTS(nvme_queue_opts, .depth = 7, .sq_in_cmb = true, .cmb_offset = 4096);
	struct rig *rig = with_cmb(t);
	unsigned int i;

	EXPECT_ERR(-EOPNOTSUPP, nvme_queue_open_with(rig->controller, &opts, &rig->queue));
	ASSERT_OK(nvme_controller_enable_cmb(rig->controller, ADDRESS));
	ASSERT_OK(nvme_queue_open_with(rig->controller, &opts, &rig->queue));
	EXPECT_EQ(machine.rings[1].sq, machine.cmb_ram + 4096);
	for (i = 0; i < 30; i++)
		EXPECT_OK(nvme_queue_read(rig->queue, &rig->ns, i, SOME_IOVA, 9 * 512, 1000));
	EXPECT_EQ(machine.num_carried, 30);
	EXPECT_EQ(machine.tags_seen[29 % 4], 29);
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_EQ(machine.cmb_address, ADDRESS);
	for (i = 0; i < 30; i++)
		EXPECT_OK(nvme_queue_read(rig->queue, &rig->ns, i, SOME_IOVA, 9 * 512, 1000));
	machine.fail_call = 1; /* the copy */
	EXPECT_ERR(-EIO, nvme_queue_flush(rig->queue, &rig->ns, 1000));
	EXPECT_EQ(machine.num_carried, 60);
}

UNIT(nvme_manage, places_in_the_controllers_memory_that_cannot_be_are_refused)
{
	static const struct {
		uint32_t depth;
		uint64_t offset;
		int error;
	} rows[] = {
		{ 7, 512, -EINVAL }, { 7, MIB, -ERANGE }, { 7, UINT64_MAX - 4095, -ERANGE },
		{ 8, 0, -ERANGE },   { 0, 0, -EINVAL },
	};
	struct rig *rig = with_cmb(t);
	size_t i;

	ASSERT_OK(nvme_controller_enable_cmb(rig->controller, ADDRESS));
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct nvme_queue_opts opts = WEIR_OPTS(nvme_queue_opts, .depth = rows[i].depth,
							.sq_in_cmb = true, .cmb_offset = rows[i].offset);

		t_note(t, "row %zu", i);
		EXPECT_ERR(rows[i].error, nvme_queue_open_with(rig->controller, &opts, &rig->queue));
	}
}

UNIT(nvme_manage, a_controller_that_looks_at_shadows_is_rung_only_when_it_asks)
{
	struct nvme_completion done[8];
	struct rig *rig;
	unsigned int i;

	machine_reset();
	machine.id_ctrl.oacs = htole16(1 << 8);
	rig = opened(t, NVME_SHADOW_DOORBELLS);
	ASSERT_TRUE(machine.shadow);
	submit(rig, NVME_OP_READ, 0, 1); /* it has not looked yet: rung */
	EXPECT_EQ(machine.num_rings, 1);
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 1);
	/* It said to ring beyond what it has not seen: then nothing until it has. */
	submit(rig, NVME_OP_READ, 1, 3);
	EXPECT_EQ(machine.num_rings, 1);
	EXPECT_EQ(le32toh(*machine.shadow), 4);
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 0);
	machine_poll();
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 3);
	submit(rig, NVME_OP_READ, 4, 1); /* it has looked, and sleeps: rung */
	EXPECT_EQ(machine.num_rings, 2);
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 1);
	for (i = 0; i < 30; i++) {
		submit(rig, NVME_OP_READ, i, 1);
		machine_poll();
		ASSERT_EQ(nvme_queue_reap(rig->queue, done, 8), 1);
		EXPECT_EQ(done[0].tag, i);
	}
	ASSERT_OK(nvme_controller_reset(rig->controller));
	EXPECT_EQ(*machine.shadow, 0);
	EXPECT_EQ(*machine.event, 0); /* or it would not be rung for the first */
	i = machine.num_rings;
	submit(rig, NVME_OP_READ, 9, 1);
	EXPECT_EQ(machine.num_rings, i + 1);
	EXPECT_EQ(nvme_queue_reap(rig->queue, done, 8), 1);
}

UNIT(nvme_manage, what_a_controller_has_not_is_refused)
{
	static const uint32_t flags[] = { NVME_SGL, NVME_SHADOW_DOORBELLS };
	struct nvme_controller *controller;
	size_t i;

	for (i = 0; i < 2; i++) {
		machine_reset();
		EXPECT_ERR(-EOPNOTSUPP,
			   nvme_controller_open(stub_device(),
						&WEIR_OPTS(nvme_controller_opts, .flags = flags[i]),
						&controller));
		EXPECT_TRUE(machine_is_clean());
	}
	machine_reset();
	EXPECT_ERR(-EINVAL, nvme_controller_open(stub_device(), &WEIR_OPTS(nvme_controller_opts, .flags = 8),
						 &controller));
}
