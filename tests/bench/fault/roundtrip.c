// SPDX-License-Identifier: MIT
/*
 * Page requests on a simulated machine: what the library adds to bare reads and writes. JSON, and a table for people. What a simulated kernel takes for a call says
 * nothing of a real one. On the kernel's mock the same is measured by the case mock_fault.a_round_trip (lane vm-mock).
 */
#include <err.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "bench/fault/measure.h"

static void check(int error, const char *what)
{
	if (error)
		errx(1, "%s: %s", what, weir_error());
}

static void request(void *device)
{
	const struct weir_sim_page_request request = {
		.iova = 0x40000000, .group = 100, .perm = WEIR_FAULT_READ, .last = true
	};

	check(weir_sim_page_request(device, &request), "weir_sim_page_request");
}

int main(void)
{
	struct fault_figure figures[FAULT_SIZES];
	struct weir_sim *sim;
	struct weir_sim_device *edu;
	struct weir_host *host;
	struct weir_faultq *queue;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_domain *domain;

	check(weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = WEIR_SIM_IOMMU_VTD), &sim), "weir_sim_open");
	check(weir_sim_add_edu(sim, NULL, &WEIR_OPTS(weir_sim_slot, .page_requests = 1), &edu),
	      "weir_sim_add_edu");
	check(weir_host_open(
		      &WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = weir_sim_sys(sim)),
		      &host),
	      "weir_host_open");
	check(weir_faultq_open(host, NULL, &queue), "weir_faultq_open");
	check(weir_ioas_open(host, NULL, &ioas), "weir_ioas_open");
	check(weir_device_open(ioas, weir_sim_device_address(edu), NULL, &device), "weir_device_open");
	check(weir_domain_open(device, &WEIR_OPTS(weir_domain_opts, .faultq = queue), &domain),
	      "weir_domain_open");
	check(weir_domain_attach(domain, device, WEIR_NO_PASID), "weir_domain_attach");
	check(fault_measure(queue, weir_sim_sys(sim), request, edu, figures), "fault_measure");
	fault_print(stderr, "simulated", figures);
	printf("{\n  \"round_trip_ns\": %.0f,\n  \"groups\": [", figures[0].round_trip_ns);
	for (int i = 0; i < FAULT_SIZES; i++)
		printf("%s\n    { \"groups\": %u, \"library_ns\": %.0f, \"bare_ns\": %.0f }", i ? "," : "",
		       figures[i].groups, figures[i].library_ns, figures[i].bare_ns);
	printf("\n  ]\n}\n");
	check(weir_device_close(device), "weir_device_close");
	check(weir_domain_close(domain), "weir_domain_close");
	check(weir_ioas_close(ioas), "weir_ioas_close");
	check(weir_faultq_close(queue), "weir_faultq_close");
	check(weir_host_close(host), "weir_host_close");
	check(weir_sim_close(sim), "weir_sim_close");
	return 0;
}
