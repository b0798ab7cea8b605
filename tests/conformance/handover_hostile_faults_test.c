// SPDX-License-Identifier: MIT
/* Descriptions of page requests that are not what they should be; and those that are left of a process that was killed. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "conformance/handover_faults.h"
#include "conformance/handover_hostile.h"
#include "conformance/machine.h"
#include "conformance/os.h"
#include "handover/handover.h"

#include <weir/sim.h>

static struct weir_slot_faultq *faultq(void)
{
	return slot_of(WEIR_JOURNAL_FAULTQS);
}
static struct weir_slot_request *request(void)
{
	return slot_of(WEIR_JOURNAL_REQUESTS);
}
static struct weir_slot_domain *domain(void)
{
	return slot_of(WEIR_JOURNAL_DOMAINS);
}
static struct weir_slot_fd *fd_of(enum weir_fd_kind kind)
{
	struct weir_slot_fd *slot = slot_of(WEIR_JOURNAL_FDS);

	while (slot->kind != kind)
		slot++;
	return slot;
}
static void no_id(void)
{
	faultq()->id = 0;
}
static void no_rule(void)
{
	faultq()->leave = 9;
}
static void no_time(void)
{
	faultq()->answer_ns = 0;
}
static void no_time_to_leave(void)
{
	faultq()->leave_ns = 0;
}
static void huge_number(void)
{
	faultq()->number = UINT32_MAX;
}
static void too_many_records(void)
{
	faultq()->reading = WEIR_SLOT_RECORDS + 1;
}
static void no_descriptor(void)
{
	fd_of(WEIR_FD_FAULTQ)->owner = 99;
}
static void other_descriptor(void)
{
	struct weir_slot_fd *event = fd_of(WEIR_FD_EVENT), *queue = fd_of(WEIR_FD_FAULTQ);

	event->kind = WEIR_FD_FAULTQ;
	event->owner = queue->owner;
	event->index = 0;
	queue->kind = WEIR_FD_EVENT;
}
static void half_queue(void)
{
	faultq()->slot.state = WEIR_SLOT_LEAVING;
	faultq()->id = 0;
}
static void other_queue(void)
{
	domain()->faultq = 9;
}
static void queue_without_flag(void)
{
	domain()->flags = 0;
}
static void flag_without_queue(void)
{
	domain()->faultq = 0;
}
static void request_in_no_queue(void)
{
	request()->queue = 70;
}
static void endless(void)
{
	request()->next = 1;
}
static void next_outside(void)
{
	request()->next = 1u << 30;
}
static void next_is_free(void)
{
	request()->next = 2;
}
static void no_last_page(void)
{
	request()->record.flags = 0;
}
static void unknown_flag(void)
{
	request()->record.flags |= 1u << 20;
}
static struct weir_slot_request *second(void)
{
	struct weir_journal_header *header = (struct weir_journal_header *)captured.bytes;

	header->used[WEIR_JOURNAL_REQUESTS] = 2;
	request()[1] = request()[0];
	return &request()[1];
}
static void twice(void)
{
	second();
}
static void two_in_one(void)
{
	second()->queue = 0;
	request()->next = 2;
}
static void two_that_share(void)
{
	struct weir_slot_request *more = second();

	request()[2] = *more;
	((struct weir_journal_header *)captured.bytes)->used[WEIR_JOURNAL_REQUESTS] = 3;
	request()[2].queue = 0;
	more->next = 3;
	request()->next = 3;
}

static const struct flaw flaws[] = {
	{ "a queue without an id", no_id, "makes no sense" },
	{ "a queue with an unknown rule", no_rule, "makes no sense" },
	{ "a queue without a time", no_time, "makes no sense" },
	{ "a queue without a time to leave", no_time_to_leave, "makes no sense" },
	{ "a queue of a huge number", huge_number, "makes no sense" },
	{ "more records than there is room for", too_many_records, "makes no sense" },
	{ "a queue without a descriptor", no_descriptor, "no descriptor" },
	{ "a queue with another descriptor", other_descriptor, NULL },
	{ "a queue that leaves", half_queue, "no queue" },
	{ "a domain with a queue that there is not", other_queue, "no queue" },
	{ "a domain with a queue, and no page requests", queue_without_flag, "makes no sense" },
	{ "a domain with page requests, and no queue", flag_without_queue, "makes no sense" },
	{ "a request in no queue", request_in_no_queue, "no queue" },
	{ "a group without an end", endless, "no end" },
	{ "a page outside", next_outside, "no end" },
	{ "a page that is free", next_is_free, "no end" },
	{ "a group without a last page", no_last_page, "makes no sense" },
	{ "a request with an unknown flag", unknown_flag, "makes no sense" },
	{ "a group that is there twice", twice, "twice" },
	{ "two groups in one", two_in_one, "makes no sense" },
	{ "two groups that share a page", two_that_share, NULL },
};

CONFORMANCE(handover_hostile, each_flaw_of_page_requests_is_refused,
	    NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	struct asking *a = new_asking(t, new_predecessor(t));

	a->token = read_request(t, a->queue, a->predecessor->device);
	capture(t, a->predecessor);
	EXPECT_OK(receive_spoilt(t, NULL));
	expect_each_refused(t, flaws, sizeof(flaws) / sizeof(flaws[0]));
	/* What the one without a flaw has taken is taken back as after any refusal. */
	begin_successor(t, a->predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(a->predecessor->host, a->predecessor->ends[0], NULL));
	end_successor(t);
	answer_and_expect(a->queue, &a->token, a->predecessor->device, a->predecessor->irq);
}

/* Whatever call of the successor's fails: it is refused, or that did not matter; and nothing is left behind, or changed. */
static void fail_each_call(struct t *t, void (*change)(void))
{
	const uint64_t calls = weir_sim_num_calls(os_sim());
	const unsigned int before = count_fds();
	uint64_t most, refused = 0;

	EXPECT_OK(receive_spoilt(t, change));
	most = weir_sim_num_calls(os_sim()) - calls;
	for (uint64_t n = 1; n <= most; n++) {
		weir_sim_fail_call(os_sim(), n, -EIO, false);
		refused += receive_spoilt(t, change) != 0;
		if (count_fds() != before)
			FAIL("with call %u failing, descriptors were left", (unsigned int)n);
	}
	weir_sim_fail_call(os_sim(), 0, 0, false);
	EXPECT_GE(refused, 20);
	EXPECT_OK(receive_spoilt(t, change));
}

CONFORMANCE(handover_hostile, each_call_of_who_takes_page_requests_may_fail,
	    NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	struct asking *a = new_asking(t, new_predecessor(t));

	if (!os_sim())
		return;
	a->token = read_request(t, a->queue, a->predecessor->device);
	capture(t, a->predecessor);
	fail_each_call(t, NULL);
	begin_successor(t, a->predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(a->predecessor->host, a->predecessor->ends[0], NULL));
	end_successor(t);
	answer_and_expect(a->queue, &a->token, a->predecessor->device, a->predecessor->irq);
}

/* Killed ------------------------------------------------------------------------------------------------------------- */

/* The kernel had given it out, and it was in no slot yet. */
static void while_reading(void)
{
	faultq()->reading = 16;
	faultq()->records[0] = request()->record;
	request()->slot.state = WEIR_SLOT_FREE;
}
static void after_reading(void)
{
	faultq()->reading = 16;
	faultq()->records[0] = request()->record;
}
static void while_answering(void)
{
	request()->code = ABI_IOMMUFD_PAGE_RESP_INVALID;
	request()->slot.state = WEIR_SLOT_LEAVING;
}
/* Its device was about to be detached: nobody is there who asked. */
static void while_detaching(void)
{
	((struct weir_slot_attachment *)slot_of(WEIR_JOURNAL_ATTACHMENTS))->slot.state = WEIR_SLOT_LEAVING;
}

/* A successor of that, which finishes; what it leaves is to be taken back. */
static struct weir_host *follow(struct t *t, struct asking *a, void (*killed)(void),
				struct weir_faultq **ret_queue, struct weir_device **ret_device)
{
	struct weir_host *host;

	a->token = read_request(t, a->queue, a->predecessor->device);
	capture(t, a->predecessor);
	ASSERT_OK(receive_changed(t, killed, &host));
	ASSERT_OK(weir_handover_finish(host));
	ASSERT_OK(weir_handover_faultq(host, 0, ret_queue));
	ASSERT_OK(weir_handover_device(host, address_of(t, "EDU0"), ret_device));
	return host;
}

/* The one that was killed lives, so it can be asked what became of it. */
static void end_successor_of(struct t *t, struct asking *a, struct weir_host *host)
{
	weir_handover_let_go(host);
	begin_successor(t, a->predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(a->predecessor->host, a->predecessor->ends[0], NULL));
	end_successor(t);
	EXPECT_ERR(-ESTALE, weir_faultq_respond(a->queue, &a->token, WEIR_FAULT_SUCCESS));
	EXPECT_EQ(faultq_info(a->queue).num_orphaned, 1);
}

static void expect_found(struct t *t, void (*killed)(void))
{
	struct asking *a = new_asking(t, new_predecessor(t));
	struct weir_faultq *queue;
	struct weir_device *device;
	struct weir_fault_token token;
	struct weir_fault *more;
	struct weir_irq *irq;
	struct weir_host *host = follow(t, a, killed, &queue, &device);

	ASSERT_OK(weir_handover_irq(device, WEIR_IRQ_MSI, &irq));
	EXPECT_EQ(weir_faultq_timeout(queue), 0);
	token = read_request(t, queue, device);
	EXPECT_EQ(weir_faultq_read(queue, &more, 1), 0);
	answer_and_expect(queue, &token, device, irq);
	EXPECT_EQ(faultq_info(queue).num_groups, 1);
	end_successor_of(t, a, host);
}

CONFORMANCE(handover_faults, who_was_killed_while_reading_is_followed,
	    NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	expect_found(t, while_reading);
}

CONFORMANCE(handover_faults, who_was_killed_after_reading_is_followed,
	    NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	expect_found(t, after_reading);
}

/* It is answered, before anybody asks. */
static void expect_answered(struct t *t, void (*killed)(void))
{
	struct asking *a = new_asking(t, new_predecessor(t));
	struct weir_faultq *queue;
	struct weir_device *device;
	struct weir_fault *fault;
	struct weir_host *host = follow(t, a, killed, &queue, &device);

	EXPECT_EQ(weir_faultq_read(queue, &fault, 1), 0);
	EXPECT_EQ(faultq_info(queue).num_outstanding, 0);
	expect_interrupt(device, a->predecessor->irq);
	end_successor_of(t, a, host);
}

CONFORMANCE(handover_faults, an_answer_that_was_begun_is_given, NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	expect_answered(t, while_answering);
}

CONFORMANCE(handover_faults, what_a_device_that_left_asked_is_answered,
	    NEEDS(EDU0, HANDOVER, FAULTS, LOCKED_MEMORY))
{
	expect_answered(t, while_detaching);
}
