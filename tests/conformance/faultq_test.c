// SPDX-License-Identifier: MIT
/* Page requests: on every host what is said where there are none; where EDU0 requests pages, what becomes of these. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "conformance/dma.h"
#include "conformance/nested.h"
#include "conformance/os.h"
#include "conformance/space.h"

enum { IOVA = 0x4000000, FILE_PAGES = 12, AHEAD = 4 * PAGE };

static struct weir_faultq_info counts(struct weir_faultq *queue)
{
	struct weir_faultq_info info;

	EXPECT_OK(weir_faultq_info(queue, &info, sizeof(info)));
	return info;
}

static void close_queue(void *queue)
{
	EXPECT_OK(weir_faultq_close(queue));
}

static struct weir_faultq *new_queue_of(struct t *t, struct weir_host *host,
					const struct weir_faultq_opts *opts)
{
	struct weir_faultq *queue;

	ASSERT_OK(weir_faultq_open(host, opts, &queue));
	t_defer(t, close_queue, queue);
	return queue;
}

static struct weir_faultq *new_queue(struct t *t, const struct weir_faultq_opts *opts)
{
	return new_queue_of(t, host_of(t), opts);
}

/* Refusals that need no request ------------------------------------------------------------------------------------ */

static bool has_domains(struct weir_device *device)
{
	return !weir_caps_check(device, WEIR_CAP_DOMAIN);
}

CONFORMANCE(faultq, a_device_without_page_requests_is_told_beforehand, NEEDS(EDU1, ORDINARY))
{
	struct weir_faultq *queue;
	struct weir_domain *domain;
	struct weir_device *device = new_device(t, new_ioas(t), "EDU1", 0);
	int error;

	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_FAULT));
	if (!has_domains(device)) {
		EXPECT_ERR(-EOPNOTSUPP, weir_faultq_open(host_of(t), NULL, &queue));
		return;
	}
	queue = new_queue(t, NULL);
	/* Some drivers refuse already here. */
	error = weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .faultq = queue), &domain);
	if (error) {
		EXPECT_EQ(error, -EOPNOTSUPP);
		return;
	}
	EXPECT_ERR(-EOPNOTSUPP, weir_domain_attach(domain, device, WEIR_NO_PASID));
	EXPECT_CONTAINS(weir_error(), "PRI");
	EXPECT_ERR(-EBUSY, weir_faultq_close(queue));
	EXPECT_OK(weir_domain_close(domain));
}

CONFORMANCE(faultq, an_empty_queue_takes_no_answer, NEEDS(EDU1, ORDINARY))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU1", 0);
	struct weir_fault_token token = { 0 };
	struct weir_faultq *queue;
	struct weir_fault *fault;

	if (!has_domains(device)) {
		EXPECT_ERR(-EOPNOTSUPP, weir_faultq_open(host_of(t), NULL, &queue));
		EXPECT_CONTAINS(weir_error(), "page requests");
		return;
	}
	EXPECT_ERR(-EINVAL, weir_faultq_open(host_of(t), &WEIR_OPTS(weir_faultq_opts, .leave = 9), &queue));
	queue = new_queue(t, NULL);
	EXPECT_EQ(weir_faultq_read(queue, &fault, 1), 0);
	EXPECT_EQ(weir_faultq_run(queue, weir_fault_refuse, NULL), 0);
	EXPECT_EQ(weir_faultq_timeout(queue), -1);
	EXPECT_EQ(weir_faultq_expire(queue), 0);
	/* Made up. */
	EXPECT_ERR(-EINVAL, weir_faultq_respond(queue, &token, WEIR_FAULT_SUCCESS));
	memset(&token, 0x55, sizeof(token));
	EXPECT_ERR(-EINVAL, weir_faultq_respond(queue, &token, WEIR_FAULT_SUCCESS));
	EXPECT_ERR(-EINVAL, weir_faultq_respond(queue, &token, 2));
	EXPECT_EQ(counts(queue).num_groups, 0);
}

/* Requests --------------------------------------------------------------------------------------------------------- */

/* EDU0 on a domain with a queue, in a space in which nothing is mapped at IOVA. */
struct asking {
	struct weir_faultq *queue;
	struct weir_ioas *ioas;
	struct edu *edu;
	struct weir_device *device;
	struct weir_domain *domain;
};

static struct asking asking_with(struct t *t, struct weir_faultq *queue, struct weir_ioas *ioas)
{
	struct asking a = { .queue = queue, .ioas = ioas };

	a.edu = new_edu(t, a.ioas, "EDU0", 0);
	a.device = device_of(t, a.edu);
	ASSERT_OK(weir_domain_open(a.device, &WEIR_OPTS(weir_domain_opts, .faultq = a.queue), &a.domain));
	close_domain_later(t, a.domain);
	ASSERT_OK(weir_domain_attach(a.domain, a.device, WEIR_NO_PASID));
	detach_later(t, a.device);
	return a;
}

static struct asking new_asking(struct t *t, const struct weir_faultq_opts *opts)
{
	return asking_with(t, new_queue(t, opts), new_ioas(t));
}

static void start_read(struct asking *a, uint64_t iova)
{
	EXPECT_EQ(edu_dma_start(a->edu, EDU_FROM_MEMORY, iova, 0, PAGE, EDU_BY_POLLING), 0);
}

static void wait_for_dma(struct asking *a)
{
	EXPECT_EQ(edu_dma_wait(a->edu, 5000), 0);
}

/* The request that is to come. */
static struct weir_fault_token next_request(struct t *t, struct asking *a, uint64_t iova)
{
	struct pollfd poll = { .fd = weir_faultq_fd(a->queue), .events = POLLIN };
	struct weir_fault_token token;
	struct weir_fault *fault;

	(void)t;
	ASSERT_EQ(os_sys()->poll(os_sys()->ctx, &poll, 1, 5000), 1);
	ASSERT_EQ(weir_faultq_read(a->queue, &fault, 1), 1);
	token = fault->token;
	EXPECT_EQ(fault->num_pages, 1);
	EXPECT_EQ(fault->pages[0].iova, iova);
	EXPECT_TRUE(fault->device == a->device);
	weir_fault_free(fault);
	return token;
}

CONFORMANCE(faultq, a_device_waits_for_its_page, NEEDS(FAULTS))
{
	struct asking a = new_asking(t, NULL);
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct weir_fault_token token;

	record_no_calls(t);
	start_read(&a, IOVA);
	token = next_request(t, &a, IOVA);
	EXPECT_EQ(edu_dma_running(a.edu), 1);
	EXPECT_ERR(-EINVAL, weir_faultq_respond(a.queue, &token, 7));
	new_map(t, a.ioas, memory, PAGE, AT(IOVA));
	EXPECT_OK(weir_faultq_respond(a.queue, &token, WEIR_FAULT_SUCCESS));
	wait_for_dma(&a);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(a.queue, &token, WEIR_FAULT_SUCCESS));
	EXPECT_TRUE(dma_reads(t, a.edu, IOVA, memory, PAGE));
}

static void close_ioas(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static void close_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

/* It enters what is outstanding, and forgets it again. */
CONFORMANCE(faultq, a_host_with_a_journal_waits_likewise, NEEDS(FAULTS))
{
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct weir_fault_token token;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct asking a;

	record_no_calls(t);
	ASSERT_OK(weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = sys_of(t), .flags = WEIR_HOST_JOURNAL,
					    .backend = fixture_of(t)->backend, .journal_maps = 8,
					    .journal_blocks = PAGE),
				 &host));
	t_defer(t, close_host, host);
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	t_defer(t, close_ioas, ioas);
	a = asking_with(t, new_queue_of(t, host, NULL), ioas);
	for (int i = 0; i < 3; i++) {
		start_read(&a, IOVA);
		token = next_request(t, &a, IOVA);
		EXPECT_OK(weir_faultq_respond(a.queue, &token, WEIR_FAULT_INVALID));
		wait_for_dma(&a);
	}
	start_read(&a, IOVA);
	token = next_request(t, &a, IOVA);
	new_map(t, a.ioas, memory, PAGE, AT(IOVA));
	EXPECT_OK(weir_faultq_respond(a.queue, &token, WEIR_FAULT_SUCCESS));
	wait_for_dma(&a);
	start_read(&a, IOVA + PAGE);
	next_request(t, &a, IOVA + PAGE);
	EXPECT_EQ(counts(a.queue).num_outstanding, 1);
}

CONFORMANCE(faultq, a_detached_device_waits_no_more, NEEDS(FAULTS))
{
	struct asking a = new_asking(t, NULL);
	struct weir_fault_token token;

	record_no_calls(t);
	start_read(&a, IOVA);
	token = next_request(t, &a, IOVA);
	EXPECT_ERR(-EBUSY, weir_domain_close(a.domain));
	EXPECT_ERR(-EBUSY, weir_faultq_close(a.queue));
	EXPECT_CONTAINS(weir_error(), "1 groups");
	EXPECT_OK(weir_domain_detach(a.device, WEIR_NO_PASID));
	wait_for_dma(&a);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(a.queue, &token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(counts(a.queue).num_orphaned, 1);
	EXPECT_EQ(counts(a.queue).num_outstanding, 0);
}

CONFORMANCE(faultq, a_nested_space_keeps_its_queue_open_without_devices_too, NEEDS(FAULTS))
{
	struct weir_faultq *queue = new_queue(t, NULL);
	struct weir_ioas *ioas;

	ASSERT_OK(weir_nested_space_open(
		host_of(t), &WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE, .faultq = queue),
		&ioas));
	EXPECT_ERR(-EBUSY, weir_faultq_close(queue));
	EXPECT_CONTAINS(weir_error(), "1 nested spaces");
	EXPECT_OK(weir_ioas_close(ioas));
}

CONFORMANCE(faultq, leaving_is_refused_if_that_is_the_rule, NEEDS(FAULTS))
{
	struct asking a = new_asking(t, &WEIR_OPTS(weir_faultq_opts, .leave = WEIR_FAULTQ_REFUSE));
	struct weir_fault_token token;

	record_no_calls(t);
	start_read(&a, IOVA);
	token = next_request(t, &a, IOVA);
	EXPECT_ERR(-EBUSY, weir_domain_detach(a.device, WEIR_NO_PASID));
	EXPECT_OK(weir_faultq_respond(a.queue, &token, WEIR_FAULT_INVALID));
	wait_for_dma(&a);
	EXPECT_OK(weir_domain_detach(a.device, WEIR_NO_PASID));
}

/* Mapping on demand ------------------------------------------------------------------------------------------------ */

static void close_demand(void *demand)
{
	EXPECT_OK(weir_demand_close(demand));
}

/* Until the device waits no more; that many requests. */
static int serve(struct t *t, struct asking *a, struct weir_demand *demand)
{
	const struct weir_sys *sys = sys_of(t);
	int num = 0, tries = 5000;

	while (edu_dma_running(a->edu) > 0 && tries--) {
		int some = weir_faultq_run(a->queue, weir_demand_handle, demand);

		ASSERT_GE(some, 0);
		num += some;
		if (!some)
			sys->sleep(sys->ctx, 1000000);
	}
	wait_for_dma(a);
	return num;
}

static struct weir_demand *new_demand(struct t *t, struct asking *a, int file)
{
	struct weir_demand *demand;

	ASSERT_OK(weir_demand_open(a->ioas, &WEIR_OPTS(weir_demand_opts, .ahead = AHEAD), &demand));
	t_defer(t, close_demand, demand);
	ASSERT_OK(weir_demand_add_file(demand, IOVA, FILE_PAGES * PAGE, file, 0, 0));
	return demand;
}

static int numbered_file(struct t *t, unsigned char *ret_bytes)
{
	int file = new_file(t, FILE_PAGES * PAGE);

	for (int i = 0; i < FILE_PAGES; i++)
		memset(ret_bytes + i * PAGE, i + 1, PAGE);
	ASSERT_EQ(pwrite(file, ret_bytes, FILE_PAGES * PAGE, 0), FILE_PAGES * PAGE);
	return file;
}

static void read_the_file(struct t *t, struct asking *a)
{
	unsigned char *bytes = new_memory(t, FILE_PAGES * PAGE, 0);
	struct weir_demand *demand = new_demand(t, a, numbered_file(t, bytes));
	struct weir_demand_info info;

	/* One request brings in four pages. */
	for (int page = 0; page < FILE_PAGES; page += 2) {
		start_read(a, IOVA + page * PAGE);
		EXPECT_EQ(serve(t, a, demand), page % 4 ? 0 : 1);
		EXPECT_TRUE(dma_reads(t, a->edu, IOVA + page * PAGE, bytes + page * PAGE, PAGE));
	}
	/* Outside of every rule. */
	start_read(a, IOVA + FILE_PAGES * PAGE);
	EXPECT_EQ(serve(t, a, demand), 1);
	EXPECT_OK(weir_demand_info(demand, &info, sizeof(info)));
	EXPECT_EQ(info.num_maps, FILE_PAGES / 4);
	EXPECT_EQ(info.num_refused, 1);
	EXPECT_EQ(counts(a->queue).num_outstanding, 0);
}

CONFORMANCE(faultq, a_file_that_was_never_mapped_is_read, NEEDS(FAULTS))
{
	struct asking a = new_asking(t, NULL);

	record_no_calls(t);
	read_the_file(t, &a);
}

static void close_space(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

CONFORMANCE(faultq, a_file_that_was_never_mapped_is_read_in_a_nested_space, NEEDS(FAULTS, NEST))
{
	struct asking a = { .queue = new_queue(t, NULL) };

	record_no_calls(t);
	ASSERT_OK(weir_nested_space_open(
		host_of(t),
		&WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE, .faultq = a.queue),
		&a.ioas));
	t_defer(t, close_space, a.ioas);
	a.edu = new_edu(t, a.ioas, "EDU0", 0);
	a.device = device_of(t, a.edu);
	read_the_file(t, &a);
}
