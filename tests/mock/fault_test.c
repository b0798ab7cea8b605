// SPDX-License-Identifier: MIT
/* Page requests that the kernel's mock devices make on request: through the kernel's own queues, with its own numbers. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/fault/measure.h"
#include "device/device.h"
#include "host/host.h"
#include "mock/mock_host.h"
#include "support/fault_stress.h"

enum { MS = 1000000, GROUP = 77 };

#define IOVA ((uint64_t)ABI_MOCK_APERTURE_START)

/* Answers ---------------------------------------------------------------------------------------------------------- */

/* Nothing else is written here. */
static atomic_uint writes, bad_writes;
static struct fault_cookies cookies;
static atomic_uint last_code;
static ssize_t (*write_below)(void *ctx, int fd, const void *buf, size_t len);

static ssize_t counted_write(void *ctx, int fd, const void *buf, size_t len)
{
	ssize_t result = write_below(ctx, fd, buf, len);

	writes++;
	bad_writes += result != (ssize_t)len;
	fault_stress_see(&cookies, fd, buf, len);
	last_code = ((const struct abi_iommu_hwpt_page_response *)buf)->code;
	return result;
}

static struct mock_host *count_writes(struct mock_host *mock)
{
	write_below = mock->table.write;
	mock->table.write = counted_write;
	writes = bad_writes = 0;
	memset(&cookies, 0, sizeof(cookies));
	return mock;
}

static struct mock_host *new_faulting_host(struct t *t)
{
	return count_writes(new_mock_host(t, ABI_MOCK_FLAGS_DEVICE_PASID));
}

static void close_queue(void *queue)
{
	EXPECT_OK(weir_faultq_close(queue));
}

static struct weir_faultq *new_queue(struct t *t, struct mock_host *mock, const struct weir_faultq_opts *opts)
{
	struct weir_faultq *queue;

	ASSERT_OK(weir_faultq_open(mock->host, opts, &queue));
	t_defer(t, close_queue, queue);
	return queue;
}

static struct weir_domain *new_domain(struct t *t, struct weir_device *device, struct weir_faultq *queue)
{
	struct weir_domain *domain;

	ASSERT_OK(weir_domain_open(
		device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_PASID, .faultq = queue), &domain));
	close_domain_later(t, domain);
	return domain;
}

static void close_demand(void *demand)
{
	EXPECT_OK(weir_demand_close(demand));
}

static void detach(void *device)
{
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

static void attach_until_the_end(struct t *t, struct weir_domain *domain, struct weir_device *device)
{
	ASSERT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	t_defer(t, detach, device);
}

static void request_at(struct weir_device *device, uint32_t pasid, uint32_t group, uint64_t iova)
{
	struct abi_iommu_test_cmd cmd = { .size = sizeof(cmd), .op = ABI_IOMMU_TEST_OP_TRIGGER_IOPF };

	cmd.trigger_iopf.dev_id = device->function->dev_id;
	cmd.trigger_iopf.pasid = pasid;
	cmd.trigger_iopf.grpid = group;
	cmd.trigger_iopf.perm = ABI_IOMMU_PGFAULT_PERM_READ;
	cmd.trigger_iopf.addr = iova;
	EXPECT_OK(weir_sys_real()->ioctl(NULL, device->host->kernel.fd, ABI_IOMMU_TEST_CMD, &cmd));
}

static void request(struct weir_device *device, uint32_t pasid, uint32_t group)
{
	request_at(device, pasid, group, IOVA);
}

static void free_fault(void *fault)
{
	weir_fault_free(fault);
}

static struct weir_fault *read_one(struct t *t, struct weir_faultq *queue)
{
	struct weir_fault *fault;

	ASSERT_EQ(weir_faultq_read(queue, &fault, 1), 1);
	t_defer(t, free_fault, fault);
	return fault;
}

static struct weir_faultq_info count_of(struct weir_faultq *queue)
{
	struct weir_faultq_info info;

	weir_faultq_info(queue, &info, sizeof(info));
	return info;
}

/* Cases ------------------------------------------------------------------------------------------------------------ */

UNIT(mock_fault, a_group_comes_and_has_one_answer)
{
	struct mock_host *mock = new_faulting_host(t);
	struct weir_faultq *queue = new_queue(t, mock, &WEIR_OPTS(weir_faultq_opts, .answer_ns = 100 * MS));
	struct weir_device *device = mock_device(t, mock, 0);
	struct pollfd poll_fd = { .fd = weir_faultq_fd(queue), .events = POLLIN };
	const struct timespec late = { .tv_nsec = 120 * MS };
	struct weir_fault *fault;

	EXPECT_OK(weir_caps_check(device, WEIR_CAP_FAULT));
	attach_until_the_end(t, new_domain(t, device, queue), device);
	EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
	request(device, 0, GROUP);
	EXPECT_EQ(poll(&poll_fd, 1, 1000), 1);
	fault = read_one(t, queue);
	EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
	EXPECT_TRUE(fault->device == device && fault->pasid == WEIR_NO_PASID && fault->group == GROUP);
	ASSERT_EQ(fault->num_pages, 1);
	EXPECT_EQ(fault->pages[0].iova, IOVA);
	EXPECT_EQ(fault->pages[0].perm, WEIR_FAULT_READ);
	EXPECT_OK(weir_faultq_respond(queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_ERR(-ESTALE, weir_faultq_respond(queue, &fault->token, WEIR_FAULT_SUCCESS));
	/* One that nobody answers in time. */
	request(device, 0, GROUP);
	fault = read_one(t, queue);
	nanosleep(&late, NULL);
	EXPECT_EQ(weir_faultq_expire(queue), 1);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(writes, 2);
	EXPECT_EQ(bad_writes, 0);
}

UNIT(mock_fault, a_nested_domain_has_them_too)
{
	struct mock_host *mock = new_faulting_host(t);
	struct weir_faultq *queue = new_queue(t, mock, NULL);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *parent = new_parent(t, device, 0), *nested;

	ASSERT_OK(weir_domain_open_nested(
		parent, device, &WEIR_OPTS(weir_nested_opts, .format = WEIR_STAGE1_MOCK, .faultq = queue),
		&nested));
	close_domain_later(t, nested);
	attach_until_the_end(t, nested, device);
	request(device, 0, GROUP);
	EXPECT_EQ(weir_faultq_run(queue, weir_fault_refuse, NULL), 1);
	EXPECT_EQ(count_of(queue).num_answered, 1);
	EXPECT_EQ(bad_writes, 0);
}

/* Time line 1 of issue 7, with the kernel's own numbers, which it gives again. */
UNIT(mock_fault, an_answer_from_before_a_detach_does_not_reach_who_came_after)
{
	struct mock_host *mock = new_faulting_host(t);
	struct weir_faultq *queue = new_queue(t, mock, NULL);
	struct weir_device *device = mock_device(t, mock, 0), *other = mock_device(t, mock, 1);
	struct weir_domain *domain = new_domain(t, device, queue);
	struct weir_fault *old, *same, *others;
	const uint32_t pasid = 5;

	attach_until_the_end(t, new_domain(t, device, NULL), device);
	attach_until_the_end(t, new_domain(t, other, NULL), other);
	ASSERT_OK(weir_domain_attach(domain, device, pasid));
	request(device, pasid, GROUP);
	old = read_one(t, queue);
	EXPECT_EQ(old->pasid, pasid);
	ASSERT_OK(weir_domain_detach(device, pasid));
	EXPECT_EQ(count_of(queue).num_orphaned, 1);
	ASSERT_OK(weir_domain_attach(domain, device, pasid));
	ASSERT_OK(weir_domain_attach(domain, other, pasid));
	request(other, pasid, GROUP);
	others = read_one(t, queue);
	request(device, pasid, GROUP);
	same = read_one(t, queue);
	EXPECT_TRUE(others->device == other && same->device == device);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(queue, &old->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(writes, 0);
	EXPECT_OK(weir_faultq_respond(queue, &same->token, WEIR_FAULT_SUCCESS));
	EXPECT_OK(weir_faultq_respond(queue, &others->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(writes, 2);
	EXPECT_EQ(bad_writes, 0);
	EXPECT_OK(weir_domain_detach(device, pasid));
	EXPECT_OK(weir_domain_detach(other, pasid));
}

UNIT(mock_fault, a_token_that_was_made_up_and_an_unknown_answer_are_refused)
{
	struct mock_host *mock = new_faulting_host(t);
	struct weir_faultq *queue = new_queue(t, mock, NULL);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_fault_token token = { 0 };
	struct weir_fault *fault;

	attach_until_the_end(t, new_domain(t, device, queue), device);
	request(device, 0, GROUP);
	fault = read_one(t, queue);
	EXPECT_ERR(-EINVAL, weir_faultq_respond(queue, &token, WEIR_FAULT_SUCCESS));
	token = fault->token;
	token.serial++;
	EXPECT_ERR(-EINVAL, weir_faultq_respond(queue, &token, WEIR_FAULT_SUCCESS));
	token = fault->token;
	token.group++;
	EXPECT_ERR(-EINVAL, weir_faultq_respond(queue, &token, WEIR_FAULT_SUCCESS));
	EXPECT_ERR(-EINVAL, weir_faultq_respond(queue, &fault->token, WEIR_FAULT_LATER));
	EXPECT_ERR(-EINVAL, weir_faultq_respond(queue, &fault->token, UINT32_MAX));
	EXPECT_EQ(writes, 0);
	EXPECT_EQ(count_of(queue).num_outstanding, 1);
	EXPECT_OK(weir_faultq_respond(queue, &fault->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(count_of(queue).num_stale, 0);
	EXPECT_EQ(writes, 1);
	EXPECT_EQ(bad_writes, 0);
}

UNIT(mock_fault, a_queue_is_not_closed_under_its_domain_and_its_tokens_are_stale_in_the_next)
{
	struct mock_host *mock = new_faulting_host(t);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_fault *old, *new;
	struct weir_faultq *first, *second;
	struct weir_domain *domain;

	ASSERT_OK(weir_faultq_open(mock->host, NULL, &first));
	ASSERT_OK(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .faultq = first), &domain));
	ASSERT_OK(weir_domain_attach(domain, device, WEIR_NO_PASID));
	request(device, 0, GROUP);
	request(device, 0, GROUP + 1);
	old = read_one(t, first);
	new = read_one(t, first);
	EXPECT_ERR(-EBUSY, weir_faultq_close(first));
	EXPECT_CONTAINS(weir_error(), "2 groups of page requests are outstanding");
	EXPECT_OK(weir_faultq_respond(first, &new->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(writes, 1);
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_close(domain));
	EXPECT_OK(weir_faultq_close(first));
	second = new_queue(t, mock, NULL);
	attach_until_the_end(t, new_domain(t, device, second), device);
	/* The kernel gives it the number of the first. */
	request(device, 0, GROUP);
	new = read_one(t, second);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(second, &old->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(writes, 1);
	EXPECT_OK(weir_faultq_respond(second, &new->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(writes, 2);
	EXPECT_EQ(bad_writes, 0);
}

/* Mapping on demand (weir/demand.h). */
UNIT(mock_fault, a_request_outside_every_rule_is_refused)
{
	enum { LEN = 65536, MAPPED = 8192 };
	static _Alignas(4096) unsigned char memory[LEN];
	struct mock_host *mock = new_faulting_host(t);
	struct weir_faultq *queue = new_queue(t, mock, NULL);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_demand *demand;
	struct weir_demand_info info;

	attach_until_the_end(t, new_domain(t, device, queue), device);
	ASSERT_OK(weir_demand_open(mock->ioas, &WEIR_OPTS(weir_demand_opts, .ahead = MAPPED), &demand));
	t_defer(t, close_demand, demand);
	ASSERT_OK(weir_demand_add_memory(demand, IOVA, LEN, memory, 0));
	request(device, 0, GROUP);
	EXPECT_EQ(weir_faultq_run(queue, weir_demand_handle, demand), 1);
	EXPECT_EQ(last_code, WEIR_FAULT_SUCCESS);
	for (uint32_t i = 0; i < 2; i++) {
		request_at(device, 0, GROUP, i ? IOVA + LEN : IOVA - 4096);
		EXPECT_EQ(weir_faultq_run(queue, weir_demand_handle, demand), 1);
		EXPECT_EQ(last_code, WEIR_FAULT_INVALID);
	}
	EXPECT_OK(weir_demand_info(demand, &info, sizeof(info)));
	EXPECT_EQ(info.num_served, 1);
	EXPECT_EQ(info.num_refused, 2);
	EXPECT_EQ(info.num_maps, 1);
	EXPECT_EQ(info.mapped_bytes, MAPPED);
	EXPECT_EQ(writes, 3);
	EXPECT_EQ(bad_writes, 0);
}

static void request_for_stress(void *ctx, unsigned int device, uint32_t number)
{
	const struct fault_stress *stress = ctx;

	request(stress->devices[device], 0, number);
}

/* Those whose device was attached to nothing with a queue at that moment, the kernel refused without a word. */
UNIT(mock_fault, every_group_has_one_answer)
{
	struct mock_host *mock = new_faulting_host(t);
	struct fault_stress *stress = calloc(1, sizeof(*stress));
	struct weir_faultq_info info;
	uint32_t answered = 0;

	ASSERT_TRUE(stress != NULL);
	t_defer(t, free, stress);
	stress->request = request_for_stress;
	stress->ctx = stress;
	for (unsigned int q = 0; q < STRESS_QUEUES; q++)
		stress->queues[q] =
			new_queue(t, mock, q ? NULL : &WEIR_OPTS(weir_faultq_opts, .answer_ns = 20 * MS));
	for (unsigned int i = 0; i < STRESS_DEVICES; i++)
		stress->devices[i] = mock_device(t, mock, i);
	for (unsigned int i = 0; i < STRESS_DEVICES * STRESS_QUEUES; i++)
		stress->domains[i / STRESS_QUEUES][i % STRESS_QUEUES] =
			new_domain(t, stress->devices[i / STRESS_QUEUES], stress->queues[i % STRESS_QUEUES]);
	ASSERT_OK(fault_stress_run(stress));
	EXPECT_EQ(stress->other_error, 0);
	for (uint32_t i = 0; i < STRESS_GROUPS; i++) {
		EXPECT_LE(stress->answered[i], 1);
		answered += stress->answered[i];
	}
	info = fault_stress_info(stress);
	EXPECT_EQ(info.num_outstanding, 0);
	EXPECT_EQ(info.num_groups, info.num_answered + info.num_expired + info.num_orphaned);
	EXPECT_EQ(info.num_answered, answered);
	EXPECT_GT(info.num_groups, 1000);
	/* What there is to go wrong came to pass: groups were late, or left alone, and were answered then; and the kernel used its numbers again. */
	EXPECT_GT(info.num_expired, 0);
	EXPECT_GT(info.num_orphaned, 0);
	EXPECT_GT(cookies.again, 0);
	EXPECT_GE(stress->num_held, STRESS_DEVICES);
	EXPECT_EQ(stress->held_answered, 0);
	EXPECT_GE(info.num_stale, stress->num_held);
	EXPECT_EQ(writes, info.num_answered + info.num_expired);
	EXPECT_EQ(bad_writes, 0);
	printf("%llu groups: %llu answered, %llu late, %llu orphaned; %llu answers refused\n",
	       (unsigned long long)info.num_groups, (unsigned long long)info.num_answered,
	       (unsigned long long)info.num_expired, (unsigned long long)info.num_orphaned,
	       (unsigned long long)info.num_stale);
}

/* Speed ------------------------------------------------------------------------------------------------------------ */

static void request_one(void *device)
{
	request(device, 0, GROUP);
}

/* Figures for docs/performance.md; nothing is judged. */
UNIT(mock_fault, a_round_trip)
{
	struct mock_host *mock = new_faulting_host(t);
	struct weir_faultq *queue =
		new_queue(t, mock, &WEIR_OPTS(weir_faultq_opts, .answer_ns = WEIR_FAULTQ_NEVER));
	struct weir_device *device = mock_device(t, mock, 0);
	struct fault_figure figures[FAULT_SIZES];

	attach_until_the_end(t, new_domain(t, device, queue), device);
	ASSERT_OK(fault_measure(queue, &mock->table, request_one, device, figures));
	fault_print(stdout, "mock", figures);
}

/* A flood that never stops ----------------------------------------------------------------------------------------- */

struct flood {
	struct weir_device *device;
	struct weir_faultq *queue;
	atomic_bool stop;
	atomic_uint num;
};

static void *flooding(void *arg)
{
	struct flood *flood = arg;

	while (!flood->stop)
		request(flood->device, 0, flood->num++);
	return NULL;
}

/* Reads all there is, and answers nothing. */
static void *hoarding(void *arg)
{
	struct flood *flood = arg;
	struct weir_fault *faults[16];

	while (!flood->stop) {
		int num = weir_faultq_read(flood->queue, faults, 16);

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

/* Time line 2 of issue 7. */
UNIT(mock_fault, leaving_under_a_flood_is_over_by_its_deadline)
{
	struct mock_host *mock = new_faulting_host(t);
	const struct timespec a_while = { .tv_nsec = 50 * MS };
	struct flood flood = { .device = mock_device(t, mock, 0) };
	unsigned int before;
	pthread_t threads[2];
	uint64_t start;

	flood.queue = new_queue(
		t, mock, &WEIR_OPTS(weir_faultq_opts, .leave = WEIR_FAULTQ_WAIT, .leave_ns = 200 * MS));
	attach_until_the_end(t, new_domain(t, flood.device, flood.queue), flood.device);
	ASSERT_EQ(pthread_create(&threads[0], NULL, flooding, &flood), 0);
	ASSERT_EQ(pthread_create(&threads[1], NULL, hoarding, &flood), 0);
	while (!count_of(flood.queue).num_groups)
		nanosleep(&a_while, NULL);
	start = now_ms();
	EXPECT_OK(weir_domain_detach(flood.device, WEIR_NO_PASID));
	/* The machine is a slow one: two seconds more than the deadline. */
	EXPECT_LT(now_ms() - start, 2200);
	EXPECT_EQ(count_of(flood.queue).num_outstanding, 0);
	before = flood.num;
	while (flood.num == before)
		sched_yield();
	flood.stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_GT(count_of(flood.queue).num_orphaned, 0);
	EXPECT_EQ(count_of(flood.queue).num_outstanding, 0);
	EXPECT_EQ(bad_writes, 0);
}

/* Where a successor looks: the kernel has read into the journal itself; and the descriptor is known for what it is. */
UNIT(mock_fault, what_is_outstanding_is_in_the_journal)
{
	enum { NUM = 5 };
	struct mock_host *mock = count_writes(new_kept_mock_host(t, ABI_MOCK_FLAGS_DEVICE_PASID));
	struct weir_faultq *queue = new_queue(t, mock, NULL);
	struct weir_device *device = mock_device(t, mock, 0);
	const struct weir_journal *journal = mock->host->kernel.journal;
	const struct weir_slot_faultq *slot = weir_journal_at(journal, WEIR_JOURNAL_FAULTQS, 1);
	const struct weir_slot_request *first = weir_journal_at(journal, WEIR_JOURNAL_REQUESTS, 1);
	char path[64], link[64] = { 0 };
	struct weir_fault *faults[NUM];

	attach_until_the_end(t, new_domain(t, device, queue), device);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", weir_faultq_fd(queue));
	EXPECT_GE(readlink(path, link, sizeof(link) - 1), 1);
	EXPECT_STREQ(link, "anon_inode:[iommufd-pgfault]");
	for (uint32_t i = 0; i < NUM; i++)
		request(device, 0, GROUP + i);
	ASSERT_EQ(weir_faultq_read(queue, faults, NUM), NUM);
	EXPECT_EQ(weir_slot_state(&slot->slot), WEIR_SLOT_IN_FORCE);
	EXPECT_EQ(slot->reading, 0);
	for (uint32_t i = 0; i < NUM; i++) {
		EXPECT_EQ(slot->records[i].grpid, GROUP + i);
		EXPECT_EQ(weir_slot_state(&first[i].slot), WEIR_SLOT_IN_FORCE);
		EXPECT_EQ(first[i].queue, 1);
		EXPECT_EQ(first[i].record.cookie, slot->records[i].cookie);
		EXPECT_GE(first[i].record.cookie, 1);
		EXPECT_OK(weir_faultq_respond(queue, &faults[i]->token, WEIR_FAULT_SUCCESS));
		EXPECT_EQ(weir_slot_state(&first[i].slot), WEIR_SLOT_FREE);
		weir_fault_free(faults[i]);
	}
	EXPECT_EQ(writes, NUM);
	EXPECT_EQ(bad_writes, 0);
}
