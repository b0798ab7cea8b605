// SPDX-License-Identifier: MIT
/*
 * A kernel that says of page requests what it likes, and takes answers or not: records of any content and length, numbers used again or twice, errors; with devices
 * that come and go, and a program that answers by tokens, old and made up.
 *
 * Each group that the library counts is in one of its counts; of many answers by one token one is taken at most; and nothing that was given out or
 * counted is left when the device has gone.
 */
#include <errno.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "fuzz/input.h"
#include "kernel/iommufd_abi.h"

enum { MOST_STEPS = 200, MOST_TOKENS = 32, AT_ONCE = 8 };

static struct rig {
	struct input in;
	struct weir_sim *sim;
	struct weir_sys table;
	struct weir_host *host;
	struct weir_faultq *queue;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_domain *domain;
	uint32_t dev_id;
	bool attached;
	struct token {
		struct weir_fault_token token;
		bool answered;
	} tokens[MOST_TOKENS];
	unsigned int num_tokens;
} rig;

/* The kernel ------------------------------------------------------------------------------------------------ */

/* Mostly what makes sense, so that something comes of it. */
static struct abi_iommu_hwpt_pgfault a_record(void)
{
	uint8_t kind = in_u8(&rig.in);
	struct abi_iommu_hwpt_pgfault record = {
		.flags = kind & 64 ? 0 : ABI_IOMMU_PGFAULT_FLAGS_LAST_PAGE,
		.dev_id = rig.dev_id,
		.grpid = kind & 7,
		.perm = kind & 3,
		.cookie = 1 + (kind >> 3 & 7),
	};

	if (kind == 255)
		in_bytes(&rig.in, &record, sizeof(record));
	else if (kind == 254)
		record.cookie = in_u32(&rig.in);
	else if (kind == 253)
		record.flags = in_u32(&rig.in);
	return record;
}

static ssize_t lying_read(void *ctx, int fd, void *buf, size_t len)
{
	uint8_t how = in_u8(&rig.in);
	size_t num = how & 15, room = len / sizeof(struct abi_iommu_hwpt_pgfault);

	(void)ctx;
	(void)fd;
	if (how >= 250)
		return how == 250   ? -EINVAL
		       : how == 251 ? -EIO
		       : how == 252 ? 17
		       : how == 253 ? (ssize_t)len + 40
				    : -EFAULT;
	for (size_t i = 0; i < num && i < room; i++)
		((struct abi_iommu_hwpt_pgfault *)buf)[i] = a_record();
	return (ssize_t)((num < room ? num : room) * sizeof(struct abi_iommu_hwpt_pgfault));
}

static ssize_t lying_write(void *ctx, int fd, const void *buf, size_t len)
{
	uint8_t how = in_u8(&rig.in);

	(void)ctx;
	(void)fd;
	(void)buf;
	return how == 255 ? -EINVAL : how == 254 ? -EIO : how == 253 ? 3 : (ssize_t)len;
}

/* The program ----------------------------------------------------------------------------------------------- */

static void check_counts(void)
{
	struct weir_faultq_info info;

	weir_faultq_info(rig.queue, &info, sizeof(info));
	CHECK(info.num_groups == info.num_outstanding + info.num_answered + info.num_expired +
					 info.num_orphaned + info.num_malformed);
	CHECK(rig.attached || !info.num_outstanding);
}

static void keep(struct weir_fault *fault)
{
	CHECK(fault->num_pages && fault->device == rig.device);
	for (uint32_t i = 0; i < fault->num_pages; i++)
		CHECK(!(fault->pages[i].perm & ~15u));
	rig.tokens[rig.num_tokens++ % MOST_TOKENS] = (struct token){ fault->token, false };
	weir_fault_free(fault);
}

static void read_some(void)
{
	struct weir_fault *faults[AT_ONCE];
	int num = weir_faultq_read(rig.queue, faults, 1 + in_u8(&rig.in) % AT_ONCE);

	for (int i = 0; i < num; i++)
		keep(faults[i]);
}

static void respond(void)
{
	uint8_t which = in_u8(&rig.in);
	struct token *token = &rig.tokens[which % MOST_TOKENS];
	struct weir_fault_token changed = token->token;
	int error;

	if (which & 128)
		((unsigned char *)&changed)[in_u8(&rig.in) % sizeof(changed)] ^= in_u8(&rig.in);
	error = weir_faultq_respond(rig.queue, &changed,
				    which & 64 ? WEIR_FAULT_INVALID : WEIR_FAULT_SUCCESS);
	if (memcmp(&changed, &token->token, sizeof(changed)) != 0)
		return;
	CHECK(error || !token->answered);
	token->answered |= !error;
}

static void step(void)
{
	switch (in_u8(&rig.in) % 8) {
	case 0:
	case 1:
	case 2:
		read_some();
		break;
	case 3:
	case 4:
		respond();
		break;
	case 5:
		weir_faultq_run(rig.queue, weir_fault_refuse, NULL);
		break;
	case 6:
		weir_faultq_expire(rig.queue);
		weir_faultq_timeout(rig.queue);
		break;
	case 7:
		CHECK(!(rig.attached ? weir_domain_detach(rig.device, WEIR_NO_PASID)
				     : weir_domain_attach(rig.domain, rig.device, WEIR_NO_PASID)));
		rig.attached = !rig.attached;
		break;
	}
	check_counts();
}

/* Of a request that is a true one. */
static void find_id(struct weir_sim_device *edu)
{
	const struct weir_sim_page_request request = { .iova = 0x1000, .group = 100, .last = true };
	struct weir_fault *fault;

	CHECK(!weir_domain_attach(rig.domain, rig.device, WEIR_NO_PASID));
	CHECK(!weir_sim_page_request(edu, &request));
	CHECK(weir_faultq_read(rig.queue, &fault, 1) == 1);
	rig.dev_id = fault->token.device;
	CHECK(!weir_faultq_respond(rig.queue, &fault->token, WEIR_FAULT_SUCCESS));
	weir_fault_free(fault);
	CHECK(!weir_domain_detach(rig.device, WEIR_NO_PASID));
}

static void open_rig(void)
{
	struct weir_sim_device *edu;

	CHECK(!weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = WEIR_SIM_IOMMU_VTD), &rig.sim));
	CHECK(!weir_sim_add_edu(rig.sim, NULL, &WEIR_OPTS(weir_sim_slot, .page_requests = 1), &edu));
	rig.table = *weir_sim_sys(rig.sim);
	CHECK(!weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &rig.table),
			      &rig.host));
	CHECK(!weir_faultq_open(rig.host, NULL, &rig.queue));
	CHECK(!weir_ioas_open(rig.host, NULL, &rig.ioas));
	CHECK(!weir_device_open(rig.ioas, weir_sim_device_address(edu), NULL, &rig.device));
	CHECK(!weir_domain_open(rig.device, &WEIR_OPTS(weir_domain_opts, .faultq = rig.queue), &rig.domain));
	find_id(edu);
	rig.table.read = lying_read;
	rig.table.write = lying_write;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!rig.sim)
		open_rig();
	rig.in = (struct input){ data, data + size };
	memset(rig.tokens, 0, sizeof(rig.tokens));
	rig.num_tokens = 0;
	for (int i = 0; i < MOST_STEPS && !in_empty(&rig.in); i++)
		step();
	if (rig.attached)
		CHECK(!weir_domain_detach(rig.device, WEIR_NO_PASID));
	rig.attached = false;
	check_counts();
	return 0;
}
