// SPDX-License-Identifier: MIT
/* Hand-over of domains: a device that goes through tables of the program's own finds its memory throughout, and the successor can change them. */
#include "conformance/handover_domain.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "conformance/os.h"

static struct stage stage;

static void close_stage(void *arg)
{
	(void)arg;
	if (!stage.predecessor->host)
		return;
	EXPECT_OK(weir_domain_detach(stage.predecessor->device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_close(stage.nested));
	EXPECT_OK(weir_domain_close(stage.parent));
	if (!stage.tables)
		return;
	weir_stage1_close(stage.tables);
	weir_inval_drop(stage.changes);
	EXPECT_OK(weir_inval_close(stage.changes));
}

/* The device's writes to IOVA lead to the buffer's page. */
static void make_tables(struct t *t, struct predecessor *predecessor)
{
	struct weir_iommu_info iommu;
	struct weir_stage1_opts opts = WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4);

	(void)t;
	ASSERT_OK(weir_device_iommu_info(predecessor->device, &iommu, sizeof(iommu)));
	if (iommu.kind == WEIR_IOMMU_SMMUV3)
		opts.format = WEIR_STAGE1_ARM64_4K;
	ASSERT_OK(weir_stage1_open(predecessor->memory, &opts, &stage.tables));
	ASSERT_OK(weir_inval_open(NULL, &stage.changes));
	ASSERT_OK(weir_stage1_map(stage.tables, STAGE_IOVA, predecessor->buffer.iova, PAGE, 0, NULL));
	stage.opts = opts;
	weir_stage1_info(stage.tables, &stage.info, sizeof(stage.info));
}

struct stage *new_stage(struct t *t, struct predecessor *predecessor)
{
	stage = (struct stage){ .predecessor = predecessor };
	make_tables(t, predecessor);
	ASSERT_OK(weir_domain_open(predecessor->device,
				   &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				   &stage.parent));
	ASSERT_OK(weir_domain_open_nested(
		stage.parent, predecessor->device,
		&WEIR_OPTS(weir_nested_opts, .format = stage.opts.format,
			   .root = stage.info.descriptor ? stage.info.descriptor : stage.info.root),
		&stage.nested));
	ASSERT_OK(weir_domain_attach(stage.nested, predecessor->device, WEIR_NO_PASID));
	t_defer(t, close_stage, NULL);
	return &stage;
}

static struct weir_domain_info domain_info_of(struct weir_domain *domain)
{
	struct weir_domain_info info;

	weir_domain_info(domain, &info, sizeof(info));
	return info;
}

/* What the successor finds. */
struct heir {
	struct weir_device *device;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	struct weir_domain *parent, *nested;
	struct weir_stage1 *tables;
	struct weir_inval *changes;
};

static void find_all(struct t *t, struct weir_host *host, struct heir *heir)
{
	const struct estate *estate;
	void *block;

	ASSERT_OK(weir_handover_device(host, address_of(t, "EDU0"), &heir->device));
	ASSERT_OK(weir_handover_memory(host, 0, &heir->memory));
	ASSERT_OK(weir_block_open(host, "estate", BLOCK_SIZE, &block));
	estate = block;
	ASSERT_OK(weir_memory_claim(heir->memory, estate->chunk, estate->offset, PAGE, &heir->buffer));
	ASSERT_OK(weir_handover_domain(host, 0, &heir->parent));
	ASSERT_OK(weir_handover_domain(host, 1, &heir->nested));
	EXPECT_ERR(-ENOENT, weir_handover_domain(host, 2, &heir->nested));
	EXPECT_EQ(domain_info_of(heir->parent).kind, WEIR_DOMAIN_KIND_PARENT);
	EXPECT_EQ(domain_info_of(heir->parent).num_nested, 1);
	EXPECT_EQ(domain_info_of(heir->nested).kind, WEIR_DOMAIN_KIND_NESTED);
	EXPECT_EQ(domain_info_of(heir->nested).num_devices, 1);
	ASSERT_OK(weir_inval_open(NULL, &heir->changes));
	ASSERT_OK(weir_stage1_claim(heir->memory, &stage.opts, stage.info.root, stage.info.descriptor, NULL,
				    &heir->tables));
}

static void check_tables(struct heir *heir)
{
	struct weir_buffer other;

	EXPECT_TRUE(arrives(heir->device, STAGE_IOVA, heir->buffer.addr));
	ASSERT_OK(weir_memory_alloc(heir->memory, PAGE, NULL, &other));
	ASSERT_OK(weir_stage1_unmap(heir->tables, STAGE_IOVA, PAGE, heir->changes));
	ASSERT_OK(weir_inval_run(heir->changes, &heir->nested, 1, NULL));
	ASSERT_OK(weir_stage1_map(heir->tables, STAGE_IOVA, other.iova, PAGE, 0, NULL));
	EXPECT_TRUE(arrives(heir->device, STAGE_IOVA, other.addr));
	ASSERT_OK(weir_memory_free(heir->memory, &other));
}

/* Domains are attached, refused while in use, and closed as if they were the successor's own. */
static void check_domains(struct t *t, struct heir *heir)
{
	struct weir_domain *paging, *again;

	(void)t;
	EXPECT_ERR(-EBUSY, weir_domain_close(heir->nested));
	EXPECT_ERR(-EBUSY, weir_domain_close(heir->parent));
	ASSERT_OK(weir_domain_open(heir->device, NULL, &paging));
	ASSERT_OK(weir_domain_attach(paging, heir->device, WEIR_NO_PASID));
	EXPECT_TRUE(arrives(heir->device, heir->buffer.iova, heir->buffer.addr));
	ASSERT_OK(weir_domain_attach(heir->nested, heir->device, WEIR_NO_PASID));
	EXPECT_OK(weir_domain_close(paging));
	ASSERT_OK(weir_domain_open_nested(
		heir->parent, heir->device,
		&WEIR_OPTS(weir_nested_opts, .format = stage.opts.format,
			   .root = stage.info.descriptor ? stage.info.descriptor : stage.info.root),
		&again));
	ASSERT_OK(weir_domain_attach(again, heir->device, WEIR_NO_PASID));
	ASSERT_OK(weir_domain_detach(heir->device, WEIR_NO_PASID));
	EXPECT_TRUE(arrives(heir->device, heir->buffer.iova, heir->buffer.addr));
	EXPECT_OK(weir_domain_close(again));
	EXPECT_OK(weir_domain_close(heir->nested));
	EXPECT_OK(weir_domain_close(heir->parent));
}

static void end_heir(struct weir_host *host, struct heir *heir)
{
	struct weir_ioas *ioas = weir_device_ioas(heir->device);

	weir_stage1_close(heir->tables);
	EXPECT_OK(weir_inval_close(heir->changes));
	EXPECT_OK(weir_device_close(heir->device));
	EXPECT_OK(weir_memory_close(heir->memory));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
}

static void give_it(struct t *t, struct predecessor *predecessor, struct successor **ret_successor)
{
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	*ret_successor = end_successor(t);
	t_note(t, "%s", (*ret_successor)->text);
	ASSERT_EQ((*ret_successor)->error, 0);
}

static void forget_stage(void)
{
	weir_stage1_forget(stage.tables);
	weir_inval_drop(stage.changes);
	EXPECT_OK(weir_inval_close(stage.changes));
}

CONFORMANCE(handover_domain, a_nested_one_is_carried_with_its_tables,
	    NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct successor *successor;
	struct heir heir;

	new_stage(t, predecessor);
	EXPECT_TRUE(arrives(predecessor->device, STAGE_IOVA, predecessor->buffer.addr));
	EXPECT_OK(weir_handover_check(predecessor->host, NULL, NULL));
	give_it(t, predecessor, &successor);
	forget_stage();
	find_all(t, successor->host, &heir);
	check_tables(&heir);
	check_domains(t, &heir);
	end_heir(successor->host, &heir);
}

CONFORMANCE(handover_domain, who_is_refused_has_it_as_before, NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);

	new_stage(t, predecessor);
	begin_successor(t, predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	EXPECT_EQ(end_successor(t)->error, 0);
	EXPECT_TRUE(arrives(predecessor->device, STAGE_IOVA, predecessor->buffer.addr));
	EXPECT_EQ(domain_info_of(stage.nested).num_devices, 1);
	ASSERT_OK(weir_domain_detach(predecessor->device, WEIR_NO_PASID));
	expect_unharmed(t, predecessor);
	ASSERT_OK(weir_domain_attach(stage.nested, predecessor->device, WEIR_NO_PASID));
	EXPECT_TRUE(arrives(predecessor->device, STAGE_IOVA, predecessor->buffer.addr));
}

/* The journal forgets what is closed. */
CONFORMANCE(handover_domain, what_was_closed_is_not_in_the_way, NEEDS(EDU0, HANDOVER, DOMAIN, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_domain *domain;
	struct successor *successor;

	for (int i = 0; i < 3; i++) {
		ASSERT_OK(weir_domain_open(predecessor->device, NULL, &domain));
		ASSERT_OK(weir_domain_attach(domain, predecessor->device, WEIR_NO_PASID));
		ASSERT_OK(weir_domain_detach(predecessor->device, WEIR_NO_PASID));
		ASSERT_OK(weir_domain_close(domain));
	}
	give_it(t, predecessor, &successor);
	EXPECT_ERR(-ENOENT, weir_handover_domain(successor->host, 0, &domain));
	expect_estate(t, successor->host);
}
