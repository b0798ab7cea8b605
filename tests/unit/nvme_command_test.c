/* SPDX-License-Identifier: MIT */
/* Admin commands of the caller's own, and controllers whose answers to the driver's are lies. */
#include <errno.h>
#include <string.h>

#include <nvme/manage.h>

#include "nvme_machine.h"

static void close_controller(void *controller)
{
	nvme_controller_close(controller);
	EXPECT_TRUE(machine_is_clean());
}

static struct nvme_controller *opened(struct t *t, uint32_t flags)
{
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING, .admin_timeout_ms = 50,
			  .ready_timeout_ms = 50, .flags = flags);
	struct nvme_controller *controller = NULL;

	ASSERT_OK(nvme_controller_open(stub_device(), &opts, &controller));
	t_defer(t, close_controller, controller);
	return controller;
}

/* Commands of the caller's own ---------------------------------------------------------------------------- */

UNIT(nvme_command, is_sent_as_it_was_given)
{
	struct nvme_admin_request request = { .opcode = nvme_admin_get_features,
					      .nsid = 0x11111111,
					      .cdw10 = 10,
					      .cdw11 = 11,
					      .cdw12 = 12,
					      .cdw13 = 13,
					      .cdw14 = 14,
					      .cdw15 = 15 };
	struct nvme_controller *controller;
	uint32_t result = 0;

	machine_reset();
	controller = opened(t, 0);
	ASSERT_OK(nvme_controller_admin(controller, &request, NULL, 0, &result));
	EXPECT_EQ(result, 0x12345678);
	EXPECT_EQ(le64toh(machine.last_admin.qword[0]) & 0xffff, nvme_admin_get_features);
	EXPECT_EQ(le64toh(machine.last_admin.qword[0]) >> 32, 0x11111111);
	EXPECT_EQ(le64toh(machine.last_admin.qword[5]), 11ull << 32 | 10);
	EXPECT_EQ(le64toh(machine.last_admin.qword[6]), 13ull << 32 | 12);
	EXPECT_EQ(le64toh(machine.last_admin.qword[7]), 15ull << 32 | 14);
	/* Its opcode says that there might be data: then there is memory for it, which is the driver's. */
	EXPECT_NE(machine.last_admin.qword[3], 0);
	EXPECT_EQ(machine.last_admin.qword[4], 0);
}

UNIT(nvme_command, has_data_where_its_opcode_says)
{
	struct nvme_admin_request attach = { .opcode = nvme_admin_ns_attach },
				  get = { .opcode = nvme_admin_get_features };
	unsigned char data[64], found[64] = { 0 };
	struct nvme_controller *controller;

	machine_reset();
	controller = opened(t, 0);
	memset(data, 0x5a, sizeof data);
	ASSERT_OK(nvme_controller_admin(controller, &attach, data, sizeof data, NULL));
	EXPECT_MEMEQ(machine.data, data, sizeof data);
	machine.data[63] = 1;
	ASSERT_OK(nvme_controller_admin(controller, &get, found, 60, NULL));
	EXPECT_MEMEQ(found, machine.data, 60);
	EXPECT_EQ(found[60], 0); /* no more than asked for */
	/* What goes there only is not changed by whatever comes back. */
	EXPECT_EQ(data[63], 0x5a);
}

UNIT(nvme_command, that_fails_changes_nothing)
{
	struct nvme_admin_request get = { .opcode = nvme_admin_get_features }, unknown = { .opcode = 0xc0 };
	struct nvme_controller *controller;
	unsigned char data[64] = { 7 };
	uint32_t result = 9;

	machine_reset();
	controller = opened(t, 0);
	machine.refused = nvme_admin_get_features;
	machine.refusal = NVME_SC_INVALID_FIELD;
	EXPECT_ERR(-EINVAL, nvme_controller_admin(controller, &get, data, sizeof data, &result));
	EXPECT_CONTAINS(nvme_error(), "admin command 0x0a: invalid field");
	EXPECT_ERR(-EOPNOTSUPP, nvme_controller_admin(controller, &unknown, NULL, 0, &result));
	EXPECT_TRUE(data[0] == 7 && result == 9);
	machine.mute = nvme_admin_get_features;
	EXPECT_ERR(-ETIMEDOUT, nvme_controller_admin(controller, &get, data, sizeof data, &result));
	EXPECT_CONTAINS(nvme_error(), "no answer within");
	EXPECT_ERR(-EIO, nvme_controller_admin(controller, &get, data, sizeof data, &result));
	EXPECT_TRUE(data[0] == 7 && result == 9);
}

UNIT(nvme_command, that_cannot_be_is_refused_and_not_sent)
{
	static const struct {
		uint8_t opcode;
		uint32_t cdw10;
		size_t len;
		bool data;
		int error;
	} rows[] = {
		{ nvme_admin_delete_sq, 1, 0, false, -EPERM },
		{ nvme_admin_create_sq, 1, 0, false, -EPERM },
		{ nvme_admin_delete_cq, 1, 0, false, -EPERM },
		{ nvme_admin_create_cq, 1, 0, false, -EPERM },
		{ nvme_admin_abort_cmd, 1, 0, false, -EPERM },
		{ nvme_admin_async_event, 0, 0, false, -EPERM },
		{ nvme_admin_dbbuf, 0, 0, false, -EPERM },
		{ nvme_admin_set_features, NVME_FEAT_FID_NUM_QUEUES, 0, false, -EPERM },
		{ nvme_admin_set_features, 1u << 31 | NVME_FEAT_FID_HOST_MEM_BUF, 0, false, -EPERM },
		{ nvme_admin_get_features, 0, 3, true, -EINVAL },
		{ nvme_admin_get_features, 0, 4100, true, -EINVAL },
		{ nvme_admin_get_features, 0, 64, false, -EINVAL },
		{ nvme_admin_get_features, 0, 0, true, -EINVAL },
		{ 0xc0, 0, 64, true, -EINVAL },
	};
	struct nvme_controller *controller;
	unsigned char data[64] = { 0 };
	struct nvme_sqe before;
	size_t i;

	machine_reset();
	controller = opened(t, 0);
	before = machine.last_admin;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct nvme_admin_request request = { .opcode = rows[i].opcode, .cdw10 = rows[i].cdw10 };

		t_note(t, "row %zu", i);
		EXPECT_ERR(rows[i].error,
			   nvme_controller_admin(controller, &request, rows[i].data ? data : NULL,
						 rows[i].len, NULL));
		EXPECT_MEMEQ(&machine.last_admin, &before, sizeof before);
	}
}

/* Lies ---------------------------------------------------------------------------------------------------- */

static struct nvme_namespace about_namespace(struct nvme_controller *controller, int error)
{
	struct nvme_namespace ns = { .nsid = 99 };

	EXPECT_EQ(nvme_namespace_info(controller, 1, &ns, sizeof ns), error);
	if (error)
		EXPECT_EQ(ns.nsid, 99);
	return ns;
}

/* None of them is believed, and the controller is still of use afterwards. */
UNIT(nvme_lies, about_a_namespace_are_noticed)
{
	struct nvme_controller *controller;

	machine_reset();
	controller = opened(t, 0);
	machine.id_ns.nsze = htole64(UINT64_MAX);
	about_namespace(controller, -EPROTO);
	machine.id_ns.nsze = htole64(1000);
	machine.id_ns.flbas = 9; /* of one format */
	about_namespace(controller, -EPROTO);
	machine.id_ns.flbas = 0;
	machine.id_ns.lbaf[0].ds = 63;
	about_namespace(controller, -EPROTO);
	machine.id_ns.lbaf[0].ds = 3;
	about_namespace(controller, -EPROTO);
	machine.id_ns.lbaf[0].ds = 9;
	EXPECT_EQ(about_namespace(controller, 0).num_blocks, 1000);
}

/* A namespace that is smaller than it says: the controller refuses what is not there, and the queue goes on. */
UNIT(nvme_lies, about_a_size_end_in_the_controllers_own_error)
{
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;

	machine_reset();
	machine.id_ns.nsze = htole64(1ull << 40);
	controller = opened(t, 0);
	ns = about_namespace(controller, 0);
	ASSERT_OK(nvme_queue_open(controller, 7, &queue));
	machine.io_status = NVME_SC_LBA_RANGE | NVME_SC_DNR;
	EXPECT_ERR(-ERANGE, nvme_queue_read(queue, &ns, 1ull << 39, 0x10000, 512, 1000));
	EXPECT_CONTAINS(nvme_error(), "LBA out of range");
	machine.io_status = 0;
	EXPECT_OK(nvme_queue_read(queue, &ns, 0, 0x10000, 512, 1000));
}

/* A limit of 2^62 pages is what the driver's own limit is; one of a single page is kept to. */
UNIT(nvme_lies, about_the_transfer_limit_give_no_more_than_the_lists_hold)
{
	struct nvme_controller_info info;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;

	machine_reset();
	machine.id_ctrl.mdts = 62;
	machine.id_ns.nsze = htole64(1ull << 40);
	controller = opened(t, 0);
	ASSERT_OK(nvme_controller_info(controller, &info, sizeof info));
	EXPECT_EQ(info.max_transfer, 2u << 20);
	ns = about_namespace(controller, 0);
	ASSERT_OK(nvme_queue_open(controller, 7, &queue));
	EXPECT_ERR(-EMSGSIZE,
		   nvme_queue_submit(queue, &ns, &(struct nvme_request){ .len = (2u << 20) + 512 }, 1));
	EXPECT_CONTAINS(nvme_error(), "split it");
	EXPECT_EQ(machine.num_carried, 0);
	EXPECT_EQ(nvme_queue_submit(queue, &ns, &(struct nvme_request){ .len = 2u << 20 }, 1), 1);
}

/* Events that are none, more than were asked for, and queues granted that there are not. */
UNIT(nvme_lies, about_queues_and_events_do_no_harm)
{
	struct nvme_controller *controller;
	struct nvme_event events[8];
	struct nvme_queue *queue;

	machine_reset();
	machine.num_queues = 0; /* "65536" of them, 0's based */
	controller = opened(t, NVME_EVENTS);
	EXPECT_EQ(nvme_queue_open(controller, 7, &queue), -EINVAL); /* the controller's own word for it */
	while (machine_event(0xffffffff))
		;
	EXPECT_GE(nvme_controller_events(controller, events, 8), 1);
	EXPECT_TRUE(events[0].type == 7 && events[0].info == 0xff && events[0].log == 0xff &&
		    !events[0].namespaces);
	machine.rings[0].cq[machine.rings[0].cq_tail].qword[1] =
		htole64((uint64_t)machine.rings[0].phase << 48);
	EXPECT_ERR(-EPROTO, nvme_controller_events(controller, events, 8));
}
