/* SPDX-License-Identifier: MIT */
/* Two threads on one queue, in a driver that was built without NDEBUG. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "nvme_fake.h"

/* Another thread, for as long as it is in the middle of a call. */
static void *stand_in(void *arg)
{
	struct fake *fake = arg;

	EXPECT_TRUE(nvme_queue_enter(fake->queue));
	return NULL;
}

UNIT(nvme_threads, the_second_in_a_queue_is_refused_and_changes_nothing)
{
	struct nvme_request request = { .len = 512, .tag = 3 };
	struct nvme_segment piece = { 0x1000, 512 };
	struct fake *fake = fake_open(t, 4, 131072, 1000);
	struct nvme_completion done;
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, stand_in, fake), 0);
	pthread_join(thread, NULL);
	EXPECT_ERR(-EBUSY, nvme_queue_submit(fake->queue, &fake->ns, &request, 1));
	EXPECT_CONTAINS(nvme_error(), "two threads");
	EXPECT_ERR(-EBUSY, nvme_queue_submit_segments(fake->queue, &fake->ns, &request, &piece, 1));
	EXPECT_ERR(-EBUSY, nvme_queue_reap(fake->queue, &done, 1));
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
	EXPECT_EQ(fake->doorbells[0], 0);
	nvme_queue_leave(fake->queue);
	EXPECT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
	EXPECT_EQ(fake_serve(fake), 1);
	EXPECT_EQ(nvme_queue_reap(fake->queue, &done, 1), 1);
}

/* Each call lets go, however it ends. */
UNIT(nvme_threads, one_thread_is_never_in_its_own_way)
{
	struct nvme_request right = { .len = 512 }, wrong = { .len = 1 };
	struct nvme_segment piece = { 0x1000, 512 };
	struct fake *fake = fake_open(t, 4, 131072, 1000);
	struct nvme_completion done[4];

	EXPECT_ERR(-EINVAL, nvme_queue_submit(fake->queue, &fake->ns, &wrong, 1));
	EXPECT_ERR(-EINVAL, nvme_queue_submit_segments(fake->queue, &fake->ns, &wrong, &piece, 1));
	EXPECT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &right, 1), 1);
	EXPECT_OK(nvme_queue_submit_segments(fake->queue, &fake->ns, &right, &piece, 1));
	EXPECT_EQ(fake_serve(fake), 2);
	EXPECT_EQ(nvme_queue_reap(fake->queue, done, 4), 2);
	EXPECT_EQ(nvme_queue_reap(fake->queue, done, 4), 0);
	fake_post(fake, 1, 3, 0);
	EXPECT_ERR(-EPROTO, nvme_queue_reap(fake->queue, done, 4));
	EXPECT_ERR(-EPROTO, nvme_queue_reap(fake->queue, done, 4));
	EXPECT_ERR(-EPROTO, nvme_queue_submit(fake->queue, &fake->ns, &right, 1));
}

enum { MANY = 3000 };

static void *submit_many(void *arg)
{
	struct nvme_request request = { .len = 512 };
	struct fake *fake = arg;

	while (request.tag < MANY) {
		int r = nvme_queue_submit(fake->queue, &fake->ns, &request, 1);

		if (r == 1)
			request.tag++;
		else if (r != -EAGAIN && r != -EBUSY)
			FAIL("nvme_queue_submit: %d, %s", r, nvme_error());
		else
			sched_yield();
	}
	return NULL;
}

/* A program that breaks the rule is told so now and then, and the queue takes no harm from it: one submits, the other reaps. */
UNIT(nvme_threads, two_at_once_are_told_and_lose_nothing)
{
	struct fake *fake = fake_open(t, 4, 131072, 1000);
	struct nvme_completion done[4];
	uint64_t next = 0;
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, submit_many, fake), 0);
	while (next < MANY) {
		int num;

		fake_serve(fake);
		num = nvme_queue_reap(fake->queue, done, 4);
		if (num < 0 && num != -EBUSY)
			FAIL("nvme_queue_reap: %d, %s", num, nvme_error());
		for (int i = 0; i < num; i++)
			if (done[i].tag != next++)
				FAIL("tag %d comes after %d requests", (int)done[i].tag, (int)next - 1);
		if (num <= 0)
			sched_yield();
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
}
