// SPDX-License-Identifier: MIT
/* Page requests and their answers, step by step. */
#include "faultq_rig.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

enum { ID = RIG_FIRST_ID, MS = 1000000 };

#define IOVA 0x40000000u

static struct faultq_rig *attached(struct t *t, const struct weir_faultq_opts *opts)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, opts);

	rig_attach(t, rig, 0);
	return rig;
}

static void sleep_ms(long ms)
{
	const struct timespec time = { .tv_nsec = ms * MS };

	nanosleep(&time, NULL);
}

static int readable(struct faultq_rig *rig)
{
	const struct weir_sys *sys = weir_sim_sys(rig->sim);
	struct pollfd poll = { .fd = weir_faultq_fd(rig->queue), .events = POLLIN };

	return sys->poll(sys->ctx, &poll, 1, 0);
}

UNIT(faultq, a_group_comes_whole_and_has_one_answer)
{
	struct faultq_rig *rig = attached(t, NULL);
	struct weir_sim_page_request request = { .iova = IOVA + 0x123, .group = ID, .perm = WEIR_FAULT_READ };
	struct weir_fault *fault, *none;

	EXPECT_EQ(readable(rig), 0);
	EXPECT_EQ(weir_faultq_timeout(rig->queue), -1);
	EXPECT_OK(weir_sim_page_request(rig->sims[0], &request));
	EXPECT_EQ(readable(rig), 0);
	request = (struct weir_sim_page_request){
		.iova = IOVA + 0x5000, .group = ID, .perm = WEIR_FAULT_WRITE, .last = true
	};
	EXPECT_OK(weir_sim_page_request(rig->sims[0], &request));
	EXPECT_EQ(readable(rig), 1);
	fault = rig_read(t, rig->queue);
	EXPECT_EQ(readable(rig), 0);
	EXPECT_TRUE(fault->device == rig->devices[0] && fault->ioas == rig->ioas);
	EXPECT_EQ(fault->pasid, WEIR_NO_PASID);
	EXPECT_EQ(fault->group, ID);
	ASSERT_EQ(fault->num_pages, 2);
	EXPECT_EQ(fault->pages[0].iova, IOVA);
	EXPECT_EQ(fault->pages[0].perm, WEIR_FAULT_READ);
	EXPECT_EQ(fault->pages[1].iova, IOVA + 0x5000);
	EXPECT_EQ(fault->pages[1].perm, WEIR_FAULT_WRITE);
	EXPECT_EQ(weir_faultq_read(rig->queue, &none, 1), 0);
	EXPECT_GT(weir_faultq_timeout(rig->queue), 9000);
	EXPECT_EQ(rig->answers[ID], 0);
	EXPECT_OK(weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->answers[ID], 1);
	EXPECT_EQ(rig->codes[ID], 1);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_CONTAINS(weir_error(), "answered before");
	EXPECT_EQ(rig->answers[ID], 1);
	EXPECT_EQ(rig_info(rig->queue).num_answered, 1);
	EXPECT_EQ(rig_info(rig->queue).num_stale, 1);
}

/* The kernel gives the number of the first to the second; the second's answer is nobody else's. */
UNIT(faultq, a_number_that_is_used_again_does_not_matter)
{
	struct faultq_rig *rig = attached(t, NULL);
	struct weir_fault *first, *second;

	rig_request(rig, 0, 0, ID, IOVA);
	first = rig_read(t, rig->queue);
	EXPECT_OK(weir_faultq_respond(rig->queue, &first->token, WEIR_FAULT_INVALID));
	rig_request(rig, 0, 0, ID, IOVA);
	second = rig_read(t, rig->queue);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &first->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->answers[ID], 1);
	EXPECT_OK(weir_faultq_respond(rig->queue, &second->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->answers[ID], 2);
	EXPECT_EQ(rig->codes[ID], 1);
}

/* Time line 1 of issue 7. */
UNIT(faultq, an_answer_from_before_a_detach_does_not_reach_who_came_after)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, NULL);
	struct weir_domain *paging = rig_domain(t, rig, 0, NULL), *other = rig_domain(t, rig, 1, NULL);
	struct weir_fault *old, *same, *others;
	const uint32_t pasid = 5;

	/* A request with a PASID is passed to a handler. */
	ASSERT_OK(weir_domain_attach(paging, rig->devices[0], WEIR_NO_PASID));
	rig_detach_later(t, rig->devices[0]);
	ASSERT_OK(weir_domain_attach(other, rig->devices[1], WEIR_NO_PASID));
	rig_detach_later(t, rig->devices[1]);
	ASSERT_OK(weir_domain_attach(rig->domains[0], rig->devices[0], pasid));
	rig_request(rig, 0, pasid, ID, IOVA);
	old = rig_read(t, rig->queue);
	EXPECT_EQ(old->pasid, pasid);
	/* The device leaves the queue; its request is answered with failure. */
	EXPECT_OK(weir_domain_detach(rig->devices[0], pasid));
	EXPECT_EQ(rig->answers[ID], 1);
	EXPECT_EQ(rig->codes[ID], 0);
	EXPECT_EQ(rig_info(rig->queue).num_orphaned, 1);
	EXPECT_EQ(rig_info(rig->queue).num_outstanding, 0);
	/* PASID and group index are used again: by the same device, and by another. The kernel's numbers are, too. */
	ASSERT_OK(weir_domain_attach(rig->domains[0], rig->devices[0], pasid));
	ASSERT_OK(weir_domain_attach(rig->domains[1], rig->devices[1], pasid));
	rig_request(rig, 1, pasid, ID, IOVA);
	others = rig_read(t, rig->queue);
	rig_request(rig, 0, pasid, ID, IOVA);
	same = rig_read(t, rig->queue);
	/* The old answer arrives. */
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &old->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->answers[ID], 1);
	/* And those have theirs. */
	EXPECT_OK(weir_faultq_respond(rig->queue, &same->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->codes[ID], 1);
	EXPECT_OK(weir_faultq_respond(rig->queue, &others->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->answers[ID], 3);
	EXPECT_EQ(rig->codes[ID], 2);
	EXPECT_OK(weir_domain_detach(rig->devices[0], pasid));
	EXPECT_OK(weir_domain_detach(rig->devices[1], pasid));
}

/* From one domain to another with the same queue: requests of before are answered by that, those of after are new. */
UNIT(faultq, a_change_of_domains_ends_what_was_asked_in_the_first)
{
	struct faultq_rig *rig = attached(t, NULL);
	struct weir_domain *second = rig_domain(t, rig, 0, rig->queue);
	struct weir_fault *old, *new;

	rig_request(rig, 0, 0, ID, IOVA);
	old = rig_read(t, rig->queue);
	EXPECT_OK(weir_domain_attach(second, rig->devices[0], WEIR_NO_PASID));
	EXPECT_EQ(rig->answers[ID], 1);
	rig_request(rig, 0, 0, ID + 1, IOVA);
	new = rig_read(t, rig->queue);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &old->token, WEIR_FAULT_SUCCESS));
	EXPECT_OK(weir_faultq_respond(rig->queue, &new->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->codes[ID + 1], 1);
	EXPECT_OK(weir_domain_detach(rig->devices[0], WEIR_NO_PASID));
}

UNIT(faultq, a_device_that_is_closed_answers_for_nothing)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, NULL);
	struct weir_device *device;
	struct weir_fault *fault;
	struct weir_sim_device *sim;
	struct weir_domain *domain;
	const struct weir_sim_page_request request = { .iova = IOVA, .group = 40, .last = true };

	ASSERT_OK(weir_sim_add_edu(rig->sim, NULL, &WEIR_OPTS(weir_sim_slot, .page_requests = 1), &sim));
	ASSERT_OK(weir_device_open(rig->ioas, weir_sim_device_address(sim), NULL, &device));
	ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .faultq = rig->queue), &domain));
	ASSERT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_OK(weir_sim_page_request(sim, &request));
	fault = rig_read(t, rig->queue);
	EXPECT_OK(weir_device_close(device));
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig_info(rig->queue).num_orphaned, 1);
	EXPECT_OK(weir_domain_close(domain));
}

UNIT(faultq, a_token_of_a_closed_queue_is_stale_in_the_next)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, NULL);
	struct weir_faultq *first, *second;
	struct weir_domain *domain;
	struct weir_fault *old, *new;

	ASSERT_OK(weir_faultq_open(rig->host, NULL, &first));
	ASSERT_OK(weir_domain_open(rig->devices[0], &WEIR_OPTS(weir_domain_opts, .faultq = first), &domain));
	ASSERT_OK(weir_domain_attach(domain, rig->devices[0], WEIR_NO_PASID));
	rig_request(rig, 0, 0, ID, IOVA);
	old = rig_read(t, first);
	EXPECT_ERR(-EBUSY, weir_faultq_close(first));
	EXPECT_CONTAINS(weir_error(), "1 groups of page requests are outstanding");
	EXPECT_OK(weir_domain_detach(rig->devices[0], WEIR_NO_PASID));
	EXPECT_ERR(-EBUSY, weir_faultq_close(first));
	EXPECT_OK(weir_domain_close(domain));
	EXPECT_OK(weir_faultq_close(first));
	second = rig_queue(t, rig, NULL);
	domain = rig_domain(t, rig, 0, second);
	ASSERT_OK(weir_domain_attach(domain, rig->devices[0], WEIR_NO_PASID));
	rig_detach_later(t, rig->devices[0]);
	rig_request(rig, 0, 0, ID, IOVA);
	new = rig_read(t, second);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(second, &old->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->answers[ID], 1);
	EXPECT_OK(weir_faultq_respond(second, &new->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->codes[ID], 1);
}

/* Time ------------------------------------------------------------------------------------------------------------- */

UNIT(faultq, what_nobody_answers_in_time_is_answered_with_failure)
{
	struct faultq_rig *rig = attached(t, &WEIR_OPTS(weir_faultq_opts, .answer_ns = 20 * MS));
	struct weir_fault *fault, *none;

	rig_request(rig, 0, 0, ID, IOVA);
	fault = rig_read(t, rig->queue);
	EXPECT_EQ(weir_faultq_expire(rig->queue), 0);
	EXPECT_LE(weir_faultq_timeout(rig->queue), 20);
	sleep_ms(25);
	EXPECT_EQ(weir_faultq_timeout(rig->queue), 0);
	EXPECT_EQ(weir_faultq_expire(rig->queue), 1);
	EXPECT_EQ(rig->answers[ID], 1);
	EXPECT_EQ(rig->codes[ID], 0);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	/* Reading looks at the time as well, and so does an answer. */
	rig_request(rig, 0, 0, ID + 1, IOVA);
	fault = rig_read(t, rig->queue);
	sleep_ms(25);
	EXPECT_EQ(weir_faultq_read(rig->queue, &none, 1), 0);
	EXPECT_EQ(rig->answers[ID + 1], 1);
	rig_request(rig, 0, 0, ID + 2, IOVA);
	fault = rig_read(t, rig->queue);
	sleep_ms(25);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->codes[ID + 2], 0);
	EXPECT_EQ(rig_info(rig->queue).num_expired, 3);
}

UNIT(faultq, never_is_never)
{
	struct faultq_rig *rig = attached(t, &WEIR_OPTS(weir_faultq_opts, .answer_ns = WEIR_FAULTQ_NEVER));
	struct weir_fault *fault;

	rig_request(rig, 0, 0, ID, IOVA);
	fault = rig_read(t, rig->queue);
	EXPECT_EQ(weir_faultq_timeout(rig->queue), -1);
	EXPECT_EQ(weir_faultq_expire(rig->queue), 0);
	EXPECT_OK(weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
}

/* Leaving ---------------------------------------------------------------------------------------------------------- */

UNIT(faultq, leaving_can_be_refused_while_something_is_outstanding)
{
	struct faultq_rig *rig = attached(t, &WEIR_OPTS(weir_faultq_opts, .leave = WEIR_FAULTQ_REFUSE));
	struct weir_domain *other = rig_domain(t, rig, 0, NULL);
	struct weir_fault *fault;
	struct weir_ioas *ioas;

	ASSERT_OK(weir_ioas_open(rig->host, NULL, &ioas));
	rig_request(rig, 0, 0, ID, IOVA);
	fault = rig_read(t, rig->queue);
	EXPECT_ERR(-EBUSY, weir_domain_detach(rig->devices[0], WEIR_NO_PASID));
	EXPECT_CONTAINS(weir_error(), "not answered");
	EXPECT_ERR(-EBUSY, weir_domain_attach(other, rig->devices[0], WEIR_NO_PASID));
	EXPECT_ERR(-EBUSY, weir_device_attach(rig->devices[0], ioas));
	EXPECT_ERR(-EBUSY, weir_device_close(rig->devices[0]));
	/* The same domain again is no leaving. */
	EXPECT_OK(weir_domain_attach(rig->domains[0], rig->devices[0], WEIR_NO_PASID));
	EXPECT_EQ(rig->answers[ID], 0);
	EXPECT_OK(weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_OK(weir_domain_detach(rig->devices[0], WEIR_NO_PASID));
	/* What nobody has read does not count. */
	EXPECT_OK(weir_domain_attach(rig->domains[0], rig->devices[0], WEIR_NO_PASID));
	rig_request(rig, 0, 0, ID + 1, IOVA);
	EXPECT_OK(weir_domain_attach(other, rig->devices[0], WEIR_NO_PASID));
	EXPECT_EQ(rig->answers[ID + 1], 1);
	EXPECT_EQ(rig->codes[ID + 1], 0);
	EXPECT_OK(weir_domain_detach(rig->devices[0], WEIR_NO_PASID));
	EXPECT_OK(weir_ioas_close(ioas));
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / MS;
}

struct later {
	struct weir_faultq *queue;
	struct weir_fault_token token;
	int result;
};

static void *answer_later(void *arg)
{
	struct later *later = arg;

	sleep_ms(20);
	later->result = weir_faultq_respond(later->queue, &later->token, WEIR_FAULT_SUCCESS);
	return NULL;
}

UNIT(faultq, leaving_can_wait_for_what_is_outstanding)
{
	struct faultq_rig *rig = attached(
		t, &WEIR_OPTS(weir_faultq_opts, .leave = WEIR_FAULTQ_WAIT, .leave_ns = 5000ull * MS));
	uint64_t start = now_ms();
	struct later later = { .queue = rig->queue, .result = -1 };
	pthread_t thread;

	rig_request(rig, 0, 0, ID, IOVA);
	later.token = rig_read(t, rig->queue)->token;
	ASSERT_EQ(pthread_create(&thread, NULL, answer_later, &later), 0);
	EXPECT_OK(weir_domain_detach(rig->devices[0], WEIR_NO_PASID));
	pthread_join(thread, NULL);
	EXPECT_OK(later.result);
	EXPECT_EQ(rig->codes[ID], 1);
	EXPECT_LT(now_ms() - start, 4000);
}

UNIT(faultq, waiting_is_over_by_its_deadline)
{
	struct faultq_rig *rig =
		attached(t, &WEIR_OPTS(weir_faultq_opts, .leave = WEIR_FAULTQ_WAIT, .leave_ns = 30 * MS));
	struct weir_fault *fault;
	uint64_t start = now_ms();

	rig_request(rig, 0, 0, ID, IOVA);
	fault = rig_read(t, rig->queue);
	EXPECT_OK(weir_domain_detach(rig->devices[0], WEIR_NO_PASID));
	EXPECT_GE(now_ms() - start, 29);
	EXPECT_LT(now_ms() - start, 3000);
	EXPECT_EQ(rig->answers[ID], 1);
	EXPECT_EQ(rig->codes[ID], 0);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
}

/* The device's numbers begin anew after a reset, so nothing from before may be answered then. */
UNIT(faultq, a_reset_ends_what_was_asked_before)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, NULL);
	struct weir_device *device;
	struct weir_fault *old;
	struct weir_sim_device *sim;
	struct weir_domain *domain;
	const struct weir_sim_page_request request = { .iova = IOVA, .group = 40, .last = true };
	const struct weir_sim_slot slot = WEIR_OPTS(weir_sim_slot, .page_requests = 1, .bus_group = 9);

	ASSERT_OK(weir_sim_add_edu(rig->sim, NULL, &slot, &sim));
	ASSERT_OK(weir_device_open(rig->ioas, weir_sim_device_address(sim), NULL, &device));
	ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .faultq = rig->queue), &domain));
	ASSERT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_OK(weir_sim_page_request(sim, &request));
	old = rig_read(t, rig->queue);
	/* And one that nobody has read. */
	EXPECT_OK(weir_sim_page_request(sim, &request));
	EXPECT_OK(weir_device_reset(device));
	EXPECT_EQ(rig_info(rig->queue).num_orphaned, 2);
	EXPECT_EQ(rig_info(rig->queue).num_outstanding, 0);
	EXPECT_OK(weir_sim_page_request(sim, &request));
	EXPECT_ERR(-ESTALE, weir_faultq_respond(rig->queue, &old->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(weir_faultq_run(rig->queue, weir_fault_refuse, NULL), 1);
	EXPECT_EQ(rig_info(rig->queue).num_answered, 1);
	EXPECT_EQ(rig_bad_writes(), 0);
	EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_domain_close(domain));
}

/* Input ------------------------------------------------------------------------------------------------------------ */

UNIT(faultq, options_are_checked)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, NULL);
	struct weir_faultq *queue;
	struct weir_domain *domain;

	EXPECT_ERR(-EINVAL, weir_faultq_open(rig->host, &WEIR_OPTS(weir_faultq_opts, .leave = 3), &queue));
	EXPECT_ERR(-EINVAL, weir_faultq_open(rig->host, &WEIR_OPTS(weir_faultq_opts, .reserved = 1), &queue));
	EXPECT_ERR(-EINVAL, weir_faultq_open(rig->host, &WEIR_OPTS(weir_faultq_opts, .leave_ns = 1), &queue));
	EXPECT_ERR(-EINVAL, weir_domain_open(rig->devices[0],
					     &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT,
							.faultq = rig->queue),
					     &domain));
	EXPECT_ERR(-EBUSY, weir_host_close(rig->host));
	EXPECT_OK(weir_faultq_close(NULL));
	weir_fault_free(NULL);
}

UNIT(faultq, tokens_that_were_made_up_are_refused)
{
	struct faultq_rig *rig = attached(t, NULL);
	struct weir_fault_token token = { 0 };
	struct weir_fault *fault;

	EXPECT_ERR(-EINVAL, weir_faultq_respond(rig->queue, &token, WEIR_FAULT_SUCCESS));
	rig_request(rig, 0, 0, ID, IOVA);
	fault = rig_read(t, rig->queue);
	EXPECT_ERR(-EINVAL, weir_faultq_respond(rig->queue, &fault->token, 2));
	EXPECT_ERR(-EINVAL, weir_faultq_respond(rig->queue, &fault->token, UINT32_MAX));
	token = fault->token;
	token.serial++;
	EXPECT_ERR(-EINVAL, weir_faultq_respond(rig->queue, &token, WEIR_FAULT_SUCCESS));
	token = fault->token;
	token.queue += 100000;
	EXPECT_ERR(-EINVAL, weir_faultq_respond(rig->queue, &token, WEIR_FAULT_SUCCESS));
	for (int i = 0; i < 3; i++) {
		token = fault->token;
		(&token.device)[i] ^= 1;
		EXPECT_ERR(-EINVAL, weir_faultq_respond(rig->queue, &token, WEIR_FAULT_SUCCESS));
	}
	/* One that is read, but not given out yet, was guessed. */
	EXPECT_EQ(rig->answers[ID], 0);
	EXPECT_OK(weir_faultq_respond(rig->queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(rig->answers[ID], 1);
}

/* Devices ---------------------------------------------------------------------------------------------------------- */

UNIT(faultq, a_device_that_requests_no_pages_is_refused_whatever_the_kernel_says)
{
	static const uint32_t iommus[] = { WEIR_SIM_IOMMU_VTD, WEIR_SIM_IOMMU_SMMUV3, WEIR_SIM_IOMMU_AMD };

	for (size_t i = 0; i < sizeof(iommus) / sizeof(iommus[0]); i++) {
		struct faultq_rig *rig = faultq_rig_open(t, iommus[i], NULL);
		struct weir_sim_device *sim;
		struct weir_domain *domain;
		struct weir_device *device;

		EXPECT_OK(weir_caps_check(rig->devices[0], WEIR_CAP_FAULT));
		ASSERT_OK(weir_sim_add_edu(rig->sim, NULL, NULL, &sim));
		ASSERT_OK(weir_device_open(rig->ioas, weir_sim_device_address(sim), NULL, &device));
		EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_FAULT));
		EXPECT_CONTAINS(weir_error(), "PRI");
		ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .faultq = rig->queue),
					   &domain));
		EXPECT_ERR(-EOPNOTSUPP, weir_domain_attach(domain, device, WEIR_NO_PASID));
		EXPECT_OK(weir_domain_close(domain));
		EXPECT_OK(weir_device_close(device));
	}
}

UNIT(faultq, without_a_queue_the_kernel_refuses)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, NULL);

	rig_request(rig, 0, 0, ID, IOVA);
	EXPECT_EQ(rig->answers[ID], 1);
	EXPECT_EQ(rig->codes[ID], 0);
	EXPECT_EQ(rig_info(rig->queue).num_groups, 0);
}

UNIT(faultq, run_answers_by_a_handler)
{
	struct faultq_rig *rig = attached(t, NULL);

	for (uint32_t i = 0; i < 20; i++)
		rig_request(rig, 0, 0, ID + i, IOVA);
	EXPECT_EQ(weir_faultq_run(rig->queue, weir_fault_refuse, NULL), 16);
	EXPECT_EQ(weir_faultq_run(rig->queue, weir_fault_refuse, NULL), 4);
	EXPECT_EQ(weir_faultq_run(rig->queue, weir_fault_refuse, NULL), 0);
	for (uint32_t i = 0; i < 20; i++)
		EXPECT_EQ(rig->answers[ID + i] * 10 + rig->codes[ID + i], 10);
}
