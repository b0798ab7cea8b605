// SPDX-License-Identifier: MIT
/* A controller taken over from a predecessor, on the made-up machine; and what is kept of it, when it is not to be believed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_machine.h"

#define SOME_IOVA 0x10000

enum { DEPTH = 4 };

static struct nvme_namespace ns;

static void begin_anew(void *arg)
{
	struct nvme_controller *controller;

	(void)arg;
	/* Whatever became of it, the device can be opened again, and closed in order. */
	stub_reopen_blocks();
	machine.io_mute = false;
	if (nvme_controller_open(stub_device(), NULL, &controller) == 0)
		EXPECT_OK(nvme_controller_close(controller));
	stub_switch_off();
}

/* A controller with a queue, and a process that is no more. */
static void left_behind(struct t *t, uint32_t in_flight)
{
	struct nvme_request requests[DEPTH];
	struct nvme_controller *controller;
	struct nvme_queue *queue;

	machine_reset();
	ASSERT_OK(nvme_controller_open(stub_device(), NULL, &controller));
	t_defer(t, begin_anew, NULL);
	ASSERT_OK(nvme_namespace_info(controller, 1, &ns, sizeof ns));
	ASSERT_OK(nvme_queue_open(controller, DEPTH, &queue));
	machine.io_mute = true;
	for (uint32_t i = 0; i < in_flight; i++)
		requests[i] = (struct nvme_request){
			.op = NVME_OP_READ, .block = i, .len = 512, .iova = SOME_IOVA, .tag = 100 + i
		};
	ASSERT_EQ(nvme_queue_submit(queue, &ns, requests, in_flight), (int)in_flight);
	ASSERT_OK(nvme_controller_pause(controller));
	EXPECT_ERR(-EBUSY, nvme_queue_submit(queue, &ns, requests, 1));
	EXPECT_ERR(-EBUSY, nvme_namespace_info(controller, 1, &ns, sizeof ns));
	nvme_controller_forget(controller);
	stub_reopen_blocks();
}

UNIT(nvme_restore, requests_stay_in_flight)
{
	struct nvme_controller *controller;
	struct nvme_controller_info info;
	struct nvme_completion done[DEPTH];
	struct nvme_request more = { .op = NVME_OP_READ, .len = 512, .iova = SOME_IOVA, .tag = 7 };
	struct nvme_queue *queue;
	uint64_t tags[DEPTH], sum = 0;
	uint32_t cc;

	left_behind(t, 3);
	cc = machine.cc;
	ASSERT_OK(nvme_controller_restore(stub_device(), NULL, &controller));
	EXPECT_EQ(machine.cc, cc);
	EXPECT_FALSE(machine.shut_down_seen);
	ASSERT_OK(nvme_controller_info(controller, &info, sizeof info));
	EXPECT_STREQ(info.model, "Machine");
	EXPECT_ERR(-ENOENT, nvme_controller_queue(controller, 2, &queue));
	ASSERT_OK(nvme_controller_queue(controller, 1, &queue));
	EXPECT_EQ(nvme_queue_depth(queue), DEPTH);
	ASSERT_EQ(nvme_queue_pending(queue, tags, DEPTH), 3);
	for (int i = 0; i < 3; i++)
		sum += tags[i];
	EXPECT_EQ(sum, 303);
	machine.io_mute = false;
	ASSERT_EQ(nvme_queue_submit(queue, &ns, &more, 1), 1);
	EXPECT_EQ(nvme_queue_in_flight(queue), 4);
	/* A muted machine forgets what it was told: the others stay where they are. */
	ASSERT_EQ(nvme_queue_wait(queue, done, DEPTH, 1000), 1);
	EXPECT_EQ(done[0].tag, 7);
	EXPECT_EQ(nvme_queue_pending(queue, tags, DEPTH), 3);
	EXPECT_OK(nvme_namespace_info(controller, 1, &ns, sizeof ns));
	EXPECT_OK(nvme_queue_close(queue));
	EXPECT_OK(nvme_controller_close(controller));
	EXPECT_TRUE(machine_is_clean());
}

static void is_refused(int error, const char *text)
{
	struct nvme_controller *controller;

	EXPECT_ERR(error, nvme_controller_restore(stub_device(), NULL, &controller));
	EXPECT_CONTAINS(nvme_error(), text);
}

/* A successor that has restored all of it, and died before it was done. */
UNIT(nvme_restore, who_is_not_followed_after_all_goes_on)
{
	struct nvme_request request = { .op = NVME_OP_READ, .len = 512, .iova = SOME_IOVA, .tag = 7 };
	struct nvme_controller *controller, *successor;
	struct nvme_completion done[DEPTH];
	struct nvme_queue *queue;

	machine_reset();
	ASSERT_OK(nvme_controller_open(stub_device(), NULL, &controller));
	ASSERT_OK(nvme_namespace_info(controller, 1, &ns, sizeof ns));
	ASSERT_OK(nvme_queue_open(controller, DEPTH, &queue));
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(nvme_queue_submit(queue, &ns, &request, 1), 1);
		ASSERT_OK(nvme_controller_pause(controller));
		stub_reopen_blocks();
		ASSERT_OK(nvme_controller_restore(stub_device(), NULL, &successor));
		nvme_controller_forget(successor);
		nvme_controller_resume(controller);
		ASSERT_EQ(nvme_queue_wait(queue, done, DEPTH, 1000), 1);
		EXPECT_EQ(done[0].tag, 7);
		EXPECT_OK(nvme_namespace_info(controller, 1, &ns, sizeof ns));
	}
	EXPECT_OK(nvme_controller_close(controller));
	EXPECT_TRUE(machine_is_clean());
}

UNIT(nvme_restore, nothing_was_kept)
{
	struct nvme_controller *controller;

	machine_reset();
	is_refused(-ENODATA, "nothing was kept");
	EXPECT_TRUE(machine_is_clean());
	ASSERT_OK(nvme_controller_open(stub_device(), NULL, &controller));
	ASSERT_OK(nvme_controller_close(controller));
	is_refused(-ENODATA, "nothing was kept");
	EXPECT_TRUE(machine_is_clean());
}

UNIT(nvme_restore, controller_was_reset_meanwhile)
{
	left_behind(t, 1);
	machine.cc = 0;
	machine.csts_rdy = 0;
	is_refused(-EIO, "has been reset meanwhile, or has failed: the controller is not ready");
}

UNIT(nvme_restore, controller_works_for_somebody_else)
{
	left_behind(t, 1);
	machine.asq += 0x1000;
	is_refused(-EIO, "has been reset");
}

UNIT(nvme_restore, controller_is_gone)
{
	left_behind(t, 0);
	machine.gone = true;
	is_refused(-ENODEV, "gone");
	machine.gone = false;
}

/* Every byte of all that is kept, damaged: it is refused, or what comes of it can be used and closed; and nothing else happens. */
UNIT(nvme_restore, damage_does_no_harm)
{
	static const unsigned char damages[] = { 0xff, 0x01, 0x80 };
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .admin_timeout_ms = 5);
	unsigned int refused = 0, tried = 0;

	for (unsigned int block = 0; block < 3; block++) {
		for (size_t at = 0; at < 4096; at += at < 256 ? 1 : 23) {
			struct nvme_controller *controller;
			struct nvme_completion done[DEPTH];
			struct nvme_queue *queue;

			machine_reset();
			ASSERT_OK(nvme_controller_open(stub_device(), &opts, &controller));
			ASSERT_OK(nvme_queue_open(controller, DEPTH, &queue));
			nvme_controller_forget(controller);
			stub_reopen_blocks();
			t_note(t, "block %u, byte %zu", block, at);
			if (at < stub.blocks[block].len)
				stub.blocks[block].bytes[at] ^= damages[at % 3];
			tried++;
			if (nvme_controller_restore(stub_device(), NULL, &controller) < 0) {
				EXPECT_NE(nvme_error()[0], 0);
				refused++;
			} else {
				if (nvme_controller_queue(controller, 1, &queue) == 0)
					nvme_queue_reap(queue, done, DEPTH);
				nvme_controller_close(controller);
			}
			begin_anew(NULL);
			machine_reset();
		}
	}
	EXPECT_GE(refused, tried / 20);
}

/* What its user can make of a queue, with bounds: no more comes than was in flight, and no call takes for ever. */
static void use_damaged(struct nvme_controller *controller)
{
	struct nvme_request more = { .op = NVME_OP_READ, .len = 512, .iova = SOME_IOVA, .tag = 7 };
	struct nvme_completion done[DEPTH];
	uint64_t tags[DEPTH];
	struct nvme_queue *queue;
	unsigned int came = 0;

	if (nvme_controller_queue(controller, 1, &queue) < 0)
		return;
	EXPECT_LE(nvme_queue_in_flight(queue), DEPTH);
	EXPECT_LE(nvme_queue_pending(queue, tags, DEPTH), DEPTH);
	for (int i = 0; i < 3; i++) {
		int num = nvme_queue_submit(queue, &ns, &more, 1);

		EXPECT_LE(num, 1);
		num = nvme_queue_wait(queue, done, DEPTH, 1);
		EXPECT_LE(num, DEPTH);
		came += num > 0 ? (unsigned int)num : 0;
	}
	/* What was reaped before comes again; nothing twice after that. */
	EXPECT_LE(came, 2 * DEPTH + 3);
}

/* The same with requests in flight, and every bit of the queues' blocks; the machine answers when it is asked again. */
UNIT(nvme_restore, damage_with_requests_in_flight_does_no_harm)
{
	unsigned int refused = 0, tried = 0;

	for (unsigned int block = 1; block < 3; block++) {
		size_t bits = SIZE_MAX;

		for (size_t bit = 0; bit < bits; bit += block == 2 ? 3 : 29) {
			struct nvme_controller *controller;

			left_behind(t, 3);
			t_note(t, "block %u, bit %zu", block, bit);
			bits = 8 * stub.blocks[block].len;
			stub.blocks[block].bytes[bit / 8] ^= 1u << bit % 8;
			tried++;
			if (nvme_controller_restore(stub_device(), NULL, &controller) < 0) {
				EXPECT_NE(nvme_error()[0], 0);
				refused++;
			} else {
				machine.io_mute = false;
				use_damaged(controller);
				nvme_controller_close(controller);
			}
			begin_anew(NULL);
		}
	}
	EXPECT_GE(tried, 300);
	EXPECT_GE(refused, tried / 50);
}
