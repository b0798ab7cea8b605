// SPDX-License-Identifier: MIT
/* Page requests with many threads. For ThreadSanitizer, too. */
#include "faultq_rig.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support/fault_stress.h"

enum { MS = 1000000 };

#define IOVA 0x40000000u

/* Numbers begin where the device's own end. */
static void request(void *ctx, unsigned int device, uint32_t number)
{
	rig_request(ctx, device, 0, number, IOVA);
}

UNIT(faultq_threads, every_group_has_one_answer)
{
	struct faultq_rig *rig =
		faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, &WEIR_OPTS(weir_faultq_opts, .answer_ns = 5 * MS));
	struct fault_stress *stress = calloc(1, sizeof(*stress));
	struct weir_faultq_info info;
	uint32_t wrong = 0, successes = 0;

	ASSERT_TRUE(stress);
	t_defer(t, free, stress);
	stress->request = request;
	stress->ctx = rig;
	for (unsigned int q = 0; q < STRESS_QUEUES; q++) {
		/* One whose groups nobody may be late with. */
		stress->queues[q] = q ? rig_queue(t, rig, NULL) : rig->queue;
		for (unsigned int i = 0; i < STRESS_DEVICES; i++)
			stress->domains[i][q] = rig_domain(t, rig, i, stress->queues[q]);
	}
	for (unsigned int i = 0; i < STRESS_DEVICES; i++)
		stress->devices[i] = rig->devices[i];
	ASSERT_OK(fault_stress_run(stress));
	EXPECT_EQ(stress->other_error, 0);
	/* The device got one answer to each, and it is that which somebody was told was given. */
	for (uint32_t i = 0; i < STRESS_GROUPS; i++) {
		bool good = rig->answers[i] == 1 && stress->answered[i] == rig->codes[i] &&
			    stress->answered[i] <= 1;

		if (!good && !wrong++)
			printf("group %u: %u answers, %u with success; respond said 0 %u times\n", i,
			       rig->answers[i], rig->codes[i], stress->answered[i]);
		successes += rig->codes[i];
	}
	EXPECT_EQ(wrong, 0);
	info = fault_stress_info(stress);
	EXPECT_EQ(info.num_outstanding, 0);
	EXPECT_EQ(info.num_groups,
		  info.num_answered + info.num_expired + info.num_orphaned + info.num_malformed);
	EXPECT_EQ(info.num_malformed, 0);
	EXPECT_EQ(info.num_answered, successes);
	EXPECT_GT(successes, STRESS_GROUPS / 10);
	/* What there is to go wrong came to pass: groups were late, or left alone, and were answered then; and the kernel used its numbers again. */
	EXPECT_GT(info.num_expired, 0);
	EXPECT_GT(info.num_orphaned, 0);
	EXPECT_GT(rig_cookies_again(), 0);
	EXPECT_GE(stress->num_held, STRESS_DEVICES);
	EXPECT_EQ(stress->held_answered, 0);
	EXPECT_GE(info.num_stale, stress->num_held);
	/* What was stale did not reach the kernel: it took all that it was given. */
	EXPECT_EQ(rig_writes(), info.num_answered + info.num_expired);
	EXPECT_EQ(rig_bad_writes(), 0);
	printf("%u groups: %llu answered, %llu late, %llu orphaned; %llu answers refused\n",
	       (unsigned int)STRESS_GROUPS, (unsigned long long)info.num_answered,
	       (unsigned long long)info.num_expired, (unsigned long long)info.num_orphaned,
	       (unsigned long long)info.num_stale);
}

/* A flood that never stops --------------------------------------------------------------------------------------- */

struct flood {
	struct faultq_rig *rig;
	atomic_bool stop;
	atomic_uint num;
};

static void *flooding(void *arg)
{
	struct flood *flood = arg;

	while (!flood->stop) {
		rig_request(flood->rig, 0, 0, flood->num++ % RIG_IDS, IOVA);
		if (flood->num % 16 == 0)
			sched_yield();
	}
	return NULL;
}

/* Reads all there is, and answers nothing. */
static void *hoarding(void *arg)
{
	struct flood *flood = arg;
	struct weir_fault *faults[16];

	while (!flood->stop) {
		int num = weir_faultq_read(flood->rig->queue, faults, 16);

		for (int i = 0; i < num; i++)
			weir_fault_free(faults[i]);
		if (num <= 0)
			sched_yield();
	}
	return NULL;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / MS;
}

static void leave_in_flood(struct t *t, uint32_t leave, void *(*reader)(void *))
{
	const struct weir_faultq_opts opts = WEIR_OPTS(
		weir_faultq_opts, .leave = leave, .leave_ns = leave == WEIR_FAULTQ_WAIT ? 100ull * MS : 0);
	struct flood flood = { .rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, &opts) };
	const struct timespec a_while = { .tv_nsec = 30 * MS };
	unsigned int before;
	pthread_t threads[2];
	uint64_t start;

	rig_attach(t, flood.rig, 0);
	ASSERT_EQ(pthread_create(&threads[0], NULL, flooding, &flood), 0);
	ASSERT_EQ(pthread_create(&threads[1], NULL, reader, &flood), 0);
	while (!rig_info(flood.rig->queue).num_groups)
		nanosleep(&a_while, NULL);
	start = now_ms();
	EXPECT_OK(weir_domain_detach(flood.rig->devices[0], WEIR_NO_PASID));
	/* The machine is a slow one: a second more than the deadline. */
	EXPECT_LT(now_ms() - start, 1100);
	EXPECT_EQ(rig_info(flood.rig->queue).num_outstanding, 0);
	before = flood.num;
	while (flood.num == before)
		sched_yield();
	flood.stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_EQ(rig_info(flood.rig->queue).num_outstanding, 0);
	EXPECT_GT(rig_info(flood.rig->queue).num_orphaned + rig_info(flood.rig->queue).num_answered, 0);
	EXPECT_EQ(rig_bad_writes(), 0);
}

static void *answering(void *arg)
{
	struct flood *flood = arg;

	while (!flood->stop)
		if (weir_faultq_run(flood->rig->queue, weir_fault_refuse, NULL) <= 0)
			sched_yield();
	return NULL;
}

/* Time line 2 of issue 7. */
UNIT(faultq_threads, leaving_under_a_flood_is_over_by_its_deadline)
{
	leave_in_flood(t, WEIR_FAULTQ_WAIT, hoarding);
}

UNIT(faultq_threads, leaving_under_a_flood_that_is_answered_does_not_wait_for_what_comes)
{
	leave_in_flood(t, WEIR_FAULTQ_WAIT, answering);
}

UNIT(faultq_threads, leaving_under_a_flood_at_once)
{
	leave_in_flood(t, WEIR_FAULTQ_FAIL, hoarding);
}
