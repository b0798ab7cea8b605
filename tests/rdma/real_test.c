// SPDX-License-Identifier: MIT
/*
 * libweir-rdma on libibverbs and a kernel: on the RDMA device WEIR_RDMA_DEVICE, which is a soft-RoCE one, and the controller
 * WEIR_DEVICE_NVME1, which has a memory buffer in BAR 2. The kernel interface is WEIR_BACKEND's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/rdma.h>
#include <weir/weir.h>

#include "rdma/link.h"
#include "shim/test.h"

enum { CMB_BAR = 2, WINDOW = 1 << 20, LEN = 300000, READ = IBV_ACCESS_REMOTE_READ };

struct setting {
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct end end;
	struct link here, there;
	struct weir_rdma *rdma;
	struct weir_memory *memory;
	struct weir_rdma_memory *shown;
	struct ibv_mr *mr;
	void *fetched;
};

static void end_setting(void *arg)
{
	struct setting *s = arg;

	link_close(&s->here);
	link_close(&s->there);
	if (s->mr)
		EXPECT_EQ(ibv_dereg_mr(s->mr), 0);
	EXPECT_OK(weir_rdma_memory_close(s->shown));
	EXPECT_OK(weir_rdma_close(s->rdma));
	end_close(&s->end);
	EXPECT_OK(weir_memory_close(s->memory));
	EXPECT_OK(weir_device_close(s->device));
	EXPECT_OK(weir_ioas_close(s->ioas));
	EXPECT_OK(weir_host_close(s->host));
	free(s->fetched);
	free(s);
}

static struct setting *begin(struct t *t)
{
	struct setting *s = calloc(1, sizeof(*s));

	ASSERT_TRUE(s != NULL);
	t_defer(t, end_setting, s);
	ASSERT_EQ(end_open(getenv("WEIR_RDMA_DEVICE"), -1, &s->end), 0);
	ASSERT_OK(weir_host_open(NULL, &s->host));
	ASSERT_OK(weir_ioas_open(s->host, NULL, &s->ioas));
	ASSERT_OK(weir_device_open(s->ioas, getenv("WEIR_DEVICE_NVME1"), NULL, &s->device));
	ASSERT_OK(weir_rdma_open(s->end.pd, NULL, &s->rdma));
	return s;
}

/* Two queue pairs of this device, each the other's other side. */
static void connect_with_itself(struct setting *s)
{
	struct wire_hello here, there;

	ASSERT_EQ(link_open(&s->end, &s->here), 0);
	ASSERT_EQ(link_open(&s->end, &s->there), 0);
	here = link_hello(&s->end, &s->here);
	there = link_hello(&s->end, &s->there);
	ASSERT_EQ(link_connect(&s->end, &s->here, &there), 0);
	ASSERT_EQ(link_connect(&s->end, &s->there, &here), 0);
}

static void get_place(struct setting *s)
{
	s->fetched = calloc(1, LEN);
	ASSERT_TRUE(s->fetched != NULL);
	s->mr = ibv_reg_mr(s->end.pd, s->fetched, LEN, IBV_ACCESS_LOCAL_WRITE);
	ASSERT_TRUE(s->mr != NULL);
}

static struct weir_buffer filled_buffer(struct setting *s)
{
	struct weir_buffer buffer;

	ASSERT_OK(weir_memory_open(s->ioas, NULL, &s->memory));
	ASSERT_OK(weir_memory_alloc(s->memory, 100, NULL, &buffer));
	ASSERT_OK(weir_memory_alloc(s->memory, LEN, NULL, &buffer));
	for (size_t i = 0; i < LEN; i++)
		((unsigned char *)buffer.addr)[i] = (unsigned char)(i * 7 + i / 251);
	return buffer;
}

UNIT(rdma_real, host_memory_is_read_from_where_it_is_said_to_be)
{
	struct setting *s = begin(t);
	struct weir_buffer buffer = filled_buffer(s);
	struct weir_rdma_range range;

	get_place(s);
	connect_with_itself(s);
	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	ASSERT_OK(weir_rdma_memory_range(s->shown, &buffer, 1000, LEN - 1000, &range));
	ASSERT_EQ(link_read(&s->here, s->mr, range.addr, range.rkey, LEN - 1000), 0);
	EXPECT_MEMEQ(s->fetched, (char *)buffer.addr + 1000, LEN - 1000);
}

UNIT(rdma_real, a_key_is_refused_when_the_registration_has_ended)
{
	struct setting *s = begin(t);
	struct weir_buffer buffer = filled_buffer(s);
	struct weir_rdma_range range;

	get_place(s);
	connect_with_itself(s);
	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, READ, &s->shown));
	ASSERT_OK(weir_rdma_memory_range(s->shown, &buffer, 0, LEN, &range));
	ASSERT_OK(weir_rdma_memory_close(s->shown));
	s->shown = NULL;
	EXPECT_ERR(-EREMOTEIO, link_read(&s->here, s->mr, range.addr, range.rkey, LEN));
}

UNIT(rdma_real, memory_that_is_not_shown_for_reading_is_not_read)
{
	struct setting *s = begin(t);
	struct weir_buffer buffer = filled_buffer(s);
	struct weir_rdma_range range;

	get_place(s);
	connect_with_itself(s);
	ASSERT_OK(weir_rdma_memory_open(s->rdma, s->memory, 0, &s->shown));
	ASSERT_OK(weir_rdma_memory_range(s->shown, &buffer, 0, LEN, &range));
	EXPECT_ERR(-EREMOTEIO, link_read(&s->here, s->mr, range.addr, range.rkey, LEN));
}

UNIT(rdma_real, soft_roce_refuses_a_bar_and_it_is_said_why)
{
	struct setting *s = begin(t);
	struct weir_rdma_window *window = NULL;
	struct weir_region *bar;
	struct weir_peer *peer;

	ASSERT_OK(weir_device_region(s->device, CMB_BAR, &bar));
	ASSERT_OK(weir_peer_open(bar, 0, WINDOW, &peer));
	EXPECT_ERR(-EOPNOTSUPP,
		   weir_rdma_window_open(s->rdma, peer, &WEIR_OPTS(weir_rdma_window_opts, .access = READ),
					 &window));
	EXPECT_TRUE(window == NULL);
	EXPECT_CONTAINS(weir_error(), "(rdma_rxe) does not take a device's memory");
	EXPECT_CONTAINS(weir_error(), "no dma-bufs at all");
	/* Nothing is left of the attempt. */
	EXPECT_OK(weir_device_reset(s->device));
	EXPECT_OK(weir_peer_close(peer));
}
