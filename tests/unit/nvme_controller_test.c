/* SPDX-License-Identifier: MIT */
/* The life of a controller, and what becomes of the driver when it misbehaves. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "nvme_machine.h"

#define NO_OPTS NULL

/* A buffer that the machine may "reach"; it moves no data. */
#define SOME_IOVA 0x10000

static void check_clean(void *arg)
{
	(void)arg;
	EXPECT_TRUE(machine_is_clean());
}

static void close_controller(void *arg)
{
	struct nvme_controller **controller = arg;

	nvme_controller_close(*controller);
	*controller = NULL;
}

/* A fresh machine; the case fails if anything of the driver is left in it. */
static void fresh(struct t *t)
{
	machine_reset();
	t_defer(t, check_clean, NULL);
}

static struct nvme_controller *opened(struct t *t, const struct nvme_controller_opts *opts)
{
	static struct nvme_controller *controller; /* one at a time */

	controller = NULL;
	t_defer(t, close_controller, &controller);
	ASSERT_OK(nvme_controller_open(stub_device(), opts, &controller));
	return controller;
}

/* Opening fails with @error, quickly, and leaves nothing. */
static void refuses(struct t *t, int error, const char *text)
{
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .ready_timeout_ms = 50, .admin_timeout_ms = 30);
	struct nvme_controller *controller = NULL;
	time_t start = time(NULL);

	(void)t;
	EXPECT_ERR(error, nvme_controller_open(stub_device(), &opts, &controller));
	EXPECT_CONTAINS(nvme_error(), text);
	EXPECT_EQ(controller, NULL);
	EXPECT_TRUE(machine_is_clean());
	EXPECT_LE(time(NULL) - start, 2);
}

/* Good days ---------------------------------------------------------------------------------------------- */

UNIT(nvme_controller, opens_reads_and_closes_in_order)
{
	struct nvme_controller *controller;
	struct nvme_controller_info info;
	struct nvme_namespace ns;
	struct nvme_queue *queue;

	fresh(t);
	controller = opened(t, NO_OPTS);
	ASSERT_OK(nvme_controller_info(controller, &info, sizeof info));
	EXPECT_STREQ(info.model, "Machine");
	EXPECT_EQ(info.version, 0x10400);
	EXPECT_EQ(info.max_transfer, 16384);
	EXPECT_EQ(info.max_depth, 7);
	EXPECT_EQ(info.num_queues, 1);
	EXPECT_TRUE(info.interrupts);
	EXPECT_FALSE(info.doorbells_mapped);
	EXPECT_OK(nvme_controller_check(controller));
	ASSERT_OK(nvme_namespace_info(controller, 1, &ns, sizeof ns));
	EXPECT_EQ(ns.num_blocks, 1000);
	ASSERT_OK(nvme_queue_open(controller, 7, &queue));
	EXPECT_EQ(nvme_queue_fd(queue), 101);
	EXPECT_OK(nvme_queue_read(queue, &ns, 0, SOME_IOVA, 1000 * 512, 1000));
	EXPECT_OK(nvme_queue_flush(queue, &ns, 1000));
	EXPECT_OK(nvme_queue_close(queue));
	EXPECT_FALSE(machine.shut_down_seen);
	EXPECT_OK(nvme_controller_close(controller));
	EXPECT_TRUE(machine.shut_down_seen);
	t_note(t, "the deferred close has nothing to do");
	opened(t, NO_OPTS);
}

UNIT(nvme_controller, a_running_controller_is_stopped_before_it_may_do_dma)
{
	fresh(t);
	machine.cc = 1;
	machine.csts_rdy = 1;
	opened(t, NO_OPTS);
	EXPECT_FALSE(machine.dma_without_bus_master);
}

UNIT(nvme_controller, queues_and_vectors_are_as_many_as_all_sides_have)
{
	static const struct {
		uint32_t wanted, granted, msix, msi;
		uint64_t bar_size;
		uint32_t queues, vectors;
	} rows[] = {
		{ 1, 4, 3, 0, 0x2000, 1, 2 },  { 4, 4, 16, 0, 0x2000, 4, 5 }, { 4, 2, 16, 0, 0x2000, 2, 5 },
		{ 4, 4, 3, 0, 0x2000, 2, 3 },  { 4, 4, 1, 0, 0x2000, 1, 1 },  { 4, 4, 0, 8, 0x2000, 4, 5 },
		{ 4, 4, 16, 0, 0x1018, 2, 5 },
	};
	struct nvme_controller_info info;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct nvme_controller_opts opts =
			WEIR_OPTS(nvme_controller_opts, .num_queues = rows[i].wanted);
		struct nvme_controller *controller;

		t_note(t, "row %zu", i);
		machine_reset();
		machine.num_queues = rows[i].granted;
		stub.num_msix = rows[i].msix;
		stub.num_msi = rows[i].msi;
		stub.bar_size = rows[i].bar_size;
		ASSERT_OK(nvme_controller_open(stub_device(), &opts, &controller));
		nvme_controller_info(controller, &info, sizeof info);
		EXPECT_EQ(info.num_queues, rows[i].queues);
		EXPECT_EQ(stub.num_vectors, rows[i].vectors);
		EXPECT_OK(nvme_controller_close(controller));
		EXPECT_TRUE(machine_is_clean());
	}
}

UNIT(nvme_controller, queues_have_places_and_places_come_back)
{
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .num_queues = 2, .wait = NVME_WAIT_POLLING);
	struct nvme_queue *queues[2], *third;
	struct nvme_controller *controller;

	fresh(t);
	controller = opened(t, &opts);
	EXPECT_ERR(-EINVAL, nvme_queue_open(controller, 0, &third));
	EXPECT_ERR(-ERANGE, nvme_queue_open(controller, 8, &third));
	ASSERT_OK(nvme_queue_open(controller, 1, &queues[0]));
	ASSERT_OK(nvme_queue_open(controller, 7, &queues[1]));
	EXPECT_ERR(-EOPNOTSUPP, nvme_queue_fd(queues[0]));
	EXPECT_ERR(-ENOSPC, nvme_queue_open(controller, 1, &third));
	EXPECT_OK(nvme_queue_close(queues[0]));
	EXPECT_OK(nvme_queue_open(controller, 3, &queues[0]));
	EXPECT_OK(nvme_queue_close(NULL));
	EXPECT_OK(nvme_controller_close(NULL));
	/* Both are closed with the controller. */
}

UNIT(nvme_controller, options_that_make_no_sense_are_refused)
{
	struct {
		struct nvme_controller_opts opts;
		uint64_t newer;
	} newer = { .opts = { .size = sizeof newer }, .newer = 1 };
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = 4);
	struct nvme_controller *controller;

	fresh(t);
	EXPECT_ERR(-EINVAL, nvme_controller_open(stub_device(), &opts, &controller));
	opts = WEIR_OPTS(nvme_controller_opts, .num_queues = 65535);
	EXPECT_ERR(-EINVAL, nvme_controller_open(stub_device(), &opts, &controller));
	EXPECT_ERR(-E2BIG, nvme_controller_open(stub_device(), &newer.opts, &controller));
	stub.num_msix = 0;
	opts = WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_INTERRUPTS);
	EXPECT_ERR(-EOPNOTSUPP, nvme_controller_open(stub_device(), &opts, &controller));
}

/* Controllers that cannot be used ------------------------------------------------------------------------ */

UNIT(nvme_controller, one_that_never_becomes_ready_times_out)
{
	fresh(t);
	machine.never_ready = true;
	refuses(t, -ETIMEDOUT, "did not get ready within 0.0 s");
}

UNIT(nvme_controller, one_that_never_stops_times_out)
{
	fresh(t);
	machine.never_stops = true;
	machine.cc = 1;
	machine.csts_rdy = 1;
	refuses(t, -ETIMEDOUT, "did not get disabled");
}

UNIT(nvme_controller, a_fatal_status_is_told_at_once)
{
	fresh(t);
	machine.fatal = true;
	refuses(t, -EIO, "fatal status");
}

UNIT(nvme_controller, one_that_is_gone_is_recognised)
{
	fresh(t);
	machine.gone = true;
	refuses(t, -ENODEV, "gone");
}

UNIT(nvme_controller, what_this_driver_cannot_work_with_is_refused)
{
	fresh(t);
	stub.class_code = 0x020000;
	refuses(t, -ENODEV, "class");
	machine_reset();
	machine.cap &= ~(1ull << 37);
	refuses(t, -EOPNOTSUPP, "command set");
	machine_reset();
	machine.cap |= 1ull << 48;
	refuses(t, -EOPNOTSUPP, "4 KiB pages");
	machine_reset();
	machine.cap &= ~0xffffull;
	refuses(t, -EPROTO, "one entry");
	machine_reset();
	machine.cap |= 15ull << 32; /* doorbells 128 KiB apart */
	refuses(t, -EOPNOTSUPP, "doorbells");
	machine_reset();
	stub.bar_size = 0x1000;
	refuses(t, -EOPNOTSUPP, "doorbells");
	machine_reset();
	machine.id_ctrl.sqes = 0;
	refuses(t, -EPROTO, "SQES");
}

UNIT(nvme_controller, an_admin_command_without_answer_or_with_a_refusal_is_reported)
{
	fresh(t);
	machine.mute = nvme_admin_identify;
	refuses(t, -ETIMEDOUT, "identify controller: no answer");
	machine_reset();
	machine.mute = nvme_admin_set_features;
	refuses(t, -ETIMEDOUT, "set number of queues: no answer");
	machine_reset();
	machine.refused = nvme_admin_set_features;
	machine.refusal = NVME_SC_INTERNAL;
	refuses(t, -EIO, "set number of queues: internal error");
}

/* Controllers that fail on the way ----------------------------------------------------------------------- */

/* The late answer to a command must not be taken for that to another: after a time-out there is no other. */
UNIT(nvme_controller, a_time_out_of_an_admin_command_ends_its_use)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .admin_timeout_ms = 20);
	struct nvme_controller *controller;
	struct nvme_namespace ns = { 0 };
	struct nvme_queue *queue;

	fresh(t);
	controller = opened(t, &opts);
	EXPECT_ERR(-ENOENT, nvme_namespace_info(controller, 0, &ns, sizeof ns));
	EXPECT_ERR(-ENOENT, nvme_namespace_info(controller, 2, &ns, sizeof ns));
	EXPECT_ERR(-ENOENT, nvme_namespace_info(controller, 5, &ns, sizeof ns));
	machine.mute = nvme_admin_identify;
	EXPECT_ERR(-ETIMEDOUT, nvme_namespace_info(controller, 1, &ns, sizeof ns));
	machine.mute = MACHINE_NO_OPCODE;
	EXPECT_ERR(-EIO, nvme_namespace_info(controller, 1, &ns, sizeof ns));
	EXPECT_ERR(-EIO, nvme_controller_check(controller));
	EXPECT_ERR(-EIO, nvme_queue_open(controller, 1, &queue));
	EXPECT_EQ(ns.nsid, 0);
}

UNIT(nvme_controller, a_queue_that_cannot_be_created_takes_no_place)
{
	static const unsigned int opcodes[] = { nvme_admin_create_cq, nvme_admin_create_sq };
	struct nvme_controller *controller;
	struct nvme_queue *queue;
	size_t i;

	fresh(t);
	controller = opened(t, NO_OPTS);
	for (i = 0; i < 2; i++) {
		unsigned int buffers = stub.num_buffers;

		machine.refused = opcodes[i];
		machine.refusal = NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_QUEUE_SIZE;
		EXPECT_ERR(-ERANGE, nvme_queue_open(controller, 4, &queue));
		EXPECT_CONTAINS(nvme_error(), "invalid queue size");
		EXPECT_EQ(stub.num_buffers, buffers);
		machine.refused = MACHINE_NO_OPCODE;
		ASSERT_OK(nvme_queue_open(controller, 4, &queue));
		EXPECT_OK(nvme_queue_close(queue));
	}
}

/* What the controller may still write to stays mapped until it has been stopped. */
UNIT(nvme_controller, memory_of_a_queue_that_was_not_deleted_stays_until_the_end)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .admin_timeout_ms = 20);
	struct nvme_controller *controller;
	struct nvme_queue *queue;
	unsigned int buffers;

	fresh(t);
	controller = opened(t, &opts);
	ASSERT_OK(nvme_queue_open(controller, 4, &queue));
	buffers = stub.num_buffers;
	machine.mute = nvme_admin_delete_sq;
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_close(queue));
	EXPECT_EQ(stub.num_buffers, buffers);
	EXPECT_ERR(-ENOSPC, nvme_queue_open(controller, 4, &queue));
}

static void close_memory(void *memory)
{
	weir_memory_close(memory);
}

static struct weir_memory *callers_memory(struct t *t)
{
	struct weir_memory *memory;

	ASSERT_OK(weir_memory_open(NULL, NULL, &memory));
	t_defer(t, close_memory, memory);
	return memory;
}

UNIT(nvme_controller, the_callers_memory_is_used_and_given_back)
{
	struct nvme_controller_opts opts = { .size = sizeof opts };
	struct nvme_controller *controller;
	struct nvme_queue *queue;

	fresh(t);
	opts.memory = callers_memory(t);
	ASSERT_OK(nvme_controller_open(stub_device(), &opts, &controller));
	EXPECT_EQ(stub.num_memories, 1);
	ASSERT_OK(nvme_queue_open(controller, 4, &queue));
	EXPECT_EQ(stub.num_buffers, 2);
	EXPECT_EQ(stub.buffers[1].memory, opts.memory);
	ASSERT_OK(nvme_queue_close(queue));
	EXPECT_EQ(stub.num_buffers, 1);
	ASSERT_OK(nvme_controller_close(controller));
	EXPECT_EQ(stub.num_buffers, 0);
	EXPECT_EQ(stub.num_memories, 1);
}

UNIT(nvme_controller, what_a_device_may_still_write_is_not_given_back_to_the_caller)
{
	struct nvme_controller_opts opts = { .size = sizeof opts };
	struct nvme_controller *controller;

	fresh(t);
	opts.memory = callers_memory(t);
	ASSERT_OK(nvme_controller_open(stub_device(), &opts, &controller));
	stub.bus_master_stays = true;
	EXPECT_ERR(-EIO, nvme_controller_close(controller));
	EXPECT_EQ(stub.num_buffers, 1);
	stub.bus_master = false;
}

UNIT(nvme_controller, one_that_goes_away_in_mid_stream_is_noticed)
{
	struct nvme_request request = { .op = NVME_OP_FLUSH };
	struct nvme_completion done;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;

	fresh(t);
	machine_reset();
	ASSERT_OK(nvme_controller_open(stub_device(), NO_OPTS, &controller));
	ASSERT_OK(nvme_namespace_info(controller, 1, &ns, sizeof ns));
	ASSERT_OK(nvme_queue_open(controller, 4, &queue));
	machine.io_mute = true;
	ASSERT_EQ(nvme_queue_submit(queue, &ns, &request, 1), 1);
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_wait(queue, &done, 1, 0));
	machine.fatal = true;
	EXPECT_ERR(-EIO, nvme_queue_wait(queue, &done, 1, 10000));
	machine.gone = true;
	EXPECT_ERR(-ENODEV, nvme_queue_wait(queue, &done, 1, 10000));
	EXPECT_ERR(-ENODEV, nvme_controller_check(controller));
	EXPECT_ERR(-ENODEV, nvme_controller_close(controller));
}

UNIT(nvme_controller, a_shutdown_without_end_is_given_up)
{
	struct nvme_controller *controller;

	fresh(t);
	ASSERT_OK(nvme_controller_open(stub_device(), NO_OPTS, &controller));
	machine.never_shuts_down = true;
	EXPECT_ERR(-ETIMEDOUT, nvme_controller_close(controller));
	EXPECT_CONTAINS(nvme_error(), "shut down");
	EXPECT_TRUE(machine_is_clean());
}

/*
 * Each call of weir's fails once: the error comes out, and nothing stays behind. Two alone go unnoticed, the last
 * completion doorbells of the admin queue and of the other: what they acknowledge has been done.
 */
UNIT(nvme_controller, whatever_fails_nothing_is_left_behind)
{
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .admin_timeout_ms = 20, .ready_timeout_ms = 20);
	unsigned int call, failed = 0;

	fresh(t);
	for (call = 1; call < 1000; call++) {
		struct nvme_controller *controller = NULL;
		struct nvme_queue *queue = NULL;
		struct nvme_namespace ns;
		int r;

		t_note(t, "call %u", call);
		machine_reset();
		machine.fail_call = (int)call;
		r = nvme_controller_open(stub_device(), &opts, &controller);
		if (r == 0)
			r = nvme_namespace_info(controller, 1, &ns, sizeof ns);
		if (r == 0)
			r = nvme_queue_open(controller, 4, &queue);
		if (r == 0)
			r = nvme_queue_read(queue, &ns, 0, SOME_IOVA, 65536, 20);
		if (r < 0)
			EXPECT_NE(nvme_error()[0], '\0');
		r = nvme_controller_close(controller) < 0 || r < 0;
		failed += r != 0;
		machine.cc &= ~1u; /* if the write that failed was the one that disables it */
		ASSERT_TRUE(machine_is_clean());
		if (machine.fail_call > 0)
			break;
	}
	EXPECT_LT(call, 1000);
	EXPECT_EQ(failed, call - 3);
}
