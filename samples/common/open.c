/* SPDX-License-Identifier: MIT */
#include "open.h"

#include <string.h>

bool open_backend(const char *name, uint32_t *ret_backend)
{
	static const struct {
		const char *name;
		enum weir_backend backend;
	} backends[] = {
		{ "auto", WEIR_BACKEND_AUTO },
		{ "iommufd", WEIR_BACKEND_IOMMUFD },
		{ "type1", WEIR_BACKEND_TYPE1 },
		{ "compat", WEIR_BACKEND_COMPAT },
	};
	size_t i;

	for (i = 0; i < sizeof backends / sizeof backends[0]; i++) {
		if (strcmp(name, backends[i].name) == 0) {
			*ret_backend = backends[i].backend;
			return true;
		}
	}
	return false;
}

/* A machine with one controller, whose disk is the image, at the address where the program will look for it. */
static int simulate(const struct open_request *request, struct weir_sim **ret_sim)
{
	struct weir_sim_nvme_opts disk =
		WEIR_OPTS(weir_sim_nvme_opts, .image = request->simulate, .read_only = !request->writable);
	struct weir_sim_slot slot = WEIR_OPTS(weir_sim_slot, .address = request->address);
	struct weir_sim_opts machine = WEIR_OPTS(
		weir_sim_opts, .iommu = request->nested ? WEIR_SIM_IOMMU_VTD : WEIR_SIM_IOMMU_PLAIN);
	int r = weir_sim_open(&machine, ret_sim);

	if (r == 0)
		r = weir_sim_add_nvme(*ret_sim, &disk, &slot, NULL);
	return r == 0 ? weir_sim_start(*ret_sim) : r;
}

static int try_host(const struct open_request *request, struct opened *opened)
{
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .backend = request->backend);

	if (request->simulate && !opened->sim) {
		int r = simulate(request, &opened->sim);

		if (r < 0)
			return r;
	}
	if (opened->sim)
		opts.sys = weir_sim_sys(opened->sim);
	if (request->broker)
		return weir_host_open_broker(request->broker, request->address, &opts, &opened->host);
	return weir_host_open(&opts, &opened->host);
}

int open_host(const struct open_request *request, struct opened *opened)
{
	int r = try_host(request, opened);

	if (r < 0)
		close_device(opened);
	return r;
}

int open_device(const struct open_request *request, struct opened *opened)
{
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = request->address_bits,
						 .vf_token = request->vf_token);
	int r = try_host(request, opened);

	if (r == 0)
		r = request->nested ? weir_nested_space_open(opened->host, request->nested, &opened->ioas)
				    : weir_ioas_open(opened->host, NULL, &opened->ioas);
	if (r == 0)
		r = weir_device_open(opened->ioas, request->address, &opts, &opened->device);
	if (r < 0)
		close_device(opened);
	return r;
}

int close_device(struct opened *opened)
{
	int device = weir_device_close(opened->device);
	int ioas = weir_ioas_close(opened->ioas);
	int host = weir_host_close(opened->host);
	int sim = weir_sim_close(opened->sim);

	*opened = (struct opened){ 0 };
	return device < 0 ? device : ioas < 0 ? ioas : host < 0 ? host : sim;
}
