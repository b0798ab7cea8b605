// SPDX-License-Identifier: MIT
/* Several threads invalidate for one domain while devices are attached to it and detached. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "test.h"

enum { THREADS = 3, ROUNDS = 40, PAGE = 4096 };

struct field {
	struct weir_domain *nested;
	_Atomic bool stop;
	_Atomic uint32_t runs;
	_Atomic int error;
};

static void *invalidate(void *arg)
{
	struct field *field = arg;
	struct weir_inval *inval;

	if (weir_inval_open(NULL, &inval)) {
		field->error = -1;
		return NULL;
	}
	while (!field->stop && !field->error) {
		for (uint64_t i = 0; i < 8; i++)
			weir_inval_range(inval, i * 2 * PAGE, PAGE, 1, 0);
		weir_inval_context(inval, 0);
		field->error = weir_inval_run(inval, &field->nested, 1, NULL);
		field->runs++;
	}
	weir_inval_drop(inval);
	weir_inval_close(inval);
	return NULL;
}

static void come_and_go(struct t *t, uint32_t iommu, uint32_t format)
{
	struct field field = { .nested = NULL };
	pthread_t threads[THREADS];
	struct weir_sim *sim;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *first, *second;
	struct weir_domain *parent;

	(void)t;
	ASSERT_OK(weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = iommu), &sim));
	ASSERT_OK(weir_sim_add_edu(sim, NULL, NULL, NULL));
	ASSERT_OK(weir_sim_add_edu(sim, NULL, NULL, NULL));
	ASSERT_OK(weir_host_open(
		&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = weir_sim_sys(sim)),
		&host));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	ASSERT_OK(weir_device_open(ioas, "0000:00:01.0", NULL, &first));
	ASSERT_OK(weir_domain_open(first, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				   &parent));
	ASSERT_OK(weir_domain_open_nested(parent, first, &WEIR_OPTS(weir_nested_opts, .format = format),
					  &field.nested));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, invalidate, &field), 0);
	for (int round = 0; round < ROUNDS; round++) {
		ASSERT_OK(weir_domain_attach(field.nested, first, WEIR_NO_PASID));
		ASSERT_OK(weir_device_open(ioas, "0000:00:02.0", NULL, &second));
		ASSERT_OK(weir_domain_attach(field.nested, second, WEIR_NO_PASID));
		ASSERT_OK(weir_domain_detach(first, WEIR_NO_PASID));
		ASSERT_OK(weir_device_close(second));
	}
	while (field.runs < THREADS && !field.error)
		sched_yield();
	field.stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(field.error, 0);
	EXPECT_OK(weir_domain_close(field.nested));
	EXPECT_OK(weir_domain_close(parent));
	EXPECT_OK(weir_device_close(first));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
	EXPECT_OK(weir_sim_close(sim));
}

UNIT(sim_inval, threads_invalidate_while_devices_come_and_go_on_vtd)
{
	come_and_go(t, WEIR_SIM_IOMMU_VTD, WEIR_STAGE1_X86_4);
}

UNIT(sim_inval, threads_invalidate_while_devices_come_and_go_on_smmuv3)
{
	come_and_go(t, WEIR_SIM_IOMMU_SMMUV3, WEIR_STAGE1_ARM64_4K);
}
