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

static int open_host(const struct open_request *request, struct weir_host **ret_host)
{
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .backend = request->backend);

	if (request->broker)
		return weir_host_open_broker(request->broker, request->address, &opts, ret_host);
	return weir_host_open(&opts, ret_host);
}

int open_device(const struct open_request *request, struct opened *ret_opened)
{
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = request->address_bits);
	struct opened opened = { 0 };
	int r;

	r = open_host(request, &opened.host);
	if (r == 0)
		r = weir_ioas_open(opened.host, NULL, &opened.ioas);
	if (r == 0)
		r = weir_device_open(opened.ioas, request->address, &opts, &opened.device);
	if (r < 0)
		close_device(&opened);
	else
		*ret_opened = opened;
	return r;
}

int close_device(struct opened *opened)
{
	int device = weir_device_close(opened->device);
	int ioas = weir_ioas_close(opened->ioas);
	int host = weir_host_close(opened->host);

	*opened = (struct opened){ 0 };
	return device < 0 ? device : ioas < 0 ? ioas : host;
}
