// SPDX-License-Identifier: MIT
/* Hand-over of queues of page requests: a device that waits for a page is answered once, by whoever has it then. */
#include "conformance/handover_faults.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "conformance/memory.h"
#include "conformance/os.h"

static struct asking asking;

struct weir_faultq_info faultq_info(struct weir_faultq *queue)
{
	struct weir_faultq_info info = { 0 };

	EXPECT_OK(weir_faultq_info(queue, &info, sizeof(info)));
	return info;
}

static void close_asking(void *arg)
{
	(void)arg;
	if (!asking.predecessor->host)
		return;
	EXPECT_OK(weir_domain_detach(asking.predecessor->device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_close(asking.domain));
	EXPECT_OK(weir_faultq_close(asking.queue));
}

struct asking *new_asking(struct t *t, struct predecessor *predecessor)
{
	asking = (struct asking){ .predecessor = predecessor };
	ASSERT_OK(weir_faultq_open(predecessor->host, &WEIR_OPTS(weir_faultq_opts, .answer_ns = 60000000000u),
				   &asking.queue));
	ASSERT_OK(weir_domain_open(predecessor->device, &WEIR_OPTS(weir_domain_opts, .faultq = asking.queue),
				   &asking.domain));
	ASSERT_OK(weir_domain_attach(asking.domain, predecessor->device, WEIR_NO_PASID));
	t_defer(t, close_asking, NULL);
	while (!weir_irq_wait(predecessor->irq, 0, 0, NULL))
		;
	begin_edu_write(predecessor->device, ASKED_IOVA, 64);
	return &asking;
}

struct weir_fault_token read_request(struct t *t, struct weir_faultq *queue, struct weir_device *device)
{
	struct weir_fault_token token = { 0 };
	struct weir_fault *fault;
	int num = 0;

	(void)t;
	for (int i = 0; i < 5000 && !num; i++) {
		num = weir_faultq_read(queue, &fault, 1);
		usleep(num ? 0 : 1000);
	}
	ASSERT_EQ(num, 1);
	token = fault->token;
	EXPECT_EQ(fault->num_pages, 1);
	EXPECT_EQ(fault->pages[0].iova, ASKED_IOVA);
	EXPECT_TRUE(fault->pages[0].perm & WEIR_FAULT_WRITE);
	EXPECT_TRUE(fault->device == device);
	weir_fault_free(fault);
	return token;
}

void answer_and_expect(struct weir_faultq *queue, const struct weir_fault_token *token,
		       struct weir_device *device, struct weir_irq *irq)
{
	static unsigned char memory[2 * PAGE];
	unsigned char *page = memory + (PAGE - (uintptr_t)memory % PAGE) % PAGE;
	struct weir_map *map;

	memset(page, 0xee, PAGE);
	ASSERT_OK(weir_ioas_map(weir_device_ioas(device), page, PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = ASKED_IOVA),
				&map));
	EXPECT_OK(weir_faultq_respond(queue, token, WEIR_FAULT_SUCCESS));
	expect_interrupt(device, irq);
	EXPECT_TRUE(!all_bytes(page, 0xee, 64));
	EXPECT_OK(weir_map_close(map));
}

/* What the successor finds. */
struct heir {
	struct weir_host *host;
	struct weir_device *device;
	struct weir_irq *irq;
	struct weir_faultq *queue;
	struct weir_domain *domain;
};

static struct heir find_all(struct t *t, struct weir_host *host)
{
	struct heir heir = { .host = host };

	ASSERT_OK(weir_handover_device(host, address_of(t, "EDU0"), &heir.device));
	ASSERT_OK(weir_handover_irq(heir.device, WEIR_IRQ_MSI, &heir.irq));
	ASSERT_OK(weir_handover_faultq(host, 0, &heir.queue));
	EXPECT_ERR(-ENOENT, weir_handover_faultq(host, 1, &heir.queue));
	ASSERT_OK(weir_handover_domain(host, 0, &heir.domain));
	EXPECT_EQ(faultq_info(heir.queue).num_domains, 1);
	return heir;
}

/* Nothing is left of it but what every predecessor has. */
static void end_heir(struct t *t, struct heir *heir)
{
	EXPECT_ERR(-EBUSY, weir_faultq_close(heir->queue));
	EXPECT_OK(weir_domain_detach(heir->device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_close(heir->domain));
	EXPECT_OK(weir_faultq_close(heir->queue));
	expect_estate(t, heir->host);
}

CONFORMANCE(handover_faults, what_was_read_is_the_successors_to_answer,
	    NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	struct asking *a = new_asking(t, new_predecessor(t));
	struct weir_fault_token token;
	struct heir heir;

	a->token = read_request(t, a->queue, a->predecessor->device);
	EXPECT_OK(weir_handover_check(a->predecessor->host, NULL, NULL));
	heir = find_all(t, give_all(t, asking.predecessor, a->predecessor->host));
	/* It is too late for the predecessor; and what it knew means nothing elsewhere. */
	EXPECT_ERR(-ESTALE, weir_faultq_respond(a->queue, &a->token, WEIR_FAULT_SUCCESS));
	EXPECT_CONTAINS(weir_error(), "handed over");
	EXPECT_ERR(-ESTALE, weir_faultq_respond(heir.queue, &a->token, WEIR_FAULT_INVALID));
	EXPECT_EQ(faultq_info(heir.queue).num_outstanding, 1);
	/* It is readable, though poll() does not say so. */
	EXPECT_EQ(weir_faultq_timeout(heir.queue), 0);
	token = read_request(t, heir.queue, heir.device);
	EXPECT_GE(weir_faultq_timeout(heir.queue), 1);
	answer_and_expect(heir.queue, &token, heir.device, heir.irq);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(heir.queue, &token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(faultq_info(heir.queue).num_answered, 1);
	EXPECT_EQ(faultq_info(heir.queue).num_outstanding, 0);
	end_heir(t, &heir);
}

CONFORMANCE(handover_faults, what_nobody_read_is_the_successors, NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	struct asking *a = new_asking(t, new_predecessor(t));
	struct heir heir = find_all(t, give_all(t, asking.predecessor, a->predecessor->host));
	struct weir_fault_token token = read_request(t, heir.queue, heir.device);
	struct weir_fault *fault;

	EXPECT_ERR(-ESTALE, weir_faultq_read(a->queue, &fault, 1));
	EXPECT_ERR(-ESTALE, weir_faultq_expire(a->queue));
	answer_and_expect(heir.queue, &token, heir.device, heir.irq);
	end_heir(t, &heir);
}

/* Read by each of three, and answered by the last. */
CONFORMANCE(handover_faults, the_third_successor_answers, NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	struct asking *a = new_asking(t, new_predecessor(t));
	struct heir heir = { .host = a->predecessor->host,
			     .device = a->predecessor->device,
			     .queue = a->queue };
	struct weir_fault_token token = { 0 };

	for (int i = 0; i < 3; i++) {
		token = read_request(t, heir.queue, heir.device);
		heir = find_all(t, give_all(t, asking.predecessor, heir.host));
		EXPECT_ERR(-ESTALE, weir_faultq_respond(heir.queue, &token, WEIR_FAULT_SUCCESS));
	}
	token = read_request(t, heir.queue, heir.device);
	answer_and_expect(heir.queue, &token, heir.device, heir.irq);
	end_heir(t, &heir);
}

/* It may look, and neither read nor answer before all of it is its own. */
static void *look_and_refuse(void *arg)
{
	struct successor *successor = arg;
	struct weir_faultq *queue;
	struct weir_fault *fault;

	successor->error = weir_handover_receive(
		successor->socket, &WEIR_OPTS(weir_handover_opts, .sys = successor->sys), &successor->host);
	if (successor->error)
		return NULL;
	EXPECT_OK(weir_handover_faultq(successor->host, 0, &queue));
	EXPECT_EQ(faultq_info(queue).num_outstanding, 1);
	EXPECT_ERR(-EBUSY, weir_faultq_read(queue, &fault, 1));
	EXPECT_ERR(-EBUSY, weir_faultq_respond(queue, &asking.token, WEIR_FAULT_SUCCESS));
	EXPECT_ERR(-EBUSY, weir_faultq_expire(queue));
	weir_handover_refuse(successor->host, NULL);
	return NULL;
}

CONFORMANCE(handover_faults, who_is_refused_answers_as_before, NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	struct asking *a = new_asking(t, new_predecessor(t));

	a->token = read_request(t, a->queue, a->predecessor->device);
	begin_successor(t, a->predecessor, look_and_refuse);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(a->predecessor->host, a->predecessor->ends[0], NULL));
	EXPECT_EQ(end_successor(t)->error, 0);
	EXPECT_EQ(faultq_info(a->queue).num_outstanding, 1);
	answer_and_expect(a->queue, &a->token, a->predecessor->device, a->predecessor->irq);
	EXPECT_EQ(faultq_info(a->queue).num_answered, 1);
}

/* Reads on and on, and answers nothing. */
static void *read_on(void *arg)
{
	struct weir_faultq *queue = arg;
	struct weir_fault *fault;
	intptr_t num;

	while ((num = weir_faultq_read(queue, &fault, 1)) >= 0)
		if (num)
			weir_fault_free(fault);
	return (void *)num;
}

CONFORMANCE(handover_faults, a_thread_that_reads_meanwhile_is_told,
	    NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	struct asking *a = new_asking(t, new_predecessor(t));
	struct weir_fault_token token;
	struct heir heir;
	pthread_t thread;
	void *result;

	ASSERT_EQ(pthread_create(&thread, NULL, read_on, a->queue), 0);
	heir = find_all(t, give_all(t, asking.predecessor, a->predecessor->host));
	ASSERT_EQ(pthread_join(thread, &result), 0);
	EXPECT_EQ((intptr_t)result, -ESTALE);
	token = read_request(t, heir.queue, heir.device);
	answer_and_expect(heir.queue, &token, heir.device, heir.irq);
	end_heir(t, &heir);
}

/* A nested space whose devices' requests go to a queue: opened for EDU0 after what every predecessor has was closed. */
static struct weir_ioas *move_to_nested(struct t *t, struct predecessor *predecessor)
{
	struct weir_ioas *ioas;

	ASSERT_OK(weir_device_close(predecessor->device));
	ASSERT_OK(weir_memory_close(predecessor->memory));
	ASSERT_OK(weir_ioas_close(predecessor->ioas));
	ASSERT_OK(weir_faultq_open(predecessor->host, NULL, &asking.queue));
	ASSERT_OK(weir_nested_space_open(
		predecessor->host,
		&WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE, .faultq = asking.queue),
		&ioas));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &predecessor->device));
	ASSERT_OK(weir_irq_enable(predecessor->device, WEIR_IRQ_MSI, 1, &predecessor->irq));
	ASSERT_OK(weir_device_set_bus_master(predecessor->device, true));
	return ioas;
}

CONFORMANCE(handover_faults, a_nested_space_asks_its_successor,
	    NEEDS(EDU0, HANDOVER, FAULTS, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_fault_token token;
	struct weir_ioas *ioas;
	struct heir heir;

	asking = (struct asking){ .predecessor = predecessor };
	move_to_nested(t, predecessor);
	begin_edu_write(predecessor->device, ASKED_IOVA, 64);
	read_request(t, asking.queue, predecessor->device);
	heir.host = give_all(t, asking.predecessor, predecessor->host);
	ASSERT_OK(weir_handover_faultq(heir.host, 0, &heir.queue));
	ASSERT_OK(weir_handover_device(heir.host, address_of(t, "EDU0"), &heir.device));
	ASSERT_OK(weir_handover_irq(heir.device, WEIR_IRQ_MSI, &heir.irq));
	token = read_request(t, heir.queue, heir.device);
	answer_and_expect(heir.queue, &token, heir.device, heir.irq);
	/* And goes on asking. */
	begin_edu_write(heir.device, ASKED_IOVA, 64);
	token = read_request(t, heir.queue, heir.device);
	answer_and_expect(heir.queue, &token, heir.device, heir.irq);
	ioas = weir_device_ioas(heir.device);
	EXPECT_OK(weir_device_close(heir.device));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_faultq_close(heir.queue));
	EXPECT_OK(weir_host_close(heir.host));
}

static struct weir_demand *new_demand(struct weir_ioas *ioas, int file)
{
	struct weir_demand *demand;

	ASSERT_OK(weir_demand_open(ioas, &WEIR_OPTS(weir_demand_opts, .ahead = PAGE), &demand));
	ASSERT_OK(weir_demand_add_file(demand, ASKED_IOVA, 2 * PAGE, file, 0, 0));
	return demand;
}

static void serve_one(struct weir_faultq *queue, struct weir_demand *demand)
{
	int num = 0;

	for (int i = 0; i < 5000 && !num; i++) {
		num = weir_faultq_run(queue, weir_demand_handle, demand);
		usleep(num ? 0 : 1000);
	}
	EXPECT_EQ(num, 1);
}

/* What the predecessor has mapped on demand, and not answered yet, is there for the successor's demand. */
CONFORMANCE(handover_faults, mapping_on_demand_goes_on, NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	struct asking *a = new_asking(t, new_predecessor(t));
	int file = new_file(t, 2 * PAGE);
	struct weir_demand *before = new_demand(a->predecessor->ioas, file), *after;
	struct weir_fault *fault;
	struct weir_demand_info info;
	struct weir_map *map;
	struct heir heir;

	while (!weir_faultq_read(a->queue, &fault, 1))
		usleep(1000);
	EXPECT_EQ(weir_demand_handle(before, fault), WEIR_FAULT_SUCCESS);
	weir_fault_free(fault);
	heir = find_all(t, give_all(t, asking.predecessor, a->predecessor->host));
	after = new_demand(weir_device_ioas(heir.device), file);
	serve_one(heir.queue, after);
	expect_interrupt(heir.device, heir.irq);
	weir_demand_close(before);
	begin_edu_write(heir.device, ASKED_IOVA, 64);
	expect_interrupt(heir.device, heir.irq);
	begin_edu_write(heir.device, ASKED_IOVA + PAGE, 64);
	serve_one(heir.queue, after);
	expect_interrupt(heir.device, heir.irq);
	EXPECT_OK(weir_demand_info(after, &info, sizeof(info)));
	EXPECT_EQ(info.num_served, 2);
	EXPECT_EQ(info.num_maps, 1);
	EXPECT_OK(weir_demand_close(after));
	ASSERT_OK(weir_handover_map(weir_device_ioas(heir.device), ASKED_IOVA, &map));
	EXPECT_OK(weir_map_close(map));
	end_heir(t, &heir);
}
