// SPDX-License-Identifier: MIT
/*
 * Invalidation in batches of 1 to 4096 entries beside a call for each entry, on simulated machines: JSON, and a table for people.
 *
 * What a simulated kernel takes for a call says nothing of a real one; what it shows is what the library adds. On the kernel's mock IOMMU
 * the same is measured by the case mock_inval.a_batch_takes_less_than_a_call_for_each_entry (lane vm-mock).
 */
#include <err.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "bench/inval/measure.h"

static void check(int error, const char *what)
{
	if (error)
		errx(1, "%s: %s", what, weir_error());
}

static void measure(uint32_t iommu, const char *name, uint32_t format, const char *separator)
{
	struct inval_figure figures[INVAL_SIZES];
	struct weir_sim *sim;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_domain *parent, *nested;

	check(weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = iommu), &sim), "weir_sim_open");
	check(weir_sim_add_edu(sim, NULL, NULL, NULL), "weir_sim_add_edu");
	check(weir_host_open(
		      &WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = weir_sim_sys(sim)),
		      &host),
	      "weir_host_open");
	check(weir_ioas_open(host, NULL, &ioas), "weir_ioas_open");
	check(weir_device_open(ioas, "0000:00:01.0", NULL, &device), "weir_device_open");
	check(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
			       &parent),
	      "weir_domain_open");
	check(weir_domain_open_nested(parent, device, &WEIR_OPTS(weir_nested_opts, .format = format),
				      &nested),
	      "weir_domain_open_nested");
	check(weir_domain_attach(nested, device, WEIR_NO_PASID), "weir_domain_attach");
	check(inval_measure(nested, figures), "weir_inval_run");
	inval_print(stderr, name, figures);
	printf("%s\n  \"%s\": [", separator, name);
	for (int i = 0; i < INVAL_SIZES; i++)
		printf("%s\n    { \"entries\": %u, \"batch_ns\": %.0f, \"calls_ns\": %.0f }", i ? "," : "",
		       figures[i].entries, figures[i].batch_ns, figures[i].calls_ns);
	printf("\n  ]");
	check(weir_device_close(device), "weir_device_close");
	check(weir_domain_close(nested), "weir_domain_close");
	check(weir_domain_close(parent), "weir_domain_close");
	check(weir_ioas_close(ioas), "weir_ioas_close");
	check(weir_host_close(host), "weir_host_close");
	check(weir_sim_close(sim), "weir_sim_close");
}

int main(void)
{
	printf("{");
	measure(WEIR_SIM_IOMMU_VTD, "sim-vtd", WEIR_STAGE1_X86_4, "");
	measure(WEIR_SIM_IOMMU_SMMUV3, "sim-smmuv3", WEIR_STAGE1_ARM64_4K, ",");
	printf("\n}\n");
	return 0;
}
