// SPDX-License-Identifier: MIT
/* Invalidation on the kernel's mock: what is said to be done, the slots of its cache show. */
#include <errno.h>
#include <string.h>

#include "bench/inval/measure.h"
#include "mock/mock_host.h"

enum { PAGE = 4096, OLD = 0x0bad };

struct nest {
	struct mock_host *mock;
	struct weir_device *device;
	struct weir_domain *parent, *nested;
	struct weir_inval *inval;
};

static void drop_and_close(void *inval)
{
	weir_inval_drop(inval);
	EXPECT_OK(weir_inval_close(inval));
}

static struct nest new_nest(struct t *t, uint64_t stream)
{
	struct nest nest = { .mock = new_mock_host(t, 0) };

	nest.device = mock_device(t, nest.mock, 0);
	nest.parent = new_parent(t, nest.device, 0);
	nest.nested = new_nested(t, nest.parent, nest.device, OLD, stream);
	ASSERT_OK(weir_inval_open(NULL, &nest.inval));
	t_defer(t, drop_and_close, nest.inval);
	return nest;
}

static void detach(void *device)
{
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

static void attach_until_the_end(struct t *t, struct nest *nest)
{
	ASSERT_OK(weir_domain_attach(nest->nested, nest->device, WEIR_NO_PASID));
	t_defer(t, detach, nest->device);
}

static int run(struct nest *nest, uint32_t policy, uint32_t *ret_state)
{
	return weir_inval_run(nest->inval, &nest->nested, 1,
			      &WEIR_OPTS(weir_inval_run_opts, .policy = policy, .ret_states = ret_state,
					 .flags = WEIR_INVAL_KEEP));
}

static uint32_t outcome(struct nest *nest, uint32_t entry)
{
	struct weir_inval_outcome outcome = { .kind = 99 };

	EXPECT_OK(weir_inval_outcome(nest->inval, 0, entry, &outcome));
	return outcome.kind;
}

static void add_slot(struct nest *nest, uint32_t slot)
{
	struct abi_iommu_hwpt_invalidate_selftest entry = { .iotlb_id = slot };

	EXPECT_GE(weir_inval_raw(nest->inval, ABI_IOMMU_HWPT_INVALIDATE_DATA_SELFTEST, &entry, sizeof(entry)),
		  0);
}

UNIT(mock_inval, pages_are_forgotten_and_no_others)
{
	struct nest nest = new_nest(t, 0);

	EXPECT_TRUE(iotlb_is(t, nest.nested, OLD, OLD, OLD, OLD));
	EXPECT_OK(run(&nest, WEIR_INVAL_QUARANTINE, NULL)); /* nothing to do */
	EXPECT_EQ(nest.mock->num_invalidations, 0);
	weir_inval_range(nest.inval, 0x1000, PAGE, 0, 0);
	EXPECT_OK(run(&nest, WEIR_INVAL_QUARANTINE, NULL));
	EXPECT_TRUE(iotlb_is(t, nest.nested, OLD, 0, OLD, OLD));
	/* Two that touch are one entry for the kernel, which takes a command for each slot. */
	weir_inval_drop(nest.inval);
	weir_inval_range(nest.inval, 0x7000, PAGE, 0, 0);
	weir_inval_range(nest.inval, 0x6000, PAGE, 0, 0);
	EXPECT_OK(run(&nest, WEIR_INVAL_QUARANTINE, NULL));
	EXPECT_TRUE(iotlb_is(t, nest.nested, OLD, 0, 0, 0));
	EXPECT_EQ(nest.mock->num_invalidations, 2);
}

UNIT(mock_inval, everything_is_forgotten)
{
	struct nest nest = new_nest(t, 0);

	weir_inval_all(nest.inval);
	EXPECT_OK(run(&nest, WEIR_INVAL_ONCE, NULL));
	EXPECT_TRUE(iotlb_is(t, nest.nested, 0, 0, 0, 0));
}

/* The kernel has no slot 4 and up. At each place in turn; the outcomes are what the slots say. */
UNIT(mock_inval, a_bad_command_is_told_from_good_ones_around_it)
{
	for (uint32_t bad = 0; bad < 5; bad++) {
		struct nest nest = new_nest(t, 0);
		uint32_t state, slots[4];

		t_note(t, "command %u is bad", bad);
		for (uint32_t i = 0; i < 5; i++)
			add_slot(&nest, i == bad ? 77 : i < bad ? i : i - 1);
		EXPECT_ERR(-EIO, run(&nest, WEIR_INVAL_ONCE, &state));
		EXPECT_EQ(state, WEIR_INVAL_STALE);
		for (uint32_t i = 0; i < 5; i++)
			EXPECT_EQ(outcome(&nest, i), i < bad    ? WEIR_INVAL_OUT_DONE
						     : i == bad ? WEIR_INVAL_OUT_REFUSED
								: WEIR_INVAL_OUT_NOT);
		for (uint32_t slot = 0; slot < 4; slot++)
			slots[slot] = slot < bad ? 0 : OLD;
		EXPECT_TRUE(iotlb_is(t, nest.nested, slots[0], slots[1], slots[2], slots[3]));
		/* Tried again, all but that one are done. */
		EXPECT_ERR(-EIO, run(&nest, WEIR_INVAL_RETRY, &state));
		EXPECT_EQ(state, WEIR_INVAL_STALE);
		for (uint32_t i = 0; i < 5; i++)
			EXPECT_EQ(outcome(&nest, i), i == bad ? WEIR_INVAL_OUT_REFUSED : WEIR_INVAL_OUT_DONE);
		EXPECT_TRUE(iotlb_is(t, nest.nested, 0, 0, 0, 0));
	}
}

UNIT(mock_inval, what_fails_once_is_tried_again)
{
	struct nest nest = new_nest(t, 0);
	struct weir_inval_outcome outcome;
	uint32_t state;

	weir_inval_range(nest.inval, 0, PAGE, 0, 0);
	nest.mock->refusal = -ETIMEDOUT;
	nest.mock->refusals = 2;
	EXPECT_OK(run(&nest, WEIR_INVAL_RETRY, &state));
	EXPECT_EQ(state, WEIR_INVAL_DONE);
	EXPECT_OK(weir_inval_outcome(nest.inval, 0, 0, &outcome));
	EXPECT_EQ(outcome.tries, 3);
	EXPECT_TRUE(iotlb_is(t, nest.nested, 0, OLD, OLD, OLD));
}

UNIT(mock_inval, what_fails_for_good_is_made_up_for_by_everything)
{
	struct nest nest = new_nest(t, 0);
	uint32_t state;

	add_slot(&nest, 77);
	EXPECT_ERR(-EIO, run(&nest, WEIR_INVAL_QUARANTINE, &state));
	EXPECT_EQ(state, WEIR_INVAL_ESCALATED);
	EXPECT_TRUE(iotlb_is(t, nest.nested, 0, 0, 0, 0));
	EXPECT_OK(weir_inval_close(NULL));
}

UNIT(mock_inval, a_kernel_that_refuses_everything_has_the_devices_blocked)
{
	struct nest nest = new_nest(t, 0);
	uint32_t state;

	attach_until_the_end(t, &nest);
	weir_inval_range(nest.inval, 0, PAGE, 0, 0);
	nest.mock->refusal = -EIO;
	nest.mock->refusals = UINT32_MAX;
	EXPECT_ERR(-EIO, run(&nest, WEIR_INVAL_QUARANTINE, &state));
	EXPECT_EQ(state, WEIR_INVAL_QUARANTINED);
	EXPECT_EQ(info_of(nest.nested).quarantined, 1);
	EXPECT_EQ(info_of(nest.nested).num_devices, 1);
	/* It does not come back while the IOMMU may remember what was. */
	EXPECT_ERR(-EIO, weir_domain_attach(nest.nested, nest.device, WEIR_NO_PASID));
	EXPECT_TRUE(iotlb_is(t, nest.nested, OLD, OLD, OLD, OLD));
	nest.mock->refusals = 0;
	EXPECT_OK(weir_domain_attach(nest.nested, nest.device, WEIR_NO_PASID));
	EXPECT_TRUE(iotlb_is(t, nest.nested, 0, 0, 0, 0));
	EXPECT_EQ(info_of(nest.nested).quarantined, 0);
	EXPECT_EQ(info_of(nest.nested).num_devices, 1);
}

UNIT(mock_inval, a_blocked_device_goes_back_to_its_space_or_is_closed)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0), *other;
	struct weir_ioas *elsewhere = mock_ioas(t, mock);
	struct weir_domain *parent = new_parent(t, device, 0),
			   *nested = new_nested(t, parent, device, OLD, 0);
	struct weir_inval *inval;

	ASSERT_OK(weir_device_open(mock->ioas, "0000:00:02.0", NULL, &other));
	ASSERT_OK(weir_inval_open(NULL, &inval));
	t_defer(t, drop_and_close, inval);
	ASSERT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID));
	ASSERT_OK(weir_domain_attach(nested, other, WEIR_NO_PASID));
	weir_inval_all(inval);
	mock->refusal = -EIO;
	mock->refusals = UINT32_MAX;
	EXPECT_ERR(-EIO, weir_inval_run(inval, &nested, 1, NULL));
	EXPECT_EQ(info_of(nested).num_devices, 2);
	EXPECT_ERR(-EBUSY, weir_device_attach(device, elsewhere));
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_EQ(info_of(nested).num_devices, 1);
	EXPECT_OK(weir_device_attach(device, elsewhere));
	EXPECT_OK(weir_device_attach(device, mock->ioas));
	EXPECT_OK(weir_device_close(other));
	EXPECT_EQ(info_of(nested).num_devices, 0);
	EXPECT_EQ(info_of(nested).quarantined, 0);
	mock->refusals = 0;
}

UNIT(mock_inval, each_domain_has_an_outcome_of_its_own)
{
	struct nest nest = new_nest(t, 0);
	struct weir_device *second = mock_device(t, nest.mock, 1);
	struct weir_domain *domains[2] = { nest.nested, new_nested(t, nest.parent, second, OLD + 1, 0) };
	uint32_t states[2];

	weir_inval_range(nest.inval, 0x2000, PAGE, 0, 0);
	nest.mock->refusal = -EIO;
	nest.mock->refusals = 1;
	EXPECT_ERR(-EIO, weir_inval_run(nest.inval, domains, 2,
					&WEIR_OPTS(weir_inval_run_opts, .policy = WEIR_INVAL_ONCE,
						   .ret_states = states)));
	EXPECT_EQ(states[0], WEIR_INVAL_STALE);
	EXPECT_EQ(states[1], WEIR_INVAL_DONE);
	EXPECT_TRUE(iotlb_is(t, domains[0], OLD, OLD, OLD, OLD));
	EXPECT_TRUE(iotlb_is(t, domains[1], OLD + 1, OLD + 1, 0, OLD + 1));
	EXPECT_OK(weir_inval_run(nest.inval, domains, 2, NULL));
	EXPECT_TRUE(iotlb_is(t, domains[0], OLD, OLD, 0, OLD));
	EXPECT_EQ(weir_inval_count(nest.inval), 0);
}

UNIT(mock_inval, what_is_not_nested_is_refused_with_what_it_is)
{
	struct nest nest = new_nest(t, 0);

	weir_inval_all(nest.inval);
	EXPECT_ERR(-EINVAL, weir_inval_run(nest.inval, &nest.parent, 1, NULL));
	EXPECT_CONTAINS(weir_error(), "a nesting parent");
	EXPECT_EQ(nest.mock->num_invalidations, 0);
}

/* On a nested page table the kernel takes entries of its struct's length and of shorter versions of it, and none that is longer. */
UNIT(mock_inval, entries_of_another_length_are_judged_on_a_page_table)
{
	static const struct {
		uint32_t len;
		int error;
	} rows[] = { { 4, -EINVAL }, { 8, 0 }, { 12, -EINVAL }, { 64, -EINVAL } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nest nest = new_nest(t, 0);
		uint32_t entry[16] = { 0, 1 };
		struct weir_inval_outcome outcome;

		t_note(t, "%u bytes", rows[i].len);
		weir_inval_raw(nest.inval, ABI_IOMMU_HWPT_INVALIDATE_DATA_SELFTEST, entry, rows[i].len);
		EXPECT_EQ(run(&nest, WEIR_INVAL_ONCE, NULL), rows[i].error ? -EIO : 0);
		EXPECT_OK(weir_inval_outcome(nest.inval, 0, 0, &outcome));
		EXPECT_EQ(outcome.error, rows[i].error);
		EXPECT_TRUE(iotlb_is(t, nest.nested, OLD, rows[i].error ? OLD : 0, OLD, OLD));
	}
}

UNIT(mock_inval, a_type_that_the_kernel_does_not_know_is_refused)
{
	struct nest nest = new_nest(t, 0);
	uint32_t entry[2] = { 0, 1 };
	struct weir_inval_outcome outcome;

	weir_inval_raw(nest.inval, ABI_IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID, entry, sizeof(entry));
	add_slot(&nest, 2);
	EXPECT_ERR(-EIO, run(&nest, WEIR_INVAL_RETRY, NULL));
	EXPECT_OK(weir_inval_outcome(nest.inval, 0, 0, &outcome));
	EXPECT_EQ(outcome.kind, WEIR_INVAL_OUT_REFUSED);
	EXPECT_EQ(outcome.error, -EINVAL);
	EXPECT_EQ(outcome.tries, 3);
	EXPECT_TRUE(iotlb_is(t, nest.nested, OLD, OLD, 0, OLD));
}

UNIT(mock_inval, a_long_batch_goes_in_several_calls)
{
	struct nest nest = new_nest(t, 0);

	for (uint32_t i = 0; i < 10000; i++)
		add_slot(&nest, i % 3);
	EXPECT_OK(run(&nest, WEIR_INVAL_ONCE, NULL));
	EXPECT_EQ(nest.mock->num_invalidations, 3);
	EXPECT_TRUE(iotlb_is(t, nest.nested, 0, 0, 0, OLD));
}

/* The figures are for looking at; that a batch is worth it is a matter of calls, not of times. */
UNIT(mock_inval, a_batch_takes_less_than_a_call_for_each_entry)
{
	struct nest nest = new_nest(t, 0);
	struct inval_figure figures[INVAL_SIZES];

	t_timeout(t, 120);
	ASSERT_OK(inval_measure(nest.nested, figures));
	inval_print(stdout, "kernel mock", figures);
	for (int i = 0; i < INVAL_SIZES; i++)
		if (figures[i].entries >= 64)
			EXPECT_LT((uint64_t)figures[i].batch_ns, (uint64_t)figures[i].calls_ns);
}
