// SPDX-License-Identifier: MIT
/* A device behind tables of the case's own. */
#include "conformance/nested.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/iommufd_abi.h"

static void close_domain(void *domain)
{
	EXPECT_OK(weir_domain_close(domain));
}

void close_domain_later(struct t *t, struct weir_domain *domain)
{
	t_defer(t, close_domain, domain);
}

static void detach(void *device)
{
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

void detach_later(struct t *t, struct weir_device *device)
{
	t_defer(t, detach, device);
}

static void drop_and_close(void *inval)
{
	weir_inval_drop(inval);
	EXPECT_OK(weir_inval_close(inval));
}

struct weir_inval *new_batch(struct t *t)
{
	struct weir_inval *inval;

	ASSERT_OK(weir_inval_open(NULL, &inval));
	t_defer(t, drop_and_close, inval);
	return inval;
}

static void close_tables(void *tables)
{
	weir_stage1_close(tables);
}

static void free_nested(void *nested)
{
	free(nested);
}

struct weir_domain_info domain_info(struct weir_domain *domain)
{
	struct weir_domain_info info;

	weir_domain_info(domain, &info, sizeof(info));
	return info;
}

static uint32_t iommu_of(struct weir_device *device)
{
	struct weir_iommu_info info;

	ASSERT_OK(weir_device_iommu_info(device, &info, sizeof(info)));
	return info.kind;
}

uint32_t format_of(struct t *t, struct weir_device *device)
{
	(void)t;
	return iommu_of(device) == WEIR_IOMMU_SMMUV3 ? WEIR_STAGE1_ARM64_4K : WEIR_STAGE1_X86_4;
}

int open_nested(struct nested *nested, struct weir_device *device, struct weir_domain **ret_domain)
{
	struct weir_stage1_info info;

	EXPECT_OK(weir_stage1_info(nested->tables, &info, sizeof(info)));
	return weir_domain_open_nested(nested->parent, device,
				       &WEIR_OPTS(weir_nested_opts, .format = info.format,
						  .root = info.descriptor ? info.descriptor : info.root),
				       ret_domain);
}

static void fill_data(struct t *t, struct nested *nested)
{
	nested->data = new_memory(t, DATA_PAGES * PAGE, 0);
	for (uint32_t i = 0; i < DATA_PAGES; i++)
		memset(nested->data + i * PAGE, (unsigned char)(i + 1), PAGE);
	nested->ipa = weir_map_iova(new_map(t, nested->ioas, nested->data, DATA_PAGES * PAGE, NULL));
}

static void make_tables(struct t *t, struct nested *nested)
{
	struct weir_stage1_opts opts = WEIR_OPTS(weir_stage1_opts, .format = format_of(t, nested->device));
	uint64_t window = dma_window(t, nested->edu);

	if (opts.format == WEIR_STAGE1_ARM64_4K)
		opts.asid = 5;
	nested->memory = new_dma_memory(t, nested->ioas, &WEIR_OPTS(weir_memory_opts, SMALL));
	ASSERT_OK(weir_stage1_open(nested->memory, &opts, &nested->tables));
	t_defer(t, close_tables, nested->tables);
	nested->changes = new_batch(t);
	ASSERT_OK(weir_stage1_map(nested->tables, window, window, EDU_BUFFER_SIZE, 0, nested->changes));
}

struct nested *prepare_nested(struct t *t, const char *name)
{
	struct nested *nested = calloc(1, sizeof(*nested));

	ASSERT_TRUE(nested != NULL);
	t_defer(t, free_nested, nested);
	nested->ioas = new_ioas(t);
	nested->edu = new_edu(t, nested->ioas, name, 0);
	nested->device = device_of(t, nested->edu);
	nested->iommu = iommu_of(nested->device);
	fill_data(t, nested);
	make_tables(t, nested);
	ASSERT_OK(weir_domain_open(nested->device,
				   &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				   &nested->parent));
	close_domain_later(t, nested->parent);
	ASSERT_OK(open_nested(nested, nested->device, &nested->domain));
	close_domain_later(t, nested->domain);
	return nested;
}

void attach_nested(struct t *t, struct nested *nested)
{
	ASSERT_OK(weir_domain_attach(nested->domain, nested->device, WEIR_NO_PASID));
	detach_later(t, nested->device);
}

struct nested *new_nested(struct t *t, const char *name)
{
	struct nested *nested = prepare_nested(t, name);

	attach_nested(t, nested);
	return nested;
}

static uint64_t page_of(const struct nested *nested, uint32_t page)
{
	return nested->ipa + page * PAGE;
}

void map_page(struct t *t, struct nested *nested, uint64_t iova, uint32_t page)
{
	(void)t;
	ASSERT_OK(weir_stage1_map(nested->tables, iova, page_of(nested, page), PAGE, 0, nested->changes));
}

void change_page(struct t *t, struct nested *nested, uint64_t iova, uint32_t page)
{
	struct weir_inval *told_nobody = new_batch(t);

	ASSERT_OK(weir_stage1_unmap(nested->tables, iova, PAGE, told_nobody));
	ASSERT_OK(weir_stage1_map(nested->tables, iova, page_of(nested, page), PAGE, 0, told_nobody));
	weir_inval_drop(told_nobody);
}

bool finds(struct t *t, struct nested *nested, uint64_t iova, uint32_t page)
{
	return dma_reads(t, nested->edu, iova, nested->data + page * PAGE, 64);
}

int run_batch(struct nested *nested, struct weir_inval *inval, const struct weir_inval_run_opts *opts)
{
	return weir_inval_run(inval, &nested->domain, 1, opts);
}

void run_changes(struct t *t, struct nested *nested)
{
	(void)t;
	ASSERT_OK(run_batch(nested, nested->changes, NULL));
}

struct weir_inval_outcome outcome_of(struct t *t, const struct weir_inval *inval, uint32_t entry)
{
	struct weir_inval_outcome outcome;

	(void)t;
	ASSERT_OK(weir_inval_outcome(inval, 0, entry, &outcome));
	return outcome;
}

void add_bad_command(struct t *t, const struct nested *nested, struct weir_inval *inval)
{
	uint64_t command[3] = { 0x7f }; /* no command of the SMMU's; no address of a page for VT-d */

	(void)t;
	if (nested->iommu == WEIR_IOMMU_SMMUV3)
		ASSERT_GE(weir_inval_raw(inval, ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3, command, 16), 0);
	else
		ASSERT_GE(weir_inval_raw(inval, ABI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1, command, 24), 0);
}
