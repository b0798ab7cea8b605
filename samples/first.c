/* SPDX-License-Identifier: MIT */
/* A first program: open a device, let it reach one page of this program's memory, and say where it finds it. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir/weir.h>

int main(int argc, char **argv)
{
	void *buffer = aligned_alloc(4096, 4096);
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_map *map;

	if (argc != 2 || !buffer)
		errx(2, "usage: %s 0000:01:00.0", argv[0]);
	if (weir_host_open(NULL, &host) || weir_ioas_open(host, NULL, &ioas) ||
	    weir_device_open(ioas, argv[1], NULL, &device) || weir_ioas_map(ioas, buffer, 4096, NULL, &map))
		errx(1, "%s", weir_error());
	printf("Through %s, %s can reach one page of our memory: %p, which it sees at %#llx.\n",
	       weir_backend_name(weir_host_backend(host)), argv[1], buffer,
	       (unsigned long long)weir_map_iova(map));

	weir_map_close(map);
	weir_device_close(device);
	weir_ioas_close(ioas);
	weir_host_close(host);
	free(buffer);
}
