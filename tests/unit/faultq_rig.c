// SPDX-License-Identifier: MIT
#include "faultq_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fault_stress.h"

static void close_machine(void *sim)
{
	EXPECT_OK(weir_sim_close(sim));
}

static void close_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

static void close_ioas(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static void close_device(void *device)
{
	EXPECT_OK(weir_device_close(device));
}

static void close_domain(void *domain)
{
	EXPECT_OK(weir_domain_close(domain));
}

static void close_queue(void *queue)
{
	EXPECT_OK(weir_faultq_close(queue));
}

static void free_fault(void *fault)
{
	weir_fault_free(fault);
}

static void detach(void *device)
{
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

static atomic_uint writes, bad_writes;
static struct fault_cookies cookies;
static ssize_t (*write_below)(void *ctx, int fd, const void *buf, size_t len);

/* Nothing but answers is written in these cases. */
static ssize_t counted_write(void *ctx, int fd, const void *buf, size_t len)
{
	ssize_t result = write_below(ctx, fd, buf, len);

	writes++;
	bad_writes += result != (ssize_t)len;
	fault_stress_see(&cookies, fd, buf, len);
	return result;
}

unsigned int rig_writes(void)
{
	return writes;
}

unsigned int rig_bad_writes(void)
{
	return bad_writes;
}

unsigned int rig_cookies_again(void)
{
	return cookies.again;
}

/* Under the machine's lock. */
static void answered(void *ctx, uint32_t pasid, uint32_t group, uint32_t code)
{
	struct faultq_rig *rig = ctx;

	(void)pasid;
	if (group >= RIG_IDS)
		return;
	rig->answers[group]++;
	rig->codes[group] += code == WEIR_FAULT_SUCCESS;
}

struct weir_faultq *rig_queue(struct t *t, struct faultq_rig *rig, const struct weir_faultq_opts *opts)
{
	struct weir_faultq *queue;

	ASSERT_OK(weir_faultq_open(rig->host, opts, &queue));
	t_defer(t, close_queue, queue);
	return queue;
}

struct weir_domain *rig_domain(struct t *t, struct faultq_rig *rig, unsigned int device,
			       struct weir_faultq *queue)
{
	struct weir_domain *domain;

	ASSERT_OK(weir_domain_open(rig->devices[device],
				   &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_PASID, .faultq = queue),
				   &domain));
	t_defer(t, close_domain, domain);
	return domain;
}

void rig_detach_later(struct t *t, struct weir_device *device)
{
	t_defer(t, detach, device);
}

void rig_attach(struct t *t, struct faultq_rig *rig, unsigned int device)
{
	ASSERT_OK(weir_domain_attach(rig->domains[device], rig->devices[device], WEIR_NO_PASID));
	rig_detach_later(t, rig->devices[device]);
}

static void add_device(struct t *t, struct faultq_rig *rig, unsigned int i)
{
	struct weir_sim_slot slot =
		WEIR_OPTS(weir_sim_slot, .pasid_bits = RIG_PASID_BITS, .page_requests = 1);
	char address[16];

	snprintf(address, sizeof(address), "0000:00:%02x.0", i + 1);
	slot.address = address;
	ASSERT_OK(weir_sim_add_edu(rig->sim, &WEIR_OPTS(weir_sim_edu_opts, .address_bits = 48), &slot,
				   &rig->sims[i]));
	weir_sim_page_answers(rig->sims[i], answered, rig);
	ASSERT_OK(weir_device_open(rig->ioas, address, NULL, &rig->devices[i]));
	t_defer(t, close_device, rig->devices[i]);
}

struct faultq_rig *faultq_rig_open(struct t *t, uint32_t iommu, const struct weir_faultq_opts *opts)
{
	struct faultq_rig *rig = calloc(1, sizeof(*rig));

	ASSERT_TRUE(rig);
	t_defer(t, free, rig);
	ASSERT_OK(weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = iommu), &rig->sim));
	t_defer(t, close_machine, rig->sim);
	ASSERT_OK(weir_sim_start(rig->sim));
	rig->table = *weir_sim_sys(rig->sim);
	write_below = rig->table.write;
	rig->table.write = counted_write;
	writes = bad_writes = 0;
	memset(&cookies, 0, sizeof(cookies));
	ASSERT_OK(weir_host_open(
		&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &rig->table), &rig->host));
	t_defer(t, close_host, rig->host);
	rig->queue = rig_queue(t, rig, opts);
	ASSERT_OK(weir_ioas_open(rig->host, NULL, &rig->ioas));
	t_defer(t, close_ioas, rig->ioas);
	for (unsigned int i = 0; i < RIG_DEVICES; i++)
		add_device(t, rig, i);
	for (unsigned int i = 0; i < RIG_DEVICES; i++)
		rig->domains[i] = rig_domain(t, rig, i, rig->queue);
	return rig;
}

void rig_request(struct faultq_rig *rig, unsigned int device, uint32_t pasid, uint32_t id, uint64_t iova)
{
	const struct weir_sim_page_request request = {
		.iova = iova, .pasid = pasid, .group = id, .perm = WEIR_FAULT_READ, .last = true
	};

	EXPECT_OK(weir_sim_page_request(rig->sims[device], &request));
}

struct weir_fault *rig_read(struct t *t, struct weir_faultq *queue)
{
	struct weir_fault *fault;

	ASSERT_EQ(weir_faultq_read(queue, &fault, 1), 1);
	t_defer(t, free_fault, fault);
	return fault;
}

struct weir_faultq_info rig_info(struct weir_faultq *queue)
{
	struct weir_faultq_info info;

	weir_faultq_info(queue, &info, sizeof(info));
	return info;
}
