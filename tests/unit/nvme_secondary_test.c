/* SPDX-License-Identifier: MIT */
/* A controller's virtual functions, from the side of its physical one. */
#include <errno.h>

#include <nvme/secondary.h>

#include "nvme_machine.h"

static void close_controller(void *arg)
{
	EXPECT_OK(nvme_controller_close(arg));
	EXPECT_TRUE(machine_is_clean());
}

/* Whose secondary controllers are 1, 2 and 5, virtual functions 1 to 3, with 6 queues and 6 interrupts to be had. */
static struct nvme_controller *opened(struct t *t)
{
	static const uint16_t ids[] = { 1, 2, 5 };
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING, .admin_timeout_ms = 50);
	struct nvme_controller *controller = NULL;
	uint8_t i;

	machine_reset();
	machine.id_ctrl.oacs = htole16(NVME_CTRL_OACS_VIRT_MGMT);
	machine.spare = 6;
	machine.secondaries.num = 3;
	for (i = 0; i < 3; i++) {
		machine.secondaries.sc_entry[i].scid = htole16(ids[i]);
		machine.secondaries.sc_entry[i].vfn = htole16(i + 1);
	}
	ASSERT_OK(nvme_controller_open(stub_device(), &opts, &controller));
	t_defer(t, close_controller, controller);
	return controller;
}

UNIT(nvme_secondary, a_secondary_controller_gets_queues_and_comes_online_and_gives_them_back)
{
	struct nvme_controller *controller = opened(t);
	struct nvme_secondary all[4];

	ASSERT_EQ(nvme_secondary_list(controller, 0, all, 4), 3);
	EXPECT_EQ(all[2].controller_id, 5);
	EXPECT_EQ(all[2].vf, 3);
	EXPECT_EQ(all[2].online, false);

	EXPECT_ERR(-EINVAL, nvme_secondary_keep(controller, 0x10000, 2));
	ASSERT_OK(nvme_secondary_keep(controller, 1, 2));
	EXPECT_EQ(machine.keeps[0], 1);
	EXPECT_EQ(machine.keeps[1], 2);
	ASSERT_OK(nvme_secondary_start(controller, 5, 3, 2));
	ASSERT_EQ(nvme_secondary_list(controller, 2, all, 4), 1);
	EXPECT_EQ(all[0].num_queues, 3);
	EXPECT_EQ(all[0].num_vectors, 2);
	EXPECT_EQ(all[0].online, true);

	ASSERT_OK(nvme_secondary_start(controller, 5, 2, 1)); /* other ones instead */
	ASSERT_OK(nvme_secondary_stop(controller, 5));
	ASSERT_EQ(nvme_secondary_list(controller, 2, all, 1), 1);
	EXPECT_EQ(all[0].num_queues, 0);
	EXPECT_EQ(all[0].online, false);
	EXPECT_EQ(nvme_secondary_list(controller, 0, all, 2), 2);
	EXPECT_EQ(nvme_secondary_list(controller, 5, all, 4), 0);
	EXPECT_EQ(nvme_secondary_list(controller, 0xffff, all, 4), 0);
}

/* Whatever it fails at: it is offline, with nothing of what was asked for. */
UNIT(nvme_secondary, one_that_cannot_be_started_is_offline_and_has_nothing)
{
	struct nvme_controller *controller = opened(t);
	struct nvme_secondary one;

	EXPECT_ERR(-EINVAL, nvme_secondary_start(controller, 3, 2, 2));
	EXPECT_ERR(-EINVAL, nvme_secondary_start(controller, 2, 1, 2));
	EXPECT_ERR(-EINVAL, nvme_secondary_start(controller, 2, 2, 0));
	EXPECT_ERR(-EINVAL, nvme_secondary_start(controller, 2, 0x10000, 2));
	ASSERT_OK(nvme_secondary_start(controller, 2, 2, 2));
	EXPECT_ERR(-EINVAL, nvme_secondary_start(controller, 2, 4, 7)); /* so many interrupts are not there */
	ASSERT_EQ(nvme_secondary_list(controller, 1, &one, 1), 1);
	EXPECT_EQ(one.online, false);
	EXPECT_EQ(one.num_queues, 0);
	EXPECT_EQ(one.num_vectors, 0);

	machine.stint = 1;
	EXPECT_ERR(-EIO, nvme_secondary_start(controller, 2, 3, 3));
	machine.stint = 0;
	machine.refused = nvme_admin_virtual_mgmt;
	machine.refusal = NVME_SC_INVALID_OPCODE;
	EXPECT_ERR(-EOPNOTSUPP, nvme_secondary_start(controller, 2, 2, 2));
	EXPECT_ERR(-EOPNOTSUPP, nvme_secondary_stop(controller, 2));
	machine.refused = MACHINE_NO_OPCODE;
	EXPECT_OK(nvme_secondary_start(controller, 2, 2, 2));
}

UNIT(nvme_secondary, lists_that_make_no_sense_are_not_believed)
{
	struct nvme_controller *controller = opened(t);
	struct nvme_secondary all[NVME_SECONDARIES];

	machine.secondaries.sc_entry[2].scid = htole16(2);
	EXPECT_ERR(-EPROTO, nvme_secondary_list(controller, 0, all, NVME_SECONDARIES));
	EXPECT_EQ(nvme_secondary_list(controller, 0, all, 2), 2);
	machine.secondaries.num = 255;
	EXPECT_ERR(-EPROTO, nvme_secondary_list(controller, 0, all, 1));
	machine.mute = nvme_admin_virtual_mgmt;
	EXPECT_ERR(-ETIMEDOUT, nvme_secondary_start(controller, 2, 2, 2));
	EXPECT_ERR(-EIO, nvme_secondary_stop(controller, 2));
}

UNIT(nvme_secondary, a_controller_without_any_says_so)
{
	struct nvme_controller *controller = NULL;
	struct nvme_secondary one;

	machine_reset();
	ASSERT_OK(nvme_controller_open(stub_device(), NULL, &controller));
	t_defer(t, close_controller, controller);
	EXPECT_ERR(-EOPNOTSUPP, nvme_secondary_list(controller, 0, &one, 1));
	EXPECT_ERR(-EOPNOTSUPP, nvme_secondary_start(controller, 1, 2, 2));
	EXPECT_ERR(-EOPNOTSUPP, nvme_secondary_stop(controller, 1));
	EXPECT_ERR(-EOPNOTSUPP, nvme_secondary_keep(controller, 0, 0));
}
