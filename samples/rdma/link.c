/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>

enum { PORT = 1, RNR_RETRIES = 7, RETRIES = 7, ACK_TIMEOUT = 14 /* 67 ms */, READS = 1 };

/* This side ----------------------------------------------------------------------------------------------- */

static struct ibv_context *open_context(const char *name)
{
	struct ibv_context *context = NULL;
	int num = 0, i;
	struct ibv_device **list = ibv_get_device_list(&num);

	for (i = 0; list && i < num && !context; i++)
		if (!name || strcmp(ibv_get_device_name(list[i]), name) == 0)
			context = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	if (!context)
		warnx("%s: there is no such RDMA device, or it cannot be opened", name ? name : "any");
	return context;
}

static bool is_ipv4(const union ibv_gid *gid)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(gid->raw, mapped, sizeof mapped) == 0;
}

static uint32_t choose_gid(struct ibv_context *context, const struct ibv_port_attr *port)
{
	struct ibv_gid_entry entry;
	uint32_t chosen = 0, i;
	bool found = false;

	for (i = 0; i < (uint32_t)port->gid_tbl_len; i++) {
		if (ibv_query_gid_ex(context, PORT, i, &entry, 0) != 0 ||
		    entry.gid_type != IBV_GID_TYPE_ROCE_V2)
			continue;
		if (is_ipv4(&entry.gid))
			return i;
		if (!found)
			chosen = i;
		found = true;
	}
	return chosen;
}

int end_open(const char *name, int gid_index, struct end *ret_end)
{
	struct end end = { .context = open_context(name) };
	struct ibv_port_attr port;
	int r = end.context ? 0 : -ENODEV;

	if (r == 0 && ibv_query_port(end.context, PORT, &port) != 0)
		r = -EIO;
	if (r == 0) {
		end.gid_index = gid_index < 0 ? choose_gid(end.context, &port) : (uint32_t)gid_index;
		end.mtu = port.active_mtu;
		end.lid = port.lid;
		end.ethernet = port.link_layer == IBV_LINK_LAYER_ETHERNET;
		if (port.state != IBV_PORT_ACTIVE ||
		    ibv_query_gid(end.context, PORT, (int)end.gid_index, &end.gid) != 0)
			r = -ENETDOWN;
		if (r < 0)
			warnx("%s: port %d is not active, or has no GID number %u",
			      ibv_get_device_name(end.context->device), PORT, end.gid_index);
	}
	if (r == 0) {
		end.pd = ibv_alloc_pd(end.context);
		r = end.pd ? 0 : -ENOMEM;
	}
	if (r < 0)
		end_close(&end);
	else
		*ret_end = end;
	return r;
}

void end_close(struct end *end)
{
	if (end->pd)
		ibv_dealloc_pd(end->pd);
	if (end->context)
		ibv_close_device(end->context);
	*end = (struct end){ 0 };
}

/* Connections --------------------------------------------------------------------------------------------- */

static int to_init(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = IBV_ACCESS_REMOTE_READ,
	};

	return ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

int link_open(const struct end *end, struct link *ret_link)
{
	struct ibv_qp_init_attr init = {
		.cap = { .max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};
	struct link link = { .channel = ibv_create_comp_channel(end->context) };

	if (link.channel)
		link.cq = ibv_create_cq(end->context, 2, NULL, link.channel, 0);
	init.send_cq = init.recv_cq = link.cq;
	if (link.cq)
		link.qp = ibv_create_qp(end->pd, &init);
	if (!link.qp || to_init(link.qp) != 0 ||
	    getrandom(&link.psn, sizeof link.psn, 0) != sizeof link.psn) {
		warn("%s: no queue pair", ibv_get_device_name(end->context->device));
		link_close(&link);
		return -EIO;
	}
	link.psn &= 0xffffff;
	*ret_link = link;
	return 0;
}

void link_close(struct link *link)
{
	if (link->qp)
		ibv_destroy_qp(link->qp);
	if (link->cq)
		ibv_destroy_cq(link->cq);
	if (link->channel)
		ibv_destroy_comp_channel(link->channel);
	*link = (struct link){ 0 };
}

struct wire_hello link_hello(const struct end *end, const struct link *link)
{
	struct wire_hello hello = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.qpn = link->qp->qp_num,
		.psn = link->psn,
		.mtu = (uint32_t)end->mtu,
	};

	memcpy(hello.gid, end->gid.raw, sizeof hello.gid);
	return hello;
}

static int to_ready_to_receive(const struct end *end, struct ibv_qp *qp, const struct wire_hello *other)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = other->mtu < (uint32_t)end->mtu ? (enum ibv_mtu)other->mtu : end->mtu,
		.dest_qp_num = other->qpn,
		.rq_psn = other->psn,
		.max_dest_rd_atomic = READS,
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.port_num = PORT,
			.grh = { .sgid_index = (uint8_t)end->gid_index, .hop_limit = 64 },
		},
	};

	memcpy(attr.ah_attr.grh.dgid.raw, other->gid, sizeof other->gid);
	return ibv_modify_qp(qp, &attr,
			     IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				     IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
}

static int to_ready_to_send(struct ibv_qp *qp, uint32_t psn)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.timeout = ACK_TIMEOUT,
		.retry_cnt = RETRIES,
		.rnr_retry = RNR_RETRIES,
		.sq_psn = psn,
		.max_rd_atomic = READS,
	};

	return ibv_modify_qp(qp, &attr,
			     IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				     IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

int link_connect(const struct end *end, struct link *link, const struct wire_hello *other)
{
	int r = to_ready_to_receive(end, link->qp, other);

	if (r == 0)
		r = to_ready_to_send(link->qp, link->psn);
	if (r != 0)
		warnx("%s: no way to the other side's queue pair: %s",
		      ibv_get_device_name(end->context->device), strerror(r));
	return r == 0 ? 0 : -EHOSTUNREACH;
}

/* Reading ------------------------------------------------------------------------------------------------- */

static int wait_for_event(struct link *link)
{
	struct pollfd event = { .fd = link->channel->fd, .events = POLLIN };
	struct ibv_cq *cq;
	void *context;
	int r = poll(&event, 1, WIRE_TIMEOUT_S * 1000);

	if (r < 0)
		return -errno;
	if (r == 0) {
		warnx("no completion in %d seconds", WIRE_TIMEOUT_S);
		return -ETIMEDOUT;
	}
	if (ibv_get_cq_event(link->channel, &cq, &context) < 0)
		return -errno;
	ibv_ack_cq_events(cq, 1);
	return ibv_req_notify_cq(link->cq, 0) == 0 ? 0 : -EIO;
}

/* What completes between looking and asking to be told is found by looking once more. */
static int wait_for_completion(struct link *link)
{
	struct ibv_wc done;
	int num, r = 0;

	while ((num = ibv_poll_cq(link->cq, 1, &done)) == 0 && r == 0)
		r = wait_for_event(link);
	if (r < 0)
		return r;
	if (num == 1 && done.status == IBV_WC_SUCCESS)
		return 0;
	warnx("RDMA READ: %s", num == 1 ? ibv_wc_status_str(done.status) : "no completion to be had");
	return -EREMOTEIO;
}

int link_read(struct link *link, struct ibv_mr *to, uint64_t addr, uint32_t rkey, uint32_t len)
{
	struct ibv_sge place = { .addr = (uintptr_t)to->addr, .length = len, .lkey = to->lkey };
	struct ibv_send_wr request = {
		.sg_list = &place,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_READ,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	};
	struct ibv_send_wr *bad;
	int r = ibv_req_notify_cq(link->cq, 0);

	if (r == 0)
		r = ibv_post_send(link->qp, &request, &bad);
	if (r != 0) {
		warnx("RDMA READ: %s", strerror(r));
		return -EIO;
	}
	return wait_for_completion(link);
}
