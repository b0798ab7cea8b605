// SPDX-License-Identifier: MIT
/* Mapping on demand: a device reads a file, and writes memory, that were never mapped. */
#include "faultq_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <edu/edu.h>

enum { PAGE = 4096, FILE_PAGES = 40, AHEAD = 4 * PAGE };

#define IOVA 0x40000000u

/* A machine whose second space has an edu in it that requests pages. */
struct demanding {
	struct faultq_rig *rig;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct edu *edu;
	struct weir_memory *memory; /* for looking into the device's buffer */
	struct weir_buffer window;
	struct weir_demand *demand;
	unsigned char *bytes; /* of the file */
	int file;
};

static void close_ioas(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static void close_device(void *device)
{
	EXPECT_OK(weir_device_close(device));
}

static void close_edu(void *edu)
{
	EXPECT_OK(edu_close(edu));
}

static void close_memory(void *memory)
{
	EXPECT_OK(weir_memory_close(memory));
}

static void close_demand(void *demand)
{
	EXPECT_OK(weir_demand_close(demand));
}

static void close_domain(void *domain)
{
	EXPECT_OK(weir_domain_close(domain));
}

static void close_file(void *arg)
{
	struct demanding *d = arg;

	munmap(d->bytes, FILE_PAGES * PAGE);
	close(d->file);
	free(d);
}

static void open_file(struct t *t, struct demanding *d)
{
	d->file = memfd_create("demand", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_TRUE(d->file >= 0 && !ftruncate(d->file, (off_t)FILE_PAGES * PAGE));
	d->bytes = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, d->file, 0);
	ASSERT_TRUE(d->bytes != MAP_FAILED);
	t_defer(t, close_file, d);
	for (size_t i = 0; i < FILE_PAGES * PAGE; i++)
		d->bytes[i] = (unsigned char)(i * 7 + i / PAGE);
}

static void open_device(struct t *t, struct demanding *d)
{
	struct weir_sim_device *sim;

	ASSERT_OK(weir_sim_add_edu(d->rig->sim, &WEIR_OPTS(weir_sim_edu_opts, .address_bits = 48),
				   &WEIR_OPTS(weir_sim_slot, .page_requests = 1), &sim));
	ASSERT_OK(weir_device_open(d->ioas, weir_sim_device_address(sim),
				   &WEIR_OPTS(weir_device_opts, .address_bits = 47), &d->device));
	t_defer(t, close_device, d->device);
	ASSERT_OK(edu_open(d->device, EDU_INTERRUPTS, &d->edu));
	t_defer(t, close_edu, d->edu);
	ASSERT_OK(weir_memory_open(d->ioas, &WEIR_OPTS(weir_memory_opts, .page_size = PAGE), &d->memory));
	t_defer(t, close_memory, d->memory);
	ASSERT_OK(weir_memory_alloc(d->memory, PAGE, NULL, &d->window));
	ASSERT_OK(weir_demand_open(d->ioas, &WEIR_OPTS(weir_demand_opts, .ahead = AHEAD), &d->demand));
	t_defer(t, close_demand, d->demand);
}

static struct demanding *in_nested_space(struct t *t, uint32_t iommu)
{
	struct demanding *d = calloc(1, sizeof(*d));

	ASSERT_TRUE(d);
	d->rig = faultq_rig_open(t, iommu, NULL);
	open_file(t, d);
	ASSERT_OK(weir_nested_space_open(
		d->rig->host,
		&WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE, .faultq = d->rig->queue),
		&d->ioas));
	t_defer(t, close_ioas, d->ioas);
	open_device(t, d);
	return d;
}

/* In an ordinary space, whose device is attached to a domain. */
static struct demanding *in_domain(struct t *t, uint32_t iommu)
{
	struct demanding *d = calloc(1, sizeof(*d));
	struct weir_domain *domain;

	ASSERT_TRUE(d);
	d->rig = faultq_rig_open(t, iommu, NULL);
	open_file(t, d);
	ASSERT_OK(weir_ioas_open(d->rig->host, NULL, &d->ioas));
	t_defer(t, close_ioas, d->ioas);
	open_device(t, d);
	ASSERT_OK(
		weir_domain_open(d->device, &WEIR_OPTS(weir_domain_opts, .faultq = d->rig->queue), &domain));
	t_defer(t, close_domain, domain);
	ASSERT_OK(weir_domain_attach(domain, d->device, WEIR_NO_PASID));
	rig_detach_later(t, d->device);
	return d;
}

/* The program's loop: requests until the DMA is done. False: it never is. */
static bool serve_until_done(struct demanding *d)
{
	const struct weir_sys *sys = weir_sim_sys(d->rig->sim);
	struct pollfd fds[2] = { { .fd = weir_faultq_fd(d->rig->queue), .events = POLLIN },
				 { .fd = weir_irq_fd(edu_irq(d->edu), 0), .events = POLLIN } };

	for (int i = 0; i < 100; i++) {
		if (sys->poll(sys->ctx, fds, 2, 5000) <= 0)
			return false;
		while (weir_faultq_run(d->rig->queue, weir_demand_handle, d->demand) > 0)
			;
		if (fds[1].revents & POLLIN)
			return edu_dma_wait(d->edu, 5000) == 0;
	}
	return false;
}

/* What the device finds at @iova. */
static bool device_reads(struct t *t, struct demanding *d, uint64_t iova, const void *expected)
{
	(void)t;
	memset(d->window.addr, 0xee, PAGE);
	ASSERT_OK(edu_dma_start(d->edu, EDU_TO_MEMORY, d->window.iova, 0, 4, EDU_BY_INTERRUPT));
	ASSERT_TRUE(serve_until_done(d));
	ASSERT_OK(edu_dma_start(d->edu, EDU_FROM_MEMORY, iova, 0, PAGE, EDU_BY_INTERRUPT));
	ASSERT_TRUE(serve_until_done(d));
	ASSERT_OK(edu_dma_start(d->edu, EDU_TO_MEMORY, d->window.iova, 0, PAGE, EDU_BY_INTERRUPT));
	ASSERT_TRUE(serve_until_done(d));
	return !memcmp(d->window.addr, expected, PAGE);
}

static struct weir_demand_info info_of(const struct demanding *d)
{
	struct weir_demand_info info;

	weir_demand_info(d->demand, &info, sizeof(info));
	return info;
}

static void file_is_read(struct t *t, struct demanding *d)
{
	ASSERT_OK(weir_demand_add_file(d->demand, IOVA + PAGE, (FILE_PAGES - 1) * PAGE, d->file, PAGE,
				       WEIR_MAP_READ | WEIR_MAP_WRITE));
	for (uint64_t page = 1; page < FILE_PAGES; page++)
		EXPECT_TRUE(device_reads(t, d, IOVA + page * PAGE, d->bytes + page * PAGE));
	/* One request for each window that was mapped ahead: the file's first page is in none. */
	EXPECT_EQ(info_of(d).num_maps, FILE_PAGES / 4);
	EXPECT_EQ(info_of(d).num_served, FILE_PAGES / 4);
	EXPECT_EQ(info_of(d).mapped_bytes, (FILE_PAGES - 1) * PAGE);
	EXPECT_EQ(info_of(d).num_refused, 0);
	/* Outside of every rule: refused, and the device finds nothing. */
	EXPECT_FALSE(device_reads(t, d, IOVA, d->bytes));
	EXPECT_FALSE(device_reads(t, d, IOVA + FILE_PAGES * PAGE, d->bytes));
	EXPECT_EQ(info_of(d).num_refused, 2);
}

UNIT(demand, a_device_reads_a_file_that_was_never_mapped_in_a_nested_space)
{
	file_is_read(t, in_nested_space(t, WEIR_SIM_IOMMU_VTD));
}

UNIT(demand, a_device_reads_a_file_that_was_never_mapped_in_a_nested_space_of_arms)
{
	file_is_read(t, in_nested_space(t, WEIR_SIM_IOMMU_SMMUV3));
}

UNIT(demand, a_device_reads_a_file_that_was_never_mapped_through_a_paging_domain)
{
	file_is_read(t, in_domain(t, WEIR_SIM_IOMMU_VTD));
}

UNIT(demand, dma_memory_is_written)
{
	struct demanding *d = in_nested_space(t, WEIR_SIM_IOMMU_VTD);
	struct weir_buffer buffer;

	ASSERT_OK(weir_memory_alloc(d->memory, 8 * PAGE, NULL, &buffer));
	memset(buffer.addr, 0, 8 * PAGE);
	ASSERT_OK(weir_demand_add_memory(d->demand, IOVA, 8 * PAGE, buffer.addr, 0));
	EXPECT_TRUE(device_reads(t, d, IOVA + 5 * PAGE, buffer.addr));
	memset(d->window.addr, 0x3c, PAGE);
	ASSERT_OK(edu_dma_start(d->edu, EDU_FROM_MEMORY, d->window.iova, 0, PAGE, EDU_BY_INTERRUPT));
	ASSERT_TRUE(serve_until_done(d));
	ASSERT_OK(edu_dma_start(d->edu, EDU_TO_MEMORY, IOVA + 2 * PAGE, 0, PAGE, EDU_BY_INTERRUPT));
	ASSERT_TRUE(serve_until_done(d));
	EXPECT_MEMEQ((unsigned char *)buffer.addr + 2 * PAGE, d->window.addr, PAGE);
	EXPECT_EQ(info_of(d).num_maps, 2);
}

UNIT(demand, what_a_rule_does_not_allow_is_refused)
{
	struct demanding *d = in_domain(t, WEIR_SIM_IOMMU_VTD);

	ASSERT_OK(weir_demand_add_file(d->demand, IOVA, PAGE, d->file, 0, WEIR_MAP_READ));
	memset(d->window.addr, 0x3c, PAGE);
	ASSERT_OK(edu_dma_start(d->edu, EDU_TO_MEMORY, IOVA, 0, PAGE, EDU_BY_INTERRUPT));
	ASSERT_TRUE(serve_until_done(d));
	EXPECT_EQ(info_of(d).num_refused, 1);
	EXPECT_EQ(info_of(d).num_maps, 0);
	EXPECT_EQ(d->bytes[1], 7);
}

UNIT(demand, other_spaces_and_pasids_are_refused)
{
	struct demanding *d = in_nested_space(t, WEIR_SIM_IOMMU_VTD);
	struct weir_fault_page page = { .iova = IOVA, .perm = WEIR_FAULT_READ };
	struct weir_fault fault = { .device = d->device, .ioas = d->ioas, .num_pages = 1, .pages = &page };

	ASSERT_OK(weir_demand_add_file(d->demand, IOVA, PAGE, d->file, 0, 0));
	fault.pasid = 3;
	EXPECT_EQ(weir_demand_handle(d->demand, &fault), WEIR_FAULT_INVALID);
	fault.pasid = WEIR_NO_PASID;
	fault.ioas = d->rig->ioas;
	EXPECT_EQ(weir_demand_handle(d->demand, &fault), WEIR_FAULT_INVALID);
	fault.ioas = d->ioas;
	page.perm = WEIR_FAULT_EXEC;
	EXPECT_EQ(weir_demand_handle(d->demand, &fault), WEIR_FAULT_INVALID);
	page.perm = 0;
	EXPECT_EQ(weir_demand_handle(d->demand, &fault), WEIR_FAULT_SUCCESS);
	EXPECT_EQ(weir_demand_handle(d->demand, &fault), WEIR_FAULT_SUCCESS);
	EXPECT_EQ(info_of(d).num_maps, 1);
}

UNIT(demand, rules_are_checked)
{
	struct demanding *d = in_nested_space(t, WEIR_SIM_IOMMU_VTD);
	struct weir_demand *demand = d->demand, *none;

	EXPECT_ERR(-EINVAL,
		   weir_demand_open(d->ioas, &WEIR_OPTS(weir_demand_opts, .ahead = 3 * PAGE), &none));
	EXPECT_ERR(-EINVAL, weir_demand_open(d->ioas, &WEIR_OPTS(weir_demand_opts, .ahead = 2048), &none));
	EXPECT_ERR(-EINVAL,
		   weir_demand_open(d->ioas, &WEIR_OPTS(weir_demand_opts, .ahead = 1ull << 31), &none));
	EXPECT_ERR(-EINVAL, weir_demand_open(d->ioas, &WEIR_OPTS(weir_demand_opts, .reserved = 1), &none));
	EXPECT_ERR(-EINVAL, weir_demand_add_file(demand, IOVA, 0, d->file, 0, 0));
	EXPECT_ERR(-EINVAL, weir_demand_add_file(demand, IOVA + 1, PAGE, d->file, 0, 0));
	EXPECT_ERR(-EINVAL, weir_demand_add_file(demand, IOVA, PAGE + 1, d->file, 0, 0));
	EXPECT_ERR(-EINVAL, weir_demand_add_file(demand, IOVA, PAGE, d->file, 1, 0));
	EXPECT_ERR(-EINVAL, weir_demand_add_file(demand, IOVA, PAGE, d->file, 0, WEIR_MAP_FIXED));
	EXPECT_ERR(-EINVAL, weir_demand_add_file(demand, -(uint64_t)PAGE, 2 * PAGE, d->file, 0, 0));
	EXPECT_ERR(-EINVAL, weir_demand_add_file(demand, IOVA, 2 * PAGE, d->file, -(uint64_t)PAGE, 0));
	EXPECT_ERR(-EBADF, weir_demand_add_file(demand, IOVA, PAGE, -1, 0, 0));
	EXPECT_OK(weir_demand_add_file(demand, IOVA, 4 * PAGE, d->file, 0, 0));
	EXPECT_ERR(-EEXIST, weir_demand_add_file(demand, IOVA + PAGE, PAGE, d->file, 0, 0));
	EXPECT_ERR(-EEXIST, weir_demand_add_memory(demand, IOVA - PAGE, 2 * PAGE, d->bytes, 0));
	EXPECT_OK(weir_demand_add_memory(demand, IOVA - PAGE, PAGE, d->bytes, 0));
	EXPECT_EQ(info_of(d).num_rules, 2);
	EXPECT_OK(weir_demand_close(NULL));
}

/* A part of the file that is not there, and IOVAs that somebody else has: refused with the reason. */
UNIT(demand, what_cannot_be_mapped_is_refused)
{
	struct demanding *d = in_nested_space(t, WEIR_SIM_IOMMU_VTD);
	struct weir_fault_page page = { .iova = IOVA };
	struct weir_fault fault = { .device = d->device, .ioas = d->ioas, .num_pages = 1, .pages = &page };
	struct weir_map *map;

	ASSERT_OK(weir_demand_add_file(d->demand, IOVA, 64 * PAGE, d->file, (FILE_PAGES - 1) * PAGE, 0));
	page.iova = IOVA + 60 * PAGE;
	EXPECT_EQ(weir_demand_handle(d->demand, &fault), WEIR_FAULT_INVALID);
	ASSERT_OK(weir_demand_add_file(d->demand, 2ull * IOVA, PAGE, d->file, 0, 0));
	page.iova = 2ull * IOVA;
	ASSERT_OK(weir_ioas_map(d->ioas, d->bytes, PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = 2ull * IOVA),
				&map));
	EXPECT_EQ(weir_demand_handle(d->demand, &fault), WEIR_FAULT_INVALID);
	EXPECT_OK(weir_map_close(map));
	EXPECT_EQ(weir_demand_handle(d->demand, &fault), WEIR_FAULT_SUCCESS);
}

/* What a rule has mapped is the demand's to end, all of it and parts, also when it lies in a range with others' mappings. */
UNIT(demand, what_it_has_mapped_is_not_unmapped_behind_its_back)
{
	struct demanding *d = in_domain(t, WEIR_SIM_IOMMU_VTD);
	const uint64_t beside = IOVA + AHEAD;
	struct weir_map *map;

	ASSERT_OK(weir_demand_add_file(d->demand, IOVA, AHEAD, d->file, 0, WEIR_MAP_READ));
	ASSERT_OK(weir_demand_add_memory(d->demand, 2ull * IOVA, PAGE, d->bytes, 0));
	EXPECT_TRUE(device_reads(t, d, IOVA + PAGE, d->bytes + PAGE));
	EXPECT_TRUE(device_reads(t, d, 2ull * IOVA, d->bytes));
	ASSERT_OK(weir_ioas_map(d->ioas, d->bytes, PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = beside), &map));
	EXPECT_ERR(-EBUSY, weir_ioas_unmap(d->ioas, IOVA, AHEAD));
	EXPECT_CONTAINS(weir_error(), "rule of a weir_demand");
	EXPECT_CONTAINS(weir_error(), "0x40000000..0x40003fff");
	EXPECT_CONTAINS(weir_error(), "weir_demand_close()");
	EXPECT_ERR(-EBUSY, weir_ioas_unmap(d->ioas, IOVA + PAGE, PAGE));
	EXPECT_ERR(-EBUSY, weir_ioas_unmap(d->ioas, IOVA, AHEAD + PAGE));
	EXPECT_ERR(-EBUSY, weir_ioas_unmap(d->ioas, 2ull * IOVA, PAGE));
	EXPECT_TRUE(device_reads(t, d, IOVA + PAGE, d->bytes + PAGE));
	EXPECT_TRUE(device_reads(t, d, beside, d->bytes));
	EXPECT_EQ(info_of(d).num_maps, 2);
	EXPECT_OK(weir_ioas_unmap(d->ioas, beside, PAGE));
}

UNIT(demand, a_shadow_has_no_page_requests)
{
	struct faultq_rig *rig = faultq_rig_open(t, WEIR_SIM_IOMMU_VTD, NULL);
	struct weir_nested_space_opts opts = WEIR_OPTS(weir_nested_space_opts, .faultq = rig->queue);
	struct weir_ioas *ioas;

	EXPECT_ERR(-EINVAL, weir_nested_space_open(rig->host, &opts, &ioas));
	opts.mode = WEIR_NESTED_SHADOW;
	EXPECT_ERR(-EINVAL, weir_nested_space_open(rig->host, &opts, &ioas));
}
