/* SPDX-License-Identifier: MIT */
/* The controller memory buffer, and controllers that lie about it. */
#include <errno.h>

#include "nvme_machine.h"

#define HAS_CMB            (1ull << 57)
#define MIB                (1ull << 20)
#define ADDRESS            0x123456789000ull
#define SIZE(units, unit)  ((uint32_t)(units) << 12 | (unit) << 8 | 0x1f)
#define PLACE(bar, offset) ((uint32_t)(offset) << 12 | (bar))
#define UNITS_4K           0
#define UNITS_1M           2

static void close_controller(void *controller)
{
	nvme_controller_close(controller);
	EXPECT_TRUE(machine_is_clean());
	EXPECT_EQ(machine.cmbmsc, 0);
}

/* With 2 MiB in BAR 2, from its second MiB on. */
static struct nvme_controller *opened(struct t *t)
{
	struct nvme_controller *controller;

	machine_reset();
	stub.bar2_size = 4 * MIB;
	machine.cap |= HAS_CMB;
	machine.cmbloc = PLACE(2, 1);
	machine.cmbsz = SIZE(2, UNITS_1M);
	ASSERT_OK(nvme_controller_open(stub_device(), NULL, &controller));
	t_defer(t, close_controller, controller);
	return controller;
}

UNIT(nvme_cmb, a_buffer_is_found_and_enabled_at_an_address)
{
	struct nvme_controller *controller = opened(t);
	struct nvme_cmb cmb;

	ASSERT_OK(nvme_controller_cmb(controller, &cmb, sizeof cmb));
	EXPECT_EQ(cmb.bar, 2);
	EXPECT_EQ(cmb.offset, MIB);
	EXPECT_EQ(cmb.len, 2 * MIB);
	EXPECT_TRUE(cmb.submission_queues && cmb.completion_queues && cmb.lists && cmb.reads && cmb.writes);
	EXPECT_FALSE(cmb.mixed);
	EXPECT_EQ(machine.cmb_address, UINT64_MAX);
	ASSERT_OK(nvme_controller_enable_cmb(controller, ADDRESS));
	EXPECT_EQ(machine.cmb_address, ADDRESS);
	ASSERT_OK(nvme_controller_cmb(controller, &cmb, sizeof cmb));
	EXPECT_EQ(machine.cmb_address, ADDRESS);
}

UNIT(nvme_cmb, what_an_earlier_driver_enabled_is_disabled_when_a_controller_opens)
{
	struct nvme_controller *controller;

	machine_reset();
	machine.cap |= HAS_CMB;
	machine.cmbmsc = ADDRESS | 3;
	ASSERT_OK(nvme_controller_open(stub_device(), NULL, &controller));
	t_defer(t, close_controller, controller);
	EXPECT_EQ(machine.cmbmsc, 0);
}

UNIT(nvme_cmb, a_controller_without_one_is_not_supported)
{
	struct nvme_controller *controller = opened(t);
	struct nvme_cmb cmb;

	machine.cmbsz = SIZE(0, UNITS_1M);
	EXPECT_ERR(-EOPNOTSUPP, nvme_controller_cmb(controller, &cmb, sizeof cmb));
	EXPECT_ERR(-EOPNOTSUPP, nvme_controller_enable_cmb(controller, ADDRESS));
}

UNIT(nvme_cmb, an_old_controller_has_none_at_an_address_of_the_hosts_choice)
{
	struct nvme_controller *controller;
	struct nvme_cmb cmb;

	machine_reset();
	ASSERT_OK(nvme_controller_open(stub_device(), NULL, &controller));
	t_defer(t, close_controller, controller);
	EXPECT_ERR(-EOPNOTSUPP, nvme_controller_cmb(controller, &cmb, sizeof cmb));
}

UNIT(nvme_cmb, what_does_not_fit_its_bar_is_refused)
{
	static const struct {
		const char *what, *text;
		uint32_t cmbloc, cmbsz;
	} rows[] = {
		{ "larger than its BAR", "of 0x400000", PLACE(2, 0), SIZE(5, UNITS_1M) },
		{ "partly beyond it", "of 0x400000", PLACE(2, 3), SIZE(2, UNITS_1M) },
		{ "behind it", "of 0x400000", PLACE(2, 5), SIZE(1, UNITS_1M) },
		{ "as large as can be said", "of 0x400000", PLACE(2, 0xfffff), SIZE(0xfffff, 6) },
		{ "in units that there are none of", "units", PLACE(2, 0), SIZE(1, 7) },
		{ "in units that there are none of", "units", PLACE(2, 0), SIZE(1, 15) },
		{ "in a BAR that it has not got", "BAR 4", PLACE(4, 0), SIZE(1, UNITS_1M) },
		{ "in the upper half of BAR 0", "BAR 1", PLACE(1, 0), SIZE(1, UNITS_4K) },
		{ "in no BAR", "BAR 7", PLACE(7, 0), SIZE(1, UNITS_4K) },
		{ "over the registers", "registers", PLACE(0, 0), SIZE(1, UNITS_4K) },
		{ "over the doorbells", "registers", PLACE(0, 1), SIZE(1, UNITS_4K) },
	};
	struct nvme_controller *controller = opened(t);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct nvme_cmb cmb = { .len = 1 };

		t_note(t, "%s", rows[i].what);
		machine.cmbloc = rows[i].cmbloc;
		machine.cmbsz = rows[i].cmbsz;
		EXPECT_ERR(-EPROTO, nvme_controller_cmb(controller, &cmb, sizeof cmb));
		EXPECT_CONTAINS(nvme_error(), rows[i].text);
		EXPECT_EQ(cmb.len, 1);
		EXPECT_ERR(-EPROTO, nvme_controller_enable_cmb(controller, ADDRESS));
		EXPECT_EQ(machine.cmb_address, UINT64_MAX);
	}
}

UNIT(nvme_cmb, an_address_that_does_not_do_is_refused)
{
	struct nvme_controller *controller = opened(t);

	EXPECT_ERR(-EINVAL, nvme_controller_enable_cmb(controller, ADDRESS + 512));
	EXPECT_ERR(-EINVAL, nvme_controller_enable_cmb(controller, -MIB));
	EXPECT_EQ(machine.cmb_address, UINT64_MAX);
	machine.refuses_address = true;
	EXPECT_ERR(-EINVAL, nvme_controller_enable_cmb(controller, ADDRESS));
	EXPECT_CONTAINS(nvme_error(), "does not take");
	EXPECT_EQ(machine.cmb_address, UINT64_MAX);
	EXPECT_EQ(machine.cmbmsc, 0);
}

UNIT(nvme_cmb, whatever_fails_the_buffer_is_not_half_enabled)
{
	struct nvme_controller *controller = opened(t);

	for (int call = 1;; call++) {
		int r;

		t_note(t, "call %d", call);
		machine.fail_call = call;
		r = nvme_controller_enable_cmb(controller, ADDRESS);
		if (machine.fail_call > 0) {
			machine.fail_call = 0;
			EXPECT_OK(r);
			break;
		}
		EXPECT_LT(r, 0);
		EXPECT_EQ(machine.cmb_address, UINT64_MAX);
		ASSERT_LT(call, 100);
	}
	EXPECT_EQ(machine.cmb_address, ADDRESS);
	machine.gone = true;
	EXPECT_ERR(-ENODEV, nvme_controller_enable_cmb(controller, ADDRESS));
	machine.gone = false;
}
