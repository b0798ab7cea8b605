// SPDX-License-Identifier: MIT
#include "support/fault_stress.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sched.h>
#include <time.h>

#include "kernel/iommufd_abi.h"

enum { REQUESTERS = 2, ANSWERERS = 3, AT_ONCE = 4, LATE = 64, THREADS = REQUESTERS + ANSWERERS + 1 };

/* Of so many groups of each device, the first is held until all is over: it expires, or its device leaves first. */
enum { HELD_OF = 16 };

struct run {
	struct fault_stress *stress;
	atomic_uint next, requesters_left;
	atomic_bool stop;

	/* By group; and how many, by queue. */
	struct weir_fault_token held[STRESS_GROUPS];
	unsigned int held_from[STRESS_GROUPS];
	atomic_uint num_held[STRESS_QUEUES];

	/* Tokens that are answered later, by whoever comes. */
	pthread_mutex_t lock;
	struct late {
		struct weir_fault_token token;
		unsigned int queue;
	} late[LATE];
	unsigned int num_late;
};

static void pause_us(long us)
{
	const struct timespec time = { .tv_nsec = us * 1000 };

	nanosleep(&time, NULL);
}

static void answer(struct run *run, unsigned int queue, const struct weir_fault_token *token)
{
	struct fault_stress *stress = run->stress;
	int error = weir_faultq_respond(stress->queues[queue], token, WEIR_FAULT_SUCCESS);

	if (!error)
		stress->answered[token->group]++;
	else if (error == -ESTALE)
		stress->stale[token->group]++;
	else
		stress->other_error = error;
}

/* None of these can be accepted. */
static void answer_held(struct run *run, uint32_t group)
{
	answer(run, run->held_from[group], &run->held[group]);
	run->stress->num_held++;
	run->stress->held_answered += run->stress->answered[group];
}

/* Keep one for later, and answer that which was kept in its place. */
static void keep(struct run *run, unsigned int queue, const struct weir_fault_token *token)
{
	struct late late;
	bool full;

	pthread_mutex_lock(&run->lock);
	full = run->num_late == LATE;
	if (full) {
		late = run->late[token->group % LATE];
		run->late[token->group % LATE] = (struct late){ *token, queue };
	} else {
		run->late[run->num_late++] = (struct late){ *token, queue };
	}
	pthread_mutex_unlock(&run->lock);
	if (full)
		answer(run, late.queue, &late.token);
}

static void handle(struct run *run, unsigned int queue, struct weir_fault *fault)
{
	const struct weir_fault_token token = fault->token;

	weir_fault_free(fault);
	if (token.group / STRESS_DEVICES % HELD_OF == 0) {
		run->held[token.group] = token;
		run->held_from[token.group] = queue;
		run->num_held[queue]++;
		return;
	}
	/* Each device has all four. */
	switch (token.group / STRESS_DEVICES % 4) {
	case 0:
		answer(run, queue, &token);
		break;
	case 1: /* twice */
		answer(run, queue, &token);
		answer(run, queue, &token);
		break;
	case 2: /* late */
		keep(run, queue, &token);
		break;
	case 3: /* perhaps by two at a time */
		keep(run, queue, &token);
		answer(run, queue, &token);
		break;
	}
}

static bool read_all(struct run *run)
{
	struct weir_fault *faults[AT_ONCE];
	bool any = false;

	for (unsigned int q = 0; q < STRESS_QUEUES; q++) {
		int num = weir_faultq_read(run->stress->queues[q], faults, AT_ONCE);

		if (num < 0)
			run->stress->other_error = num;
		for (int i = 0; i < num; i++)
			handle(run, q, faults[i]);
		any |= num > 0;
	}
	return any;
}

static void *answerer(void *arg)
{
	struct run *run = arg;

	while (!run->stop)
		if (!read_all(run))
			sched_yield();
	while (read_all(run))
		;
	return NULL;
}

static void *requester(void *arg)
{
	struct run *run = arg;
	uint32_t number;

	while ((number = run->next++) < STRESS_GROUPS) {
		run->stress->request(run->stress->ctx, number % STRESS_DEVICES, number);
		/* About as fast as they are read: what nobody has read when a device leaves, the kernel refuses. */
		if (number % 8 == 0)
			pause_us(1000);
	}
	run->requesters_left--;
	return NULL;
}

static void note(struct run *run, int error)
{
	if (error)
		run->stress->other_error = error;
}

/*
 * Each device's first group is held, in a queue of its own: when the first queue's has expired, and the others' are outstanding, then what is late and what is orphaned
 * comes in every run.
 */
static void wait_for_what_is_held(struct run *run)
{
	struct weir_faultq *first = run->stress->queues[0];
	struct weir_faultq_info info = { 0 };
	bool all = false;

	while (!all || !info.num_expired) {
		pause_us(1000);
		note(run, weir_faultq_expire(first) < 0 ? -EIO : 0);
		weir_faultq_info(first, &info, sizeof(info));
		all = true;
		for (unsigned int q = 0; q < STRESS_QUEUES; q++)
			all = all && run->num_held[q];
	}
}

/* Devices go from queue to queue, and now and then to none for a moment. */
static void *mover(void *arg)
{
	struct run *run = arg;
	struct fault_stress *stress = run->stress;

	wait_for_what_is_held(run);
	for (unsigned int round = 0; !run->stop; round++) {
		unsigned int device = round % STRESS_DEVICES, queue = round / 3 % STRESS_QUEUES;

		if (round % 7 == 6)
			note(run, weir_domain_detach(stress->devices[device], WEIR_NO_PASID));
		note(run, weir_domain_attach(stress->domains[device][queue], stress->devices[device],
					     WEIR_NO_PASID));
		pause_us(3000);
	}
	for (unsigned int device = 0; device < STRESS_DEVICES; device++)
		note(run, weir_domain_detach(stress->devices[device], WEIR_NO_PASID));
	return NULL;
}

static int start_and_wait(struct run *run)
{
	static void *(*const bodies[THREADS])(void *) = { requester, requester, answerer,
							  answerer,  answerer,  mover };
	pthread_t threads[THREADS];
	int num = 0, error = 0;

	while (num < THREADS && !error) {
		error = pthread_create(&threads[num], NULL, bodies[num], run);
		num += !error;
	}
	if (error)
		run->next = STRESS_GROUPS;
	while (run->requesters_left && !error)
		sched_yield();
	run->stop = true;
	while (num)
		pthread_join(threads[--num], NULL);
	return -error;
}

int fault_stress_run(struct fault_stress *stress)
{
	struct run *run = calloc(1, sizeof(*run));
	int error = run ? 0 : -ENOMEM;

	if (error)
		return error;
	run->stress = stress;
	run->requesters_left = REQUESTERS;
	pthread_mutex_init(&run->lock, NULL);
	for (unsigned int device = 0; device < STRESS_DEVICES && !error; device++)
		error = weir_domain_attach(stress->domains[device][device % STRESS_QUEUES],
					   stress->devices[device], WEIR_NO_PASID);
	if (!error)
		error = start_and_wait(run);
	/* The last ones are very late. */
	for (unsigned int i = 0; i < run->num_late; i++)
		answer(run, run->late[i].queue, &run->late[i].token);
	for (uint32_t i = 0; i < STRESS_GROUPS; i++)
		if (run->held[i].serial)
			answer_held(run, i);
	pthread_mutex_destroy(&run->lock);
	free(run);
	return error;
}

struct weir_faultq_info fault_stress_info(const struct fault_stress *stress)
{
	struct weir_faultq_info sum = { 0 };

	for (unsigned int q = 0; q < STRESS_QUEUES; q++) {
		struct weir_faultq_info info;

		weir_faultq_info(stress->queues[q], &info, sizeof(info));
		sum.num_outstanding += info.num_outstanding;
		sum.num_groups += info.num_groups;
		sum.num_answered += info.num_answered;
		sum.num_expired += info.num_expired;
		sum.num_orphaned += info.num_orphaned;
		sum.num_malformed += info.num_malformed;
		sum.num_stale += info.num_stale;
	}
	return sum;
}

void fault_stress_see(struct fault_cookies *cookies, int fd, const void *answer, size_t len)
{
	const struct abi_iommu_hwpt_page_response *response = answer;

	if (fd >= 0 && fd < COOKIE_FDS && len == sizeof(*response) && response->cookie < COOKIES)
		cookies->again += atomic_exchange(&cookies->seen[fd][response->cookie], true);
}
